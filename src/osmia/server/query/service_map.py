"""The service map: every edge of a range with its figures, and every workload, the idle ones included.

Connections belong to the edge whose protocol is spoken on their port; those of no such edge are edges of their own,
with the protocol "tcp": databases that we do not parse, TLS, and connects that failed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import anyio

from osmia.server.query.answers import Edge, EdgeNetwork, Map, Node, ServicePort
from osmia.server.query.histogram import quantiles_sql
from osmia.server.query.inventory import Workload, workloads
from osmia.server.query.network import PortNetwork, network_of_edges, summed
from osmia.server.query.rows import entity_id, integer, quantile, services, text
from osmia.server.query.scope import Scope
from osmia.server.query.sides import preferred
from osmia.server.storage.store import Row

__all__ = ["edge_name", "service_map"]

_MAX_EDGES = 5_000
_TCP = "tcp"

_ENDS = """source_kind, source_namespace, source_name,
    destination_kind, destination_namespace, destination_name"""


def _sql(scope: Scope) -> str:
    # LIMIT BY runs after the windows of its own level: ports see both ends of an edge, node_h only the chosen one.
    return f"""
    SELECT edge_id, role, protocol, {_ENDS}, is_tls, ports, n, errors, request_bytes, response_bytes,
        first_ns, last_ns, {quantiles_sql("h")} AS q, {quantiles_sql("node_h", (0.95,))} AS node_q
    FROM (
        SELECT *, sumMap(h) OVER (PARTITION BY destination_kind, destination_namespace, destination_name) AS node_h
        FROM (
            SELECT *, groupUniqArrayArray(side_ports) OVER (PARTITION BY edge_id) AS ports FROM (
                SELECT edge_id, role, protocol, {_ENDS}, max(e.is_tls) AS is_tls,
                    groupUniqArray(20)((destination_service, server_port)) AS side_ports,
                    sum(e.n) AS n, sum(e.errors) AS errors,
                    sum(e.request_bytes) AS request_bytes, sum(e.response_bytes) AS response_bytes,
                    min(e.first_ns) AS first_ns, max(e.last_ns) AS last_ns, sumMap(e.hist) AS h
                FROM {scope.edges} AS e GROUP BY edge_id, role, protocol, {_ENDS}
            )
            {preferred("n")}
        )
    )
    ORDER BY n DESC LIMIT {_MAX_EDGES}
    """  # noqa: S608 - made of constants; values are bound


async def service_map(scope: Scope) -> Map:
    """The map of one cluster."""
    rows: Sequence[Row] = ()
    known: Mapping[str, Workload] = {}
    networks: Sequence[PortNetwork] = ()

    async def read_edges() -> None:
        nonlocal rows
        rows = await scope.read(_sql(scope))

    async def read_networks() -> None:
        nonlocal networks
        networks = await network_of_edges(scope)

    async def read_workloads() -> None:
        nonlocal known
        known = await workloads(scope)

    async with anyio.create_task_group() as group:
        group.start_soon(read_edges)
        group.start_soon(read_networks)
        group.start_soon(read_workloads)
    under = _Under(networks)
    edges = [_edge(row, scope, under) for row in rows]
    unspoken = under.rest()
    return Map(
        from_ms=scope.span.from_s * 1_000,
        to_ms=scope.span.to_s * 1_000,
        newest_ms=scope.newest_ms,
        nodes=_nodes([*rows, *(one.row for one in unspoken)], edges, known),
        edges=[*edges, *_tcp_edges(unspoken)],
    )


def edge_name(edge_id: int) -> str:
    """An edge's id in URLs."""
    return f"{edge_id:016x}"


class _Under:
    """Connections by pair of workloads and port, until an edge takes them."""

    def __init__(self, networks: Sequence[PortNetwork]) -> None:
        self._ports: dict[tuple[str, str], dict[int, PortNetwork]] = defaultdict(dict)
        for one in networks:
            self._ports[one.source, one.target][one.port] = one
        self._taken: set[tuple[str, str, int]] = set()

    def of(self, source: str, target: str, ports: Sequence[ServicePort]) -> EdgeNetwork | None:
        """The figures of these ports together, taken by an edge."""
        known = self._ports.get((source, target), {})
        numbers = {one.port for one in ports} & set(known)
        self._taken |= {(source, target, number) for number in numbers}
        return summed([known[number].network for number in sorted(numbers)])

    def rest(self) -> list[PortNetwork]:
        """What no edge has taken."""
        everything = [one for ports in self._ports.values() for one in ports.values()]
        return [one for one in everything if (one.source, one.target, one.port) not in self._taken]


