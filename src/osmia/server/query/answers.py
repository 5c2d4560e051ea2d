"""What questions return: frozen values whose fields are the JSON fields of the API.

Times are Unix ms, latencies ns, rates per second, `error_rate` a share 0..1. None is "not known", 0 is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AgentDetails",
    "AgentFeature",
    "AgentQuality",
    "AgentSeries",
    "Edge",
    "EdgeNetwork",
    "EndpointStatistics",
    "EntityName",
    "GovernorStep",
    "Link",
    "ListeningPort",
    "Loss",
    "Map",
    "NetworkDetails",
    "NetworkPort",
    "NetworkSeries",
    "Node",
    "Peer",
    "PodState",
    "ProgramCost",
    "Quality",
    "RequestEnd",
    "RequestPage",
    "RequestRecord",
    "Resource",
    "ResourceDetails",
    "Series",
    "ServicePort",
    "Side",
    "Summary",
]

Side = Literal["client", "server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityName:
    """A workload by name; `id` is kind/namespace/name."""

    id: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(EntityName):
    """One workload on the map; the `_in` figures are of what it serves."""

    pods_ready: int | None
    pods_desired: int | None
    rate_in: float
    error_rate_in: float | None
    p95_in_ns: int | None
    is_idle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """A Service (empty when the address was used directly) and port through which an edge runs."""

    name: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeNetwork:
    """What the connections of an edge did.

    `active` is how many were open on average; `failures` counts failed connects by cause, `cancelled` ones that the
    client gave up at once; bytes are payload by who sent them; `segments` and `retransmits` are those of both ends as
    far as they are watched.
    """

    opened: int
    closed: int
    failed: int
    failures: dict[str, int]
    cancelled: int
    rate: float
    active: float
    connect_p50_ns: int | None
    connect_p95_ns: int | None
    connect_p99_ns: int | None
    rtt_mean_ns: int | None
    rtt_p95_ns: int | None
    client_bytes: int
    server_bytes: int
    client_bytes_rate: float
    server_bytes_rate: float
    segments: int
    retransmits: int
    retransmit_share: float | None
    client_resets: int
    server_resets: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPort:
    """One port of an edge, as the side saw it that saw more."""

    service: str
    port: int
    side: Side
    network: EdgeNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSeries:
    """An edge's connections over time; as in `Series`, None stands where nothing is known."""

    step_ms: int
    times_ms: list[int]
    opened_rate: list[float | None]
    failed_rate: list[float | None]
    active: list[float | None]
    connect_p95_ns: list[int | None]
    rtt_p95_ns: list[int | None]
    retransmit_rate: list[float | None]
    client_bytes_rate: list[float | None]
    server_bytes_rate: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDetails:
    """The network under one edge; `total` is None where no connection of it was seen in the range."""

    from_ms: int
    to_ms: int
    total: EdgeNetwork | None
    ports: list[NetworkPort]
    series: NetworkSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Who calls whom by which protocol, as the chosen side saw it.

    Where no protocol was recognised the protocol is "tcp": then count and rate are of connects, errors are failed
    ones and the quantiles are of the time a connect took. `network` is None where no agent reported connections.
    """

    id: str
    source: str
    target: str
    protocol: str
    is_tls: bool
    services: list[ServicePort]
    side: Side
    count: int
    rate: float
    errors: int
    error_rate: float
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    request_bytes: int
    response_bytes: int
    request_bytes_rate: float
    response_bytes_rate: float
    first_ms: int
    last_ms: int
    network: EdgeNetwork | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """The service map of a time range; `from_ms` and `to_ms` are what the figures really cover."""

    from_ms: int
    to_ms: int
    newest_ms: int | None
    nodes: list[Node]
    edges: list[Edge]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Figures over time; `times_ms` are the beginnings of the steps, None stands where nothing is known."""

    step_ms: int
    times_ms: list[int]
    rate: list[float | None]
    error_rate: list[float | None]
    p50_ns: list[int | None]
    p95_ns: list[int | None]
    p99_ns: list[int | None]
    request_bytes_rate: list[float | None]
    response_bytes_rate: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """One pod of a workload."""

    name: str
    node: str
    phase: str
    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Node):
    """A workload with its pods."""

    pods: list[PodState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All that a workload served in the range."""

    rate: float
    error_rate: float | None
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    count: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatistics:
    """One endpoint or statement of an edge; `fingerprint` is its template's."""

    method: str
    template: str
    fingerprint: str
    count: int
    rate: float
    errors: int
    error_rate: float
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    latency_sum_ns: int
    statuses: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One workload at the other end, by protocol and Service, with its endpoints, the costliest first."""

    peer: EntityName
    protocol: str
    service: str
    port: int
    count: int
    rate: float
    errors: int
    error_rate: float
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    endpoints: list[EndpointStatistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Connections with one workload at the other end, on a port where no protocol was recognised."""

    peer: EntityName
    service: str
    port: int
    side: Side
    network: EdgeNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningPort:
    """A port whose queue held or dropped connections: `waiting` is the longest queue seen, `waiting_max` its limit."""

    port: int
    dropped: int
    waiting: int
    waiting_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDetails:
    """Everything about one workload in a time range; `series` is of what it served.

    `links_*` are the connections that belong to none of the peers; `listening` are ports with something to tell.
    """

    from_ms: int
    to_ms: int
    newest_ms: int | None
    resource: Resource
    summary: Summary
    series: Series
    incoming: list[Peer]
    outgoing: list[Peer]
    links_in: list[Link]
    links_out: list[Link]
    listening: list[ListeningPort]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnd(EntityName):
    """One end of a request."""

    pod: str
    ip: str
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request; `weight` is how many like it this row stands for.

    `latency_ns` runs to the first byte of the response, `transfer_ns` from there to its last (0: not known or at once).

    `fingerprint` is the template's, `raw` the path or statement with its values, empty unless the agent was told to
    send it.
    """

    time_ms: float
    role: Side
    protocol: str
    is_tls: bool
    source: RequestEnd
    target: RequestEnd
    server_port: int
    client_port: int
    method: str
    template: str
    fingerprint: str
    raw: str
    status: str
    is_error: bool
    latency_ns: int
    transfer_ns: int
    request_bytes: int
    response_bytes: int
    command: str
    pid: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    """Requests, the newest first; `next_cursor` continues where this page ends."""

    items: list[RequestRecord]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentQuality:
    """What one agent says of its own work in the last 15 minutes.

    `lost` counts requests that are missing from counts, by cause; `reduced` such as are counted but missing from the
    request list, or poorer there; `sampled` such as were left out of the list on purpose. `level` is what its governor
    gave up ("full": nothing), `missing` the features that are off or reduced, `unseen` processes of which some traffic
    cannot be seen, by command. `bpf_cores` is what its programs take in the kernel.
    """

    id: str
    node: str
    version: str
    started_ms: int
    last_seen_ms: int
    lag_ms: int
    seen: int
    seen_rate: float | None
    event_rate: float | None
    exported: int
    lost: dict[str, int]
    reduced: dict[str, int]
    sampled: int
    sample_every: int
    level: str
    cpu_cores: float | None
    bpf_cores: float | None
    rss_bytes: int
    queue_bytes: int
    spool_bytes: int
    export_error: str
    missing: list[str]
    unseen: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How far the data can be trusted right now; `lost`, `reduced` and `sampled` count the last 15 minutes."""

    agents: list[AgentQuality]
    agents_connected: int
    agents_expected: int
    lag_ms: int | None
    lost: int
    reduced: int
    sampled: int
    is_exact: bool
    newest_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Requests of the last 15 minutes that went missing by one cause; `effect` is counts, detail or choice."""

    cause: str
    effect: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFeature:
    """One thing that an agent does: on, reduced, off or unused, and why."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCost:
    """One of an agent's programs in the kernel and the cores it takes."""

    name: str
    cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorStep:
    """Detail that an agent's governor gave up or took back, and why."""

    time_ms: int
    before: str
    after: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeries:
    """An agent's figures over time; None stands where nothing is known."""

    step_ms: int
    times_ms: list[int]
    cpu_cores: list[float | None]
    bpf_cores: list[float | None]
    rss_bytes: list[int | None]
    lag_ms: list[int | None]
    seen_rate: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDetails:
    """Everything about one agent; `steps` and `series` are of the asked range, the newest step first."""

    agent: AgentQuality
    losses: list[Loss]
    features: list[AgentFeature]
    programs: list[ProgramCost]
    steps: list[GovernorStep]
    series: AgentSeries
