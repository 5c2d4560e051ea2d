"""Sharing out whole numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.shares import share_buckets, share_out


def test_without_takers_nothing_is_shared_out() -> None:
    """Requests that nobody is to have (of an edge that is out of scope) end nothing and keep nobody busy."""
    assert share_out(7, []) == []
    assert share_buckets({3: 7}, []) == []


@given(total=st.integers(0, 10**9), weights=st.lists(st.floats(0, 10**9), min_size=1, max_size=6))
def test_the_parts_add_up(total: int, weights: list[float]) -> None:
    """Whatever the weights, rounding loses and invents nothing."""
    assert sum(share_out(total, weights)) == total
