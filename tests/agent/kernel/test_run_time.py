"""Run time of our programs, as the kernel measures it."""

from __future__ import annotations

import socket

import pytest

from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.agent.kernel.run_time import program_times, statistics_on

pytestmark = pytest.mark.ebpf

SMALL = CaptureOptions(ring_bytes=1 << 16, max_connections=64, max_edges=64, max_buckets=64)


def test_run_time_grows_while_it_is_measured() -> None:
    """A thousand messages of another process than the ignored one run a program of ours, in a plausible time."""
    one, other = socket.socketpair()
    with Capture(SMALL), statistics_on(), one, other:
        before = program_times()
        for _ in range(1_000):
            one.send(b"x")
            other.recv(1)
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
