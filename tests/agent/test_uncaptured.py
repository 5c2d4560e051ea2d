"""Differences of kernel counters: what was counted instead of sent, once each."""

from __future__ import annotations

import functools
import typing

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.events import BUCKET, EDGE
from osmia.agent.uncaptured import IDLE_EDGE_NS, UncapturedTracker, idle_edges

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

Histogram = tuple["NDArray[np.void]", "NDArray[np.uint64]"]


def edges(**values: int) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    """One edge with key 7."""
    rows = np.zeros(1, dtype=EDGE)
    for name, value in values.items():
        rows[name] = value
    return np.array([7], dtype=np.uint64), rows


def histogram(counts: dict[int, int], errors: dict[int, int] | None = None) -> Histogram:
    """Buckets of edge 7, and one of another edge that must not matter."""
    keys = np.zeros(len(counts) + len(errors or {}) + 1, dtype=BUCKET)
    keys["edge"][:-1] = 7
    keys["bucket"][:-1] = [*counts, *(errors or {})]
    keys["is_error"][len(counts) : -1] = 1
    return keys, np.array([*counts.values(), *(errors or {}).values(), 99], dtype=np.uint64)


def test_nothing_is_read_while_nothing_is_counted() -> None:
    """While every request is an event, no histogram is read."""

    def never() -> Histogram:
        raise AssertionError("the histogram was read")

    assert UncapturedTracker().advance(*edges(last_ns=10), never) == []


def test_each_count_is_reported_once() -> None:
    """The second read reports only what came since the first, errors apart."""
    tracker = UncapturedTracker()

    (first,) = tracker.advance(*edges(count=3, latency_ns=30), lambda: histogram({100: 3}))
    (second,) = tracker.advance(*edges(count=6, errors=1, latency_ns=50), lambda: histogram({100: 4, 101: 1}, {100: 1}))

    assert (first.key, first.count, first.latency_sum_ns, first.histogram) == (7, 3, 30, {100: 3})
    assert (second.count, second.errors, second.latency_sum_ns) == (3, 1, 20)
    assert (second.histogram, second.error_histogram) == ({100: 1, 101: 1}, {100: 1})


def test_an_edge_that_was_dropped_and_came_back_starts_again() -> None:
    """Totals smaller than before are taken as a new entry, not as a negative difference."""
    tracker = UncapturedTracker()
    tracker.advance(*edges(count=9), lambda: histogram({100: 9}))

    (again,) = tracker.advance(*edges(count=2), lambda: histogram({100: 2}))

    assert (again.count, again.histogram) == (2, {100: 2})


def test_an_edge_that_was_forgotten_starts_again() -> None:
    """After its entry was dropped on purpose, the same totals are news."""
    tracker = UncapturedTracker()
    keys, _ = edges()
    tracker.advance(*edges(count=2), lambda: histogram({100: 2}))

    tracker.forget(keys)

    (again,) = tracker.advance(*edges(count=2), lambda: histogram({100: 2}))
    assert again.count == 2


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8))
def test_a_histogram_that_is_read_later_waits_for_its_counts(steps: list[tuple[int, int]]) -> None:
    """Whatever was counted between the two reads, no report has more buckets than requests, and none is lost."""
    tracker = UncapturedTracker()
    count = told = ahead = 0
    reports = []
    for more, between in steps:
        count += ahead + more
        ahead = between  # counted after the edges were read, before the histogram was
        reports += tracker.advance(*edges(count=count), functools.partial(histogram, {100: count + ahead}))
    count += ahead
    reports += tracker.advance(*edges(count=count, latency_ns=1), lambda: histogram({100: count}))

    told = sum(sum(one.histogram.values()) for one in reports)
    assert all(sum(one.histogram.values()) <= one.count for one in reports)
    assert told == count == sum(one.count for one in reports)


def test_idle_edges_give_way_only_when_room_is_needed() -> None:
    """Below half full nothing is dropped; above it, what was idle for two minutes."""
    keys, rows = edges(last_ns=1)
    now_ns = IDLE_EDGE_NS + 2

    assert len(idle_edges(keys, rows, now_ns=now_ns, capacity=100)) == 0
    assert idle_edges(keys, rows, now_ns=now_ns, capacity=2).tolist() == [7]
    assert len(idle_edges(keys, rows, now_ns=now_ns - 2, capacity=2)) == 0
