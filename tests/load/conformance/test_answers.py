"""How answers of HTTP/1.1 are read: framing, chunks, what has no body, what comes before and after."""

from __future__ import annotations

import gzip

import pytest
import zstandard

from osmia.load.client.transport import Shows, Transport, WireStep
from osmia.load.tally import Failure
from tests.load.conformance.rig import Link, Outcome, Peer, Stage, Witness, exercise, get, ok

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def seen(transport: Transport, peer: Peer, *, request: bytes | None = None, count: int = 1) -> tuple[Outcome, Witness]:
    """Send a GET and look at everything that comes."""
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=request or get(), shows=Shows.ALWAYS, keeps_body=True)
    return exercise(transport, step, script=script, count=count, peers=[peer]), script


BODIES = {
    "with its length": (ok(b"hello"), b"hello"),
    "empty": (ok(b""), b""),
    "one chunk": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "several chunks": (CHUNKED + b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"hello"),
    "no chunk but the last": (CHUNKED + b"0\r\n\r\n", b""),
    "upper case and leading zeros": (CHUNKED + b"00A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "chunk extensions": (CHUNKED + b'5;name=value;other="a;b"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nChecksum: 17\r\nOther: x\r\n\r\n", b"hello"),
    "chunks that hold line ends": (CHUNKED + b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    "a name of the header in lower case": (b"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello", b"hello"),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "spaces around the length": (b"HTTP/1.1 200 OK\r\nContent-Length:   5  \r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize("name", list(BODIES))
@pytest.mark.parametrize("split", ["whole", "bytewise"])
def test_a_body_is_read_however_it_is_framed_and_cut(transport: Transport, stage: Stage, name: str, split: str) -> None:
    """The same body comes out, in one segment or byte by byte, and the connection goes on being used."""
    raw, body = BODIES[name]
    parts = [raw] if split == "whole" else [bytes([one]) for one in raw]

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(*parts)

    peer = stage.serve(each)

    outcome, script = seen(transport, peer, count=2)

    assert [shown.body for shown in script.shown] == [body, body]
    assert outcome.statuses() == {200: 2}
    assert peer.links == 1


WITHOUT_BODY = {
    "204 with a length": (get(), b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204),
    "304 with the length of what did not change": (
        get(),
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
        304,
    ),
    "HEAD with the length of what GET gives": (
        get().replace(b"GET", b"HEAD"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
        200,
    ),
    "HEAD with chunks announced": (get().replace(b"GET", b"HEAD"), CHUNKED, 200),
}


@pytest.mark.parametrize("name", list(WITHOUT_BODY))
def test_what_has_no_body_is_not_waited_for(transport: Transport, stage: Stage, name: str) -> None:
    """204, 304 and answers to HEAD end with their head, and the next request goes over the same connection."""
    request, raw, status = WITHOUT_BODY[name]
    peer = stage.answer(raw)
    script = Witness()
    step = WireStep(
        endpoint=peer.endpoint(), request=request, shows=Shows.ALWAYS, keeps_body=True, is_head=b"HEAD" in request
    )

    outcome = exercise(transport, step, script=script, count=3, peers=[peer])

    assert outcome.statuses() == {status: 3}
    assert [shown.body for shown in script.shown] == [b""] * 3
    assert peer.links == 1


def test_interim_answers_are_passed_over(transport: Transport, stage: Stage) -> None:
    """100, 102 and 103 are none; the script sees the final head alone."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    peer = stage.answer(interim + ok(b"final", "X-Kind: final"))

    outcome, script = seen(transport, peer, count=2)

    assert outcome.statuses() == {200: 2}
    assert script.shown[0].head == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: final\r\n\r\n"
    assert [shown.body for shown in script.shown] == [b"final"] * 2


def test_trailers_are_no_part_of_the_head(transport: Transport, stage: Stage) -> None:
    """What comes after the last chunk is not shown as a header."""
    peer = stage.answer(CHUNKED + b"2\r\nhi\r\n0\r\nChecksum: 17\r\n\r\n")

    _, script = seen(transport, peer)

    assert script.shown[0].head == CHUNKED


def test_a_body_without_length_ends_with_the_connection(transport: Transport, stage: Stage) -> None:
    """Close-delimited: a whole answer, and a new connection for the next."""
    peer = stage.once(b"HTTP/1.1 200 OK\r\n\r\n", b"part one, ", b"part two")

    outcome, script = seen(transport, peer, count=2)

    assert [shown.body for shown in script.shown] == [b"part one, part two"] * 2
    assert outcome.statuses() == {200: 2}
    assert peer.links == 2


def test_an_answer_of_http_1_0_closes(transport: Transport, stage: Stage) -> None:
    """HTTP/1.0 without keep-alive: the next request has a connection of its own."""
    peer = stage.once(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    outcome, _ = seen(transport, peer, count=2)

    assert outcome.statuses() == {200: 2}
    assert peer.links == 2


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_encoded_bodies_are_passed_on_as_they_are(transport: Transport, stage: Stage, encoding: str) -> None:
    """Whoever reads a body decodes it; the transport does not."""
    packed = {
        "gzip": gzip.compress(b"text " * 100),
        "br": b"\x0b\x02\x80hello\x03",
        "zstd": zstandard.compress(b"text " * 100),
    }[encoding]
    peer = stage.answer(ok(packed, f"Content-Encoding: {encoding}"))

    _, script = seen(transport, peer, request=get("/", "Accept-Encoding: gzip, br, zstd"))

    assert script.shown[0].body == packed


def test_slow_heads_are_waited_for(transport: Transport, stage: Stage) -> None:
    """A head that dribbles in belongs to its answer."""
    peer = stage.once(b"HTTP/1.1 ", b"200 OK\r\n", b"Content-", b"Length: 2\r", b"\n\r", b"\nhi", pause_s=0.02)

    outcome, script = seen(transport, peer)

    assert script.shown[0].body == b"hi"
    assert outcome.run["iteration_min_ns"] >= 80_000_000


def test_large_heads_are_read(transport: Transport, stage: Stage) -> None:
    """200 KiB of headers are many, but no error."""
    headers = [f"X-Filler-{number}: {'x' * 1000}" for number in range(200)]
    peer = stage.answer(ok(b"hi", *headers))

    outcome, script = seen(transport, peer)

    assert outcome.statuses() == {200: 1}
    assert len(script.shown[0].head) > 200_000


def test_endless_heads_are_an_error(transport: Transport, stage: Stage) -> None:
    """A head beyond every limit is given up."""

    async def each(link: Link) -> None:
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await link.send(b"X-Filler: " + b"x" * 8000 + b"\r\n")

    peer = stage.serve(each)

    outcome, _ = seen(transport, peer)

    assert outcome.failures() == {Failure.RESPONSE_TOO_LARGE: 1}


MALFORMED = {
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a chunk size that is no number": CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"fffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
    "a chunk without its line end": CHUNKED + b"5\r\nhelloXX0\r\n\r\n",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
}


@pytest.mark.parametrize("name", list(MALFORMED))
def test_what_is_no_http_is_malformed(transport: Transport, stage: Stage, name: str) -> None:
    """Garbage is told from a connection that broke."""
    peer = stage.once(MALFORMED[name])

    outcome, script = seen(transport, peer)

    assert outcome.failures() == {Failure.RESPONSE_MALFORMED: 1}
    assert script.failed == [(0, Failure.RESPONSE_MALFORMED)]


CUT = {
    "before the head": (),
    "in the head": (b"HTTP/1.1 200 OK\r\nContent-Le",),
    "in the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",),
    "in a chunk": (CHUNKED + b"a\r\nhalf",),
    "between chunks": (CHUNKED + b"4\r\nhalf\r\n",),
}


@pytest.mark.parametrize("name", list(CUT))
def test_an_answer_that_ends_early_is_a_closed_connection(transport: Transport, stage: Stage, name: str) -> None:
    """Whatever is missing, the peer closed before the whole answer."""
    peer = stage.once(*CUT[name])

    outcome, _ = seen(transport, peer)

    assert outcome.failures() == {Failure.CONNECTION_CLOSED: 1}
    assert outcome.statuses() == {}


def test_bodies_that_are_kept_have_a_limit(transport: Transport, stage: Stage) -> None:
    """A body beyond the limit is an error where it is kept, and only counted where it is not."""
    peer = stage.answer(ok(b"x" * 200_000))
    kept = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS, keeps_body=True)
    counted = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(transport, kept, counted, peers=[peer], max_body_bytes=100_000)

    assert outcome.failures(0) == {Failure.RESPONSE_TOO_LARGE: 1}
    assert outcome.statuses(1) == {200: 1}
    assert int(outcome.steps[1]["received_bytes"]) == len(ok(b"x" * 200_000))


def test_large_bodies_arrive_whole(transport: Transport, stage: Stage) -> None:
    """Eight mebibytes, byte for byte."""
    body = bytes(range(256)) * (8 << 12)
    peer = stage.answer(ok(body))

    _, script = seen(transport, peer)

    assert script.shown[0].body == body


def test_bytes_are_counted_as_http(transport: Transport, stage: Stage) -> None:
    """Sent and received bytes are those of the messages."""
    request, answer = get("/path?query=1", "X-Header: value"), ok(b"0123456789", "X-Other: header")
    peer = stage.answer(answer)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=request), count=5, peers=[peer])

    assert outcome.steps[0]["sent_bytes"] == 5 * len(request)
    assert outcome.steps[0]["received_bytes"] == 5 * len(answer)


def test_statuses_are_counted_exactly(transport: Transport, stage: Stage) -> None:
    """Every status is an answer, whatever it says."""
    cycle = [200, 201, 301, 404, 418, 500, 503, 599]

    async def each(link: Link) -> None:
        for status in cycle * 5:
            await link.request()
            await link.send(ok(b"x", status=f"{status} Some"))

    peer = stage.serve(each)

    step = WireStep(endpoint=peer.endpoint(), request=get())
    outcome = exercise(transport, step, count=40, peers=[peer])

    assert outcome.statuses() == dict.fromkeys(cycle, 5)
    assert outcome.run["iterations_succeeded"] == 40


def test_bytes_behind_an_answer_answer_nothing(transport: Transport, stage: Stage) -> None:
    """A server that says more than it was asked: its answer counts, and what lies behind does not begin the next."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(ok(b"hello") + ok(b"uninvited", status="500 Surprise"))

    peer = stage.serve(each)

    outcome, script = seen(transport, peer, count=3)

    assert [shown.body for shown in script.shown] == [b"hello"] * 3
    assert outcome.statuses() == {200: 3}
    assert peer.links == 3
