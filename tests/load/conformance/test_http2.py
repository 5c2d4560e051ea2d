"""HTTP/2: streams over few connections, and what servers may do to them."""

from __future__ import annotations

import asyncio

import h2.errors

from osmia.load.client.transport import Http, Pool, Shows, Transport, WireStep
from osmia.load.tally import Failure, Phase, SampleFlag
from tests.load.conformance.certificates import Certificates
from tests.load.conformance.http2 import Request, Talk, serve_http2
from tests.load.conformance.rig import Link, Stage, Witness, exercise, get, ok

_TIMEOUT_NS = 200_000_000


async def _ok(talk: Talk, request: Request) -> None:
    await talk.answer(request)


def test_users_share_a_connection(transport: Transport, stage: Stage, certificates: Certificates) -> None:
    """Requests that wait do not keep each other from being sent: twenty at once, far fewer connections."""
    at_once = 0
    most = 0

    async def slow(talk: Talk, request: Request) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.03)
        at_once -= 1
        await talk.answer(request)

    peer, requests = serve_http2(stage, slow, tls=certificates.server(certificates.good, alpn=("h2", "http/1.1")))
    step = WireStep(endpoint=peer.endpoint(is_tls=True, http=Http.TWO), request=get("/x"))

    outcome = exercise(transport, step, users=20, count=200, peers=[peer], has_samples=True)

    assert outcome.statuses() == {200: 200}
    assert len(requests) == 200
    assert peer.links <= 4
    assert most > 10
    assert outcome.run["handshakes"] == peer.links
    assert outcome.samples is not None
    assert (outcome.samples["flags"] & SampleFlag.HTTP2 > 0).all()


def test_prior_knowledge_needs_no_tls(transport: Transport, stage: Stage) -> None:
    """Without TLS it is HTTP/2 from the first byte on."""
    peer, requests = serve_http2(stage, _ok)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get("/x"))

    outcome = exercise(transport, step, count=5, peers=[peer])

    assert outcome.statuses() == {200: 5}
    assert len(requests) == 5
    assert peer.links == 1
    assert outcome.phase_count(Phase.TLS) == 0


def test_a_server_without_http2_is_spoken_to_in_http1(
    transport: Transport, stage: Stage, certificates: Certificates
) -> None:
    """ALPN decides."""
    peer = stage.answer(ok(), tls=certificates.server(certificates.good))
    request = get("/x", "Accept: */*")
    step = WireStep(endpoint=peer.endpoint(is_tls=True, http=Http.TWO), request=request)

    outcome = exercise(transport, step, users=2, count=10, peers=[peer], has_samples=True)

    assert outcome.statuses() == {200: 10}
    assert set(peer.requests) == {request}
    assert outcome.samples is not None
    assert not (outcome.samples["flags"] & SampleFlag.HTTP2).any()


def test_the_head_is_taken_apart(transport: Transport, stage: Stage) -> None:
    """Pseudo headers from the request line and Host; names in lower case; what HTTP/2 forbids is left out."""
    peer, requests = serve_http2(stage, _ok)
    raw = (
        b"POST /path?query=1 HTTP/1.1\r\nHost: example.org:81\r\nConnection: keep-alive\r\nX-Custom: Value\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody"
    )

    exercise(transport, WireStep(endpoint=peer.endpoint(http=Http.TWO), request=raw), peers=[peer])

    [request] = requests
    headers = dict(request.headers)
    assert headers[b":method"] == b"POST"
    assert headers[b":path"] == b"/path?query=1"
    assert headers[b":authority"] == b"example.org:81"
    assert headers[b":scheme"] == b"http"
    assert {name: value for name, value in headers.items() if not name.startswith(b":")} == {
        b"x-custom": b"Value",
        b"content-type": b"text/plain",
        b"content-length": b"4",
    }
    assert request.body == b"body"


def test_the_answer_is_shown_in_the_form_of_http1(transport: Transport, stage: Stage) -> None:
    """Status line without a reason, names in lower case."""

    async def respond(talk: Talk, request: Request) -> None:
        await talk.answer(request, b"body", ("X-Custom", "Value"), ("set-cookie", "a=1"), status=404)

    peer, _ = serve_http2(stage, respond)
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get(), shows=Shows.ALWAYS, keeps_body=True)

    exercise(transport, step, script=script, peers=[peer])

    [shown] = script.shown
    assert (shown.status, shown.body) == (404, b"body")
    assert shown.head == b"HTTP/2 404\r\nx-custom: Value\r\nset-cookie: a=1\r\n\r\n"


def test_rendered_requests_go_over_streams(transport: Transport, stage: Stage) -> None:
    """The script's requests, each with its own path."""
    peer, requests = serve_http2(stage, _ok)
    script = Witness(renders=lambda state, _step: get(f"/{state}"))

    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=None)
    exercise(transport, step, script=script, users=4, count=20, peers=[peer])

    assert sorted(request.path for request in requests) == sorted(f"/{number}".encode() for number in range(20))


