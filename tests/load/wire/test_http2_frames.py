"""HTTP/2 of the core, frame by frame: what is sent, what is understood, and what becomes of what is cut off."""

from __future__ import annotations

import asyncio

import pytest

from osmia.load.client.transport import Http, Shows, Transport, WireStep
from osmia.load.tally import Failure
from tests.load.conformance.rig import Link, Peer, Stage, Witness, exercise, get
from tests.load.wire.frames import (
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    Frame,
    answered,
    fields,
    frame,
    goaway,
    greet,
    heads,
    incoming,
    settings,
)

_CANCEL, _REFUSED = 8, 7


def _step(peer: Peer, request: bytes | None = None, *, is_shown: bool = False) -> WireStep:
    shows = Shows.ALWAYS if is_shown else Shows.NEVER
    request = get("/x") if request is None else request
    return WireStep(endpoint=peer.endpoint(http=Http.TWO), request=request, shows=shows, keeps_body=is_shown)


def _answering(stage: Stage, *answer: bytes) -> Peer:
    """A server that answers the first stream with these frames."""

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends:
                await link.send(*answer)

    return stage.serve(each)


async def _answer_all(link: Link, seen: list[Frame] | None = None) -> None:
    async for one in incoming(link):
        if seen is not None:
            seen.append(one)
        if one.ends:
            await link.send(answered(one.stream))


@pytest.mark.parametrize("is_rendered", [False, True])
def test_a_head_becomes_fields(core: Transport, stage: Stage, *, is_rendered: bool) -> None:
    """Pseudo fields first, names in lower case, nothing about the connection, values without their margins."""
    blocks: list[bytes] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.kind == HEADERS:
                blocks.append(one.payload)
                await link.send(answered(one.stream))

    lines = [
        "Connection: keep-alive, X-Gone",
        "Keep-Alive: 5",
        "Proxy-Connection: keep-alive",
        "Transfer-Encoding: identity",
        "Upgrade: h2c",
        "TE: trailers",
        "X-Mixed-CASE:  two  words \t",
        "X-Empty:",
        "te: gzip",
    ]
    request = get("/path?q=1", *lines, host="some.host:81")
    peer = stage.serve(each)
    script = Witness(renders=lambda _state, _step: request)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=None if is_rendered else request)

    outcome = exercise(core, step, script=script, count=2, peers=[peer])

    assert outcome.statuses() == {200: 2}
    wanted = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/path?q=1"),
        (":authority", "some.host:81"),
        ("te", "trailers"),
        ("x-mixed-case", "two  words"),
        ("x-empty", ""),
    ]
    assert fields(blocks) == [wanted, wanted]


def test_the_absolute_form_loses_its_authority(core: Transport, stage: Stage) -> None:
    """What was written for a proxy is a path again; without Host there is no `:authority`."""
    blocks: list[bytes] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.kind == HEADERS:
                blocks.append(one.payload)
                await link.send(answered(one.stream))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer, b"GET http://a.host:80/x/y HTTP/1.1\r\nA: b\r\n\r\n"), peers=[peer])

    assert outcome.statuses() == {200: 1}
    assert fields(blocks) == [[(":method", "GET"), (":scheme", "http"), (":path", "/x/y"), ("a", "b")]]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\nwith space: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nvalue: with \x01\r\n\r\n",
    ],
)
def test_what_is_no_request_is_not_sent(core: Transport, stage: Stage, request_bytes: bytes) -> None:
    """HTTP/2 has no place for it: said at once, and others on the connection are not disturbed."""
    seen: list[Frame] = []

    async def each(link: Link) -> None:
        await greet(link)
        await _answer_all(link, seen)

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), _step(peer, request_bytes), _step(peer), peers=[peer])

    assert outcome.failures(1) == {Failure.REQUEST_INVALID: 1}
    assert outcome.statuses(0) == outcome.statuses(2) == {200: 1}
    assert sum(one.kind == HEADERS for one in seen) == 2


def test_hints_and_trailers_are_not_the_answers_head(core: Transport, stage: Stage) -> None:
    """1xx before it and trailers after it are read over."""
    peer = _answering(
        stage,
        heads(1, (":status", "103"), ("link", "</a.css>")),
        heads(1, (":status", "200"), ("x-one", "1"), ("set-cookie", "a=b")),
        frame(DATA, 1, b"body"),
        heads(1, ("x-checksum", "9"), ends=True),
    )
    script = Witness()

    outcome = exercise(core, _step(peer, is_shown=True), script=script, peers=[peer])

    assert outcome.statuses() == {200: 1}
    assert script.shown[0].head == b"HTTP/2 200\r\nx-one: 1\r\nset-cookie: a=b\r\n\r\n"
    assert script.shown[0].body == b"body"


