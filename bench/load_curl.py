"""The libcurl transport against wrk: both on one core in turn, nginx on the other, 64 connections, plain GET.

The figures are rows of `bench/load.py`.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys

from bench import rig
from bench.result import Bench, Result, at_least, at_most
from osmia.model.errors import UnavailableError

__all__ = ["CURL_BENCHES"]

_CONNECTIONS = 64
_ROUNDS = 5
_SECONDS = 1

_CLIENT = """
import json, resource, sys, time
from osmia.load.client.curl import CurlTransport
from osmia.load.client.transport import Endpoint, Shows, Users, WireStep, Work
from osmia.load.tally import block_bytes, views

class Nobody:
    def begin(self, iteration, user):
        return None
    def inspect(self, *answer):
        return True

port, connections, seconds, shows = json.loads(sys.argv[1])
request = f"GET / HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nUser-Agent: osmia\\r\\n\\r\\n".encode()
step = WireStep(endpoint=Endpoint(host="127.0.0.1", port=port), request=request, shows=Shows[shows])
block = memoryview(bytearray(block_bytes(1)))
run, steps = views(block)
load = Users(changes=[(0, connections)], duration_ns=int(seconds * 1e9))
work = Work(steps=[step], load=load, script=Nobody(), block=block)
before = time.process_time()
run[0]["zero_ns"] = time.monotonic_ns() + 1_000_000
CurlTransport().run(work)
spent = time.process_time() - before
print(json.dumps([int(steps[0]["statuses"][200]) / seconds, spent / int(steps[0]["answered"]) * 1e6]))
"""


def _curl(port: int, shows: str = "NEVER") -> tuple[float, float]:
    """Requests per second, and CPU us per request."""
    arguments = json.dumps([port, _CONNECTIONS, _SECONDS, shows])
    command = ["taskset", "-c", "1", sys.executable, "-c", _CLIENT, arguments]
    rate, cpu_us = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return float(rate), float(cpu_us)


def _wrk(port: int) -> float:
    """Requests per second."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"wrk said nothing about its rate: {said}")
    return float(found[1])


def _vs_wrk(shows: str, goal: float) -> Result:
    if (os.cpu_count() or 1) < 2:
        raise UnavailableError("client and server need a core each")
    with rig.nginx(cpu=0) as [port]:
        rounds = [(_curl(port, shows)[0], _wrk(port)) for _ in range(_ROUNDS)]
    curl, wrk = (statistics.median(one[side] for one in rounds) for side in (0, 1))
    ratio = statistics.median(one / other for one, other in rounds)
    return at_least(ratio, goal, "of wrk", f"{curl:,.0f} against {wrk:,.0f} requests/s, medians of {_ROUNDS} rounds")


def _cpu_us() -> Result:
    with rig.nginx(cpu=0) as [port]:
        rounds = [_curl(port) for _ in range(3)]
    return at_most(statistics.median(cpu for _, cpu in rounds), 20.0, "us/request", "client's CPU, static step")


def _static() -> Result:
    return _vs_wrk("NEVER", 0.4)


def _redirects() -> Result:
    """Steps that follow redirects keep the head of every answer: libcurl passes it on line by line."""
    return _vs_wrk("REDIRECTS", 0.36)


CURL_BENCHES: dict[str, Bench] = {
    "curl_vs_wrk": _static,
    "curl_redirects_vs_wrk": _redirects,
    "curl_client_us": _cpu_us,
}
