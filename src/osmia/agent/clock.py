"""Unix time as the agent uses it, and the moment when somebody sets it.

The kernel stamps events with a clock that never steps; an offset turns its times into Unix time. When the offset
jumps, the clock was set: what waits for a time of the old clock must be settled by the old clock, or a step back of an
hour would hold it for an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SETTLED_NS", "STEP_NS", "Clock", "Moment"]

STEP_NS = 1_000_000_000
"""Smaller changes are the slow corrections of time synchronisation."""

SETTLED_NS = 2 * 3_600 * 1_000_000_000
"""So far ahead, everything that waits has waited long enough and nothing remembered is fresh."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now in Unix ns, what turns monotonic ns into it, and by how much the clock was set since the last look."""

    now_ns: int
    offset_ns: int
    step_ns: int = 0

    @property
    def settling_ns(self) -> int:
        """A time by the clock of before the step, at which all that was held is due."""
        return self.now_ns - self.step_ns + SETTLED_NS

    @property
    def offset_before_ns(self) -> int:
        """The offset of before the step."""
        return self.offset_ns - self.step_ns


class Clock:
    """Looks at both clocks; the first look finds no step."""

    def __init__(
        self, *, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._offset_ns: int | None = None

    def look(self) -> Moment:
        """Now, and whether the clock was set since the last look."""
        now_ns = self._wall_ns()
        offset_ns = now_ns - self._monotonic_ns()
        before_ns, self._offset_ns = self._offset_ns, offset_ns
        step_ns = 0 if before_ns is None else offset_ns - before_ns
        return Moment(now_ns, offset_ns, step_ns if abs(step_ns) >= STEP_NS else 0)
