"""Followed PostgreSQL connections: which answer belongs to which statement, whatever the bytes come in."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.model.request import Protocol
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.postgres_stream import PostgresStream
from osmia.protocols.registry import PROTOCOLS
from osmia.protocols.streams import Exchange, StreamStatistics
from tests.protocols.conversation import MS, Conversation, Say, ask, recut, reply, told

PARSER = PROTOCOLS[Protocol.POSTGRES]


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One message with its length."""
    return kind + (len(body) + 4).to_bytes(4) + body


def parse(sql: str, name: str = "") -> bytes:
    """Parse."""
    return message(b"P", f"{name}\0{sql}\0".encode() + b"\0\0")


def bind(name: str = "", value: bytes = b"") -> bytes:
    """Bind, with one parameter, to the unnamed portal."""
    return message(b"B", b"\0" + name.encode() + b"\0\0\0\0\1" + len(value).to_bytes(4) + value + b"\0\0")


def run(sql: str, name: str = "") -> bytes:
    """Everything that runs one statement, but the Sync."""
    return parse(sql, name) + bind(name) + DESCRIBE + EXECUTE


def query(sql: str) -> bytes:
    """A simple query."""
    return message(b"Q", sql.encode() + b"\0")


def tag(text: str) -> bytes:
    """CommandComplete."""
    return message(b"C", text.encode() + b"\0")


def error(sqlstate: str, text: str = "no") -> bytes:
    """ErrorResponse."""
    return message(b"E", f"SERROR\0VERROR\0C{sqlstate}\0M{text}\0Fx.c\0L1\0Rf\0\0".encode())


def rows(count: int, size: int = 10) -> bytes:
    """DataRows of one column."""
    return message(b"D", b"\0\1" + size.to_bytes(4) + b"r" * size) * count


DESCRIBE, EXECUTE, FLUSH, SYNC = message(b"D", b"P\0"), message(b"E", bytes(5)), message(b"H"), message(b"S")
DESCRIBE_STATEMENT, CLOSE = message(b"D", b"Sa\0"), message(b"C", b"Sa\0")
PARSED, BOUND, CLOSED, NO_DATA, EMPTY = [message(kind) for kind in (b"1", b"2", b"3", b"n", b"I")]
COLUMNS, PARAMETERS, SUSPENDED = message(b"T", b"\0\1a\0" + bytes(18)), message(b"t", b"\0\0"), message(b"s")
IDLE, OPEN, FAILED = message(b"Z", b"I"), message(b"Z", b"T"), message(b"Z", b"E")
NOTICE, NOTIFIED, SETTING = message(b"N", b"SNOTICE\0\0"), message(b"A", bytes(6)), message(b"S", b"a\0b\0")
COPY_IN, COPY_OUT, COPY_BOTH = [message(kind, b"\0\0\1\0\0") for kind in (b"G", b"H", b"W")]
DATA, DONE, FAIL = message(b"d", b"1\tx\n"), message(b"c"), message(b"f", b"no\0")
CALL, CALLED = message(b"F", b"\0\0\0\1" + bytes(8)), message(b"V", b"\0\0\0\0")
STARTUP = b"\0\0\0\x13\0\3\0\0user\0anna\0\0"
SSL, GSS, CANCEL = [
    b"\0\0\0" + one for one in (b"\x08\x04\xd2\x16\x2f", b"\x08\x04\xd2\x16\x30", b"\x10\x04\xd2\x16\x2e" + bytes(8))
]
AUTHENTICATION, KEY = message(b"R", b"\0\0\0\5salt"), message(b"K", bytes(8))
ANSWER = PARSED + BOUND + NO_DATA


@dataclass(frozen=True)
class Case:
    """A connection, and for each exchange: template, status and rows, request and response bytes, ms of its times."""

    calls: list[Say]
    expected: list[tuple[str, str, int, int, tuple[int, int]]]
    statistics: StreamStatistics = field(default_factory=StreamStatistics)


