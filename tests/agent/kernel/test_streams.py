"""Real pipelines, as the kernel copies them, through the streams: what happened is known statement by statement."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import asyncpg
import numpy as np
import psycopg
import pytest

from osmia.agent.events import EventKind, RoleCode
from osmia.agent.following import Following
from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.model.request import Protocol
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS, STREAMS
from tests.agent.postgres import postgres_server

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(60)]
DEADLINE_S = 15.0
INSERT = "INSERT INTO t VALUES (?)"
BOTH = list(RoleCode)


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    """A PostgreSQL with a table; its port."""
    with postgres_server() as port:
        with psycopg.connect(target(port), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a int)")
        yield port


def target(port: int) -> str:
    """Where the database is."""
    return f"host=127.0.0.1 port={port} user=postgres dbname=postgres"


def seen(capture: Capture, port: int, role: RoleCode, *, ends: int) -> tuple[Counter[tuple[str, str]], Following]:
    """Template and status of everything on a port, at one end, once so many connections of both ends have ended."""
    following = Following(STREAMS)
    memory = PostgresConnection()
    found: Counter[tuple[str, str]] = Counter()
    closed = 0
    deadline = time.monotonic() + DEADLINE_S
    while closed < 2 * ends:
        assert time.monotonic() < deadline, f"{closed} of {2 * ends} ends closed; {found}"
        events = capture.drain()
        events = events[(events["local_port"] == port) | (events["remote_port"] == port)]
        closed += int((events["kind"] == EventKind.CLOSED).sum())
        mine = events[events["role"] == role]
        is_piece = (mine["kind"] == EventKind.CHUNK) | (mine["kind"] == EventKind.CLOSED)
        matched, _ = following.feed(mine[is_piece])
        for row in np.concatenate([mine[mine["kind"] == EventKind.REQUEST], matched]):
            texts = [
                row[name].tobytes()[: int(row[f"{name}_length"])]
                for name in ("request", "response_head", "response_tail")
            ]
            request = memory.feed_request(texts[0])
            answer = PROTOCOLS[Protocol.POSTGRES].response(*texts[1:])
            status = answer.status if answer.rows is None else f"{answer.status} {answer.rows}"
            if not request.is_session:
                found[request.template, status] += 1
    return found, following


@pytest.mark.parametrize("role", BOTH)
def test_a_pipeline_that_is_read_on_the_way(database: int, role: RoleCode) -> None:
    """Statements that are answered before the next is sent have their own answers: each has its own row count."""
    with Capture(CaptureOptions(ring_bytes=1 << 25)) as capture:
        with psycopg.connect(target(database), autocommit=True) as connection, connection.pipeline():
            assert len(connection.execute("SELECT generate_series(1, 7)").fetchall()) == 7
            connection.execute("INSERT INTO t VALUES (%s)", (1,))
            assert len(connection.execute("SELECT generate_series(1, 300)").fetchall()) == 300
            connection.execute("DELETE FROM t")
        found, following = seen(capture, database, role, ends=1)

    assert found == {
        ("SELECT generate_series(?, ?)", "ok 7"): 1,
        (INSERT, "ok 1"): 1,
        ("SELECT generate_series(?, ?)", "ok 300"): 1,
        ("DELETE FROM t", "ok 1"): 1,
    }
    assert following.statistics().dropped == 0


@pytest.mark.parametrize("role", BOTH)
def test_executemany_of_asyncpg(database: int, role: RoleCode) -> None:
    """Every row of a batch that is copied whole is a statement, prepared before or not."""

    async def client() -> None:
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{database}/postgres")
        await connection.executemany("INSERT INTO t VALUES ($1)", [(number,) for number in range(60)])
        await connection.execute("DELETE FROM t")
        await connection.close()

    with Capture(CaptureOptions(ring_bytes=1 << 25)) as capture:
        asyncio.run(client())
        found, following = seen(capture, database, role, ends=1)

    assert (found[INSERT, "ok 1"], found["DELETE FROM t", "ok 60"]) == (60, 1)
    assert following.statistics().dropped == 0


@pytest.mark.parametrize("role", BOTH)
def test_http_requests_in_one_buffer(role: RoleCode) -> None:
    """Joined requests, answered one by one, each get their own status at both ends."""
    statuses = [200, 404, 500, 201, 302, 503]

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(1 << 16)
            for status in statuses:
                connection.sendall(f"HTTP/1.1 {status} Fine\r\nContent-Length: 2\r\n\r\nok".encode())
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener, Capture(CaptureOptions(ring_bytes=1 << 25)) as capture:
        port = listener.getsockname()[1]
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % status for status in statuses))
            got = b""
            while got.count(b"ok") < len(statuses):
                got += client.recv(100)
        server.join()
        rows = following_of(capture, port, role)

    parser = PROTOCOLS[Protocol.HTTP]
    found = [(parser.request(request).target, parser.response(head, b"").status) for request, head in rows]
    assert found == [(f"/{status}", str(status)) for status in statuses]


def following_of(capture: Capture, port: int, role: RoleCode) -> list[tuple[bytes, bytes]]:
    """Request and response head of what was matched on a followed connection that has ended."""
    following = Following(STREAMS)
    found: list[tuple[bytes, bytes]] = []
    deadline = time.monotonic() + DEADLINE_S
    is_closed = False
    while not is_closed:
        assert time.monotonic() < deadline, f"not closed; {found}"
        events = capture.drain()
        mine = events[((events["local_port"] == port) | (events["remote_port"] == port)) & (events["role"] == role)]
        is_closed = bool((mine["kind"] == EventKind.CLOSED).any())
        matched, _ = following.feed(mine[mine["kind"] != EventKind.REQUEST])
        found += [
            (
                row["request"].tobytes()[: int(row["request_length"])],
                row["response_head"].tobytes()[: int(row["response_head_length"])],
            )
            for row in matched
        ]
    return found
