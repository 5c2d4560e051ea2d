"""The real agent as a process of its own, a server that keeps what it is sent, and load from nginx and wrk."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from osmia.agent.kernel import run_time
from osmia.model.wire import Table
from osmia.server.ingest.decode import decode

__all__ = [
    "Agent",
    "Sink",
    "free_port",
    "nginx_or_skip",
    "programs_alive",
    "programs_of",
    "running_agent",
    "serving_nginx",
    "wait_for",
    "wrk",
]


def wait_for(condition: Callable[[], object], what: str, *, within_s: float = 15) -> None:
    """Until the condition holds.

    Raises:
        AssertionError: it does not in time.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        threading.Event().wait(0.02)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Sink:
    """A server that decodes each batch as the real one does and stores each number once."""

    port: int = 0
    status: int = 200
    rows: dict[tuple[Table, int], list[dict[str, Any]]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = sink.take(Table(self.path.rsplit("/", 1)[1]), int(self.headers["Osmia-Sequence"]), body)
                text = b'{"accepted": 1}' if status == 200 else b"not now"
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Agents are killed here."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away; the port refuses connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, table: Table, sequence: int, body: bytes) -> int:
        """Keep one batch; the status to answer with."""
        if self.status == 200 and (table, sequence) not in self.rows:
            table_rows: pa.Table = decode(table, body, max_bytes=1 << 28, now_s=time.time())
            self.rows[table, sequence] = table_rows.to_pylist()
            self.order.append(sequence)
        return self.status

    def all(self, table: Table) -> list[dict[str, Any]]:
        """Every row of a table so far."""
        return [row for (kind, _), rows in list(self.rows.items()) if kind is table for row in rows]

    def counted(self, port: int, role: str = "server") -> int:
        """Requests that windows count at one end of a port."""
        rows = self.all(Table.WINDOWS)
        return sum(row["count"] for row in rows if row["server_port"] == port and row["role"] == role)

    def steps(self) -> list[tuple[int, str, str, str]]:
        """The governor's steps in order: (time, from, to, cause)."""
        columns = ("step_ns", "step_from", "step_to", "step_causes")
        rows = sorted(self.all(Table.LEDGER), key=lambda row: row["time_ns"])
        return [step for row in rows for step in zip(*(row[name] for name in columns), strict=True)]


@dataclass
class Agent:
    """A running agent."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """As the kernel's memory killer does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")


@contextmanager
def running_agent(directory: Path, port: int, *settings: str) -> Iterator[Agent]:
    """`osmia agent run`, from its first word on; ended when the context ends, if it has not by then."""
    log = directory / f"agent-{time.monotonic_ns()}.log"
    command = [
        *(sys.executable, "-m", "osmia", "agent", "run", "--server", f"http://127.0.0.1:{port}"),
        *("--monitoring-id", "c1", "--node", "node-1", "--scope", "all", "--flush-s", "0.5"),
        *(() if "--key-file" in settings else ("--key", "k")),
        *settings,
    ]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        agent = Agent(process, log)
        try:
            wait_for(lambda: "capturing" in agent.text() or process.poll() is not None, "the agent captures")
            assert process.poll() is None, agent.text()
            yield agent
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(15)


def nginx_or_skip() -> None:
    """Skip where the load cannot be made."""
    for program in ("nginx", "wrk"):
        if shutil.which(program) is None and not Path(f"/usr/sbin/{program}").exists():
            pytest.skip(f"{program} is not installed: apt-get install nginx-light wrk")


@contextmanager
def serving_nginx(directory: Path) -> Iterator[int]:
    """The port of an nginx that answers everything with 200 and one byte."""
    port, home = free_port(), directory / "nginx"
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 10000000; server {{ listen 127.0.0.1:{port};"
        ' location / { return 200 "x"; } } }\n'
    )
    with subprocess.Popen(["/usr/sbin/nginx", "-p", str(home), "-c", str(config)]) as process:
        try:
            wait_for(lambda: _is_open(port), "nginx listens")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def programs_of(pid: int) -> set[int]:
    """Ids of the BPF programs that a process holds."""
    found = set()
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            match = re.search(r"^prog_id:\s+(\d+)$", entry.read_text(), re.MULTILINE)
            if match:
                found.add(int(match[1]))
    return found


def programs_alive(ids: set[int]) -> set[int]:
    """Those of them that the kernel still holds."""
    alive = set()
    for number in ids:
        # BPF_PROG_GET_FD_BY_ID: a descriptor, or -1 where there is no such program any more.
        descriptor = run_time._bpf(13, bytearray(struct.pack("<III", number, 0, 0)))
        if descriptor >= 0:
            os.close(descriptor)
            alive.add(number)
    return alive


def wrk(port: int, *, seconds: int, options: Sequence[str] = ("-t1", "-c16")) -> int:
    """Load as fast as it goes; the requests that were answered."""
    command = ["wrk", *options, f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in text.splitlines() if " requests in " in line]
    return int(line.split()[0])


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
