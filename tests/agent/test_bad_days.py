"""Bad days of the whole agent: server away, killed, floods of connections and processes, bytes that mean nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osmia.model.ledger import Effect, effect_of
from osmia.model.wire import Table
from tests.agent.running import Sink, nginx_or_skip, programs_alive, programs_of, running_agent, serving_nginx, wait_for

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(400)]

_SPOOLED = re.compile(r"\d+-(\d+)-(\d+)-(\d+)-windows\.batch")


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that gives each connection to `answer`, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                answer(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def answer_http(connection: socket.socket) -> None:
    """200 for each request whose head ends, until the client goes."""
    text = b""
    while data := connection.recv(1 << 16):
        text += data
        if text.endswith(b"\r\n\r\n"):
            text = b""
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def get(port: int, count: int) -> int:
    """Requests over one connection; how many were answered with 200."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    good = 0
    for _ in range(count):
        client.request("GET", "/orders/17")
        answer = client.getresponse()
        answer.read()
        good += answer.status == 200
    client.close()
    return good


def missing(sink: Sink) -> dict[str, int]:
    """Requests that the agent says are missing from counts, by cause: on a busy machine not only ours."""
    newest = sink.all(Table.LEDGER)[-1]
    lost = zip(newest["lost_causes"], newest["lost_counts"], strict=True)
    return {cause: count for cause, count in lost if effect_of(cause) is Effect.COUNTS}


def ends(sink: Sink, port: int) -> dict[str, int]:
    """Requests counted at each end of this nginx's port (others may have the same port in their own namespace)."""
    rows = [row for row in sink.all(Table.WINDOWS) if row["server_port"] == port and row["destination_name"] == "nginx"]
    return {role: sum(row["count"] for row in rows if row["role"] == role) for role in ("client", "server")}


def wait_for_counts(sink: Sink, port: int, count: int) -> None:
    """Until both ends of a port count that many, less what the agent says is missing; never more."""
    try:
        enough = "all counted, or said to be missing"
        wait_for(lambda: min(ends(sink, port).values()) + sum(missing(sink).values()) >= count, enough, within_s=60)
    except AssertionError as exc:
        raise AssertionError(f"{ends(sink, port)} of {count}, missing {missing(sink)}") from exc
    assert max(ends(sink, port).values()) <= count


def spooled_requests(directory: Path) -> int:
    """Requests in windows that lie on disk."""
    return sum(int(match[3]) for path in directory.rglob("*.batch") if (match := _SPOOLED.fullmatch(path.name)))


def test_what_was_spooled_outlives_kill_9_and_is_counted_once(tmp_path: Path) -> None:
    """Agent before server, kill -9 in the outage, a new agent, the server at last: every request, once."""
    sink, spool = Sink(), tmp_path / "spool"
    sink.start()
    sink.stop()
    with serving(answer_http) as port, running_agent(tmp_path, sink.port, "--spool-dir", str(spool)) as agent:
        assert get(port, 300) == 300
        wait_for(lambda: spooled_requests(spool) >= 600, "both ends of all are on disk")
        agent.kill()
    spooled = len(list(spool.rglob("*.batch")))

    with running_agent(tmp_path, sink.port, "--spool-dir", str(spool)):
        sink.start()
        wait_for(lambda: sink.counted(port) >= 300 and not list(spool.rglob("*.batch")), "the spool is replayed")
    sink.stop()

    assert spooled > 0
    assert (sink.counted(port), sink.counted(port, "client")) == (300, 300)


def test_a_refused_key_keeps_the_data_until_the_file_holds_the_right_one(tmp_path: Path) -> None:
    """401 is said in words, once; the requests of that time arrive when the key is mended, without a restart."""
    sink, key = Sink(status=401), tmp_path / "key"
    sink.start()
    key.write_text("wrong")
    with serving(answer_http) as port, running_agent(tmp_path, sink.port, "--key-file", str(key)) as agent:
        assert get(port, 50) == 50
        wait_for(lambda: "the server refuses the key" in agent.text(), "the refusal is said")
        sink.status = 200
        wait_for(lambda: sink.counted(port) == 50, "the data arrives", within_s=30)
        said = agent.text().count("the server refuses the key")
    sink.stop()

    assert said == 1


def test_kill_9_at_any_point_leaves_nothing_and_no_application_notices(tmp_path: Path) -> None:
    """While it loads, attaches, captures: no program stays in the kernel, and not one request under way fails."""
    sink, stop = Sink(), threading.Event()
    answered: list[int] = []
    sink.start()
    held: set[int] = set()
    with serving(answer_http) as port:

        def keep_asking() -> None:
            while not stop.is_set():
                answered.append(get(port, 20))

        clients = [threading.Thread(target=keep_asking) for _ in range(4)]
        for client in clients:
            client.start()
        for delay_s in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.3, 1.8, 2.5):
            command = [sys.executable, "-m", "osmia", "agent", "run", "--server", f"http://127.0.0.1:{sink.port}"]
            arguments = ["--monitoring-id", "c1", "--key", "k", "--scope", "all", "--flush-s", "0.2"]
            with subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL) as agent:
                threading.Event().wait(delay_s)
                agent.send_signal(signal.SIGSTOP)
                held |= programs_of(agent.pid)
                agent.kill()
        stop.set()
        for client in clients:
            client.join()
    sink.stop()

    wait_for(lambda: not programs_alive(held), "the kernel has let go of every program")
    assert len(held) >= 3
    assert set(answered) == {20}
    assert len(answered) > 50


