"""The agent's settings: OSMIA_AGENT_<NAME> or --name."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from osmia.settings import setting

__all__ = ["AgentConfig", "Scope"]

_Positive = Annotated[float, msgspec.Meta(gt=0)]


class Scope(enum.StrEnum):
    """Whose requests are reported."""

    AUTO = "auto"
    KUBERNETES = "kubernetes"
    ALL = "all"


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `osmia agent run` needs to know."""

    server: str = setting("", "address of the Osmia server, e.g. http://osmia.example:8014")
    monitoring_id: str = setting("", "the cluster's monitoring id, from its Add cluster page")
    key: str = setting("", "the cluster's ingest key, from its Add cluster page")
    key_file: str = setting("", "file that holds the ingest key instead; read again when the server refuses the key")
    node: str = setting("", "name of this node; empty: the host name")
    scope: Scope = setting(
        "auto",
        "whose requests are reported: kubernetes (one end is a pod), all, or auto (kubernetes where there is one)",
    )
    kubeconfig: str = setting("", "kubeconfig file; empty: the pod's service account, else no Kubernetes")
    watch: Annotated[str, msgspec.Meta(pattern="^(node|cluster)$")] = setting(
        "node", "which pods are watched: those of this node (the server resolves the others) or of the cluster"
    )
    node_netns: str = setting("", "network namespace of the node, for address translation; empty: that of process 1")
    raw_namespaces: tuple[str, ...] = setting(
        (),
        "namespaces whose requests among themselves are sent with their whole path or statement, secrets and all",
    )
    templates_max: Annotated[int, msgspec.Meta(ge=10, le=5000)] = setting(
        200, "routes or statements told apart per workload and protocol; further ones are merged"
    )
    flush_s: Annotated[float, msgspec.Meta(ge=0.2, le=60)] = setting(2.0, "seconds between two reports to the server")
    drain_ms: Annotated[float, msgspec.Meta(ge=1, le=1000)] = setting(
        20.0, "milliseconds between two looks at a busy ring; a quiet one is looked at every 50"
    )
    max_events_per_s: Annotated[float, msgspec.Meta(ge=0)] = setting(
        2000.0, "requests per second that are listed one by one; further ones are counted, and one in N listed; 0: all"
    )
    ring_kib: Annotated[int, msgspec.Meta(ge=4, le=1 << 20)] = setting(
        8192, "size of the event ring in KiB (a power of two); it counts twice as memory"
    )
    max_connections: Annotated[int, msgspec.Meta(ge=64)] = setting(16_384, "connections followed at once (1 KB each)")
    max_edges: Annotated[int, msgspec.Meta(ge=64)] = setting(16_384, "edges counted at once (0.3 KB each)")
    queue_mib: _Positive = setting(64.0, "memory for batches the server has not taken yet; the oldest give way")
    spool_dir: str = setting(
        "", "directory for batches while the server is gone, so that they outlive the agent; empty: memory only"
    )
    spool_mib: _Positive = setting(512.0, "room in the spool directory; the oldest batches give way")
    bpf_budget_cores: Annotated[float, msgspec.Meta(ge=0)] = setting(
        0.0, "cores that capture may use inside the kernel before detail is given up; 0: a tenth of all, at least 0.5"
    )
    cpu_budget_cores: _Positive = setting(0.5, "cores that the agent's process may use before detail is given up")
    memory_budget_mib: _Positive = setting(512.0, "memory that the agent may use before detail is given up")
    calm_s: _Positive = setting(30.0, "seconds of calm after which one level of detail comes back")
    heartbeat: str = setting("", "file that gets our process id at every report, for a supervisor; empty: none")
    log_level: str = setting("info", "debug, info, warning or error")
    log_json: bool = setting(False, "log as JSON lines")  # noqa: FBT003 - a row of the table
