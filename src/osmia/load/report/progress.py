"""What is known of a run while it goes on: readings in, one `Snapshot` out. Pure; `live` shows it.

Rates and percentiles of "the last seconds" are the difference of two readings; of the readings only sums over all
steps are kept, so that memory is the same whatever the plan and the length of the run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osmia.load.plan import Plan, UsersShape
from osmia.load.report.describe import planned_count, planned_s
from osmia.load.report.figures import Latency, latency_of
from osmia.load.report.reasons import reason_text
from osmia.load.results import Reading, quantile_ns
from osmia.load.tally import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Progress", "Snapshot"]

_WINDOW_NS = 5_000_000_000
_SECOND_NS = 1_000_000_000
_LATE_NS = 5_000_000
_FULL_CPU = 0.95
_BEHIND = 0.05
_MOST_BARS = 120


@dataclass(frozen=True, slots=True)
class _Mark:
    """Sums over all steps at one moment."""

    at_ns: int
    due: int
    started: int
    finished: int
    answered: int
    failed: int
    cpu_ns: int
    response: NDArray[np.uint64]
    lag: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run at one moment. Rates are of the last seconds; `asked_per_s`: if every arrival did all its steps."""

    elapsed_s: float
    planned_s: float
    planned_iterations: int | None
    share: float
    is_draining: bool
    is_open: bool
    iterations: int
    requests: int
    failed: int
    assertion_failed: int
    errors: tuple[tuple[str, int], ...]
    requests_per_s: float
    asked_per_s: float
    in_flight: int
    backlog: int
    connections: int
    recent: Latency
    overall: Latency
    rates: tuple[float, ...]
    p95s_ns: tuple[float, ...]
    warnings: tuple[str, ...]


class Progress:
    """Follows one run; `update` with every reading, in order."""

    def __init__(self, plan: Plan, *, workers: int = 1) -> None:
        self._planned_s = planned_s(plan.shape)
        self._planned_count = planned_count(plan.shape)
        self._is_open = not isinstance(plan.shape, UsersShape)
        self._steps = len(plan.steps)
        self._workers = workers
        self._zero_ns: int | None = None
        self._marks: deque[_Mark] = deque()
        self._second: _Mark | None = None
        self._rates: deque[float] = deque(maxlen=_MOST_BARS)
        self._p95s_ns: deque[float] = deque(maxlen=_MOST_BARS)

    def update(self, reading: Reading) -> Snapshot:
        """Take a reading in and say what is known now."""
        mark = _mark(reading)
        self._zero_ns = mark.at_ns if self._zero_ns is None else self._zero_ns
        self._second = self._second or mark
        if mark.at_ns - self._second.at_ns >= _SECOND_NS:
            self._bar(self._second, mark)
            self._second = mark
        while len(self._marks) > 1 and mark.at_ns - self._marks[1].at_ns >= _WINDOW_NS:
            self._marks.popleft()
        self._marks.append(mark)
        return self._snapshot(reading, mark)

    def _bar(self, earlier: _Mark, later: _Mark) -> None:
        """One more bar of the sparklines."""
        seconds = (later.at_ns - earlier.at_ns) / 1e9
        self._rates.append((later.answered + later.failed - earlier.answered - earlier.failed) / seconds)
        self._p95s_ns.append(float(quantile_ns(later.response - earlier.response, 0.95) or 0))

    def _snapshot(self, reading: Reading, mark: _Mark) -> Snapshot:
        oldest = self._marks[0]
        seconds = max((mark.at_ns - oldest.at_ns) / 1e9, 1e-9)
        elapsed_s = (mark.at_ns - (self._zero_ns or 0)) / 1e9
        requests = mark.answered + mark.failed
        return Snapshot(
            elapsed_s=elapsed_s,
            planned_s=self._planned_s,
            planned_iterations=self._planned_count,
            share=self._share(elapsed_s, mark),
            is_draining=elapsed_s > self._planned_s,
            is_open=self._is_open,
            iterations=mark.finished,
            requests=requests,
            failed=mark.failed,
            assertion_failed=int(reading.steps["assertion_failed"].sum()),
            errors=_errors(reading),
            requests_per_s=(requests - oldest.answered - oldest.failed) / seconds,
            asked_per_s=(mark.due - oldest.due) * self._steps / seconds,
            in_flight=int(reading.run["in_flight"]),
            backlog=int(reading.run["backlog"]),
            connections=int(reading.run["connections"]),
            recent=latency_of(mark.response - oldest.response),
            overall=latency_of(mark.response),
            rates=tuple(self._rates),
            p95s_ns=tuple(self._p95s_ns),
            warnings=self._warnings(oldest, mark, seconds),
        )

    def _share(self, elapsed_s: float, mark: _Mark) -> float:
        """How much is done: time in the open model, in the closed one whatever ends first."""
        of_time = elapsed_s / self._planned_s if self._planned_s > 0 else 1.0
        of_count = mark.finished / self._planned_count if not self._is_open and self._planned_count else 0.0
        return min(1.0, max(of_time, of_count))

    def _warnings(self, oldest: _Mark, mark: _Mark, seconds: float) -> tuple[str, ...]:
        """Where the generator is the limit just now."""
        found = []
        lag_ns = quantile_ns(mark.lag - oldest.lag, 0.99)
        if lag_ns is not None and lag_ns > _LATE_NS:
            found.append(f"iterations start late: p99 {lag_ns / 1e6:,.1f} ms")
        due, started = mark.due - oldest.due, mark.started - oldest.started
        if self._is_open and due - started > max(1, _BEHIND * due):
            found.append(f"behind its rate: {due - started:,} iterations wait")
        cpu = (mark.cpu_ns - oldest.cpu_ns) / 1e9 / seconds / self._workers
        if cpu > _FULL_CPU and seconds > 1:
            found.append(f"its processes use {100 * cpu:.0f} % of their cores")
        return tuple(found)


def _mark(reading: Reading) -> _Mark:
    run, steps = reading.run, reading.steps
    return _Mark(
        at_ns=reading.at_ns,
        due=int(run["iterations_due"]),
        started=int(run["iterations_started"]),
        finished=int(run["iterations_finished"]),
        answered=int(steps["answered"].sum()),
        failed=int(steps["failed"].sum()),
        cpu_ns=int(run["cpu_ns"]),
        response=steps["response"].sum(axis=0),
        lag=np.array(run["lag"]),
    )


def _errors(reading: Reading) -> tuple[tuple[str, int], ...]:
    """The three most frequent."""
    errors = reading.steps["errors"].sum(axis=0)
    known = [(reason_text(failure), int(errors[failure])) for failure in Failure if errors[failure]]
    return tuple(sorted(known, key=lambda item: -item[1])[:3])
