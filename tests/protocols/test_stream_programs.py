"""Real clients that pipeline with real servers, through a proxy that feeds the streams: what happened is known.

Needs Debian's postgresql, pgbouncer and nginx-light, gunicorn and Node; what is not installed skips its tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import psycopg2
import pytest

from osmia.model.request import Protocol
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS, STREAMS
from osmia.protocols.streams import StreamStatistics
from tests.agent.postgres import postgres_server
from tests.protocols.wiretap import Tap, tapped

pytestmark = pytest.mark.timeout(60)
START_TIMEOUT_S = 15


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    """A real PostgreSQL with a table; its port."""
    with postgres_server() as port:
        with psycopg.connect(target(port), autocommit=True) as connection:
            connection.execute("CREATE TABLE shop (id serial PRIMARY KEY, name text UNIQUE, price int)")
        yield port


def target(port: int) -> str:
    """Where the database is."""
    return f"host=127.0.0.1 port={port} user=postgres dbname=postgres"


def statements(tap: Tap) -> Counter[tuple[str, str]]:
    """Template and status (with rows) of everything that was run, in all connections of a tap."""
    memory = PostgresConnection()
    found: Counter[tuple[str, str]] = Counter()
    for one in tap.exchanges:
        request = memory.feed_request(one.request)
        answer = PROTOCOLS[Protocol.POSTGRES].response(one.response_head, one.response_tail)
        status = "unanswered" if one.is_unanswered else answer.status
        if not request.is_session:
            found[request.template, status if answer.rows is None else f"{status} {answer.rows}"] += 1
    return found


@contextlib.contextmanager
def tapped_database(port: int) -> Iterator[tuple[int, Tap]]:
    """The database behind a proxy that copies of a call what the kernel does."""
    with tapped(port, STREAMS[Protocol.POSTGRES], is_tail_copied=True) as both:
        yield both


INSERT = "INSERT INTO shop (name, price) VALUES (?)"


def test_psycopg_pipeline(database: int) -> None:
    """Statements of a pipeline, with and without Syncs between them: each with its own answer and rows."""
    with tapped_database(database) as (port, tap), psycopg.connect(target(port), autocommit=True) as connection:
        with connection.pipeline() as pipeline:
            for number in range(30):
                connection.execute("INSERT INTO shop (name, price) VALUES (%s, %s)", (f"psy{number}", number))
                if number % 10 == 9:
                    pipeline.sync()
            cursor = connection.execute("SELECT name FROM shop WHERE name LIKE %s", ("psy%",))
            pipeline.sync()
            assert len(cursor.fetchall()) == 30
        connection.execute("DELETE FROM shop")

    found = statements(tap)
    assert found[INSERT, "ok 1"] == 30
    assert found["SELECT name FROM shop WHERE name LIKE ?", "ok 30"] == 1
    assert found["DELETE FROM shop", "ok 30"] == 1
    assert tap.statistics == [StreamStatistics()]


def test_an_error_inside_a_psycopg_pipeline(database: int) -> None:
    """The statement that failed has its SQLSTATE, those behind it were never run, those after the Sync are fine."""
    with (
        tapped_database(database) as (port, tap),
        psycopg.connect(target(port), autocommit=True) as connection,
        connection.pipeline() as pipeline,
    ):
        connection.execute("SELECT 1")
        connection.execute("SELECT 1 / %s::int", (0,))
        with pytest.raises(psycopg.errors.DivisionByZero):  # noqa: PT012 - told with either of the two, as it comes
            connection.execute("DELETE FROM shop WHERE price < 0")
            pipeline.sync()
        with contextlib.suppress(psycopg.errors.PipelineAborted):
            pipeline.sync()
        connection.execute("SELECT 2")

    found = statements(tap)
    assert found == {("SELECT ?", "ok 1"): 2, ("SELECT ? / ?::int", "22012"): 1}
    assert sum(one.aborted for one in tap.statistics) == 1
    assert sum(one.dropped for one in tap.statistics) == 0


def test_psycopg_prepared_and_executemany(database: int) -> None:
    """What psycopg repeats it prepares, and executemany it sends as a pipeline: names keep their text."""
    with tapped_database(database) as (port, tap), psycopg.connect(target(port), autocommit=True) as connection:
        for number in range(8):
            connection.execute("SELECT %s::int", (number,))
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO shop (name, price) VALUES (%s, %s)", [(f"many{n}", n) for n in range(25)])
        connection.execute("DELETE FROM shop")

    found = statements(tap)
    assert (found["SELECT ?::int", "ok 1"], found[INSERT, "ok 1"]) == (8, 25)
    assert tap.statistics == [StreamStatistics()]


def test_asyncpg_executemany(database: int) -> None:
    """All rows of executemany come at once, with one Sync; each is one statement."""

    async def client(port: int) -> None:
        connection = await asyncpg.connect(target_url(port))
        rows = [(f"async{number}", number) for number in range(40)]
        await connection.executemany("INSERT INTO shop (name, price) VALUES ($1, $2)", rows)
        assert len(await connection.fetch("SELECT * FROM shop")) == 40
        with contextlib.suppress(asyncpg.UniqueViolationError):
            await connection.executemany("INSERT INTO shop (name, price) VALUES ($1, $2)", rows[:3])
        await connection.execute("DELETE FROM shop")
        await connection.close()

    with tapped_database(database) as (port, tap):
        asyncio.run(client(port))

    found = statements(tap)
    assert found[INSERT, "ok 1"] == 40
    assert found["SELECT * FROM shop", "ok 40"] == 1
    assert found[INSERT, "23505"] == 1
    assert found["DELETE FROM shop", "ok 40"] == 1
    assert sum(one.dropped for one in tap.statistics) == 0


def target_url(port: int) -> str:
    """Where the database is, as asyncpg wants it."""
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def test_copy_of_more_than_is_copied(database: int) -> None:
    """Megabytes of COPY both ways and a big result, of which little is copied: still one statement each."""
    with tapped_database(database) as (port, tap), psycopg.connect(target(port), autocommit=True) as connection:
        with connection.cursor() as cursor, cursor.copy("COPY shop (name, price) FROM STDIN") as copy:
            for number in range(20_000):
                copy.write_row((f"copy number {number}", number))
        with connection.cursor() as cursor, cursor.copy("COPY shop TO STDOUT") as copy:
            received = sum(len(block) for block in copy)
        assert len(connection.execute("SELECT * FROM shop").fetchall()) == 20_000
        connection.execute("DELETE FROM shop")

    assert statements(tap) == {
        ("COPY shop (name, price) FROM STDIN", "ok 20000"): 1,
        ("COPY shop TO STDOUT", "ok 20000"): 1,
        ("SELECT * FROM shop", "ok 20000"): 1,
        ("DELETE FROM shop", "ok 20000"): 1,
    }
    assert tap.statistics == [StreamStatistics()]
    copy_in, copy_out = [one for one in tap.exchanges if b"COPY" in one.request]
    assert copy_in.request_bytes > 20_000 * len("copy number 1\t1\n")
    assert copy_out.response_bytes > received


def test_copy_with_a_bad_line(database: int) -> None:
    """COPY data that the server refuses on the way end the statement with its SQLSTATE."""
    with tapped_database(database) as (port, tap), psycopg.connect(target(port), autocommit=True) as connection:
        with (
            contextlib.suppress(psycopg.Error),
            connection.cursor() as cursor,
            cursor.copy("COPY shop (name, price) FROM STDIN") as copy,
        ):
            for _ in range(3000):
                copy.write("name\tnot a number\n")
        connection.execute("SELECT 1")

    assert statements(tap) == {("COPY shop (name, price) FROM STDIN", "22P02"): 1, ("SELECT ?", "ok 1"): 1}


def test_libpq_by_psycopg2(database: int) -> None:
    """Simple queries, several statements in one, errors and transactions."""
    with (
        tapped_database(database) as (port, tap),
        contextlib.closing(psycopg2.connect(target(port))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO shop (name, price) VALUES ('a', 1); SELECT 1; SELECT 2")
        with contextlib.suppress(psycopg2.Error):
            cursor.execute("SELECT nothing")
        connection.rollback()
        cursor.execute("SELECT generate_series(1, 3)")

    assert statements(tap) == {
        ("BEGIN", "ok"): 2,
        (f"{INSERT}; SELECT ?; SELECT ?", "ok 1"): 1,
        ("SELECT nothing", "42703"): 1,
        ("ROLLBACK", "ok"): 1,
        ("SELECT generate_series(?, ?)", "ok 3"): 1,
    }


@contextlib.contextmanager
def pgbouncer(folder: Path, upstream_port: int) -> Iterator[int]:
    """A PgBouncer that lends its one server connection by the transaction."""
    port = free_port()
    shutil.chown(folder, "postgres")
    folder.chmod(0o755)
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={upstream_port} pool_size=1\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
        f"auth_file = {folder}/users\npool_mode = transaction\n"
    )
    with served(["/usr/sbin/pgbouncer", "-q", "-u", "postgres", str(folder / "pgbouncer.ini")], port):
        yield port


def test_pgbouncer_in_between(database: int) -> None:
    """Pipelines of several clients over one server connection: both sides of the bouncer see the same statements."""
    if os.geteuid() != 0:
        pytest.skip("PgBouncer is started as the user postgres, which needs root")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osmia-pgbouncer-")))
        behind_port, behind = stack.enter_context(tapped_database(database))
        bouncer = stack.enter_context(pgbouncer(folder, behind_port))
        port, before = stack.enter_context(tapped_database(bouncer))
        clients = [stack.enter_context(psycopg.connect(target(port), autocommit=True)) for _ in range(3)]
        for number, connection in enumerate(clients):
            connection.prepare_threshold = None
            with connection.pipeline():
                for _ in range(4):
                    connection.execute("INSERT INTO shop (price) VALUES (%s)", (number,))
                assert len(connection.execute("SELECT price FROM shop").fetchall()) == 4 * (number + 1)
        clients[0].execute("DELETE FROM shop")

    expected = {
        ("INSERT INTO shop (price) VALUES (?)", "ok 1"): 12,
        ("SELECT price FROM shop", "ok 4"): 1,
        ("SELECT price FROM shop", "ok 8"): 1,
        ("SELECT price FROM shop", "ok 12"): 1,
        ("DELETE FROM shop", "ok 12"): 1,
    }
    assert statements(before) == expected
    assert {key: count for key, count in statements(behind).items() if key in expected} == expected
    assert sum(one.dropped for one in before.statistics + behind.statistics) == 0


# ---- HTTP


def requests_and_statuses(tap: Tap) -> list[tuple[str, str]]:
    """What was asked and answered, in order."""
    parser = PROTOCOLS[Protocol.HTTP]
    return [
        (
            f"{parser.request(one.request).method} {parser.request(one.request).target}",
            "unanswered" if one.is_unanswered else parser.response(one.response_head, one.response_tail).status,
        )
        for one in tap.exchanges
    ]


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def served(command: list[str], port: int) -> Iterator[int]:
    """A server of the host, up and running while the block runs."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while True:
                with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                assert process.poll() is None, f"{command[0]} ended"
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """An nginx with a small and a large file."""
    port = free_port()
    (folder / "small").write_text("small")
    (folder / "large").write_text("x" * 200_000)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log /dev/null; worker_processes 1; user root;"
        f"events {{}} http {{ access_log off; root {folder}; client_body_temp_path {folder}/body;"
        f" server {{ listen 127.0.0.1:{port}; location /echo {{ return 200 ok; }} }} }}"
    )
    with served(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], port):
        yield port