def seen(exchanges: list[Exchange], *, with_session: bool = False) -> list[tuple[str, str, int, int, tuple[int, int]]]:
    """Exchanges as a case tells them; those of the session are left out, as every consumer does."""
    memory = PostgresConnection()
    found = []
    for one in exchanges:
        request = memory.feed_request(one.request)
        answer = PARSER.response(one.response_head, one.response_tail)
        status = "unanswered" if one.is_unanswered else answer.status
        status += "" if answer.rows is None else f" {answer.rows}"
        times = (one.start_ns // MS, one.end_ns // MS)
        if with_session or not request.is_session:
            found.append((request.template, status, one.request_bytes, one.response_bytes, times))
    return found


def row(
    template: str, status: str, request: bytes, response: bytes, times: tuple[int, int]
) -> tuple[str, str, int, int, tuple[int, int]]:
    """One expected exchange."""
    return template, status, len(request), len(response), times


def case(
    calls: list[Say],
    *expected: tuple[str, str, bytes, bytes, tuple[int, int]],
    aborted: int = 0,
    is_ignored: bool = False,
) -> Case:
    """A case whose exchanges are told by their bytes."""
    return Case(calls, [row(*one) for one in expected], StreamStatistics(aborted=aborted, is_ignored=is_ignored))


LONG_ERROR = error("22012", "division by zero " * 20)
CASES = {
    "simple queries": case(
        [
            ask(query("SELECT 1"), 1),
            reply(COLUMNS + rows(2) + tag("SELECT 2") + IDLE, 3),
            ask(query(""), 4),
            reply(EMPTY + IDLE, 5),
        ],
        ("SELECT ?", "ok 2", query("SELECT 1"), COLUMNS + rows(2) + tag("SELECT 2") + IDLE, (1, 3)),
        ("(empty query)", "ok", query(""), EMPTY + IDLE, (4, 5)),
    ),
    "several statements in one simple query": case(
        [
            ask(query("INSERT INTO t VALUES (1); DELETE FROM t"), 1),
            reply(tag("INSERT 0 1") + tag("DELETE 4") + IDLE, 2),
        ],
        (
            "INSERT INTO t VALUES (?); DELETE FROM t",
            "ok 4",
            query("INSERT INTO t VALUES (1); DELETE FROM t"),
            tag("INSERT 0 1") + tag("DELETE 4") + IDLE,
            (1, 2),
        ),
    ),
    "simple queries pipelined": case(
        [
            ask(query("SELECT 1") + query("DELETE FROM t"), 1),
            reply(COLUMNS + rows(1) + tag("SELECT 1"), 2),
            reply(IDLE + tag("DELETE 0") + IDLE, 4),
        ],
        ("SELECT ?", "ok 1", query("SELECT 1"), COLUMNS + rows(1) + tag("SELECT 1") + IDLE, (1, 4)),
        ("DELETE FROM t", "ok 0", query("DELETE FROM t"), tag("DELETE 0") + IDLE, (1, 4)),
    ),
    "extended": case(
        [ask(run("SELECT $1") + SYNC, 1), reply(PARSED + BOUND + COLUMNS + rows(3) + tag("SELECT 3") + IDLE, 2)],
        (
            "SELECT ?",
            "ok 3",
            run("SELECT $1") + SYNC,
            PARSED + BOUND + COLUMNS + rows(3) + tag("SELECT 3") + IDLE,
            (1, 2),
        ),
    ),
    "pipelined before one Sync": case(
        [
            ask(run("SELECT $1") + run("DELETE FROM t"), 1),
            ask(run("INSERT INTO t VALUES (2)") + SYNC, 2),
            reply(PARSED + BOUND + COLUMNS + rows(3) + tag("SELECT 3"), 5),
            reply(ANSWER + tag("DELETE 2"), 7),
            reply(ANSWER + tag("INSERT 0 1") + IDLE, 9),
        ],
        ("SELECT ?", "ok 3", run("SELECT $1"), PARSED + BOUND + COLUMNS + rows(3) + tag("SELECT 3"), (1, 5)),
        ("DELETE FROM t", "ok 2", run("DELETE FROM t"), ANSWER + tag("DELETE 2"), (1, 7)),
        (
            "INSERT INTO t VALUES (?)",
            "ok 1",
            run("INSERT INTO t VALUES (2)") + SYNC,
            ANSWER + tag("INSERT 0 1") + IDLE,
            (2, 9),
        ),
    ),
    "several Syncs under way": case(
        [
            ask((run("SELECT 1") + SYNC) * 2 + run("DELETE FROM t") + SYNC, 1),
            reply(ANSWER + tag("SELECT 1") + IDLE, 2),
            reply(ANSWER + tag("SELECT 1") + IDLE + ANSWER + tag("DELETE 9") + OPEN, 3),
        ],
        ("SELECT ?", "ok 1", run("SELECT 1") + SYNC, ANSWER + tag("SELECT 1") + IDLE, (1, 2)),
        ("SELECT ?", "ok 1", run("SELECT 1") + SYNC, ANSWER + tag("SELECT 1") + IDLE, (1, 3)),
        ("DELETE FROM t", "ok 9", run("DELETE FROM t") + SYNC, ANSWER + tag("DELETE 9") + OPEN, (1, 3)),
    ),
    "a Sync that comes after its answer": case(
        [ask(run("SELECT 1") + FLUSH, 1), reply(ANSWER + tag("SELECT 1"), 2), ask(SYNC, 90), reply(IDLE, 91)],
        ("SELECT ?", "ok 1", run("SELECT 1") + FLUSH, ANSWER + tag("SELECT 1"), (1, 2)),
    ),
    "prepared, then run by name": case(
        [
            ask(parse("SELECT $1", "a") + DESCRIBE_STATEMENT + SYNC, 1),
            reply(PARSED + PARAMETERS + COLUMNS + IDLE, 2),
            ask((bind("a") + EXECUTE) * 2 + SYNC, 3),
            reply((BOUND + tag("SELECT 1")) * 2 + IDLE, 4),
        ],
        (
            "SELECT ?",
            "ok",
            parse("SELECT $1", "a") + DESCRIBE_STATEMENT + SYNC,
            PARSED + PARAMETERS + COLUMNS + IDLE,
            (1, 2),
        ),
        ("SELECT ?", "ok 1", bind("a") + EXECUTE, BOUND + tag("SELECT 1"), (3, 4)),
        ("SELECT ?", "ok 1", bind("a") + EXECUTE + SYNC, BOUND + tag("SELECT 1") + IDLE, (3, 4)),
    ),
    "prepared with an early Flush, as asyncpg does": case(
        [
            ask(parse("SELECT $1", "a") + DESCRIBE_STATEMENT + FLUSH, 1),
            reply(PARSED + PARAMETERS + COLUMNS, 2),
            ask(bind("a") + EXECUTE + SYNC, 5),
            reply(BOUND + tag("SELECT 1") + IDLE, 7),
        ],
        (
            "SELECT ?",
            "ok 1",
            parse("SELECT $1", "a") + DESCRIBE_STATEMENT + FLUSH + bind("a") + EXECUTE + SYNC,
            PARSED + PARAMETERS + COLUMNS + BOUND + tag("SELECT 1") + IDLE,
            (5, 7),
        ),
    ),
    "many prepared before one Sync": case(
        [
            ask(
                parse("SELECT 1", "a") + DESCRIBE_STATEMENT + parse("DELETE FROM t", "b") + DESCRIBE_STATEMENT + SYNC, 1
            ),
            reply((PARSED + PARAMETERS + NO_DATA) * 2 + IDLE, 2),
            ask((bind("a") + EXECUTE + bind("b") + EXECUTE) + SYNC, 3),
            reply(BOUND + tag("SELECT 1") + BOUND + tag("DELETE 2") + IDLE, 4),
        ],
        ("SELECT ?", "ok", parse("SELECT 1", "a") + DESCRIBE_STATEMENT, PARSED + PARAMETERS + NO_DATA, (1, 2)),
        (
            "DELETE FROM t",
            "ok",
            parse("DELETE FROM t", "b") + DESCRIBE_STATEMENT + SYNC,
            PARSED + PARAMETERS + NO_DATA + IDLE,
            (1, 2),
        ),
        ("SELECT ?", "ok 1", bind("a") + EXECUTE, BOUND + tag("SELECT 1"), (3, 4)),
        ("DELETE FROM t", "ok 2", bind("b") + EXECUTE + SYNC, BOUND + tag("DELETE 2") + IDLE, (3, 4)),
    ),
    "prepared with a Flush, then something else": case(
        [
            ask(parse("SELECT 1", "a") + DESCRIBE_STATEMENT + FLUSH, 1),
            reply(PARSED + PARAMETERS + NO_DATA, 2),
            ask(query("COPY t FROM STDIN"), 3),
            reply(COPY_IN, 4),
            ask(DONE, 5),
            reply(tag("COPY 0") + IDLE, 6),
        ],
        ("SELECT ?", "ok", parse("SELECT 1", "a") + DESCRIBE_STATEMENT + FLUSH, PARSED + PARAMETERS + NO_DATA, (1, 2)),
        ("COPY t FROM STDIN", "ok 0", query("COPY t FROM STDIN") + DONE, COPY_IN + tag("COPY 0") + IDLE, (3, 6)),
    ),
    "portal fetched in parts": case(
        [
            ask(parse("SELECT 1") + bind() + EXECUTE + EXECUTE + CLOSE + SYNC, 1),
            reply(PARSED + BOUND + rows(2) + SUSPENDED + rows(1) + tag("SELECT 1") + CLOSED + IDLE, 2),
        ],
        ("SELECT ?", "ok", parse("SELECT 1") + bind() + EXECUTE, PARSED + BOUND + rows(2) + SUSPENDED, (1, 2)),
        ("SELECT ?", "ok 1", EXECUTE + CLOSE + SYNC, rows(1) + tag("SELECT 1") + CLOSED + IDLE, (1, 2)),
    ),
    "empty query extended": case(
        [ask(run("") + run("SELECT 1") + SYNC, 1), reply(ANSWER + EMPTY, 2), reply(ANSWER + tag("SELECT 1") + IDLE, 3)],
        ("(empty query)", "ok", run(""), ANSWER + EMPTY, (1, 2)),
        ("SELECT ?", "ok 1", run("SELECT 1") + SYNC, ANSWER + tag("SELECT 1") + IDLE, (1, 3)),
    ),
    "an error aborts the rest up to Sync": case(
        [
            ask(
                run("SELECT 1")
                + run("SELECT bad")
                + run("SELECT 3")
                + run("SELECT 4")
                + SYNC
                + run("DELETE FROM t")
                + SYNC,
                1,
            ),
            reply(ANSWER + tag("SELECT 1") + PARSED + error("42703"), 2),
            reply(IDLE, 3),
            reply(ANSWER + tag("DELETE 1") + IDLE, 4),
        ],
        ("SELECT ?", "ok 1", run("SELECT 1"), ANSWER + tag("SELECT 1"), (1, 2)),
        ("SELECT bad", "42703", run("SELECT bad"), PARSED + error("42703") + IDLE, (1, 3)),
        ("DELETE FROM t", "ok 1", run("DELETE FROM t") + SYNC, ANSWER + tag("DELETE 1") + IDLE, (1, 4)),
        aborted=2,
    ),
    "an error before the Sync was sent": case(
        [
            ask(run("SELECT bad") + FLUSH, 1),
            reply(error("42703"), 2),
            ask(run("SELECT 2") + SYNC, 3),
            reply(IDLE, 4),
            ask(query("SELECT 5"), 5),
            reply(tag("SELECT 1") + IDLE, 6),
        ],
        ("SELECT bad", "42703", run("SELECT bad") + FLUSH, error("42703"), (1, 2)),
        ("SELECT ?", "ok 1", query("SELECT 5"), tag("SELECT 1") + IDLE, (5, 6)),
        aborted=1,
    ),
    "an error while preparing": case(
        [
            ask(parse("SELECT bad") + DESCRIBE_STATEMENT + FLUSH, 1),
            reply(error("42703"), 2),
            ask(SYNC, 3),
            reply(IDLE, 4),
        ],
        ("SELECT bad", "42703", parse("SELECT bad") + DESCRIBE_STATEMENT + FLUSH, error("42703"), (1, 2)),
    ),
    "an error at the commit": case(
        [
            ask(run("INSERT INTO t VALUES (1)") + SYNC, 1),
            reply(ANSWER + tag("INSERT 0 1"), 2),
            reply(error("23503") + IDLE, 3),
        ],
        (
            "INSERT INTO t VALUES (?)",
            "23503",
            run("INSERT INTO t VALUES (1)") + SYNC,
            ANSWER + tag("INSERT 0 1") + error("23503") + IDLE,
            (1, 3),
        ),
    ),
    "a long error after many rows": case(
        [ask(run("SELECT 1/x") + SYNC, 1), reply(ANSWER + rows(50), 2), reply(LONG_ERROR + IDLE, 3)],
        ("SELECT ?/x", "22012", run("SELECT 1/x") + SYNC, ANSWER + rows(50) + LONG_ERROR + IDLE, (1, 3)),
    ),
    "an error in a simple query, then the next": case(
        [ask(query("SELECT bad") + query("SELECT 1"), 1), reply(error("42703") + IDLE + tag("SELECT 1") + IDLE, 2)],
        ("SELECT bad", "42703", query("SELECT bad"), error("42703") + IDLE, (1, 2)),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (1, 2)),
    ),
    "a failed transaction": case(
        [ask(query("SELECT 1"), 1), reply(error("25P02") + FAILED, 2)],
        ("SELECT ?", "25P02", query("SELECT 1"), error("25P02") + FAILED, (1, 2)),
    ),
    "what comes of itself": case(
        [
            reply(NOTIFIED + SETTING, 1),
            ask(run("SELECT 1") + run("SELECT 2") + SYNC, 2),
            reply(NOTICE + PARSED + NOTIFIED + BOUND + NO_DATA + SETTING + tag("SELECT 1") + ANSWER, 3),
            reply(NOTICE + tag("SELECT 2") + SETTING + IDLE + NOTIFIED, 4),
        ],
        ("SELECT ?", "ok 1", run("SELECT 1"), ANSWER + NOTICE + NOTIFIED + SETTING + tag("SELECT 1"), (2, 3)),
        ("SELECT ?", "ok 2", run("SELECT 2") + SYNC, ANSWER + NOTICE + tag("SELECT 2") + SETTING + IDLE, (2, 4)),
    ),
    "function call": case(
        [ask(CALL + query("SELECT 1"), 1), reply(CALLED + IDLE + tag("SELECT 1") + IDLE, 2)],
        ("FUNCTION CALL", "ok", CALL, CALLED + IDLE, (1, 2)),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (1, 2)),
    ),
    "COPY in": case(
        [
            ask(query("COPY t FROM STDIN"), 1),
            reply(COPY_IN, 2),
            ask(DATA * 3 + DONE, 3),
            reply(tag("COPY 3") + IDLE, 5),
            ask(query("SELECT 1"), 6),
            reply(tag("SELECT 1") + IDLE, 7),
        ],
        (
            "COPY t FROM STDIN",
            "ok 3",
            query("COPY t FROM STDIN") + DATA * 3 + DONE,
            COPY_IN + tag("COPY 3") + IDLE,
            (1, 5),
        ),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (6, 7)),
    ),
    "COPY in, extended: a Sync before the data is ignored": case(
        [
            ask(run("COPY t FROM STDIN") + SYNC, 1),
            reply(ANSWER + COPY_IN, 2),
            ask(DATA * 2 + DONE + SYNC, 3),
            reply(tag("COPY 2") + IDLE, 5),
            ask(query("SELECT 1"), 6),
            reply(tag("SELECT 1") + IDLE, 7),
        ],
        (
            "COPY t FROM STDIN",
            "ok 2",
            run("COPY t FROM STDIN") + SYNC + DATA * 2 + DONE + SYNC,
            ANSWER + COPY_IN + tag("COPY 2") + IDLE,
            (1, 5),
        ),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (6, 7)),
    ),
    "COPY in, everything sent at once": case(
        [
            ask(run("COPY t FROM STDIN") + SYNC + DATA + DONE + SYNC + query("SELECT 1"), 1),
            reply(ANSWER + COPY_IN + tag("COPY 1") + IDLE + tag("SELECT 1") + IDLE, 2),
        ],
        (
            "COPY t FROM STDIN",
            "ok 1",
            run("COPY t FROM STDIN") + SYNC + DATA + DONE + SYNC,
            ANSWER + COPY_IN + tag("COPY 1") + IDLE,
            (1, 2),
        ),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (1, 2)),
    ),
    "COPY in that the client gives up": case(
        [ask(query("COPY t FROM STDIN"), 1), reply(COPY_IN, 2), ask(DATA + FAIL, 3), reply(error("57014") + IDLE, 4)],
        (
            "COPY t FROM STDIN",
            "57014",
            query("COPY t FROM STDIN") + DATA + FAIL,
            COPY_IN + error("57014") + IDLE,
            (1, 4),
        ),
    ),
    "COPY in that fails on the way": case(
        [
            ask(query("COPY t FROM STDIN"), 1),
            reply(COPY_IN, 2),
            ask(DATA, 3),
            reply(error("22P02") + IDLE, 4),
            ask(DATA + DONE + query("SELECT 1"), 5),
            reply(tag("SELECT 1") + IDLE, 6),
        ],
        ("COPY t FROM STDIN", "22P02", query("COPY t FROM STDIN") + DATA, COPY_IN + error("22P02") + IDLE, (1, 4)),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (5, 6)),
    ),
    "COPY that cannot begin": case(
        [
            ask(run("COPY no FROM STDIN") + SYNC, 1),
            reply(error("42P01") + IDLE, 2),
            ask(run("SELECT 1") + SYNC, 3),
            reply(ANSWER + tag("SELECT 1") + IDLE, 4),
        ],
        ("COPY no FROM STDIN", "42P01", run("COPY no FROM STDIN") + SYNC, error("42P01") + IDLE, (1, 2)),
        ("SELECT ?", "ok 1", run("SELECT 1") + SYNC, ANSWER + tag("SELECT 1") + IDLE, (3, 4)),
    ),
    "COPY out": case(
        [
            ask(query("COPY t TO STDOUT") + query("SELECT 1"), 1),
            reply(COPY_OUT + DATA * 9 + DONE + tag("COPY 9") + IDLE, 2),
            reply(tag("SELECT 1") + IDLE, 3),
        ],
        (
            "COPY t TO STDOUT",
            "ok 9",
            query("COPY t TO STDOUT"),
            COPY_OUT + DATA * 9 + DONE + tag("COPY 9") + IDLE,
            (1, 2),
        ),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (1, 3)),
    ),
    "COPY both": case(
        [
            ask(query("START_REPLICATION 0/0"), 1),
            reply(COPY_BOTH + DATA, 2),
            ask(DATA + DONE, 3),
            reply(DATA + DONE + tag("COPY 0") + IDLE, 4),
        ],
        (
            "START_REPLICATION ?/?",
            "ok 0",
            query("START_REPLICATION 0/0") + DATA + DONE,
            COPY_BOTH + DATA * 2 + DONE + tag("COPY 0") + IDLE,
            (1, 4),
        ),
    ),
    "start-up and a refused encryption": case(
        [
            ask(GSS, 1),
            reply(b"N", 2),
            ask(SSL, 3),
            reply(b"N", 4),
            ask(STARTUP, 5),
            reply(AUTHENTICATION, 6),
            ask(message(b"p", b"md5\0"), 7),
            reply(message(b"R", bytes(4)) + SETTING + KEY + IDLE, 8),
            ask(query("SELECT 1"), 9),
            reply(tag("SELECT 1") + IDLE, 10),
        ],
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (9, 10)),
    ),
    "an accepted encryption": case(
        [
            ask(SSL, 1),
            reply(b"S", 2),
            ask(b"\x16\3\1\0\5hello", 3),
            reply(b"\x16\3\3\0\5hello", 4),
            ask(query("SELECT 1"), 5),
        ],
        is_ignored=True,
    ),
    "encryption without asking": case([ask(b"\x16\3\1\0\5hello", 1), reply(b"\x16\3\3\0\5hello", 2)], is_ignored=True),
    "a cancel request": case([ask(CANCEL, 1)]),
    "a refused login": case(
        [ask(STARTUP, 1), reply(AUTHENTICATION, 2), ask(message(b"p", b"x\0"), 3), reply(error("28P01"), 4)]
    ),
    "shut down in between": case(
        [ask(query("SELECT 1"), 1), reply(tag("SELECT 1") + IDLE, 2), reply(error("57P01"), 3)],
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (1, 2)),
    ),
    "closed without an answer": case(
        [ask(run("SELECT 1") + run("SELECT 2") + SYNC, 1), reply(ANSWER + tag("SELECT 1"), 2)],
        ("SELECT ?", "ok 1", run("SELECT 1"), ANSWER + tag("SELECT 1"), (1, 2)),
        ("SELECT ?", "unanswered", run("SELECT 2") + SYNC, b"", (1, 100_000)),
    ),
    "terminated": case(
        [ask(query("SELECT 1"), 1), reply(tag("SELECT 1") + IDLE, 2), ask(message(b"X"), 3)],
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (1, 2)),
    ),
}
HOLES = {
    "a big parameter that was not copied": case(
        [
            ask(
                (parse("SELECT $1") + bind("", b"v" * 9000))[:4096],
                1,
                hidden=len(parse("SELECT $1") + bind("", b"v" * 9000)) - 4096,
            ),
            ask(DESCRIBE + EXECUTE + SYNC, 1),
            reply(ANSWER + tag("SELECT 1") + IDLE, 2),
        ],
        (
            "SELECT ?",
            "ok 1",
            parse("SELECT $1") + bind("", b"v" * 9000) + DESCRIBE + EXECUTE + SYNC,
            ANSWER + tag("SELECT 1") + IDLE,
            (1, 2),
        ),
    ),
    "a big row that was not copied": case(
        [
            ask(run("SELECT $1") + run("DELETE FROM t") + SYNC, 1),
            reply(PARSED + BOUND + COLUMNS + rows(1, 9000)[:4096], 2, hidden=9011 - 4096),
            reply(tag("SELECT 1") + ANSWER + tag("DELETE 1") + IDLE, 2),
        ],
        ("SELECT ?", "ok 1", run("SELECT $1"), PARSED + BOUND + COLUMNS + rows(1, 9000) + tag("SELECT 1"), (1, 2)),
        ("DELETE FROM t", "ok 1", run("DELETE FROM t") + SYNC, ANSWER + tag("DELETE 1") + IDLE, (1, 2)),
    ),
    "many rows, of which only both ends were copied": case(
        [
            ask(query("SELECT a FROM t"), 1),
            reply((COLUMNS + rows(900))[:4096], 2, hidden=len(COLUMNS + rows(900)) - 4096 - 43),
            reply(rows(900)[-43:] + tag("SELECT 900") + IDLE, 2),
            ask(query("SELECT 1"), 3),
            reply(tag("SELECT 1") + IDLE, 4),
        ],
        ("SELECT a FROM t", "ok 900", query("SELECT a FROM t"), COLUMNS + rows(900) + tag("SELECT 900") + IDLE, (1, 2)),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (3, 4)),
    ),
    "COPY data, of which only both ends were copied": case(
        [
            ask(run("COPY t FROM STDIN") + SYNC, 1),
            reply(ANSWER + COPY_IN, 2),
            ask((DATA * 900)[:4096], 3, hidden=9 * 900 - 4096 - 54),
            ask(DATA * 6 + DONE + SYNC, 3),
            reply(tag("COPY 900") + IDLE, 4),
            ask(query("SELECT 1"), 5),
            reply(tag("SELECT 1") + IDLE, 6),
        ],
        (
            "COPY t FROM STDIN",
            "ok 900",
            run("COPY t FROM STDIN") + SYNC + DATA * 900 + DONE + SYNC,
            ANSWER + COPY_IN + tag("COPY 900") + IDLE,
            (1, 4),
        ),
        ("SELECT ?", "ok 1", query("SELECT 1"), tag("SELECT 1") + IDLE, (5, 6)),
    ),
}


