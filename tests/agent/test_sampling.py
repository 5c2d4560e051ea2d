"""The cap on events: kept when traffic rises, given back when it falls, without flapping."""

from __future__ import annotations

import random

import pytest

from osmia.agent.sampling import EVERYTHING, Observed, Sampler, Sampling, pause_s

LOOK_S = 0.05


class Traffic:
    """A kernel that samples as it was asked, looked at every 50 ms; times are made up."""

    def __init__(self, cap: float) -> None:
        self.sampler = Sampler(cap)
        self.now_s = 0.0
        self.asked: list[Sampling] = []
        self.sampler.look(Observed(0, 0), self.now_s)

    def run(self, *, rate: float, seconds: float, notable: float = 0, jitter: float = 0) -> float:
        """So many requests per second, of which `notable` are errors; gives the events per second that came."""
        chance = random.Random(3)  # noqa: S311 - noise
        events = 0.0
        for _ in range(round(seconds / LOOK_S)):
            self.now_s += LOOK_S
            common = (rate - notable) * LOOK_S * (1 + chance.uniform(-jitter, jitter))
            before = self.sampler.sampling
            events += common / before.every + notable * LOOK_S / before.notable_every
            self.asked.append(
                self.sampler.look(Observed(round(common + notable * LOOK_S), round(notable * LOOK_S)), self.now_s)
            )
        return events / seconds


def test_below_the_cap_every_request_is_an_event() -> None:
    """Quiet traffic is listed in full."""
    traffic = Traffic(1000)

    traffic.run(rate=700, seconds=10, jitter=0.25)

    assert set(traffic.asked) == {EVERYTHING}


@pytest.mark.parametrize("rate", [1_500, 20_000, 500_000])
def test_above_the_cap_events_stay_below_it(rate: int) -> None:
    """Once it has settled, which takes a second or two, the cap holds, and at least half of it is used."""
    traffic = Traffic(1000)
    traffic.run(rate=rate, seconds=3, jitter=0.1)

    events = traffic.run(rate=rate, seconds=5, jitter=0.1)

    assert 500 <= events <= 1000


def test_a_sudden_load_is_answered_within_a_tenth_of_a_second() -> None:
    """The first two looks already thin out most of the events."""
    traffic = Traffic(1000)

    traffic.run(rate=200_000, seconds=0.1)

    assert traffic.sampler.sampling.every >= 20


def test_sampling_ends_when_the_load_does() -> None:
    """A few seconds after a load every request is an event again."""
    traffic = Traffic(1000)
    traffic.run(rate=50_000, seconds=5)

    traffic.run(rate=100, seconds=6)

    assert traffic.sampler.sampling == EVERYTHING


def test_it_does_not_flap_at_the_cap() -> None:
    """Noisy traffic about a boundary changes what is asked a few times, not at every look."""
    traffic = Traffic(1000)
    traffic.run(rate=1_800, seconds=30, jitter=0.3)

    changes = sum(one != other for one, other in zip(traffic.asked, traffic.asked[1:], strict=False))

    assert changes <= 12


def test_errors_stay_whole_while_they_are_few() -> None:
    """Ordinary requests give way first."""
    traffic = Traffic(1000)

    events = traffic.run(rate=50_000, notable=200, seconds=5)

    assert traffic.sampler.sampling.notable_every == 1
    assert traffic.sampler.sampling.every > 50
    assert events < 2000


def test_a_flood_of_errors_is_capped_too() -> None:
    """When everything fails, half of the cap is enough to see why."""
    traffic = Traffic(1000)
    traffic.run(rate=50_000, notable=50_000, seconds=3)

    events = traffic.run(rate=50_000, notable=50_000, seconds=3)

    assert events <= 1000
    assert traffic.sampler.sampling.notable_every > 50


def test_without_a_cap_nothing_is_left_out() -> None:
    """A cap of 0 is none."""
    traffic = Traffic(0)

    traffic.run(rate=1_000_000, seconds=2)

    assert set(traffic.asked) == {EVERYTHING}


@pytest.mark.parametrize(("rate", "expected"), [(0, 0.05), (2_000, 0.05), (20_000, 0.0256), (200_000, 0.02)])
def test_a_busy_ring_is_looked_at_more_often(rate: float, expected: float) -> None:
    """Between the two bounds, about five hundred events are waited for."""
    assert pause_s(rate, least_s=0.02, most_s=0.05) == pytest.approx(expected)
