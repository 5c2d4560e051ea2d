"""Runs on the kernel under test, as root: what loads, what the check says, if known traffic is counted exactly.

Prints one JSON object. The traffic is made here, by peers that this file holds itself, in cases that differ in how the
kernel has to see them; the agent watches as a process of its own (`osmia agent tail --json`) and, for counters, in this
one. Both ends of every exchange are on this machine, so every number is expected twice: as client and as server.
"""

from __future__ import annotations

import collections
import http.client
import http.server
import json
import platform
import secrets
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from osmia.agent.events import RoleCode
from osmia.agent.kernel.capture import Capture, CaptureOptions, Control, binding, object_path
from osmia.agent.kernel.refusal import why_refused
from osmia.agent.kernel.tcp import TcpCapture, TcpOptions

TOKEN = secrets.token_hex(4)
"""Tells our requests from those of others on this machine."""

CONNECTIONS, PER_CONNECTION = 10, 30
STATUSES = (200, 404, 503)
PIPELINES, PER_PIPELINE = 3, 10
UNIX_REQUESTS = 50
QUERIES, BAD_QUERIES = 80, 20
COUNTED = 200
CALM_S, DEADLINE_S = 1.0, 60.0

Counts = collections.Counter[tuple[str, str, str]]


# ---- peers -----------------------------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /<token>/<case>/<status>."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer by path."""
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def address_string(self) -> str:
        """Ours may have no address (AF_UNIX)."""
        return ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class LocalHandler(Handler):
    """The same for AF_UNIX, which knows no such option."""

    disable_nagle_algorithm = False


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A thread per connection."""

    daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_port


class Database(socketserver.ThreadingTCPServer):
    """The same without HTTP."""

    daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The same at a path."""

    daemon_threads = True


class Postgres(socketserver.BaseRequestHandler):
    """Speaks as much of PostgreSQL as a simple query needs; a statement with `bad` in it fails with 42P01."""

    def handle(self) -> None:
        """Greet, then answer queries until the end."""
        self.request.recv(8192)
        self.request.sendall(_message(b"R", struct.pack("!I", 0)) + _READY)
        # As PostgreSQL itself reads: what is there, up to 8 KB. Our client sends one message at a time.
        while (message := self.request.recv(8192))[:1] == b"Q":
            if b"bad" in message:
                fields = b"SERROR\0C42P01\0Mno such table\0\0"
                self.request.sendall(_message(b"E", fields) + _READY)
            else:
                row = _message(b"D", struct.pack("!HI", 1, 1) + b"1")
                self.request.sendall(_COLUMN + row + _message(b"C", b"SELECT 1\0") + _READY)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


_READY = _message(b"Z", b"I")
_COLUMN = _message(b"T", struct.pack("!H", 1) + b"n\0" + struct.pack("!IHIHIH", 0, 0, 23, 4, 0xFFFFFFFF, 0))


AnyServer = TypeVar("AnyServer", bound=socketserver.BaseServer)


@contextmanager
def serving(server: AnyServer) -> Iterator[AnyServer]:
    """Serve in the background."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ---- traffic: each gives what must be counted, per end ---------------------------------------------------------------


def keep_alive(port: int) -> Counts:
    """Many requests on few connections."""
    expected: Counts = collections.Counter()
    for _ in range(CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for number in range(PER_CONNECTION):
            status = STATUSES[number % len(STATUSES)]
            connection.request("GET", f"/{TOKEN}/keep-alive/{status}")
            assert connection.getresponse().read() == b"ok"
            expected["keep-alive", "", str(status)] += 1
        connection.close()
    return expected


def pipelined(port: int) -> Counts:
    """All requests of a connection in one write."""
    request = f"GET /{TOKEN}/pipelined/200 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for _ in range(PIPELINES):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request * PER_PIPELINE)
            answers = b""
            while answers.count(b"\r\n\r\nok") < PER_PIPELINE:
                answers += connection.recv(65536)
    return collections.Counter({("pipelined", "", "200"): PIPELINES * PER_PIPELINE})


def over_unix(path: str) -> Counts:
    """One connection to a path."""
    request = f"GET /{TOKEN}/unix/200 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        for _ in range(UNIX_REQUESTS):
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\nok" not in answer:
                answer += connection.recv(65536)
    return collections.Counter({("unix", "", "200"): UNIX_REQUESTS})


def queries(port: int) -> Counts:
    """Simple queries, some of which fail."""
    startup = struct.pack("!I", 196608) + b"user\0osmia\0\0"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(struct.pack("!I", len(startup) + 4) + startup)
        _until_ready(connection)
        for number in range(QUERIES + BAD_QUERIES):
            word = "bad" if number % 5 == 0 else "good"
            connection.sendall(_message(b"Q", f"SELECT '{TOKEN}/{word}'".encode() + b"\0"))
            _until_ready(connection)
        connection.sendall(_message(b"X", b""))
    return collections.Counter({("postgres", "", "ok"): QUERIES, ("postgres", "", "42P01"): BAD_QUERIES})


def _until_ready(connection: socket.socket) -> None:
    data = b""
    while not data.endswith(_READY):
        piece = connection.recv(65536)
        assert piece, "the server has gone"
        data += piece


# ---- what is found out -----------------------------------------------------------------------------------------------


def objects() -> dict[str, str]:
    """Every BPF object of the package for this machine: empty if it loads and attaches, else why it is refused."""
    module = binding()
    found = {}
    for path in sorted(object_path("requests").parent.glob(f"*.{object_path('requests').name.split('.')[1]}.bpf.o")):
        words = module.ffi.new("char[]", 4096)
        opened = module.lib.osmia_object_open(str(path).encode(), 0, b"", module.ffi.NULL, 0, words, 4096)
        if opened:
            module.lib.osmia_object_close(opened)
        reason = "" if opened else why_refused(module.ffi.string(words).decode(errors="replace"))
        found[path.name.partition(".")[0]] = reason
    return found


def check() -> dict[str, Any]:
    """What `osmia agent check --json` says."""
    done = subprocess.run(_osmia("check", "--json"), capture_output=True, text=True, check=False)
    if not done.stdout:
        return {"exit_code": done.returncode, "error": done.stderr[-2000:]}
    report = json.loads(done.stdout)
    return {
        "exit_code": done.returncode,
        "features": {one["name"]: [one["state"], one["reason"]] for one in report["features"]},
        "machine": {one["name"]: [one["standing"], one["detail"]] for one in report["machine"]},
    }


def exchanges() -> dict[str, Any]:
    """Expected and seen, by case, end and status, through the whole of the agent's way to a request."""
    with (
        tempfile.TemporaryDirectory() as directory,
        serving(Server(("127.0.0.1", 0), Handler)) as web,
        serving(UnixServer(f"{directory}/socket", LocalHandler)) as local,
        serving(Database(("127.0.0.1", 0), Postgres)) as database,
        tailing() as lines,
    ):
        expected: Counts = collections.Counter()
        expected += keep_alive(web.port)
        expected += pipelined(web.port)
        expected += over_unix(str(local.server_address))
        expected += queries(database.port)
        both = collections.Counter(
            {(case, role, status): count for (case, _, status), count in expected.items() for role in ROLES}
        )
        wait_for(lambda: len([one for one in lines if TOKEN in one]) >= sum(both.values()))
        time.sleep(CALM_S)  # what is counted twice comes late: time for it to show
    requests = [json.loads(line) for line in lines if TOKEN in line]
    seen: Counts = collections.Counter((_case(one), one["role"], str(one["status"])) for one in requests)
    return {"expected": _plain(both), "seen": _plain(seen), "statistics": json.loads(lines[-1])["statistics"]}


