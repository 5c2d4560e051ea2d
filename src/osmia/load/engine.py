"""The controller of a run: one common zero for all workers, readings, the series, judgement, the end, the sum.

::

    with Engine(plan, transport=CoreTransport) as engine:
        for reading in engine.readings():      # about every 100 ms; all counters so far
            ...                                # engine.series, engine.stop(), engine.abort()
        results = engine.results()

Each worker has a block of shared memory (`load.tally`), which is read at any time without asking, and a pipe for what
is no counter (`load.worker`); `load.crew` sees to it that no worker can hold up the end. Entering forks, so there must
be no threads before it. One engine is one run.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from osmia.load.client.transport import Transport
from osmia.load.crew import Crew, Patience, Word
from osmia.load.criteria import Criterion, compile_criterion, decide
from osmia.load.limits import limits
from osmia.load.plan import CountKind, CountShape, Plan
from osmia.load.plan import Criterion as CriterionSetting
from osmia.load.results import (
    AssertionFailures,
    Exchange,
    Reading,
    Results,
    Second,
    Series,
    StepResults,
    Verdict,
    difference,
    merged_failures,
)
from osmia.load.shape import Planned, planned
from osmia.load.tally import Phase
from osmia.load.worker import Report
from osmia.model.errors import ConfigError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


__all__ = ["Engine", "Patience", "workers_for"]

_INTERVAL_NS = 100_000_000
_HEAD_START_NS = 20_000_000
"""Between the last worker's READY and zero: time for all of them to see it."""
_PER_WORKER_PER_S = 5_000
"""Requests a second up to which one process is not asked to share: less noise, and the others' cores stay free."""


