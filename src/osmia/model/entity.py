"""Who is at one end of a connection: a workload of Kubernetes, a unit or process of a host, or an outsider."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Entity", "EntityKind", "KubernetesObject"]


class EntityKind(enum.StrEnum):
    """What an entity is; the value is what users see and what the store keeps."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    REPLICA_SET = "ReplicaSet"
    JOB = "Job"
    CRON_JOB = "CronJob"
    POD = "Pod"  # a pod without an owner
    SERVICE = "Service"  # a Service whose pod behind it is not known
    NODE = "Node"
    CONTAINER = "Container"  # outside Kubernetes
    UNIT = "Unit"  # a systemd unit
    PROCESS = "Process"
    EXTERNAL = "External"  # an address nobody here owns
    OTHER_WORKLOAD = "Workload"  # an owner of a kind not listed here (custom controllers)


@dataclass(frozen=True, slots=True)
class Entity:
    """One end of an edge. `kind`, `namespace`, `name` say which workload; the rest narrows it down.

    Strings are empty where not known or not applicable. `service` is the Service whose virtual address
    the client used to get here, `ip` the address after DNAT. For an EXTERNAL, `name` is the address as text
    ("203.0.113.7").
    """

    kind: EntityKind
    name: str
    namespace: str = ""
    pod: str = ""
    container: str = ""
    node: str = ""
    service: str = ""
    ip: str = ""

    @property
    def id(self) -> str:
        """Stable text id of the workload, used in URLs: kind/namespace/name."""
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """One object of the cluster as the agent reports it, so that the server can show what has no traffic.

    `kind` is the Kubernetes kind ("Pod", "Service", "Deployment", ...). `workload_*` is the top of the owner
    chain (empty for objects that are not pods). Times are Unix ns; `deleted_ns` is 0 while it exists.
    """

    uid: str
    kind: str
    namespace: str
    name: str
    node: str = ""
    workload_kind: str = ""
    workload_name: str = ""
    phase: str = ""
    ips: tuple[str, ...] = ()
    replicas_desired: int = 0
    replicas_ready: int = 0
    created_ns: int = 0
    deleted_ns: int = 0
