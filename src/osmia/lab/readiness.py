"""Is everything up? A pure look at workloads and pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["WORKLOADS", "Progress", "progress_of"]

from dataclasses import dataclass

Object = dict[str, Any]

WORKLOADS = ("deployments", "statefulsets", "daemonsets")
"""The resources whose readiness is waited for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a set of workloads is: ready and wanted pods, and who is still missing (with the reason if known)."""

    ready: int
    wanted: int
    missing: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Whether every workload has all its pods, of its present template, ready."""
        return not self.missing


def progress_of(workloads: Mapping[str, Iterable[Object]], pods: Iterable[Object]) -> Progress:
    """Progress of the workloads, by resource; the pods tell why one is not ready."""
    reasons = _reasons(pods)
    ready = wanted = 0
    missing: list[str] = []
    for resource, objects in workloads.items():
        for one in objects:
            has, needs, is_current = _numbers(resource, one)
            ready, wanted = ready + min(has, needs), wanted + needs
            if has < needs or not is_current:
                metadata = one["metadata"]
                why = reasons.get((metadata["namespace"], metadata["name"]), "")
                missing.append(f"{metadata['namespace']}/{metadata['name']}{f' ({why})' if why else ''}")
    return Progress(ready, wanted, tuple(missing))


def _numbers(resource: str, one: Object) -> tuple[int, int, bool]:
    status = one.get("status") or {}
    is_seen = status.get("observedGeneration") == one["metadata"].get("generation")
    if resource == "daemonsets":
        needs = status.get("desiredNumberScheduled", 0)
        is_current = is_seen and status.get("updatedNumberScheduled", 0) == needs
        return status.get("numberReady", 0), needs, is_current
    needs = one["spec"]["replicas"]
    is_current = is_seen and status.get("updatedReplicas", 0) == needs == status.get("replicas", 0)
    return status.get("readyReplicas", 0), needs, is_current


def _reasons(pods: Iterable[Object]) -> dict[tuple[str, str], str]:
    """Why containers wait, by namespace and the workload's name (the pod's name before its suffixes)."""
    reasons: dict[tuple[str, str], str] = {}
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            waiting = container["state"].get("waiting") or {}
            if waiting.get("message"):
                parts = pod["metadata"]["name"].split("-")
                for end in range(1, len(parts)):
                    reasons[pod["metadata"]["namespace"], "-".join(parts[:end])] = waiting["message"]
    return reasons
