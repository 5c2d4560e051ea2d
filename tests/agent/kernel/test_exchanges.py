"""Exchanges that do not simply take turns, byte by byte on real sockets: what the kernel side reports of each."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import tempfile
import time
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psycopg
import pytest

from osmia.agent.events import EventFlag, EventKind, Feature, ProtocolCode, RoleCode, Unseen
from osmia.agent.kernel.capture import VARIANTS, Capture, CaptureOptions, Control
from osmia.model.errors import CaptureUnavailableError
from tests.agent.kernel import uring
from tests.agent.postgres import postgres_server

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.ebpf

DEADLINE_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"
libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Wire:
    """Both ends of one connection, held by this process, and what a capture saw of it."""

    capture: Capture
    client: socket.socket
    server: socket.socket
    rows: list[NDArray[np.void]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Know the connection's port, or that it has none."""
        name = self.client.getsockname()
        self.port = name[1] if isinstance(name, tuple) else 0

    def ask(self, *pieces: bytes) -> None:
        """The client sends, each piece in a call of its own, and the server reads all of it."""
        for piece in pieces:
            self.client.sendall(piece)
            self.read(self.server, len(piece))

    def answer(self, *pieces: bytes) -> None:
        """The server sends, each piece in a call of its own, and the client reads all of it."""
        for piece in pieces:
            self.server.sendall(piece)
            self.read(self.client, len(piece))

    @staticmethod
    def read(end: socket.socket, size: int) -> bytes:
        """Exactly so many bytes."""
        got = b""
        while len(got) < size:
            piece = end.recv(size - len(got))
            assert piece
            got += piece
        return got

    def close(self) -> None:
        """Close both ends, the client first."""
        self.client.close()
        self.server.close()

    def until(self, condition: Callable[[NDArray[np.void]], bool]) -> NDArray[np.void]:
        """All events of this connection, as soon as they fulfil the condition."""
        return gather(self.capture, self.port, self.rows, condition)

    def requests(self, count: int) -> NDArray[np.void]:
        """Exactly `count` REQUEST events of each end, the client's first."""
        rows = self.until(lambda e: len(of_kind(e, EventKind.REQUEST)) >= 2 * count)
        found = of_kind(rows, EventKind.REQUEST)
        assert found["role"].tolist().count(RoleCode.CLIENT) == found["role"].tolist().count(RoleCode.SERVER) == count
        return np.sort(found, order=["role", "sequence"])

    def bytes_followed(self, role: RoleCode, *, sent: bool, size: int) -> bytes:
        """The bytes of one direction as one end's chunks carry them, without gap, once there are so many."""

        def chunks(rows: NDArray[np.void]) -> NDArray[np.void]:
            found = of_kind(rows, EventKind.CHUNK)
            ours: NDArray[np.void] = found[(found["role"] == role) & ((found["flags"] & EventFlag.SENT != 0) == sent)]
            return ours

        rows = chunks(self.until(lambda e: int(chunks(e)["request_length"].sum()) >= size))
        positions = rows["position"].tolist()
        lengths = rows["request_length"].tolist()
        assert positions[1:] == [(a + n) & 0xFFFFFFFF for a, n in zip(positions, lengths, strict=True)][:-1]
        return b"".join(snippet(row) for row in rows)


def gather(
    capture: Capture,
    port: int,
    rows: list[NDArray[np.void]],
    condition: Callable[[NDArray[np.void]], bool],
) -> NDArray[np.void]:
    """Add what the ring holds of this port's connections (0: of this process) to `rows` until the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        batch = capture.drain()
        mine = (batch["local_port"] == port) | (batch["remote_port"] == port)
        if not port:
            mine &= batch["pid"] == os.getpid()
        rows.append(batch[mine].copy())
        everything = np.concatenate(rows)
        if condition(everything):
            return everything
        assert time.monotonic() < deadline, everything[["kind", "role", "flags", "sequence"]]
        time.sleep(0.001)  # between two looks at the ring


def of_kind(rows: NDArray[np.void], kind: EventKind) -> NDArray[np.void]:
    """Events of one kind."""
    found: NDArray[np.void] = rows[rows["kind"] == kind]
    return found


def snippet(row: NDArray[np.void]) -> bytes:
    """The request bytes that travelled."""
    text: bytes = row["request"].tobytes()
    return text[: int(row["request_length"])]


def status(row: NDArray[np.void]) -> bytes:
    """The status of an HTTP response."""
    head: bytes = row["response_head"].tobytes()
    return head[9:12]


@contextlib.contextmanager
def wired(capture: Capture) -> Iterator[Wire]:
    """A TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.settimeout(DEADLINE_S)
    with client, server:
        yield Wire(capture, client, server)


