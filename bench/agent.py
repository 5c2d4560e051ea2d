"""What watching costs the watched: nginx with and without the capture, alternated in one run.

nginx answers `return 200` from one worker on the first core; wrk and the draining process share the second. Both ends
of every request are traced, so this is the worst case: a request that does nothing but system calls.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.result import Bench, Result, at_least, at_most, median_ns
from osmia.agent.assembly import Assembler
from tests.agent.events import FakeEntities, batch, event

__all__ = ["BENCHES"]

_ROUNDS, _SECONDS = 5, 2
_TICKS = os.sysconf("SC_CLK_TCK")
_DRAINER = """
import time
from osmia.agent.kernel.capture import Capture
with Capture() as capture:
    print("up", flush=True)
    while True:
        while len(capture.drain()) == 4096:
            pass
        time.sleep(0.02)
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of wrk: requests per second, and nginx CPU per request in us."""

    rate: float
    cpu_us: float


def _nginx_ratio() -> Result:
    off, on = _measure()
    ratio = statistics.median(run.rate for run in on) / statistics.median(run.rate for run in off)
    note = f"requests/s of nginx, capture on / off, medians of {_ROUNDS}"
    return at_least(ratio, 0.83, "ratio", note)


def _cost_us() -> Result:
    off, on = _measure()
    cost = statistics.median(run.cpu_us for run in on) - statistics.median(run.cpu_us for run in off)
    return at_most(cost, 1.9, "us", "nginx CPU per request that the capture adds, medians")


def _assembly_us() -> Result:
    """An event from the ring to its window, beside merely turning it into Python values."""
    rows = batch(*(event(sequence=n, connection=n % 50) for n in range(1000)))
    assembler = Assembler(FakeEntities())
    ours = median_ns(lambda: assembler.add(rows, wall_offset_ns=0, now_ns=10**9)) / 1000 / len(rows)
    plain = median_ns(rows.tolist) / 1000 / len(rows)
    return at_most(ours, 20, "us/event", f"{ours / plain:.1f} times a bare numpy tolist ({plain:.2f} us)")


@functools.cache
def _measure() -> tuple[list[_Run], list[_Run]]:
    if shutil.which("nginx") is None or shutil.which("wrk") is None:
        raise RuntimeError("needs nginx and wrk (apt-get install nginx-light wrk)")
    off, on = [], []
    with _nginx() as (port, worker):
        for _ in range(_ROUNDS):
            off.append(_load(port, worker))
            with _capture():
                on.append(_load(port, worker))
    return off, on


@contextlib.contextmanager
def _nginx() -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        configuration = Path(home) / "nginx.conf"
        configuration.write_text(
            f"worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log; events {{}}"
            f"http {{ access_log off; keepalive_requests 100000000; server {{ listen 127.0.0.1:{port};"
            ' location / { return 200 "ok"; } } }'
        )
        master = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", str(configuration)])
        try:
            yield port, _child_of(master.pid)
        finally:
            master.terminate()
            master.wait()


@contextlib.contextmanager
def _capture() -> Iterator[None]:
    drainer = subprocess.Popen(
        ["taskset", "-c", "1", sys.executable, "-c", _DRAINER], stdout=subprocess.PIPE, text=True
    )
    try:
        if drainer.stdout is None or drainer.stdout.readline().strip() != "up":
            raise RuntimeError("the capture did not start: run `osmia agent check`")
        yield
    finally:
        drainer.kill()
        drainer.wait()


def _load(port: int, worker: int) -> _Run:
    before = _cpu_ticks(worker)
    wrk = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{_SECONDS}", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    used_us = (_cpu_ticks(worker) - before) * 1e6 / _TICKS
    requests = next(int(line.split()[0]) for line in said.splitlines() if "requests in" in line)
    return _Run(requests / _SECONDS, used_us / requests)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _child_of(pid: int) -> int:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise RuntimeError("nginx did not start")


BENCHES: dict[str, Bench] = {"nginx_ratio": _nginx_ratio, "cost_us": _cost_us, "assembly_us": _assembly_us}
