"""How far the data can be trusted right now: what the agents say of their own work."""

from __future__ import annotations

from collections.abc import Mapping

from osmia.model.ledger import Effect, effect_of
from osmia.server.query.answers import AgentQuality, Quality
from osmia.server.query.freshness import Freshness
from osmia.server.query.inventory import nodes_expected
from osmia.server.query.rows import integer, text
from osmia.server.storage.store import Row, Store

__all__ = ["CONNECTED_S", "agents_lately", "quality"]

CONNECTED_S = 30
"""An agent counts as connected when it was heard of within that many seconds."""

_LOOK_BACK_S = 15 * 60
_RATES_OVER_NS = 60 * 10**9
_AHEAD_NS = 5 * 10**9
_DETACHED = "detached"

# Counters run from an agent's start, so each start is a chapter of its own: what it lost is its last count less its
# first one in the window, or the whole count when the agent began inside the window. Rows from the future (of before
# the agent's clock was set back) wait until their time comes.
_SQL = """
SELECT agent, argMax(node, chapter_ns) AS node, argMax(version, chapter_ns) AS version, max(chapter_ns) AS last_ns,
    argMax(chapter_started_ns, chapter_ns) AS started_ns,
    argMax(lag, chapter_ns) AS lag_ns, argMax(seen, chapter_ns) AS seen, argMax(exported, chapter_ns) AS exported,
    argMax(rss, chapter_ns) AS rss_bytes, argMax(span, chapter_ns) AS span_ns, argMax(cpu, chapter_ns) AS cpu_ns,
    argMax(bpf, chapter_ns) AS bpf_ns, argMax(seen_lately, chapter_ns) AS seen_lately,
    argMax(events_lately, chapter_ns) AS events_lately, argMax(every, chapter_ns) AS sample_every,
    argMax(level, chapter_ns) AS level, argMax(queue, chapter_ns) AS queue_bytes,
    argMax(spool, chapter_ns) AS spool_bytes, argMax(error, chapter_ns) AS export_error,
    argMax(names, chapter_ns) AS features, argMax(states, chapter_ns) AS feature_states,
    argMax(unseen, chapter_ns) AS unseen_commands, argMax(unseen_n, chapter_ns) AS unseen_counts,
    max(was_detached) AS was_detached,
    sum(sampled_at_end - sampled_at_begin) AS sampled,
    sumMap(lost_at_end) AS lost_now, sumMap(lost_at_begin) AS lost_before
FROM (
    SELECT agent, l.started_ns AS chapter_started_ns, argMax(l.node, time_ns) AS node,
        argMax(l.version, time_ns) AS version, max(time_ns) AS chapter_ns, argMax(l.lag_ns, time_ns) AS lag,
        max(l.seen) AS seen, max(l.exported) AS exported, argMax(l.rss_bytes, time_ns) AS rss,
        maxIf(time_ns, time_ns >= {rates_from_ns:UInt64}) - minIf(time_ns, time_ns >= {rates_from_ns:UInt64}) AS span,
        maxIf(l.cpu_ns, time_ns >= {rates_from_ns:UInt64}) - minIf(l.cpu_ns, time_ns >= {rates_from_ns:UInt64}) AS cpu,
        maxIf(l.bpf_ns, time_ns >= {rates_from_ns:UInt64}) - minIf(l.bpf_ns, time_ns >= {rates_from_ns:UInt64}) AS bpf,
        maxIf(l.seen, time_ns >= {rates_from_ns:UInt64}) - minIf(l.seen, time_ns >= {rates_from_ns:UInt64})
            AS seen_lately,
        maxIf(l.events, time_ns >= {rates_from_ns:UInt64}) - minIf(l.events, time_ns >= {rates_from_ns:UInt64})
            AS events_lately,
        argMax(l.sample_every, time_ns) AS every, argMax(l.level, time_ns) AS level,
        argMax(l.queue_bytes, time_ns) AS queue, argMax(l.spool_bytes, time_ns) AS spool,
        argMax(l.export_error, time_ns) AS error, argMax(l.features, time_ns) AS names,
        argMax(l.feature_states, time_ns) AS states, argMax(l.unseen_commands, time_ns) AS unseen,
        argMax(l.unseen_counts, time_ns) AS unseen_n, max(l.level = {detached:String}) AS was_detached,
        max(l.sampled) AS sampled_at_end,
        if(l.started_ns >= {from_ns:UInt64}, 0, min(l.sampled)) AS sampled_at_begin,
        CAST(argMax(l.lost, time_ns), 'Map(String, UInt64)') AS lost_at_end,
        if(l.started_ns >= {from_ns:UInt64}, CAST(map(), 'Map(String, UInt64)'),
            CAST(argMin(l.lost, time_ns), 'Map(String, UInt64)')) AS lost_at_begin
    FROM ledger AS l
    WHERE cluster = {cluster:String} AND time_ns >= {from_ns:UInt64} AND time_ns <= {to_ns:UInt64}
        AND ({agent:String} = '' OR agent = {agent:String})
    GROUP BY agent, l.started_ns
) GROUP BY agent ORDER BY agent
"""


