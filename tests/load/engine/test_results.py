"""Readings: added up over workers, subtracted over time, and a series that stays small."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from osmia.load.results import AssertionFailures, Reading, Series, difference, merged, merged_failures, quantile_ns
from osmia.load.tally import RUN, STEP
from osmia.model import histogram
from osmia.model.histogram import BUCKETS, bucket_of

Block = tuple[NDArray[np.void], NDArray[np.void]]


def block(*, steps: int = 1, **fields: int) -> Block:
    """A worker's block with these fields of its RUN row set."""
    run, rows = np.zeros(1, dtype=RUN), np.zeros(steps, dtype=STEP)
    for name, value in fields.items():
        run[name] = value
    return run, rows


def reading(requests: int = 0, *, latency_ns: int = 1_000_000, at_ns: int = 0, failed: int = 0) -> Reading:
    """A reading with so many answers of one latency."""
    run, rows = block(iterations_due=requests + failed)
    rows["answered"] = requests
    rows["failed"] = failed
    rows["received_bytes"] = 10 * requests
    rows["statuses"][0, 503] = requests
    rows["service"][0, bucket_of(latency_ns)] = requests
    rows["response"][0, bucket_of(2 * latency_ns)] = requests
    return merged(at_ns, [(run, rows)])


def test_counters_of_workers_add_up() -> None:
    """Counts and gauges are sums, the shortest and first are those that were, the longest and last too."""
    a = block(iterations_due=3, in_flight=2, iteration_min_ns=50, iteration_max_ns=70, first_ns=9, last_ns=20)
    b = block(iterations_due=4, in_flight=1, iteration_min_ns=40, iteration_max_ns=60, first_ns=8, last_ns=30)
    idle = block()

    run = merged(5, [a, idle, b]).run

    names = ("iterations_due", "in_flight", "iteration_min_ns", "iteration_max_ns", "first_ns", "last_ns")
    assert [int(run[name]) for name in names] == [7, 3, 40, 70, 8, 30]


def test_histograms_and_statuses_of_workers_add_up_by_step() -> None:
    """Steps stay apart while workers are added."""
    parts = []
    for worker in range(3):
        run, rows = block(steps=2)
        rows["service"][1, 7] = worker + 1
        rows["statuses"][0, 200] = 10
        rows["service_min_ns"][1] = 5 - worker
        parts.append((run, rows))

    steps = merged(0, parts).steps

    assert steps["service"][:, 7].tolist() == [0, 6]
    assert steps["statuses"][:, 200].tolist() == [30, 0]
    assert steps["service_min_ns"].tolist() == [0, 3]


def test_a_difference_is_what_happened_in_between() -> None:
    """Counters are subtracted, gauges and extremes are those of now."""
    earlier = merged(1, [block(iterations_due=10, in_flight=5, iteration_max_ns=7, backlog_max=3)])
    later = merged(2, [block(iterations_due=15, in_flight=2, iteration_max_ns=9, backlog_max=4)])

    run = difference(later, earlier).run

    names = ("iterations_due", "in_flight", "iteration_max_ns", "backlog_max")
    assert [int(run[name]) for name in names] == [5, 2, 9, 4]
    assert int(later.run["iterations_due"]) == 15


@given(st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 50), max_size=20), st.floats(0, 1))
def test_quantiles_are_those_of_the_projects_histogram(counts: dict[int, int], share: float) -> None:
    """Dense or sparse, a histogram has the same quantiles."""
    dense = np.zeros(BUCKETS, dtype=np.uint64)
    for bucket, count in counts.items():
        dense[bucket] = count

    assert quantile_ns(dense, share) == histogram.quantile_ns(counts, share)


def test_a_second_tells_what_was_added_in_it() -> None:
    """Arrivals, requests, errors and percentiles of one interval."""
    series = Series()

    series.add(reading(4, failed=2), at_s=3.0, duration_s=1.0)

    (second,) = series.seconds
    assert (second.at_s, second.arrivals, second.requests, second.failed) == (3.0, 6, 6, 2)
    assert (second.errors_5xx, second.received_bytes) == (4, 40)
    assert second.service_ns[2] == pytest.approx(1_000_000, rel=0.02)
    assert second.response_ns[0] == pytest.approx(2_000_000, rel=0.02)
    assert second.lag_p99_ns is None


def test_a_long_series_gets_coarser_and_loses_nothing() -> None:
    """However long the run, there are at most so many points, in order, with all requests, each interval longer."""
    series = Series(most=100)

    at_s = 0.0
    for _ in range(1000):
        duration_s = series.interval_s
        series.add(reading(3), at_s=at_s, duration_s=duration_s)
        at_s += duration_s

    seconds = series.seconds
    assert 50 <= len(seconds) <= 100
    assert sum(one.requests for one in seconds) == 3000
    assert sum(one.duration_s for one in seconds) == pytest.approx(at_s)
    assert all(a.at_s + a.duration_s == pytest.approx(b.at_s) for a, b in itertools.pairwise(seconds))


def test_a_merged_point_has_the_percentiles_of_its_requests() -> None:
    """Ninety fast and ten slow ones in two seconds: the 95th is slow, the median fast, whichever second had them."""
    series = Series(most=1)
    fast = reading(90, latency_ns=1_000_000)
    slow = reading(10, latency_ns=50_000_000)

    series.add(fast, at_s=0.0, duration_s=1.0)
    series.add(slow, at_s=1.0, duration_s=1.0)

    (point,) = series.seconds
    assert point.service_ns[0] == pytest.approx(1_000_000, rel=0.02)
    assert point.service_ns[1] == pytest.approx(50_000_000, rel=0.02)


def test_a_short_rest_belongs_to_the_last_second() -> None:
    """A run that ends a moment after a full second has no point of three milliseconds."""
    series = Series()
    series.add(reading(10), at_s=0.0, duration_s=1.0)

    series.add(reading(1), at_s=1.0, duration_s=0.003, is_rest=True)

    (point,) = series.seconds
    assert point.requests == 11
    assert point.duration_s == pytest.approx(1.003)


def test_a_short_run_has_its_one_point() -> None:
    """A rest without a second before it stands for itself."""
    series = Series()

    series.add(reading(1), at_s=0.0, duration_s=0.01, is_rest=True)

    assert [one.requests for one in series.seconds] == [1]


def test_failed_assertions_of_workers_are_one() -> None:
    """Counts by rule are added, received values shown up to the bound."""
    a = AssertionFailures("x == 1", 5, {"x": [1, 2], "y": ["a"]}, "x was 2")
    b = AssertionFailures("x == 1", 7, {"x": [3, 4]}, "x was 3")
    other = AssertionFailures("z", 1, {}, "")

    assert merged_failures([[a], [b, other], []], most=3) == (
        AssertionFailures("x == 1", 12, {"x": [1, 2, 3], "y": ["a"]}, "x was 2"),
        other,
    )