def test_large_bodies_respect_the_windows(transport: Transport, stage: Stage) -> None:
    """A mebibyte each way, many times the first window."""
    body = bytes(range(256)) * (1 << 12)

    async def echo(talk: Talk, request: Request) -> None:
        await talk.answer(request, request.body)

    peer, _ = serve_http2(stage, echo)
    raw = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=raw, shows=Shows.ALWAYS, keeps_body=True)

    outcome = exercise(transport, step, script=script, users=3, count=6, peers=[peer])

    assert outcome.statuses() == {200: 6}
    assert all(shown.body == body for shown in script.shown)


def test_streams_beyond_the_servers_limit_wait_or_go_elsewhere(transport: Transport, stage: Stage) -> None:
    """Two streams per connection: all are answered."""

    async def slow(talk: Talk, request: Request) -> None:
        await asyncio.sleep(0.01)
        await talk.answer(request)

    peer, requests = serve_http2(stage, slow, max_streams=2)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get())

    outcome = exercise(transport, step, users=8, count=40, peers=[peer])

    assert outcome.statuses() == {200: 40}
    assert len(requests) == 40


def test_connections_have_a_ceiling(transport: Transport, stage: Stage) -> None:
    """One connection of a hundred streams for more users: the others wait, and waiting is not service time."""

    async def slow(talk: Talk, request: Request) -> None:
        await asyncio.sleep(0.05)
        await talk.answer(request)

    peer, _ = serve_http2(stage, slow)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get())

    outcome = exercise(transport, step, users=130, count=260, max_connections=1, peers=[peer])

    assert outcome.statuses() == {200: 260}
    assert peer.links <= 3  # libcurl may replace one that is idle for a moment
    assert outcome.phase_s(Phase.WAIT) > 0.5
    assert outcome.phase_s(Phase.TOTAL) < 260 * 0.09


def test_each_user_may_have_a_connection(transport: Transport, stage: Stage) -> None:
    """PER_USER_KEPT: streams of different users do not share one."""
    peer, _ = serve_http2(stage, _ok)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get())

    outcome = exercise(transport, step, users=3, count=30, pool=Pool.PER_USER_KEPT, peers=[peer])

    assert outcome.statuses() == {200: 30}
    assert peer.links == 3


def test_head_and_empty_answers(transport: Transport, stage: Stage) -> None:
    """Answers without DATA."""

    async def respond(talk: Talk, request: Request) -> None:
        await talk.answer(request, b"", status=204 if request.path == b"/204" else 200)

    peer, _ = serve_http2(stage, respond)
    endpoint = peer.endpoint(http=Http.TWO)
    steps = [
        WireStep(endpoint=endpoint, request=get("/204")),
        WireStep(endpoint=endpoint, request=get("/").replace(b"GET", b"HEAD"), is_head=True),
        WireStep(endpoint=endpoint, request=get("/empty")),
    ]

    outcome = exercise(transport, *steps, count=2, peers=[peer])

    assert [outcome.statuses(step) for step in range(3)] == [{204: 2}, {200: 2}, {200: 2}]


def test_a_stream_that_is_reset_fails_alone(transport: Transport, stage: Stage) -> None:
    """RST_STREAM in the midst of an answer; the connection's other streams go on."""

    async def respond(talk: Talk, request: Request) -> None:
        if request.path != b"/broken":
            await asyncio.sleep(0.02)
            await talk.answer(request)
            return
        await talk.answer(request, b"half", ends=False)
        await asyncio.sleep(0.01)
        talk.h2.reset_stream(request.stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        await talk.flush()

    peer, _ = serve_http2(stage, respond)
    script = Witness(renders=lambda state, _step: get("/broken" if int(str(state)) % 4 == 0 else "/good"))
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=None)

    outcome = exercise(transport, step, script=script, users=4, count=16, peers=[peer])

    assert outcome.failures() == {Failure.HTTP2_STREAM_RESET: 4}
    assert outcome.statuses() == {200: 12}
    assert peer.links <= 4


def test_a_stream_that_is_always_refused(transport: Transport, stage: Stage) -> None:
    """REFUSED_STREAM may be tried again, but not for ever."""

    async def respond(talk: Talk, request: Request) -> None:
        talk.h2.reset_stream(request.stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        await talk.flush()

    peer, _ = serve_http2(stage, respond)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get()), peers=[peer])

    assert outcome.failures() == {Failure.HTTP2_REFUSED_STREAM: 1}