@pytest.mark.parametrize("name", [*CASES, *HOLES])
def test_exchanges_of_a_connection(name: str) -> None:
    """Each connection gives its statements in order, with exact bytes and times; what is not matched is counted."""
    expected = (CASES | HOLES)[name]
    stream = PostgresStream()

    assert seen(told(stream, expected.calls)) == expected.expected
    assert stream.statistics() == expected.statistics


@pytest.mark.parametrize("name", CASES)
def test_exchanges_do_not_depend_on_where_the_bytes_are_cut(name: str) -> None:
    """The same bytes cut at random places give the same exchanges."""
    dice = random.Random(name)  # noqa: S311 - where to cut

    for _ in range(8):
        assert seen(told(PostgresStream(), recut(CASES[name].calls, dice))) == CASES[name].expected


def test_every_byte_belongs_to_one_exchange() -> None:
    """Session messages are exchanges too, which the parser calls so; together they hold every byte of both sides."""
    calls = [
        ask(STARTUP, 1),
        reply(AUTHENTICATION + KEY + IDLE, 2),
        ask(run("SELECT 1") + SYNC + CLOSE + SYNC, 3),
        reply(ANSWER + tag("SELECT 1") + IDLE + CLOSED + IDLE, 4),
    ]

    found = told(PostgresStream(), calls)

    assert [template for template, *_ in seen(found, with_session=True)] == ["STARTUP", "SELECT ?", "CLOSE"]
    assert sum(one.request_bytes for one in found) == sum(len(one.data) for one in calls if one.is_request)
    assert sum(one.response_bytes for one in found) == sum(len(one.data) for one in calls if not one.is_request)


