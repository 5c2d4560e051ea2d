"""The two ends of the canary traffic, run as programs: `traffic.py serve FILE` and `traffic.py ask FILE HTTP PG`.

FILE holds the canaries by place. The client says "ready" once it holds a connection that is older than the agent, and
then answers each line "go" by sending every canary once, and "done".
"""

# ruff: noqa: S608 - statements with secrets in them are what this is about

from __future__ import annotations

import http.client
import http.server
import json
import socket
import sys
from pathlib import Path
from typing import Any

import psycopg

SECRETS: dict[str, str] = {}
_ROUTE = "/lighthouse"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers everything, with secrets in its fields, its body and, on /fails, its errors."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer by path."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f'{{"token": "{SECRETS["response_body"]}"}}'.encode()
        self.send_response(500 if "fails" in self.path else 200, SECRETS["reason_phrase"])
        self.send_header("Set-Cookie", f"session={SECRETS['set_cookie']}")
        self.send_header("Location", f"/next?token={SECRETS['location']}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_CONNECT = do_GET  # noqa: N815 - named by http.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve() -> None:
    """Serve until killed; the first line of output is the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)  # noqa: T201 - how the test hears of it
    server.serve_forever()


def targets() -> list[str]:
    """Paths with a canary each."""
    s = SECRETS
    name, _, host = s["path_email_encoded"].partition("@")
    return [
        f"{_ROUTE}?token={s['query']}&password={s['query_words']}&next={s['query_encoded']}",
        f"{_ROUTE}?{s['query_bare']}",
        f"{_ROUTE}/plain#{s['fragment_of_url']}",
        f"{_ROUTE}/long?{'filler=' + 'x' * 60 + '&'}{'a=' + 'y' * 400}{s['query_truncated']}",
        *(
            f"{_ROUTE}/item/{s[place]}/part"
            for place in sorted(s)
            if place.startswith("path_") and "after" not in place
        ),
        f"{_ROUTE}/mail/{name}%2540{host}",
        f"{_ROUTE}/password/reset/{s['path_after_reset']}",
        f"{_ROUTE}/invite/{s['path_after_invite']}/accept",
        f"{_ROUTE}/list;jsessionid={s['matrix']}?page=1",
        f"{_ROUTE}/fails/{s['path_uuid']}?token={s['query']}",
    ]


def ask_http(port: int) -> None:
    """Every path, once, with secrets in the fields and bodies; then what no client library sends."""
    headers = {
        "Authorization": f"Bearer {SECRETS['authorization']}",
        "Cookie": f"session={SECRETS['cookie']}",
        "X-Api-Key": SECRETS["api_key"],
        "Referer": f"http://shop/reset?token={SECRETS['referer']}",
        "Content-Type": "application/json",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for number, target in enumerate(targets()):
        body = json.dumps({"password": SECRETS["request_body"]}).encode() if number % 2 else None
        connection.request("POST" if body else "GET", target, body=body, headers=headers)
        connection.getresponse().read()
    connection.close()
    raw(port, f"GET http://anna:{SECRETS['userinfo']}@shop:80{_ROUTE}/absolute HTTP/1.1\r\nHost: shop\r\n\r\n")
    raw(port, f"CONNECT anna:{SECRETS['connect_userinfo']}@shop:443 HTTP/1.1\r\nHost: shop\r\n\r\n")
    one = f"GET {_ROUTE}/pipelined/{SECRETS['path_hex']}?t={SECRETS['pipelined']} HTTP/1.1\r\nHost: shop\r\n\r\n"
    raw(port, one * 3, answers=3)


def raw(port: int, text: str, answers: int = 1) -> None:
    """Send bytes as they are and read the answers' bodies."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text.encode())
        received = b""
        while received.count(SECRETS["response_body"].encode()) < answers:
            piece = connection.recv(4096)
            if not piece:
                raise ConnectionError(f"the server closed after {received!r}")
            received += piece


def statements() -> list[str]:
    """SQL with a canary each; some of it fails on purpose."""
    s = SECRETS
    string = s["sql_quote"]
    return [
        f"SELECT '{s['sql_string']}' AS lighthouse, '{s['sql_words']}'",
        f"SELECT '{string}'",
        rf"SELECT E'\'{s['sql_escape']}\\'",
        f"SELECT U&'{s['sql_unicode']}'",
        f"SELECT $${s['sql_dollar']}$$, $t$ '{s['sql_dollar']}' $t$",
        f"SELECT X'{s['sql_hex']}', B'{s['sql_bits']}', {s['sql_number']}, -{s['sql_number']}.{s['sql_number']}",
        f"SELECT 1 /* {s['sql_comment']} /* nested */ */ -- {s['sql_line_comment']}",
        f'SELECT 1 AS "{s["sql_alias"]}"',
        f"SELECT '{{\"a\": \"{s['sql_json']}\"}}'::jsonb ->> '{s['sql_json']}'",
        "SELECT '" + s["sql_binary"] + "\u20ac\ufffd'",
        f"SELECT '{'x' * 470}{s['sql_truncated']}', '{s['sql_truncated']}'",
        f"SELECT repeat('a', 3) || '{s['result_row']}' FROM generate_series(1, 50)",
        "SET standard_conforming_strings = off",
        rf"SELECT 'it\'s {s['sql_backslash']}', 'C:\\'",
        "SET standard_conforming_strings = on",
        f"SET lighthouse.token TO '{s['sql_setting']}'",
        f"SET lighthouse.token = {s['sql_bare_setting']}",
        f"SET lighthouse.token TO {s['sql_setting_words']}",
        f"NOTIFY lighthouse, '{s['sql_notify']}'",
        f"LISTEN {s['sql_channel']}",
        f"DROP ROLE IF EXISTS {s['user']}_2",
        f"CREATE ROLE {s['user']}_2 LOGIN PASSWORD '{s['sql_password']}'",
        f"ALTER ROLE {s['user']}_2 PASSWORD '{s['sql_alter_password']}'",
        f"ALTER ROLE {s['user']}_2 PASSWORD {s['sql_password_words']}",
        f"DROP ROLE {s['user']}_2",
        f"DO $$ BEGIN RAISE EXCEPTION 'no such {s['sql_exception']}' USING DETAIL = '{s['sql_exception']}'; END $$",
        f"{s['sql_not_sql']} is no statement",
        f"SELECT '{s['sql_string']}",
        f"SELECT nothing FROM missing WHERE a = '{s['sql_string']}'",
        f"BEGIN; SAVEPOINT {s['savepoint']}; ROLLBACK TO {s['savepoint']}; COMMIT",
        f"BEGIN; DECLARE {s['cursor']} CURSOR FOR SELECT 1; FETCH 1 FROM {s['cursor']}; CLOSE {s['cursor']}; COMMIT",
    ]


def ask_postgres(port: int) -> None:
    """Every statement, once, by the simple protocol; then parameters, names, COPY, pipelines and logins."""
    s = SECRETS
    options: dict[str, Any] = {"host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable"}
    name = s["application_name"]
    with psycopg.connect(
        **options, user="postgres", dbname=s["database"], application_name=name, autocommit=True
    ) as connection:
        simple = connection.pgconn
        for sql in statements():
            simple.exec_(sql.encode())
        connection.execute("CREATE TEMP TABLE bird (name text)")
        connection.execute("INSERT INTO bird VALUES (%s)", [s["bind_text"]], prepare=False)
        connection.execute("INSERT INTO bird VALUES (convert_from(%b, 'UTF8'))", [s["bind_binary"].encode()])
        with connection.cursor().copy("COPY bird FROM STDIN") as copy:
            copy.write(f"{s['copy_in']}\n" * 20)
        with connection.cursor().copy(f"COPY (SELECT '{s['copy_out']}' FROM generate_series(1, 50)) TO STDOUT") as out:
            list(out)
        simple.prepare(s["prepared_name"].encode(), b"SELECT $1::text", None)
        simple.exec_prepared(s["prepared_name"].encode(), [s["bind_text"].encode()])
        with connection.pipeline():
            for _ in range(5):
                connection.execute(f"SELECT '{s['pipeline']}', %s", [s["pipeline"]])
    for password in (s["login_password"], s["wrong_password"]):
        try:
            psycopg.connect(**options, user=s["user"], dbname="postgres", password=password).close()
        except psycopg.OperationalError:
            if password == s["login_password"]:
                raise


def ask(http_port: int, postgres_port: int) -> None:
    """Hold a connection from before the agent, then send everything whenever told to."""
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": postgres_port,
        "sslmode": "disable",
        "gssencmode": "disable",
    }
    with psycopg.connect(**options, user="postgres", dbname="postgres", autocommit=True) as old:
        old.pgconn.prepare(SECRETS["late_name"].encode(), f"SELECT '{SECRETS['late_text']}'".encode(), None)
        print("ready", flush=True)  # noqa: T201 - how the test hears of it
        for line in sys.stdin:
            if line.strip() == "go":
                old.pgconn.exec_prepared(SECRETS["late_name"].encode(), [])
                ask_http(http_port)
                ask_postgres(postgres_port)
                print("done", flush=True)  # noqa: T201 - same


def main() -> None:
    """One of the two programs."""
    SECRETS.update(json.loads(Path(sys.argv[2]).read_text()))
    if sys.argv[1] == "serve":
        serve()
    else:
        ask(int(sys.argv[3]), int(sys.argv[4]))


if __name__ == "__main__":
    main()
