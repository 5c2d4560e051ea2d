"""The load engine's core against wrk and h2load, which run in turn on the same core; nginx has the other one.

Near the top nginx is the limit and rates hide what the client costs, so its CPU per request is a figure of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.load_client import Figures, Job
from bench.load_curl import CURL_BENCHES
from bench.result import Bench, Result, at_least, at_most

__all__ = ["BENCHES", "Target", "target"]

_ROUNDS = 5
_SECONDS = 1.5
_USERS = 64
_BODY = '{"id": 4711, "name": "Currency", "items": [{"code": "EUR", "rate": 1.0842}, {"code": "CHF", "rate": 0.93}]}'
_NGINX = """
worker_processes 1; daemon off; worker_rlimit_nofile 16384; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 8192; }}
http {{
  log_format stamp $msec; access_log off; keepalive_requests 100000000; default_type application/json;
  ssl_certificate {home}/certificate.pem; ssl_certificate_key {home}/key.pem;
  server {{ listen 127.0.0.1:{plain} backlog=4096; location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{tls} ssl; location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{h2} ssl http2; location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{logged}; access_log {home}/access.log stamp buffer=1m; location / {{ return 200 ok; }} }}
}}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """nginx on the first core and its ports."""

    home: Path
    plain: int
    tls: int
    h2: int
    logged: int


@contextlib.contextmanager
def target() -> Iterator[Target]:
    """One that serves plain HTTP, TLS, HTTP/2 and with a log, until the end of the block."""
    _require("nginx", "nginx-light")
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(4)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        served = Target(Path(home), *(probe.getsockname()[1] for probe in probes))
        held.close()
        certify = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        files = ["-keyout", f"{home}/key.pem", "-out", f"{home}/certificate.pem"]
        subprocess.run(["openssl", *certify.split(), *files], check=True, capture_output=True)
        ports = {"plain": served.plain, "tls": served.tls, "h2": served.h2, "logged": served.logged}
        (served.home / "nginx.conf").write_text(_NGINX.format(home=home, body=_BODY, **ports))
        master = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", f"{home}/nginx.conf"])
        try:
            _await(served.logged)
            yield served
        finally:
            master.terminate()
            master.wait()


