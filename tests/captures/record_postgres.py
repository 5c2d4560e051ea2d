"""Records PostgreSQL drivers talking to a real server: `python -m tests.captures.record_postgres [name]...`.

Needs Debian's PostgreSQL, and in the running Python psycopg, psycopg2-binary and asyncpg; node-postgres, pgx and the
JDBC driver are used where PG_NODE_PATH, PG_GO_DIR and PG_JDBC_JAR name them. Values carry the word "canary", so that
the tests can see whether one comes through. After recording, read the diff of the .txt files: they are what the
parsers understood.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import psycopg2

from tests.captures.recording import Capture, record, save

BIN = Path("/usr/lib/postgresql/15/bin")
HERE = Path(__file__).parent
TARGET = HERE / "postgres"
USER, PASSWORD = "canary_user", "canary-password"
LONG = ", ".join(f"'canary{i}'" for i in range(120))


def main() -> None:
    """Record the scenarios named on the command line, or all."""
    wanted = sys.argv[1:] or list(SCENARIOS)
    with _server() as port:
        for name in wanted:
            tool, scenario = SCENARIOS[name]
            capture = Capture(tool(), f"PostgreSQL {_version([str(BIN / 'postgres'), '-V'])}")
            with record(capture, port) as proxy_port:
                scenario(proxy_port)
            save(capture, TARGET / f"{name}.json")
            sys.stdout.write(f"{name}: {sum(len(turns) for turns in capture.connections)} turns\n")


@contextlib.contextmanager
def _server() -> Iterator[int]:
    """A fresh cluster in a temporary directory, owned by `postgres`, on a free loopback port."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        os.chmod(folder, 0o755)  # noqa: S103, PTH101 - the user postgres must get in
        data.mkdir()
        shutil.chown(data, "postgres")
        password = Path(folder) / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        auth = ["-U", USER, "-A", "scram-sha-256", f"--pwfile={password}"]
        _as_postgres(str(BIN / "initdb"), "-D", str(data), "-E", "UTF8", "--no-sync", *auth)
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"
        control = [str(BIN / "pg_ctl"), "-D", str(data), "-l", f"{data}/log", "-w"]
        _as_postgres(*control, "-o", options, "start")
        try:
            with psycopg.connect(_target(port), autocommit=True) as connection:
                connection.execute("CREATE TABLE shop (id serial PRIMARY KEY, name text, price numeric)")
                connection.execute("INSERT INTO shop (name, price) SELECT 'n' || g, g FROM generate_series(1, 20) g")
            yield port
        finally:
            _as_postgres(*control, "-m", "immediate", "stop")


