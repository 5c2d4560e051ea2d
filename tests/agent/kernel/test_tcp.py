"""Connections on the real kernel: counted once at each end, failures by their reason, owners right."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from osmia.agent.events import RoleCode
from osmia.agent.kernel.tcp import TcpCapture, TcpOptions
from osmia.agent.tcp_state import Measure, SocketFlag, TcpState
from osmia.model.histogram import quantile_ns
from osmia.model.request import Address

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.ebpf

DEADLINE_S = 10.0
LINGER_NOT = struct.pack("ii", 1, 0)


@pytest.fixture
def capture() -> Iterator[TcpCapture]:
    """The TCP programs with default sizes."""
    with TcpCapture() as running:
        yield running


@contextlib.contextmanager
def listening(family: int = socket.AF_INET, host: str = "127.0.0.1", backlog: int = 128) -> Iterator[socket.socket]:
    """A listening socket on a free port."""
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen(backlog)
        yield server


def port_of(server: socket.socket) -> int:
    """Its port."""
    return int(server.getsockname()[1])


def edges(state: TcpState, port: int, role: RoleCode) -> NDArray[np.void]:
    """Totals of one end of a port."""
    key = state.edges["key"]
    found: NDArray[np.void] = state.edges[(key["server_port"] == port) & (key["role"] == role)]
    return found


def until(capture: TcpCapture, condition: Callable[[TcpState], bool]) -> TcpState:
    """Read until the condition holds, or fail after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        state = capture.read()
        if condition(state):
            return state
        assert time.monotonic() < deadline, [(row["key"]["server_port"], row["closed"]) for row in state.edges]
        time.sleep(0.005)  # between two looks; FINs cross in softirq


def closed(port: int, role: RoleCode, count: int) -> Callable[[TcpState], bool]:
    """So many connections have ended at this end."""
    return lambda state: int(edges(state, port, role)["closed"].sum()) >= count


def exchange(server: socket.socket, *, sent: bytes, answered: bytes) -> None:
    """One connection that carries both and is closed in order."""
    address = server.getsockname()[:2]
    with socket.create_connection(address) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(sent)
            _read(accepted, len(sent))
            accepted.sendall(answered)
            _read(client, len(answered))
            client.shutdown(socket.SHUT_WR)
            assert accepted.recv(1) == b""


def _read(end: socket.socket, size: int) -> None:
    while size:
        size -= len(end.recv(65_536))


def histogram(state: TcpState, key: int, measure: Measure) -> dict[int, int]:
    """One histogram of one edge."""
    chosen = (state.buckets["edge"] == key) & (state.buckets["measure"] == measure)
    return dict(zip(state.buckets["bucket"][chosen].tolist(), state.bucket_counts[chosen].tolist(), strict=True))


def test_a_connection_is_counted_once_at_each_end_with_exact_bytes(capture: TcpCapture) -> None:
    """Opened, closed and payload without SYN and FIN, at both ends, with connect and round-trip times."""
    with listening() as server:
        for _ in range(3):
            exchange(server, sent=b"x" * 200_000, answered=b"y" * 777)
        port = port_of(server)
        until(capture, closed(port, RoleCode.CLIENT, 3))
        state = until(capture, closed(port, RoleCode.SERVER, 3))

    (client,), (served,) = edges(state, port, RoleCode.CLIENT), edges(state, port, RoleCode.SERVER)
    for end in (client, served):
        assert (end["opened"], end["closed"], end["resets_sent"], end["resets_received"]) == (3, 3, 0, 0)
        assert end["pid"] == os.getpid()
    assert (client["sent_bytes"], client["received_bytes"]) == (600_000, 2_331)
    assert (served["sent_bytes"], served["received_bytes"]) == (2_331, 600_000)
    key = int(state.edge_keys[np.flatnonzero(state.edges["key"] == client["key"])[0]])
    connects = histogram(state, key, Measure.CONNECT)
    assert sum(connects.values()) == 3
    median_ns = quantile_ns(connects, 0.5)
    assert median_ns is not None
    assert median_ns < 1_000_000_000
    assert sum(histogram(state, key, Measure.RTT).values()) == 3


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")])
def test_refused_connects_are_counted_with_their_address(capture: TcpCapture, family: int, host: str) -> None:
    """Nobody listens: each try is one refusal of an edge to that address and port, and no reset of a connection."""
    with listening(family, host) as server:
        port = port_of(server)
    for _ in range(4):
        with socket.socket(family) as client:
            assert client.connect_ex((host, port)) == errno.ECONNREFUSED

    (edge,) = edges(capture.read(), port, RoleCode.CLIENT)

    assert (edge["refused"], edge["opened"], edge["closed"], edge["resets_received"]) == (4, 0, 0, 0)
    assert Address.from_bytes(edge["key"]["remote_ip"].tobytes(), port) == Address(host, port)