def workers_for(plan: Plan, cores: int) -> int:
    """How many processes a plan is given: what it says, or as many cores as it can use."""
    if plan.is_debug:
        return 1
    whole = planned(plan.shape)
    if whole.peak_users is not None:
        return max(1, min(plan.limits.workers or cores, whole.peak_users))
    if plan.limits.workers:
        return plan.limits.workers
    requests_per_s = (whole.peak_per_s or 0) * len(plan.steps)
    return max(1, min(cores, int(-(-requests_per_s // _PER_WORKER_PER_S))))


def _complete(plan: Plan) -> Plan:
    """The plan with what the engine decides: workers, a seed that can be given again, one iteration for debugging."""
    if plan.is_debug:
        plan = replace(plan, shape=CountShape(CountKind.LINEAR, 1, 1))
    return replace(
        plan,
        seed=plan.seed if plan.seed is not None else secrets.randbits(32),
        limits=replace(plan.limits, workers=workers_for(plan, len(os.sched_getaffinity(0)))),
    )


@dataclass(slots=True)
class _Judged:
    """A success criterion, and since when it is broken if it may end the run."""

    setting: CriterionSetting
    criterion: Criterion
    broken_since_s: float | None = None
    aborted_at_s: float | None = None


def _judged(plan: Plan) -> list[_Judged]:
    """The plan's criteria, compiled.

    Raises:
        ConfigError: one is not understood.
    """
    step_ids = [step.id for step in plan.steps]
    found: list[_Judged] = []
    for setting in plan.criteria:
        try:
            found.append(_Judged(setting, compile_criterion(setting.rule, step_ids=step_ids)))
        except InputError as exc:
            raise ConfigError("success_criterias", setting.rule, str(exc)) from exc
    return found


class Engine:
    """One run of a plan.

    `transport` makes a worker's transport, inside the worker: a class without arguments will do. `on_samples` gets
    each request of each worker (number, rows of `tally.SAMPLE`) from within `readings`; without it none are made.
    """

    def __init__(
        self,
        plan: Plan,
        transport: Callable[[], Transport],
        *,
        on_samples: Callable[[int, NDArray[np.void]], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.plan = _complete(plan)
        self.planned: Planned = planned(self.plan.shape)
        self.workers_count = self.plan.limits.workers
        self.began_at_s = 0.0
        self._transport = transport
        self._crew = Crew(self.plan, transport, on_samples=on_samples, patience=patience)
        self._criteria = _judged(self.plan)
        self._series = Series()
        self._zero_ns = 0
        self._has_been_told = False
        self._is_interrupted = False
        self._point: Reading | None = None
        self._last: Reading | None = None
        self._at_schedule_end: Reading | None = None

    def __enter__(self) -> Self:
        """Fork the workers, wait until all of them are ready, and let them begin.

        Raises:
            ConfigError: the plan or its transport asks for what cannot be done.
            UnavailableError: a worker died or did not get ready.
        """
        try:
            self._crew.start()
        except BaseException:
            self._crew.close()
            raise
        self._zero_ns = time.monotonic_ns() + _HEAD_START_NS
        self.began_at_s = time.time() + _HEAD_START_NS / 1e9
        self._point = self._last = self._crew.look()
        self._crew.begin(self._zero_ns)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left behind, whatever happened."""
        self._crew.close()

    # ---- while it runs ----

    @property
    def series(self) -> tuple[Second, ...]:
        """The run so far, interval by interval."""
        return self._series.seconds

    @property
    def elapsed_s(self) -> float:
        """Since the run's zero, at the last reading."""
        return max(0.0, (self._last.at_ns - self._zero_ns) / 1e9) if self._last else 0.0

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The processes, by number."""
        return tuple(member.pid for member in self._crew.members)

    def readings(self) -> Iterator[Reading]:
        """All counters about every 100 ms; the last one when everything is over."""
        due_ns = self._zero_ns
        while not self._crew.is_over:
            due_ns = max(due_ns + _INTERVAL_NS, time.monotonic_ns())
            self._crew.listen(due_ns)
            reading = self._last = self._crew.look()
            self._note(reading)
            yield reading

    def stop(self) -> None:
        """Start nothing new and finish what is in flight. May be called from a signal handler, as may `abort`."""
        self._is_interrupted = True
        self._tell(Word.STOP)

    def abort(self) -> None:
        """Give up what is in flight."""
        self._is_interrupted = True
        self._tell(Word.GIVE_UP)

    def _tell(self, word: int) -> None:
        self._has_been_told = True
        self._crew.tell(word)

    def _note(self, reading: Reading) -> None:
        """Add to the series, and judge."""
        schedule_ns = int(self.planned.duration_s * 1e9) + _INTERVAL_NS
        is_through = self._crew.is_over or reading.at_ns >= self._zero_ns + schedule_ns
        if self._at_schedule_end is None and is_through and not self._has_been_told:
            self._at_schedule_end = reading
        point, is_over = self._point, self._crew.is_over
        begin_ns = max(self._zero_ns, point.at_ns) if point else self._zero_ns
        duration_s = (reading.at_ns - begin_ns) / 1e9
        if point and (duration_s >= self._series.interval_s - _INTERVAL_NS / 2e9 or (is_over and duration_s > 0)):
            at_s = (begin_ns - self._zero_ns) / 1e9
            self._series.add(difference(reading, point), at_s=at_s, duration_s=duration_s, is_rest=is_over)
            self._crew.measure()
            self._point = reading
        if not is_over and not self._has_been_told:
            self._judge(reading)

    def _judge(self, reading: Reading) -> None:
        """End the run if a criterion that may do so has been broken for long enough."""
        elapsed_s = self.elapsed_s
        for one in self._criteria:
            if not one.setting.is_abort:
                continue
            decision = decide(
                one.criterion,
                reading,
                elapsed_s=elapsed_s,
                delay_s=one.setting.delay_s,
                broken_since_s=one.broken_since_s,
            )
            one.broken_since_s = decision.broken_since_s
            if decision.is_over:
                one.aborted_at_s = elapsed_s
                self._tell(Word.STOP)

    # ---- the end ----

    def results(self) -> Results:
        """What came of it; after the last reading."""
        last = self._last = self._crew.look()
        reports = [member.report for member in self._crew.members if member.report is not None]
        workers = tuple(member.health(self._zero_ns) for member in self._crew.members)
        aborted = [one for one in self._criteria if one.aborted_at_s is not None]
        return Results(
            plan=self.plan,
            transport=next((report.transport for report in reports), getattr(self._transport, "name", "")),
            began_at_s=self.began_at_s,
            duration_s=self._duration_s(last),
            run=cast("np.void", last.run[()]),
            steps=tuple(
                StepResults(step, last.steps[index], self._failures(reports, index))
                for index, step in enumerate(self.plan.steps)
            ),
            series=self._series.seconds,
            verdicts=tuple(_verdict(one, last) for one in self._criteria),
            workers=workers,
            limits=limits(
                self.plan,
                last=last,
                at_schedule_end=self._at_schedule_end,
                workers=workers,
                max_connections=sum(report.max_connections for report in reports) or self.plan.limits.max_connections,
            ),
            is_interrupted=self._is_interrupted,
            is_aborted=bool(aborted),
            other_hosts=_added_up(reports),
            exchanges=_timed(self.plan, last, [one for report in reports for one in report.findings.exchanges]),
        )

    def _duration_s(self, last: Reading) -> float:
        """From zero to the end of the last iteration."""
        ended_ns = int(last.run["last_ns"]) or last.at_ns
        return max(0.0, (ended_ns - self._zero_ns) / 1e9)

    def _failures(self, reports: list[Report], step: int) -> tuple[AssertionFailures, ...]:
        return merged_failures([report.findings.failures[step] for report in reports], self.plan.sampling_rate)


def _verdict(one: _Judged, last: Reading) -> Verdict:
    """At the end: what ended the run stays broken, even if the last answers would have mended it."""
    verdict = one.criterion.judge(last)
    if one.aborted_at_s is not None:
        return replace(verdict, is_met=False, aborted_at_s=one.aborted_at_s)
    return verdict


def _added_up(reports: list[Report]) -> dict[str, int]:
    hosts: dict[str, int] = {}
    for report in reports:
        for host, count in report.findings.other_hosts.items():
            hosts[host] = hosts.get(host, 0) + count
    return hosts


def _timed(plan: Plan, last: Reading, exchanges: list[Exchange]) -> tuple[Exchange, ...]:
    """A debug run's exchanges with the phases of their steps, which the last exchange of each step is given."""
    timed = list(exchanges)
    for index, step in enumerate(plan.steps):
        own = [number for number, one in enumerate(timed) if one.step.id == step.id]
        counts, sums_ns = last.steps[index]["phase_count"], last.steps[index]["phase_ns"]
        if own:
            phases_ns = {phase: int(sums_ns[phase]) for phase in Phase if counts[phase]}
            timed[own[-1]] = replace(timed[own[-1]], phases_ns=phases_ns)
    return tuple(timed)