def test_lost_statements_never_give_their_answers_to_others() -> None:
    """Statements before a gap keep their answers; those behind are dropped and counted until the connection rests."""
    stream = PostgresStream()
    calls = [
        ask(run("SELECT 1") + SYNC, 1),
        ask(run("SELECT lost") + SYNC, 2, is_lost=True),
        ask(run("SELECT 3") + SYNC, 3),
        reply((ANSWER + tag("SELECT 1") + IDLE) * 3, 4),
        ask(run("SELECT 4") + SYNC, 5),
        reply(ANSWER + tag("SELECT 1") + IDLE, 6),
        ask(run("DELETE FROM t") + SYNC, 900),
        reply(ANSWER + tag("DELETE 5") + IDLE, 901),
    ]

    found = [(template, status) for template, status, *_ in seen(told(stream, calls))]

    assert found == [("SELECT ?", "ok 1"), ("DELETE FROM t", "ok 5")]
    assert stream.statistics() == StreamStatistics(gaps=1, resynchronised=1, dropped=3)


def test_a_lost_answer_drops_the_statements_that_waited() -> None:
    """Which of the waiting statements the next answer belongs to is not known, so none of them gets it."""
    stream = PostgresStream()
    calls = [
        ask((run("SELECT 1") + SYNC) * 3, 1),
        reply(ANSWER + tag("SELECT 1") + IDLE, 2),
        reply(ANSWER + tag("SELECT 1") + IDLE, 3, is_lost=True),
        reply(ANSWER + tag("SELECT 1") + IDLE, 4),
        ask(query("DELETE FROM t"), 900),
        reply(tag("DELETE 5") + IDLE, 901),
    ]

    found = [(template, status) for template, status, *_ in seen(told(stream, calls))]

    assert found == [("SELECT ?", "ok 1"), ("DELETE FROM t", "ok 5")]
    assert stream.statistics() == StreamStatistics(gaps=1, resynchronised=1, dropped=2)


