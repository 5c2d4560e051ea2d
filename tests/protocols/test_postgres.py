"""PostgreSQL messages: what a flush asks for, what an answer says, what a connection remembers."""

from __future__ import annotations

import pytest

from osmia.protocols.parser import UNKNOWN, UNRECOGNISED, TransactionStatus
from osmia.protocols.postgres import UNSEEN, PostgresConnection, PostgresParser

POSTGRES = PostgresParser()


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One message with its type byte and length."""
    return kind + (len(body) + 4).to_bytes(4) + body


def parse(sql: bytes, name: bytes = b"") -> bytes:
    """A Parse message."""
    return message(b"P", name + b"\0" + sql + b"\0\0\0")


def bind(name: bytes = b"", portal: bytes = b"", value: bytes = b"canary") -> bytes:
    """A Bind message with one text parameter."""
    return message(b"B", portal + b"\0" + name + b"\0" + b"\0\0\0\1" + len(value).to_bytes(4) + value + b"\0\0")


EXECUTE = message(b"E", b"\0\0\0\0\0")
SYNC = message(b"S")
READY = message(b"Z", b"I")
ERROR = message(
    b"E",
    b"SERROR\0VERROR\0C42P01\0Mrelation canary does not exist\0P15\0Fparse_relation.c\0L1392\0RparserOpenTable\0\0",
)


@pytest.mark.parametrize(
    ("head", "method", "template"),
    [
        (message(b"Q", b"SELECT 'canary'\0"), "SELECT", "SELECT ?"),
        (message(b"Q", b"\0"), "EMPTY", "(empty query)"),
        (parse(b"SELECT $1") + bind() + message(b"D", b"P\0") + EXECUTE + SYNC, "SELECT", "SELECT ?"),
        (parse(b"SELECT $1") + message(b"D", b"S\0") + message(b"H"), "SELECT", "SELECT ?"),
        (parse(b"SELECT $1") + message(b"D", b"S\0") + SYNC, "PREPARE", "SELECT ?"),
        (parse(b"SELECT $1"), "SELECT", "SELECT ?"),
        (SYNC + message(b"Q", b"SELECT 1\0"), "SELECT", "SELECT ?"),
        (
            parse(b"BEGIN") + bind() + EXECUTE + parse(b"SELECT 1") + bind() + EXECUTE + SYNC,
            "SELECT…",
            "BEGIN; SELECT ?",
        ),
        (parse(b"SELECT 1") + (bind() + EXECUTE) * 3 + SYNC, "SELECT", "SELECT ?"),
        (bind(b"S_1") + EXECUTE + SYNC, "EXECUTE", f"EXECUTE S_? {UNSEEN}"),
        (bind(b"__asyncpg_stmt_1a__") + EXECUTE + SYNC, "EXECUTE", f"EXECUTE __asyncpg_stmt_?__ {UNSEEN}"),
        (message(b"D", b"Sname\0") + SYNC, "DESCRIBE", f"DESCRIBE name {UNSEEN}"),
        (message(b"F", b"\0\0\3\xbb" + b"canary"), "FUNCTION CALL", "FUNCTION CALL"),
    ],
)
def test_what_a_flush_asks_for(head: bytes, method: str, template: str) -> None:
    """Simple and extended queries give the statement that is executed; parameter values stay unread."""
    request = POSTGRES.request(head)

    assert (request.method, request.template) == (method, template)
    assert not request.is_session


@pytest.mark.parametrize(
    ("head", "method"),
    [
        (b"\0\0\0\x08\x04\xd2\x16\x2f", "SSLREQUEST"),
        (b"\0\0\0\x08\x04\xd2\x16\x30", "GSSENCREQUEST"),
        (b"\0\0\0\x10\x04\xd2\x16\x2e" + bytes(8), "CANCEL"),
        (b"\0\0\0\x20\0\3\0\0user\0canary\0", "STARTUP"),
        (b"\0\0\0\x20\0\3\0\2user\0canary\0", "STARTUP"),
        (message(b"p", b"canary\0"), "PASSWORD"),
        (message(b"X"), "TERMINATE"),
        (SYNC, "SYNC"),
        (message(b"C", b"Sname\0") + SYNC, "CLOSE"),
        (message(b"d", b"canary\n"), "COPY DATA"),
    ],
)
def test_session_messages_are_no_requests(head: bytes, method: str) -> None:
    """Start-up, passwords and the like are marked, and nothing of them is kept."""
    request = POSTGRES.request(head)

    assert (request.method, request.is_session) == (method, True)
    assert "canary" not in request.target + request.template


@pytest.mark.parametrize(
    "head", [b"", b"GET / HTTP/1.1\r\n", b"\0", b"\0\0\0\x08\0\0\0\0", b"Q\0\0\0\1", b"\x16\x03\x01"]
)
def test_other_bytes_are_not_recognised(head: bytes) -> None:
    """Bytes of another protocol give an unknown method and the template that callers count."""
    request = POSTGRES.request(head)

    assert (request.method, request.template) == (UNKNOWN, UNRECOGNISED)


def test_cut_query_says_so() -> None:
    """A statement longer than the capture keeps what is certain and is marked as cut."""
    request = POSTGRES.request(message(b"Q", b"SELECT name FROM t WHERE a = 'canary" + b"x" * 900)[:512])

    assert (request.template, request.is_truncated) == ("SELECT name FROM t WHERE a = ?…", True)


def test_execute_that_the_cut_took_is_assumed() -> None:
    """A Bind whose parameters fill the capture still counts as an execution of its statement."""
    request = POSTGRES.request((parse(b"INSERT INTO t VALUES ($1)") + bind(value=b"canary" * 200) + EXECUTE)[:512])

    assert (request.method, request.template) == ("INSERT", "INSERT INTO t VALUES (?)")


def test_connection_remembers_prepared_statements() -> None:
    """An execution by name has the SQL and template of the Parse that named it, until it is closed."""
    connection = PostgresConnection()
    connection.feed_request(parse(b"SELECT a FROM t WHERE b = $1", b"s1") + message(b"D", b"Ss1\0") + SYNC)

    by_name = connection.feed_request(bind(b"s1") + EXECUTE + SYNC)
    connection.feed_request(message(b"C", b"Ss1\0") + SYNC)
    closed = connection.feed_request(bind(b"s1") + EXECUTE + SYNC)

    assert (by_name.method, by_name.target) == ("SELECT", "SELECT a FROM t WHERE b = $1")
    assert closed.template == f"EXECUTE s? {UNSEEN}"
    assert connection.statistics().unknown == 1


def test_connection_remembers_portals() -> None:
    """Fetching more rows from a named portal is an execution of the statement it was bound to."""
    connection = PostgresConnection()
    connection.feed_request(
        parse(b"SELECT a FROM t", b"s1") + bind(b"s1", b"C_1") + message(b"E", b"C_1\0\0\0\0\5") + SYNC
    )

    more = connection.feed_request(message(b"E", b"C_1\0\0\0\0\5") + SYNC)

    assert (more.method, more.template) == ("SELECT", "SELECT a FROM t")


def test_connection_memory_is_bounded() -> None:
    """Beyond its capacity the name used longest ago is forgotten, and counted."""
    connection = PostgresConnection(capacity=2)
    for name in (b"a", b"b"):
        connection.feed_request(parse(b"SELECT " + name, name) + SYNC)
    connection.feed_request(message(b"D", b"Sa\0") + SYNC)
    connection.feed_request(parse(b"SELECT c", b"c") + SYNC)

    assert connection.feed_request(message(b"D", b"Sa\0") + SYNC).template == "SELECT a"
    assert connection.feed_request(message(b"D", b"Sb\0") + SYNC).template == f"DESCRIBE b {UNSEEN}"
    assert (connection.statistics().names, connection.statistics().forgotten) == (2, 1)


def test_cut_names_are_never_mixed_up() -> None:
    """Two statements whose names were cut are not taken for one."""
    connection = PostgresConnection()
    connection.feed_request(b"P\0\0\1\0" + b"x" * 50)

    assert connection.feed_request(b"D\0\0\1\0S" + b"x" * 50).template.startswith("DESCRIBE …")


@pytest.mark.parametrize(
    ("answer", "status", "rows", "transaction"),
    [
        (
            message(b"T", bytes(20)) + message(b"D", bytes(9)) + message(b"C", b"SELECT 3\0") + READY,
            "ok",
            3,
            "idle",
        ),
        (message(b"C", b"INSERT 0 7\0") + message(b"Z", b"T"), "ok", 7, "open"),
        (message(b"C", b"CREATE TABLE\0") + READY, "ok", None, "idle"),
        (message(b"C", b"SET\0") + message(b"S", b"application_name\0x\0") + READY, "ok", None, "idle"),
        (message(b"N", b"SNOTICE\0C00000\0Mcanary\0\0") + message(b"C", b"DO\0") + READY, "ok", None, "idle"),
        (message(b"I") + READY, "ok", None, "idle"),
        (message(b"1") + message(b"2") + message(b"n") + message(b"s") + READY, "ok", None, "idle"),
        (message(b"D", bytes(300)) + message(b"s") + message(b"Z", b"T"), "ok", None, "open"),
        (ERROR + READY, "42P01", None, "idle"),
        (message(b"1") + ERROR + message(b"Z", b"E"), "42P01", None, "failed"),
        (message(b"D", bytes(300)) + ERROR + READY, "error", None, "idle"),
        (message(b"D", bytes(300)) + message(b"E", b"SERROR\0C22012\0Mx\0\0") + READY, "22012", None, "idle"),
        (message(b"E", b"SFATAL\0VFATAL\0C28P01\0Mcanary\0\0"), "28P01", None, "unknown"),
        (b"N", "ok", None, "unknown"),
        (message(b"R", b"\0\0\0\x0a" + b"SCRAM-SHA-256\0\0"), "ok", None, "unknown"),
        (message(b"T", bytes(400))[:300], UNKNOWN, None, "unknown"),
        (b"HTTP/1.1 200 OK\r\n", UNKNOWN, None, "unknown"),
        (b"", UNKNOWN, None, "unknown"),
    ],
)
def test_what_an_answer_says(answer: bytes, status: str, rows: int | None, transaction: str) -> None:
    """Status, rows and transaction, with the ends cut as the kernel cuts them (they never overlap)."""
    response = POSTGRES.response(answer[:192], answer[192:][-64:])

    assert (response.status, response.rows, response.transaction) == (status, rows, TransactionStatus(transaction))
    assert response.is_error == (status not in ("ok", UNKNOWN))


def test_overlapping_ends_say_the_same() -> None:
    """A short answer whose tail repeats its head is read once."""
    answer = message(b"C", b"UPDATE 1\0") + READY

    assert POSTGRES.response(answer, answer[-64:]) == POSTGRES.response(answer, b"")


def test_answer_that_spans_both_ends_is_read_as_one() -> None:
    """A message that begins in the head and ends in the tail is understood, if nothing lies between."""
    answer = message(b"T", bytes(172)) + message(b"C", b"SELECT 12\0") + READY

    assert POSTGRES.response(answer[:192], answer[192:]).rows == 12