ROLES = ("client", "server")


def _case(request: dict[str, Any]) -> str:
    return "postgres" if request["protocol"] == "postgres" else str(request["target"]).split("/")[2]


def _plain(counts: Counts) -> dict[str, int]:
    return {" ".join(key): count for key, count in sorted(counts.items())}


@contextmanager
def tailing() -> Iterator[list[str]]:
    """`osmia agent tail --json`, watching; the list grows, and is complete when the context has ended."""
    lines: list[str] = []
    process = subprocess.Popen(_osmia("tail", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stderr.readline()
    if "watching" not in first:
        raise RuntimeError(first + process.stderr.read())
    reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        reader.join(DEADLINE_S)
        process.wait(DEADLINE_S)


def counters() -> dict[str, int]:
    """Requests and connections of known number, as the kernel's counters have them when nothing is sent as an event."""
    options = CaptureOptions(ring_bytes=1 << 16, max_connections=1024, max_edges=1024, max_buckets=4096)
    none = Control(sample_every=0, sample_notable_every=0)
    with (
        serving(Server(("127.0.0.1", 0), Handler)) as web,
        Capture(options, none) as capture,
        TcpCapture(TcpOptions(max_sockets=4096, max_edges=1024, max_buckets=4096, max_listeners=512)) as tcp,
    ):
        port = web.port
        _ask(port, COUNTED)
        found = {f"{role.name.lower()} requests": _edge_sum(capture, port, role, "count") for role in RoleCode}
        found |= {f"{role.name.lower()} errors": _edge_sum(capture, port, role, "errors") for role in RoleCode}
        wait_for(lambda: _tcp_sum(tcp, port, RoleCode.CLIENT, "closed") == CONNECTIONS, give_up=False)
        wait_for(lambda: _tcp_sum(tcp, port, RoleCode.SERVER, "closed") == CONNECTIONS, give_up=False)
        for role in RoleCode:
            found[f"{role.name.lower()} connections"] = _tcp_sum(tcp, port, role, "closed")
        events = [one for one in capture.drain() if port in (int(one["local_port"]), int(one["remote_port"]))]
        found["events"] = len(events)
    return found


def _ask(port: int, count: int) -> None:
    """So many requests over `CONNECTIONS` connections, every tenth with status 500."""
    for _ in range(CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for number in range(count // CONNECTIONS):
            connection.request("GET", f"/{TOKEN}/counted/{500 if number % 10 == 0 else 200}")
            connection.getresponse().read()
        connection.close()


def _edge_sum(capture: Capture, port: int, role: RoleCode, field: str) -> int:
    edges = capture.edges().values
    return int(edges[field][(edges["server_port"] == port) & (edges["role"] == role)].sum())


def _tcp_sum(tcp: TcpCapture, port: int, role: RoleCode, field: str) -> int:
    edges = tcp.read().edges
    mine = (edges["key"]["server_port"] == port) & (edges["key"]["role"] == role)
    return int(edges[field][mine].sum())


def wait_for(condition: Callable[[], object], *, give_up: bool = True) -> None:
    """Until it holds or the deadline has passed; the comparison afterwards tells which."""
    deadline = time.monotonic() + (DEADLINE_S if give_up else DEADLINE_S / 4)
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def _osmia(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "osmia", "agent", *arguments]


def main() -> None:
    """Everything, each part in its own words when it fails."""
    result: dict[str, Any] = {"release": platform.release()}
    for name, part in (("objects", objects), ("check", check), ("counters", counters), ("exchanges", exchanges)):
        began = time.monotonic()
        try:
            result[name] = part()
        except Exception as exc:  # noqa: BLE001 - told to whoever booted this kernel
            result[name] = {"error": f"{type(exc).__name__}: {exc}"}
        result[f"{name}_s"] = round(time.monotonic() - began, 1)
    Path(sys.argv[1]).write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