def test_a_mapped_address_is_an_ipv4_address(capture: TcpCapture) -> None:
    """A socket of IPv6 that talks IPv4 shows the same addresses as one of IPv4, at both ends."""
    with listening(socket.AF_INET6, "::ffff:127.0.0.1") as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", port_of(server)))
        server.accept()[0].close()
        assert client.recv(1) == b""
        client.close()
        state = until(capture, closed(port_of(server), RoleCode.SERVER, 1))
        state = until(capture, closed(port_of(server), RoleCode.CLIENT, 1))
        ends = [edges(state, port_of(server), role)[0]["key"] for role in RoleCode]

    ips = {Address.from_bytes(end[f"{which}_ip"].tobytes(), 0).ip for end in ends for which in ("local", "remote")}
    assert ips == {"127.0.0.1"}


def test_resets_are_counted_for_who_sent_them(capture: TcpCapture) -> None:
    """A client that throws its connection away sends one reset; the server receives it."""
    with listening() as server:
        port = port_of(server)
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        client.close()
        with accepted, pytest.raises(ConnectionResetError):
            accepted.recv(1)
        until(capture, closed(port, RoleCode.SERVER, 1))
        state = until(capture, lambda now: bool(edges(now, port, RoleCode.CLIENT)["resets_sent"].sum()))

    (client_end,), (server_end,) = edges(state, port, RoleCode.CLIENT), edges(state, port, RoleCode.SERVER)
    assert (client_end["resets_sent"], client_end["resets_received"], client_end["closed"]) == (1, 0, 1)
    assert (server_end["resets_sent"], server_end["resets_received"], server_end["closed"]) == (0, 1, 1)


def test_a_reset_before_anybody_read_belongs_to_who_listens(capture: TcpCapture) -> None:
    """The server's process did nothing yet; its end is counted for the owner of the port, in this process."""
    with listening() as server:
        port = port_of(server)
        for _ in range(5):
            client = socket.create_connection(server.getsockname())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            client.close()
        state = until(capture, closed(port, RoleCode.SERVER, 5))

    (edge,) = edges(state, port, RoleCode.SERVER)
    assert (edge["pid"], edge["resets_received"]) == (os.getpid(), 5)
    assert capture.ledger()["unowned"] == 0


def test_the_owner_of_an_accepted_connection_is_who_closes_it(capture: TcpCapture) -> None:
    """A forked worker answers: the connection is the worker's, though its parent listens."""
    with listening() as server:
        port = port_of(server)
        with socket.create_connection(server.getsockname()) as client:
            worker = os.fork()
            if worker == 0:  # pragma: no cover - another process
                server.accept()[0].close()
                os._exit(0)
            assert client.recv(1) == b""
        os.waitpid(worker, 0)
        state = until(capture, closed(port, RoleCode.SERVER, 1))

    (edge,) = edges(state, port, RoleCode.SERVER)
    assert edge["pid"] == worker


