"""What the kernel counted instead of sending it, as differences between two reads of its counters. Pure."""

from __future__ import annotations

import typing
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IDLE_EDGE_NS", "Uncaptured", "UncapturedTracker", "idle_edges"]

IDLE_EDGE_NS = 120_000_000_000
"""An edge without traffic for this long may lose its place in the kernel's map."""

_SUMS = ("count", "errors", "latency_ns", "request_bytes", "response_bytes")

Histograms = tuple["NDArray[np.void]", "NDArray[np.uint64]"]


@dataclass(frozen=True, slots=True)
class Uncaptured:
    """Requests of one edge that are counts and not events: what came since the last report.

    `key` is the kernel's key of the edge, `edge` its entry (EDGE, whose sums are totals). The two histograms are those
    of requests without and with an error.
    """

    key: int
    edge: NDArray[np.void]
    count: int
    errors: int
    latency_sum_ns: int
    request_bytes: int
    response_bytes: int
    histogram: Mapping[int, int]
    error_histogram: Mapping[int, int]


@dataclass(slots=True)
class _Edge:
    """What has been told of the totals of one edge and of its buckets, by whether they are errors."""

    totals: tuple[int, ...] = (0,) * len(_SUMS)
    buckets: dict[tuple[int, bool], int] = field(default_factory=dict)
    untold: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})


class UncapturedTracker:
    """Remembers the last totals of the edges that ever had a request that was no event (none, on a quiet day)."""

    def __init__(self) -> None:
        self._edges: dict[int, _Edge] = {}

    def advance(
        self,
        keys: NDArray[np.uint64],
        values: NDArray[np.void],
        read_histogram: Callable[[], Histograms],
    ) -> list[Uncaptured]:
        """Differences since the last call; the histogram is read only if any total has grown.

        Counters and histogram are read one after the other, so the histogram may be ahead: what is not covered by
        counts waits for the next call.
        """
        columns = [values[name].tolist() for name in _SUMS]
        rows = zip(keys.tolist(), *columns, strict=True)
        grown = [(i, key, tuple(totals)) for i, (key, *totals) in enumerate(rows) if self._has_grown(key, totals)]
        if not grown:
            return []
        buckets = _by_edge(*read_histogram(), {key for _, key, _ in grown})
        return [self._advance_edge(key, values[i], totals, buckets[key]) for i, key, totals in grown]

    def _has_grown(self, key: int, totals: list[int]) -> bool:
        before = self._edges.get(key)
        return tuple(totals) != before.totals if before is not None else any(totals)

    def _advance_edge(
        self, key: int, entry: NDArray[np.void], totals: tuple[int, ...], buckets: dict[tuple[int, bool], int]
    ) -> Uncaptured:
        edge = self._edges.get(key)
        if edge is None or totals[0] < edge.totals[0]:  # a smaller total: the entry was dropped and made anew
            edge = self._edges[key] = _Edge()
        count, errors, latency, sent, received = (
            max(0, now - told) for now, told in zip(totals, edge.totals, strict=True)
        )
        errors = min(errors, count)  # read while it changed: the error is told with its request, next time
        edge.totals = (totals[0], edge.totals[1] + errors, *totals[2:])
        edge.untold[False] += count - errors
        edge.untold[True] += errors
        told = _tell(edge, buckets)
        return Uncaptured(key, entry.copy(), count, errors, latency, sent, received, told[False], told[True])

    def forget(self, keys: NDArray[np.uint64]) -> None:
        """Edges that were dropped from the kernel's maps."""
        for key in keys.tolist():
            self._edges.pop(key, None)


def _by_edge(
    keys: NDArray[np.void], counts: NDArray[np.uint64], wanted: set[int]
) -> Mapping[int, dict[tuple[int, bool], int]]:
    """Buckets of the wanted edges, by bucket and whether they are errors."""
    found: defaultdict[int, dict[tuple[int, bool], int]] = defaultdict(dict)
    chosen = np.isin(keys["edge"], np.fromiter(wanted, dtype=np.uint64, count=len(wanted)))
    rows = zip(
        *(column[chosen].tolist() for column in (keys["edge"], keys["bucket"], keys["is_error"], counts)), strict=True
    )
    for edge, bucket, is_error, count in rows:
        found[edge][bucket, bool(is_error)] = count
    return found


def _tell(edge: _Edge, buckets: Mapping[tuple[int, bool], int]) -> dict[bool, dict[int, int]]:
    """What the buckets have grown by, as far as the counts cover it."""
    told: dict[bool, dict[int, int]] = {False: {}, True: {}}
    for (bucket, is_error), total in buckets.items():
        part = min(total - edge.buckets.get((bucket, is_error), 0), edge.untold[is_error])
        if part > 0:
            told[is_error][bucket] = part
            edge.untold[is_error] -= part
            edge.buckets[bucket, is_error] = edge.buckets.get((bucket, is_error), 0) + part
    return told


def idle_edges(keys: NDArray[np.uint64], values: NDArray[np.void], *, now_ns: int, capacity: int) -> NDArray[np.uint64]:
    """Keys to drop so that new edges find room: the idle ones, once the map is half full; `now_ns` is monotonic."""
    if len(keys) * 2 < capacity:
        return keys[:0]
    return keys[values["last_ns"].astype(np.int64) < now_ns - IDLE_EDGE_NS]
