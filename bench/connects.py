"""What watching connections costs who makes them: a loop of connect, accept and close over loopback, on and off.

One process on one core plays both ends, so that every system call and every change of state of both is in the time of
one round. The TCP programs are opened and closed between rounds, in turn, and the medians compared.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from bench.result import Result, at_most
from osmia.agent.kernel.tcp import TcpCapture

__all__ = ["tcp_connect_us"]

_ROUNDS, _CONNECTIONS = 9, 4_000
_LOOP = f"""
import os, socket, struct, sys, time
os.sched_setaffinity(0, {{1 % os.cpu_count()}})
server = socket.create_server(("127.0.0.1", 0))
address, linger = server.getsockname(), struct.pack("ii", 1, 0)
for _ in sys.stdin:
    began = time.process_time()
    for _ in range({_CONNECTIONS}):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # no TIME_WAIT
        client.connect(address)
        server.accept()[0].close()
        client.close()
    print((time.process_time() - began) * 1e6 / {_CONNECTIONS}, flush=True)
"""


def tcp_connect_us() -> Result:
    """Processor time that one connection costs more, both ends together."""
    off: list[float] = []
    on: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-c", _LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loop:
        _round(loop)  # warm
        for _ in range(_ROUNDS):
            off.append(_round(loop))
            with TcpCapture():
                on.append(_round(loop))
        loop.kill()
    without, with_it = statistics.median(off), statistics.median(on)
    note = f"CPU per connection, both ends: {with_it:.1f} us on, {without:.1f} us off, {with_it / without:.3f} times"
    return at_most(with_it - without, 4, "us", note)


def _round(loop: subprocess.Popen[str]) -> float:
    if loop.stdin is None or loop.stdout is None:
        raise RuntimeError("the loop has no pipes")
    loop.stdin.write("go\n")
    loop.stdin.flush()
    return float(loop.stdout.readline())
