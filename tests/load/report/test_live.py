"""The live view: what is known of a run while it goes on, and how it is shown."""

from __future__ import annotations

import errno
import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from itertools import count
from typing import TextIO

import numpy as np
import pytest

from osmia.load.plan import Plan, RateShape, RateStage, Step, UsersShape, UserStage
from osmia.load.report.live import live_view
from osmia.load.report.progress import Progress
from osmia.load.results import Reading
from tests.load.report import build
from tests.load.report.snapshots import live_panel

_STEP = Step(id=1, url="http://host/")
_OPEN = Plan(steps=(_STEP,), shape=RateShape((RateStage(20.0, 100, 100),)))
_CLOSED = Plan(steps=(_STEP,), shape=UsersShape((UserStage(20.0, 10, 10),), count=400))


def _readings(plan: Plan = _OPEN, *, seconds: int = 10) -> list[Reading]:
    return build.readings_of(plan, [build.Target()], [100] * seconds)


def test_rates_and_percentiles_are_of_the_last_seconds() -> None:
    """A target that becomes slow shows at once in the last seconds, and only slowly overall."""
    fast = build.readings_of(_OPEN, [build.Target(median_ms=5)], [100] * 10)
    slow = build.readings_of(_OPEN, [build.Target(median_ms=500)], [100] * 6)
    progress = Progress(_OPEN)
    for reading in fast:
        progress.update(reading)
    last = fast[-1]

    for reading in slow[1:]:
        steps = last.steps.copy()
        for name in ("answered", "response"):
            steps[name] += reading.steps[name]
        snapshot = progress.update(Reading(reading.at_ns + 10_000_000_000, last.run, steps))

    assert snapshot.recent.p50_ns == pytest.approx(500e6, rel=0.1)
    assert snapshot.overall.p50_ns == pytest.approx(5e6, rel=0.5)
    assert snapshot.requests_per_s == pytest.approx(100)


def test_progress_is_that_of_time_in_the_open_model() -> None:
    """Half the time is half the way."""
    snapshots = [progress.update(reading) for progress in [Progress(_OPEN)] for reading in _readings()]

    assert [round(snapshot.share, 2) for snapshot in snapshots[::5]] == [0.0, 0.25, 0.5]
    assert not snapshots[-1].is_draining


def test_progress_is_whatever_ends_first_in_the_closed_model() -> None:
    """Three of the four hundred iterations that end the run are more than the time says."""
    progress = Progress(_CLOSED)

    snapshot = [progress.update(reading) for reading in _readings(_CLOSED, seconds=3)][-1]

    assert snapshot.share == pytest.approx(300 / 400)


def test_a_generator_that_falls_behind_is_told() -> None:
    """Late starts, iterations that wait, and full cores."""
    readings = _readings(seconds=3)
    run = readings[-1].run.copy()
    run["iterations_due"] += 500
    run["cpu_ns"] += 4_000_000_000
    run["lag"][600] += 400
    progress = Progress(_OPEN)
    progress.update(readings[0])

    snapshot = progress.update(replace(readings[-1], run=run))

    assert "iterations start late" in snapshot.warnings[0]
    assert snapshot.warnings[1] == "behind its rate: 500 iterations wait"
    assert "of their cores" in snapshot.warnings[2]


def test_a_healthy_generator_is_not_blamed() -> None:
    """No warning without a cause."""
    progress = Progress(_OPEN)

    assert [progress.update(reading).warnings for reading in _readings()][-1] == ()


def test_memory_stays_the_same() -> None:
    """However many readings come, only those of the last seconds are kept."""
    progress = Progress(_OPEN)
    for reading in _readings(seconds=60):
        progress.update(reading)

    assert len(progress._marks) <= 7


def test_the_panel_has_always_as_many_lines() -> None:
    """Nothing jumps: nine lines at every width, none of them wider."""
    for width in (60, 80, 120):
        lines = live_panel(width).rstrip("\n").split("\n")
        assert len(lines) == 9
        assert max(len(line) for line in lines) <= width


def test_a_stream_that_is_no_terminal_gets_a_line_now_and_again() -> None:
    """One every 1.5 s and one at the end; no control characters."""
    stream, ticks = StringIO(), count()
    with live_view(_OPEN, stream, clock=lambda: next(ticks) * 0.5) as view:
        for reading in _readings():
            view.update(reading)

    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) < 10
    assert lines[-1].startswith("0:10/0:20  1,000 requests, 100/s, 0 failed (0 %), p50 ")
    assert "\x1b" not in stream.getvalue()


def test_quiet_is_silent() -> None:
    """Not a byte."""
    stream = StringIO()
    with live_view(_OPEN, stream, is_quiet=True) as view:
        for reading in _readings():
            view.update(reading)

    assert stream.getvalue() == ""


@contextmanager
def _terminal() -> Iterator[tuple[TextIO, int]]:
    """A pseudo terminal to write to, and the descriptor at which its output comes out."""
    outside, inside = pty.openpty()
    with os.fdopen(inside, "w") as stream:
        yield stream, outside
    os.close(outside)


def _output(descriptor: int) -> str:
    """What has come so far."""
    os.set_blocking(descriptor, False)
    parts = []
    try:
        while part := os.read(descriptor, 65_536):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts).decode()


@pytest.mark.parametrize("is_colored", [True, False])
def test_a_terminal_gets_the_panel(is_colored: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Drawn in its place and taken away at the end; without colours if so wished."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with _terminal() as (stream, outside):
        with live_view(_OPEN, stream, is_colored=is_colored) as view:
            for reading in _readings():
                view.update(reading)
        written = _output(outside)

    assert "Last 5 s" in written
    assert ("\x1b[34m" in written) is is_colored
    assert written.endswith("\x1b[2K")  # the last lines are erased


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot move its cursor."""
    monkeypatch.setenv("TERM", "dumb")
    with _terminal() as (stream, outside):
        with live_view(_OPEN, stream) as view:
            view.update(_readings()[-1])
        written = _output(outside)

    assert written.startswith("0:00/0:20  1,000 requests")


class _Broken(StringIO):
    """A pipe whose reader has gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_reader_that_is_gone_does_not_end_the_run() -> None:
    """The view falls silent."""
    ticks = count()
    with live_view(_OPEN, _Broken(), clock=lambda: float(next(ticks) * 10)) as view:
        for reading in _readings():
            view.update(reading)

    assert next(ticks) > 0


def test_readings_without_requests_are_fine() -> None:
    """Before the first answer there are dashes."""
    progress = Progress(_OPEN)

    snapshot = progress.update(_readings(seconds=0)[0])

    assert snapshot.overall.p50_ns is None
    assert snapshot.requests_per_s == 0
    assert np.isfinite(snapshot.share)
