"""The governor: what is given up, in which order, how soon, and how it comes back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.governor import LIMITS, Budgets, Governor, Level, Reading, Step

BUDGETS = Budgets(bpf_cores=0.5, cpu_cores=0.5, memory_bytes=400 << 20)


def run(governor: Governor, seconds: int, *, since: int = 0, **use: float | None) -> list[tuple[int, Step]]:
    """A reading a second, calm but for what is given; gives the steps with their second."""
    steps = []
    for second in range(since, since + seconds):
        reading = Reading(
            time_s=second,
            cpu_cores=float(use.get("cpu_cores", 0.05) or 0),
            memory_bytes=int(use.get("memory_bytes", 90 << 20) or 0),
            bpf_cores=use.get("bpf_cores", 0.05),
        )
        step = governor.tick(reading)
        if step is not None:
            steps.append((second, step))
    return steps


@pytest.mark.parametrize("use", [{"bpf_cores": 0.6}, {"cpu_cores": 0.6}, {"memory_bytes": 500 << 20}])
def test_a_broken_budget_costs_the_first_level_within_two_readings(use: dict[str, float]) -> None:
    """Whichever of the three it is; the cause names it with its figures."""
    governor = Governor(BUDGETS)

    [(second, step), *_] = run(governor, 4, **use)  # type: ignore[arg-type]  # figures, never `since`

    assert second == 1
    assert (step.before, step.after) == (Level.FULL, Level.PAYLOAD)
    assert "0.600 cores of 0.5" in step.cause or "500 MiB of 400" in step.cause


def test_levels_are_given_up_in_the_declared_order() -> None:
    """Detail goes first, attachment last and only after a longer breach."""
    steps = run(Governor(BUDGETS), 60, bpf_cores=2.0)

    assert [step.after for _, step in steps] == [
        Level.PAYLOAD,
        Level.EVENTS,
        Level.PROTOCOLS,
        Level.COUNTERS,
        Level.DETACHED,
    ]
    assert [second for second, _ in steps] == [1, 3, 5, 7, 17]


def test_one_spike_costs_nothing() -> None:
    """A single reading over a budget is no breach."""
    governor = Governor(BUDGETS)

    steps = [step for second in range(20) for step in run(governor, 1, since=second, cpu_cores=9.0 * (second % 2))]

    assert steps == []


def test_it_comes_back_one_level_at_a_time_when_calm() -> None:
    """Each level after `calm_s`; the way up is slower than the way down."""
    governor = Governor(BUDGETS, calm_s=30)
    run(governor, 4, cpu_cores=0.6)
    assert governor.level is Level.EVENTS

    steps = run(governor, 120, since=100)

    assert [(second, step.after) for second, step in steps] == [(130, Level.PAYLOAD), (160, Level.FULL)]


def test_between_calm_and_broken_nothing_moves() -> None:
    """Hysteresis: at 80 % of a budget a reduced agent stays reduced."""
    governor = Governor(BUDGETS, calm_s=10)
    run(governor, 2, cpu_cores=0.6)

    assert run(governor, 300, since=10, cpu_cores=0.4) == []
    assert governor.level is Level.PAYLOAD


def test_a_level_that_proves_too_dear_is_tried_less_and_less_often() -> None:
    """A steady load does not make it swing for ever at the same pace."""
    governor = Governor(BUDGETS, calm_s=10)
    raised = []
    for second in range(2_000):
        use = 0.6 if governor.level is Level.FULL else 0.2
        raised += [at for at, step in run(governor, 1, since=second, cpu_cores=use) if step.after is Level.FULL]

    waits = [later - earlier for earlier, later in itertools.pairwise(raised)]
    assert waits == sorted(waits)
    assert waits[-1] > 300
    assert len(raised) < 12


def test_long_calm_restores_the_patience() -> None:
    """After ten quiet minutes at full detail an old quarrel is forgotten."""
    governor = Governor(BUDGETS, calm_s=10)
    for second in range(200):
        run(governor, 1, since=second, cpu_cores=0.6 if governor.level is Level.FULL else 0.2)
    run(governor, 1_500, since=200)
    run(governor, 2, since=2_000, cpu_cores=0.6)

    assert [second for second, _ in run(governor, 60, since=2_010)] == [2_020]


def test_memory_alone_does_not_detach_unless_far_over() -> None:
    """Looking away does not give memory back."""
    governor = Governor(BUDGETS)
    run(governor, 300, memory_bytes=500 << 20)
    assert governor.level is Level.COUNTERS

    [(_, step)] = run(governor, 300, since=300, memory_bytes=650 << 20)

    assert step.after is Level.DETACHED


def test_a_machine_that_does_not_measure_programs_is_governed_by_the_rest() -> None:
    """Unknown is neither calm nor broken."""
    governor = Governor(BUDGETS)

    assert run(governor, 20, bpf_cores=None) == []
    assert len(run(governor, 2, since=20, bpf_cores=None, cpu_cores=0.9)) == 1


@given(wanted=st.integers(0, 10_000), level=st.sampled_from(Level))
def test_limits_and_sampling_compose_to_the_coarser(wanted: int, level: Level) -> None:
    """Sampling asks for 1 in N, the level allows 1 in M; 0 is none and wins."""
    limits = LIMITS[level]

    for every, allowed in (
        (limits.sampling(wanted), limits.sample_every),
        (limits.notable_sampling(wanted), limits.sample_notable_every),
    ):
        assert every == (0 if 0 in {wanted, allowed} else max(wanted, allowed))


def test_each_level_allows_no_more_than_the_one_above() -> None:
    """The declared order is an order of cost."""
    for above, below in itertools.pairwise(LIMITS[level] for level in Level):
        assert below.payload_bytes <= above.payload_bytes
        assert below.sample_every == 0 or below.sample_every >= above.sample_every > 0
        assert below.has_streams <= above.has_streams
        assert below.is_attached <= above.is_attached


@given(uses=st.lists(st.floats(0, 3), max_size=200))
def test_every_step_is_one_level_and_steps_chain(uses: list[float]) -> None:
    """History can be read from the steps alone, whatever the load does."""
    governor = Governor(BUDGETS, calm_s=3)
    level = Level.FULL

    for second, use in enumerate(uses):
        for _, step in run(governor, 1, since=second, cpu_cores=use):
            assert step.before is level
            assert abs(step.after - step.before) == 1
            level = step.after

    assert governor.level is level
