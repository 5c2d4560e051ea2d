"""Figures over time, of one edge or of everything that a workload serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osmia.server.query.answers import Series
from osmia.server.query.freshness import Freshness
from osmia.server.query.histogram import quantiles_sql
from osmia.server.query.ranges import TimeRange
from osmia.server.query.rows import integer, quantile
from osmia.server.query.sides import IN_RANGE, choice_sql, range_parameters
from osmia.server.storage.store import Row, Store

__all__ = ["MAX_POINTS", "edge_exists", "edge_series", "series_of"]

MAX_POINTS = 1_000
"""Most points of one series."""


async def edge_series(
    store: Store, freshness: Freshness, *, cluster: str, edge_id: int, span: TimeRange, points: int
) -> Series:
    """Series of one edge, from the side chosen over the whole range."""
    return await series_of(
        store,
        freshness,
        cluster=cluster,
        span=span,
        points=points,
        condition="edge_id = {edge_id:UInt64}",
        values={"edge_id": edge_id},
    )


async def edge_exists(store: Store, *, cluster: str, edge_id: int) -> bool:
    """Whether the edge was ever seen."""
    rows = await store.query(
        "SELECT 1 FROM edge_1h WHERE cluster = {cluster:String} AND edge_id = {edge_id:UInt64} LIMIT 1",
        {"cluster": cluster, "edge_id": edge_id},
    )
    return bool(rows)


async def series_of(
    store: Store,
    freshness: Freshness,
    *,
    cluster: str,
    span: TimeRange,
    points: int,
    condition: str,
    values: Mapping[str, object],
) -> Series:
    """Series of the sum of all edges that fulfil the condition, each from its chosen side."""
    step_s = _step_s(span, points)
    start_s = span.from_s // step_s * step_s
    sql = f"""
    SELECT intDiv(toUnixTimestamp(e.t), {step_s}) * {step_s} AS start, sum(e.n) AS n, sum(e.errors) AS errors,
        sum(e.request_bytes) AS request_bytes, sum(e.response_bytes) AS response_bytes,
        min(e.first_ns) AS first_ns, sumMap(e.hist) AS h, {quantiles_sql("h")} AS q
    FROM edge_{span.resolution.suffix} AS e
    WHERE {IN_RANGE} AND {condition} AND (edge_id, role) IN ({choice_sql(span, condition)})
    GROUP BY start ORDER BY start
    """  # noqa: S608 - made of constants; values are bound
    rows = await store.query(sql, {**range_parameters(cluster, span), **values})
    found = {integer(row, "start"): row for row in rows}
    starts = list(range(start_s, span.to_s, step_s))
    newest_ns = freshness.newest_ns(cluster)
    first_ns = min((integer(row, "first_ns") for row in rows), default=0)
    seconds = [_seconds(start, step_s, span=span, first_ns=first_ns, newest_ns=newest_ns) for start in starts]
    return _assemble([found.get(start) for start in starts], starts, step_s, seconds)


def _step_s(span: TimeRange, points: int) -> int:
    """Smallest multiple of the resolution that needs no more points than asked."""
    base = span.resolution.step_s
    wanted = -(-(span.to_s - span.from_s) // points)
    return max(base, -(-wanted // base) * base)


def _seconds(start_s: int, step_s: int, *, span: TimeRange, first_ns: int, newest_ns: int) -> float | None:
    """Length of the part of a step that is known, None where it lies before the first or after the newest request."""
    begin = max(start_s * 10**9, span.from_s * 10**9, first_ns)
    end = min((start_s + step_s) * 10**9, span.to_s * 10**9, newest_ns)
    if not first_ns or end < begin:
        return None
    return max(1.0, (end - begin) / 1e9)


def _assemble(
    rows: Sequence[Row | None], starts: Sequence[int], step_s: int, seconds: Sequence[float | None]
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
