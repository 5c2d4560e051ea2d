"""ReplicaSet -> pods: as many as asked for; the least useful go first when there are too many."""

from __future__ import annotations

from typing import Any

from osmia.lab.apiserver import ApiServer
from osmia.lab.controllers.loop import Key, Reconciler, own_key, owner_key
from osmia.lab.controllers.pods import delete_pod, find, is_active, is_ready, owned_pods, pod_from

__all__ = ["ReplicaSets"]

Object = dict[str, Any]


class ReplicaSets:
    """The controller of ReplicaSets."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self) -> None:
        """Keep every ReplicaSet at its number of pods, until cancelled."""
        sources = {"replicasets": own_key, "pods": owner_key("ReplicaSet")}
        await Reconciler("replicasets", self._api, self._reconcile, sources).run()

    async def _reconcile(self, key: Key) -> None:
        replica_set = find(self._api, "replicasets", key)
        if replica_set is None:
            return
        active = [pod for pod in owned_pods(self._api, replica_set) if is_active(pod)]
        wanted = replica_set["spec"]["replicas"]
        for _ in range(wanted - len(active)):
            name = {"generateName": f"{replica_set['metadata']['name']}-"}
            self._api.create("pods", pod_from(replica_set, name=name))
        for pod in sorted(active, key=_usefulness)[: max(0, len(active) - wanted)]:
            delete_pod(self._api, pod)
        self._write_status(replica_set)

    def _write_status(self, replica_set: Object) -> None:
        active = [pod for pod in owned_pods(self._api, replica_set) if is_active(pod)]
        ready = sum(is_ready(pod) for pod in active)
        metadata = replica_set["metadata"]
        status = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(active),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": metadata["generation"],
        }
        self._api.patch("replicasets", metadata["namespace"], metadata["name"], {"status": status}, "status")


def _usefulness(pod: Object) -> tuple[bool, bool, int]:
    """Unscheduled before scheduled, unready before ready, young before old."""
    is_bound = bool(pod["spec"].get("nodeName"))
    return is_bound, is_ready(pod), -int(pod["metadata"]["resourceVersion"])