def _tcp_edges(networks: Sequence[PortNetwork]) -> list[Edge]:
    pairs: dict[tuple[str, str], list[PortNetwork]] = defaultdict(list)
    for one in networks:
        pairs[one.source, one.target].append(one)
    return [_tcp_edge(source, target, ports) for (source, target), ports in list(pairs.items())[:_MAX_EDGES]]


def _tcp_edge(source: str, target: str, ports: Sequence[PortNetwork]) -> Edge:
    network = summed([one.network for one in ports]) or ports[0].network
    count = network.opened + network.failed
    return Edge(
        id=edge_name(ports[0].edge_id),
        source=source,
        target=target,
        protocol=_TCP,
        is_tls=False,
        services=services({(one.service, one.port) for one in ports}),
        side=ports[0].side,
        count=count,
        rate=network.rate,
        errors=network.failed,
        error_rate=network.failed / count if count else 0.0,
        p50_ns=network.connect_p50_ns,
        p95_ns=network.connect_p95_ns,
        p99_ns=network.connect_p99_ns,
        request_bytes=network.client_bytes,
        response_bytes=network.server_bytes,
        request_bytes_rate=network.client_bytes_rate,
        response_bytes_rate=network.server_bytes_rate,
        first_ms=network.first_ms,
        last_ms=network.last_ms,
        network=network,
    )


def _edge(row: Row, scope: Scope, under: _Under) -> Edge:
    count, errors = integer(row, "n"), integer(row, "errors")
    first_ns, last_ns = integer(row, "first_ns"), integer(row, "last_ns")
    seconds = scope.seconds_covered(first_ns=first_ns, last_ns=last_ns)
    sent, received = integer(row, "request_bytes"), integer(row, "response_bytes")
    source, target = entity_id(row, "source"), entity_id(row, "destination")
    ports = services(row["ports"])  # type: ignore[arg-type]  # Array(Tuple(String, UInt16))
    return Edge(
        id=edge_name(integer(row, "edge_id")),
        source=source,
        target=target,
        protocol=text(row, "protocol"),
        is_tls=bool(row["is_tls"]),
        services=ports,
        side="server" if row["role"] == "server" else "client",
        count=count,
        rate=count / seconds,
        errors=errors,
        error_rate=errors / count if count else 0.0,
        p50_ns=quantile(row, "q", 0),
        p95_ns=quantile(row, "q", 1),
        p99_ns=quantile(row, "q", 2),
        request_bytes=sent,
        response_bytes=received,
        request_bytes_rate=sent / seconds,
        response_bytes_rate=received / seconds,
        first_ms=first_ns // 10**6,
        last_ms=last_ns // 10**6,
        network=under.of(source, target, ports),
    )


def _nodes(rows: Sequence[Row], edges: Sequence[Edge], known: Mapping[str, Workload]) -> list[Node]:
    names: dict[str, tuple[str, str, str]] = {}
    p95_in_ns: dict[str, int | None] = {}
    incoming: dict[str, list[Edge]] = defaultdict(list)
    for row in rows:
        for end in ("source", "destination"):
            parts = (text(row, f"{end}_kind"), text(row, f"{end}_namespace"), text(row, f"{end}_name"))
            names[entity_id(row, end)] = parts
    for row, edge in zip(rows, edges, strict=False):  # what follows the edges' rows has ends, but no requests
        incoming[edge.target].append(edge)
        p95_in_ns[edge.target] = quantile(row, "node_q", 0)
    busy = set(names)
    names |= {w.id: (w.kind, w.namespace, w.name) for w in known.values() if w.is_listed_idle and w.id not in busy}
    nodes = []
    for entity, (kind, namespace, name) in sorted(names.items()):
        workload, served = known.get(entity), incoming.get(entity, [])
        count = sum(edge.count for edge in served)
        nodes.append(
            Node(
                id=entity,
                kind=kind,
                namespace=namespace,
                name=name,
                pods_ready=workload.pods_ready if workload else None,
                pods_desired=workload.pods_desired if workload else None,
                rate_in=sum((edge.rate for edge in served), 0.0),
                error_rate_in=sum(edge.errors for edge in served) / count if count else None,
                p95_in_ns=p95_in_ns.get(entity),
                is_idle=entity not in busy,
            )
        )
    return nodes
