"""What the agent knows of itself: what it costs, how it stands, what it gave up, and the ledger row that tells it."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import anyio

from osmia import __version__
from osmia.agent.governor import Budgets, Governor, Reading, Step
from osmia.agent.kernel.run_time import ProgramTime, program_times, statistics_on
from osmia.model.errors import UnavailableError
from osmia.telemetry import get_logger

__all__ = ["BpfMeter", "Condition", "CpuMeter", "Health", "Usage", "command_of", "ledger_columns", "own_usage"]

_log = get_logger("agent.health")

_TICK_S = 1.0
_WINDOW_S = 0.1
_CPU_OVER_S = 3.0
_WINDOWS = 3
_STEPS_MAX = 100
_REQUEST_COST_NS = 2_000
"""What one end of a request costs in the kernel at the worst (`agent.cost_us`): where measuring is not allowed."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process has used: CPU since its start, memory now."""

    cpu_ns: int
    rss_bytes: int


def own_usage() -> Usage:
    """Of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - once a second
        pages = int(file.read().split()[1])
    return Usage(int((used.ru_utime + used.ru_stime) * 1e9), pages * resource.getpagesize())


class CpuMeter:
    """Cores in use over the last three seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def note(self, time_s: float, cpu_ns: int) -> float:
        """Add the CPU time used up to now; gives the cores. The first call gives 0."""
        self._points.append((time_s, cpu_ns))
        # One point older than the span is kept, so that the span is never shorter than asked.
        while len(self._points) > 2 and self._points[1][0] <= time_s - _CPU_OVER_S:  # noqa: PLR2004 - both ends
            self._points.popleft()
        (since_s, before_ns), (now_s, now_ns) = self._points[0], self._points[-1]
        return (now_ns - before_ns) / 1e9 / (now_s - since_s) if now_s > since_s else 0.0


class BpfMeter:
    """CPU of our programs in the kernel, extrapolated from short windows in which it is measured.

    `cores` is that of the last three windows: in a single one a busy machine may not have run the load at all.
    """

    def __init__(self) -> None:
        self.cores: float | None = None
        self._windows: deque[tuple[int, float]] = deque(maxlen=_WINDOWS)
        self._by_program: Counter[str] = Counter()
        self._last_s: float | None = None

    def note(
        self, before: Mapping[int, ProgramTime], after: Mapping[int, ProgramTime], *, window_s: float, now_s: float
    ) -> None:
        """Take one window in; it stands for all the time since the last one."""
        spent = Counter[str]()
        for number, time_after in after.items():
            earlier = before.get(number)
            spent[time_after.name] += time_after.run_time_ns - (earlier.run_time_ns if earlier else 0)
        stands_for_s = window_s if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        self._windows.append((spent.total(), window_s))
        self.cores = sum(ns for ns, _ in self._windows) / 1e9 / sum(length_s for _, length_s in self._windows)
        for name, run_time_ns in spent.items():
            self._by_program[name] += int(run_time_ns * stands_for_s / window_s)

    def by_program(self) -> dict[str, int]:
        """Nanoseconds since the start by program, those that never ran left out."""
        return {name: spent_ns for name, spent_ns in sorted(self._by_program.items()) if spent_ns}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What other parts of the agent know at the moment of a report; counters run from the agent's start."""

    node: str
    started_ns: int
    seen: int
    sampled: int
    events: int
    exported: int
    lost: Mapping[str, int]
    lag_ns: int
    sample_every: int
    queue_bytes: int
    spool_bytes: int
    export_error: str
    features: Sequence[tuple[str, str, str]]
    unseen: Mapping[str, int]


@dataclass(slots=True)
class _Steps:
    """The governor's steps since the last report, bounded: the newest are kept."""

    taken: deque[tuple[int, Step]] = field(default_factory=lambda: deque(maxlen=_STEPS_MAX))

    def columns(self) -> dict[str, list[object]]:
        steps = list(self.taken)
        self.taken.clear()
        return {
            "step_ns": [[time_ns for time_ns, _ in steps]],
            "step_from": [[step.before.name.lower() for _, step in steps]],
            "step_to": [[step.after.name.lower() for _, step in steps]],
            "step_causes": [[step.cause for _, step in steps]],
        }