def test_a_connection_that_says_goodbye_is_finished_and_replaced(transport: Transport, stage: Stage) -> None:
    """GOAWAY with what is under way still answered: nothing fails, later requests go over a new connection."""

    async def respond(talk: Talk, request: Request) -> None:
        talk.h2.close_connection(last_stream_id=request.stream)
        head, data = bytes.fromhex("00000101040000000188"), bytes.fromhex("0000020001000000016f6b")
        await talk.link.send(talk.h2.data_to_send() + head + data)  # h2 would send nothing after its goodbye

    peer, requests = serve_http2(stage, respond)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get(), sleep_ns=(5_000_000, 5_000_000))

    outcome = exercise(transport, step, count=3, peers=[peer])

    assert outcome.statuses() == {200: 3}
    assert outcome.failures() == {}
    assert peer.links == len(requests) == 3


def test_a_goodbye_that_answers_nothing_is_a_failure(transport: Transport, stage: Stage) -> None:
    """GOAWAY with an error, and the connection closed: what was under way has no answer."""

    async def respond(talk: Talk, request: Request) -> None:
        talk.h2.close_connection(h2.errors.ErrorCodes.INTERNAL_ERROR, last_stream_id=request.stream)
        await talk.flush()
        talk.link.writer.write_eof()

    peer, _ = serve_http2(stage, respond)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get()), peers=[peer])

    [failure] = outcome.failures()
    assert failure in (Failure.HTTP2_GOAWAY, Failure.CONNECTION_CLOSED)


def test_a_connection_that_closes_fails_its_streams(transport: Transport, stage: Stage) -> None:
    """Half an answer on each of several streams, then the end."""

    async def respond(talk: Talk, request: Request) -> None:
        await talk.answer(request, b"half", ends=False)
        if len(talk.requests) == 3:
            talk.link.writer.close()

    peer, _ = serve_http2(stage, respond)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get())

    outcome = exercise(transport, step, users=3, count=3, peers=[peer])

    assert outcome.statuses() == {}
    assert sum(outcome.failures().values()) == 3
    closed = {Failure.CONNECTION_CLOSED, Failure.CONNECTION_RESET, Failure.HTTP2_STREAM_RESET}
    assert set(outcome.failures()) <= closed


def test_a_server_that_speaks_no_http2_after_all(transport: Transport, stage: Stage) -> None:
    """Prior knowledge was wrong."""
    peer = stage.once(ok())

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get()), peers=[peer])

    [failure] = outcome.failures()
    assert failure in (Failure.HTTP2_PROTOCOL, Failure.HTTP2_NOT_NEGOTIATED)


def test_frames_that_break_the_rules(transport: Transport, stage: Stage) -> None:
    """DATA on a stream that nobody opened: the connection is of no more use."""

    async def respond(talk: Talk, _request: Request) -> None:
        await talk.link.send(bytes.fromhex("00000100010000006361"))

    peer, _ = serve_http2(stage, respond)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get(), timeout_ns=2_000_000_000)

    outcome = exercise(transport, step, peers=[peer])

    [failure] = outcome.failures()
    assert failure in (Failure.HTTP2_PROTOCOL, Failure.HTTP2_GOAWAY)


def test_a_stream_that_is_not_answered_times_out_alone(transport: Transport, stage: Stage) -> None:
    """The others of its connection are answered, before and after."""

    async def respond(talk: Talk, request: Request) -> None:
        if request.path == b"/good":
            await asyncio.sleep(0.02)
            await talk.answer(request)

    peer, _ = serve_http2(stage, respond)
    script = Witness(renders=lambda state, _step: get("/silent" if state == 1 else "/good"))
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=None, timeout_ns=1_000_000_000)

    outcome = exercise(transport, step, script=script, users=2, count=10, peers=[peer])

    assert outcome.failures() == {Failure.READ_TIMEOUT: 1}
    assert outcome.statuses() == {200: 9}
    assert peer.links <= 2


def test_a_silent_server_times_out(transport: Transport, stage: Stage) -> None:
    """Not even SETTINGS come."""

    async def each(link: Link) -> None:
        await link.ended()

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=get(), timeout_ns=_TIMEOUT_NS)

    outcome = exercise(transport, step, count=2, peers=[peer])

    assert outcome.failures() == {Failure.READ_TIMEOUT: 2}


def test_what_the_script_renders_must_be_a_request(transport: Transport, stage: Stage) -> None:
    """What cannot be taken apart is an invalid request, and nothing of it is sent."""
    peer, requests = serve_http2(stage, _ok)
    script = Witness(renders=lambda state, _step: b"nonsense" if state == 1 else get())
    step = WireStep(endpoint=peer.endpoint(http=Http.TWO), request=None)

    outcome = exercise(transport, step, script=script, count=3, peers=[peer])

    assert outcome.failures() == {Failure.REQUEST_INVALID: 1}
    assert outcome.statuses() == {200: 2}
    assert len(requests) == 2