def _await(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise RuntimeError("nginx did not start")


def _core(**job: object) -> Figures:
    said = json.dumps(dataclasses.asdict(Job(**job)))  # type: ignore[arg-type]  # by its names
    command = ["taskset", "-c", "1", sys.executable, "-m", "bench.load_client", said]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    figures = Figures(**json.loads(run.stdout))
    if figures.failed:
        raise RuntimeError(f"{figures.failed} requests failed")
    return figures


def _wrk(url: str) -> float:
    _require("wrk", "wrk")
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{_USERS}", f"-d{_SECONDS:.0f}", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return _figure(r"Requests/sec:\s+([\d.]+)", said)


def _h2load(url: str, connections: int, streams: int) -> float:
    _require("h2load", "nghttp2-client")
    shape = [f"-c{connections}", f"-m{streams}", "-t1", f"-D{_SECONDS:.0f}"]
    said = subprocess.run(["taskset", "-c", "1", "h2load", *shape, url], capture_output=True, text=True, check=True)
    return _figure(r"finished in .*?, ([\d.]+) req/s", said.stdout)


def _figure(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"no figure in: {said}")
    return float(found[1])


def _require(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise RuntimeError(f"needs {program} (apt-get install {package})")


def _ratio(ours: Callable[[], float], theirs: Callable[[], float], goal: float, what: str) -> Result:
    """Medians of rounds in which both run, one after the other."""
    rounds = [(ours(), theirs()) for _ in range(_ROUNDS)]
    us, them = (statistics.median(one[side] for one in rounds) for side in (0, 1))
    note = f"{us:,.0f} requests/s against {them:,.0f} of {what}, medians of {_ROUNDS}; load {os.getloadavg()[0]:.1f}"
    return at_least(us / them, goal, "ratio", note)


def _h1_vs_wrk() -> Result:
    with target() as nginx:
        url = f"http://127.0.0.1:{nginx.plain}/"
        return _ratio(lambda: _core(port=nginx.plain).rate, lambda: _wrk(url), 0.95, "wrk")


def _tls_vs_wrk() -> Result:
    with target() as nginx:
        url = f"https://127.0.0.1:{nginx.tls}/"
        return _ratio(lambda: _core(port=nginx.tls, is_tls=True).rate, lambda: _wrk(url), 0.95, "wrk")


def _h2_vs_h2load() -> Result:
    with target() as nginx:
        url = f"https://127.0.0.1:{nginx.h2}/"
        job = {"port": nginx.h2, "is_tls": True, "http": 2, "max_connections": 1}
        ours = functools.partial(_core, **job)
        return _ratio(lambda: ours().rate, lambda: _h2load(url, 1, _USERS), 1.0, f"h2load -c1 -m{_USERS}")


def _scenario_vs_wrk() -> Result:
    with target() as nginx:
        url = f"http://127.0.0.1:{nginx.plain}/"
        what = "wrk without a script; ours: a capture, three assertions, a random value"
        return _ratio(lambda: _core(port=nginx.plain, is_scenario=True).rate, lambda: _wrk(url), 0.7, what)


def _client_us() -> Result:
    with target() as nginx:
        static = statistics.median(_core(port=nginx.plain).cpu_us for _ in range(_ROUNDS))
    return at_most(static, 9.5, "us/request", "CPU of the core, static GET, 64 connections")


def _scenario_us() -> Result:
    with target() as nginx:
        cost = statistics.median(_core(port=nginx.plain, is_scenario=True).cpu_us for _ in range(_ROUNDS))
    return at_most(cost, 14, "us/request", "CPU with a capture, three assertions and a random value")


def _open_lag_p99_ms() -> Result:
    with target() as nginx:
        runs = [_core(port=nginx.plain, rate=5_000, seconds=3) for _ in range(3)]
    if any(run.answered != 15_000 for run in runs):
        raise RuntimeError(f"answered {[run.answered for run in runs]} of 15,000")
    lags = sorted(run.lag_p99_us / 1e3 for run in runs)
    note = f"5,000/s, all of 15,000 sent; of {', '.join(f'{one:.2f}' for one in lags)}"
    return at_most(statistics.median(lags), 1, "ms", f"{note}; load {os.getloadavg()[0]:.1f}")


def _open_sd() -> Result:
    """Arrivals per 10 ms in nginx' own log, at 5,000/s."""
    found = []
    for _ in range(3):
        with target() as nginx:
            _core(port=nginx.logged, rate=5_000, seconds=3)
            with contextlib.suppress(FileNotFoundError):
                pid = int((nginx.home / "pid").read_text())
                os.kill(pid, 10)  # SIGUSR1: write out and reopen the logs
            _wait_for_lines(nginx.home / "access.log", 15_000)
            stamps = (nginx.home / "access.log").read_text(encoding="ascii").split()
        buckets = Counter(int(float(one) * 1000) // 10 for one in stamps)
        first, last = min(buckets), max(buckets)
        found.append(statistics.pstdev(buckets[at] for at in range(first + 1, last)))
    return at_most(
        statistics.median(found), 3, "arrivals", f"of {', '.join(f'{one:.1f}' for one in found)}; 50 is even"
    )


def _wait_for_lines(path: Path, count: int) -> None:
    for _ in range(100):
        if path.read_bytes().count(b"\n") >= count:
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise RuntimeError(f"the log has {path.read_bytes().count(10)} lines of {count}")


def _max_rate_ok() -> Result:
    """Asked for much more than can be: what is answered must not fall below the closed model's rate by much."""
    with target() as nginx:
        closed = _core(port=nginx.plain).rate
        asked = int(closed * 1.5)
        beyond = _core(port=nginx.plain, rate=asked, seconds=2, max_connections=_USERS)
    note = (
        f"{beyond.rate:,.0f}/s of {asked:,}/s asked for; closed model {closed:,.0f}/s; backlog {beyond.backlog:,} said"
    )
    return at_least(beyond.rate / closed if beyond.backlog else 0, 0.8, "ratio", note)


def _rss_mib() -> Result:
    with target() as nginx:
        run = _core(port=nginx.plain, users=2_000, seconds=3)
    return at_most(run.rss_mib, 60, "MiB", f"peak of a worker with {run.connections:,} connections")


BENCHES: dict[str, Bench] = {
    "h1_vs_wrk": _h1_vs_wrk,
    "tls_vs_wrk": _tls_vs_wrk,
    "h2_vs_h2load": _h2_vs_h2load,
    "scenario_vs_wrk": _scenario_vs_wrk,
    "client_us": _client_us,
    "scenario_us": _scenario_us,
    "open_lag_p99_ms": _open_lag_p99_ms,
    "open_sd": _open_sd,
    "max_rate_ok": _max_rate_ok,
    "rss_mib": _rss_mib,
    **CURL_BENCHES,
}