class Health:
    """Watches the agent's own cost once a second and asks the governor what follows."""

    def __init__(
        self,
        budgets: Budgets,
        *,
        calm_s: float,
        seen: Callable[[], int] = lambda: 0,
        measuring: Callable[[], AbstractContextManager[None]] = statistics_on,
    ) -> None:
        """`seen` counts requests: what they cost is estimated where the kernel does not let us measure."""
        self.governor = Governor(budgets, calm_s=calm_s)
        self.bpf = BpfMeter()
        self._cpu = CpuMeter()
        self._estimate = CpuMeter()
        self._seen = seen
        self._measuring = measuring
        self._steps = _Steps()

    async def tick(self) -> Step | None:
        """Wait a second, of which a tenth is measured; gives the step that the governor takes, already noted."""
        await anyio.sleep(_TICK_S - _WINDOW_S)
        await self._measure()
        now_s, usage = time.monotonic(), own_usage()
        cores = self._cpu.note(now_s, usage.cpu_ns)
        estimate = self._estimate.note(now_s, self._seen() * _REQUEST_COST_NS)
        reading = Reading(
            time_s=now_s,
            cpu_cores=cores,
            memory_bytes=usage.rss_bytes,
            bpf_cores=estimate if self.bpf.cores is None else self.bpf.cores,
            is_bpf_estimated=self.bpf.cores is None,
        )
        step = self.governor.tick(reading)
        if step is not None:
            self._note(step)
        return step

    def ledger_columns(self, condition: Condition, *, now_ns: int) -> dict[str, list[object]]:
        """One row of the wire's `ledger`; steps are told once."""
        programs = self.bpf.by_program()
        own: dict[str, list[object]] = {
            "level": [self.governor.level.name.lower()],
            "bpf_ns": [sum(programs.values())],
            "bpf_programs": [list(programs)],
            "bpf_program_ns": [list(programs.values())],
        }
        return ledger_columns(condition, own_usage(), now_ns=now_ns) | own | self._steps.columns()

    async def _measure(self) -> None:
        try:
            with self._measuring():
                await self._window()
        except UnavailableError:
            self.bpf.cores = None

    async def _window(self) -> None:
        before, began_s = program_times(), time.monotonic()
        await anyio.sleep(_WINDOW_S)
        now_s = time.monotonic()
        self.bpf.note(before, program_times(), window_s=now_s - began_s, now_s=now_s)

    def _note(self, step: Step) -> None:
        down = step.after > step.before
        names = {"before": step.before.name.lower(), "after": step.after.name.lower()}
        (_log.warning if down else _log.info)("governor step", **names, cause=step.cause)
        self._steps.taken.append((time.time_ns(), step))
        if down and "MiB" in step.cause:
            _give_memory_back()


def ledger_columns(condition: Condition, usage: Usage, *, now_ns: int) -> dict[str, list[object]]:
    """The part of a ledger row that other parts and this process know."""
    lost = {cause: count for cause, count in condition.lost.items() if count}
    unseen = dict(sorted(condition.unseen.items()))
    return {
        "time_ns": [now_ns],
        "node": [condition.node],
        "started_ns": [condition.started_ns],
        "version": [__version__],
        "seen": [condition.seen],
        "sampled": [condition.sampled],
        "events": [condition.events],
        "exported": [condition.exported],
        "lost_causes": [list(lost)],
        "lost_counts": [list(lost.values())],
        "lag_ns": [condition.lag_ns],
        "cpu_ns": [usage.cpu_ns],
        "rss_bytes": [usage.rss_bytes],
        "sample_every": [condition.sample_every],
        "queue_bytes": [condition.queue_bytes],
        "spool_bytes": [condition.spool_bytes],
        "export_error": [condition.export_error],
        "features": [[name for name, _, _ in condition.features]],
        "feature_states": [[state for _, state, _ in condition.features]],
        "feature_reasons": [[reason for _, _, reason in condition.features]],
        "unseen_commands": [list(unseen)],
        "unseen_counts": [list(unseen.values())],
    }


def command_of(pid: int) -> str:
    """Name of a process; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            return file.read().strip()
    except OSError:
        return ""


def _give_memory_back() -> None:
    """What Python and the C library hold without using it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
