"""Followed HTTP/1.x connections: which response answers which request, whatever the bytes come in."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.model.request import Protocol
from osmia.protocols.http1_stream import Http1Stream
from osmia.protocols.registry import PROTOCOLS
from osmia.protocols.streams import Exchange
from tests.protocols.conversation import MS, Conversation, Say, ask, recut, reply, told

PARSER = PROTOCOLS[Protocol.HTTP]


def get(path: str, *fields: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: shop", *fields, "", ""]).encode()


def post(path: str, body: bytes) -> bytes:
    """A request with a body of known length."""
    return f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def ok(body: bytes = b"ok", status: str = "200 OK") -> bytes:
    """A response with a body of known length."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


CHUNKED_POST = (
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4;x=y\r\nwiki\r\nA\r\n0123456789\r\n0\r\n\r\n"
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nExpires: 0\r\nX: HTTP/1.1 200 OK\r\n\r\n"
)
BODY_LIKE_A_RESPONSE = ok(b"HTTP/1.1 500 Oops\r\n\r\n")
HEAD = b"HEAD /h HTTP/1.1\r\nHost: shop\r\n\r\n"
CONNECT = b"CONNECT db:5432 HTTP/1.1\r\nHost: db\r\n\r\n"
UPGRADE = get("/ws", "Upgrade: websocket", "Connection: Upgrade")
BARE = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
TUNNEL = b"HTTP/1.1 200 Connection Established\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 90\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """A connection, and for each exchange: method and path, status, request and response bytes, ms of its times."""

    calls: list[Say]
    expected: list[tuple[str, str, int, int, tuple[int, int, int]]]


def seen(exchanges: list[Exchange]) -> list[tuple[str, str, int, int, tuple[int, int, int]]]:
    """Exchanges as a case tells them."""
    rows = []
    for one in exchanges:
        request = PARSER.request(one.request)
        status = "unanswered" if one.is_unanswered else PARSER.response(one.response_head, one.response_tail).status
        times = (one.start_ns // MS, one.end_ns // MS, one.last_ns // MS)
        rows.append((f"{request.method} {request.target}", status, one.request_bytes, one.response_bytes, times))
    return rows


CASES = {
    "turns": Case(
        [ask(get("/1"), 1), reply(ok(), 2), ask(get("/2"), 3), reply(ok(status="404 No"), 5)],
        [
            ("GET /1", "200", len(get("/1")), len(ok()), (1, 2, 2)),
            ("GET /2", "404", len(get("/2")), len(ok(status="404 No")), (3, 5, 5)),
        ],
    ),
    "several requests in one call": Case(
        [ask(get("/1") + post("/2", b"hello") + get("/3"), 1), reply(ok() + ok(b"") + CHUNKED, 4)],
        [
            ("GET /1", "200", len(get("/1")), len(ok()), (1, 4, 4)),
            ("POST /2", "200", len(post("/2", b"hello")), len(ok(b"")), (1, 4, 4)),
            ("GET /3", "200", len(get("/3")), len(CHUNKED), (1, 4, 4)),
        ],
    ),
    "one request over many calls": Case(
        [ask(post("/1", b"hello")[:9], 1), ask(post("/1", b"hello")[9:-2], 2), ask(b"lo", 3), reply(ok(), 7)],
        [("POST /1", "200", len(post("/1", b"hello")), len(ok()), (1, 7, 7))],
    ),
    "responses joined and split": Case(
        [ask(get("/1") + get("/2"), 1), reply(ok()[:20], 2), reply(ok()[20:] + ok()[:30], 3), reply(ok()[30:], 9)],
        [
            ("GET /1", "200", len(get("/1")), len(ok()), (1, 2, 3)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 3, 9)),
        ],
    ),
    "chunked both ways": Case(
        [ask(CHUNKED_POST + get("/2"), 1), reply(CHUNKED + ok(), 2)],
        [
            ("POST /c", "200", len(CHUNKED_POST), len(CHUNKED), (1, 2, 2)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 2, 2)),
        ],
    ),
    "HEAD, 204 and 304 have no body": Case(
        [ask(HEAD + get("/2") + get("/3") + get("/4"), 1), reply(BARE + NO_CONTENT + NOT_MODIFIED + ok(), 2)],
        [
            ("HEAD /h", "200", len(HEAD), len(BARE), (1, 2, 2)),
            ("GET /2", "204", len(get("/2")), len(NO_CONTENT), (1, 2, 2)),
            ("GET /3", "304", len(get("/3")), len(NOT_MODIFIED), (1, 2, 2)),
            ("GET /4", "200", len(get("/4")), len(ok()), (1, 2, 2)),
        ],
    ),
    "interim responses": Case(
        [ask(get("/1") + get("/2"), 1), reply(CONTINUE + HINTS, 2), reply(ok(), 5), reply(HINTS + ok(), 6)],
        [
            ("GET /1", "200", len(get("/1")), len(CONTINUE + HINTS + ok()), (1, 5, 5)),
            ("GET /2", "200", len(get("/2")), len(HINTS + ok()), (1, 6, 6)),
        ],
    ),
    "a body that looks like a response": Case(
        [ask(get("/1") + get("/2"), 1), reply(BODY_LIKE_A_RESPONSE + ok(), 2)],
        [
            ("GET /1", "200", len(get("/1")), len(BODY_LIKE_A_RESPONSE), (1, 2, 2)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 2, 2)),
        ],
    ),
    "until close": Case(
        [ask(get("/1") + get("/2"), 1), reply(UNTIL_CLOSE, 2), reply(b"x" * 500, 4)],
        [
            ("GET /1", "200", len(get("/1")), len(UNTIL_CLOSE) + 500, (1, 2, 4)),
            ("GET /2", "unanswered", len(get("/2")), 0, (1, 100_000, 100_000)),
        ],
    ),
    "upgrade": Case(
        [ask(UPGRADE, 1), reply(SWITCH + b"\x81\x05hello", 2), ask(b"GET / HTTP/1.1\r\n\r\n", 3), reply(ok(), 4)],
        [("GET /ws", "101", len(UPGRADE), len(SWITCH), (1, 2, 2))],
    ),
    "upgrade that the server refuses": Case(
        [ask(UPGRADE + get("/2"), 1), reply(ok() + ok(), 2)],
        [
            ("GET /ws", "200", len(UPGRADE), len(ok()), (1, 2, 2)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 2, 2)),
        ],
    ),
    "CONNECT": Case(
        [ask(CONNECT, 1), reply(TUNNEL, 2), ask(get("/in/tunnel"), 3), reply(ok(), 4)],
        [("CONNECT db:5432", "200", len(CONNECT), len(TUNNEL), (1, 2, 2))],
    ),
    "CONNECT refused": Case(
        [ask(CONNECT, 1), reply(ok(status="403 No"), 2), ask(get("/2"), 3), reply(ok(), 4)],
        [
            ("CONNECT db:5432", "403", len(CONNECT), len(ok(status="403 No")), (1, 2, 2)),
            ("GET /2", "200", len(get("/2")), len(ok()), (3, 4, 4)),
        ],
    ),
    "answered before the request ends": Case(
        [
            ask(post("/1", b"x" * 100)[:-60], 1),
            reply(ok(status="413 No"), 2),
            ask(b"x" * 60 + get("/2"), 3),
            reply(ok(), 4),
        ],
        [
            ("POST /1", "413", len(post("/1", b"x" * 100)), len(ok(status="413 No")), (1, 2, 2)),
            ("GET /2", "200", len(get("/2")), len(ok()), (3, 4, 4)),
        ],
    ),
    "answered before the request ends, which it never does": Case(
        [ask(post("/1", b"x" * 100)[:-60], 1), reply(ok(status="413 No"), 2)],
        [("POST /1", "413", len(post("/1", b"x" * 40)) + 1, len(ok(status="413 No")), (1, 2, 2))],
    ),
    "closed without a response": Case(
        [ask(get("/1") + get("/2"), 1), reply(ok() + CONTINUE, 2)],
        [
            ("GET /1", "200", len(get("/1")), len(ok()), (1, 2, 2)),
            ("GET /2", "unanswered", len(get("/2")), 0, (1, 100_000, 100_000)),
        ],
    ),
    "closed within the response": Case(
        [ask(get("/1"), 1), reply(BARE + b"abc", 2)],
        [("GET /1", "200", len(get("/1")), len(BARE) + 3, (1, 2, 2))],
    ),
    "bodies that were not copied": Case(
        [
            ask(post("/1", b"x" * 9000)[:600], 1, hidden=len(post("/1", b"x" * 9000)) - 600),
            ask(get("/2"), 2),
            reply(ok(b"y" * 70_000)[:4096], 3, hidden=len(ok(b"y" * 70_000)) - 4096),
            reply(ok(), 4),
        ],
        [
            ("POST /1", "200", len(post("/1", b"x" * 9000)), len(ok(b"y" * 70_000)), (1, 3, 3)),
            ("GET /2", "200", len(get("/2")), len(ok()), (2, 4, 4)),
        ],
    ),
    "chunks that were not copied, one by one": Case(
        [
            ask(get("/1") + get("/2"), 1),
            reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 2),
            reply(b"2000\r\n" + b"z" * 100, 3, hidden=0x2000 - 100 + 2),
            reply(b"0\r\n\r\n" + ok(), 4),
        ],
        [
            ("GET /1", "200", len(get("/1")), 47 + 6 + 0x2000 + 2 + 5, (1, 2, 4)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 4, 4)),
        ],
    ),
    "chunks whose sizes were not copied": Case(
        [
            ask(get("/1"), 1),
            reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 2, hidden=5000),
            reply(b"4\r\nwxyz\r\n0\r\n\r\n", 3),
            ask(get("/2"), 4),
            reply(ok(), 5),
        ],
        [
            ("GET /1", "200", len(get("/1")), 47 + 5 + 5000 + 14, (1, 2, 3)),
            ("GET /2", "200", len(get("/2")), len(ok()), (4, 5, 5)),
        ],
    ),
    "a chunk lost within a body": Case(
        [
            ask(get("/1") + get("/2"), 1),
            reply(ok(b"x" * 900)[:200], 2),
            reply(ok(b"x" * 900)[200:700], 3, is_lost=True),
            reply(ok(b"x" * 900)[700:] + ok(), 4),
        ],
        [
            ("GET /1", "200", len(get("/1")), len(ok(b"x" * 900)), (1, 2, 4)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 4, 4)),
        ],
    ),
    "header section of a megabyte": Case(
        [
            ask(b"GET /1 HTTP/1.1\r\n", 1),
            *[ask(b"X-Long: " + b"y" * 990 + b"\r\n", 2) for _ in range(1000)],
            ask(b"Content-Length: 3\r\n", 2),
            *[ask(b"Y-Long: " + b"y" * 100_000 + b"\r\n", 2) for _ in range(3)],
            ask(b"\r\nabc" + get("/2"), 3),
            reply(ok() + ok(), 4),
        ],
        [
            ("GET /1", "200", 17 + 1000 * 1000 + 19 + 3 * 100_010 + 5, len(ok()), (1, 4, 4)),
            ("GET /2", "200", len(get("/2")), len(ok()), (3, 4, 4)),
        ],
    ),
    "followed from within a response": Case(
        [
            ask(get("/1") + get("/2"), 1),
            reply(b"HTT rest of a body\r\nHTTP/1.1 is", 2),
            reply(b" fine" + ok() + ok(), 3),
        ],
        [
            ("GET /1", "200", len(get("/1")), len(ok()), (1, 3, 3)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 3, 3)),
        ],
    ),
    "empty lines between messages": Case(
        [ask(get("/1") + b"\r\n" + get("/2"), 1), reply(ok() + b"\r\n" + ok(), 2)],
        [
            ("GET /1", "200", len(get("/1")), len(ok()), (1, 2, 2)),
            ("GET /2", "200", len(get("/2")), len(ok()), (1, 2, 2)),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exchanges_of_a_connection(name: str) -> None:
    """Each connection gives its exchanges, in order, with exact bytes and times, and nothing is dropped."""
    stream = Http1Stream()

    assert seen(told(stream, CASES[name].calls)) == CASES[name].expected
    assert stream.statistics().dropped == 0


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not any(one.is_lost for one in case.calls)])
def test_exchanges_do_not_depend_on_where_the_bytes_are_cut(name: str) -> None:
    """The same bytes cut at random places give the same exchanges."""
    dice = random.Random(name)  # noqa: S311 - where to cut

    for _ in range(8):
        assert seen(told(Http1Stream(), recut(CASES[name].calls, dice))) == CASES[name].expected


def test_an_exchange_carries_both_ends_of_a_long_response() -> None:
    """The first 192 bytes and the last 64 of those behind, and 512 of the request."""
    body = bytes(range(256)) * 4

    (one,) = told(Http1Stream(), [ask(post("/1", body), 1), reply(ok(body), 2)])

    assert one.request == post("/1", body)[:512]
    assert one.response_head == ok(body)[:192]
    assert one.response_tail == ok(body)[-64:]


def test_a_lost_request_never_gives_its_response_to_another() -> None:
    """Requests before a gap keep their responses; those behind are dropped and counted until the connection rests."""
    stream = Http1Stream()
    calls = [
        ask(get("/1"), 1),
        ask(get("/lost") + get("/lost"), 2, is_lost=True),
        ask(get("/3"), 3),
        reply(ok(), 4),
        reply(ok(status="500 No"), 5),
        reply(ok(status="501 No"), 6),
        reply(ok(status="502 No"), 7),
        ask(get("/4"), 10),
        reply(ok(status="503 No"), 12),
        ask(get("/5"), 1000),
        reply(ok(status="201 Yes"), 1003),
    ]

    found = [(method, status) for method, status, *_ in seen(told(stream, calls))]

    assert found == [("GET /1", "200"), ("GET /5", "201")]
    statistics = stream.statistics()
    assert (statistics.gaps, statistics.resynchronised, statistics.dropped) == (1, 1, 4)


def test_a_lost_response_drops_the_requests_that_waited() -> None:
    """Which of the waiting requests the next response answers is not known, so none of them gets it."""
    stream = Http1Stream()
    calls = [
        ask(get("/1") + get("/2") + get("/3"), 1),
        reply(ok(), 2),
        reply(ok(status="500 No"), 3, is_lost=True),
        reply(ok(), 4),
        ask(get("/4"), 5000),
        reply(ok(status="202 Yes"), 5001),
    ]

    found = [(method, status) for method, status, *_ in seen(told(stream, calls))]

    assert found == [("GET /1", "200"), ("GET /4", "202")]
    assert stream.statistics().dropped == 2


def test_requests_that_were_not_copied_leave_those_before_them_matched() -> None:
    """A call of many requests, copied in part: the copied ones are matched, the others counted by their responses."""
    stream = Http1Stream()
    hidden = len(get("/x")) * 3
    calls = [ask(get("/1") + get("/2"), 1, hidden=hidden), *[reply(ok(), 2 + n) for n in range(5)]]

    found = [method for method, *_ in seen(told(stream, calls))]

    assert found == ["GET /1", "GET /2"]
    assert stream.statistics().dropped == 3


def test_a_connection_joined_in_a_body_is_read_from_the_next_request_on() -> None:
    """Bytes that begin in the middle of a message are no request; after a rest the next one is."""
    stream = Http1Stream()
    calls = [
        ask(b"rest of a body of GET / things", 1),
        reply(ok(), 2),
        ask(get("/2"), 500),
        reply(ok(status="204 No"), 501),
    ]

    assert [status for _, status, *_ in seen(told(stream, calls))] == ["204"]


def test_pipelining_without_end_is_bounded() -> None:
    """Requests beyond the bound are dropped and counted, the others matched."""
    conversation = Conversation(Http1Stream())

    for _ in range(300):
        conversation.say(ask(get("/1") * 10, 1))
    conversation.say(reply(ok() * 3000, 2))

    assert len(conversation.close(3)) == 1024
    assert conversation.stream.statistics().dropped == 3000 - 1024


@pytest.mark.parametrize(
    "fields",
    ["Content-Length: 3\r\nContent-Length: 5", "Content-Length: 3x", "Transfer-Encoding: gzip"],
)
def test_a_request_whose_length_is_contradictory_ends_the_certainty(fields: str) -> None:
    """Servers refuse such requests or disagree about them (request smuggling): what follows is not matched."""
    stream = Http1Stream()
    request = f"POST /1 HTTP/1.1\r\n{fields}\r\n\r\n".encode()

    found = told(stream, [ask(request + b"abc" + get("/2"), 1), reply(ok(status="400 No") + ok(), 2)])

    assert [status for _, status, *_ in seen(found)] == ["400"]
    assert stream.statistics().dropped == 1


MESSAGES = st.sampled_from([get("/1"), post("/2", b"hello" * 40), CHUNKED_POST, HEAD])


@given(requests=st.lists(MESSAGES, min_size=1, max_size=8), seed=st.integers(0, 1 << 32), depth=st.integers(1, 8))
def test_any_pipeline_in_any_cuts_is_matched(requests: list[bytes], seed: int, depth: int) -> None:
    """Responses name their request; however deep the pipeline and wherever it is cut, each finds its own."""
    dice = random.Random(seed)  # noqa: S311 - where to cut
    calls: list[Say] = []
    for start in range(0, len(requests), depth):
        batch = requests[start : start + depth]
        answers = []
        for number, request in enumerate(batch, start):
            head = f"HTTP/1.1 {210 + number} Fine\r\n".encode()
            bare = head + b"Content-Length: 7\r\n\r\n"
            answers.append(bare if request is HEAD else dice.choice([bare + b"1234567", head + CHUNKED[17:]]))
        calls += [ask(b"".join(batch), 10 * start), reply(b"".join(answers), 10 * start + 3)]

    found = told(Http1Stream(), recut(calls, dice))

    assert [one.request for one in found] == [one[:512] for one in requests]
    assert [PARSER.response(one.response_head, b"").status for one in found] == [
        str(210 + number) for number in range(len(requests))
    ]