def test_statements_that_were_not_copied_leave_those_before_them_matched() -> None:
    """A call of many statements, copied in part: the copied ones are matched, the others counted by their answers."""
    stream = PostgresStream()
    one = bind("a") + EXECUTE
    calls = [
        ask(one * 20 + one[:9], 1, hidden=len(one) * 30 - 9 - 5),
        ask(SYNC, 1),
        reply((BOUND + tag("INSERT 0 1")) * 50 + IDLE, 2),
    ]

    found = told(stream, calls)

    assert len(found) == 20
    assert stream.statistics().dropped == 30


def test_an_answer_that_does_not_fit_ends_the_certainty() -> None:
    """The server answers something else than what was asked: nothing more is matched until a rest."""
    stream = PostgresStream()
    calls = [
        ask(run("SELECT 1") + SYNC, 1),
        reply(PARSED + CLOSED, 2),
        ask(query("SELECT 2"), 900),
        reply(tag("SELECT 2") + IDLE, 901),
    ]

    assert [status for _, status, *_ in seen(told(stream, calls))] == ["ok 2"]
    assert stream.statistics().dropped == 1


def test_a_connection_joined_late_is_read_from_the_next_message_on() -> None:
    """Bytes that begin in the middle of a message are no statement; after a rest the next one is."""
    stream = PostgresStream()
    calls = [
        reply(rows(1)[5:] + tag("SELECT 1") + IDLE, 1),
        ask(b"\1\2rest of a parameter" + EXECUTE + SYNC, 2),
        reply(tag("SELECT 1") + IDLE, 3),
        ask(query("SELECT 2"), 900),
        reply(tag("SELECT 2") + IDLE, 901),
    ]

    assert [status for _, status, *_ in seen(told(stream, calls))] == ["ok 2"]