def test_padding_is_no_body(core: Transport, stage: Stage) -> None:
    """Padded DATA."""
    padded = frame(DATA, 1, b"\x05body\0\0\0\0\0", END_STREAM | 8)
    peer = _answering(stage, heads(1, (":status", "200")), padded)
    script = Witness()

    exercise(core, _step(peer, is_shown=True), script=script, peers=[peer])

    assert script.shown[0].body == b"body"


def test_an_answer_may_come_before_the_body_was_sent(core: Transport, stage: Stage) -> None:
    """413 while we are still sending: it counts, and the stream is cancelled, not the connection."""
    seen: list[Frame] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            seen.append(one)
            if one.kind == HEADERS and not one.flags & END_STREAM:
                await link.send(heads(one.stream, (":status", "413"), ends=True))
            elif one.kind == HEADERS:
                await link.send(answered(one.stream))

    peer = stage.serve(each)
    body = b"x" * 300_000  # more than the window that nobody opens
    upload = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + body

    outcome = exercise(core, _step(peer, upload), _step(peer), peers=[peer])

    assert outcome.statuses(0) == {413: 1}
    assert outcome.statuses(1) == {200: 1}
    assert peer.links == 1
    assert [one.payload for one in seen if one.kind == RST_STREAM] == [_CANCEL.to_bytes(4, "big")]


@pytest.mark.parametrize("limit", ["head", "body"])
def test_too_much_is_cut_off(core: Transport, stage: Stage, limit: str) -> None:
    """Beyond the limits of what is kept the stream is cancelled; the connection goes on."""
    seen: list[Frame] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            seen.append(one)
            if one.ends and one.stream == 1:
                padding = "h" * 3_000 if limit == "head" else "h"
                head = heads(1, (":status", "200"), ("x-long", padding))
                await link.send(head + frame(DATA, 1, b"b" * 3_000, END_STREAM))
            elif one.ends:
                await link.send(answered(one.stream))

    peer = stage.serve(each)
    most_head, most_body = (1_000, 1 << 20) if limit == "head" else (1 << 20, 1_000)

    outcome = exercise(
        core,
        _step(peer, is_shown=True),
        _step(peer),
        peers=[peer],
        max_head_bytes=most_head,
        max_body_bytes=most_body,
    )

    assert outcome.failures(0) == {Failure.RESPONSE_TOO_LARGE: 1}
    assert outcome.statuses(1) == {200: 1}
    assert peer.links == 1
    assert any(one.kind == RST_STREAM for one in seen)


@pytest.mark.parametrize("declared", [3, 9])
def test_a_body_of_another_length_is_malformed(core: Transport, stage: Stage, declared: int) -> None:
    """Content-Length is held against what came (RFC 9113, 8.1.1)."""
    head = heads(1, (":status", "200"), ("content-length", str(declared)))
    peer = _answering(stage, head + frame(DATA, 1, b"five!", END_STREAM))

    outcome = exercise(core, _step(peer), peers=[peer])

    assert outcome.failures() == {Failure.RESPONSE_MALFORMED: 1}


def test_a_ping_is_answered(core: Transport, stage: Stage) -> None:
    """With its own eight bytes, while a request waits."""
    pongs: list[bytes] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends:
                await link.send(frame(PING, 0, b"8 bytes!"))
            elif one.kind == PING:
                pongs.append(one.payload)
                await link.send(answered(1))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), peers=[peer])

    assert outcome.statuses() == {200: 1}
    assert pongs == [b"8 bytes!"]


def test_the_limit_of_streams_is_never_exceeded(core: Transport, stage: Stage) -> None:
    """Not even before the server has told it: nothing is refused, nothing sent twice, whatever waits."""
    most = 0

    async def each(link: Link) -> None:
        nonlocal most
        await greet(link, settings(streams=3))
        open_streams: set[int] = set()

        async def later(stream: int) -> None:
            await asyncio.sleep(0.005)
            open_streams.discard(stream)
            await link.send(answered(stream))

        async with asyncio.TaskGroup() as tasks:
            async for one in incoming(link):
                if one.ends:
                    open_streams.add(one.stream)
                    most = max(most, len(open_streams))
                    tasks.create_task(later(one.stream))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), users=40, count=200, peers=[peer], max_connections=2)

    assert outcome.statuses() == {200: 200}
    assert most == 3
    assert outcome.steps[0]["retried"] == 0


