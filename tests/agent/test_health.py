"""What the agent says of itself: cost from samples, a ledger row that fits the wire, steps told once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from osmia.agent.governor import Budgets, Level
from osmia.agent.health import BpfMeter, Condition, CpuMeter, Health, command_of, own_usage
from osmia.agent.kernel.run_time import ProgramTime
from osmia.model import wire
from osmia.model.errors import UnavailableError
from osmia.model.ledger import CAUSES, Effect, effect_of, meaning_of

CONDITION = Condition(
    node="node-1",
    started_ns=5,
    seen=100,
    sampled=30,
    events=70,
    exported=5,
    lost={"ring_full": 2, "queue_full": 0},
    lag_ns=20,
    sample_every=1,
    queue_bytes=10,
    spool_bytes=0,
    export_error="",
    features=[("capture", "on", ""), ("tcp", "off", "no BTF")],
    unseen={"fio": 2},
)


def times(**run_time_ns: int) -> dict[int, ProgramTime]:
    """Programs by name, with what they ran up to now."""
    return {number: ProgramTime(name, spent, 1) for number, (name, spent) in enumerate(run_time_ns.items())}


def test_a_short_window_stands_for_the_time_since_the_last() -> None:
    """A tenth of a second measured in each second: cores as measured, totals scaled."""
    meter = BpfMeter()

    meter.note(times(send=0, receive=0), times(send=1_000_000, receive=4_000_000), window_s=0.1, now_s=10.0)
    meter.note(
        times(send=1_000_000, receive=4_000_000), times(send=2_000_000, receive=8_000_000), window_s=0.1, now_s=11
    )

    assert meter.cores == pytest.approx(0.05)
    assert meter.by_program() == {"receive": 4_000_000 + 40_000_000, "send": 1_000_000 + 10_000_000}


def test_a_program_that_was_loaded_in_the_window_counts_from_nothing() -> None:
    """The agent may attach anew at any moment."""
    meter = BpfMeter()

    meter.note({}, times(send=2_000_000), window_s=0.1, now_s=1.0)

    assert meter.cores == pytest.approx(0.02)


def test_cpu_is_that_of_the_last_three_seconds() -> None:
    """Long enough to be steady, short enough to see a breach in time."""
    meter = CpuMeter()

    busy = [meter.note(float(second), second * 500_000_000) for second in range(10)]
    calm = [meter.note(10.0 + second, 4_500_000_000) for second in range(4)]

    assert busy[0] == 0
    assert busy[-1] == pytest.approx(0.5)
    assert calm[-1] == pytest.approx(0.0)


def test_a_ledger_row_has_every_column_of_the_wire() -> None:
    """It encodes; causes without a loss are left out, and `lost` is apart from what was sampled."""
    health = Health(Budgets(0.5, 0.5, 1 << 30), calm_s=30)

    columns = health.ledger_columns(CONDITION, now_ns=7)

    assert set(columns) == set(wire.TABLES[wire.Table.LEDGER])
    assert wire.encode(wire.Table.LEDGER, columns)
    assert (columns["lost_causes"], columns["lost_counts"], columns["sampled"]) == ([["ring_full"]], [[2]], [30])
    assert (columns["features"], columns["feature_states"]) == ([["capture", "tcp"]], [["on", "off"]])
    assert columns["level"] == ["full"]


@pytest.mark.anyio
async def test_a_step_stands_in_one_row_of_the_ledger() -> None:
    """With its time, levels and cause; the next row does not repeat it."""
    health = Health(Budgets(1e-9, 1e-9, 1), calm_s=30)

    while await health.tick() is None:
        assert health.governor.level is Level.FULL
    told, again = (health.ledger_columns(CONDITION, now_ns=now_ns) for now_ns in (7, 8))

    assert (told["step_from"], told["step_to"], told["level"]) == ([["full"]], [["payload"]], ["payload"])
    assert "the agent uses" in str(told["step_causes"])
    assert (again["step_ns"], again["level"]) == ([[]], ["payload"])


@pytest.mark.anyio
async def test_where_measuring_is_not_allowed_requests_are_what_is_known() -> None:
    """Two microseconds for each end of a request: 300,000 of them within a second break half a core."""
    seen = [0]

    def count() -> int:
        seen[0] += 600_000
        return seen[0]

    @contextmanager
    def refused() -> Iterator[None]:
        raise UnavailableError("the kernel does not measure")
        yield

    budgets = Budgets(0.5, 64, 1 << 40)
    health = Health(budgets, calm_s=30, seen=count, measuring=refused)

    step = await health.tick()
    while step is None:
        step = await health.tick()

    assert "capture in the kernel uses about" in step.cause


def test_own_usage_is_plausible() -> None:
    """Some CPU, and at least the memory of an interpreter."""
    usage = own_usage()

    assert usage.cpu_ns > 0
    assert usage.rss_bytes > 5 << 20


def test_a_process_has_a_name_even_when_it_is_gone() -> None:
    """The list of unseen processes never fails."""
    assert command_of(1)
    assert command_of(1 << 30) == ""


def test_every_cause_says_what_it_costs() -> None:
    """Each has a sentence; a cause of tomorrow is taken for a loss."""
    assert all(cause.meaning and isinstance(cause.effect, Effect) for cause in CAUSES.values())
    assert (effect_of("of_tomorrow"), meaning_of("of_tomorrow")) == (Effect.COUNTS, "")