def test_open_connections_are_seen_by_the_sweep(capture: TcpCapture) -> None:
    """What is open carries its owner, bytes and round trip, as of the last sweep; nothing of it is in the totals."""
    with (
        listening() as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        client.sendall(b"x" * 5_000)
        _read(accepted, 5_000)
        capture.sweep()
        state = capture.read()
        port = port_of(server)

    rows = state.sockets[state.sockets["key"]["server_port"] == port]
    by_role = {int(row["key"]["role"]): row for row in rows}
    assert (by_role[RoleCode.CLIENT]["sent_bytes"], by_role[RoleCode.SERVER]["received_bytes"]) == (5_000, 5_000)
    assert {int(row["pid"]) for row in rows} == {os.getpid()}
    assert {int(row["flags"]) for row in rows} == {SocketFlag.OWNED}
    assert by_role[RoleCode.CLIENT]["rtt_us"] > 0
    assert edges(state, port, RoleCode.CLIENT)["closed"].sum() == 0


def test_a_connection_older_than_the_programs_has_the_right_direction() -> None:
    """Who listens on its port is the server; bytes count from then on, and it was not opened in our time."""
    with (
        listening() as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        client.sendall(b"x" * 1_000)
        _read(accepted, 1_000)
        with TcpCapture() as late:
            accepted.sendall(b"y" * 300)
            _read(client, 300)
            late.sweep()
            live = late.read().sockets
            port = port_of(server)
            client.close()
            accepted.close()
            until(late, closed(port, RoleCode.CLIENT, 1))
            state = until(late, closed(port, RoleCode.SERVER, 1))

    ours = live[live["key"]["server_port"] == port]
    assert sorted(ours["key"]["role"].tolist()) == [RoleCode.CLIENT, RoleCode.SERVER]
    assert set(ours["flags"].tolist()) == {SocketFlag.OWNED | SocketFlag.JOINED}
    (client_end,), (server_end,) = edges(state, port, RoleCode.CLIENT), edges(state, port, RoleCode.SERVER)
    assert (client_end["opened"], client_end["closed"]) == (0, 1)
    assert (client_end["sent_bytes"], client_end["received_bytes"]) == (0, 300)
    assert (server_end["sent_bytes"], server_end["received_bytes"]) == (300, 0)


def test_a_full_queue_is_told_with_what_it_dropped(capture: TcpCapture) -> None:
    """A server that accepts nobody: its queue is as long as it may be, and further connects are dropped."""
    with listening(backlog=1) as server, contextlib.ExitStack() as held:
        for _ in range(6):
            client = held.enter_context(socket.socket())
            client.settimeout(0)
            assert client.connect_ex(server.getsockname()) in {0, errno.EINPROGRESS}
        capture.sweep()
        state = capture.read()
        port = port_of(server)

    (row,) = state.listeners[state.listeners["port"] == port]
    assert (row["waiting"], row["waiting_max"], row["pid"]) == (2, 1, os.getpid())
    assert row["dropped"] > 0


def test_full_maps_are_counted() -> None:
    """Without room a connection is not followed, the ledger says so, and nothing breaks."""
    with listening() as server, TcpCapture(TcpOptions(max_sockets=8)) as small, contextlib.ExitStack() as held:
        for _ in range(16):
            held.enter_context(socket.create_connection(server.getsockname()))
            held.enter_context(server.accept()[0])
        ledger = small.ledger()

    assert ledger["sockets_full"] > 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_hundred_thousand_short_connections_are_counted_exactly() -> None:
    """Entries go as sockets do: a small map holds, no connection is missing, none is counted twice."""
    with listening() as server, TcpCapture(TcpOptions(max_sockets=4_096)) as capture:
        port, total = port_of(server), 100_000
        for _ in range(total):
            with socket.create_connection(server.getsockname()) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)  # no TIME_WAIT: ports come back
                server.accept()[0].close()
        until(capture, closed(port, RoleCode.SERVER, total))
        state = until(capture, closed(port, RoleCode.CLIENT, total))
        ledger = capture.ledger()

    for role in RoleCode:
        (edge,) = edges(state, port, role)
        assert (edge["opened"], edge["closed"]) == (total, total)
    losses = ("sockets_full", "edges_full", "histogram_full", "unowned")
    assert {cause: ledger[cause] for cause in losses} == dict.fromkeys(losses, 0)


def test_what_is_closed_leaves_nothing_behind() -> None:
    """Programs are gone from the kernel when the capture closes."""

    def programs() -> set[str]:
        listing = subprocess.run(["bpftool", "prog", "list"], capture_output=True, text=True, check=True).stdout
        return {line.split(":")[0] for line in listing.splitlines() if "name on_state" in line}

    before = programs()
    with TcpCapture():
        ours = programs() - before

    assert len(ours) >= 1
    deadline = time.monotonic() + DEADLINE_S
    while programs() & ours:  # the kernel frees them after a grace period
        assert time.monotonic() < deadline


# ---- in a network namespace of its own ---------------------------------------------------------------------------

_INSIDE = """
import errno, socket, subprocess, sys
run = lambda *words: subprocess.run(words, check=True)
run("ip", "link", "set", "lo", "up")
run("ip", "address", "add", "198.51.100.1/24", "dev", "lo")
run("nft", "add", "table", "inet", "t")
run("nft", "add", "chain", "inet", "t", "in", "{ type filter hook input priority 0; }")
open("/proc/sys/net/ipv4/tcp_syn_retries", "w").write("1")
"""


def _inside(script: str) -> list[str]:
    """Run a script in a network namespace of its own, with nftables; its words."""
    for tool in ("unshare", "nft", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    command = ["unshare", "--net", sys.executable, "-c", _INSIDE + script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.timeout(40)
def test_a_blackholed_address_times_out(capture: TcpCapture) -> None:
    """The kernel gives up, or the client does after a repeated SYN: both timed out. At once: only cancelled."""
    words = _inside("""
run("nft", "add", "rule", "inet", "t", "in", "tcp", "dport", "7001", "drop")
for timeout in (None, 1.3, 0.1):
    with socket.socket() as client:
        client.settimeout(timeout)
        try:
            client.connect(("198.51.100.1", 7001))
        except OSError as exc:
            print(type(exc).__name__)
""")

    (edge,) = edges(capture.read(), 7001, RoleCode.CLIENT)

    assert words == ["TimeoutError"] * 3
    assert (edge["timed_out"], edge["cancelled"], edge["opened"], edge["refused"]) == (2, 1, 0, 0)
    assert edge["retransmits"] >= 2  # newer kernels repeat the first SYNs at equal distances, and more often
    assert edge["key"]["netns"] != Path("/proc/self/ns/net").stat().st_ino


@pytest.mark.parametrize(
    ("reply", "field"),
    [
        ("icmpx type host-unreachable", "unreachable"),
        ("icmpx type no-route", "unreachable"),
        ("icmpx type port-unreachable", "refused"),
        ("tcp reset", "refused"),
    ],
)
def test_what_routers_and_firewalls_answer_is_told_apart(capture: TcpCapture, reply: str, field: str) -> None:
    """ICMP and resets in answer to a SYN, by what they mean."""
    words = _inside(f"""
run("nft", "add", "rule", "inet", "t", "in", "tcp", "dport", "7002", "reject", "with", *{reply.split()!r})
with socket.socket() as client:
    print(errno.errorcode[client.connect_ex(("198.51.100.1", 7002))])
""")

    (edge,) = edges(capture.read(), 7002, RoleCode.CLIENT)

    assert words[0] in {"EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED"}
    reasons = ("refused", "timed_out", "unreachable", "failed_otherwise", "cancelled")
    assert {name: int(edge[name]) for name in reasons if edge[name]} == {field: 1}


def test_lost_segments_are_counted_as_repeated(capture: TcpCapture) -> None:
    """Every third segment to the server is dropped once; the client repeats, the payload is counted once."""
    words = _inside("""
server = socket.create_server(("198.51.100.1", 7003))
run("nft", "add rule inet t in tcp dport 7003 tcp flags & psh == psh numgen inc mod 3 0 drop")
client = socket.create_connection(("198.51.100.1", 7003))
accepted, _ = server.accept()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(9):
    client.sendall(b"z" * 100)
    left = 100
    while left:
        left -= len(accepted.recv(left))
client.close()
accepted.close()
print("done")
""")

    state = until(capture, closed(7003, RoleCode.CLIENT, 1))

    (edge,) = edges(state, 7003, RoleCode.CLIENT)
    assert words == ["done"]
    assert edge["sent_bytes"] == 900
    assert edge["retransmits"] >= 3
    assert edge["segments"] == 9 + edge["retransmits"]
