"""The one object that names the ends of connections: cluster, cgroups, processes and connection tracking together.

Lookups are synchronous and answer from memory; the exceptions are bounded and rare: an unknown cgroup (a walk of the
cgroup tree, at most a fiftieth of the time), an unseen process (three files of /proc, 50 us), an unseen translation
(one netlink question, 15 us). Whatever is missing on this machine (Kubernetes, connection tracking, cgroup v2) is a
feature with a reason, never an error.
"""

from __future__ import annotations

import ipaddress
import platform
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from osmia.agent.entities.access import find_access
from osmia.agent.entities.cgroups import CgroupIndex, Membership, find_mount, parse
from osmia.agent.entities.client import KubernetesClient
from osmia.agent.entities.cluster import Cluster
from osmia.agent.entities.conntrack import Conntrack
from osmia.agent.entities.hosts import local_addresses, node_namespace
from osmia.agent.entities.informer import Informer, InformerTiming, Source
from osmia.agent.entities.names import DnsNames
from osmia.agent.entities.objects import EndpointSlice, MetadataOnly, Node, Pod, Service, Workload
from osmia.agent.entities.processes import read_process, short_id
from osmia.agent.entities.watch import CgroupWatch
from osmia.model.entity import Entity, EntityKind, KubernetesObject
from osmia.model.errors import OsmiaError, UnavailableError
from osmia.model.request import Address
from osmia.telemetry import get_logger

__all__ = ["Entities", "EntityOptions", "Feature"]