def _as_postgres(*command: str) -> None:
    subprocess.run(["runuser", "-u", "postgres", "--", *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _target(port: int) -> str:
    return f"host=127.0.0.1 port={port} user={USER} password={PASSWORD} dbname=postgres"


def _version(command: list[str]) -> str:
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return next(word for word in text.replace("(", " ").split() if word[0].isdigit())


def _run(command: list[str], port: int, *, script: str = "", **environment: str) -> None:
    variables = {"PGPASSWORD": PASSWORD, "PGUSER": USER, "PGHOST": "127.0.0.1", "PGDATABASE": "postgres"}
    env = {**os.environ, **variables, "PGPORT": str(port), **environment}  # noqa: TID251 - a script, not a program
    subprocess.run(command, input=script, text=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: PLW1510 - errors are part of the story


def psql(port: int) -> None:
    """Simple queries of every kind."""
    _run(
        ["psql", "-X"],
        port,
        script=r"""
SELECT 'canary' AS word, 42 AS number, E'it\'s canary', $$canary$$, $t$canary 'x'$t$;
/* canary */ SELECT name -- canary
  FROM shop
 WHERE name = 'canary' AND price > 1.5e3 AND id IN (1, 2, 3);
SELECT * FROM missing WHERE secret = 'canary';
INSERT INTO shop (name, price) VALUES ('canary', 1), ('canary', 2);
UPDATE shop SET name = 'canary' WHERE id = 7;
DELETE FROM shop WHERE id = -7;
BEGIN \; UPDATE shop SET price = 3 WHERE id = 1 \; COMMIT;
\copy shop (name, price) FROM PSTDIN
canary	3
\.
COPY shop TO STDOUT;
SELECT 100 / (500 - g) FROM generate_series(1, 1000) g;
SELECT g, 'canary' FROM generate_series(1, 2000) g;
SELECT name FROM shop WHERE name IN (LONG);
BEGIN;
SELECT 1/0;
SELECT 1;
ROLLBACK;
SET application_name = 'canary';
DO $$ BEGIN RAISE NOTICE 'canary'; END $$;
CREATE TEMPORARY TABLE scratch (x int);
PREPARE plan (int) AS SELECT name FROM shop WHERE id = $1;
EXECUTE plan(42);
""".replace("LONG", LONG),
    )
    _run(["psql", "-X", "-c", ";"], port)
    _run(["psql", "-X"], port, PGPASSWORD="canary-wrong")


def pgbench(mode: str) -> Callable[[int], None]:
    """Three transactions of a small script in one of pgbench's query modes."""

    def scenario(port: int) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write("\\set id random(1, 20)\nBEGIN;\nUPDATE shop SET price = price + 1 WHERE id = :id;\n")
            script.write("SELECT name FROM shop WHERE id = :id AND name <> 'canary';\nEND;\n")
            script.flush()
            _run(["pgbench", "-n", "-t", "3", "-c", "1", "-M", mode, "-f", script.name], port)

    return scenario


def psycopg3(port: int) -> None:
    """Parameters, automatic preparation, pipelines, server-side cursors, COPY, savepoints, errors."""
    with psycopg.connect(_target(port)) as connection:
        with connection.cursor() as cursor:
            for number in range(7):
                cursor.execute("SELECT name FROM shop WHERE id = %s AND name <> %s", (number, "canary"))
            cursor.executemany("INSERT INTO shop (name, price) VALUES (%s, %s)", [("canary", n) for n in range(3)])
            with cursor.copy("COPY shop (name, price) FROM STDIN") as copy:
                copy.write_row(("canary", 5))
        with connection.cursor(name="canary_cursor") as cursor:
            cursor.itersize = 8
            cursor.execute("SELECT id FROM shop ORDER BY id")
            cursor.fetchmany(8)
        connection.commit()
        with contextlib.suppress(psycopg.Error), connection.transaction(), connection.transaction():
            connection.execute("SELECT nothing FROM shop WHERE name = %s", ("canary",))
        with connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("UPDATE shop SET price = %s WHERE id = %s", (1, 1))


def psycopg2_client(port: int) -> None:
    """Parameters put into the text by the client."""
    with contextlib.closing(psycopg2.connect(_target(port))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM shop WHERE id = %s AND name <> %s", (1, "canary's"))
        cursor.execute("INSERT INTO shop (name, price) VALUES (%s, %s)", ("canary \\ \n", 2.5))
        cursor.copy_expert("COPY shop (name, price) FROM STDIN", io.StringIO("canary\t1\n"))
        with contextlib.suppress(psycopg2.Error):
            cursor.execute("SELECT * FROM missing")
        connection.rollback()


def asyncpg_client(port: int) -> None:
    """Statement cache, executemany, cursors, COPY, a prepared statement used after its connection was reset."""
    asyncio.run(_asyncpg(port))


async def _asyncpg(port: int) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, user=USER, password=PASSWORD, database="postgres", ssl=False
    )
    for number in range(3):
        await connection.fetch("SELECT name FROM shop WHERE id = $1 AND name <> $2", number, "canary")
    await connection.execute("SELECT 'canary'")
    await connection.executemany("INSERT INTO shop (name, price) VALUES ($1, $2)", [("canary", n) for n in range(3)])
    await connection.copy_records_to_table("shop", records=[("canary", 1)], columns=["name", "price"])
    async with connection.transaction():
        async for _ in connection.cursor("SELECT id FROM shop ORDER BY id", prefetch=8):
            pass
    with contextlib.suppress(asyncpg.PostgresError):
        await connection.fetch("SELECT * FROM missing WHERE word = $1", "canary")
    await connection.close()


def node_postgres(port: int) -> None:
    """Named statements of node-postgres."""
    _run(["node", str(HERE / "clients/node_postgres.js"), str(port)], port, NODE_PATH=_place("PG_NODE_PATH"))


def pgx(port: int) -> None:
    """Pgx's statement cache, batches and COPY."""
    folder = Path(_place("PG_GO_DIR"))
    source = folder / "main.go"
    source.write_text((HERE / "clients/pgx.go").read_text())
    _run(["go", "build", "-C", str(folder), "-o", "recorder", "."], port)
    _run([str(folder / "recorder"), str(port)], port)


def jdbc(port: int) -> None:
    """What pgjdbc flushes: BEGIN and the statement together, batches, portals with a fetch size."""
    _run(["java", "-cp", _place("PG_JDBC_JAR"), str(HERE / "clients/Jdbc.java"), str(port)], port)


def _node_version() -> str:
    return str(json.loads((Path(_place("PG_NODE_PATH")) / "pg/package.json").read_text())["version"])


def _go_version() -> str:
    module = (Path(_place("PG_GO_DIR")) / "go.mod").read_text()
    return module.partition("pgx/v5 v")[2].split()[0]


def _place(variable: str) -> str:
    place = os.environ.get(variable)  # noqa: TID251 - a script, not a program
    if not place:
        sys.exit(f"{variable} does not say where this driver is; leave its scenario out or set it")
    return place


SCENARIOS: dict[str, tuple[Callable[[], str], Callable[[int], None]]] = {
    "psql": (lambda: f"psql {_version(['psql', '-V'])}", psql),
    **{
        f"pgbench_{mode}": (lambda: f"pgbench {_version(['pgbench', '-V'])}", pgbench(mode))
        for mode in ("simple", "extended", "prepared")
    },
    "psycopg3": (lambda: f"psycopg {psycopg.__version__}", psycopg3),
    "psycopg2": (lambda: f"psycopg2 {psycopg2.__version__.split()[0]}", psycopg2_client),
    "asyncpg": (lambda: f"asyncpg {asyncpg.__version__}", asyncpg_client),
    "node_postgres": (lambda: f"node-postgres {_node_version()}", node_postgres),
    "pgx": (lambda: f"pgx {_go_version()}", pgx),
    "jdbc": (lambda: "pgjdbc 42.5.5", jdbc),
}


if __name__ == "__main__":
    main()
