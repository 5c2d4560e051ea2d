"""The scale subresource: replicas of a workload as an autoscaling/v1 Scale, both ways."""

from __future__ import annotations

from typing import Any

from osmia.lab.apiserver.errors import bad_request

__all__ = ["scale_of", "with_scale"]


def scale_of(workload: dict[str, Any]) -> dict[str, Any]:
    """The Scale of a Deployment, ReplicaSet or StatefulSet."""
    metadata = workload["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (workload["spec"].get("selector") or {}).get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in kept if field in metadata},
        "spec": {"replicas": workload["spec"].get("replicas", 0)},
        "status": {
            "replicas": workload.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def with_scale(workload: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
    """The workload with the replicas of a Scale, in place.

    Raises:
        ApiError: 400, the Scale has no whole number of replicas.
    """
    replicas = scale.get("spec", {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request(f"spec.replicas = {replicas!r}: must be a number of at least 0")
    workload["spec"]["replicas"] = replicas
    if version := scale.get("metadata", {}).get("resourceVersion"):
        workload["metadata"]["resourceVersion"] = version
    return workload
