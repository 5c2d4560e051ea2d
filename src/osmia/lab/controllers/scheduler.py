"""Pods -> nodes: each unbound pod goes to the ready node that has the fewest, if its node selector allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from osmia.lab.apiserver import ApiServer
from osmia.lab.controllers.loop import Key, Reconciler, own_key
from osmia.lab.controllers.pods import find, is_active

__all__ = ["Scheduler"]

Object = dict[str, Any]


class Scheduler:
    """Binds pods to nodes."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self) -> None:
        """Bind pods as they appear, until cancelled."""
        sources = {"pods": own_key, "nodes": self._unbound}
        await Reconciler("scheduler", self._api, self._reconcile, sources).run()

    def _unbound(self, node: Object) -> Iterable[Key]:
        del node
        return [
            (pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in self._api.list("pods")
            if not pod["spec"].get("nodeName")
        ]

    async def _reconcile(self, key: Key) -> None:
        pod = find(self._api, "pods", key)
        if pod is None or pod["spec"].get("nodeName"):
            return
        selector = (pod["spec"].get("nodeSelector") or {}).items()
        nodes = [
            one["metadata"]["name"]
            for one in self._api.list("nodes")
            if not one.get("spec", {}).get("unschedulable")
            and selector <= (one["metadata"].get("labels") or {}).items()
        ]
        if not nodes:
            return
        load = Counter(one["spec"].get("nodeName") for one in self._api.list("pods") if is_active(one))
        chosen = min(nodes, key=lambda name: load[name])
        self._api.patch("pods", *key, {"spec": {"nodeName": chosen}})
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self._api.timestamp()}
        self._api.patch("pods", *key, {"status": {"conditions": [scheduled]}}, "status")
