"""Figures over time, of one edge or of everything that a workload serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from osmia.server.query.answers import Series
from osmia.server.query.histogram import quantiles_sql
from osmia.server.query.ranges import TimeRange
from osmia.server.query.rows import integer, quantile
from osmia.server.query.scope import Scope
from osmia.server.storage.store import Row

__all__ = [
    "MAX_POINTS",
    "Course",
    "KnownSpan",
    "Totals",
    "course_of",
    "edge_exists",
    "edge_series",
    "known_seconds",
    "step_length_s",
]

MAX_POINTS = 1_000
"""Most points of one series."""

_SHORTEST_SHARE = 4
"""The newest step is shown once a fourth of it has passed."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The same figures over the whole range."""

    count: int
    errors: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None


@dataclass(frozen=True, slots=True)
class Course:
    """How something went over the range, step by step and in all."""

    series: Series
    totals: Totals


async def edge_series(scope: Scope, *, edge_id: int, points: int) -> Series:
    """Series of one edge, from the side chosen over the whole range."""
    condition = "edge_id = {edge_id:UInt64}"
    return (await course_of(scope, points=points, condition=condition, values={"edge_id": edge_id})).series


async def edge_exists(scope: Scope, edge_id: int) -> bool:
    """Whether the edge was seen in the range, or ever."""
    bound = {"edge_id": edge_id}
    if await scope.read(f"SELECT 1 FROM {scope.edges} WHERE edge_id = {{edge_id:UInt64}} LIMIT 1", bound):  # noqa: S608 - made of constants
        return True
    ever = "SELECT 1 FROM edge_1h WHERE cluster = {cluster:String} AND edge_id = {edge_id:UInt64} LIMIT 1"
    return bool(await scope.read(ever, bound))


async def course_of(scope: Scope, *, points: int, condition: str, values: Mapping[str, object]) -> Course:
    """Course of the sum of all edges that fulfil the condition, each from its chosen side."""
    step_s = step_length_s(scope.span, points)
    rows = await scope.read(
        f"""
        SELECT intDiv(toUnixTimestamp(e.t), {step_s}) * {step_s} AS start, grouping(start) AS is_total,
            sum(e.n) AS n, sum(e.errors) AS errors,
            sum(e.request_bytes) AS request_bytes, sum(e.response_bytes) AS response_bytes,
            min(e.first_ns) AS first_ns, max(e.last_ns) AS last_ns, sumMap(e.hist) AS h, {quantiles_sql("h")} AS q
        FROM {scope.edges} AS e WHERE {condition} AND (edge_id, role) IN ({scope.choice(condition)})
        GROUP BY GROUPING SETS ((start), ())
        """,  # noqa: S608 - made of constants; values are bound
        values,
    )
    found = {integer(row, "start"): row for row in rows if not integer(row, "is_total")}
    total = next((row for row in rows if integer(row, "is_total")), None)
    starts = list(range(scope.span.from_s // step_s * step_s, scope.span.to_s, step_s))
    first_ns = min((integer(row, "first_ns") for row in found.values()), default=0)
    newest_ns = max([scope.newest_ns, *(integer(row, "last_ns") for row in found.values())])
    known = KnownSpan(first_ns, newest_ns)
    seconds = [known_seconds(start, step_s, span=scope.span, known=known) for start in starts]
    series = _assemble([found.get(start) for start in starts], starts, step_s=step_s, seconds=seconds)
    return Course(series, _totals(total))


def _totals(row: Row | None) -> Totals:
    if row is None:
        return Totals(0, 0, None, None, None)
    return Totals(
        integer(row, "n"), integer(row, "errors"), quantile(row, "q", 0), quantile(row, "q", 1), quantile(row, "q", 2)
    )


def step_length_s(span: TimeRange, points: int) -> int:
    """Smallest multiple of the resolution that needs no more points than asked."""
    base = span.resolution.step_s
    wanted = -(-(span.to_s - span.from_s) // points)
    return max(base, -(-wanted // base) * base)


class KnownSpan(NamedTuple):
    """Between which two moments (Unix ns) there is something to know."""

    first_ns: int
    newest_ns: int


def known_seconds(start_s: int, step_s: int, *, span: TimeRange, known: KnownSpan) -> float | None:
    """Length of the part of a step that is known; None where it lies outside, or has only just begun.

    A step of which less than a quarter has passed would show the agents' rhythm of reporting, not a rate.
    """
    start_ns, end_ns = start_s * 10**9, (start_s + step_s) * 10**9
    if not known.first_ns or end_ns <= known.first_ns or start_ns > known.newest_ns:
        return None
    begin = max(start_ns, span.from_s * 10**9, known.first_ns)
    end = min(end_ns, span.to_s * 10**9, known.newest_ns)
    has_begun_only = known.newest_ns < end_ns and (end - begin) / 1e9 < step_s / _SHORTEST_SHARE
    if has_begun_only and known.first_ns < start_ns:  # else it is all that there is to show
        return None
    return max(1.0, (end - begin) / 1e9)


def _assemble(
    rows: Sequence[Row | None], starts: Sequence[int], *, step_s: int, seconds: Sequence[float | None]
) -> Series:
    def rate(column: str) -> list[float | None]:
        return [
            None if s is None else (integer(row, column) if row else 0) / s
            for row, s in zip(rows, seconds, strict=True)
        ]

    def quantiles(index: int) -> list[int | None]:
        return [quantile(row, "q", index) if row else None for row in rows]

    return Series(
        step_ms=step_s * 1_000,
        times_ms=[start * 1_000 for start in starts],
        rate=rate("n"),
        error_rate=[integer(row, "errors") / integer(row, "n") if row else None for row in rows],
        p50_ns=quantiles(0),
        p95_ns=quantiles(1),
        p99_ns=quantiles(2),
        request_bytes_rate=rate("request_bytes"),
        response_bytes_rate=rate("response_bytes"),
    )
