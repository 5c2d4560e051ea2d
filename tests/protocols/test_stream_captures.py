"""Recorded connections of real clients through the streams: what they give, wherever the bytes are cut."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from osmia.model.request import Protocol
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS, STREAMS
from osmia.protocols.streams import Exchange, StreamStatistics
from tests.captures.recording import TAIL_BYTES, Turn, load
from tests.captures.understood import captures, exchanges
from tests.protocols.conversation import Say, recut, told

ALL = [(protocol, path) for protocol in Protocol for path in captures(protocol)]
EACH_CAPTURE = pytest.mark.parametrize(("protocol", "path"), ALL, ids=[path.stem for _, path in ALL])
Line = tuple[str, str, str, int | None]


def calls_of(turns: list[Turn], protocol: Protocol) -> list[Say]:
    """A recorded connection as the kernel would copy it: of a long turn its beginning and, for SQL, its end."""
    calls: list[Say] = []
    for ms, turn in enumerate(turns):
        is_cut = turn.length > len(turn.head)
        tail = TAIL_BYTES if is_cut and protocol is Protocol.POSTGRES else 0
        tail = min(tail, turn.length - len(turn.head))
        calls.append(Say(turn.is_client, turn.head, ms, turn.length - tail))
        if tail:
            calls.append(Say(turn.is_client, turn.tail[-tail:], ms, tail))
    return calls


def lines(found: list[Exchange], protocol: Protocol) -> list[Line]:
    """Requests as anybody would see them: method, template, status, rows."""
    memory = PostgresConnection()
    parser = PROTOCOLS[protocol]
    seen = []
    for one in found:
        request = memory.feed_request(one.request) if protocol is Protocol.POSTGRES else parser.request(one.request)
        answer = parser.response(one.response_head, one.response_tail)
        if not request.is_session:
            seen.append((request.method, request.template, answer.status, answer.rows))
    return seen


def by_turns(turns: list[Turn], protocol: Protocol) -> list[Line]:
    """What the parsers make of the turns of the connection, without a stream."""
    found = [Exchange(one.request, one.head, one.tail, 0, 0, 0, 0, 0) for one in exchanges(turns, protocol)]
    return lines(found, protocol)


@EACH_CAPTURE
def test_recorded_connection_is_matched_without_a_loss(protocol: Protocol, path: Path) -> None:
    """Every byte of a recorded connection belongs to an exchange, and none is dropped or out of step."""
    for turns in load(path).connections:
        stream = STREAMS[protocol]()

        found = told(stream, calls_of(turns, protocol))

        assert stream.statistics() == StreamStatistics()
        if protocol is Protocol.HTTP:
            assert sum(one.request_bytes for one in found) == sum(turn.length for turn in turns if turn.is_client)
            assert sum(one.response_bytes for one in found) == sum(turn.length for turn in turns if not turn.is_client)


@EACH_CAPTURE
def test_recorded_connection_gives_the_same_wherever_it_is_cut(protocol: Protocol, path: Path) -> None:
    """The same exchanges, times and byte counts, whatever pieces the bytes come in."""
    dice = random.Random(path.stem)  # noqa: S311 - where to cut
    for turns in load(path).connections:
        calls = calls_of(turns, protocol)
        whole = told(STREAMS[protocol](), calls)

        for _ in range(3):
            assert told(STREAMS[protocol](), recut(calls, dice)) == whole


INSERT = ("INSERT", "INSERT INTO shop (name, price) VALUES (?)", "ok", 1)
CURSOR = "SELECT id FROM shop ORDER BY id"
PIPELINED: dict[str, tuple[list[Line], list[Line]]] = {
    "asyncpg": (
        [
            ("SELECT", 'SELECT "name", "price" FROM "shop" LIMIT ?', "ok", 1),
            *[
                ("EXECUTE", "EXECUTE __asyncpg_portal_?__ (statement text not captured)", "ok", rows)
                for rows in (None, None, 7)
            ],
        ],
        [
            INSERT,
            INSERT,
            ("PREPARE", 'SELECT "name", "price" FROM "shop" LIMIT ?', "ok", None),
            ("COPY", 'COPY "shop"("name", "price") FROM STDIN (FORMAT binary)', "ok", 1),
            *[("SELECT", CURSOR, "ok", rows) for rows in (None, None, 7)],
        ],
    ),
    "jdbc": (
        [("SELECT…", "BEGIN; SELECT ?/?", "22012", None)],
        [
            ("PREPARE", "INSERT INTO shop (name, price) VALUES (?)", "ok", None),
            INSERT,
            INSERT,
            ("BEGIN", "BEGIN", "ok", None),
            ("SELECT", "SELECT ?/?", "22012", None),
        ],
    ),
    "pgx": ([], [INSERT, INSERT]),
    "psycopg3": (
        [("SELECT…", "SELECT ?; UPDATE shop SET price = ? WHERE id = ?", "ok", 1)],
        [
            INSERT,
            INSERT,
            ("SELECT", "SELECT ?", "ok", 1),
            ("UPDATE", "UPDATE shop SET price = ? WHERE id = ?", "ok", 1),
        ],
    ),
}
"""Drivers that pipelined while they were recorded: what only their turns show, and what only the stream does."""


@EACH_CAPTURE
def test_stream_sees_what_the_parsers_see_in_turns(protocol: Protocol, path: Path) -> None:
    """Following a connection changes nothing about method, template, status and rows, but where it pipelines."""
    followed: Counter[Line] = Counter()
    in_turns: Counter[Line] = Counter()
    for turns in load(path).connections:
        followed += Counter(lines(told(STREAMS[protocol](), calls_of(turns, protocol)), protocol))
        in_turns += Counter(by_turns(turns, protocol))

    only_turns, only_stream = PIPELINED.get(path.stem, ([], []))
    assert in_turns - followed == Counter(only_turns)
    assert followed - in_turns == Counter(only_stream)
