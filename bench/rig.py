"""What the agent's benchmarks run: the real agent process, a sink that acknowledges, nginx, and clients with a rate.

Everything is on loopback, on ports of its own, and ends with its context.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

__all__ = ["Agent", "Sink", "agent", "cpu_ns", "handled", "nginx", "paced", "sent", "sink", "wait_for", "wrk"]

_ZSTD = b"\x28\xb5\x2f\xfd"
_SINK = """
import json, sys, time
from pathlib import Path
from typing import Any
from aiohttp import web

home = Path(sys.argv[1])

async def take(request):
    body = await request.read()
    name = f"{request.match_info['table']}-{request.headers['Osmia-Sequence']}"
    (home / f".{name}").write_bytes(body)
    (home / f".{name}").rename(home / name)
    return web.json_response({"accepted": 1})

app = web.Application(client_max_size=1 << 28)
app.router.add_post("/api/v1/ingest/{table}", take)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)
"""

_PACED = """
import json, socket, sys, time

ports, rate, seconds, connections = json.loads(sys.argv[1])
request = b"GET /orders/17?page=2 HTTP/1.1\\r\\nHost: bench\\r\\nUser-Agent: paced\\r\\n\\r\\n"
sockets = []
for index in range(connections):
    one = socket.create_connection(("127.0.0.1", ports[index % len(ports)]))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sockets.append(one)
print("up", flush=True)
sent, began = 0, time.monotonic()
while (now := time.monotonic()) < began + seconds:
    if sent > rate * (now - began):
        time.sleep((sent - rate * (now - began)) / rate)
        continue
    for one in sockets:
        one.send(request)
    for one in sockets:
        one.recv(4096)
    sent += len(sockets)
print(json.dumps({"sent": sent, "seconds": time.monotonic() - began}), flush=True)
"""


_EACH_THREAD_ITS_PORT = """
local ports = {%s}
local next_port = 0
function setup(thread)
  next_port = next_port %% #ports + 1
  thread.addr = wrk.lookup("127.0.0.1", ports[next_port])[1]
end
"""


@dataclass(frozen=True, slots=True)
class Agent:
    """A running `osmia agent run`."""

    pid: int
    started_s: float


@dataclass(frozen=True, slots=True)
class Sink:
    """A server that takes every batch and keeps it in a directory, one file each."""

    port: int
    home: Path

    def has(self, name: str) -> bool:
        """Whether a batch of this table has come."""
        return any(self.home.glob(f"{name}-*"))

    def tables(self, name: str) -> Iterator[pa.Table]:
        """Every batch of one table, in order."""
        for path in sorted(self.home.glob(f"{name}-*")):
            raw = path.read_bytes()
            if raw.startswith(_ZSTD):  # some versions of aiohttp decompress what they take
                raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
            with pa.ipc.open_stream(raw) as stream:
                yield stream.read_all()

    def counted(self, ports: Sequence[int]) -> Counter[tuple[str, int]]:
        """Requests in windows, by role and server port."""
        total = Counter[tuple[str, int]]()
        for table in self.tables("windows"):
            columns = [table.column(column).to_pylist() for column in ("role", "server_port", "count")]
            for role, port, count in zip(*columns, strict=True):
                if port in ports:
                    total[role, port] += count
        return total

    def ledger(self) -> dict[str, Any]:
        """The newest row of the agent's ledger."""
        newest: dict[str, Any] = {}
        for table in self.tables("ledger"):
            newest = table.to_pylist()[-1]
        return newest


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """Run one."""
    [port] = _free_ports(1)
    with tempfile.TemporaryDirectory(prefix="osmia-sink-") as home:
        process = subprocess.Popen([sys.executable, "-c", _SINK, home, str(port)])
        try:
            wait_for(lambda: _is_open(port), "the sink")
            yield Sink(port, Path(home))
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def agent(where: Sink, *settings: str) -> Iterator[Agent]:
    """Run one that reports there; on the way out it is asked to end, so that its last report is in the sink."""
    command = [sys.executable, "-m", "osmia", "agent", "run", "--server", f"http://127.0.0.1:{where.port}"]
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, "--monitoring-id", "bench", "--key", "bench", "--scope", "all", "--log-level", "error", *settings]
    )
    try:
        wait_for(lambda: where.has("ledger"), "the agent's first report", process)
        yield Agent(process.pid, began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextlib.contextmanager
def nginx(servers: int = 1, *, cpu: int = 0) -> Iterator[list[int]]:
    """One worker on one core that answers 200 on some ports."""
    ports = _free_ports(servers)
    with tempfile.TemporaryDirectory(prefix="osmia-nginx-") as home:
        configuration = Path(home) / "nginx.conf"
        listeners = "".join(f"listen 127.0.0.1:{port};" for port in ports)
        configuration.write_text(
            f"worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log;"
            f" events {{ worker_connections 4096; }} http {{ access_log off; keepalive_requests 1000000000;"
            f' server {{ {listeners} location / {{ return 200 "ok"; }} location /handled {{ stub_status; }} }} }}'
        )
        master = subprocess.Popen(["taskset", "-c", str(cpu), "nginx", "-c", str(configuration)])
        try:
            wait_for(lambda: _is_open(ports[-1]), "nginx", master)
            yield ports
        finally:
            master.terminate()
            master.wait()


@contextlib.contextmanager
def paced(
    ports: Sequence[int], *, rate: float, seconds: float, connections: int = 16
) -> Iterator[subprocess.Popen[str]]:
    """A client with that many requests per second over all its connections; its last line says how many it sent."""
    arguments = json.dumps([list(ports), rate, seconds, connections])
    client = subprocess.Popen([sys.executable, "-c", _PACED, arguments], stdout=subprocess.PIPE, text=True)
    try:
        if client.stdout is None or client.stdout.readline().strip() != "up":
            raise RuntimeError("the client did not connect")
        yield client
    finally:
        client.kill()
        client.wait()


def sent(client: subprocess.Popen[str]) -> int:
    """How many requests a `paced` client has sent, once it is done."""
    said = client.stdout.readline() if client.stdout else ""
    return int(json.loads(said)["sent"])


def wrk(ports: Sequence[int], *, seconds: int, connections: int = 2) -> None:
    """As many requests as go, over all ports at once."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_EACH_THREAD_ITS_PORT % ", ".join(f'"{port}"' for port in ports))
        script.flush()
        load = [f"-t{len(ports)}", f"-c{connections * len(ports)}", f"-d{seconds}", "-s", script.name]
        subprocess.run(["wrk", *load, f"http://127.0.0.1:{ports[0]}/"], stdout=subprocess.DEVNULL, check=True)


def handled(port: int) -> int:
    """How many requests nginx has answered before this one, by its own count."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/handled", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(lines[2].split()[2]) - 1


def cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def wait_for(
    condition: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None, *, within_s: float = 15
) -> None:
    """Wait until something holds.

    Raises:
        RuntimeError: it did not, or the process ended.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise RuntimeError(f"{what} did not come")
        time.sleep(0.01)


def _free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
