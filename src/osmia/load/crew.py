"""The worker processes of a run, as the engine has them: forked, listened to, told to stop, reaped, and never trusted.

Nothing here can wait for ever. A worker that does not get ready, that makes no progress for longer than its longest
step can take, or that does not end when it is told to, is killed; of one that died or was killed `failure` says why.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import selectors
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osmia.load.client.transport import Transport
from osmia.load.plan import Plan
from osmia.load.results import Reading, WorkerHealth, merged
from osmia.load.shape import planned
from osmia.load.tally import SAMPLE, WorkerState, block_bytes, views
from osmia.load.worker import FRAME, Assignment, Crash, Kind, Refusal, Report, serve
from osmia.model.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Crew", "Member", "Patience", "Word"]


class Word:
    """What is written into a block's `stop`."""

    STOP = 1
    GIVE_UP = 2


_READ_BYTES = 1 << 20
_POLL_NS = 2_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker is waited for, in s, before it is taken for stuck."""

    ready_s: float = 30.0
    progress_s: float = 10.0
    """Beyond the longest time that a step may take."""
    unbounded_s: float = 60.0
    """After a stop, for steps without a timeout."""
    end_s: float = 5.0
    """After it was told to give up."""


@dataclass(slots=True)
class Member:
    """What is known of one process."""

    number: int
    pid: int
    inlet: int
    run: NDArray[np.void]
    steps: NDArray[np.void]
    buffer: bytearray = field(default_factory=bytearray)
    report: Report | None = None
    refusal: Refusal | None = None
    crash: Crash | None = None
    failure: str = ""
    is_over: bool = False
    """The process is gone."""
    is_heard: bool = False
    """Its pipe is at its end."""
    cpu_s: float = 0.0
    cpu_at_zero_s: float = 0.0
    ended_ns: int = 0
    rss_bytes: int = 0
    progress: tuple[int, ...] = ()
    progress_at_ns: int = 0

    @property
    def state(self) -> int:
        """WorkerState."""
        return int(self.run["state"][0])

    def health(self, zero_ns: int) -> WorkerHealth:
        """For the report."""
        lasted_s = ((self.ended_ns or time.monotonic_ns()) - zero_ns) / 1e9
        cpu = max(0.0, self.cpu_s - self.cpu_at_zero_s) / lasted_s if lasted_s > 0 else 0.0
        return WorkerHealth(self.number, cpu, self.rss_bytes, self.failure)


class Crew:
    """All workers of one run: `plan.limits.workers` of them, and `plan.seed` is drawn.

    Forks in `start`, so there must be no threads before it.
    """

    def __init__(
        self,
        plan: Plan,
        transport: Callable[[], Transport],
        *,
        on_samples: Callable[[int, NDArray[np.void]], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.members: list[Member] = []
        self._plan = plan
        self._transport = transport
        self._on_samples = on_samples
        self._patience = patience or Patience()
        self._selector = selectors.DefaultSelector()
        self._schedule_ns = int(planned(plan.shape).duration_s * 1e9)
        self._zero_ns = 0
        self._told = 0
        self._told_ns = 0

    @property
    def is_over(self) -> bool:
        """Whether all processes are gone and all that they sent is here."""
        return all(member.is_over and member.is_heard for member in self.members)

    # ---- beginning ----

    def start(self) -> None:
        """Fork, and wait until all are ready.

        Raises:
            ConfigError: the plan or its transport asks for what cannot be done.
            UnavailableError: a worker died, or did not get ready.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()
        try:
            for number in range(self._plan.limits.workers):
                self.members.append(self._fork(number))
        finally:
            gc.unfreeze()
        self._await_ready()

    def _fork(self, number: int) -> Member:
        block = memoryview(mmap.mmap(-1, block_bytes(len(self._plan.steps))))
        inlet, outlet = os.pipe()
        parent = os.getpid()
        assignment = Assignment(
            plan=self._plan,
            number=number,
            transport=self._transport,
            block=block,
            outlet=outlet,
            has_samples=self._on_samples is not None,
        )
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = serve(assignment, parent)
            finally:
                os._exit(status)
        os.close(outlet)
        os.set_blocking(inlet, False)
        run, steps = views(block)
        member = Member(number, pid, inlet, run, steps)
        self._selector.register(inlet, selectors.EVENT_READ, member)
        return member

    def _await_ready(self) -> None:
        deadline_ns = time.monotonic_ns() + int(self._patience.ready_s * 1e9)
        while any(member.state < WorkerState.READY for member in self.members):
            self.listen(time.monotonic_ns() + _POLL_NS)
            for member in self.members:
                if member.is_over and member.state < WorkerState.READY:
                    raise _start_error(member)
            if time.monotonic_ns() > deadline_ns:
                raise UnavailableError(
                    f"the load workers were not ready within {self._patience.ready_s:g} s",
                    remedy="is this machine overloaded?",
                )

    def begin(self, zero_ns: int) -> None:
        """Give them their common zero (CLOCK_MONOTONIC)."""
        self._zero_ns = zero_ns
        for member in self.members:
            member.cpu_at_zero_s = member.cpu_s = _cpu_s(member.pid)
            member.rss_bytes = _rss_bytes(member.pid)
            member.progress_at_ns = zero_ns
            member.run["zero_ns"] = zero_ns

    # ---- while they run ----

    def tell(self, word: int) -> None:
        """Stop or give up. Safe in a signal handler: it writes numbers into memory."""
        if word > self._told:
            self._told = word
            self._told_ns = time.monotonic_ns()
            for member in self.members:
                member.run["stop"] = word

    def look(self) -> Reading:
        """All blocks added up."""
        blocks = [(member.run.copy(), member.steps.copy()) for member in self.members]
        return merged(time.monotonic_ns(), blocks)

    def measure(self) -> None:
        """CPU and memory of those that are still there."""
        for member in self.members:
            if member.is_over:
                continue
            member.cpu_s = max(_cpu_s(member.pid), member.cpu_s)
            member.rss_bytes = max(member.rss_bytes, _rss_bytes(member.pid))

    def listen(self, until_ns: int) -> None:
        """Take in what they send until then, and note who is gone; less long when all are through."""
        while (left_ns := until_ns - time.monotonic_ns()) > 0 and not self.is_over:
            if not self._selector.get_map():
                time.sleep(min(left_ns, _POLL_NS) / 1e9)  # pipes are closed a moment before their processes end
            for key, _ in self._selector.select(left_ns / 1e9) if self._selector.get_map() else ():
                self._receive(key.data)
            for member in self.members:
                if member.is_heard:
                    self._reap(member)
        for member in self.members:
            self._reap(member)
            self._check_progress(member)

    def _receive(self, member: Member) -> bool:
        """Whatever has come from one worker; False: nothing has."""
        try:
            data = os.read(member.inlet, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._hang_up(member)
            return False
        member.buffer += data
        at = 0
        while len(member.buffer) - at >= FRAME.size:
            kind, size = FRAME.unpack_from(member.buffer, at)
            if len(member.buffer) - at - FRAME.size < size:
                break
            at += FRAME.size + size
            self._understand(member, Kind(kind), bytes(member.buffer[at - size : at]))
        del member.buffer[:at]
        return True

    def _understand(self, member: Member, kind: Kind, payload: bytes) -> None:
        if kind is Kind.SAMPLES:
            if self._on_samples is not None:
                self._on_samples(member.number, np.frombuffer(payload, dtype=SAMPLE))
            return
        message: Report | Refusal | Crash = pickle.loads(payload)  # noqa: S301 - of our own fork, by a private pipe
        match message:
            case Report():
                member.report = message
            case Refusal():
                member.refusal = message
            case Crash():
                member.crash = message

    def _hang_up(self, member: Member) -> None:
        if not member.is_heard:
            self._selector.unregister(member.inlet)
            os.close(member.inlet)
            member.is_heard = True

    def _reap(self, member: Member) -> None:
        """Note that a process is gone, if it is."""
        if member.is_over:
            return
        pid, status, usage = os.wait4(member.pid, os.WNOHANG)
        if pid == 0:
            return
        member.is_over = True
        member.ended_ns = time.monotonic_ns()
        member.cpu_s = usage.ru_utime + usage.ru_stime
        while not member.is_heard and self._receive(member):
            pass
        self._hang_up(member)
        if member.state != WorkerState.DONE or status:
            member.failure = member.failure or self._why(member, status)
            # What it had open went with it.
            for gauge in ("in_flight", "backlog", "connections"):
                member.run[gauge] = 0

    def _why(self, member: Member, status: int) -> str:
        after = f" {(time.monotonic_ns() - self._zero_ns) / 1e9:.1f} s after the beginning" if self._zero_ns else ""
        if member.crash is not None:
            return f"failed{after}: {member.crash.summary}"
        if os.WIFSIGNALED(status):
            return f"was killed{after} by {signal.Signals(os.WTERMSIG(status)).name}"
        return f"ended{after} with status {os.waitstatus_to_exitcode(status)}"

    # ---- those that cannot be waited for ----

    def _check_progress(self, member: Member) -> None:
        """Kill a worker that will not come to an end by itself."""
        now_ns = time.monotonic_ns()
        progress = _progress(member)
        if progress != member.progress:
            member.progress, member.progress_at_ns = progress, max(now_ns, member.progress_at_ns)
        if member.is_over or not self._zero_ns:
            return
        idle_s = (now_ns - member.progress_at_ns) / 1e9
        if self._told == Word.GIVE_UP and (now_ns - self._told_ns) / 1e9 > self._patience.end_s:
            self._kill(member, "did not give up when it was told to")
        elif self._is_due(member, now_ns) and idle_s > self._longest_s():
            self._kill(member, f"made no progress for {idle_s:.0f} s")

    def _is_due(self, member: Member, now_ns: int) -> bool:
        """Whether something must happen in a worker."""
        run = member.run[0]
        has_ended = now_ns > self._zero_ns + self._schedule_ns or self._told > 0
        return bool(has_ended or run["in_flight"] or run["backlog"])

    def _longest_s(self) -> float:
        """How long nothing may happen while something is under way."""
        steps = self._plan.steps
        sleeps_s = max(step.sleep.max_ms / 1e3 if step.sleep else 0.0 for step in steps)
        if any(step.timeout_s == 0 for step in steps):
            return self._patience.unbounded_s + sleeps_s if self._told else float("inf")
        return max(step.timeout_s for step in steps) + sleeps_s + self._patience.progress_s

    def _kill(self, member: Member, why: str) -> None:
        member.failure = member.failure or why
        with contextlib.suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing is left behind."""
        for member in self.members:
            if not member.is_over:
                self._kill(member, "was given up")
                os.waitpid(member.pid, 0)
                member.is_over = True
            self._hang_up(member)
        self._selector.close()


def _start_error(member: Member) -> ConfigError | UnavailableError:
    """Why a worker could not even begin."""
    if member.refusal is not None:
        refusal = member.refusal
        problem = refusal.problem.removeprefix(f"{refusal.field} = {refusal.value!r}: ")
        return ConfigError(refusal.field, refusal.value, problem, remedy=refusal.remedy)
    trace = f"\n{member.crash.traceback}" if member.crash else ""
    return UnavailableError(f"load worker {member.number} {member.failure}{trace}")


def _progress(member: Member) -> tuple[int, ...]:
    """What changes when anything happens."""
    run, steps = member.run[0], member.steps
    return (
        int(run["state"]),
        int(run["iterations_due"]),
        int(run["iterations_finished"]),
        *(int(steps[name].sum()) for name in ("started", "answered", "failed", "redirects", "received_bytes")),
    )


def _cpu_s(pid: int) -> float:
    """Processor time of a process's main thread so far, which is the one that makes the load; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[0]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _rss_bytes(pid: int) -> int:
    """Resident memory of a process, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
