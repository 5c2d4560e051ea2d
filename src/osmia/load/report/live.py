"""The view of a run while it goes on: a small panel that stays in its place, or a plain line now and again.

`live_view` chooses: nothing if quiet, rich's `Live` on a terminal, else one line every 1.5 s, as often as the
original. It writes to the stream that it is given and nowhere else; give it stderr, and stdout stays clean for
`stdout-json`. A stream that breaks (its reader is gone) ends the view, never the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from osmia.load.plan import UNTIL_COUNT_S, Plan
from osmia.load.report.amounts import clock_text, count_text, plural, rate_text, share_text, sparkline, time_text
from osmia.load.report.describe import hosts_of, shape_text
from osmia.load.report.figures import Latency
from osmia.load.report.progress import Progress, Snapshot
from osmia.load.report.visible import visible
from osmia.load.results import Reading

__all__ = ["View", "line_text", "live_view", "panel"]

_LINE_S = 1.5
_FRAMES_PER_S = 8


class View(Protocol):
    """What shows a run: entered before its first reading, left after the last."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state where it is and give the stream back."""

    def update(self, reading: Reading) -> None:
        """Show a reading, if it is time."""


def live_view(  # noqa: PLR0913 - keywords
    plan: Plan,
    stream: TextIO,
    *,
    workers: int = 1,
    is_quiet: bool = False,
    is_colored: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> View:
    """The view that suits the stream."""
    if is_quiet:
        return _Quiet()
    progress = Progress(plan, workers=workers)
    console = Console(file=stream, no_color=not is_colored or None, markup=False, highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return _Panel(progress, plan, console)
    return _Lines(progress, stream, clock)


class _Quiet:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, reading: Reading) -> None:
        """Nothing."""


class _Lines:
    """One line every 1.5 s, and a last one."""

    def __init__(self, progress: Progress, stream: TextIO, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._stream = stream
        self._clock = clock
        self._next_s = 0.0
        self._last: Snapshot | None = None
        self._is_broken = False

    def __enter__(self) -> Self:
        self._next_s = self._clock() + _LINE_S
        return self

    def __exit__(self, *_: object) -> None:
        if self._last is not None:
            self._write(self._last)

    def update(self, reading: Reading) -> None:
        """Write a line when 1.5 s have passed since the last one."""
        self._last = self._progress.update(reading)
        if self._clock() >= self._next_s:
            self._write(self._last)
            self._last = None
            self._next_s = self._clock() + _LINE_S

    def _write(self, snapshot: Snapshot) -> None:
        if self._is_broken:
            return
        try:
            self._stream.write(line_text(snapshot) + "\n")
            self._stream.flush()
        except OSError:
            self._is_broken = True


class _Panel:
    """Rich's live display, drawn in this thread: workers are forked, and threads must not be there then."""

    def __init__(self, progress: Progress, plan: Plan, console: Console) -> None:
        self._progress = progress
        self._plan = plan
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._next_s = 0.0
        self._is_broken = False

    def __enter__(self) -> Self:
        self._guarded(self._live.start)
        return self

    def __exit__(self, *_: object) -> None:
        self._guarded(self._live.stop)

    def update(self, reading: Reading) -> None:
        """Draw anew, at most eight times a second."""
        snapshot = self._progress.update(reading)
        if snapshot.elapsed_s < self._next_s:
            return
        self._next_s = snapshot.elapsed_s + 1 / _FRAMES_PER_S
        shown = panel(self._plan, snapshot, width=self._console.width)
        self._guarded(lambda: self._live.update(shown, refresh=True))

    def _guarded(self, action: Callable[[], object]) -> None:
        if self._is_broken:
            return
        try:
            action()
        except OSError:
            self._is_broken = True


# ---- one line ----


def _clock(snapshot: Snapshot, between: str) -> str:
    """`0:03/0:10`; the time alone where a count ends the run."""
    elapsed = clock_text(snapshot.elapsed_s)
    return elapsed if snapshot.planned_s == UNTIL_COUNT_S else f"{elapsed}{between}{clock_text(snapshot.planned_s)}"


def line_text(snapshot: Snapshot) -> str:
    """`0:03/0:10  300 requests, 100/s, 0 failed (0 %), p50 8.1 ms, p95 14 ms, p99 19 ms, 3 in flight`."""
    parts = [
        f"{_clock(snapshot, '/')}  {plural(snapshot.requests, 'request')}",
        rate_text(snapshot.requests_per_s),
        f"{count_text(snapshot.failed)} failed ({share_text(snapshot.failed, max(1, snapshot.requests))})",
    ]
    if snapshot.assertion_failed:
        parts.append(plural(snapshot.assertion_failed, "assertion failure"))
    recent = snapshot.recent
    parts += [f"p50 {time_text(recent.p50_ns)}", f"p95 {time_text(recent.p95_ns)}", f"p99 {time_text(recent.p99_ns)}"]
    parts.append(f"{count_text(snapshot.in_flight)} in flight")
    parts += [f"generator: {warning}" for warning in snapshot.warnings]
    return ", ".join(parts)


# ---- the panel ----

_LABEL, _CELL = 11, 10
_LEFT = _LABEL + 4 * _CELL + 2


def panel(plan: Plan, snapshot: Snapshot, *, width: int) -> RenderableType:
    """What stands on the terminal at one moment; always as many lines, so that nothing jumps."""
    load = f"  {shape_text(plan.shape)}"
    lines = [
        Text.assemble((visible(", ".join(hosts_of(plan))), "bold"), (load, "dim")),
        _bar(snapshot, width),
        Text(),
        _rates(snapshot, width),
        _row("", ["p50", "p95", "p99", "max"], style="dim").append(
            "  p95 of each second" if _room(width) else "", "dim"
        ),
        _row("Last 5 s", _latencies(snapshot.recent)).append_text(_spark(snapshot.p95s_ns, width, "yellow")),
        _row("Overall", _latencies(snapshot.overall)),
        _failures(snapshot),
        _generator(snapshot),
    ]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _row(label: str, cells: list[str], style: str = "") -> Text:
    return Text(f"{label:<{_LABEL}}" + "".join(f"{cell:>{_CELL}}" for cell in cells), style=style)


def _room(width: int) -> int:
    """Columns that are left for a sparkline beside the figures; fewer than ten are none."""
    room = width - _LEFT
    return min(room, 60) if room >= 10 else 0  # noqa: PLR2004 - said above


def _spark(values: tuple[float, ...], width: int, style: str) -> Text:
    return Text("  " + sparkline(values, width=_room(width)) if _room(width) else "", style=style)


def _bar(snapshot: Snapshot, width: int) -> Text:
    told = f"  {_clock(snapshot, ' of ')}  {100 * snapshot.share:3.0f} %"
    if snapshot.is_draining:
        told = f"  {clock_text(snapshot.elapsed_s)}  finishing what is in flight"
    room = max(8, width - len(told))
    done = round(room * snapshot.share)
    return Text.assemble(("━" * done, "blue"), ("─" * (room - done), "dim"), told)


def _rates(snapshot: Snapshot, width: int) -> Text:
    asked = f"asked {rate_text(snapshot.asked_per_s)}, " if snapshot.is_open and not snapshot.is_draining else ""
    line = _row("Sent", [rate_text(snapshot.requests_per_s)])
    told = f"  {asked}{plural(snapshot.requests, 'request')}"
    return line.append(f"{told:<{3 * _CELL}}", "dim").append_text(_spark(snapshot.rates, width, "blue"))


def _latencies(latency: Latency) -> list[str]:
    return [time_text(ns) for ns in (latency.p50_ns, latency.p95_ns, latency.p99_ns, latency.max_ns)]


def _failures(snapshot: Snapshot) -> Text:
    style = "red" if snapshot.failed or snapshot.assertion_failed else "green"
    line = _row("Failed", [share_text(snapshot.failed, snapshot.requests)], style=style)
    parts = [f"{text} {count_text(count)}" for text, count in snapshot.errors]
    if snapshot.assertion_failed:
        parts.append(plural(snapshot.assertion_failed, "assertion failure"))
    return line.append("  " + ", ".join(parts) if parts else "")


def _generator(snapshot: Snapshot) -> Text:
    line = _row("In flight", [count_text(snapshot.in_flight)])
    line.append(f"  {plural(snapshot.connections, 'connection')}", "dim")
    if snapshot.warnings:
        return line.append(f"  ! {'; '.join(snapshot.warnings)}", "yellow")
    return line.append("  generator fine", "green")
