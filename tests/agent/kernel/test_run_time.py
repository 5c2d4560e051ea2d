"""Run time of our programs, as the kernel measures it."""

from __future__ import annotations

import os

import pytest

from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.agent.kernel.run_time import program_times, statistics_on

pytestmark = pytest.mark.ebpf

SMALL = CaptureOptions(ring_bytes=1 << 16, max_connections=64, max_edges=64, max_buckets=64)


def test_run_time_grows_while_it_is_measured() -> None:
    """A thousand writes of another process than the ignored one run a program of ours, in a plausible time."""
    read, write = os.pipe()
    with Capture(SMALL), statistics_on(), os.fdopen(read, "rb"), os.fdopen(write, "wb", buffering=0) as out:
        before = program_times()
        for _ in range(1_000):
            out.write(b"x")
        after = program_times()

    runs = sum(after[number].runs - before[number].runs for number in before)
    spent_ns = sum(after[number].run_time_ns - before[number].run_time_ns for number in before)
    assert runs >= 1_000
    assert spent_ns > 0


def test_programs_are_ours_and_alone() -> None:
    """None before the capture opens, named ones while it is open, none after."""
    before = program_times()
    with Capture(SMALL):
        during = program_times()

    added = [time for number, time in during.items() if number not in before]
    assert len(added) >= 3
    assert all(time.name for time in added)
    assert set(program_times()) == set(before)
