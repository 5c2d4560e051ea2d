"""Shapes: the original's counts, evenly spread arrivals, exact ramps, and splits that lose nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from osmia.load.plan import (
    ArrivalPattern,
    CountKind,
    CountShape,
    ManualShape,
    RateShape,
    RateStage,
    Segment,
    UsersShape,
    UserStage,
)
from osmia.load.shape import Planned, arrivals, counts_per_second, planned, share, user_changes

SECOND_NS = 1_000_000_000
OPEN_SHAPES = CountShape | ManualShape | RateShape

# The first of each kind were observed on the original (anteon.md 5.3); the others follow from its formulas by hand.
GOLDEN = [
    (CountKind.LINEAR, 105, 10, [11, 11, 11, 11, 11, 10, 10, 10, 10, 10]),
    (CountKind.LINEAR, 3, 5, [1, 1, 1, 0, 0]),
    (CountKind.LINEAR, 7, 1, [7]),
    (CountKind.LINEAR, 1000, 4, [250, 250, 250, 250]),
    (CountKind.INCREMENTAL, 100, 10, [5, 6, 7, 8, 9, 11, 12, 13, 14, 15]),
    (
        CountKind.INCREMENTAL,
        1000,
        20,
        [12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76, 80, 84, 88],
    ),
    # S = 10, step 1, raw 1 2 3 4, T = 10, factor 1, rest 2: the last two seconds have one more.
    (CountKind.INCREMENTAL, 12, 4, [1, 2, 4, 5]),
    # S = 55, step 11: no stair is ever climbed, raw is 1 ten times, all five are rest.
    (CountKind.INCREMENTAL, 5, 10, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
    # S = 55, step ceil(55 / 20) = 3: raw 1 1 1 2 2 2 3 3 3 4, T = 22, factor 0, rest 20 = 2 each.
    (CountKind.INCREMENTAL, 20, 10, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]),
    # step ceil(55 / 30) = 2: raw 1 1 2 2 3 3 4 4 5 5, T = 30, factor 1, rest 0.
    (CountKind.INCREMENTAL, 30, 10, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
    (CountKind.INCREMENTAL, 9, 1, [9]),
    (CountKind.WAVED, 100, 10, [6, 11, 16, 16, 11, 6, 6, 11, 17, 0]),
    (CountKind.WAVED, 1000, 20, [18, 34, 50, 66, 82, 82, 66, 50, 34, 18, 18, 34, 50, 66, 82, 82, 66, 50, 34, 18]),
    # One quarter wave of 3 s: S = 6, raw 1 2 3, factor 1, rest 4 = 1 each and 1 for the last.
    (CountKind.WAVED, 10, 3, [2, 3, 5]),
    # Two quarter waves of 2 s and 5 iterations: factor 1, rest 2 = 1 each -> 2 3, then reversed.
    (CountKind.WAVED, 10, 4, [2, 3, 3, 2]),
    # Two of 2 s, 4 and 5 of 9 iterations; the fifth second is idle.
    (CountKind.WAVED, 9, 5, [1, 3, 3, 2, 0]),
    (CountKind.WAVED, 7, 1, [7]),
]


def times(shape: OPEN_SHAPES, *, worker: int = 0, workers: int = 1, seed: int = 0) -> NDArray[np.int64]:
    """All arrivals of a worker."""
    blocks = list(arrivals(shape, worker=worker, workers=workers, seed=seed))
    return np.concatenate([np.empty(0, dtype=np.int64), *blocks])


@pytest.mark.parametrize(("kind", "count", "duration_s", "expected"), GOLDEN)
def test_counts_are_those_of_the_original(kind: CountKind, count: int, duration_s: int, expected: list[int]) -> None:
    """Every kind of load starts as many iterations in each second as the original does."""
    assert list(counts_per_second(CountShape(kind, count, duration_s))) == expected


def test_manual_segments_are_linear_one_after_the_other() -> None:
    """Each segment of a manual load is spread like a linear one of its own."""
    shape = ManualShape((Segment(5, 12), Segment(2, 3), Segment(3, 0), Segment(1, 4)))

    assert list(counts_per_second(shape)) == [3, 3, 2, 2, 2, 2, 1, 0, 0, 0, 4]
    assert planned(shape) == Planned(19, 11, peak_per_s=4)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (CountShape(CountKind.WAVED, 1000, 20), Planned(1000, 20, peak_per_s=82)),
        (RateShape((RateStage(30.0, 100.0, 100.0),)), Planned(3000, 30.0, peak_per_s=100.0)),
        (RateShape((RateStage(10.0, 0.0, 50.0), RateStage(0.1, 50.0, 50.0))), Planned(255, 10.1, peak_per_s=50.0)),
        (UsersShape((UserStage(5.0, 0, 20), UserStage(10.0, 20, 20))), Planned(None, 15.0, peak_users=20)),
        (UsersShape((UserStage(60.0, 4, 4),), count=100), Planned(100, 60.0, peak_users=4)),
    ],
)
def test_plans_are_told_in_totals_and_peaks(shape: OPEN_SHAPES | UsersShape, expected: Planned) -> None:
    """The banner's figures of each kind of shape."""
    assert planned(shape) == expected


