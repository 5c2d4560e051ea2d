"""The cluster's indexes: who is behind a container, a pod uid, an address, a Service."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from osmia.agent.entities.cluster import Cluster
from osmia.agent.entities.objects import EndpointSlice, MetadataOnly, Node, Pod, Service, Workload
from osmia.model.entity import Entity, EntityKind

_S = 1_000_000_000
_C1, _C2 = "c1" * 32, "c2" * 32


class _World:
    """A cluster whose clock the test moves."""

    def __init__(self) -> None:
        self.now_ns = 1000 * _S
        self.cluster = Cluster(now_ns=lambda: self.now_ns)

    def owner(self, ip: str, port: int = 80, *, at_s: int | None = None) -> Entity | None:
        return self.cluster.by_address(ip, port, at_ns=self.now_ns if at_s is None else at_s * _S)


@pytest.fixture
def world() -> _World:
    """An empty cluster at second 1000."""
    return _World()


def _pod(name: str = "web-1", *, owner: tuple[str, str] | None = None, **fields: Any) -> Pod:  # noqa: ANN401 - JSON
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "1"}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    metadata |= fields.pop("metadata", {})
    status = {"phase": "Running", "podIP": "10.244.0.9", "hostIP": "192.168.1.1"} | fields.pop("status", {})
    spec = {"nodeName": "node-a", "containers": [{"name": "main", "ports": [{"containerPort": 80}]}]} | fields
    return msgspec.convert({"metadata": metadata, "spec": spec, "status": status}, Pod)


def _status(container_id: str, name: str = "main") -> dict[str, str]:
    return {"name": name, "containerID": f"containerd://{container_id}"}


def _service(name: str = "web", ip: str = "10.96.0.5", **spec: Any) -> Service:  # noqa: ANN401 - JSON
    fields = {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80}]} | spec
    return msgspec.convert({"metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": fields}, Service)


def _slice(name: str, endpoints: dict[str, str], *, ports: tuple[int, ...] = (80,)) -> EndpointSlice:
    listed = [
        {"addresses": [ip], "nodeName": "node-b", "targetRef": {"kind": "Pod", "name": pod, "namespace": "shop"}}
        for ip, pod in endpoints.items()
    ]
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"name": name, "namespace": "shop", "uid": name, "labels": labels}
    content = {"metadata": metadata, "endpoints": listed, "ports": [{"port": port} for port in ports]}
    return msgspec.convert(content, EndpointSlice)


def _owner_object(name: str, owner: tuple[str, str] | None = None) -> MetadataOnly:
    references = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    content = {"metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": references}}
    return msgspec.convert(content, MetadataOnly)


def _workload(name: str) -> Workload:
    return msgspec.convert({"metadata": {"name": name, "namespace": "shop", "uid": name}}, Workload)


def _node(name: str, *ips: str) -> Node:
    addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
    return msgspec.convert({"metadata": {"name": name, "uid": name}, "status": {"addresses": addresses}}, Node)


def test_container_names_its_pod_and_workload(world: _World) -> None:
    """A container id leads to workload, pod, container, node and address."""
    status = {"containerStatuses": [_status(_C1), _status(_C2, "proxy")]}
    world.cluster.pod_changed(None, _pod(owner=("StatefulSet", "web"), status=status))

    expected = Entity(EntityKind.STATEFUL_SET, "web", "shop", "web-1", "proxy", "node-a", ip="10.244.0.9")
    assert world.cluster.by_container(_C2) == expected


@pytest.mark.parametrize("field", ["initContainerStatuses", "ephemeralContainerStatuses"])
def test_other_containers_of_a_pod_count(world: _World, field: str) -> None:
    """Init and debug containers are the pod's as well."""
    world.cluster.pod_changed(None, _pod(status={field: [_status(_C1, "setup")]}))

    found = world.cluster.by_container(_C1)
    assert found is not None
    assert found.container == "setup"


def test_replica_set_leads_to_its_deployment(world: _World) -> None:
    """The top of the chain is the workload."""
    world.cluster.owner_changed("ReplicaSet")(None, _owner_object("web-6d4c", ("Deployment", "web")))
    world.cluster.pod_changed(None, _pod(owner=("ReplicaSet", "web-6d4c")))

    found = world.cluster.by_pod("uid-web-1")
    assert found is not None
    assert found.id == "Deployment/shop/web"