@contextlib.contextmanager
def gunicorn(folder: Path) -> Iterator[int]:
    """A gunicorn with a threaded worker, which keeps connections alive; chunked answers for /small and /large."""
    port = free_port()
    (folder / "shop.py").write_text(
        "def app(environ, start_response):\n"
        "    environ['wsgi.input'].read()\n"
        "    path = environ['PATH_INFO']\n"
        "    known = path in ('/small', '/large', '/echo')\n"
        "    body = [b'x' * 50_000] * 4 if path == '/large' else [b'ok']\n"
        "    start_response('200 OK' if known else '404 Not Found', [('X-Path', path)])\n"
        "    yield from body\n"
    )
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "2", "-b", f"127.0.0.1:{port}"]
    with served([*command, "--chdir", str(folder), "shop:app"], port):
        yield port


@contextlib.contextmanager
def node(folder: Path) -> Iterator[int]:
    """Node's own server; chunked answers."""
    port = free_port()
    (folder / "shop.js").write_text(
        "require('http').createServer((request, response) => {\n"
        "  request.resume(); request.on('end', () => {\n"
        "    const known = ['/small', '/large', '/echo'].includes(request.url);\n"
        "    response.writeHead(known ? 200 : 404);\n"
        "    if (request.url === '/large') for (let i = 0; i < 4; i++) response.write('x'.repeat(50000));\n"
        "    response.end('ok');\n"
        f"  }});\n}}).listen({port}, '127.0.0.1');\n"
    )
    with served(["node", str(folder / "shop.js")], port):
        yield port