def test_arrivals_lie_evenly_in_their_second() -> None:
    """Five thousand a second are exactly 50 in every 10 ms: no bursts, a standard deviation of zero."""
    at_ns = times(CountShape(CountKind.LINEAR, 15_000, 3))

    per_bucket = np.bincount(at_ns // 10_000_000, minlength=300)

    assert len(at_ns) == 15_000
    assert per_bucket.std() == 0.0
    assert np.ptp(np.diff(at_ns)) <= 1


def test_uneven_counts_still_lie_evenly() -> None:
    """The n arrivals of a second start at multiples of 1/n of it."""
    at_ns = times(CountShape(CountKind.LINEAR, 5, 2))

    assert at_ns.tolist() == [0, SECOND_NS // 3, 2 * SECOND_NS // 3, SECOND_NS, SECOND_NS * 3 // 2]


def test_a_constant_rate_is_a_comb() -> None:
    """At 40 per second an iteration starts each 25 ms, the first at once, the last before the end."""
    at_ns = times(RateShape((RateStage(2.0, 40.0, 40.0),)))

    assert at_ns.tolist() == [25_000_000 * i for i in range(80)]


def test_a_ramp_is_integrated_exactly() -> None:
    """From 0 to 100 per second in 10 s the i-th iteration starts at sqrt(i / 5) s, and 5 t^2 have started by t."""
    at_ns = times(RateShape((RateStage(10.0, 0.0, 100.0),)))

    assert len(at_ns) == 500
    np.testing.assert_allclose(at_ns / SECOND_NS, np.sqrt(np.arange(500) / 5), atol=1e-9)


def test_stages_join_without_a_seam() -> None:
    """What is left of an iteration at the end of a stage goes on in the next one: 1.5 + 1.5 make 3, not 4."""
    at_ns = times(RateShape((RateStage(1.0, 1.5, 1.5), RateStage(1.0, 1.5, 1.5))))

    np.testing.assert_allclose(at_ns / SECOND_NS, [0, 2 / 3, 4 / 3], atol=1e-9)


def test_a_poisson_rate_has_the_gaps_of_chance() -> None:
    """Gaps of a Poisson process are exponential: mean and standard deviation are the same, arrivals are independent."""
    shape = RateShape((RateStage(20.0, 1000.0, 1000.0),), pattern=ArrivalPattern.POISSON)

    at_ns = times(shape, seed=7)

    gaps_s = np.diff(at_ns) / SECOND_NS
    per_bucket = np.bincount(at_ns // 10_000_000, minlength=2000)
    assert len(at_ns) == pytest.approx(20_000, abs=5 * 20_000**0.5)
    assert gaps_s.std() == pytest.approx(gaps_s.mean(), rel=0.05)
    assert per_bucket.var() == pytest.approx(per_bucket.mean(), rel=0.15)


def test_poisson_counts_are_exact_and_uniform() -> None:
    """Counted loads keep their counts under chance; only the places inside the second are drawn, evenly."""
    shape = CountShape(CountKind.LINEAR, 60_000, 3, pattern=ArrivalPattern.POISSON)

    at_ns = times(shape, seed=3)

    assert np.bincount(at_ns // SECOND_NS).tolist() == [20_000, 20_000, 20_000]
    assert (np.diff(at_ns) >= 0).all()
    deciles = np.bincount((at_ns % SECOND_NS) // 100_000_000)
    assert deciles == pytest.approx([6_000] * 10, abs=5 * 6_000**0.5)


def test_the_seed_decides_what_chance_does() -> None:
    """The same seed draws the same arrivals, another one others."""
    shape = RateShape((RateStage(1.0, 500.0, 500.0),), pattern=ArrivalPattern.POISSON)

    assert times(shape, seed=1).tolist() == times(shape, seed=1).tolist()
    assert times(shape, seed=1).tolist() != times(shape, seed=2).tolist()


def test_a_long_run_needs_no_memory_for_its_length() -> None:
    """Ten arrivals a second for a year: the first million come at once, in bounded blocks."""
    year_s = 365 * 86_400
    shape = CountShape(CountKind.INCREMENTAL, 10 * year_s, year_s)

    blocks = list(itertools.islice(arrivals(shape), 1000))

    assert max(map(len, blocks)) <= 4096
    assert blocks[-1][-1] < 1000 * SECOND_NS


def test_a_huge_second_comes_in_blocks() -> None:
    """A million arrivals in one second are handed out a few thousand at a time, chance or not."""
    for pattern in ArrivalPattern:
        blocks = list(arrivals(CountShape(CountKind.LINEAR, 1_000_000, 1, pattern=pattern)))

        assert max(map(len, blocks)) <= 4096
        assert sum(map(len, blocks)) == 1_000_000


def test_users_rise_early_and_fall_late() -> None:
    """A ramp starts its first user at once and keeps its last user to the end."""
    shape = UsersShape((UserStage(4.0, 0, 4), UserStage(2.0, 4, 4), UserStage(2.0, 4, 2)))

    assert user_changes(shape) == [
        (0, 1),
        (1 * SECOND_NS, 2),
        (2 * SECOND_NS, 3),
        (3 * SECOND_NS, 4),
        (7 * SECOND_NS, 3),
        (8 * SECOND_NS, 2),
    ]


def test_users_are_dealt_out_to_workers() -> None:
    """Seven users on three workers are three, two and two."""
    shape = UsersShape((UserStage(10.0, 7, 7),))

    assert [user_changes(shape, worker=k, workers=3) for k in range(3)] == [[(0, 3)], [(0, 2)], [(0, 2)]]


# ---- properties ----

kinds = st.sampled_from(CountKind)
patterns = st.sampled_from(ArrivalPattern)
counts = st.integers(0, 3000)
count_shapes = st.builds(CountShape, kinds, counts, st.integers(1, 40), patterns)
manual_shapes = st.builds(
    ManualShape, st.lists(st.builds(Segment, st.integers(1, 5), st.integers(0, 500)), max_size=4).map(tuple), patterns
)
durations_s = st.decimals(0, 5, places=2).map(float)
rates_per_s = st.decimals(0, 300, places=1).map(float)
rate_shapes = st.builds(
    RateShape, st.lists(st.builds(RateStage, durations_s, rates_per_s, rates_per_s), max_size=4).map(tuple), patterns
)
open_shapes = st.one_of(count_shapes, manual_shapes, rate_shapes)


@given(count_shapes)
def test_counts_add_up(shape: CountShape) -> None:
    """Whatever the kind, no iteration is lost and none is invented."""
    per_second = list(counts_per_second(shape))

    assert len(per_second) == shape.duration_s
    assert min(per_second) >= 0
    assert sum(per_second) == shape.count


@given(open_shapes)
def test_arrivals_ascend_within_the_run(shape: OPEN_SHAPES) -> None:
    """Arrivals never go back in time, and none lies outside the shape."""
    at_ns = times(shape)

    assert (np.diff(at_ns) >= 0).all()
    assert (at_ns >= 0).all()
    assert (at_ns <= planned(shape).duration_s * SECOND_NS).all()


@given(open_shapes.filter(lambda shape: not isinstance(shape, RateShape) or shape.pattern is ArrivalPattern.EVEN))
def test_there_are_as_many_arrivals_as_planned(shape: OPEN_SHAPES) -> None:
    """The banner's total is the exact number of arrivals."""
    assert len(times(shape)) == planned(shape).iterations


@given(open_shapes, st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_workers_take_each_arrival_once(shape: OPEN_SHAPES, workers: int, seed: int) -> None:
    """Worker k gets exactly the arrivals whose number is k modulo the number of workers."""
    whole = times(shape, seed=seed)

    for worker in range(workers):
        own = times(shape, worker=worker, workers=workers, seed=seed)
        assert own.tolist() == whole[worker::workers].tolist()
        assert len(own) == share(len(whole), worker, workers)


@given(
    st.lists(st.builds(UserStage, durations_s, st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_users_of_workers_add_up(stages: list[UserStage], workers: int) -> None:
    """At every moment the workers together have the users of the whole shape, and nobody changes to what it has."""
    shape = UsersShape(tuple(stages))
    whole = user_changes(shape)
    parts = [user_changes(shape, worker=k, workers=workers) for k in range(workers)]

    def at(changes: list[tuple[int, int]], at_ns: int) -> int:
        return [users for change_ns, users in changes if change_ns <= at_ns][-1]

    assert all(changes[0][0] == 0 for changes in [whole, *parts])
    assert all(a[0] < b[0] and a[1] != b[1] for a, b in itertools.pairwise(whole))
    for at_ns, users in whole:
        assert sum(at(part, at_ns) for part in parts) == users
