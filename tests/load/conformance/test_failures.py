"""What becomes of a request that gets no answer: each cause in its own class, and never a hang."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from osmia.load.client.transport import Endpoint, Shows, Transport, WireStep
from osmia.load.tally import Failure
from tests.load.conformance.rig import Link, Stage, Witness, exercise, full_backlog, get, ok

_TIMEOUT_NS = 150_000_000


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listens(transport: Transport) -> None:
    """Refused; the iteration goes on to its next step, and has failed."""
    step = WireStep(endpoint=Endpoint(host="127.0.0.1", port=_closed_port()), request=get())

    outcome = exercise(transport, step, step, count=3)

    assert outcome.failures(0) == outcome.failures(1) == {Failure.CONNECTION_REFUSED: 3}
    assert outcome.run["iterations_failed"] == 3
    assert outcome.run["iterations_succeeded"] == 0
    assert outcome.run["connections_opened"] == 0


def test_the_name_does_not_exist(transport: Transport) -> None:
    """No name under .invalid exists; without any name server that is seen as a failed lookup."""
    step = WireStep(endpoint=Endpoint(host="nobody.invalid", port=80), request=get())

    outcome = exercise(transport, step)

    [(failure, count)] = outcome.failures().items()
    assert failure in (Failure.DNS_NOT_FOUND, Failure.DNS_FAILED)
    assert count == 1


def test_the_peer_resets(transport: Transport, stage: Stage) -> None:
    """RST instead of an answer, on a new connection."""

    async def each(link: Link) -> None:
        await link.request()
        link.reset()

    peer = stage.serve(each)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), count=2, peers=[peer])

    assert outcome.failures() == {Failure.CONNECTION_RESET: 2}


def test_the_peer_resets_within_the_body(transport: Transport, stage: Stage) -> None:
    """RST in the midst of an answer."""

    async def each(link: Link) -> None:
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", pause_s=0.05)
        link.reset()

    peer = stage.serve(each)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), peers=[peer])

    assert outcome.failures() == {Failure.CONNECTION_RESET: 1}


def test_nobody_takes_the_connection(transport: Transport) -> None:
    """A full backlog: the timeout is the connection's."""
    with full_backlog() as port:
        step = WireStep(endpoint=Endpoint(host="127.0.0.1", port=port), request=get(), timeout_ns=_TIMEOUT_NS)

        outcome = exercise(transport, step)

    assert outcome.failures() == {Failure.CONNECTION_TIMEOUT: 1}
    assert 0.1 < outcome.seconds < 1


def test_nobody_answers_the_handshake(transport: Transport, stage: Stage) -> None:
    """TCP is there, TLS is not."""

    async def each(link: Link) -> None:
        await link.ended()

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(is_tls=True), request=get(), timeout_ns=_TIMEOUT_NS)

    outcome = exercise(transport, step, peers=[peer])

    assert outcome.failures() == {Failure.TLS_TIMEOUT: 1}


def test_nobody_answers_the_request(transport: Transport, stage: Stage) -> None:
    """Sent, and nothing comes; the connection is not used again."""

    async def each(link: Link) -> None:
        peer.requests.append(await link.request())
        await link.ended()

    peer = stage.serve(each)
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=get(), timeout_ns=_TIMEOUT_NS, shows=Shows.ALWAYS)

    outcome = exercise(transport, step, script=script, count=2, peers=[peer])

    assert outcome.failures() == {Failure.READ_TIMEOUT: 2}
    assert script.failed == [(0, Failure.READ_TIMEOUT)] * 2
    assert script.shown == []
    assert peer.links == len(peer.requests) == 2


def test_half_a_body_is_no_answer(transport: Transport, stage: Stage) -> None:
    """The time runs out within the body."""

    async def each(link: Link) -> None:
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await link.ended()

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get(), timeout_ns=_TIMEOUT_NS)

    outcome = exercise(transport, step, peers=[peer])

    assert outcome.failures() == {Failure.READ_TIMEOUT: 1}
    assert outcome.statuses() == {}


def test_nobody_reads_the_request(transport: Transport, stage: Stage) -> None:
    """A body larger than all buffers, and a server that does not read: the time runs out while writing."""

    async def each(link: Link) -> None:
        link.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport, too
        await asyncio.sleep(0.6)

    peer = stage.serve(each)
    body = b"x" * (32 << 20)
    request = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    step = WireStep(endpoint=peer.endpoint(), request=request, timeout_ns=2 * _TIMEOUT_NS)

    outcome = exercise(transport, step, peers=[peer])

    assert outcome.failures() == {Failure.WRITE_TIMEOUT: 1}


def test_an_answer_before_the_whole_request_is_an_answer(transport: Transport, stage: Stage) -> None:
    """A server may say no to a large body before it has read it."""

    async def each(link: Link) -> None:
        await link.reader.readuntil(b"\r\n\r\n")
        await link.send(ok(b"too much", "Connection: close", status="413 Content Too Large"))
        await link.ended()

    peer = stage.serve(each)
    body = b"x" * (1 << 20)
    request = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=request), peers=[peer])

    assert outcome.statuses() == {413: 1}


def test_no_timeout_is_no_timeout(transport: Transport, stage: Stage) -> None:
    """0 waits."""
    peer = stage.once(b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\n\r\n", pause_s=0.3)

    step = WireStep(endpoint=peer.endpoint(), request=get(), timeout_ns=0)
    outcome = exercise(transport, step, peers=[peer])

    assert outcome.statuses() == {200: 1}


def test_a_request_after_a_timeout_has_its_own_time(transport: Transport, stage: Stage) -> None:
    """One slow answer does not shorten the next."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            if link.number == 1:
                await link.ended()
                return
            await link.send(b"", pause_s=0.1)
            await link.send(ok())

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get(), timeout_ns=_TIMEOUT_NS)

    outcome = exercise(transport, step, count=4, peers=[peer])

    assert outcome.failures() == {Failure.READ_TIMEOUT: 1}
    assert outcome.statuses() == {200: 3}


def test_failures_and_answers_are_told_apart_by_step(transport: Transport, stage: Stage) -> None:
    """A step that fails leaves its neighbours' figures alone."""
    good, bad = stage.answer(ok()), stage.once()
    steps = [WireStep(endpoint=peer.endpoint(), request=get()) for peer in (good, bad, good)]

    outcome = exercise(transport, *steps, count=4, peers=[good, bad])

    assert [outcome.failures(step) for step in range(3)] == [{}, {Failure.CONNECTION_CLOSED: 4}, {}]
    assert [outcome.statuses(step) for step in range(3)] == [{200: 4}, {}, {200: 4}]
    assert outcome.run["iterations_failed"] == 4


def test_an_unreachable_network_is_one(transport: Transport) -> None:
    """An address without a route, where this machine has one."""
    found = None
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.settimeout(0.2)
            probe.connect(("2001:db8::1", 80))
        except OSError as exc:
            found = exc.errno
    if found not in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        pytest.skip("this machine routes the documentation's addresses")
    step = WireStep(endpoint=Endpoint(host="2001:db8::1", port=80), request=get(), timeout_ns=1_000_000_000)

    outcome = exercise(transport, step)

    expected = Failure.NETWORK_UNREACHABLE if found == errno.ENETUNREACH else Failure.HOST_UNREACHABLE
    assert outcome.failures() == {expected: 1}
