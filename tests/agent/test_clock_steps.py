"""Somebody sets the clock by an hour: timestamps follow it, latencies do not, and nothing is held or lost for it."""

from __future__ import annotations

import pytest

from osmia.agent.assembly import Assembler
from osmia.agent.clock import Clock, Moment
from tests.agent.events import SERVER_IP, FakeEntities, batch, event

S = 1_000_000_000
HOUR = 3_600 * S
START = 1_700_000_000 * S


class FakeTime:
    """Two clocks: one that somebody may set, and one that nobody can."""

    def __init__(self) -> None:
        self.monotonic_ns = 100 * S
        self.offset_ns = START - self.monotonic_ns

    def wall(self) -> int:
        """Unix ns."""
        return self.monotonic_ns + self.offset_ns

    def clock(self) -> Clock:
        """The agent's clock on these."""
        return Clock(wall_ns=self.wall, monotonic_ns=lambda: self.monotonic_ns)


def settle(assembler: Assembler, moment: Moment) -> int:
    """What the daemon does when the clock was set; the requests that it releases."""
    released = assembler.add(batch(), wall_offset_ns=moment.offset_before_ns, now_ns=moment.settling_ns)
    return len(released)


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR, 2 * S, -2 * S])
def test_a_step_is_noticed_once(step_ns: int) -> None:
    """In either direction, with its size; the look after it is calm again."""
    fake = FakeTime()
    clock = fake.clock()
    clock.look()

    fake.offset_ns += step_ns
    fake.monotonic_ns += S
    steps = [clock.look().step_ns, clock.look().step_ns]

    assert steps == [step_ns, 0]


def test_slow_corrections_are_no_step() -> None:
    """Time synchronisation moves the clock by a few hundred ppm: a day of it is never a step."""
    fake = FakeTime()
    clock = fake.clock()
    clock.look()

    seen = set()
    for _ in range(1_000):
        fake.monotonic_ns += 86 * S
        fake.offset_ns += 86 * S // 2_000
        seen.add(clock.look().step_ns)

    assert seen == {0}


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR])
def test_timestamps_follow_the_clock_and_latencies_do_not(step_ns: int) -> None:
    """Before and after the step each request stands in the window of its own time; both took 2 ms."""
    fake, assembler = FakeTime(), Assembler(FakeEntities())
    clock = fake.clock()
    times, latencies = [], []

    for sequence, step in ((1, 0), (2, step_ns)):
        fake.offset_ns += step
        moment = clock.look()
        if moment.step_ns:
            settle(assembler, moment)
        end_ns = fake.monotonic_ns
        made = event(sequence=sequence, start_ns=end_ns - 2_000_000, end_ns=end_ns)
        assembler.add(batch(made), wall_offset_ns=moment.offset_ns, now_ns=moment.now_ns)
        settle(assembler, moment)
        fake.monotonic_ns += S
    for window in assembler.flush():
        times.append(window.start_s)
        latencies.append(window.latency_sum_ns)

    expected = [START // S // 10 * 10, (START + S + step_ns) // S // 10 * 10]
    assert sorted(times) == sorted(expected)
    assert latencies == [2_000_000] * 2


def test_a_step_back_does_not_hold_requests_for_an_hour() -> None:
    """One that waits for its far end's name is counted at once, under the time at which it happened."""
    fake, entities = FakeTime(), FakeEntities()
    entities.late.add(SERVER_IP)
    assembler, clock = Assembler(entities), fake.clock()
    moment = clock.look()
    made = event(start_ns=fake.monotonic_ns - 2_000_000, end_ns=fake.monotonic_ns)
    assembler.add(batch(made), wall_offset_ns=moment.offset_ns, now_ns=moment.now_ns)
    held = assembler.statistics().held

    fake.offset_ns -= HOUR
    released = settle(assembler, clock.look())

    [window] = assembler.flush()
    assert (held, released, assembler.statistics().held) == (1, 1, 0)
    assert window.start_s == START // S // 10 * 10
