"""One load generating process: it runs a transport on its share of the plan and sends home what is no counter.

A worker is forked from the engine while that has no threads yet. Counters go through its block of shared memory at
any time; what is left (values that failed assertions saw, rows of samples, the exchanges of a debug run, why it could
not begin) goes over a pipe in frames: one byte of kind, four of length, the payload. The pipe never holds up the
load: what it does not take at once waits here, and beyond a bound samples are dropped and counted.

The process ignores Ctrl-C (the engine says when to stop), dies with its parent, and does not collect garbage while it
is under load: nothing that lives as long as a request makes cycles, and what was there before the fork is frozen.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import resource
import select
import signal
import struct
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from osmia.load.client.transport import Transport, Work
from osmia.load.plan import Plan
from osmia.load.scenario import Findings, Scenario, Surroundings, compile_plan, load_of
from osmia.load.shape import share
from osmia.load.tally import views
from osmia.model.errors import ConfigError, OsmiaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FRAME", "Assignment", "Crash", "Home", "Kind", "Refusal", "Report", "serve"]

FRAME = struct.Struct("<BI")
"""Kind and length of what follows."""

_PR_SET_PDEATHSIG = 1
_SPARE_DESCRIPTORS = 64
_OUTBOX_BYTES = 32 << 20
_PIPE_BYTES = 1 << 20
_FAREWELL_S = 10.0
_REPORT_NS = 1_000_000_000
_COLLECT_AFTER = 200_000


class Kind(IntEnum):
    """What a frame holds."""

    SAMPLES = 1  # rows of tally.SAMPLE as they are
    REPORT = 2  # a pickled Report, Refusal or Crash


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to do: its part of a plan whose seed is drawn and whose number of workers is decided."""

    plan: Plan
    number: int
    transport: Callable[[], Transport]
    block: memoryview
    outlet: int
    """The pipe's writing end."""
    has_samples: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What the scenario found so far; the last one of a worker says so."""

    findings: Findings
    transport: str
    max_connections: int
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The plan asks for what cannot be done."""

    field: str
    value: str
    problem: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Crash:
    """An error of our own."""

    summary: str
    traceback: str


class Home:
    """The pipe to the engine, as the worker has it."""

    def __init__(self, outlet: int) -> None:
        self._outlet = outlet
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        os.set_blocking(outlet, False)
        # A larger pipe is nicer to have, and refused to users who have too many already.
        with contextlib.suppress(OSError):
            _enlarge(outlet)

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much more may wait."""
        return self._waiting_bytes + size_bytes <= _OUTBOX_BYTES

    def send(self, kind: Kind, payload: bytes) -> None:
        """Put a frame in line and write what the pipe takes."""
        frame = memoryview(FRAME.pack(kind, len(payload)) + payload)
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes now."""
        try:
            while self._waiting:
                written = os.write(self._outlet, self._waiting[0])
                self._waiting_bytes -= written
                if written == len(self._waiting[0]):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = self._waiting[0][written:]
        except BlockingIOError:
            return

    def close(self) -> None:
        """Write everything, if the engine takes it in time."""
        deadline_s = time.monotonic() + _FAREWELL_S
        while self._waiting and (left_s := deadline_s - time.monotonic()) > 0:
            select.select([], [self._outlet], [], left_s)
            self.flush()
        os.close(self._outlet)


def _enlarge(outlet: int) -> None:
    import fcntl

    fcntl.fcntl(outlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def serve(assignment: Assignment, parent: int) -> int:
    """The whole life of a worker process after its fork; gives its exit status."""
    _settle(parent)
    home = Home(assignment.outlet)
    try:
        _run(assignment, home)
    except ConfigError as exc:
        home.send(Kind.REPORT, pickle.dumps(Refusal(exc.field, str(exc.value), exc.message, exc.remedy)))
        return 1
    except BaseException as exc:  # noqa: BLE001 - whatever it was, the engine must be told
        home.send(Kind.REPORT, pickle.dumps(_crash(exc)))
        return 1
    finally:
        home.close()
    return 0


def _settle(parent: int) -> None:
    """Signals, and the promise to end with the parent.

    What ends the run comes through the block: a terminal, `timeout` and init systems signal the whole process group,
    and a worker that fell at once would take its last counts with it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before we could ask
        os._exit(1)


def _run(assignment: Assignment, home: Home) -> None:
    """Compile, run, report."""
    plan = assignment.plan
    run, _ = views(assignment.block)
    most = _allowed_connections(max(1, share(plan.limits.max_connections, assignment.number, plan.limits.workers)))
    transport = assignment.transport()
    reporter = _Reporter(home, transport.name, most)
    # {{$NAME}} is the user's, no setting of ours.
    world = Surroundings(time.time, os.environ, reporter.found)  # noqa: TID251
    compiled = compile_plan(plan, worker=assignment.number, world=world)
    reporter.scenario = compiled.scenario

    def on_samples(rows: NDArray[np.void]) -> None:
        if home.has_room(rows.nbytes):
            home.send(Kind.SAMPLES, rows.tobytes())
        else:
            run["samples_dropped"] += len(rows)
            home.flush()

    work = Work(
        steps=compiled.steps,
        load=load_of(plan, worker=assignment.number),
        script=compiled.scenario,
        block=assignment.block,
        pool=compiled.pool,
        max_connections=most,
        seed=(plan.seed or 0) + assignment.number,
        asks_ends=compiled.asks_ends,
        on_samples=on_samples if assignment.has_samples else None,
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)
    transport.run(work)
    reporter.send(is_last=True)


class _Reporter:
    """Sends what the scenario finds, about once a second, and at the end."""

    def __init__(self, home: Home, transport: str, max_connections: int) -> None:
        self._home = home
        self._transport = transport
        self._max_connections = max_connections
        self._sent_ns = 0
        self.scenario: Scenario | None = None

    def found(self) -> None:
        """Something was added to the findings."""
        now_ns = time.monotonic_ns()
        if now_ns - self._sent_ns >= _REPORT_NS:
            self._sent_ns = now_ns
            self.send(is_last=False)

    def send(self, *, is_last: bool) -> None:
        """The findings as they are."""
        if self.scenario is not None:
            report = Report(self.scenario.findings(), self._transport, self._max_connections, is_last)
            self._home.send(Kind.REPORT, pickle.dumps(report))


def _allowed_connections(wanted: int) -> int:
    """Make room for so many descriptors; how many connections there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_DESCRIPTORS
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return wanted
    for limits in ((needed, max(needed, hard)), (hard, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, max(1, soft - _SPARE_DESCRIPTORS))


def _crash(exc: BaseException) -> Crash:
    where = traceback.extract_tb(exc.__traceback__)[-1:]
    place = "".join(f" ({os.path.basename(one.filename)}:{one.lineno})" for one in where)  # noqa: PTH119 - a name, not a file
    what = str(exc) if isinstance(exc, OsmiaError) else f"{type(exc).__name__}: {exc}"
    return Crash(what + place, "".join(traceback.format_exception(exc)))
