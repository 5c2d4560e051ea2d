"""What the kernel counted but could not send, as differences between two reads of its counters. Pure."""

from __future__ import annotations

import typing
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from osmia.agent.assembly import Uncaptured

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IDLE_EDGE_NS", "UncapturedTracker", "idle_edges"]

IDLE_EDGE_NS = 120_000_000_000
"""An edge without traffic for this long may lose its place in the kernel's map."""

_SUMS = ("unsent", "unsent_errors", "unsent_latency_ns", "unsent_request_bytes", "unsent_response_bytes")


class UncapturedTracker:
    """Remembers the last totals of the edges that ever lost an event (none, on a good day)."""

    def __init__(self) -> None:
        self._edges: dict[int, tuple[int, ...]] = {}
        self._buckets: dict[tuple[int, int], int] = {}

    def advance(
        self,
        keys: NDArray[np.uint64],
        values: NDArray[np.void],
        read_histogram: Callable[[], tuple[NDArray[np.void], NDArray[np.uint64]]],
    ) -> list[Uncaptured]:
        """Differences since the last call; the histogram is read only if any edge ever lost an event."""
        losing = np.flatnonzero(values["unsent"])
        grown = self._advance_buckets(*read_histogram()) if len(losing) else {}
        found = []
        for index in losing.tolist():
            key, row = int(keys[index]), values[index]
            totals = tuple(int(row[name]) for name in _SUMS)
            before = self._edges.get(key, (0,) * len(_SUMS))
            # A smaller total means the entry was dropped and made anew.
            count, errors, latency, sent, received = (
                now - was if now >= was else now for now, was in zip(totals, before, strict=True)
            )
            self._edges[key] = totals
            if count:
                found.append(Uncaptured(row, count, errors, latency, sent, received, grown.get(key, {})))
        return found

    def _advance_buckets(self, keys: NDArray[np.void], counts: NDArray[np.uint64]) -> dict[int, dict[int, int]]:
        grown: defaultdict[int, dict[int, int]] = defaultdict(dict)
        unsent = keys["is_unsent"] == 1
        rows = zip(keys["edge"][unsent].tolist(), keys["bucket"][unsent].tolist(), counts[unsent].tolist(), strict=True)
        for edge, bucket, count in rows:
            before = self._buckets.get((edge, bucket), 0)
            if count != before:
                grown[edge][bucket] = count - before if count > before else count
                self._buckets[edge, bucket] = count
        return grown

    def forget(self, keys: NDArray[np.uint64]) -> None:
        """Edges that were dropped from the kernel's maps."""
        gone = set(keys.tolist())
        self._edges = {key: totals for key, totals in self._edges.items() if key not in gone}
        self._buckets = {key: count for key, count in self._buckets.items() if key[0] not in gone}


def idle_edges(keys: NDArray[np.uint64], values: NDArray[np.void], *, now_ns: int, capacity: int) -> NDArray[np.uint64]:
    """Keys to drop so that new edges find room: the idle ones, once the map is half full; `now_ns` is monotonic."""
    if len(keys) * 2 < capacity:
        return keys[:0]
    return keys[values["last_ns"].astype(np.int64) < now_ns - IDLE_EDGE_NS]
