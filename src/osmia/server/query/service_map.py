"""The service map: every edge of a range with its figures, and every workload, the idle ones included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import anyio

from osmia.server.query.answers import Edge, Map, Node
from osmia.server.query.histogram import quantiles_sql
from osmia.server.query.inventory import Workload, workloads
from osmia.server.query.rows import entity_id, integer, quantile, services, text
from osmia.server.query.scope import Scope
from osmia.server.query.sides import preferred
from osmia.server.storage.store import Row

__all__ = ["edge_name", "service_map"]

_MAX_EDGES = 5_000

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

    async def read_edges() -> None:
        nonlocal rows
        rows = await scope.read(_sql(scope))

    async def read_workloads() -> None:
        nonlocal known
        known = await workloads(scope)

    async with anyio.create_task_group() as group:
        group.start_soon(read_edges)
        group.start_soon(read_workloads)
    edges = [_edge(row, scope) for row in rows]
    return Map(
        from_ms=scope.span.from_s * 1_000,
        to_ms=scope.span.to_s * 1_000,
        newest_ms=scope.newest_ms,
        nodes=_nodes(rows, edges, known),
        edges=edges,
    )


def edge_name(edge_id: int) -> str:
    """An edge's id in URLs."""
    return f"{edge_id:016x}"


def _edge(row: Row, scope: Scope) -> Edge:
    count, errors = integer(row, "n"), integer(row, "errors")
    first_ns, last_ns = integer(row, "first_ns"), integer(row, "last_ns")
    seconds = scope.seconds_covered(first_ns=first_ns, last_ns=last_ns)
    sent, received = integer(row, "request_bytes"), integer(row, "response_bytes")
    return Edge(
        id=edge_name(integer(row, "edge_id")),
        source=entity_id(row, "source"),
        target=entity_id(row, "destination"),
        protocol=text(row, "protocol"),
        is_tls=bool(row["is_tls"]),
        services=services(row["ports"]),  # type: ignore[arg-type]  # Array(Tuple(String, UInt16))
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
    )


def _nodes(rows: Sequence[Row], edges: Sequence[Edge], known: Mapping[str, Workload]) -> list[Node]:
    names: dict[str, tuple[str, str, str]] = {}
    p95_in_ns: dict[str, int | None] = {}
    incoming: dict[str, list[Edge]] = defaultdict(list)
    for row, edge in zip(rows, edges, strict=True):
        for end, entity in (("source", edge.source), ("destination", edge.target)):
            names[entity] = (text(row, f"{end}_kind"), text(row, f"{end}_namespace"), text(row, f"{end}_name"))
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
