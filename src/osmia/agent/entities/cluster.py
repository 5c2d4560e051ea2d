"""What the agent knows of its cluster, indexed for the questions it gets: by container, pod uid, address, Service.

Fed by the informers through the `*_changed` methods (old and new object, either may be None). Pure: no I/O, and the
time comes in from outside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from osmia.agent.entities.addresses import RETENTION_NS, AddressBook
from osmia.agent.entities.objects import (
    EndpointSlice,
    MetadataOnly,
    Node,
    Object,
    Owner,
    Pod,
    Service,
    Workload,
    canonical,
    unix_ns,
)
from osmia.model.entity import Entity, EntityKind, KubernetesObject

__all__ = ["Cluster"]

_KINDS = {kind.value: kind for kind in EntityKind}
_RANDOM_SUFFIX = re.compile(r"[0-9a-z]{5}")  # what Kubernetes' name generator appends
_CHANGES_MAX = 200_000

_Key = tuple[str, str]
_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A pod as an EndpointSlice names it."""

    namespace: str
    pod: str
    node: str

    @property
    def uid(self) -> str:
        return f"{self.namespace}/{self.pod}"


class Cluster:
    """The cluster's objects and their indexes.

    `generation` goes up whenever an answer may have changed, so that callers can cache answers.
    """

    def __init__(self, *, now_ns: Callable[[], int]) -> None:
        self.generation = 0
        self.refused_changes = 0
        self._now_ns = now_ns
        self._pods: dict[str, Pod] = {}
        self._static_pods: dict[str, str] = {}
        self._containers: dict[str, tuple[str, str]] = {}
        self._gone_containers: set[str] = set()
        self._addresses: AddressBook[str] = AddressBook()
        self._ended_pods: dict[str, tuple[int, Pod]] = {}
        self._host_ports: dict[tuple[str, int], str] = {}
        self._services: dict[tuple[str, int], Service] = {}
        self._virtual_ips: dict[str, Service] = {}
        self._node_ports: dict[int, Service] = {}
        self._endpoints: AddressBook[_Endpoint] = AddressBook()
        self._endpoint_uses: Counter[tuple[str, _Endpoint]] = Counter()
        self._endpoint_ports: dict[tuple[str, int], _Endpoint] = {}
        self._nodes: dict[str, str] = {}
        self._owners: dict[str, dict[_Key, MetadataOnly | Workload]] = {}
        self._objects: dict[str, KubernetesObject] = {}
        self._changes: dict[str, KubernetesObject] = {}

    # ---- questions -------------------------------------------------------------------------------------------------

    def by_container(self, container_id: str) -> Entity | None:
        """Whose container this is."""
        found = self._containers.get(container_id)
        pod = self._pod(found[0]) if found else None
        return self._entity(pod, container=found[1]) if pod and found else None

    def by_pod(self, uid: str) -> Entity | None:
        """Whose pod this is, by its uid or, for a static pod, by its config hash (both as the cgroup names it)."""
        pod = self._pod(uid) or self._pod(self._static_pods.get(uid, ""))
        return self._entity(pod) if pod else None

    def by_address(self, ip: str, port: int, *, at_ns: int) -> Entity | None:
        """Who owned ip:port at that time: a pod, a Service (virtual address or node port), a node; None = unknown."""
        uid = self._addresses.owner(ip, at_ns=at_ns)
        pod = self._pod(uid) if uid else None
        if pod is not None:
            return self._entity(pod, container=_container_at(pod, port), ip=ip)
        if service := self.service_at(ip, port) or self._virtual_ips.get(ip):
            name, namespace = service.metadata.name, service.metadata.namespace
            return Entity(EntityKind.SERVICE, name, namespace, service=name, ip=ip)
        if ip in self._nodes:
            return self._on_node(ip, port)
        endpoint = self._endpoints.owner(ip, at_ns=at_ns)
        return self._endpoint_entity(endpoint, ip) if endpoint else None

    def is_top(self, entity: Entity) -> bool:
        """Whether an entity is surely the top of its owner chain: a Job's or ReplicaSet's own owner may be news yet."""
        if entity.kind not in {EntityKind.JOB, EntityKind.REPLICA_SET}:
            return True
        return (entity.namespace, entity.name) in self._owners.get(entity.kind.value, {})

    def service_at(self, ip: str, port: int) -> Service | None:
        """The Service behind a virtual address and port, or behind a port of a node."""
        found = self._services.get((ip, port))
        return found or (self._node_ports.get(port) if ip in self._nodes else None)

    def node_port_service(self, port: int) -> Service | None:
        """The Service behind a port of every node."""
        return self._node_ports.get(port)

    def is_pod_address(self, ip: str, *, at_ns: int) -> bool:
        """Whether a watched pod had the address."""
        return self._addresses.owner(ip, at_ns=at_ns) is not None

    def on_host_port(self, ip: str, port: int) -> Entity | None:
        """The pod that listens on a port of a node itself."""
        pod = self._pod(self._host_ports.get((ip, port), ""))
        if pod is not None:
            return self._entity(pod, container=_container_at(pod, port), ip=ip)
        endpoint = self._endpoint_ports.get((ip, port))
        return self._endpoint_entity(endpoint, ip) if endpoint else None

    def snapshot(self) -> list[KubernetesObject]:
        """Every object there is, for export."""
        return list(self._objects.values())

    def take_changes(self) -> list[KubernetesObject]:
        """Objects that appeared, changed or went since the last call."""
        changes, self._changes = self._changes, {}
        return list(changes.values())

    def expire(self) -> None:
        """Forget the past beyond the retention; call it now and then."""
        now_ns = self._now_ns()
        self._addresses.expire(now_ns=now_ns)
        self._endpoints.expire(now_ns=now_ns)
        for uid in [uid for uid, (until_ns, _) in self._ended_pods.items() if until_ns < now_ns]:
            del self._ended_pods[uid]
        # A container that is no longer its pod's goes at the second look: its last requests may still be under way.
        current = {container_id for pod in self._pods.values() for container_id, _ in pod.containers}
        gone = self._containers.keys() - current
        for container_id in gone & self._gone_containers:
            del self._containers[container_id]
        self._gone_containers = gone

    def statistics(self) -> Mapping[str, int]:
        """How much is known, and what was refused for want of room."""
        return {
            "pods": len(self._pods),
            "containers": len(self._containers),
            "addresses": len(self._addresses),
            "endpoints": len(self._endpoints),
            "services": len(self._services),
            "addresses_refused": self._addresses.refused + self._endpoints.refused,
            "changes_refused": self.refused_changes,
        }

    # ---- news from the informers -----------------------------------------------------------------------------------

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Take over a pod."""
        now_ns = self._now_ns()
        if new is None:
            if old is not None:
                self._end_pod(old, now_ns)
            return
        uid = new.metadata.uid
        self._pods[uid] = new
        if new.metadata.config_hash:
            self._static_pods[new.metadata.config_hash] = uid
        for container_id, name in new.containers:
            self._containers[container_id] = (uid, name)
        self._place_pod(new, now_ns)
        if old is None or _place(old) != _place(new):
            self.generation += 1
        kind, name = self.workload(new)
        self._export(
            new,
            "Pod",
            node=new.spec.node_name,
            workload_kind=kind,
            workload_name=name,
            phase=new.status.phase,
            ips=new.ips,
            replicas_desired=0 if new.is_finished else 1,
            replicas_ready=int(new.is_ready),
        )

    def service_changed(self, old: Service | None, new: Service | None) -> None:
        """Take over a Service."""
        if old is not None:
            _discard(self._services, _virtual(old), old)
            _discard(self._virtual_ips, old.virtual_ips, old)
            _discard(self._node_ports, _node_ports(old), old)
        if new is not None:
            self._services.update(dict.fromkeys(_virtual(new), new))
            self._virtual_ips.update(dict.fromkeys(new.virtual_ips, new))
            self._node_ports.update(dict.fromkeys(_node_ports(new), new))
            self._export(new, "Service", ips=new.virtual_ips)
        elif old is not None:
            self._unexport(old)
        self.generation += 1

    def slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        """Take over an EndpointSlice."""
        before, after = _slice_endpoints(old), _slice_endpoints(new)
        now_ns = self._now_ns()
        for ip, endpoint in after.keys() - before.keys():
            self._endpoint_uses[ip, endpoint] += 1
            self._endpoints.claim(ip, endpoint.uid, endpoint, at_ns=now_ns)
        for ip, endpoint in before.keys() - after.keys():
            self._endpoint_uses[ip, endpoint] -= 1
            if self._endpoint_uses[ip, endpoint] <= 0:
                del self._endpoint_uses[ip, endpoint]
                self._endpoints.release(ip, endpoint.uid, at_ns=now_ns)
        for (ip, endpoint), ports in before.items():
            _discard(self._endpoint_ports, [(ip, port) for port in ports], endpoint)
        for (ip, endpoint), ports in after.items():
            self._endpoint_ports.update({(ip, port): endpoint for port in ports})
        if before != after:
            self.generation += 1

    def node_changed(self, old: Node | None, new: Node | None) -> None:
        """Take over a node."""
        before, after = (old.ips if old else ()), (new.ips if new else ())
        if old is not None:
            _discard(self._nodes, before, old.metadata.name)
        if new is not None:
            self._nodes.update(dict.fromkeys(after, new.metadata.name))
            phase = "Ready" if new.is_ready else "NotReady"
            self._export(new, "Node", node=new.metadata.name, phase=phase, ips=after)
        elif old is not None:
            self._unexport(old)
        if before != after:
            self.generation += 1

    def owner_changed(self, kind: str) -> Callable[[MetadataOnly | None, MetadataOnly | None], None]:
        """A method that takes over objects that own pods and are known by their metadata (ReplicaSet, Job)."""
        owners = self._owners.setdefault(kind, {})

        def changed(old: MetadataOnly | None, new: MetadataOnly | None) -> None:
            if new is not None:
                owners[new.key] = new
            elif old is not None:
                owners.pop(old.key, None)
            if old is None or new is None:
                self.generation += 1

        return changed

    def workload_changed(self, kind: str) -> Callable[[Workload | None, Workload | None], None]:
        """A method that takes over Deployments, StatefulSets or DaemonSets."""
        owners = self._owners.setdefault(kind, {})

        def changed(old: Workload | None, new: Workload | None) -> None:
            if new is not None:
                owners[new.key] = new
                name = new.metadata.name
                self._export(
                    new,
                    kind,
                    workload_kind=kind,
                    workload_name=name,
                    replicas_desired=new.desired,
                    replicas_ready=new.ready,
                )
            elif old is not None:
                owners.pop(old.key, None)
                self._unexport(old)
            if old is None or new is None:
                self.generation += 1

        return changed

    # ---- owners ----------------------------------------------------------------------------------------------------

    def workload(self, pod: Pod) -> tuple[str, str]:
        """Kind and name of the top of a pod's owner chain; the pod itself if nobody owns it."""
        owner = pod.metadata.controller
        if owner is None:
            return ("Pod", pod.metadata.name)
        return self._top(pod.metadata.namespace, owner, pod.metadata.template_hash)

    def _top(self, namespace: str, owner: Owner, template_hash: str) -> tuple[str, str]:
        if owner.kind not in {"ReplicaSet", "Job"}:
            return (owner.kind, owner.name)
        held = self._owners.get(owner.kind, {}).get((namespace, owner.name))
        if held is not None and (above := held.metadata.controller):
            return (above.kind, above.name)
        suffix = f"-{template_hash}"
        if held is None and template_hash and owner.name.endswith(suffix):
            return ("Deployment", owner.name.removesuffix(suffix))
        return (owner.kind, owner.name)

    def _workload_by_name(self, namespace: str, pod: str) -> tuple[str, str]:
        """The owner of a pod that is known by name only: what its name begins with, if there is such an object."""
        base, _, suffix = pod.rpartition("-")
        key = (namespace, base)
        if suffix.isdigit() and key in self._owners.get("StatefulSet", {}):
            return ("StatefulSet", base)
        if _RANDOM_SUFFIX.fullmatch(suffix):
            for kind in ("ReplicaSet", "DaemonSet", "Job"):
                if key in self._owners.get(kind, {}):
                    return self._top(namespace, Owner(kind=kind, name=base), "")
        return ("Pod", pod)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _pod(self, uid: str) -> Pod | None:
        if (pod := self._pods.get(uid)) is not None:
            return pod
        ended = self._ended_pods.get(uid)
        return ended[1] if ended else None

    def _entity(self, pod: Pod, *, container: str = "", ip: str = "") -> Entity:
        kind, name = self.workload(pod)
        return Entity(
            _KINDS.get(kind, EntityKind.OTHER_WORKLOAD),
            name,
            "" if kind == "Node" else pod.metadata.namespace,
            pod=pod.metadata.name,
            container=container,
            node=pod.spec.node_name,
            ip=ip or next(iter(pod.ips), ""),
        )

    def _endpoint_entity(self, endpoint: _Endpoint, ip: str) -> Entity:
        kind, name = self._workload_by_name(endpoint.namespace, endpoint.pod)
        known = _KINDS.get(kind, EntityKind.OTHER_WORKLOAD)
        return Entity(known, name, endpoint.namespace, pod=endpoint.pod, node=endpoint.node, ip=ip)

    def _on_node(self, ip: str, port: int) -> Entity:
        name = self._nodes[ip]
        return self.on_host_port(ip, port) or Entity(EntityKind.NODE, name, node=name, ip=ip)

    def _place_pod(self, pod: Pod, now_ns: int) -> None:
        """Give the pod its addresses, or take them away if it has finished or uses the node's."""
        uid = pod.metadata.uid
        host_ports = _host_ports(pod)
        if pod.is_finished:
            self._release(pod, now_ns)
            return
        self._host_ports.update(dict.fromkeys(host_ports, uid))
        if not pod.spec.host_network:
            for ip in pod.ips:
                # A container runtime without its own network reports the node's address: never the pod's.
                if ip not in pod.host_ips and ip not in self._nodes:
                    self._addresses.claim(ip, uid, uid, at_ns=now_ns)

    def _release(self, pod: Pod, now_ns: int) -> None:
        for ip in pod.ips:
            self._addresses.release(ip, pod.metadata.uid, at_ns=now_ns)
        _discard(self._host_ports, _host_ports(pod), pod.metadata.uid)

    def _end_pod(self, pod: Pod, now_ns: int) -> None:
        self._release(pod, now_ns)
        uid = pod.metadata.uid
        self._pods.pop(uid, None)
        if self._static_pods.get(pod.metadata.config_hash) == uid:
            del self._static_pods[pod.metadata.config_hash]
        self._ended_pods[uid] = (now_ns + RETENTION_NS, pod)
        self._unexport(pod)
        self.generation += 1

    def _export(self, obj: Object, kind: str, **fields: str | int | tuple[str, ...]) -> None:
        metadata = obj.metadata
        exported = KubernetesObject(
            metadata.uid,
            kind,
            metadata.namespace,
            metadata.name,
            created_ns=unix_ns(metadata.creation_timestamp),
            **fields,  # type: ignore[arg-type]  # names and types are those of KubernetesObject at every call
        )
        if self._objects.get(metadata.uid) != exported:
            self._objects[metadata.uid] = exported
            self._note(exported)

    def _unexport(self, obj: Object) -> None:
        last = self._objects.pop(obj.metadata.uid, None)
        if last is not None:
            values = {name: getattr(last, name) for name in KubernetesObject.__slots__}
            self._note(KubernetesObject(**values | {"deleted_ns": self._now_ns()}))

    def _note(self, exported: KubernetesObject) -> None:
        if len(self._changes) >= _CHANGES_MAX and exported.uid not in self._changes:
            self.refused_changes += 1
            return
        self._changes[exported.uid] = exported


