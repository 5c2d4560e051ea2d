"""Objects that tests put into the API server."""

from __future__ import annotations

from typing import Any


def pod(name: str = "web-1", *, node: str = "node-a", ip: str = "10.244.0.9", **metadata: object) -> dict[str, Any]:
    """A running pod with one container."""
    return {
        "metadata": {"name": name, "labels": {"app": name.rpartition("-")[0] or name}, **metadata},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "main", "ready": True, "restartCount": 0, "state": {"running": {}}}],
        },
    }


def deployment(name: str = "web", **spec: object) -> dict[str, Any]:
    """A Deployment of one container."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template} | spec,
    }


def service(name: str = "web", **spec: object) -> dict[str, Any]:
    """A Service on port 80."""
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]} | spec}


def owned_by(owner: dict[str, Any], **extra: object) -> list[dict[str, Any]]:
    """References to the owner, an object of the server."""
    metadata = owner["metadata"]
    kind = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return [{**kind, "name": metadata["name"], "uid": metadata["uid"], "controller": True, **extra}]
