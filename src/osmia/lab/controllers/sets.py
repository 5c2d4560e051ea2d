"""StatefulSet and DaemonSet, as far as the lab needs them: named pods in order, one pod per node."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from osmia.lab.apiserver import ApiServer
from osmia.lab.controllers.loop import Key, Reconciler, own_key, owner_key
from osmia.lab.controllers.pods import delete_pod, find, is_active, is_ready, owned_pods, pod_from

__all__ = ["DaemonSets", "StatefulSets"]

Object = dict[str, Any]

_REVISION = "controller-revision-hash"


class StatefulSets:
    """The controller of StatefulSets: pod N is made when pod N-1 is ready, deletions go from the last."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self) -> None:
        """Keep every StatefulSet's pods and claims, until cancelled."""
        sources = {"statefulsets": own_key, "pods": owner_key("StatefulSet")}
        await Reconciler("statefulsets", self._api, self._reconcile, sources).run()

    async def _reconcile(self, key: Key) -> None:
        stateful_set = find(self._api, "statefulsets", key)
        if stateful_set is None:
            return
        revision = _revision(stateful_set)
        pods = {pod["metadata"]["name"]: pod for pod in owned_pods(self._api, stateful_set)}
        wanted = [f"{key[1]}-{number}" for number in range(stateful_set["spec"]["replicas"])]
        surplus = [name for name in pods if name not in wanted and is_active(pods[name])]
        stale = [name for name in reversed(wanted) if name in pods and _revision_of(pods[name]) != revision]
        if surplus:
            delete_pod(self._api, pods[max(surplus, key=_ordinal)])
        elif missing := self._next_missing(stateful_set, wanted, pods):
            self._create(stateful_set, missing, revision)
        elif stale and all(is_active(pod) and is_ready(pod) for pod in pods.values()):
            delete_pod(self._api, pods[stale[0]])
        _write_status(self._api, "statefulsets", stateful_set, revision)

    def _next_missing(self, stateful_set: Object, wanted: list[str], pods: dict[str, Object]) -> str | None:
        is_parallel = stateful_set["spec"].get("podManagementPolicy") == "Parallel"
        for name in wanted:
            if name not in pods:
                return name
            if not is_parallel and not is_ready(pods[name]):
                return None
        return None

    def _create(self, stateful_set: Object, name: str, revision: str) -> None:
        labels = {
            _REVISION: revision,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(_ordinal(name)),
        }
        pod = pod_from(stateful_set, name={"name": name}, labels=labels)
        spec = pod["spec"]
        spec["hostname"], spec["subdomain"] = name, stateful_set["spec"].get("serviceName", "")
        volumes = list(spec.get("volumes", []))
        for template in stateful_set["spec"].get("volumeClaimTemplates", []):
            volume = template["metadata"]["name"]
            claim = f"{volume}-{name}"
            namespace = stateful_set["metadata"]["namespace"]
            if find(self._api, "persistentvolumeclaims", (namespace, claim)) is None:
                metadata = {"name": claim, "namespace": namespace}
                self._api.create("persistentvolumeclaims", {"metadata": metadata, "spec": template["spec"]})
            volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
        spec["volumes"] = volumes
        self._api.create("pods", pod)


class DaemonSets:
    """The controller of DaemonSets: one pod on every node."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self) -> None:
        """Keep every DaemonSet's pods, until cancelled."""
        sources = {"daemonsets": own_key, "pods": owner_key("DaemonSet"), "nodes": self._all_keys}
        await Reconciler("daemonsets", self._api, self._reconcile, sources).run()

    def _all_keys(self, node: Object) -> list[Key]:
        del node
        return [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in self._api.list("daemonsets")]

    async def _reconcile(self, key: Key) -> None:
        daemon_set = find(self._api, "daemonsets", key)
        if daemon_set is None:
            return
        revision = _revision(daemon_set)
        by_node: dict[str, Object] = {}
        for pod in owned_pods(self._api, daemon_set):
            by_node[pod["spec"].get("nodeName", "")] = pod
        selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
        nodes = [one["metadata"] for one in self._api.list("nodes")]
        wanted = [one["name"] for one in nodes if selector.items() <= (one.get("labels") or {}).items()]
        for node in wanted:
            if node not in by_node:
                pod = pod_from(daemon_set, name={"generateName": f"{key[1]}-"}, labels={_REVISION: revision})
                pod["spec"]["nodeName"] = node
                self._api.create("pods", pod)
        for node, pod in by_node.items():
            if is_active(pod) and (node not in wanted or _revision_of(pod) != revision):
                delete_pod(self._api, pod)
        counts = {"desiredNumberScheduled": len(wanted), "numberMisscheduled": 0}
        _write_status(self._api, "daemonsets", daemon_set, revision, counts)


def _write_status(api: ApiServer, resource: str, owner: Object, revision: str, counts: Object | None = None) -> None:
    active = [pod for pod in owned_pods(api, owner) if is_active(pod)]
    ready, updated = sum(map(is_ready, active)), sum(_revision_of(pod) == revision for pod in active)
    status: Object = {"observedGeneration": owner["metadata"]["generation"]}
    if resource == "daemonsets":
        status |= {"currentNumberScheduled": len(active), "numberReady": ready, "numberAvailable": ready}
        status |= {"updatedNumberScheduled": updated, **(counts or {})}
    else:
        status |= {"replicas": len(active), "readyReplicas": ready, "availableReplicas": ready}
        status |= {"currentReplicas": len(active), "updatedReplicas": updated, "updateRevision": revision}
    api.patch(resource, owner["metadata"]["namespace"], owner["metadata"]["name"], {"status": status}, "status")


def _revision(owner: Object) -> str:
    return hashlib.sha256(msgspec.json.encode(owner["spec"]["template"], order="deterministic")).hexdigest()[:10]


def _revision_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(_REVISION, ""))


def _ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])
