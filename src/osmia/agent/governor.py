"""What capture may cost: a state machine that gives up detail step by step, and takes it back when it is calm. Pure.

Levels stand in the order in which they are given up:

    full        everything
    payload     128 bytes of a request's text instead of 512
    events      at most one event in a hundred requests of an edge, one in ten of errors and slow ones
    protocols   no followed connections (pipelining) and no DNS answers; plain HTTP and PostgreSQL stay
    counters    no events at all: exact counts, errors, bytes and latencies of every edge, without routes
    detached    nothing is attached to the kernel

Counts stay exact down to `counters`, but for what is given up at `protocols`.

A budget counts as broken when two readings in a row are over it; then it goes down a level, and another one with
every two further readings over it. The last step asks for ten, and memory asks for it only when it is far over: what
is taken already is not given back by looking away. Up it goes one level at a time when everything has been below
`CALM_SHARE` of its budget for `calm_s`. A level that breaks a budget within a minute of being taken back was too
dear: the next try comes after twice the time, up to ten minutes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CALM_SHARE", "LIMITS", "Budgets", "Governor", "Level", "Limits", "Reading", "Step"]

CALM_SHARE = 0.7
"""Below this share of a budget there is room to go up."""

_READINGS_OVER = 2
_READINGS_OVER_TO_DETACH = 10
_MEMORY_TO_DETACH = 1.5
_TRIAL_S = 60.0
_PATIENCE_MAX_S = 600.0


class Level(enum.IntEnum):
    """How much is given up."""

    FULL = 0
    PAYLOAD = 1
    EVENTS = 2
    PROTOCOLS = 3
    COUNTERS = 4
    DETACHED = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What a level allows. `sample_every`: at most 1 event in N; 0 none at all."""

    payload_bytes: int = 512
    sample_every: int = 1
    sample_notable_every: int = 1
    has_streams: bool = True
    is_attached: bool = True

    def sampling(self, wanted: int) -> int:
        """The coarser one of what sampling wants and what is allowed."""
        return 0 if 0 in {wanted, self.sample_every} else max(wanted, self.sample_every)

    def notable_sampling(self, wanted: int) -> int:
        """The same for errors and slow requests."""
        return 0 if 0 in {wanted, self.sample_notable_every} else max(wanted, self.sample_notable_every)


LIMITS = {
    Level.FULL: Limits(),
    Level.PAYLOAD: Limits(payload_bytes=128),
    Level.EVENTS: Limits(payload_bytes=128, sample_every=100, sample_notable_every=10),
    Level.PROTOCOLS: Limits(payload_bytes=128, sample_every=100, sample_notable_every=10, has_streams=False),
    Level.COUNTERS: Limits(payload_bytes=0, sample_every=0, sample_notable_every=0, has_streams=False),
    Level.DETACHED: Limits(0, 0, 0, has_streams=False, is_attached=False),
}
"""What each level allows."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What the agent may use: CPU of its programs in the kernel, CPU of its own process, memory of its process."""

    bpf_cores: float
    cpu_cores: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What the agent used lately; None is not known."""

    time_s: float
    cpu_cores: float
    memory_bytes: int
    bpf_cores: float | None = None
    is_bpf_estimated: bool = False

    def uses(self, budgets: Budgets, level: Level) -> Iterator[tuple[float, str]]:
        """Share of each budget that is used, as it counts at this level, with its words."""
        if self.bpf_cores is not None:
            share = self.bpf_cores / budgets.bpf_cores
            about = "about " if self.is_bpf_estimated else ""
            yield share, f"capture in the kernel uses {about}{self.bpf_cores:.3f} cores of {budgets.bpf_cores:g}"
        yield self.cpu_cores / budgets.cpu_cores, f"the agent uses {self.cpu_cores:.3f} cores of {budgets.cpu_cores:g}"
        mib = 1 << 20
        words = f"the agent uses {self.memory_bytes // mib} MiB of {budgets.memory_bytes // mib}"
        share = self.memory_bytes / budgets.memory_bytes
        if level is Level.COUNTERS and share <= _MEMORY_TO_DETACH:
            share = min(share, 1.0)
        yield share, words


@dataclass(frozen=True, slots=True)
class Step:
    """One change of level and why."""

    before: Level
    after: Level
    cause: str


class Governor:
    """Decides the level from one reading after another, about one a second."""

    def __init__(self, budgets: Budgets, *, calm_s: float = 30.0) -> None:
        """`calm_s`: how long everything must be calm before something is taken back."""
        self._budgets = budgets
        self._calm_s = calm_s
        self._patience_s = calm_s
        self._readings_over = 0
        self._calm_since_s: float | None = None
        self._raised_s: float | None = None
        self._level = Level.FULL

    @property
    def level(self) -> Level:
        """What is given up now."""
        return self._level

    @property
    def limits(self) -> Limits:
        """What that allows."""
        return LIMITS[self._level]

    def tick(self, reading: Reading) -> Step | None:
        """Take one reading in; gives the step that follows from it, if any."""
        share, words = max(reading.uses(self._budgets, self._level))
        if share > 1:
            self._calm_since_s = None
            self._readings_over += 1
            wanted = _READINGS_OVER_TO_DETACH if self._level is Level.COUNTERS else _READINGS_OVER
            if self._level is Level.DETACHED or self._readings_over < wanted:
                return None
            return self._down(reading.time_s, words)
        self._readings_over = 0
        if share > CALM_SHARE:
            self._calm_since_s = None
            return None
        return self._calm(reading.time_s)

    def _down(self, time_s: float, words: str) -> Step:
        if self._raised_s is not None and time_s - self._raised_s <= _TRIAL_S:
            self._patience_s = min(self._patience_s * 2, max(_PATIENCE_MAX_S, self._calm_s))
        self._raised_s = None
        self._readings_over = 0
        return self._change(Level(self._level + 1), words)

    def _calm(self, time_s: float) -> Step | None:
        if self._calm_since_s is None:
            self._calm_since_s = time_s
        calm_s = time_s - self._calm_since_s
        if self._level is Level.FULL:
            if calm_s >= _PATIENCE_MAX_S:
                self._patience_s = self._calm_s
            return None
        if calm_s < self._patience_s:
            return None
        self._calm_since_s = time_s
        self._raised_s = time_s
        words = f"everything below {CALM_SHARE:.0%} of its budget for {self._patience_s:g} s"
        return self._change(Level(self._level - 1), words)

    def _change(self, after: Level, cause: str) -> Step:
        step = Step(self._level, after, cause)
        self._level = after
        return step
