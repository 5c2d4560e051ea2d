"""A pod's status as kubelet writes it, from what is known about its containers; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ContainerState", "pod_status"]

Object = dict[str, Any]


@dataclass(slots=True)
class ContainerState:
    """What is known about one container, kept by the task that runs it."""

    name: str
    image: str
    id: str = ""
    started: str = ""
    waiting: str = "ContainerCreating"
    message: str = ""
    exit_code: int | None = None
    finished: str = ""
    restarts: int = 0
    last: Object | None = None
    is_ready: bool = False

    @property
    def is_running(self) -> bool:
        """Whether its process runs now."""
        return bool(self.id) and not self.waiting and self.exit_code is None

    def state(self) -> Object:
        """The `state` of its containerStatus."""
        if self.waiting:
            waiting = {"reason": self.waiting}
            return {"waiting": waiting | {"message": self.message} if self.message else waiting}
        if self.exit_code is not None:
            return {"terminated": self.ended()}
        return {"running": {"startedAt": self.started}}

    def ended(self) -> Object:
        """The terminated form of its present or last run."""
        code = self.exit_code if self.exit_code is not None else 0
        return {
            "containerID": f"containerd://{self.id}",
            "exitCode": code if code >= 0 else 128 - code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": self.started,
            "finishedAt": self.finished,
        }

    def as_status(self) -> Object:
        """Its containerStatus."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"osmia-lab://{self.image}",
            "containerID": f"containerd://{self.id}" if self.id else "",
            "restartCount": self.restarts,
            "ready": self.is_ready,
            "started": self.is_running,
            "state": self.state(),
            "lastState": {"terminated": self.last} if self.last else {},
        }


def pod_status(  # noqa: PLR0913 - the facts a status is made of
    old: Object,
    *,
    now: str,
    host_addresses: Sequence[str],
    addresses: Sequence[str],
    initializers: Sequence[ContainerState],
    containers: Sequence[ContainerState],
    phase: str,
) -> Object:
    """The whole status; conditions keep the time of their last change from `old`."""
    is_ready = phase == "Running" and all(one.is_ready for one in containers)
    is_initialized = all(one.exit_code == 0 for one in initializers)
    names = " ".join(one.name for one in containers if not one.is_ready)
    unready = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
    if phase == "Succeeded":
        unready = {"reason": "PodCompleted"}
    claims = [
        ("PodScheduled", True, {}),
        ("Initialized", is_initialized, {"reason": "ContainersNotInitialized"}),
        ("ContainersReady", is_ready, unready),
        ("Ready", is_ready, unready),
    ]
    status: Object = {
        "phase": phase,
        "hostIP": host_addresses[0],
        "hostIPs": [{"ip": address} for address in host_addresses],
        "startTime": old.get("startTime") or now,
        "conditions": [_condition(old, kind, holds, {} if holds else why, now) for kind, holds, why in claims],
        "containerStatuses": [one.as_status() for one in containers],
    }
    if initializers:
        status["initContainerStatuses"] = [one.as_status() for one in initializers]
    if addresses:
        status |= {"podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses]}
    return status


def _condition(old: Object, kind: str, holds: bool, why: Object, now: str) -> Object:  # noqa: FBT001 - a value, not a flag
    value = str(holds)
    before: Object = next((one for one in old.get("conditions") or [] if one["type"] == kind), {})
    since = before.get("lastTransitionTime", now) if before.get("status") == value else now
    return {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": since, **why}
