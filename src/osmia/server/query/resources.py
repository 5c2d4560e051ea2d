"""One workload in detail: what it serves and whom it calls, by peer and endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from osmia.model.request import fingerprint
from osmia.server.query.answers import (
    EndpointStatistics,
    EntityName,
    Link,
    ListeningPort,
    Peer,
    Resource,
    ResourceDetails,
    Summary,
)
from osmia.server.query.histogram import quantiles_sql
from osmia.server.query.inventory import WorkloadDetails, workload_details
from osmia.server.query.network import PortNetwork, network_of_edges
from osmia.server.query.rows import entity_id, integer, quantile, services, text
from osmia.server.query.scope import Scope
from osmia.server.query.series import Course, course_of
from osmia.server.storage.store import Row

__all__ = ["ResourceName", "resource_details"]

_ENDPOINTS_PER_PEER = 50
_MAX_PEERS = 500
_POINTS = 60

_IS_TARGET = (
    "destination_kind = {kind:String} AND destination_namespace = {namespace:String}"
    " AND destination_name = {name:String}"
)
_IS_SOURCE = "source_kind = {kind:String} AND source_namespace = {namespace:String} AND source_name = {name:String}"

_ON_IT = f"(({_IS_TARGET}) OR ({_IS_SOURCE}))"

_ENDS = """edge_id, protocol, source_kind, source_namespace, source_name,
    destination_kind, destination_namespace, destination_name"""

_FIGURES = """sum(e.n) AS n, sum(e.errors) AS errors, sum(e.latency_sum) AS latency_sum, min(e.first_ns) AS first_ns,
    max(e.last_ns) AS last_ns, sumMap(e.hist) AS h"""


@dataclass(frozen=True, slots=True)
class ResourceName:
    """The workload asked about."""

    kind: str
    namespace: str
    name: str

    @property
    def id(self) -> str:
        """kind/namespace/name."""
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def parameters(self) -> dict[str, object]:
        """As bound values."""
        return {"kind": self.kind, "namespace": self.namespace, "name": self.name}


def _peers_sql(scope: Scope) -> str:
    return f"""
    SELECT {_ENDS}, destination_service, server_port, ports, n, errors, latency_sum, first_ns, last_ns,
        {quantiles_sql("h")} AS q
    FROM (
        SELECT *, groupUniqArray(20)((destination_service, server_port)) OVER (PARTITION BY edge_id) AS ports FROM (
            SELECT {_ENDS}, role, destination_service, server_port, {_FIGURES}
            FROM {scope.edges} AS e WHERE {_ON_IT}
            GROUP BY {_ENDS}, role, destination_service, server_port
        )
    )
    WHERE (edge_id, role) IN ({scope.choice(_ON_IT)})
    ORDER BY latency_sum DESC LIMIT {_MAX_PEERS}
    """  # noqa: S608 - made of constants; values are bound


def _endpoints_sql(scope: Scope) -> str:
    return f"""
    SELECT edge_id, destination_service, server_port, method, template, sum(n) AS count, sum(errors) AS failed,
        sum(latency_sum) AS latency, sumMap(h) AS all_h, {quantiles_sql("all_h")} AS q,
        groupArray((status, n)) AS statuses
    FROM (
        SELECT edge_id, destination_service, server_port, method, template, status, {_FIGURES}
        FROM {scope.endpoints} AS e WHERE {_ON_IT} AND (edge_id, role) IN ({scope.choice(_ON_IT)})
        GROUP BY edge_id, destination_service, server_port, method, template, status
    )
    GROUP BY edge_id, destination_service, server_port, method, template
    ORDER BY latency DESC LIMIT {_ENDPOINTS_PER_PEER} BY edge_id, destination_service, server_port
    """  # noqa: S608 - same


async def resource_details(scope: Scope, resource: ResourceName) -> ResourceDetails | None:
    """The workload's details, or None when neither traffic nor the cluster's objects know it."""
    peers: _Peers = _Peers([], [])
    workload = WorkloadDetails(None, None, [])
    course: Course | None = None
    ports: Sequence[PortNetwork] = ()
    listening: list[ListeningPort] = []

    async def read_workload() -> None:
        nonlocal workload
        workload = await workload_details(scope, resource.parameters)

    async def read_course() -> None:
        nonlocal course
        course = await course_of(scope, points=_POINTS, condition=_IS_TARGET, values=resource.parameters)

    async def read_peers() -> None:
        nonlocal peers
        peers = await _read_peers(scope, resource)

    async def read_connections() -> None:
        nonlocal ports
        ports = await network_of_edges(scope, _ON_IT, resource.parameters)

    async def read_listening() -> None:
        nonlocal listening
        listening = await _read_listening(scope, resource)

    async with anyio.create_task_group() as group:
        for read in (read_workload, read_course, read_peers, read_connections, read_listening):
            group.start_soon(read)
    if course is None or not (peers.incoming or peers.outgoing or ports or workload.pods_desired is not None):
        return None
    details = _details(scope, resource, workload=workload, course=course, peers=peers)
    links_in, links_out = _links(ports, resource, peers)
    return replace(
        details,
        resource=replace(details.resource, is_idle=details.resource.is_idle and not ports),
        links_in=links_in,
        links_out=links_out,
        listening=listening,
    )


def _links(ports: Sequence[PortNetwork], resource: ResourceName, peers: _Peers) -> tuple[list[Link], list[Link]]:
    """Connections on ports that no peer speaks on, incoming and outgoing."""
    spoken = [{(peer.peer.id, peer.port) for peer in side} for side in (peers.incoming, peers.outgoing)]
    incoming = [one for one in ports if one.target == resource.id and (one.source, one.port) not in spoken[0]]
    outgoing = [one for one in ports if one.source == resource.id and (one.target, one.port) not in spoken[1]]
    return [_link(one, one.source) for one in incoming], [_link(one, one.target) for one in outgoing]


def _link(one: PortNetwork, peer: str) -> Link:
    kind, namespace, name = peer.split("/", 2)
    return Link(
        peer=EntityName(id=peer, kind=kind, namespace=namespace, name=name),
        service=one.service,
        port=one.port,
        side=one.side,
        network=one.network,
    )


async def _read_listening(scope: Scope, resource: ResourceName) -> list[ListeningPort]:
    rows = await scope.read(
        """
        SELECT port, sum(q.dropped) AS dropped, max(q.waiting) AS waiting, max(q.waiting_max) AS waiting_max
        FROM listeners AS q
        WHERE cluster = {cluster:String} AND t >= {from_s:UInt32} AND t < {to_s:UInt32}
            AND kind = {kind:String} AND namespace = {namespace:String} AND name = {name:String}
        GROUP BY port ORDER BY dropped DESC, port LIMIT 100
        """,
        resource.parameters,
    )
    return [
        ListeningPort(
            port=integer(row, "port"),
            dropped=integer(row, "dropped"),
            waiting=integer(row, "waiting"),
            waiting_max=integer(row, "waiting_max"),
        )
        for row in rows
    ]


def _details(
    scope: Scope, resource: ResourceName, *, workload: WorkloadDetails, course: Course, peers: _Peers
) -> ResourceDetails:
    rate = sum((peer.rate for peer in peers.incoming), 0.0)
    totals = course.totals
    error_rate = totals.errors / totals.count if totals.count else None
    return ResourceDetails(
        from_ms=scope.span.from_s * 1_000,
        to_ms=scope.span.to_s * 1_000,
        newest_ms=scope.newest_ms,
        resource=Resource(
            id=resource.id,
            kind=resource.kind,
            namespace=resource.namespace,
            name=resource.name,
            pods_ready=workload.pods_ready,
            pods_desired=workload.pods_desired,
            rate_in=rate,
            error_rate_in=error_rate,
            p95_in_ns=totals.p95_ns,
            is_idle=not (peers.incoming or peers.outgoing),
            pods=workload.pods,
        ),
        summary=Summary(
            rate=rate,
            error_rate=error_rate,
            p50_ns=totals.p50_ns,
            p95_ns=totals.p95_ns,
            p99_ns=totals.p99_ns,
            count=totals.count,
            errors=totals.errors,
        ),
        series=course.series,
        incoming=peers.incoming,
        outgoing=peers.outgoing,
        links_in=[],
        links_out=[],
        listening=[],
    )


_PeerKey = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class _Peers:
    """Both directions; who calls itself is in both."""

    incoming: list[Peer]
    outgoing: list[Peer]


async def _read_peers(scope: Scope, resource: ResourceName) -> _Peers:
    """Peers of the workload, the costliest first."""
    rows = await scope.read(_peers_sql(scope), resource.parameters)
    endpoints: dict[_PeerKey, list[Row]] = defaultdict(list)
    for row in await scope.read(_endpoints_sql(scope), resource.parameters):
        endpoints[_key(row)].append(row)
    of_edge: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        of_edge[integer(row, "edge_id")].append(row)
    seconds = {
        edge_id: scope.seconds_covered(
            first_ns=min(integer(row, "first_ns") for row in found),
            last_ns=max(integer(row, "last_ns") for row in found),
        )
        for edge_id, found in of_edge.items()
    }

    def peers(own_end: str, other_end: str) -> list[Peer]:
        return [
            _peer(row, other_end, seconds[integer(row, "edge_id")], endpoints[_key(row)])
            for row in rows
            if entity_id(row, own_end) == resource.id
        ]

    return _Peers(incoming=peers("destination", "source"), outgoing=peers("source", "destination"))


def _key(row: Row) -> _PeerKey:
    return integer(row, "edge_id"), text(row, "destination_service"), integer(row, "server_port")


def _peer(row: Row, other_end: str, seconds: float, endpoints: Sequence[Row]) -> Peer:
    count, errors = integer(row, "n"), integer(row, "errors")
    return Peer(
        peer=EntityName(
            id=entity_id(row, other_end),
            kind=text(row, f"{other_end}_kind"),
            namespace=text(row, f"{other_end}_namespace"),
            name=text(row, f"{other_end}_name"),
        ),
        protocol=text(row, "protocol"),
        service=_service(row),
        port=integer(row, "server_port"),
        count=count,
        rate=count / seconds,
        errors=errors,
        error_rate=errors / count if count else 0.0,
        p50_ns=quantile(row, "q", 0),
        p95_ns=quantile(row, "q", 1),
        p99_ns=quantile(row, "q", 2),
        endpoints=[_endpoint(one, seconds) for one in endpoints],
    )


def _service(row: Row) -> str:
    """The Service of a peer; the server's side cannot always tell, so ask what the client's side saw on this port."""
    own = text(row, "destination_service")
    if own:
        return own
    pairs: list[tuple[str, int]] = list(row["ports"])  # type: ignore[call-overload]  # Array(Tuple(String, UInt16))
    named = {one.name for one in services(pairs) if one.port == integer(row, "server_port")}
    return named.pop() if len(named) == 1 else ""


def _endpoint(row: Row, seconds: float) -> EndpointStatistics:
    count, errors = integer(row, "count"), integer(row, "failed")
    statuses: list[tuple[str, int]] = list(row["statuses"])  # type: ignore[call-overload]  # Array(Tuple(String, UInt64))
    return EndpointStatistics(
        method=text(row, "method"),
        template=text(row, "template"),
        fingerprint=fingerprint(text(row, "template")),
        count=count,
        rate=count / seconds,
        errors=errors,
        error_rate=errors / count if count else 0.0,
        p50_ns=quantile(row, "q", 0),
        p95_ns=quantile(row, "q", 1),
        p99_ns=quantile(row, "q", 2),
        latency_sum_ns=integer(row, "latency"),
        statuses=dict(sorted(statuses)),
    )
