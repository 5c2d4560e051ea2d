"""The few fields of Kubernetes objects that the agent reads, as structs: a pod costs 1 KB here, 8 KB on the wire."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import Generic, TypeVar

import msgspec

__all__ = [
    "Container",
    "ContainerStatus",
    "EndpointSlice",
    "ListPage",
    "Metadata",
    "MetadataOnly",
    "Node",
    "Object",
    "Owner",
    "Pod",
    "Service",
    "Status",
    "WatchLine",
    "Workload",
    "canonical",
    "unix_ns",
]


class _Slim(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Immutable, without reference cycles (so the collector need not look at it)."""


class Owner(_Slim, frozen=True):
    """One ownerReference."""

    kind: str
    name: str
    uid: str = ""
    controller: bool = False


class _Labels(_Slim, frozen=True):
    pod_template_hash: str = msgspec.field(default="", name="pod-template-hash")
    service_name: str = msgspec.field(default="", name="kubernetes.io/service-name")


class _Annotations(_Slim, frozen=True):
    config_hash: str = msgspec.field(default="", name="kubernetes.io/config.hash")


_NO_LABELS, _NO_ANNOTATIONS = _Labels(), _Annotations()


class Metadata(_Slim, frozen=True):
    """ObjectMeta, as far as it is of use here."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    owner_references: tuple[Owner, ...] = ()
    labels: _Labels | None = None
    annotations: _Annotations | None = None

    @property
    def controller(self) -> Owner | None:
        """The owner that controls this object, if any."""
        return next((one for one in self.owner_references if one.controller), None) or next(
            iter(self.owner_references), None
        )

    @property
    def template_hash(self) -> str:
        """Label pod-template-hash, or empty."""
        return (self.labels or _NO_LABELS).pod_template_hash

    @property
    def config_hash(self) -> str:
        """Annotation kubernetes.io/config.hash: what a static pod's cgroup is named after."""
        return (self.annotations or _NO_ANNOTATIONS).config_hash


class Object(_Slim, frozen=True):
    """Anything with metadata."""

    metadata: Metadata

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.metadata.namespace, self.metadata.name)


class MetadataOnly(Object, frozen=True):
    """PartialObjectMetadata: ReplicaSets and Jobs, whose owners are all we need."""


class _ContainerPort(_Slim, frozen=True):
    container_port: int = 0
    host_port: int = 0


class Container(_Slim, frozen=True):
    """A container as specified."""

    name: str
    ports: tuple[_ContainerPort, ...] = ()


class ContainerStatus(_Slim, frozen=True):
    """A container as it runs; `container_id` has the runtime in front (containerd://...)."""

    name: str
    container_id: str = msgspec.field(default="", name="containerID")


class _Condition(_Slim, frozen=True):
    type: str
    status: str = ""


class _Ip(_Slim, frozen=True):
    ip: str = ""


class _PodSpec(_Slim, frozen=True):
    node_name: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()


class _PodStatus(_Slim, frozen=True):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[_Ip, ...] = msgspec.field(default=(), name="podIPs")
    host_ip: str = msgspec.field(default="", name="hostIP")
    host_ips: tuple[_Ip, ...] = msgspec.field(default=(), name="hostIPs")
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    conditions: tuple[_Condition, ...] = ()


class Pod(Object, frozen=True):
    """A pod."""

    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()

    @property
    def ips(self) -> tuple[str, ...]:
        """Its addresses, both families."""
        listed = tuple(canonical(one.ip) for one in self.status.pod_ips if one.ip)
        return listed or ((canonical(self.status.pod_ip),) if self.status.pod_ip else ())

    @property
    def host_ips(self) -> tuple[str, ...]:
        """Addresses of its node, both families."""
        listed = tuple(canonical(one.ip) for one in self.status.host_ips if one.ip)
        return listed or ((canonical(self.status.host_ip),) if self.status.host_ip else ())

    @property
    def is_finished(self) -> bool:
        """Whether it has ended for good; its address may then be another pod's already."""
        return self.status.phase in {"Succeeded", "Failed"}

    @property
    def is_ready(self) -> bool:
        """Condition Ready."""
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)

    @property
    def containers(self) -> tuple[tuple[str, str], ...]:
        """(container id without runtime, name) of every container that has run."""
        status = self.status
        every = (*status.container_statuses, *status.init_container_statuses, *status.ephemeral_container_statuses)
        return tuple((one.container_id.rpartition("//")[2], one.name) for one in every if one.container_id)


