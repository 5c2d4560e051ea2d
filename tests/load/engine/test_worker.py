"""A worker's pipe holds up no load, and its process takes nothing from the terminal and leaves with its parent."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from osmia.load.client.fake import FakeAnswer, FakeTransport
from osmia.load.client.transport import Transport, Work
from osmia.load.engine import Engine
from osmia.load.plan import CountKind, CountShape, Limits, Plan, Step
from osmia.load.tally import WorkerState, views
from osmia.load.worker import FRAME, Home, Kind

MIB = 1 << 20


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """The frames in what was read."""
    found, at = [], 0
    while at < len(data):
        kind, size = FRAME.unpack_from(data, at)
        at += FRAME.size
        found.append((kind, data[at : at + size]))
        at += size
    return found


def test_frames_arrive_whole_and_in_order() -> None:
    """What is sent is what is read, however large, once somebody reads."""
    inlet, outlet = os.pipe()
    home = Home(outlet)
    sent = [(Kind.REPORT, b"a"), (Kind.SAMPLES, b"x" * (3 * MIB)), (Kind.REPORT, b"")]
    pieces: list[bytes] = []

    def read() -> None:
        while piece := os.read(inlet, MIB):
            pieces.append(piece)

    for kind, payload in sent:
        home.send(kind, payload)
    reader = threading.Thread(target=read)
    reader.start()
    home.close()
    reader.join(10)
    os.close(inlet)

    assert frames(b"".join(pieces)) == [(int(kind), payload) for kind, payload in sent]


def test_a_pipe_that_nobody_reads_holds_nothing_up() -> None:
    """Sending returns at once, and says when there is no room for more."""
    inlet, outlet = os.pipe()
    home = Home(outlet)

    sent = 0
    while home.has_room(MIB):
        home.send(Kind.SAMPLES, bytes(MIB))
        sent += 1

    assert 30 <= sent <= 40
    os.close(inlet)
    os.close(outlet)


class _Flood:
    """Sends more samples than any pipe takes."""

    name = "flood"

    def run(self, work: Work) -> None:
        from osmia.load.tally import SAMPLE

        row = views(work.block)[0]
        row["state"] = WorkerState.READY
        rows = np.zeros(100_000, dtype=SAMPLE)
        assert work.on_samples is not None
        for _ in range(20):
            work.on_samples(rows)
        row["state"] = WorkerState.DONE


def a_plan(workers: int = 1) -> Plan:
    """One request."""
    return Plan(
        steps=(Step(id=1, url="http://h/"),), shape=CountShape(CountKind.LINEAR, 1, 1), limits=Limits(workers=workers)
    )


def test_samples_that_find_no_room_are_counted() -> None:
    """None is lost without being counted, and the results say how many."""
    seen = 0

    def keep(_: int, rows: np.ndarray) -> None:
        nonlocal seen
        seen += len(rows)

    with Engine(a_plan(), _Flood, on_samples=keep) as engine:
        for _ in engine.readings():
            pass
        results = engine.results()

    dropped = int(results.run["samples_dropped"])
    assert seen + dropped == 2_000_000
    assert dropped > 0
    assert any("samples were dropped" in one for one in results.limits)


def _paced() -> Transport:
    return FakeTransport(lambda _endpoint, _request: FakeAnswer(service_ns=300_000_000), is_paced=True)


def test_a_workers_process_ignores_ctrl_c() -> None:
    """The terminal sends SIGINT to the whole group; the engine alone decides what it means."""
    with Engine(a_plan(), _paced) as engine:
        os.kill(engine.worker_pids[0], signal.SIGINT)
        for _ in engine.readings():
            pass
        results = engine.results()

    assert results.workers[0].failure == ""
    assert int(results.run["iterations_succeeded"]) == 1


_PARENT = """
import os, sys, time
from osmia.load.client.fake import FakeAnswer, FakeTransport
from osmia.load.engine import Engine
from osmia.load.plan import *
plan = Plan(steps=(Step(id=1, url="http://h/"),), shape=UsersShape((UserStage(60.0, 1, 1),)), limits=Limits(workers=1))
engine = Engine(plan, lambda: FakeTransport(lambda *_: FakeAnswer(), is_paced=True)).__enter__()
print(engine.worker_pids[0], flush=True)
time.sleep(60)
"""


def test_workers_die_with_their_parent() -> None:
    """However the parent ends, no process goes on loading."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        descriptor = os.pidfd_open(worker)
        parent.kill()

    with subprocess.Popen(["true"]):  # the kernel has told the worker before a new process can end
        pass
    assert _has_ended(descriptor)
    assert not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text(encoding="utf-8")


def _has_ended(descriptor: int) -> bool:
    import select

    readable, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    return bool(readable)


def test_descriptors_are_raised_for_connections() -> None:
    """Ten thousand connections need as many descriptors: the worker takes what it may, the parent stays as it is."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 10_100:
        pytest.skip("this machine allows too few descriptors")

    class _Looks:
        name = "looks"

        def run(self, work: Work) -> None:
            row = views(work.block)[0]
            row["connections_max"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            row["backlog_max"] = work.max_connections
            row["state"] = WorkerState.DONE

    with Engine(a_plan(), _Looks) as engine:
        for _ in engine.readings():
            pass
        results = engine.results()

    assert int(results.run["backlog_max"]) == 10_000
    assert int(results.run["connections_max"]) >= 10_000
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
