"""Capture on the real kernel: every request of real programs, at both ends, exactly."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import mmap
import os
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psycopg
import pytest

from osmia.agent.events import CONTROL, EVENT, LEDGER_CAUSES, EventFlag, EventKind, ProtocolCode, RoleCode
from osmia.agent.kernel.capture import Capture, CaptureOptions, Control, binding
from osmia.model.histogram import bucket_of, lower_bound_ns
from osmia.model.request import Address
from tests.agent.postgres import postgres_server

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.ebpf

DEADLINE_S = 10.0


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /status/<code> with that code and /bytes/<n> with n bytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; waiting 40 ms for an ACK between them tests nothing

    def do_GET(self) -> None:
        """Answer by path."""
        _, kind, number = self.path.split("?", 1)[0].split("/")
        status, body = (int(number), b"ok") if kind == "status" else (200, b"x" * int(number))
        if status == 204:
            body = b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread per connection, ended with the server."""

    daemon_threads = True


class Server6(Server):
    """The same on IPv6."""

    address_family = socket.AF_INET6


@contextlib.contextmanager
def serving(server_class: type[Server] = Server, host: str = "127.0.0.1") -> Iterator[int]:
    """A server on a free port."""
    with server_class((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@dataclass
class Seen:
    """Everything a capture gave for one port, gathered until a condition holds."""

    capture: Capture
    port: int
    events: list[NDArray[np.void]] = field(default_factory=list)

    def until(self, condition: Callable[[NDArray[np.void]], bool]) -> NDArray[np.void]:
        """Drain until the condition holds for all events of the port so far, or fail after the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            batch = self.capture.drain()
            ours = (batch["local_port"] == self.port) | (batch["remote_port"] == self.port)
            self.events.append(batch[ours].copy())
            everything = np.concatenate(self.events)
            if condition(everything):
                return everything
            assert time.monotonic() < deadline, f"{len(everything)} events after {DEADLINE_S} s"
            time.sleep(0.002)  # between two looks; the servers and clients need the interpreter too

    def requests(self, count: int) -> NDArray[np.void]:
        """Exactly `count` request events (both ends counted)."""

        def enough(events: NDArray[np.void]) -> bool:
            return int(np.sum(events["kind"] == EventKind.REQUEST)) >= count

        events = self.until(enough)
        found: NDArray[np.void] = events[events["kind"] == EventKind.REQUEST]
        assert len(found) == count
        return found


@pytest.fixture
def capture() -> Iterator[Capture]:
    """A running capture with default sizes."""
    with Capture() as running:
        yield running


def by_role(events: NDArray[np.void], role: RoleCode) -> NDArray[np.void]:
    """Events of one end."""
    found: NDArray[np.void] = events[events["role"] == role]
    return found


def notable(events: NDArray[np.void]) -> NDArray[np.void]:
    """Requests that are errors or slow."""
    found: NDArray[np.void] = events[(events["kind"] == EventKind.REQUEST) & (events["flags"] & EventFlag.NOTABLE != 0)]
    return found


def fetch(port: int, *paths: str, host: str = "127.0.0.1") -> None:
    """Requests over one kept-alive connection, by Python's own client."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()


def test_layout_and_kernel_agree_on_sizes() -> None:
    """Events are read at the offsets at which C wrote them."""
    assert binding().lib.osmia_event_size() == EVENT.itemsize
    assert binding().lib.osmia_control_size() == CONTROL.itemsize


def test_histogram_twins_agree() -> None:
    """C and Python put every value into the same bucket, bounds included."""
    values = [0, 1, 1023, 1024, 2**37 - 1, 2**37, 2**63]
    values += [lower_bound_ns(b) + d for b in range(1, 865) for d in (-1, 0, 1)]

    assert [binding().lib.osmia_histogram_bucket(v) for v in values] == [bucket_of(v) for v in values]


def test_each_request_is_seen_once_at_each_end(capture: Capture) -> None:
    """Keep-alive requests come out in order, with status text, both addresses and both processes."""
    with serving() as port:
        fetch(port, "/status/200", "/status/404", "/status/503", "/status/204")
        events = Seen(capture, port).requests(8)

    for role in RoleCode:
        heads = [bytes(e["response_head"].tobytes())[9:12] for e in by_role(events, role)]
        assert heads == [b"200", b"404", b"503", b"204"]
        assert by_role(events, role)["sequence"].tolist() == [1, 2, 3, 4]
    assert set(events["pid"].tolist()) == {os.getpid()}


def test_the_owner_is_the_process_that_reads_and_writes(capture: Capture) -> None:
    """The client's end belongs to curl, the server's to us."""
    with serving() as port:
        curl = subprocess.Popen(
            ["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/status/200"], stdout=subprocess.DEVNULL
        )
        curl.wait()
        events = Seen(capture, port).requests(2)

    (client,), (server,) = by_role(events, RoleCode.CLIENT), by_role(events, RoleCode.SERVER)
    assert (int(client["pid"]), client["command"].tobytes().rstrip(b"\0")) == (curl.pid, b"curl")
    assert int(server["pid"]) == os.getpid()


def test_bytes_are_exact_for_small_and_large_responses(capture: Capture) -> None:
    """What the first buffer did not hold arrives as a remainder, and the edge has the sum."""
    with serving() as port:
        fetch(port, "/bytes/10", "/bytes/3000000")
        seen = Seen(capture, port)
        events = seen.until(lambda e: bool(np.any((e["kind"] == EventKind.REMAINDER) & (e["sequence"] == 2))))
        events = seen.until(lambda e: len(e[(e["kind"] == EventKind.REMAINDER) & (e["sequence"] == 2)]) == 2)

    totals = [int(by_role(events, role)["response_bytes"].max()) for role in RoleCode]
    assert totals[0] == totals[1]
    assert 3_000_000 < totals[0] < 3_000_300
    finals = events[(events["kind"] == EventKind.REMAINDER) & (events["flags"] & EventFlag.FINAL != 0)]
    assert finals["sequence"].tolist()[-2:] == [2, 2]


def test_ipv6_has_both_ends(capture: Capture) -> None:
    """The same over ::1."""
    with serving(Server6, "::1") as port:
        fetch(port, "/status/200", host="::1")
        events = Seen(capture, port).requests(2)

    assert {Address.from_bytes(e["local_ip"].tobytes(), 0).ip for e in events} == {"::1"}


def test_a_connection_older_than_the_capture_is_seen() -> None:
    """Nothing about a connection has to be watched from its beginning."""
    with serving() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/status/200")
        connection.getresponse().read()
        with Capture() as late:
            connection.request("GET", "/status/201")
            connection.getresponse().read()
            events = Seen(late, port).requests(2)
        connection.close()

    assert {bytes(e["response_head"].tobytes())[9:12] for e in events} == {b"201"}


def test_what_is_not_sent_is_counted() -> None:
    """Asked for no events, the kernel counts every request, error, byte and latency in its edge."""
    with serving() as port, Capture(control=Control(sample_every=0, sample_notable_every=0)) as counting:
        fetch(port, *(["/status/200"] * 30 + ["/status/500"] * 7))
        totals = counting.edges()
        buckets, counts = counting.histogram()
        ledger = counting.ledger()
        events = counting.drain()

    ours = totals.values["server_port"] == port
    edges = totals.values[ours]
    assert edges["count"].tolist() == [37, 37]
    assert edges["errors"].tolist() == [7, 7]
    assert edges["response_bytes"].min() > 37 * 50
    for key in totals.keys[ours].tolist():
        mine = buckets["edge"] == key
        assert int(counts[mine].sum()) == 37
        assert int(counts[mine & (buckets["is_error"] == 1)].sum()) == 7
    assert ledger["sampled"] == ledger["seen"] >= 74
    assert not np.any(events["kind"] == EventKind.REQUEST)


def test_sampling_keeps_the_first_the_notable_and_one_in_n() -> None:
    """Events' weights and the requests without event add up to what was sent; every error is an event."""
    with serving() as port, Capture(control=Control(sample_every=10)) as sampling:
        fetch(port, *(["/status/200"] * 95 + ["/status/503"] * 4))
        events = Seen(sampling, port).until(lambda e: len(notable(e)) == 8)
        edges = sampling.edges().values

    edges = edges[edges["server_port"] == port]
    events = events[events["kind"] == EventKind.REQUEST]
    for role in RoleCode:
        mine = by_role(events, role)
        edge = edges[edges["role"] == role]
        ordinary = mine[mine["flags"] & EventFlag.NOTABLE == 0]
        assert len(mine) - len(ordinary) == 4
        assert int(ordinary["sequence"][0]) == 1
        assert ordinary["weight"].tolist() == [1] + [10] * 9
        assert int(edge["count"].sum()) + len(mine) == 99
        assert edge["skipped"][:, 0].tolist() == [4]


def test_weights_stand_for_what_was_left_out_of_their_stratum() -> None:
    """Errors are sampled apart when asked, and keep their own weights."""
    with serving() as port, Capture(control=Control(sample_every=0, sample_notable_every=5)) as sampling:
        fetch(port, *(["/status/200"] * 10 + ["/status/500"] * 21))
        events = Seen(sampling, port).until(lambda e: len(by_role(notable(e), RoleCode.SERVER)) >= 4)
        edges = sampling.edges().values

    mine = by_role(notable(events), RoleCode.SERVER)
    assert {int(flags) & EventFlag.ERROR for flags in mine["flags"]} == {EventFlag.ERROR}
    assert int(mine["weight"].sum()) >= 15
    ours = edges[(edges["server_port"] == port) & (edges["role"] == RoleCode.SERVER)]
    assert int(ours["count"].sum()) + len(mine) == 31


def test_a_full_ring_loses_events_but_no_counts() -> None:
    """With a ring of one page and nobody draining, counters stay exact and the ledger tells what is missing."""
    with serving() as port, Capture(CaptureOptions(ring_bytes=4096)) as small:
        fetch(port, *["/status/200"] * 200)
        edges = small.edges().values
        events = small.drain()
        ledger = small.ledger()

    ours = edges[edges["server_port"] == port]
    arrived = int(np.sum(((events["local_port"] == port) | (events["remote_port"] == port)) & (events["kind"] == 1)))
    assert int(ours["count"].sum()) == 400 - arrived > 0
    assert ledger["ring_full"] >= 400 - arrived


def test_full_maps_are_counted() -> None:
    """When there is no room for another connection, the ledger says so and nothing breaks."""
    with serving() as port, Capture(CaptureOptions(max_connections=4)) as small:
        held = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(12)]
        for connection in held:
            connection.request("GET", "/status/200")
            connection.getresponse().read()
        ledger = small.ledger()
        for connection in held:
            connection.close()

    assert ledger["connections_full"] > 0


def test_a_good_day_loses_nothing(capture: Capture) -> None:
    """2,000 requests over eight connections: 4,000 events, every loss counter at zero."""
    with serving() as port:
        threads = [threading.Thread(target=fetch, args=(port, *["/status/200"] * 250)) for _ in range(8)]
        for thread in threads:
            thread.start()
        seen = Seen(capture, port)
        seen.requests(4_000)
        for thread in threads:
            thread.join()

    assert {cause: capture.ledger()[cause] for cause in LEDGER_CAUSES} == dict.fromkeys(LEDGER_CAUSES, 0)


def test_postgres_queries_of_both_protocols(capture: Capture) -> None:
    """Simple and extended queries, errors and large results, at both ends, with what the parser needs."""
    with postgres_server() as port:
        with psycopg.connect(
            f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True
        ) as connection:
            connection.execute("SELECT 1")
            connection.execute("SELECT %s::int", (42,)).fetchall()
            connection.execute("SELECT * FROM generate_series(1, 5000)").fetchall()
            with contextlib.suppress(psycopg.errors.UndefinedTable):
                connection.execute("SELECT * FROM missing")
        events = Seen(capture, port).requests(8)

    assert set(events["protocol"].tolist()) == {ProtocolCode.POSTGRES}
    for role in RoleCode:
        mine = by_role(events, role)
        assert b"SELECT 5000" in mine[2]["response_head"].tobytes() + mine[2]["response_tail"].tobytes()
        assert b"42P01" in mine[3]["response_head"].tobytes()
        assert int(mine[2]["response_bytes"]) > 50_000


def test_a_closed_capture_leaves_nothing_behind() -> None:
    """Programs and maps are gone from the kernel when the capture closes."""

    def programs() -> set[str]:
        listing = subprocess.run(["bpftool", "prog", "list"], capture_output=True, text=True, check=True).stdout
        return {line.split(":")[0] for line in listing.splitlines() if "name on_receive" in line}

    before = programs()
    with Capture():
        ours = programs() - before

    assert len(ours) >= 1
    deadline = time.monotonic() + DEADLINE_S
    while programs() & ours:  # the kernel frees them after a grace period
        assert time.monotonic() < deadline


def test_memory_that_cannot_be_read_is_no_loss_unless_a_message_was_due(capture: Capture) -> None:
    """Bodies sent from a file that is not in memory yet are anybody's business, not a lost request."""
    with serving() as port, tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        fetch(port, "/status/200")
        with (
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as untouched,
            Path(os.devnull).open("wb", buffering=0) as sink,
        ):
            sink.write(memoryview(untouched)[: 1 << 19])
        Seen(capture, port).requests(2)

    assert capture.ledger()["unreadable"] == 0