async def quality(store: Store, freshness: Freshness, *, cluster: str, now_ns: int) -> Quality:
    """The state of a cluster's data and agents; agents silent for 15 minutes are not listed."""
    rows = await _rows(store, cluster=cluster, agent="", now_ns=now_ns)
    agents = [_agent(row) for row in rows]
    connected = [agent for agent in agents if now_ns // 10**6 - agent.last_seen_ms <= CONNECTED_S * 1_000]
    expected = await nodes_expected(store, cluster=cluster, now_ns=now_ns) or len(agents)
    lost = sum(sum(agent.lost.values()) for agent in agents)
    was_blind = any(integer(row, "was_detached") for row in rows)
    return Quality(
        agents=agents,
        agents_connected=len(connected),
        agents_expected=expected,
        lag_ms=max((agent.lag_ms for agent in connected), default=None),
        lost=lost,
        reduced=sum(sum(agent.reduced.values()) for agent in agents),
        sampled=sum(agent.sampled for agent in agents),
        is_exact=lost == 0 and not was_blind and bool(connected) and len(connected) >= expected,
        newest_ms=freshness.newest_ns(cluster) // 10**6 or None,
    )


async def agents_lately(store: Store, *, cluster: str, agent: str, now_ns: int) -> AgentQuality | None:
    """One agent, as `quality` lists it; None if it was silent for 15 minutes."""
    rows = await _rows(store, cluster=cluster, agent=agent, now_ns=now_ns)
    return _agent(rows[0]) if rows else None


async def _rows(store: Store, *, cluster: str, agent: str, now_ns: int) -> list[Row]:
    parameters = {
        "cluster": cluster,
        "agent": agent,
        "from_ns": now_ns - _LOOK_BACK_S * 10**9,
        "to_ns": now_ns + _AHEAD_NS,
        "rates_from_ns": now_ns - _RATES_OVER_NS,
        "detached": _DETACHED,
    }
    return list(await store.query(_SQL, parameters))


def _agent(row: Row) -> AgentQuality:
    counts = _lost(row)
    span_s = integer(row, "span_ns") / 10**9

    def per_second(name: str) -> float | None:
        return integer(row, name) / span_s if span_s > 0 else None

    cpu_ns_per_s, bpf_ns_per_s = per_second("cpu_ns"), per_second("bpf_ns")
    return AgentQuality(
        id=text(row, "agent"),
        node=text(row, "node"),
        version=text(row, "version"),
        started_ms=integer(row, "started_ns") // 10**6,
        last_seen_ms=integer(row, "last_ns") // 10**6,
        lag_ms=integer(row, "lag_ns") // 10**6,
        seen=integer(row, "seen"),
        seen_rate=per_second("seen_lately"),
        event_rate=per_second("events_lately"),
        exported=integer(row, "exported"),
        lost={cause: count for cause, count in counts.items() if effect_of(cause) is Effect.COUNTS},
        reduced={cause: count for cause, count in counts.items() if effect_of(cause) is Effect.DETAIL},
        sampled=integer(row, "sampled"),
        sample_every=integer(row, "sample_every"),
        level=text(row, "level") or "full",
        cpu_cores=None if cpu_ns_per_s is None else cpu_ns_per_s / 10**9,
        # An idle machine still runs our programs now and then: no time at all means that it is not measured.
        bpf_cores=bpf_ns_per_s / 10**9 if bpf_ns_per_s else None,
        rss_bytes=integer(row, "rss_bytes"),
        queue_bytes=integer(row, "queue_bytes"),
        spool_bytes=integer(row, "spool_bytes"),
        export_error=text(row, "export_error"),
        missing=_missing(row),
        unseen=dict(zip(_texts(row, "unseen_commands"), _numbers(row, "unseen_counts"), strict=True)),
    )


def _lost(row: Row) -> Mapping[str, int]:
    now: dict[str, int] = dict(row["lost_now"])  # type: ignore[call-overload]  # Map(String, UInt64)
    before: dict[str, int] = dict(row["lost_before"])  # type: ignore[call-overload]  # same
    grown = {cause: count - before.get(cause, 0) for cause, count in sorted(now.items())}
    return {cause: count for cause, count in grown.items() if count > 0}


def _missing(row: Row) -> list[str]:
    pairs = zip(_texts(row, "features"), _texts(row, "feature_states"), strict=True)
    return [name for name, state in pairs if state in {"off", "reduced"}]


def _texts(row: Row, column: str) -> list[str]:
    return [str(value) for value in row[column]]  # type: ignore[attr-defined]  # Array(String)


def _numbers(row: Row, column: str) -> list[int]:
    return [int(value) for value in row[column]]  # type: ignore[attr-defined]  # Array(UInt64)
