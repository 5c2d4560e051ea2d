"""Differences of kernel counters: what could not be sent, once each."""

from __future__ import annotations

import typing

import numpy as np

from osmia.agent.events import BUCKET, EDGE
from osmia.agent.uncaptured import IDLE_EDGE_NS, UncapturedTracker, idle_edges

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray


def edges(**values: int) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    """One edge with key 7."""
    rows = np.zeros(1, dtype=EDGE)
    for name, value in values.items():
        rows[name] = value
    return np.array([7], dtype=np.uint64), rows


def histogram(counts: dict[int, int]) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
    """Unsent buckets of edge 7, and sent ones that must not matter."""
    keys = np.zeros(len(counts) + 1, dtype=BUCKET)
    keys["edge"] = 7
    keys["bucket"][:-1] = list(counts)
    keys["is_unsent"][:-1] = 1
    return keys, np.array([*counts.values(), 99], dtype=np.uint64)


def test_nothing_is_read_while_nothing_is_lost() -> None:
    """A good day costs no histogram read."""

    def never() -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        raise AssertionError("the histogram was read")

    assert UncapturedTracker().advance(*edges(count=10), never) == []


def test_each_loss_is_reported_once() -> None:
    """The second read reports only what came since the first."""
    tracker = UncapturedTracker()

    (first,) = tracker.advance(*edges(unsent=3, unsent_latency_ns=30), lambda: histogram({100: 3}))
    (second,) = tracker.advance(*edges(unsent=5, unsent_latency_ns=50), lambda: histogram({100: 4, 101: 1}))

    assert (first.count, first.latency_sum_ns, first.histogram) == (3, 30, {100: 3})
    assert (second.count, second.latency_sum_ns, second.histogram) == (2, 20, {100: 1, 101: 1})


def test_an_edge_that_was_dropped_and_came_back_starts_again() -> None:
    """Totals smaller than before are taken as a new entry, not as a negative difference."""
    tracker = UncapturedTracker()
    tracker.advance(*edges(unsent=9), lambda: histogram({100: 9}))

    (again,) = tracker.advance(*edges(unsent=2), lambda: histogram({100: 2}))

    assert (again.count, again.histogram) == (2, {100: 2})


def test_idle_edges_give_way_only_when_room_is_needed() -> None:
    """Below half full nothing is dropped; above it, what was idle for two minutes."""
    keys, rows = edges(last_ns=1)
    now_ns = IDLE_EDGE_NS + 2

    assert len(idle_edges(keys, rows, now_ns=now_ns, capacity=100)) == 0
    assert idle_edges(keys, rows, now_ns=now_ns, capacity=2).tolist() == [7]
    assert len(idle_edges(keys, rows, now_ns=now_ns - 2, capacity=2)) == 0