@pytest.fixture(params=VARIANTS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A connection under a running capture, with the programs for new kernels and with those for older ones."""
    try:
        capture = Capture(CaptureOptions(variants=(request.param,)))
    except CaptureUnavailableError as exc:
        pytest.skip(f"this kernel refuses {request.param}: {exc}")
    with capture, wired(capture) as made:
        yield made


def test_requests_joined_in_one_buffer_are_followed(wire: Wire) -> None:
    """Three GETs in one write: no event matched by guess, every byte of both directions in order, at both ends."""
    asked = b"".join(GET % name for name in (b"a", b"b", b"c"))
    answers = OK * 3

    wire.ask(asked)
    wire.answer(answers)

    for role in RoleCode:
        is_client = role is RoleCode.CLIENT
        assert wire.bytes_followed(role, sent=is_client, size=len(asked)) == asked
        assert wire.bytes_followed(role, sent=not is_client, size=len(answers)) == answers
    assert len(of_kind(np.concatenate(wire.rows), EventKind.REQUEST)) == 0


def test_a_request_before_the_answer_makes_a_connection_followed_from_the_first_on(wire: Wire) -> None:
    """Two GETs in two writes, then two answers: the pending request is the first chunk, with its own time."""
    wire.ask(GET % b"first", GET % b"second")
    wire.answer(OK, OK)

    both = GET % b"first" + GET % b"second"
    assert wire.bytes_followed(RoleCode.SERVER, sent=False, size=len(both)) == both
    assert wire.bytes_followed(RoleCode.CLIENT, sent=True, size=len(both)) == both
    assert wire.bytes_followed(RoleCode.SERVER, sent=True, size=len(OK) * 2) == OK * 2


def test_the_end_of_a_followed_connection_is_told(wire: Wire) -> None:
    """Each end's last record is CLOSED."""
    wire.ask(GET % b"a" + GET % b"b")
    wire.answer(OK * 2)
    wire.close()

    rows = wire.until(lambda e: len(of_kind(e, EventKind.CLOSED)) == 2)

    assert of_kind(rows, EventKind.CLOSED)["role"].tolist() in ([1, 2], [2, 1])


def test_an_extra_answer_is_a_request_without_text(wire: Wire) -> None:
    """Requests joined where the snippet does not reach: the second answer is counted, and what follows is followed."""
    long = b"GET /long HTTP/1.1\r\nHost: test\r\nCookie: " + b"x" * 600 + b"\r\n\r\n"

    wire.ask(long + GET % b"hidden")
    wire.answer(OK, OK)
    rows = wire.requests(2)

    assert [snippet(row)[:9] for row in rows[:2]] == [b"GET /long", b""]
    assert wire.capture.ledger()["followed"] >= 2


def test_without_streams_pipelining_is_counted_as_unmatched() -> None:
    """The governor's step: fewer features, and the ledger tells what that costs."""
    with Capture(control=Control(features=Feature.HTTP)) as capture, wired(capture) as wire:
        wire.ask(GET % b"a", GET % b"b")
        wire.answer(OK)
        wire.requests(1)

        assert capture.ledger()["unmatched"] >= 2


def test_a_long_postgres_answer_keeps_its_end(wire: Wire) -> None:
    """Of 40 KB in one call the beginning and the last 64 bytes are copied; the hole between is declared."""
    query = b"Q\x00\x00\x00\x0dSELECT 1\x00"  # twice in one buffer: joined
    answer = (
        b"".join(b"D\x00\x00\x00\x06\x00\x01" for _ in range(6000)) + b"C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"
    )

    wire.ask(query * 2)
    wire.answer(answer)

    rows = wire.until(
        lambda e: any(snippet(row).endswith(b"Z\x00\x00\x00\x05I") for row in of_kind(e, EventKind.CHUNK))
    )
    sent = of_kind(rows, EventKind.CHUNK)
    sent = sent[(sent["role"] == RoleCode.SERVER) & (sent["flags"] & EventFlag.SENT != 0)]
    cut = sent[sent["flags"] & EventFlag.CUT != 0]
    assert len(cut) == 1
    end = int(cut[0]["position"]) + int(cut[0]["request_bytes"])
    assert end & 0xFFFFFFFF == int(sent[-1]["position"])
    assert snippet(sent[-1]) == answer[-64:]


def test_a_head_in_pieces_is_one_request(wire: Wire) -> None:
    """The snippet holds what came in later calls, up to the end of the head."""
    wire.ask(b"GET /split", b"/path HTTP/1.1\r\nHo", b"st: test\r\n\r\n")
    wire.answer(OK)

    for row in wire.requests(1):
        assert snippet(row) == b"GET /split/path HTTP/1.1\r\nHost: test\r\n\r\n"
        assert int(row["request_bytes"]) == len(snippet(row))


def test_interim_answers_answer_nothing(wire: Wire) -> None:
    """100 and 103 are part of the final response's bytes, which ends the request."""
    head = b"POST /in HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"

    wire.ask(head)
    wire.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    wire.ask(b"body")
    wire.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", OK)

    for row in wire.requests(1):
        assert status(row) == b"200"
        assert int(row["request_bytes"]) == len(head) + 4


def test_an_upgraded_connection_has_no_requests_any_more(wire: Wire) -> None:
    """What looks like HTTP after 101 is somebody's frames."""
    wire.ask(b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    wire.answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    wire.ask(GET % b"frame")
    wire.answer(OK)

    assert [status(row) for row in wire.requests(1)] == [b"101", b"101"]


def test_a_connect_tunnel_has_no_requests_any_more(wire: Wire) -> None:
    """After CONNECT and 2xx the bytes belong to somebody else."""
    wire.ask(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
    wire.answer(b"HTTP/1.1 200 Connection established\r\n\r\n")
    wire.ask(GET % b"inside")
    wire.answer(OK)

    assert [snippet(row)[:7] for row in wire.requests(1)] == [b"CONNECT", b"CONNECT"]


def test_an_answer_before_the_end_of_its_request(wire: Wire) -> None:
    """A server may refuse a long upload at once: the request ends, and its bytes are known in the end."""
    head = b"POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 3000\r\n\r\n"

    wire.ask(head)
    wire.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    wire.ask(b"x" * 3000)
    wire.ask(GET % b"next")
    wire.answer(OK)
    rows = wire.until(lambda e: len(of_kind(e, EventKind.REMAINDER)) == 2)

    assert wire.requests(2)["sequence"].tolist() == [1, 2, 1, 2]
    assert set(of_kind(rows, EventKind.REMAINDER)["request_bytes"].tolist()) == {len(head) + 3000}


def test_a_request_without_answer_ends_with_its_connection(wire: Wire) -> None:
    """Both ends tell it, with the time it waited, as an error; nothing is guessed about its status."""
    wire.ask(GET % b"silence")
    wire.close()

    for row in wire.requests(1):
        assert int(row["flags"]) & EventFlag.UNANSWERED
        assert int(row["flags"]) & EventFlag.ERROR
        assert int(row["response_head_length"]) == 0
        assert snippet(row) == GET % b"silence"


def test_a_server_that_dies_mid_body(wire: Wire) -> None:
    """A response cut off by the end of its connection was a response: its bytes are what arrived."""
    wire.ask(GET % b"half")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    wire.answer(head, b"x" * 300)
    wire.close()

    rows = wire.until(lambda e: len(of_kind(e, EventKind.REMAINDER)) == 2)

    assert set(of_kind(rows, EventKind.REMAINDER)["response_bytes"].tolist()) == {len(head) + 300}


def test_the_end_of_a_connection_is_no_byte(wire: Wire) -> None:
    """A body that ends with its connection: the FIN that is read with the last bytes is not one of them."""
    wire.ask(GET % b"close")
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100
    wire.server.sendall(answer)
    wire.server.shutdown(socket.SHUT_WR)
    assert wire.client.recv(4096) == answer  # and the FIN behind it
    wire.close()
    rows = wire.until(lambda e: len(of_kind(e, EventKind.REQUEST)) == 2)

    assert rows["response_bytes"].max() == len(answer)
    assert rows["request_bytes"].max() == len(GET % b"close")


def test_every_family_of_system_calls(wire: Wire) -> None:
    """writev, readv, sendmsg, recvmsg, sendmmsg, recvmmsg, sendfile and splice: same request, same bytes."""
    request, both = GET % b"family", len(GET % b"family")

    os.writev(wire.client.fileno(), [request[:24], request[24:]])
    os.readv(wire.server.fileno(), [bytearray(24), bytearray(both)])
    wire.server.sendmsg([b"", OK[:20], OK[20:]])
    wire.client.recvmsg(1000)
    sendmmsg(wire.client, request)
    recvmmsg(wire.server, both)
    with tempfile.TemporaryFile() as file:
        file.write(b"y" * 100_000)
        file.flush()
        wire.server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        os.sendfile(wire.server.fileno(), file.fileno(), 0, 50_000)
        splice_to(wire.server, file.fileno(), 50_000)
    wire.read(wire.client, 100_043)
    wire.close()
    wire.until(lambda e: all(e[e["role"] == role]["response_bytes"].max(initial=0) == 100_043 for role in RoleCode))

    found = wire.requests(2)
    assert found["request_bytes"].tolist() == [both] * 4
    assert [snippet(row)[:24] for row in found] == [request[:24]] * 4


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.POINTER(_Iovec)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_uint64),
        ("length", ctypes.c_uint32),
    )


def sendmmsg(end: socket.socket, data: bytes) -> None:
    """Send in one message of a vector of two: the call takes several."""
    buffers = [ctypes.create_string_buffer(part, len(part)) for part in (data[:10], data[10:])]
    vectors = [_Iovec(ctypes.addressof(buffer), len(buffer)) for buffer in buffers]
    messages = (_Message * 2)(*[_Message(vector=ctypes.pointer(vector), count=1) for vector in vectors])
    assert libc.sendmmsg(end.fileno(), messages, 2, 0) == 2


def recvmmsg(end: socket.socket, size: int) -> None:
    """Receive into one message."""
    buffer = ctypes.create_string_buffer(size)
    vector = _Iovec(ctypes.addressof(buffer), size)
    messages = (_Message * 1)(_Message(vector=ctypes.pointer(vector), count=1))
    assert libc.recvmmsg(end.fileno(), messages, 1, 0, None) == 1


def splice_to(end: socket.socket, source: int, size: int) -> None:
    """Move bytes of a file to a socket through a pipe."""
    reading, writing = os.pipe()
    moved = 0
    while moved < size:
        count = os.splice(source, writing, min(size - moved, 65536), offset_src=moved)
        assert os.splice(reading, end.fileno(), count) == count
        moved += count
    os.close(reading)
    os.close(writing)


def test_the_last_byte_has_its_time(wire: Wire) -> None:
    """A sweep tells how far a response has come while nothing else moves on its connection."""
    wire.ask(GET % b"slow")
    wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
    began = time.monotonic()
    time.sleep(0.3)  # the very delay that is measured
    wire.answer(b"slow end")
    waited_ms = (time.monotonic() - began) * 1000
    if not wire.capture.sweep():
        pytest.skip("this kernel has no bpf_for_each_map_elem (Linux 5.13)")
    rows = wire.until(lambda e: len(of_kind(e, EventKind.REMAINDER)) == 2)

    for row in of_kind(rows, EventKind.REMAINDER):
        assert 280 <= int(row["last_ms"]) <= waited_ms + 20
        assert not int(row["flags"]) & EventFlag.FINAL


def test_unix_sockets_have_both_ends_and_their_path(tmp_path: Path) -> None:
    """HTTP over AF_UNIX: no addresses, but the server's path, and each end names the other."""
    path = tmp_path / "app.sock"
    with Capture() as capture, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        server, _ = listener.accept()
        with client, server:
            wire = Wire(capture, client, server)
            wire.ask(GET % b"unix")
            wire.answer(OK[:-2], b"ok")
            wire.ask(GET % b"more")
            wire.answer(OK)
            rows = wire.requests(2)

    first, second = rows[0], rows[2]
    assert {int(flags) & EventFlag.UNIX for flags in rows["flags"]} == {EventFlag.UNIX}
    assert (int(first["connection"]), int(first["peer"])) == (int(second["peer"]), int(second["connection"]))
    for row in rows:
        kept = (row["local_ip"].tobytes() + row["remote_ip"].tobytes()).rstrip(b"\0")
        assert str(path).encode().endswith(kept)
        assert int(row["request_bytes"]) == len(GET % b"more")


def test_dns_answers_are_told() -> None:
    """The answer that a resolver's datagram carried, as the process read it."""
    answer = (
        b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03api\x07example\x00\x00\x01\x00\x01"
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07"
    )
    with (
        Capture() as capture,
        socket.socket(type=socket.SOCK_DGRAM) as asking,
        socket.socket(type=socket.SOCK_DGRAM) as answering,
    ):
        asking.bind(("127.0.0.1", 0))
        answering.sendto(answer, asking.getsockname())
        asking.recvfrom(512)
        mine = gather(capture, asking.getsockname()[1], [], lambda e: len(e) > 0)

    assert [snippet(row) for row in mine] == [answer]
    assert mine["protocol"].tolist() == [ProtocolCode.DNS]


def test_io_uring_is_detected_and_declared(wire: Wire) -> None:
    """A process that sends by io_uring is named, since what it carries cannot be seen."""
    try:
        uring.send(wire.client, GET % b"ring")
    except OSError as exc:
        pytest.skip(f"no io_uring on this machine: {exc}")
    assert wire.server.recv(4096) == GET % b"ring"

    assert wire.capture.unseen()[os.getpid()] is Unseen.IO_URING
    assert wire.capture.ledger()["io_uring"] >= 1


def test_a_send_in_pieces_is_looked_at_once(wire: Wire) -> None:
    """What the kernel takes piece by piece, or not at first, is one request with all its bytes."""
    head = b"POST /large HTTP/1.1\r\nHost: t\r\nContent-Length: 4000000\r\n\r\n"
    body = b"x" * 4_000_000
    wire.client.setblocking(False)  # noqa: FBT003 - the socket's own signature
    waiting = memoryview(head + body)
    received = 0
    while received < len(head + body):
        with contextlib.suppress(BlockingIOError):
            waiting = waiting[wire.client.send(waiting) :] if waiting else waiting
        received += len(wire.server.recv(1 << 20))
    wire.client.settimeout(DEADLINE_S)
    wire.answer(OK)
    rows = wire.requests(1)

    assert {snippet(row)[:11] for row in rows} == {b"POST /large"}
    assert {int(row["request_bytes"]) for row in rows} == {len(head + body)}


def test_several_messages_of_a_stream_in_one_call_are_declared() -> None:
    """Two by recvmmsg on TCP: the sockets' hooks cannot tell them apart, so the process is named."""
    try:
        capture = Capture(CaptureOptions(variants=VARIANTS[:1]))
    except CaptureUnavailableError as exc:
        pytest.skip(f"this kernel has no hooks at its sockets: {exc}")
    with capture, wired(capture) as wire:
        wire.client.sendall(b"ab")
        buffers = [ctypes.create_string_buffer(1) for _ in range(2)]
        vectors = [_Iovec(ctypes.addressof(buffer), 1) for buffer in buffers]
        messages = (_Message * 2)(*[_Message(vector=ctypes.pointer(vector), count=1) for vector in vectors])
        assert libc.recvmmsg(wire.server.fileno(), messages, 2, 0, None) == 2

        assert capture.unseen()[os.getpid()] is Unseen.BATCHES


def test_a_postgres_pipeline_is_followed_and_turns_are_not() -> None:
    """The driver's pipeline mode goes to user space, on its own connection only; AF_UNIX works alike."""
    with postgres_server() as port, Capture(CaptureOptions(ring_bytes=1 << 25)) as capture:
        connect = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        with psycopg.connect(connect, autocommit=True) as plain, psycopg.connect(connect, autocommit=True) as piped:
            plain.execute("SELECT 1")
            with piped.pipeline():
                for number in range(3):
                    piped.execute("SELECT %s::int", (number,))
            plain.execute("SELECT %s::int", (2,))
        rows = gather(capture, port, [], lambda e: len(of_kind(e, EventKind.CLOSED)) == 2)

    assert len(of_kind(rows, EventKind.REQUEST)) == 4
    chunks = of_kind(rows, EventKind.CHUNK)
    text = b"".join(snippet(row) for row in chunks[chunks["role"] == RoleCode.SERVER])
    assert text.count(b"SELECT 1\x00") == 3


def test_sampling_keeps_what_prepares_a_statement() -> None:
    """Under sampling the Parse of a named statement is an event nevertheless: its name means nothing without it."""
    sampled = Control(sample_every=1000)
    with postgres_server() as port, Capture(CaptureOptions(ring_bytes=1 << 25), sampled) as capture:
        connect = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        with psycopg.connect(connect, autocommit=True) as connection:
            for number in range(50):
                connection.pgconn.exec_(b"SELECT %d" % number)
            connection.pgconn.prepare(b"kept", b"SELECT 'kept'")
            connection.pgconn.exec_prepared(b"kept", [])
        rows = gather(capture, port, [], lambda e: sum(b"SELECT 'kept'" in snippet(row) for row in e) == 2)

    assert len(of_kind(rows, EventKind.REQUEST)) < 10


def test_ignored_process_is_not_seen() -> None:
    """The agent does not watch itself."""
    with Capture(CaptureOptions(ignored_pid=os.getpid())) as capture, wired(capture) as wire:
        wire.ask(GET % b"own")
        wire.answer(OK)

        rows = capture.drain()

    assert not np.any(rows["local_port"] == wire.port)