@pytest.mark.parametrize(
    ("owner", "labels", "workload"),
    [
        (("ReplicaSet", "web-6d4c"), {"pod-template-hash": "6d4c"}, "Deployment/shop/web"),
        (("ReplicaSet", "web-6d4c"), {}, "ReplicaSet/shop/web-6d4c"),
        (("Job", "nightly-123"), {}, "Job/shop/nightly-123"),
        (("Rollout", "web"), {}, "Workload/shop/web"),
        (("Node", "node-a"), {}, "Node//node-a"),
        (None, {}, "Pod/shop/web-1"),
    ],
)
def test_unknown_owner(world: _World, owner: tuple[str, str] | None, labels: dict[str, str], workload: str) -> None:
    """What is not known of the chain is taken from the pod, or left as it is."""
    world.cluster.pod_changed(None, _pod(owner=owner, metadata={"labels": labels}))

    found = world.cluster.by_pod("uid-web-1")
    assert found is not None
    assert found.id == workload


def test_owner_that_comes_late_counts(world: _World) -> None:
    """A Job's CronJob that becomes known after the pod changes the answer and the generation."""
    world.cluster.pod_changed(None, _pod(owner=("Job", "nightly-123")))
    before = world.cluster.generation

    world.cluster.owner_changed("Job")(None, _owner_object("nightly-123", ("CronJob", "nightly")))

    found = world.cluster.by_pod("uid-web-1")
    assert found is not None
    assert (found.id, world.cluster.generation > before) == ("CronJob/shop/nightly", True)


def test_static_pod_by_config_hash(world: _World) -> None:
    """A static pod's cgroup is named after its config hash, which is an annotation of its mirror."""
    config = "8a1d2c3b4e5f60718293a4b5c6d7e8f9"
    annotations = {"annotations": {"kubernetes.io/config.hash": config}}
    world.cluster.pod_changed(None, _pod("etcd-node-a", metadata=annotations))

    found = world.cluster.by_pod(config)
    assert found is not None
    assert found.pod == "etcd-node-a"


def test_address_is_its_pods(world: _World) -> None:
    """A pod's address, with the container that listens on the port."""
    containers = [
        {"name": "main", "ports": [{"containerPort": 80}]},
        {"name": "side", "ports": [{"containerPort": 90}]},
    ]
    world.cluster.pod_changed(None, _pod(containers=containers))

    found, other = world.owner("10.244.0.9", 90), world.owner("10.244.0.9", 1)
    assert found is not None
    assert other is not None
    assert (found.pod, found.container, other.container) == ("web-1", "side", "")


def test_both_families_count(world: _World) -> None:
    """A dual-stack pod is found by either address."""
    ips = [{"ip": "10.244.0.9"}, {"ip": "fd00::9"}]
    world.cluster.pod_changed(None, _pod(status={"podIPs": ips}))

    by_v4, by_v6 = world.owner("10.244.0.9"), world.owner("fd00::9")
    assert by_v4 is not None
    assert by_v6 is not None
    assert (by_v4.pod, by_v6.pod, by_v6.ip) == ("web-1", "web-1", "fd00::9")


def test_reused_address_with_late_deletion(world: _World) -> None:
    """The new pod keeps the address when the old pod's deletion is told afterwards."""
    old, new = _pod("old-1"), _pod("new-1")
    world.cluster.pod_changed(None, old)
    world.now_ns += 60 * _S
    world.cluster.pod_changed(None, new)
    world.now_ns += 5 * _S
    world.cluster.pod_changed(old, None)

    found, before = world.owner("10.244.0.9"), world.owner("10.244.0.9", at_s=1030)
    assert found is not None
    assert before is not None
    assert (found.pod, before.pod) == ("new-1", "old-1")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_finished_pod_gives_its_address_up(world: _World, phase: str) -> None:
    """A completed pod still says its address; it is no longer its own."""
    running = _pod("job-1")
    finished = _pod("job-1", status={"phase": phase}, metadata={"resourceVersion": "2"})
    world.cluster.pod_changed(None, running)
    world.now_ns += 60 * _S
    world.cluster.pod_changed(running, finished)
    world.now_ns += 60 * _S

    assert world.owner("10.244.0.9") is None
    assert world.owner("10.244.0.9", at_s=1030) is not None


def test_pod_seen_first_when_finished_never_owned_the_address(world: _World) -> None:
    """A list that contains old completed pods gives them nothing."""
    world.cluster.pod_changed(None, _pod("now-1"))
    world.cluster.pod_changed(None, _pod("old-1", status={"phase": "Succeeded"}))

    found = world.owner("10.244.0.9")
    assert found is not None
    assert found.pod == "now-1"