def test_100_000_short_connections_are_counted_exactly(tmp_path: Path) -> None:
    """A connection per request, fifty at a time, at both ends."""
    if shutil.which("ab") is None:
        pytest.skip("ab is not installed: apt-get install apache2-utils")
    nginx_or_skip()
    sink = Sink()
    sink.start()
    with serving_nginx(tmp_path) as port, running_agent(tmp_path, sink.port) as agent:
        command = ["ab", "-q", "-n", "100000", "-c", "50", f"http://127.0.0.1:{port}/"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        wait_for_counts(sink, port, 100_000)
        resident = _resident_mib(agent.process.pid)
    sink.stop()

    assert re.search(r"Complete requests:\s+100000\n", text), text
    assert re.search(r"Failed requests:\s+0\n", text), text
    assert resident < 200


_BOMB = """
import os, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
read, write = os.pipe()
children = []
for _ in range(count):
    child = os.fork()
    if child == 0:
        os.close(write)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /bomb HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            connection.recv(1000)
        os.read(read, 1)
        os._exit(0)
    children.append(child)
os.close(write)
good = sum(os.waitpid(child, 0)[1] == 0 for child in children)
print(good)
"""


def test_a_fork_bomb_of_5_000_processes_costs_bounded_memory(tmp_path: Path) -> None:
    """5,000 processes that are there at once and make a request each: all counted, memory bounded, agent alive."""
    nginx_or_skip()
    sink = Sink()
    sink.start()
    with serving_nginx(tmp_path) as port, running_agent(tmp_path, sink.port) as agent:
        command = [sys.executable, "-S", "-c", _BOMB, str(port), "5000"]
        good = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        wait_for_counts(sink, port, 5_000)
        resident = _resident_mib(agent.process.pid)
        assert agent.process.poll() is None
    sink.stop()

    assert good == 5_000
    assert resident < 200


def test_bytes_that_mean_nothing_hurt_nobody(tmp_path: Path) -> None:
    """Noise, half requests, a head of 1 MB: what is a request is counted, what is not is not, the agent lives."""
    sink = Sink()
    sink.start()
    dice = random.Random(5)  # noqa: S311 - noise, not a secret
    with serving(answer_http) as port, running_agent(tmp_path, sink.port) as agent:
        for _ in range(200):
            _send(port, dice.randbytes(dice.randrange(1, 4_000)), expects_answer=False)
        for half in (b"GET", b"GET /a", b"POST /b HTTP/1.1\r\nContent-Le", b"\x00" * 50, b"Q\x00\x00\xff\xff"):
            _send(port, half, expects_answer=False)
        big = b"GET /big HTTP/1.1\r\nX-Long: " + b"a" * (1 << 20) + b"\r\n\r\n"
        answers = [_send(port, big, expects_answer=True) for _ in range(20)]
        good = get(port, 100)
        wait_for(lambda: sink.counted(port) >= 120, "all requests are reported")
        assert agent.process.poll() is None
        assert "Traceback" not in agent.text()
    sink.stop()

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert good == 100
    answered = [row for row in sink.all(Table.WINDOWS) if row["server_port"] == port and row["status"] == "200"]
    assert sum(row["count"] for row in answered if row["role"] == "server") == 120
    assert sum(row["count"] for row in answered if row["role"] == "client") == 120


def answer_postgres(connection: socket.socket) -> None:
    """A PostgreSQL that says yes to everything."""
    connection.recv(1 << 16)
    connection.sendall(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")
    while len(data := connection.recv(1 << 20)) > 0:
        size = int.from_bytes(data[1:5], "big") + 1
        while len(data) < size:
            data += connection.recv(1 << 20)
        connection.sendall(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I")


def test_binary_in_sql_is_counted_and_stays_at_home(tmp_path: Path) -> None:
    """Literals of any bytes, cut characters, 1 MB statements: every statement counted, none of the bytes exported."""
    sink = Sink()
    sink.start()
    startup = b"\0\0\0\x17\0\3\0\0user\0u\0database\0"[:23].ljust(23, b"\0")
    literals = [bytes([byte]) * 40 for byte in range(1, 256) if byte != 0x27] + [b"s3cret" * 200_000]
    with serving(answer_postgres) as port, running_agent(tmp_path, sink.port) as agent:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(startup)
            connection.recv(100)
            for literal in literals:
                text = b"SELECT * FROM t WHERE a = '" + literal + b"'\0"
                connection.sendall(b"Q" + (len(text) + 4).to_bytes(4, "big") + text)
                connection.recv(100)
        wait_for(lambda: sink.counted(port) >= len(literals), "all statements are reported")
        assert agent.process.poll() is None
        assert "Traceback" not in agent.text()
    sink.stop()

    rows = [row for row in sink.all(Table.WINDOWS) if row["server_port"] == port and row["protocol"] == "postgres"]
    assert sum(row["count"] for row in rows if row["role"] == "server") == len(literals)
    assert not [row for row in rows if "s3cret" in row["template"] or "@@@@" in row["template"]]


def _send(port: int, data: bytes, *, expects_answer: bool) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, contextlib.suppress(OSError):
        connection.sendall(data)
        if expects_answer:
            return connection.recv(1_000)
    return b""


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
