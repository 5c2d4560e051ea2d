"""What the connections under the edges did: connects and their failures, round trips, retransmits, resets, bytes.

Both ends of a connection count it, so one is chosen per pair of workloads and port: the one that saw more, the client
where both saw the same. Failed connects and the time a connect took are known to the client alone; retransmits are
each end's own and are added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from osmia.server.query.answers import EdgeNetwork, NetworkDetails, NetworkPort, NetworkSeries, Side
from osmia.server.query.histogram import quantiles_sql
from osmia.server.query.rows import entity_id, integer, quantile, text
from osmia.server.query.scope import Scope
from osmia.server.query.series import KnownSpan, known_seconds, step_length_s
from osmia.server.storage.store import Row

__all__ = ["FAILURES", "PortNetwork", "edge_network", "network_of_edges", "summed"]

FAILURES = ("refused", "timed_out", "unreachable", "failed_otherwise")
"""Why connects fail, worst told first."""

_MAX_ROWS = 20_000

_ENDS = """source_kind, source_namespace, source_name,
    destination_kind, destination_namespace, destination_name"""

_FIGURES = f"""sum(k.opened) AS opened, sum(k.closed) AS closed,
    {", ".join(f"sum(k.{name}) AS {name}" for name in FAILURES)}, sum(k.cancelled) AS cancelled,
    sum(k.active_ms) AS active_ms, sum(k.client_bytes) AS client_bytes, sum(k.server_bytes) AS server_bytes,
    sum(k.segments) AS segments, sum(k.retransmits) AS retransmits, sum(k.client_resets) AS client_resets,
    sum(k.server_resets) AS server_resets, sum(k.rtt_sum_ns) AS rtt_sum_ns,
    min(k.first_ns) AS first_ns, max(k.last_ns) AS last_ns,
    sumMap(k.connect_hist) AS connect_h, sumMap(k.rtt_hist) AS rtt_h,
    {quantiles_sql("connect_h")} AS connect_q, {quantiles_sql("rtt_h")} AS rtt_q,
    arraySum(mapValues(rtt_h)) AS rtt_count"""


@dataclass(frozen=True, slots=True)
class PortNetwork:
    """Figures of one pair of workloads and port, and what it takes to make an edge of it."""

    edge_id: int
    row: Row
    source: str
    target: str
    service: str
    port: int
    side: Side
    network: EdgeNetwork


async def network_of_edges(
    scope: Scope, condition: str = "1", values: Mapping[str, object] | None = None
) -> list[PortNetwork]:
    """Figures of every pair of workloads and port of the range, or of those that fulfil a condition."""
    rows = await scope.read(
        f"""
        SELECT any(k.edge_id) AS edge_id, role, {_ENDS}, max(destination_service) AS service, server_port, {_FIGURES}
        FROM {scope.connections} AS k WHERE {condition} GROUP BY {_ENDS}, server_port, role
        ORDER BY opened + refused + timed_out + unreachable + failed_otherwise DESC LIMIT {_MAX_ROWS}
        """,  # noqa: S608 - made of constants; values are bound
        values,
    )
    return _ports(rows, scope)


async def edge_network(scope: Scope, *, edge_id: int, points: int) -> NetworkDetails | None:
    """The network under one edge of the map, over time; None where the edge was never seen."""
    condition = await _condition(scope, edge_id)
    if condition is None:
        return None
    where, bound = condition
    rows = await scope.read(
        f"""
        SELECT any(k.edge_id) AS edge_id, role, {_ENDS}, max(destination_service) AS service, server_port, {_FIGURES}
        FROM {scope.connections} AS k WHERE {where} GROUP BY {_ENDS}, server_port, role
        """,  # noqa: S608 - made of constants; values are bound
        bound,
    )
    ports = _ports(rows, scope)
    return NetworkDetails(
        from_ms=scope.span.from_s * 1_000,
        to_ms=scope.span.to_s * 1_000,
        total=summed([one.network for one in ports]),
        ports=[NetworkPort(service=one.service, port=one.port, side=one.side, network=one.network) for one in ports],
        series=await _series(scope, where, bound, points=points, ports=ports),
    )


def summed(networks: Sequence[EdgeNetwork]) -> EdgeNetwork | None:
    """Figures of several ports together; quantiles are those of the port with most connects."""
    if not networks:
        return None
    busiest = max(networks, key=lambda one: one.opened + one.failed)
    failures: dict[str, int] = defaultdict(int)
    for one in networks:
        for cause, count in one.failures.items():
            failures[cause] += count
    sums: dict[str, float] = {name: sum(getattr(one, name) for one in networks) for name in _ADDED}
    return replace(
        busiest,
        **sums,  # type: ignore[arg-type]  # each sum has the type of its field
        failures=dict(failures),
        retransmit_share=_share(int(sums["retransmits"]), int(sums["segments"])),
        first_ms=min(one.first_ms for one in networks),
        last_ms=max(one.last_ms for one in networks),
    )


_ADDED = (
    "opened",
    "closed",
    "failed",
    "rate",
    "cancelled",
    "active",
    "client_bytes",
    "server_bytes",
    "client_bytes_rate",
    "server_bytes_rate",
    "segments",
    "retransmits",
    "client_resets",
    "server_resets",
)


def _ports(rows: Sequence[Row], scope: Scope) -> list[PortNetwork]:
    sides: dict[tuple[str, str, int], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        key = (entity_id(row, "source"), entity_id(row, "destination"), integer(row, "server_port"))
        sides[key][text(row, "role")] = row
    found = []
    for (source, target, port), seen in sides.items():
        chosen, side = _chosen(seen)
        found.append(
            PortNetwork(
                edge_id=integer(chosen, "edge_id"),
                row=chosen,
                source=source,
                target=target,
                service=max(text(row, "service") for row in seen.values()),
                port=port,
                side=side,
                network=_network(chosen, seen, scope),
            )
        )
    return found


def _chosen(seen: Mapping[str, Row]) -> tuple[Row, Side]:
    client, server = seen.get("client"), seen.get("server")
    if client is None or (server is not None and _weight(server) > _weight(client)):
        return server or seen["client"], "server"
    return client, "client"


def _weight(row: Row) -> tuple[int, int]:
    return integer(row, "opened"), integer(row, "closed")


def _network(chosen: Row, seen: Mapping[str, Row], scope: Scope) -> EdgeNetwork:
    connecting = seen.get("client", chosen)
    failures = {name: integer(connecting, name) for name in FAILURES}
    first_ns = min(integer(row, "first_ns") for row in seen.values())
    last_ns = max(integer(row, "last_ns") for row in seen.values())
    seconds = scope.seconds_covered(first_ns=first_ns, last_ns=last_ns)
    opened, failed = integer(chosen, "opened"), sum(failures.values())
    retransmits, segments = _over(seen.values(), "retransmits"), _over(seen.values(), "segments")
    trips = integer(chosen, "rtt_count")
    return EdgeNetwork(
        opened=opened,
        closed=integer(chosen, "closed"),
        failed=failed,
        failures={name: count for name, count in failures.items() if count},
        cancelled=integer(connecting, "cancelled"),
        rate=(opened + failed) / seconds,
        active=integer(chosen, "active_ms") / 1_000 / seconds,
        connect_p50_ns=quantile(connecting, "connect_q", 0),
        connect_p95_ns=quantile(connecting, "connect_q", 1),
        connect_p99_ns=quantile(connecting, "connect_q", 2),
        rtt_mean_ns=integer(chosen, "rtt_sum_ns") // trips if trips else None,
        rtt_p95_ns=quantile(chosen, "rtt_q", 1),
        client_bytes=integer(chosen, "client_bytes"),
        server_bytes=integer(chosen, "server_bytes"),
        client_bytes_rate=integer(chosen, "client_bytes") / seconds,
        server_bytes_rate=integer(chosen, "server_bytes") / seconds,
        segments=segments,
        retransmits=retransmits,
        retransmit_share=_share(retransmits, segments),
        client_resets=integer(chosen, "client_resets"),
        server_resets=integer(chosen, "server_resets"),
        first_ms=first_ns // 10**6,
        last_ms=last_ns // 10**6,
    )


def _over(rows: Iterable[Row], column: str) -> int:
    return sum(integer(row, column) for row in rows)


def _share(retransmits: int, segments: int) -> float | None:
    """Of what was sent; a repeated SYN is no segment with payload, so there may be more repeated than sent."""
    return min(1.0, retransmits / segments) if segments else None


async def _condition(scope: Scope, edge_id: int) -> tuple[str, dict[str, object]] | None:
    """Which connections are under an edge: those of its ports, or of "tcp" those that no other edge has."""
    ends = " AND ".join(f"{name} = {{{name}:String}}" for name in _END_COLUMNS)
    bound: dict[str, object] = {"edge_id": edge_id}
    for table, ports in ((scope.edges, "IN"), (scope.connections, "NOT IN")):
        found = await scope.read(f"SELECT {_ENDS} FROM {table} WHERE edge_id = {{edge_id:UInt64}} LIMIT 1", bound)  # noqa: S608 - made of constants
        if found:
            spoken = f"SELECT server_port FROM {scope.edges} WHERE {ends}"  # noqa: S608 - same
            if ports == "IN":
                spoken += " AND edge_id = {edge_id:UInt64}"
            return f"{ends} AND server_port {ports} ({spoken})", bound | {n: found[0][n] for n in _END_COLUMNS}
    return None


_END_COLUMNS = tuple(f"{end}_{part}" for end in ("source", "destination") for part in ("kind", "namespace", "name"))


async def _series(
    scope: Scope, where: str, bound: Mapping[str, object], *, points: int, ports: Sequence[PortNetwork]
) -> NetworkSeries:
    step_s = step_length_s(scope.span, points)
    rows = await scope.read(
        f"""
        SELECT intDiv(toUnixTimestamp(k.t), {step_s}) * {step_s} AS start, role, {_FIGURES}
        FROM {scope.connections} AS k WHERE {where} GROUP BY start, role
        """,  # noqa: S608 - made of constants; values are bound
        bound,
    )
    side = max(ports, key=lambda one: one.network.opened).side if ports else "client"
    chosen = {integer(row, "start"): row for row in rows if text(row, "role") == side}
    clients = {integer(row, "start"): row for row in rows if text(row, "role") == "client"}
    starts = list(range(scope.span.from_s // step_s * step_s, scope.span.to_s, step_s))
    first_ns = min((integer(row, "first_ns") for row in rows), default=0)
    newest_ns = max([scope.newest_ns, *(integer(row, "last_ns") for row in rows)])
    known = KnownSpan(first_ns, newest_ns)
    seconds = [known_seconds(start, step_s, span=scope.span, known=known) for start in starts]

    def rate(columns: Sequence[str], of: Mapping[int, Row]) -> list[float | None]:
        return [
            None if s is None else sum(integer(of[start], name) for name in columns) / s if start in of else 0.0
            for start, s in zip(starts, seconds, strict=True)
        ]

    return NetworkSeries(
        step_ms=step_s * 1_000,
        times_ms=[start * 1_000 for start in starts],
        opened_rate=rate(("opened",), chosen),
        failed_rate=rate(FAILURES, clients),
        active=[None if one is None else one / 1_000 for one in rate(("active_ms",), chosen)],
        connect_p95_ns=[quantile(clients[start], "connect_q", 1) if start in clients else None for start in starts],
        rtt_p95_ns=[quantile(chosen[start], "rtt_q", 1) if start in chosen else None for start in starts],
        retransmit_rate=rate(("retransmits",), chosen),
        client_bytes_rate=rate(("client_bytes",), chosen),
        server_bytes_rate=rate(("server_bytes",), chosen),
    )
