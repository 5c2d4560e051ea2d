"""One agent in detail: losses in words, features and why they are off, cost over time, the governor's steps."""

from __future__ import annotations

from itertools import pairwise

from osmia.model.ledger import Effect, effect_of, meaning_of
from osmia.server.query.answers import (
    AgentDetails,
    AgentFeature,
    AgentQuality,
    AgentSeries,
    GovernorStep,
    Loss,
    ProgramCost,
)
from osmia.server.query.quality import agents_lately
from osmia.server.query.ranges import TimeRange
from osmia.server.query.rows import integer, text
from osmia.server.storage.store import Row, Store

__all__ = ["agent_details"]

_POINTS = 120
_LEAST_STEP_S = 10
_STEPS_MAX = 200

_SERIES = """
SELECT intDiv(time_ns, {step_ns:UInt64}) AS at, started_ns, max(time_ns) AS last_ns, max(cpu_ns) AS cpu,
    max(bpf_ns) AS bpf, max(seen) AS seen_now, max(rss_bytes) AS rss, max(lag_ns) AS lag
FROM ledger
WHERE cluster = {cluster:String} AND agent = {agent:String}
    AND time_ns >= {from_ns:UInt64} AND time_ns < {to_ns:UInt64}
GROUP BY at, started_ns ORDER BY at, started_ns
"""

_STEPS = """
SELECT DISTINCT at_ns, before, after, cause FROM ledger
ARRAY JOIN step_ns AS at_ns, step_from AS before, step_to AS after, step_causes AS cause
WHERE cluster = {cluster:String} AND agent = {agent:String}
    AND time_ns >= {from_ns:UInt64} AND time_ns < {to_ns:UInt64}
ORDER BY at_ns DESC LIMIT {limit:UInt32}
"""

_NOW = """
SELECT features, feature_states, feature_reasons, bpf_programs, bpf_program_ns, started_ns, time_ns FROM ledger
WHERE cluster = {cluster:String} AND agent = {agent:String}
    AND time_ns >= {from_ns:UInt64} AND time_ns <= {to_ns:UInt64}
ORDER BY time_ns DESC LIMIT 1
"""


async def agent_details(store: Store, *, cluster: str, agent: str, span: TimeRange, now_ns: int) -> AgentDetails | None:
    """Everything about an agent; None if it was silent for 15 minutes."""
    summary = await agents_lately(store, cluster=cluster, agent=agent, now_ns=now_ns)
    if summary is None:
        return None
    named: dict[str, object] = {"cluster": cluster, "agent": agent}
    lately = named | {"from_ns": now_ns - 900 * 10**9, "to_ns": now_ns + 5 * 10**9}
    asked = named | {"from_ns": span.from_s * 10**9, "to_ns": span.to_s * 10**9}
    [newest] = await store.query(_NOW, lately)
    step_s = max(_LEAST_STEP_S, -(-(span.to_s - span.from_s) // _POINTS))
    points = await store.query(_SERIES, asked | {"step_ns": step_s * 10**9})
    steps = await store.query(_STEPS, asked | {"limit": _STEPS_MAX})
    return AgentDetails(
        agent=summary,
        losses=_losses(summary),
        features=_features(newest),
        programs=_programs(newest),
        steps=[
            GovernorStep(
                time_ms=integer(row, "at_ns") // 10**6,
                before=text(row, "before"),
                after=text(row, "after"),
                cause=text(row, "cause"),
            )
            for row in steps
        ],
        series=_series(list(points), step_s),
    )


def _losses(summary: AgentQuality) -> list[Loss]:
    counts = summary.lost | summary.reduced | ({"sampled": summary.sampled} if summary.sampled else {})
    losses = [
        Loss(cause=cause, effect=str(effect_of(cause)), meaning=meaning_of(cause), count=count)
        for cause, count in counts.items()
    ]
    order = {str(effect): place for place, effect in enumerate(Effect)}
    return sorted(losses, key=lambda loss: (order[loss.effect], -loss.count))


def _features(row: Row) -> list[AgentFeature]:
    columns = (row["features"], row["feature_states"], row["feature_reasons"])
    return [
        AgentFeature(name=str(name), state=str(state), reason=str(reason))
        for name, state, reason in zip(*columns, strict=True)  # type: ignore[call-overload]  # Array(String)
    ]


def _programs(row: Row) -> list[ProgramCost]:
    """Cores of each program since the agent's start, the dearest first."""
    alive_ns = max(1, integer(row, "time_ns") - integer(row, "started_ns"))
    pairs = zip(row["bpf_programs"], row["bpf_program_ns"], strict=True)  # type: ignore[call-overload]  # Arrays
    costs = [ProgramCost(name=str(name), cores=int(spent_ns) / alive_ns) for name, spent_ns in pairs]
    return sorted(costs, key=lambda cost: -cost.cores)


def _series(points: list[Row], step_s: int) -> AgentSeries:
    """Steps from the counters' growth; the first of a chapter has none to grow from."""
    later = list(pairwise([None, *points]))
    return AgentSeries(
        step_ms=step_s * 1_000,
        times_ms=[integer(point, "at") * step_s * 1_000 for point in points],
        cpu_cores=[_growth(before, point, "cpu", 10**9) for before, point in later if point],
        bpf_cores=[_growth(before, point, "bpf", 10**9) or None for before, point in later if point],
        rss_bytes=[integer(point, "rss") for point in points],
        lag_ms=[integer(point, "lag") // 10**6 for point in points],
        seen_rate=[_growth(before, point, "seen_now", 1) for before, point in later if point],
    )


def _growth(before: Row | None, point: Row, column: str, unit: int) -> float | None:
    """Per second, in `unit`s; None across a restart or where time stood still."""
    if before is None or integer(before, "started_ns") != integer(point, "started_ns"):
        return None
    span_ns = integer(point, "last_ns") - integer(before, "last_ns")
    grown = integer(point, column) - integer(before, column)
    return grown / unit * 10**9 / span_ns if span_ns > 0 and grown >= 0 else None