def test_host_network_pod_does_not_own_the_node(world: _World) -> None:
    """A pod on the node's network is found at its own ports; the rest of the address is the node."""
    world.cluster.node_changed(None, _node("node-a", "192.168.1.1"))
    world.cluster.pod_changed(None, _pod("proxy-1", hostNetwork=True, status={"podIP": "192.168.1.1"}))

    at_port, elsewhere = world.owner("192.168.1.1", 80), world.owner("192.168.1.1", 22)
    assert at_port is not None
    assert elsewhere is not None
    assert (at_port.pod, elsewhere.id) == ("proxy-1", "Node//node-a")


def test_service_by_virtual_address(world: _World) -> None:
    """A virtual address is its Service until it is known which pod is behind; other ports of it too."""
    world.cluster.service_changed(None, _service())

    expected = Entity(EntityKind.SERVICE, "web", "shop", service="web", ip="10.96.0.5")
    assert world.owner("10.96.0.5", 80) == expected
    assert world.owner("10.96.0.5", 81) == expected
    assert world.cluster.service_at("10.96.0.5", 81) is None


def test_service_by_node_port_and_balancer(world: _World) -> None:
    """Node ports on any node and load balancer addresses lead to the Service."""
    balanced = _service(type="LoadBalancer", ports=[{"port": 80, "nodePort": 30080}], externalIPs=["198.51.100.7"])
    balanced = msgspec.convert(
        msgspec.to_builtins(balanced) | {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}}, Service
    )
    world.cluster.node_changed(None, _node("node-a", "192.168.1.1"))
    world.cluster.service_changed(None, balanced)

    at = [("192.168.1.1", 30080), ("203.0.113.9", 80), ("198.51.100.7", 80), ("10.96.0.5", 80)]
    assert [bool(world.cluster.service_at(ip, port)) for ip, port in at] == [True] * 4
    assert world.cluster.service_at("192.168.1.2", 30080) is None


def test_headless_service_has_no_virtual_address(world: _World) -> None:
    """ClusterIP None is no address."""
    world.cluster.service_changed(None, _service(ip="None"))

    assert world.cluster.service_at("None", 80) is None


def test_changed_service_gives_its_old_address_up(world: _World) -> None:
    """An update moves the Service; another Service at the old address is left alone."""
    first, second = _service("a", "10.96.0.5"), _service("b", "10.96.0.5")
    world.cluster.service_changed(None, first)
    world.cluster.service_changed(None, second)
    world.cluster.service_changed(first, _service("a", "10.96.0.6"))

    at_old, at_new = world.cluster.service_at("10.96.0.5", 80), world.cluster.service_at("10.96.0.6", 80)
    assert at_old is not None
    assert at_new is not None
    assert (at_old.metadata.name, at_new.metadata.name) == ("b", "a")


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-6d4cf56db6-x2x5k", "Deployment/shop/web"),
        ("db-0", "StatefulSet/shop/db"),
        ("agent-bcdfg", "DaemonSet/shop/agent"),
        ("nightly-123-vwxzt", "CronJob/shop/nightly"),
        ("stranger-x2x5k", "Pod/shop/stranger-x2x5k"),
        ("web-6d4cf56db6-UPPER", "Pod/shop/web-6d4cf56db6-UPPER"),
    ],
)
def test_remote_pod_by_endpoint(world: _World, pod: str, workload: str) -> None:
    """A pod of another node is known by an EndpointSlice; its workload by a name that such an object has."""
    cluster = world.cluster
    cluster.owner_changed("ReplicaSet")(None, _owner_object("web-6d4cf56db6", ("Deployment", "web")))
    cluster.owner_changed("Job")(None, _owner_object("nightly-123", ("CronJob", "nightly")))
    cluster.workload_changed("StatefulSet")(None, _workload("db"))
    cluster.workload_changed("DaemonSet")(None, _workload("agent"))
    cluster.slice_changed(None, _slice("web-1", {"10.244.1.7": pod}))

    found = world.owner("10.244.1.7")
    assert found is not None
    assert (found.id, found.pod, found.node) == (workload, pod, "node-b")


def test_endpoint_in_two_slices(world: _World) -> None:
    """An address stays a pod's until the last slice drops it."""
    one, two = _slice("a", {"10.244.1.7": "db-0"}), _slice("b", {"10.244.1.7": "db-0"})
    world.cluster.slice_changed(None, one)
    world.cluster.slice_changed(None, two)
    world.cluster.slice_changed(one, None)
    world.now_ns += 60 * _S
    still = world.owner("10.244.1.7")
    world.cluster.slice_changed(two, None)
    world.now_ns += 60 * _S

    assert still is not None
    assert world.owner("10.244.1.7") is None


