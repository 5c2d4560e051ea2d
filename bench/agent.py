"""What watching costs the watched, and what the agent itself needs.

`nginx_ratio` and `cost_us`: nginx with and without the capture, alternated in one run. nginx answers `return 200` from
one worker on the first core; wrk and the draining process share the second. Both ends of every request are traced, so
this is the worst case: a request that does nothing but system calls. The others run the whole agent (`bench/rig.py`).
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

from bench import rig
from bench.connects import tcp_connect_us
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

    def report() -> None:
        for _ in range(10):
            assembler.add(rows, wall_offset_ns=0, now_ns=10**9)
        assembler.flush()

    ours = median_ns(report) / 1000 / len(rows) / 10
    plain = median_ns(rows.tolist) / 1000 / len(rows)
    return at_most(ours, 3, "us/event", f"{ours / plain:.1f} times a bare numpy tolist ({plain:.2f} us)")


def _cpu_10k() -> Result:
    """CPU of the agent's process while it sees 10,000 requests/s at both ends."""
    _require("nginx")
    capped, all_events = statistics.median(_agent_cores() for _ in range(3)), _agent_cores("--max-events-per-s", "0")
    note = f"{all_events:.3f} with every request as an event ({all_events / capped:.1f} times); load {_load_average()}"
    return at_most(capped, 0.03, "core", note)


def _agent_cores(*settings: str, warm_s: float = 4, seconds: float = 10) -> float:
    with (
        rig.sink() as sink,
        rig.nginx() as ports,
        rig.agent(sink, *settings) as agent,
        rig.paced(ports, rate=10_000, seconds=warm_s + seconds + 1) as client,
    ):
        time.sleep(warm_s)
        before_ns, before_s = rig.cpu_ns(agent.pid), time.monotonic()
        time.sleep(seconds)
        used_ns, passed_s = rig.cpu_ns(agent.pid) - before_ns, time.monotonic() - before_s
        rate = rig.sent(client) / (warm_s + seconds + 1)
        if rate < 9_500:
            raise RuntimeError(f"the client reached only {rate:.0f} requests/s")
    return used_ns / 1e9 / passed_s


def _lost_100k() -> Result:
    """Requests of 24 edges, as fast as this machine goes: missing events without a cap, missing counts with one."""
    _require("nginx")
    _require("wrk")
    uncapped, capped = _flood("--max-events-per-s", "0", "--ring-kib", "131072"), _flood()
    missing = uncapped.missing_events + abs(uncapped.missing_counts) + abs(capped.missing_counts)
    note = (
        f"no cap, ring of 128 MiB: {uncapped}; with cap: {capped}, 1 in {capped.sample_every} listed; "
        f"as fast as wrk and nginx go on {os.cpu_count()} cores, load {_load_average()}"
    )
    return at_most(missing, 0, "requests", note)


@dataclass(frozen=True, slots=True)
class _Flood:
    """What a flood left: its rate, and what is missing of it."""

    rate: float
    requests: int
    missing_counts: int
    missing_events: int
    client_counts: int
    sample_every: int

    def __str__(self) -> str:
        return (
            f"{self.rate:,.0f} requests/s, {self.requests:,} in all: {self.missing_counts} not counted, "
            f"{self.missing_events} without event; {self.client_counts - self.requests:+d} at the clients"
        )


def _flood(*settings: str, edges: int = 24, seconds: int = 8) -> _Flood:
    with rig.sink() as sink, rig.nginx(edges) as ports:
        with rig.agent(sink, *settings) as agent:
            before = rig.handled(ports[0])
            rig.wrk(ports, seconds=seconds)
            requests = rig.handled(ports[0]) - before + 1  # the agent saw this question, too
            ledger_rows = len(list(sink.home.glob("ledger-*")))
            rig.wait_for(lambda: len(list(sink.home.glob("ledger-*"))) > ledger_rows + 1, "the last report")
            del agent
        counted, ledger = sink.counted(ports), sink.ledger()
    server, client = (sum(n for (side, _), n in counted.items() if side == role) for role in ("server", "client"))
    lost = dict(zip(ledger["lost_causes"], ledger["lost_counts"], strict=True))
    return _Flood(
        requests / seconds, requests, requests - server, lost.get("ring_full", 0), client, ledger["sample_every"]
    )


def _first_edge_s() -> Result:
    """From the start of the agent's process to a window that the sink has acknowledged."""
    _require("nginx")
    times = []
    for _ in range(3):
        with (
            rig.sink() as sink,
            rig.nginx() as ports,
            rig.paced(ports, rate=100, seconds=30, connections=2),
            rig.agent(sink) as agent,
        ):
            rig.wait_for(functools.partial(sink.has, "windows"), "the first window")
            times.append(time.monotonic() - agent.started_s)
    return at_most(statistics.median(times), 3, "s", f"of {', '.join(f'{one:.2f}' for one in times)}")


def _rss() -> Result:
    """Resident memory with 500 pods and 5,000 edges, after warm-up."""
    module = [sys.executable, "-m", "bench.footprint"]
    with subprocess.Popen([*module, "serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().strip() if server.stdout else ""
            said = subprocess.run([*module, url], stdout=subprocess.PIPE, text=True, check=True, timeout=400).stdout
        finally:
            server.terminate()
    sizes = [float(line) for line in said.splitlines()]
    half = statistics.median(sizes[len(sizes) // 2 :])
    growth = statistics.median(sizes[-10:]) - statistics.median(sizes[len(sizes) // 2 :][:10])
    return at_most(
        half, 150, "MiB", f"{growth:+.1f} MiB over the last {len(sizes) // 2} reports, peak {max(sizes):.0f}"
    )


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise RuntimeError(f"needs {program} (apt-get install nginx-light wrk)")


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.1f}"


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


BENCHES: dict[str, Bench] = {
    "nginx_ratio": _nginx_ratio,
    "cost_us": _cost_us,
    "assembly_us": _assembly_us,
    "cpu_10k": _cpu_10k,
    "lost_100k": _lost_100k,
    "first_edge_s": _first_edge_s,
    "rss": _rss,
    "tcp_connect_us": tcp_connect_us,
}
