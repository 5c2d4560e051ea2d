"""Sharing out whole numbers: nothing is lost, nothing is invented."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.shares import share_buckets, share_out

WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(0, 1e9)), min_size=1, max_size=8)


@given(st.integers(0, 10**15), WEIGHTS)
def test_parts_add_up(total: int, weights: list[float]) -> None:
    """Whatever the weights, the parts are whole, not negative, and sum to the total."""
    parts = share_out(total, weights)

    assert sum(parts) == total
    assert min(parts) >= 0


@given(st.integers(0, 10**6), st.lists(st.integers(1, 1000), min_size=1, max_size=8))
def test_parts_are_proportional(total: int, weights: list[int]) -> None:
    """No part is further than one from its exact share."""
    parts = share_out(total, weights)

    assert all(abs(part - total * weight / sum(weights)) < 1 for part, weight in zip(parts, weights, strict=True))


def test_equal_shares_where_nothing_is_known() -> None:
    """Without any weight nobody is left out."""
    assert share_out(7, [0, 0, 0]) == [3, 2, 2]


@given(st.lists(st.lists(st.integers(0, 9), max_size=40), min_size=1, max_size=6))
def test_a_histogram_is_shared_out_both_ways(takers: list[list[int]]) -> None:
    """Bucket by bucket the parts sum to the histogram, and each taker gets as many values as it counts."""
    histogram = Counter(bucket for taker in takers for bucket in taker)
    counts = [len(taker) for taker in takers]

    parts = share_buckets(histogram, counts)

    assert sum((Counter(part) for part in parts), Counter()) == histogram
    assert [sum(part.values()) for part in parts] == counts


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 20)), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_no_bucket_is_lost_when_counts_say_less(histogram: dict[int, int], counts: list[int]) -> None:
    """Buckets whose requests were counted earlier still go somewhere."""
    parts = share_buckets(histogram, counts)

    total = sum((Counter(part) for part in parts), Counter[int]())
    if sum(counts) <= sum(histogram.values()):
        assert total == Counter(histogram)
    else:
        assert total.total() == sum(histogram.values())