def test_streams_beyond_a_goodbye_are_sent_again(core: Transport, stage: Stage) -> None:
    """GOAWAY in mid-flight: those it excludes go elsewhere once, the others are answered where they are."""
    served: list[int] = []

    async def each(link: Link) -> None:
        await greet(link, settings(streams=10))
        waiting: list[int] = []
        async for one in incoming(link):
            if not one.ends:
                continue
            if link.number > 1:
                served.append(one.stream)
                await link.send(answered(one.stream))
                continue
            waiting.append(one.stream)
            if len(waiting) == 6:
                served.extend(waiting[:2])
                await link.send(goaway(waiting[1]) + answered(waiting[0]) + answered(waiting[1]))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), users=6, count=6, peers=[peer])

    assert outcome.statuses() == {200: 6}
    assert outcome.steps[0]["retried"] == 4
    assert len(served) == 6
    assert peer.links == 2


def test_connections_that_carry_less_than_wants_to_go(core: Transport, stage: Stage) -> None:
    """Five requests per connection for forty users: most are turned away many times, none is lost or done twice."""
    served = 0

    async def each(link: Link) -> None:
        nonlocal served
        await greet(link, settings(streams=100))
        waiting: list[int] = []
        async for one in incoming(link):
            if one.ends and len(waiting) < 5:
                waiting.append(one.stream)
                served += 1
                await link.send(*(goaway(one.stream) for _ in range(len(waiting) == 5)), answered(one.stream))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), users=40, count=200, peers=[peer])

    assert outcome.statuses() == {200: 200}
    assert served == 200
    assert outcome.steps[0]["retried"] > 200


def test_a_server_that_only_says_goodbye_is_not_asked_for_ever(core: Transport, stage: Stage) -> None:
    """GOAWAY that excludes everything, on each connection."""

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends:
                await link.send(goaway(0))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), count=2, peers=[peer])

    assert outcome.failures() == {Failure.HTTP2_GOAWAY: 2}
    assert peer.links <= 8


def test_what_a_goodbye_leaves_unanswered_fails(core: Transport, stage: Stage) -> None:
    """GOAWAY promises an answer to a stream and the connection closes without one."""

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends:
                await link.send(heads(one.stream, (":status", "200")) + frame(DATA, one.stream, b"ha"))
                await link.send(goaway(one.stream))
                return

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), count=2, peers=[peer])

    assert outcome.failures() == {Failure.HTTP2_GOAWAY: 2}
    assert outcome.steps[0]["retried"] == 0


def test_a_stream_that_is_refused_once_is_sent_again(core: Transport, stage: Stage) -> None:
    """REFUSED_STREAM says that nothing was done."""
    seen: list[Frame] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            seen.append(one)
            if one.ends and one.stream == 1:
                await link.send(frame(RST_STREAM, 1, _REFUSED.to_bytes(4, "big")))
            elif one.ends:
                await link.send(answered(one.stream))

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), peers=[peer])

    assert outcome.statuses() == {200: 1}
    assert outcome.steps[0]["retried"] == 1
    assert sum(one.kind == HEADERS for one in seen) == 2


@pytest.mark.parametrize(
    "broken",
    [
        frame(DATA, 0, b"on no stream"),
        frame(HEADERS, 1, b"\xff\xff\xff\xff\xff\xff", 5),
        frame(PING, 0, b"short"),
        frame(DATA, 7, b"nobody asked", END_STREAM),
        b"\xff\xff\xff" + b"\0" * 6,
    ],
    ids=["data-on-connection", "compression", "ping", "idle-stream", "frame-too-large"],
)
def test_frames_that_break_the_rules_end_the_connection(core: Transport, stage: Stage, broken: bytes) -> None:
    """A connection error is told as one, and the server is told why (GOAWAY)."""
    goodbyes: list[Frame] = []

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends:
                await link.send(broken)
            elif one.kind == 7:
                goodbyes.append(one)

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), peers=[peer])

    assert outcome.failures() == {Failure.HTTP2_PROTOCOL: 1}
    assert len(goodbyes) == 1


def test_answers_come_whole_from_single_bytes(core: Transport, stage: Stage) -> None:
    """Frames cut everywhere."""

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends:
                whole = heads(one.stream, (":status", "200"), ("a", "b")) + frame(DATA, one.stream, b"body", END_STREAM)
                await link.send(*(whole[at : at + 1] for at in range(len(whole))))

    peer = stage.serve(each)
    script = Witness()

    outcome = exercise(core, _step(peer, is_shown=True), script=script, count=2, peers=[peer])

    assert outcome.statuses() == {200: 2}
    assert [(one.head, one.body) for one in script.shown] == [(b"HTTP/2 200\r\na: b\r\n\r\n", b"body")] * 2
