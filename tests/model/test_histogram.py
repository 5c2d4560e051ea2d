"""The histogram: its bounds, its twin in numpy, its error, merging and quantiles."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.model.histogram import BUCKETS, MIDPOINTS_NS, bucket_of, buckets_of, lower_bound_ns, quantile_ns

LATENCIES = st.one_of(
    st.integers(0, 1 << 38),
    st.integers(0, 64).flatmap(lambda bits: st.integers(max(0, (1 << bits) - 2), (1 << bits) - 1)),
)
OPEN_FROM_NS = 1 << 37
"""From here on the last bucket has no upper bound."""


@given(latency_ns=LATENCIES)
def test_value_lies_within_its_bucket(latency_ns: int) -> None:
    """A value is not below its bucket's lower bound and below that of the next."""
    bucket = bucket_of(latency_ns)

    assert 0 <= bucket < BUCKETS
    assert lower_bound_ns(bucket) <= latency_ns
    assert bucket == BUCKETS - 1 or latency_ns < lower_bound_ns(bucket + 1)


@given(latencies_ns=st.lists(LATENCIES, max_size=50))
def test_numpy_twin_gives_the_same_buckets(latencies_ns: list[int]) -> None:
    """`buckets_of` is `bucket_of` for arrays, over all of uint64."""
    together = buckets_of(np.array(latencies_ns, dtype=np.uint64))

    assert together.tolist() == [bucket_of(one) for one in latencies_ns]


def test_bounds_rise_and_meet_at_every_octave() -> None:
    """Lower bounds are strictly rising; each one is in its own bucket and the value before it is not."""
    for bucket in range(1, BUCKETS):
        bound = lower_bound_ns(bucket)

        assert bound > lower_bound_ns(bucket - 1)
        assert bucket_of(bound) == bucket
        assert bucket_of(bound - 1) == bucket - 1


def test_negative_latency_counts_as_none() -> None:
    """A clock that went backwards must not make an index below zero."""
    assert bucket_of(-5) == 0


@given(latency_ns=st.integers(1024, (1 << 37) - 1))
def test_midpoint_is_within_the_promised_error(latency_ns: int) -> None:
    """The value that stands for a bucket is at most 1/64 away from any value in it."""
    assert abs(int(MIDPOINTS_NS[bucket_of(latency_ns)]) - latency_ns) <= latency_ns / 64


@given(first=st.lists(LATENCIES, max_size=60), second=st.lists(LATENCIES, max_size=60))
def test_merging_is_adding(first: list[int], second: list[int]) -> None:
    """The histogram of two sets together is the sum of their histograms."""
    together = Counter(map(bucket_of, first + second))

    assert together == Counter(map(bucket_of, first)) + Counter(map(bucket_of, second))


@given(
    latencies_ns=st.lists(st.integers(0, OPEN_FROM_NS - 1), min_size=1, max_size=200),
    percent=st.sampled_from([0, 1, 50, 90, 95, 99, 100]),
)
def test_quantile_is_the_nearest_rank_within_the_error(latencies_ns: list[int], percent: int) -> None:
    """The quantile stands for the bucket of the exact nearest-rank value."""
    rank = max(1, math.ceil(percent * len(latencies_ns) / 100))
    exact = sorted(latencies_ns)[rank - 1]

    found = quantile_ns(Counter(map(bucket_of, latencies_ns)), percent / 100)

    assert found == int(MIDPOINTS_NS[bucket_of(exact)])


def test_quantile_of_nothing_is_unknown() -> None:
    """No values, no quantile: unknown is not zero."""
    assert quantile_ns({}, 0.5) is None
    assert quantile_ns({3: 0}, 0.5) is None


@pytest.mark.parametrize(("count", "share", "rank"), [(100, 0.95, 95), (20, 0.95, 19), (1000, 0.999, 999), (3, 0.5, 2)])
def test_rank_is_exact_where_floats_are_not(count: int, share: float, rank: int) -> None:
    """0.95 times 100 is rank 95, although the product of the floats lies above it."""
    one_per_bucket = dict.fromkeys(range(count), 1) if count <= BUCKETS else {0: rank, 1: count - rank}

    expected = rank - 1 if count <= BUCKETS else 0

    assert quantile_ns(one_per_bucket, share) == int(MIDPOINTS_NS[expected])
