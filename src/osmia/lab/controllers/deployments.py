"""Deployment -> ReplicaSets: one per template, rolled over within maxSurge and maxUnavailable, or all at once."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

from osmia.lab.apiserver import ApiServer
from osmia.lab.controllers.loop import Key, Reconciler, own_key, owner_key
from osmia.lab.controllers.pods import find, owner_reference

__all__ = ["Deployments", "next_sizes"]

Object = dict[str, Any]

_HASH_LABEL = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"


class Deployments:
    """The controller of Deployments."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self) -> None:
        """Keep every Deployment's ReplicaSets as they should be, until cancelled."""
        sources = {"deployments": own_key, "replicasets": owner_key("Deployment")}
        await Reconciler("deployments", self._api, self._reconcile, sources).run()

    async def _reconcile(self, key: Key) -> None:
        deployment = find(self._api, "deployments", key)
        if deployment is None:
            return
        replica_sets = self._replica_sets(deployment)
        template_hash = _template_hash(deployment["spec"]["template"])
        current = next((one for one in replica_sets if _hash_of(one) == template_hash), None)
        if current is None:
            current = self._create(deployment, template_hash, replica_sets)
            replica_sets.append(current)
        if not deployment["spec"].get("paused"):
            self._resize(deployment, current, replica_sets)
        self._drop_old(deployment, current)
        self._write_status(deployment, template_hash)

    def _replica_sets(self, deployment: Object) -> list[Object]:
        uid = deployment["metadata"]["uid"]
        return [
            one
            for one in self._api.list("replicasets", deployment["metadata"]["namespace"])
            if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences") or [])
        ]

    def _create(self, deployment: Object, template_hash: str, others: list[Object]) -> Object:
        spec, metadata = deployment["spec"], deployment["metadata"]
        template = spec["template"]
        own_label = {_HASH_LABEL: template_hash}
        labels = {**(template["metadata"].get("labels") or {}), **own_label}
        selector = dict(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **own_label}
        revision = str(1 + max((_revision_of(one) for one in others), default=0))
        created = self._api.create(
            "replicasets",
            {
                "metadata": {
                    "name": f"{metadata['name']}-{template_hash}",
                    "namespace": metadata["namespace"],
                    "labels": labels,
                    "annotations": {_REVISION: revision},
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": selector,
                    "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
                },
            },
        )
        annotations = {"metadata": {"annotations": {_REVISION: revision}}}
        self._api.patch("deployments", metadata["namespace"], metadata["name"], annotations)
        return created

    def _resize(self, deployment: Object, current: Object, replica_sets: list[Object]) -> None:
        sizes = {one["metadata"]["name"]: one["spec"]["replicas"] for one in replica_sets}
        ready = {one["metadata"]["name"]: (one.get("status") or {}).get("readyReplicas", 0) for one in replica_sets}
        wanted = next_sizes(deployment["spec"], current["metadata"]["name"], sizes, ready)
        for name, size in wanted.items():
            if sizes[name] != size:
                replicas = {"spec": {"replicas": size}}
                self._api.patch("replicasets", deployment["metadata"]["namespace"], name, replicas)

    def _drop_old(self, deployment: Object, current: Object) -> None:
        idle = [
            one
            for one in self._replica_sets(deployment)
            if one["metadata"]["uid"] != current["metadata"]["uid"]
            and not one["spec"]["replicas"]
            and not (one.get("status") or {}).get("replicas")
        ]
        idle.sort(key=_revision_of)
        for one in idle[: max(0, len(idle) - deployment["spec"]["revisionHistoryLimit"])]:
            self._api.delete("replicasets", one["metadata"]["namespace"], one["metadata"]["name"])

    def _write_status(self, deployment: Object, template_hash: str) -> None:
        replica_sets = self._replica_sets(deployment)
        totals = {
            field: sum((one.get("status") or {}).get(field, 0) for one in replica_sets)
            for field in ("replicas", "readyReplicas", "availableReplicas")
        }
        updated = sum(
            (one.get("status") or {}).get("replicas", 0) for one in replica_sets if _hash_of(one) == template_hash
        )
        wanted, metadata = deployment["spec"]["replicas"], deployment["metadata"]
        is_available = totals["availableReplicas"] >= wanted - _limits(deployment["spec"])[1]
        newest = self._api.get("deployments", metadata["namespace"], metadata["name"])
        status = {
            **totals,
            "updatedReplicas": updated,
            "unavailableReplicas": max(0, wanted - totals["availableReplicas"]),
            "observedGeneration": newest["metadata"]["generation"],
            "conditions": [_available(newest, is_available, self._api.timestamp())],
        }
        self._api.patch("deployments", metadata["namespace"], metadata["name"], {"status": status}, "status")


def next_sizes(spec: Object, current: str, sizes: dict[str, int], ready: dict[str, int]) -> dict[str, int]:
    """How large each ReplicaSet should be now, by name; called again whenever readiness changes, it ends the roll-out.

    Only pods beyond what must stay available are taken away, and those of old sets that are not ready go first.
    """
    wanted: int = spec["replicas"]
    old = [name for name in sizes if name != current]
    total = sum(sizes.values())
    if spec["strategy"]["type"] == "Recreate":
        is_clear = not any(sizes[name] or ready[name] for name in old)
        return {**dict.fromkeys(old, 0), current: wanted if is_clear else sizes[current]}
    surge, unavailable = _limits(spec)
    room = max(0, wanted + surge - total)
    grown = min(wanted, sizes[current] + room) if sizes[current] < wanted else wanted
    result = {**sizes, current: grown}
    counted = {name: min(ready[name], sizes[name]) for name in sizes}
    can_go = sum(counted.values()) - (wanted - unavailable)
    for name in old:
        unready = sizes[name] - counted[name]
        gone = min(sizes[name], unready + max(0, can_go))
        can_go -= max(0, gone - unready)
        result[name] = sizes[name] - gone
    return result


def _limits(spec: Object) -> tuple[int, int]:
    """The maxSurge and maxUnavailable of a Deployment as numbers of pods; never both 0."""
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = _number(rolling.get("maxSurge", "25%"), spec["replicas"], is_rounded_up=True)
    unavailable = _number(rolling.get("maxUnavailable", "25%"), spec["replicas"], is_rounded_up=False)
    return surge, unavailable if surge or unavailable else 1


def _number(value: int | str, replicas: int, *, is_rounded_up: bool) -> int:
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * replicas / 100
    return math.ceil(share) if is_rounded_up else math.floor(share)


def _template_hash(template: Object) -> str:
    return hashlib.sha256(msgspec.json.encode(template, order="deterministic")).hexdigest()[:10]


def _hash_of(replica_set: Object) -> str:
    return str((replica_set["metadata"].get("labels") or {}).get(_HASH_LABEL, ""))


def _revision_of(replica_set: Object) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(_REVISION, 0))


def _available(deployment: Object, is_available: bool, now: str) -> Object:  # noqa: FBT001 - a value, not a flag
    value = str(is_available)
    before = (deployment.get("status") or {}).get("conditions") or []
    same = next((one for one in before if one["type"] == "Available" and one["status"] == value), None)
    reason = "MinimumReplicasAvailable" if is_available else "MinimumReplicasUnavailable"
    since = same["lastTransitionTime"] if same else now
    return {
        "type": "Available",
        "status": value,
        "reason": reason,
        "lastTransitionTime": since,
        "lastUpdateTime": since,
    }