def test_a_pipeline_without_end_is_bounded() -> None:
    """Steps beyond the bound are dropped and counted, the others matched."""
    conversation = Conversation(PostgresStream())

    conversation.say(ask((bind("a") + EXECUTE) * 5000, 1))
    conversation.say(reply((BOUND + tag("INSERT 0 1")) * 5000, 2))

    assert len(conversation.close(3)) == 2048
    assert conversation.stream.statistics().dropped == 5000 - 2048


STATEMENTS = st.sampled_from(["SELECT a", "INSERT INTO t VALUES (7)", "bad", "DELETE FROM t"])


@given(
    batches=st.lists(st.lists(STATEMENTS, min_size=1, max_size=5), min_size=1, max_size=6),
    seed=st.integers(0, 1 << 32),
    depth=st.integers(1, 3),
)
def test_any_pipeline_in_any_cuts_is_matched(batches: list[list[str]], seed: int, depth: int) -> None:
    """Each answer's row count names its statement; however many Syncs are under way, each finds its own."""
    dice = random.Random(seed)  # noqa: S311 - where to cut
    calls: list[Say] = []
    expected: list[str] = []
    aborted = number = 0
    for start in range(0, len(batches), depth):
        asked = answered = b""
        for batch in batches[start : start + depth]:
            is_failed = False
            for sql in batch:
                number += 1
                asked += run(sql)
                if is_failed:
                    aborted += 1
                elif sql == "bad":
                    is_failed = True
                    answered += error("42601")
                    expected.append("42601")
                else:
                    answered += PARSED + BOUND + COLUMNS + rows(dice.randrange(30)) + tag(f"SELECT {number}")
                    expected.append(f"ok {number}")
            asked, answered = asked + SYNC, answered + IDLE
        calls += [ask(asked, start * 10), reply(answered, start * 10 + 3)]
    stream = PostgresStream()

    assert [status for _, status, *_ in seen(told(stream, recut(calls, dice)))] == expected
    assert stream.statistics() == StreamStatistics(aborted=aborted)
