"""What ReplicaSet, StatefulSet and DaemonSet share: pods from a template, who owns them, whether they count."""

from __future__ import annotations

from typing import Any

from osmia.lab.apiserver import ApiError, ApiServer
from osmia.lab.controllers.loop import Key

__all__ = ["delete_pod", "find", "is_active", "is_ready", "owned_pods", "owner_reference", "pod_from"]

Object = dict[str, Any]


def find(api: ApiServer, resource: str, key: Key) -> Object | None:
    """The object, or None if it is gone or going."""
    try:
        found = api.get(resource, *key)
    except ApiError:
        return None
    return None if "deletionTimestamp" in found["metadata"] else found


def owner_reference(owner: Object) -> Object:
    """The reference by which `owner` controls what it makes."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_pods(api: ApiServer, owner: Object) -> list[Object]:
    """The pods that `owner` controls, the ending ones too, oldest first."""
    uid = owner["metadata"]["uid"]
    pods = [pod for pod in api.list("pods", owner["metadata"]["namespace"]) if _is_owned(pod, uid)]
    return sorted(pods, key=lambda pod: int(pod["metadata"]["resourceVersion"]))


def pod_from(owner: Object, *, name: Object, labels: Object | None = None) -> Object:
    """A pod by the owner's template; `name` is {"name": ...} or {"generateName": ...}."""
    template = owner["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "metadata": {
            **name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **(labels or {})},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {**template["spec"]},
    }


def is_active(pod: Object) -> bool:
    """Whether the pod counts as a replica: neither ending nor ended."""
    ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return "deletionTimestamp" not in pod["metadata"] and not ended


def is_ready(pod: Object) -> bool:
    """Whether its Ready condition holds."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def delete_pod(api: ApiServer, pod: Object) -> None:
    """Delete a pod unless it is gone already."""
    try:
        api.delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
    except ApiError as exc:
        if exc.reason != "NotFound":
            raise


def _is_owned(pod: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or [])