PIPELINE = [
    ("GET", "/small", b""),
    ("GET", "/large", b""),
    ("HEAD", "/small", b""),
    ("GET", "/missing", b""),
    ("POST", "/echo", b"x" * 9000),
    ("GET", "/large", b""),
    ("GET", "/small", b""),
]


def pipeline(port: int, times: int) -> None:
    """Send the pipeline at once, several times, on one connection; read until the server closes it."""
    sent = b""
    for turn in range(times):
        for number, (method, path, body) in enumerate(PIPELINE):
            is_last = turn == times - 1 and number == len(PIPELINE) - 1
            fields = f"Host: shop\r\nContent-Length: {len(body)}\r\n" + ("Connection: close\r\n" if is_last else "")
            sent += f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for start in range(0, len(sent), 3000):
            connection.sendall(sent[start : start + 3000])
        while connection.recv(1 << 16):
            pass


@pytest.mark.parametrize("server", [nginx, gunicorn, node])
def test_http_pipelining(server: Callable[[Path], contextlib.AbstractContextManager[int]], tmp_path: Path) -> None:
    """A real server answers a pipeline: each request has its status and the server's bytes, wherever calls end."""
    with server(tmp_path) as upstream, tapped(upstream, STREAMS[Protocol.HTTP], copied_bytes=1 << 20) as (port, tap):
        pipeline(port, 3)

    expected = [
        (f"{method} {path}", "404" if path == "/missing" else "200") for _ in range(3) for method, path, _ in PIPELINE
    ]
    assert requests_and_statuses(tap) == expected
    assert tap.statistics == [StreamStatistics()]
    for one, (method, path, body) in zip(tap.exchanges, PIPELINE * 3, strict=True):
        assert one.request_bytes > len(body)
        assert (one.response_bytes > 200_000) == (path == "/large" and method == "GET")
        assert one.start_ns <= one.end_ns <= one.last_ns


def test_nginx_pipeline_of_which_little_is_copied(tmp_path: Path) -> None:
    """Bodies of known length are passed over by length, so that nothing is lost by copying 4 KiB of a call."""
    with nginx(tmp_path) as upstream, tapped(upstream, STREAMS[Protocol.HTTP]) as (port, tap):
        pipeline(port, 1)

    statistics = tap.statistics[0]
    found = requests_and_statuses(tap)
    expected = [(f"{method} {path}", "404" if path == "/missing" else "200") for method, path, _ in PIPELINE]
    # What a hole may have hidden is dropped, and counted as far as it was seen; it is never given to another request.
    assert found == expected[: len(found)]
    assert len(found) + statistics.dropped <= len(expected)