def _place(pod: Pod) -> tuple[object, ...]:
    """What of a pod can change an answer."""
    return (pod.ips, pod.containers, pod.is_finished, pod.host_ips, pod.metadata.owner_references)


def _container_at(pod: Pod, port: int) -> str:
    """The container that listens on a port, where the pod says so or has only one."""
    containers = pod.spec.containers
    named = [one.name for one in containers if any(port == held.container_port for held in one.ports)]
    if len(named) == 1:
        return named[0]
    return containers[0].name if len(containers) == 1 else ""


def _host_ports(pod: Pod) -> list[tuple[str, int]]:
    """(node address, port) that the pod listens on in the node's own network."""
    ports = [port for container in pod.spec.containers for port in container.ports]
    numbers = {port.host_port or (port.container_port if pod.spec.host_network else 0) for port in ports}
    return [(ip, number) for ip in pod.host_ips for number in numbers if number]


def _virtual(service: Service) -> list[tuple[str, int]]:
    return [(ip, port.port) for ip in service.virtual_ips for port in service.spec.ports]


def _node_ports(service: Service) -> list[int]:
    return [port.node_port for port in service.spec.ports if port.node_port]


def _slice_endpoints(one: EndpointSlice | None) -> dict[tuple[str, _Endpoint], frozenset[int]]:
    """(address, pod) of a slice with the ports it lists; addresses that no pod is behind are left out."""
    if one is None:
        return {}
    ports = frozenset(port.port for port in one.ports or () if port.port)
    return {
        (ip, _Endpoint(one.metadata.namespace, endpoint.target_ref.name, endpoint.node_name or "")): ports
        for endpoint in one.endpoints or ()
        if endpoint.target_ref and endpoint.target_ref.kind == "Pod"
        for ip in map(canonical, endpoint.addresses)
    }


def _discard(index: dict[_K, _V], keys: Iterable[_K], value: _V) -> None:
    """Remove keys, unless they belong to another by now."""
    for key in keys:
        if index.get(key) == value:
            del index[key]