def test_endpoint_on_the_node_network(world: _World) -> None:
    """A remote pod on its node's network is found at its port, elsewhere it is the node."""
    world.cluster.node_changed(None, _node("node-b", "192.168.1.2"))
    world.cluster.workload_changed("StatefulSet")(None, _workload("db"))
    world.cluster.slice_changed(None, _slice("a", {"192.168.1.2": "db-0"}, ports=(5432,)))

    at_port, elsewhere = world.owner("192.168.1.2", 5432), world.owner("192.168.1.2", 22)
    assert at_port is not None
    assert elsewhere is not None
    assert (at_port.id, elsewhere.id) == ("StatefulSet/shop/db", "Node//node-b")


def test_changes_are_exported_once(world: _World) -> None:
    """Each object that appeared, changed or went is handed out once, newest state only."""
    one = _pod(owner=("StatefulSet", "web"))
    ready = _pod(owner=("StatefulSet", "web"), status={"conditions": [{"type": "Ready", "status": "True"}]})
    world.cluster.pod_changed(None, one)
    world.cluster.pod_changed(one, ready)
    first = world.cluster.take_changes()
    world.cluster.pod_changed(ready, ready)
    second = world.cluster.take_changes()
    world.cluster.pod_changed(ready, None)
    third = world.cluster.take_changes()

    assert [(one.kind, one.workload_kind, one.workload_name, one.replicas_ready) for one in first] == [
        ("Pod", "StatefulSet", "web", 1)
    ]
    assert second == []
    assert [(one.uid, one.deleted_ns) for one in third] == [("uid-web-1", world.now_ns)]
    assert world.cluster.snapshot() == []


def test_restarted_containers_are_forgotten(world: _World) -> None:
    """A crash-looping container leaves nothing behind for ever."""
    pod = _pod(status={"containerStatuses": [_status(_C1)]})
    world.cluster.pod_changed(None, pod)
    for number in range(50):
        again = _pod(status={"containerStatuses": [_status(f"{number:064x}")]})
        world.cluster.pod_changed(pod, again)
        pod = again
    held = world.cluster.statistics()["containers"]

    world.cluster.expire()
    world.cluster.expire()

    assert (held, world.cluster.statistics()["containers"]) == (51, 1)


def test_ended_pod_is_known_for_a_while(world: _World) -> None:
    """The last requests of a deleted pod still find it; after the retention it is gone."""
    pod = _pod(status={"containerStatuses": [_status(_C1)]})
    world.cluster.pod_changed(None, pod)
    world.cluster.pod_changed(pod, None)
    soon = world.cluster.by_container(_C1)
    world.now_ns += 301 * _S
    world.cluster.expire()

    assert soon is not None
    assert world.cluster.by_container(_C1) is None


@pytest.mark.parametrize("spelling", ["fd00:96:0:0::7", "FD00:96::7", "fd00:0096::0007"])
def test_ipv6_is_one_address_however_it_is_spelt(world: _World, spelling: str) -> None:
    """The kernel writes an address in one way, people and plugins in several."""
    status = {"phase": "Running", "podIP": "10.244.0.9", "podIPs": [{"ip": "10.244.0.9"}, {"ip": spelling}]}
    world.cluster.pod_changed(None, _pod(status=status))
    world.cluster.service_changed(None, _service("six", clusterIP="", clusterIPs=[spelling.replace("7", "8")]))

    pod, service = world.owner("fd00:96::7"), world.owner("fd00:96::8")

    assert (pod and pod.pod, service and service.id) == ("web-1", "Service/shop/six")


def test_host_network_pod_has_its_port_at_every_address_of_its_node(world: _World) -> None:
    """A node of both families listens with both."""
    containers = [{"name": "main", "ports": [{"containerPort": 9100}]}]
    hosts = [{"ip": "192.168.1.1"}, {"ip": "fd00::1"}]
    status = {"phase": "Running", "hostIP": "192.168.1.1", "hostIPs": hosts, "podIP": "192.168.1.1", "podIPs": hosts}
    world.cluster.pod_changed(None, _pod(hostNetwork=True, containers=containers, status=status))

    found = [world.cluster.on_host_port(ip, 9100) for ip in ("192.168.1.1", "fd00::1")]

    assert [one and one.pod for one in found] == ["web-1", "web-1"]
    assert world.owner("fd00::1", 22) is None