_log = get_logger("entities")
_LOCAL_MAX = 4_096
_LOCAL_LIFE_NS = 30_000_000_000
_UNRESOLVED_LIFE_NS = 500_000_000
_UNDECIDED_LIFE_NS = 20_000_000
_STRANGERS_MAX = 16_384
_STRANGER_HOLD_NS = 2_000_000_000
_SETTLE_NS = 15_000_000_000
_HOUSEKEEPING_S = 60.0
_ADDRESSES_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class EntityOptions:
    """What `Entities` needs to know.

    `node` is this node's name (empty: the host name). `watch` is "node" (own pods) or "cluster" (all pods).
    `node_netns` are the network namespaces in which Services are translated, several separated by commas (empty: the
    node's own). `reads_processes`: /proc shows the processes of this machine under the kernel's own numbers.
    """

    node: str = ""
    kubeconfig: str = ""
    watch: str = "node"
    node_netns: str = ""
    proc: Path = Path("/proc")
    reads_processes: bool = True


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that may be missing here: whether it works now, and why not."""

    name: str
    is_working: bool
    reason: str = ""


class Entities:
    """Answers who is at either end of a connection. Run `run()` in a task; ask at any time."""

    def __init__(
        self,
        options: EntityOptions | None = None,
        *,
        timing: InformerTiming | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._options = options or EntityOptions()
        self._timing = timing or InformerTiming()
        self._now_ns = now_ns
        self._started_ns = now_ns()
        self._host = platform.node()
        self._node = self._options.node or self._host
        self._cluster = Cluster(now_ns=now_ns)
        self._mount = _cgroup_mount(self._options.proc)
        self._cgroups = CgroupIndex(self._mount)
        self._watch: CgroupWatch | None = None
        given = [Path(one.strip()) for one in self._options.node_netns.split(",") if one.strip()]
        self._namespaces = given or [node_namespace(self._options.proc)]
        self._names = DnsNames()
        self._conntracks: list[Conntrack] = []
        self._informers: dict[str, Informer[Any]] = {}
        self._own_addresses: frozenset[str] = frozenset()
        self._local: OrderedDict[tuple[int, int, str], tuple[int, int, Entity | None]] = OrderedDict()
        self._strangers: OrderedDict[str, int] = OrderedDict()
        self._newcomers: OrderedDict[str, int] = OrderedDict()
        self._kubernetes = Feature("kubernetes", is_working=False, reason="not started")
        self._translation = Feature("conntrack", is_working=False, reason="not started")
        self._counters: Counter[str] = Counter()
        self._access = find_access(self._options.kubeconfig)
        self._ready = anyio.Event()

    @property
    def has_kubernetes(self) -> bool:
        """Whether there is a cluster to ask (it may be unreachable at the moment)."""
        return self._access is not None

    async def run(self) -> None:
        """Follow cluster, connection tracking and own addresses until cancelled."""
        with ExitStack() as opened:
            self._open_conntracks(opened)
            self._open_watch(opened)
            await self._refresh_addresses()
            async with anyio.create_task_group() as group:
                if self._watch is not None:
                    group.start_soon(self._watch.run)
                group.start_soon(self._keep_house)
                group.start_soon(self._keep_addresses)
                for conntrack in self._conntracks:
                    group.start_soon(self._follow_conntrack, conntrack)
                group.start_soon(self._follow_cluster)

    async def wait_ready(self, timeout_s: float = 10.0) -> bool:
        """Wait until the cluster's objects are known (at once without Kubernetes); False if that took too long."""
        with anyio.move_on_after(timeout_s):
            await self._ready.wait()
            return True
        return False

    # ---- lookups ---------------------------------------------------------------------------------------------------

    def local(self, cgroup_id: int, pid: int, command: str, *, at_ns: int) -> Entity | None:
        """The entity that a process of this machine belongs to: its pod's workload, unit, container, or itself.

        `cgroup_id` is the cgroup v2 id as the kernel gives it (0 or 1: not known), `command` the kernel's name for it.
        None if that cannot be said yet: for two seconds per container or pod of which the API server has not told
        everything, and until the cluster's objects are known.
        """
        del at_ns  # whose a process is does not change
        now_ns = self._now_ns()
        key = (cgroup_id, pid, command)
        cached = self._local.get(key)
        if cached is not None and cached[0] == self._cluster.generation and now_ns < cached[1]:
            return cached[2]
        self._counters["local_lookups"] += 1
        entity, life_ns = self._find_local(cgroup_id, pid, command)
        self._local[key] = (self._cluster.generation, now_ns + life_ns, entity)
        self._local.move_to_end(key)
        while len(self._local) > _LOCAL_MAX:
            self._local.popitem(last=False)
        return entity

    def remote(self, address: Address, *, at_ns: int, cgroup_id: int = 0) -> Entity | None:
        """Who owned an address at a time (Unix ns): EXTERNAL if nobody here, None if that cannot be said yet.

        "Not yet" lasts two seconds per unknown private address, and until the cluster's objects are known. An EXTERNAL
        is called what DNS told the control group `cgroup_id`, that of its client; else by its address.
        """
        ip = address.ip
        if ip in self._own_addresses or ip.startswith("127.") or ip == "::1":
            return self._on_own_address(address)
        found = self._cluster.by_address(ip, address.port, at_ns=at_ns)
        if found is not None:
            return found
        now_ns = self._now_ns()
        name = self._names.name_of(ip, cgroup_id, now_ns=now_ns) if cgroup_id else ""
        # What has a name outside will not turn out to be a pod.
        if self._access is not None and not (name and self._is_settled(now_ns)) and self._is_undecided(ip):
            self._counters["undecided"] += 1
            return None
        return Entity(EntityKind.EXTERNAL, name or ip, ip=ip)

    def on_dns(self, payload: bytes, pid: int, cgroup_id: int, now_ns: int) -> None:
        """A process of this machine was given this DNS answer."""
        del pid
        self._names.learn(payload, cgroup_id, now_ns=now_ns)

    def translate(self, client: Address, server: Address) -> Address | None:
        """Where a connection to `server` really went, by the node's connection tracking; None if not rewritten."""
        if server.ip.startswith("127.") or self._cluster.is_pod_address(server.ip, at_ns=self._now_ns()):
            return None
        for conntrack in self._conntracks:
            if found := conntrack.translate(client, server):
                return found
        return None

    def origin(self, client: Address, server: Address) -> Address | None:
        """Who really opened a connection that the server sees coming from `client`; None if that is the truth."""
        for conntrack in self._conntracks:
            if found := conntrack.origin(client, server):
                return found
        return None

    def service_of(self, server: Address) -> str:
        """Name of the Service at a virtual address and port, or at a node port; empty if there is none."""
        found = self._cluster.service_at(server.ip, server.port)
        if found is None and server.ip in self._own_addresses:
            found = self._cluster.node_port_service(server.port)
        return found.metadata.name if found else ""

    # ---- what the agent reports ------------------------------------------------------------------------------------

    def snapshot(self) -> list[KubernetesObject]:
        """Every object of the cluster that is known now."""
        return self._cluster.snapshot()

    def objects_changed(self) -> list[KubernetesObject]:
        """Objects that appeared, changed or went (with `deleted_ns`) since the last call."""
        return self._cluster.take_changes()

    def features(self) -> list[Feature]:
        """What works here and what does not, with the reason."""
        cgroups = Feature("cgroup ids", is_working=True)
        if not self._cgroups.has_mount:
            cgroups = Feature(
                "cgroup ids", is_working=False, reason="cgroup v2 is not mounted; asking /proc per process"
            )
        return [self._kubernetes_feature(), self._translation, cgroups]

    def statistics(self) -> Mapping[str, int]:
        """Counters and sizes, by name."""
        numbers = dict(self._counters) | dict(self._cluster.statistics())
        numbers |= {"cgroups": len(self._cgroups), "cgroup_walks": self._cgroups.walks}
        numbers |= {"dns_names": len(self._names)} | {f"dns_{name}": one for name, one in self._names.counters.items()}
        if self._watch is not None:
            numbers |= {f"cgroup_watch_{name}": value for name, value in self._watch.counters.items()}
        for conntrack in self._conntracks:
            for name, value in conntrack.statistics().items():
                numbers[f"conntrack_{name}"] = numbers.get(f"conntrack_{name}", 0) + value
        for informer in self._informers.values():
            for name, value in informer.statistics().items():
                numbers[f"informer_{name}"] = numbers.get(f"informer_{name}", 0) + value
        return numbers

    # ---- local -----------------------------------------------------------------------------------------------------

    def _find_local(self, cgroup_id: int, pid: int, command: str) -> tuple[Entity | None, int]:
        """The entity, and for how many ns that holds."""
        path = self._cgroups.path(cgroup_id) if cgroup_id > 1 else None
        membership = parse(path) if path else Membership()
        name = command
        if not membership.container_id and not membership.pod_uid:
            facts = read_process(pid, command, proc=self._options.proc) if self._options.reads_processes else None
            if facts is not None:
                name = facts.name
                membership = membership if membership.unit else facts.membership
        if membership.pod_uid or membership.container_id:
            return self._in_container(membership)
        kind = EntityKind.UNIT if membership.unit else EntityKind.PROCESS
        return Entity(kind, membership.unit or name or "unknown", node=self._node), _LOCAL_LIFE_NS

    def _in_container(self, membership: Membership) -> tuple[Entity | None, int]:
        found = self._cluster.by_container(membership.container_id) or self._cluster.by_pod(membership.pod_uid)
        is_complete = found is not None and self._cluster.is_top(found)
        if self._access is not None and not is_complete and self._is_newcomer(membership):
            self._counters["undecided"] += 1
            return None, _UNDECIDED_LIFE_NS
        if found is not None:
            return found, _LOCAL_LIFE_NS if found.container else _UNRESOLVED_LIFE_NS
        name = short_id(membership.container_id) or f"pod {membership.pod_uid}"
        life_ns = _UNRESOLVED_LIFE_NS if self.has_kubernetes else _LOCAL_LIFE_NS
        return Entity(EntityKind.CONTAINER, name, container=membership.container_id, node=self._node), life_ns

    def _is_newcomer(self, membership: Membership) -> bool:
        """Whether the API server may still tell more of a container or pod."""
        return self._is_new(self._newcomers, membership.pod_uid or membership.container_id)

    # ---- remote ----------------------------------------------------------------------------------------------------

    def _on_own_address(self, address: Address) -> Entity:
        """Something on this machine whose process has not been seen."""
        if found := self._cluster.on_host_port(address.ip, address.port):
            return found
        if service := self._cluster.node_port_service(address.port):
            name = service.metadata.name
            return Entity(EntityKind.SERVICE, name, service.metadata.namespace, service=name, ip=address.ip)
        return Entity(EntityKind.NODE, self._node, node=self._node, ip=address.ip)

    def _is_undecided(self, ip: str) -> bool:
        """Whether an address that nobody has may still turn out to be a pod's."""
        return self._is_new(self._strangers, ip, is_possible=_may_be_pod(ip))

    def _is_new(self, first_seen: OrderedDict[str, int], name: str, *, is_possible: bool = True) -> bool:
        """Whether a name was first seen less than two seconds ago, or the cluster is not known yet."""
        now_ns = self._now_ns()
        if not self._is_settled(now_ns):
            return True
        first_ns = first_seen.get(name)
        if first_ns is None:
            first_ns = first_seen[name] = now_ns if is_possible else 0
            while len(first_seen) > _STRANGERS_MAX:
                first_seen.popitem(last=False)
        return now_ns - first_ns < _STRANGER_HOLD_NS

    def _is_settled(self, now_ns: int) -> bool:
        """Whether the first lists are complete, or have been waited for long enough."""
        return self._ready.is_set() or now_ns - self._started_ns > _SETTLE_NS

    # ---- following -------------------------------------------------------------------------------------------------

    async def _follow_cluster(self) -> None:
        if self._access is None:
            self._ready.set()
            reason = "no kubeconfig and no service account: not in a cluster"
            self._kubernetes = replace(self._kubernetes, reason=reason)
            return
        self._kubernetes = replace(self._kubernetes, reason="")
        async with KubernetesClient(self._access) as client, anyio.create_task_group() as group:
            self._informers = self._make_informers(client)
            owners = [self._informers[name] for name in _FIRST]
            for informer in owners:
                group.start_soon(informer.run)
            # Owners first: then every pod finds its workload at first sight.
            with anyio.move_on_after(_SETTLE_NS / 1e9):
                for informer in owners:
                    await informer.wait_synced()
            for name, informer in self._informers.items():
                if name not in _FIRST:
                    group.start_soon(informer.run)
            for informer in self._informers.values():
                await informer.wait_synced()
            self._ready.set()
            _log.info("cluster known", source=self._access.source, **self._cluster.statistics())

    def _make_informers(self, client: KubernetesClient) -> dict[str, Informer[Any]]:
        cluster, timing = self._cluster, self._timing
        own = f"spec.nodeName={self._node}" if self._options.watch == "node" else ""
        informers: dict[str, Informer[Any]] = {
            "pods": Informer(client, Source("/api/v1/pods", "Pod", Pod, own), cluster.pod_changed, timing),
            "services": Informer(
                client, Source("/api/v1/services", "Service", Service), cluster.service_changed, timing
            ),
            "nodes": Informer(client, Source("/api/v1/nodes", "Node", Node), cluster.node_changed, timing),
            "endpointslices": Informer(
                client,
                Source("/apis/discovery.k8s.io/v1/endpointslices", "EndpointSlice", EndpointSlice),
                cluster.slice_changed,
                timing,
            ),
        }
        for kind, path in (("ReplicaSet", "/apis/apps/v1/replicasets"), ("Job", "/apis/batch/v1/jobs")):
            source = Source(path, kind, MetadataOnly, is_metadata_only=True)
            informers[kind] = Informer(client, source, cluster.owner_changed(kind), timing)
        for kind in ("Deployment", "StatefulSet", "DaemonSet"):
            workloads = Source(f"/apis/apps/v1/{kind.lower()}s", kind, Workload)
            informers[kind] = Informer(client, workloads, cluster.workload_changed(kind), timing)
        return informers

    def _kubernetes_feature(self) -> Feature:
        problems = [f"{name}: {one.problem}" for name, one in self._informers.items() if one.problem]
        if not self._informers or problems:
            return replace(self._kubernetes, is_working=False, reason="; ".join(problems) or self._kubernetes.reason)
        return replace(self._kubernetes, is_working=True, reason="")

    def _open_watch(self, opened: ExitStack) -> None:
        if self._mount is None:
            return
        try:
            self._watch = opened.enter_context(CgroupWatch(self._mount, self._cgroups.remember))
        except UnavailableError as exc:
            _log.warning("new cgroups are found by walking only", problem=str(exc))
            return
        self._cgroups.look = self._watch.look
        opened.callback(setattr, self._cgroups, "look", None)

    def _open_conntracks(self, opened: ExitStack) -> None:
        reasons = []
        for namespace in self._namespaces:
            try:
                self._conntracks.append(opened.enter_context(Conntrack(namespace)))
            except UnavailableError as exc:
                reasons.append(str(exc))
        self._translation = Feature("conntrack", is_working=not reasons, reason="; ".join(reasons))

    async def _follow_conntrack(self, conntrack: Conntrack) -> None:
        try:
            await conntrack.run()
        except (OSError, OsmiaError) as exc:
            self._translation = Feature("conntrack", is_working=False, reason=f"{type(exc).__name__}: {exc}")
            _log.warning("connection tracking stopped", problem=str(exc))

    async def _keep_addresses(self) -> None:
        while True:
            await anyio.sleep(_ADDRESSES_EVERY_S)
            await self._refresh_addresses()

    async def _refresh_addresses(self) -> None:
        found: set[str] = set()
        for namespace in self._namespaces:
            try:
                found |= await anyio.to_thread.run_sync(local_addresses, namespace)
            except OSError as exc:
                self._counters["address_failures"] += 1
                _log.debug("own addresses not read", namespace=str(namespace), problem=str(exc))
        self._own_addresses = frozenset(found)

    async def _keep_house(self) -> None:
        while True:
            await anyio.sleep(_HOUSEKEEPING_S)
            self._cluster.expire()


_FIRST = ("ReplicaSet", "Job", "Deployment", "StatefulSet", "DaemonSet")


def _cgroup_mount(proc: Path) -> Path | None:
    try:
        return find_mount((proc / "self/mountinfo").read_text())
    except OSError:
        return None


def _may_be_pod(ip: str) -> bool:
    """Whether an address could be a pod's: not a public one, nor one that never leaves its link."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return not address.is_global and not address.is_link_local and not address.is_multicast
