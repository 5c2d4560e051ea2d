"""How many requests may be events: keeps the rate of events below a cap by asking the kernel for one in N. Pure.

What is not asked for is counted exactly all the same (`windows.py`), so N costs detail of the request list, no count.
N follows the rate of requests, read at each drain from the kernel's ledger:

- up at once, when the events that the present N lets through would pass the cap;
- down only when a smaller N would have been enough for two seconds, and then to that one.

Errors and slow requests are a stratum of their own: they may have up to half of the cap, so they stay whole until they
are many, and give back what they do not need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["EVERYTHING", "Observed", "Sampler", "Sampling", "pause_s"]

_SMOOTHING_S = 0.5
_CALM_S = 2.0
_HEADROOM = 0.9  # of the cap that is aimed at: rates are estimates
_NOTABLE_SHARE = 0.5
_MAX_EVERY = 1_000_000
_EVENTS_PER_DRAIN = 512


@dataclass(frozen=True, slots=True)
class Sampling:
    """Make one in `every` requests of an edge an event; of errors and slow ones, one in `notable_every`."""

    every: int = 1
    notable_every: int = 1


EVERYTHING = Sampling()
"""Every request is an event."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What came since the last look: requests that the kernel saw, and for how many of them notable events stand."""

    seen: int
    notable: int


class Sampler:
    """Decides `Sampling` from one look after another."""

    def __init__(self, max_events_per_s: float) -> None:
        """A cap of 0 is none."""
        self._cap = max_events_per_s
        self._then_s: float | None = None
        self._rate = 0.0
        self._notable_rate = 0.0
        self._enough_since_s: float | None = None
        self._largest_enough = EVERYTHING
        self.sampling = EVERYTHING
        """What is decided now."""

    @property
    def rate(self) -> float:
        """Requests per second, smoothed."""
        return self._rate

    @property
    def events_rate(self) -> float:
        """Events per second that the present sampling lets through."""
        common = max(0.0, self._rate - self._notable_rate)
        return common / self.sampling.every + self._notable_rate / self.sampling.notable_every

    def look(self, observed: Observed, now_s: float) -> Sampling:
        """Take in what came since the last look; `now_s` is any clock that does not step."""
        if self._then_s is None:
            self._then_s = now_s
            return self.sampling
        passed_s = now_s - self._then_s
        if passed_s <= 0:
            return self.sampling
        self._then_s = now_s
        part = 1 - math.exp(-passed_s / _SMOOTHING_S)
        self._rate += part * (observed.seen / passed_s - self._rate)
        self._notable_rate += part * (min(observed.notable, observed.seen) / passed_s - self._notable_rate)
        if self._cap > 0:
            self.sampling = self._decide(self._enough(), now_s)
        return self.sampling

    def _enough(self) -> Sampling:
        """The finest sampling that keeps events below the cap."""
        budget = self._cap * _HEADROOM
        notable_every = _every(self._notable_rate, budget * _NOTABLE_SHARE)
        left = budget - self._notable_rate / notable_every
        return Sampling(_every(max(0.0, self._rate - self._notable_rate), left), notable_every)

    def _decide(self, enough: Sampling, now_s: float) -> Sampling:
        """Coarser at once, finer after a calm; never finer than the calm ever needed."""
        now = self.sampling
        coarser = _coarser(now, enough)
        if coarser != now:
            self._enough_since_s = None
            return coarser
        if enough == now:
            self._enough_since_s = None
            return now
        if self._enough_since_s is None:
            self._enough_since_s, self._largest_enough = now_s, enough
            return now
        self._largest_enough = _coarser(self._largest_enough, enough)
        if now_s - self._enough_since_s < _CALM_S:
            return now
        self._enough_since_s = None
        return self._largest_enough


def _every(rate: float, allowed: float) -> int:
    return min(_MAX_EVERY, max(1, math.ceil(rate / max(allowed, 1e-9))))


def _coarser(one: Sampling, other: Sampling) -> Sampling:
    return Sampling(max(one.every, other.every), max(one.notable_every, other.notable_every))


def pause_s(events_per_s: float, *, least_s: float, most_s: float) -> float:
    """How long the ring may be left alone so that a drain finds some hundred events, which cost less together."""
    return min(most_s, max(least_s, _EVENTS_PER_DRAIN / max(events_per_s, 1e-9)))