class _ServicePort(_Slim, frozen=True):
    port: int
    node_port: int = 0
    name: str = ""
    protocol: str = "TCP"


class _ServiceSpec(_Slim, frozen=True):
    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    ports: tuple[_ServicePort, ...] = ()


class _LoadBalancer(_Slim, frozen=True):
    ingress: tuple[_Ip, ...] = ()


class _ServiceStatus(_Slim, frozen=True):
    load_balancer: _LoadBalancer = _LoadBalancer()


class Service(Object, frozen=True):
    """A Service."""

    spec: _ServiceSpec = _ServiceSpec()
    status: _ServiceStatus = _ServiceStatus()

    @property
    def virtual_ips(self) -> tuple[str, ...]:
        """Every address that leads to it: cluster, external and load balancer."""
        cluster = self.spec.cluster_ips or (self.spec.cluster_ip,)
        balancer = tuple(one.ip for one in self.status.load_balancer.ingress)
        every = (*cluster, *self.spec.external_ips, *balancer)
        return tuple(canonical(ip) for ip in every if ip and ip != "None")


class _Reference(_Slim, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class _Endpoint(_Slim, frozen=True):
    addresses: tuple[str, ...] = ()
    target_ref: _Reference | None = None
    node_name: str | None = None


class _EndpointPort(_Slim, frozen=True):
    port: int | None = None


class EndpointSlice(Object, frozen=True):
    """Part of the addresses behind a Service."""

    address_type: str = "IPv4"
    endpoints: tuple[_Endpoint, ...] | None = ()
    ports: tuple[_EndpointPort, ...] | None = ()

    @property
    def service(self) -> str:
        """Name of the Service it belongs to."""
        return (self.metadata.labels or _NO_LABELS).service_name


class _NodeAddress(_Slim, frozen=True):
    type: str
    address: str


class _NodeStatus(_Slim, frozen=True):
    addresses: tuple[_NodeAddress, ...] = ()
    conditions: tuple[_Condition, ...] = ()


class Node(Object, frozen=True):
    """A node."""

    status: _NodeStatus = _NodeStatus()

    @property
    def ips(self) -> tuple[str, ...]:
        """Its addresses, inside and outside."""
        wanted = {"InternalIP", "ExternalIP"}
        return tuple(canonical(one.address) for one in self.status.addresses if one.type in wanted)

    @property
    def is_ready(self) -> bool:
        """Condition Ready."""
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)


class _WorkloadSpec(_Slim, frozen=True):
    replicas: int | None = None


class _WorkloadStatus(_Slim, frozen=True):
    ready_replicas: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0


class Workload(Object, frozen=True):
    """A Deployment, StatefulSet or DaemonSet with how many pods it wants and has."""

    spec: _WorkloadSpec = _WorkloadSpec()
    status: _WorkloadStatus = _WorkloadStatus()

    @property
    def desired(self) -> int:
        """Pods wanted (a DaemonSet counts nodes, the others say it or mean one)."""
        return _count(self.status.desired_number_scheduled or self.spec.replicas or 0)

    @property
    def ready(self) -> int:
        """Pods ready."""
        return _count(self.status.ready_replicas or self.status.number_ready)


def _count(number: int) -> int:
    """A number of pods as the API defines it (int32, not negative), whatever was sent."""
    return min(max(number, 0), (1 << 31) - 1)


class _ListMetadata(_Slim, frozen=True):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


T = TypeVar("T")


class ListPage(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    metadata: _ListMetadata
    items: list[T]
    kind: str = ""


class WatchLine(msgspec.Struct, frozen=True):
    """One line of a watch; the object is decoded by what the type says it is."""

    type: str
    object: msgspec.Raw


class _StatusDetails(_Slim, frozen=True):
    retry_after_seconds: float = 0.0


class Status(_Slim, frozen=True):
    """What an API server says when it refuses."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: _StatusDetails | None = None


def canonical(ip: str) -> str:
    """An address as the kernel's are written: IPv6 has many spellings, and may be an IPv4 address. Else unchanged."""
    if ":" not in ip:
        return ip
    try:
        address = ipaddress.IPv6Address(ip)
    except ValueError:
        return ip
    return str(address.ipv4_mapped or address)


def unix_ns(timestamp: str | None) -> int:
    """An RFC 3339 timestamp as Unix ns; 0 for none, and for what is no time since 1970."""
    try:
        return max(0, int(dt.datetime.fromisoformat(timestamp).timestamp() * 1_000_000_000)) if timestamp else 0
    except (ValueError, OverflowError):
        return 0
