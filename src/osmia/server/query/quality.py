"""How far the data can be trusted right now: what the agents say of their own work."""

from __future__ import annotations

from osmia.server.query.answers import AgentQuality, Quality
from osmia.server.query.freshness import Freshness
from osmia.server.query.inventory import nodes_expected
from osmia.server.query.rows import integer, text
from osmia.server.storage.store import Row, Store

__all__ = ["CONNECTED_S", "quality"]

CONNECTED_S = 30
"""An agent counts as connected when it was heard of within that many seconds."""

_LOOK_BACK_S = 15 * 60
_CPU_OVER_NS = 60 * 10**9

# Counters run from an agent's start, so each start is a chapter of its own: what it lost is its last count less its
# first one in the window, or the whole count when the agent began inside the window.
_SQL = """
SELECT agent, argMax(node, chapter_ns) AS node, argMax(version, chapter_ns) AS version, max(chapter_ns) AS last_ns,
    argMax(lag, chapter_ns) AS lag_ns, argMax(seen, chapter_ns) AS seen, argMax(exported, chapter_ns) AS exported,
    argMax(rss, chapter_ns) AS rss_bytes, argMax(cpu, chapter_ns) AS cpu_ns,
    argMax(cpu_span, chapter_ns) AS cpu_span_ns,
    sumMap(lost_at_end) AS lost_now, sumMap(lost_at_begin) AS lost_before
FROM (
    SELECT agent, started_ns, argMax(l.node, time_ns) AS node, argMax(l.version, time_ns) AS version,
        max(time_ns) AS chapter_ns, argMax(l.lag_ns, time_ns) AS lag, argMax(l.seen, time_ns) AS seen,
        argMax(l.exported, time_ns) AS exported, argMax(l.rss_bytes, time_ns) AS rss,
        maxIf(l.cpu_ns, time_ns >= {cpu_from_ns:UInt64}) - minIf(l.cpu_ns, time_ns >= {cpu_from_ns:UInt64}) AS cpu,
        maxIf(time_ns, time_ns >= {cpu_from_ns:UInt64}) - minIf(time_ns, time_ns >= {cpu_from_ns:UInt64}) AS cpu_span,
        CAST(argMax(l.lost, time_ns), 'Map(String, UInt64)') AS lost_at_end,
        if(started_ns >= {from_ns:UInt64}, CAST(map(), 'Map(String, UInt64)'),
            CAST(argMin(l.lost, time_ns), 'Map(String, UInt64)')) AS lost_at_begin
    FROM ledger AS l WHERE cluster = {cluster:String} AND time_ns >= {from_ns:UInt64} GROUP BY agent, started_ns
) GROUP BY agent ORDER BY agent
"""


async def quality(store: Store, freshness: Freshness, *, cluster: str, now_ns: int) -> Quality:
    """The state of a cluster's data and agents; agents silent for 15 minutes are not listed."""
    parameters = {
        "cluster": cluster,
        "from_ns": now_ns - _LOOK_BACK_S * 10**9,
        "cpu_from_ns": now_ns - _CPU_OVER_NS,
    }
    rows = await store.query(_SQL, parameters)
    agents = [_agent(row) for row in rows]
    connected = [agent for agent in agents if now_ns // 10**6 - agent.last_seen_ms <= CONNECTED_S * 1_000]
    expected = await nodes_expected(store, cluster=cluster, now_ns=now_ns) or len(agents)
    lost = sum(sum(agent.lost.values()) for agent in agents)
    return Quality(
        agents=agents,
        agents_connected=len(connected),
        agents_expected=expected,
        lag_ms=max((agent.lag_ms for agent in connected), default=None),
        lost=lost,
        is_exact=lost == 0 and bool(connected) and len(connected) >= expected,
        newest_ms=freshness.newest_ns(cluster) // 10**6 or None,
    )


def _agent(row: Row) -> AgentQuality:
    now: dict[str, int] = dict(row["lost_now"])  # type: ignore[call-overload]  # Map(String, UInt64)
    before: dict[str, int] = dict(row["lost_before"])  # type: ignore[call-overload]  # same
    lost = {cause: count - before.get(cause, 0) for cause, count in sorted(now.items())}
    span_ns = integer(row, "cpu_span_ns")
    return AgentQuality(
        id=text(row, "agent"),
        node=text(row, "node"),
        version=text(row, "version"),
        last_seen_ms=integer(row, "last_ns") // 10**6,
        lag_ms=integer(row, "lag_ns") // 10**6,
        seen=integer(row, "seen"),
        exported=integer(row, "exported"),
        lost={cause: count for cause, count in lost.items() if count > 0},
        cpu_cores=integer(row, "cpu_ns") / span_ns if span_ns > 0 else None,
        rss_bytes=integer(row, "rss_bytes"),
    )
