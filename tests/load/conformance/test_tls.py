"""TLS: who is believed, who is shown a certificate, and what is counted of handshakes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from osmia.load.client.transport import Pool, Shows, Transport, WireStep
from osmia.load.tally import Failure, Phase
from osmia.model.errors import ConfigError
from tests.load.conformance.certificates import Certificates
from tests.load.conformance.rig import Link, Peer, Stage, Witness, exercise, get, ok


def _answering(stage: Stage, context: ssl.SSLContext, *, host: str = "127.0.0.1") -> Peer:
    return stage.answer(ok(), tls=context, host=host)


def test_a_handshake_is_made_once_per_connection(
    transport: Transport, stage: Stage, certificates: Certificates
) -> None:
    """Unverified by default; its time is a phase of its own, counted where it happened."""
    peer = _answering(stage, certificates.server(certificates.good))

    step = WireStep(endpoint=peer.endpoint(is_tls=True), request=get())
    outcome = exercise(transport, step, count=10, peers=[peer])

    assert outcome.statuses() == {200: 10}
    assert outcome.run["handshakes"] == outcome.phase_count(Phase.TLS) == 1
    assert outcome.phase_count(Phase.CONNECT) == 1
    assert outcome.phase_s(Phase.TLS) > 0
    assert outcome.steps[0]["reused"] == 9


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_good_certificate_is_believed(
    transport: Transport, stage: Stage, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Of an authority that this machine trusts, for the address that was asked for."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    peer = _answering(stage, certificates.server(certificates.good), host=host)

    step = WireStep(endpoint=peer.endpoint(is_tls=True, is_verified=True), request=get())
    outcome = exercise(transport, step, count=2, peers=[peer])

    assert outcome.statuses() == {200: 2}


BAD = {
    "expired": Failure.TLS_CERTIFICATE_EXPIRED,
    "other_name": Failure.TLS_HOSTNAME_MISMATCH,
    "stranger": Failure.TLS_CERTIFICATE_INVALID,
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_certificate_is_told_by_its_fault(
    transport: Transport, stage: Stage, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Expired, for another name, of an unknown authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    pem: Path = getattr(certificates, kind)
    peer = _answering(stage, certificates.server(pem))

    step = WireStep(endpoint=peer.endpoint(is_tls=True, is_verified=True), request=get())
    outcome = exercise(transport, step, count=2, peers=[peer])

    assert outcome.failures() == {BAD[kind]: 2}


@pytest.mark.parametrize("kind", list(BAD))
def test_nobody_is_asked_who_does_not_verify(
    transport: Transport, stage: Stage, certificates: Certificates, kind: str
) -> None:
    """Any certificate will do."""
    peer = _answering(stage, certificates.server(getattr(certificates, kind)))

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(is_tls=True), request=get()), peers=[peer])

    assert outcome.statuses() == {200: 1}


@pytest.mark.parametrize("pool", list(Pool))
def test_the_server_name_may_be_another(
    transport: Transport, stage: Stage, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, pool: Pool
) -> None:
    """`server_name`: what SNI says and what is verified, wherever the connection goes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    context = certificates.server(certificates.other_name)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    peer = _answering(stage, context)
    endpoint = peer.endpoint(is_tls=True, is_verified=True, server_name="elsewhere.example")

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), count=2, pool=pool, peers=[peer])

    assert outcome.statuses() == {200: 2}
    assert set(names) == {"elsewhere.example"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_clients_certificate_is_shown(
    transport: Transport, stage: Stage, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    """To a server that asks for one."""
    context = certificates.server(certificates.good, asks_client=True)
    context.minimum_version = context.maximum_version = version
    peer = _answering(stage, context)
    endpoint = peer.endpoint(is_tls=True, cert_path=str(certificates.client), key_path=str(certificates.client_key))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), count=2, peers=[peer])

    assert outcome.statuses() == {200: 2}


async def _shake_hands(link: Link, context: ssl.SSLContext) -> None:
    """A server's handshake that sends its alert when it fails (asyncio's own does not)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await link.send(outgoing.read())
            incoming.write(await link.reader.read(65536))
        except ssl.SSLError:
            await link.send(outgoing.read())
            link.writer.write_eof()
            await link.ended()
            return


@pytest.mark.parametrize("kind", ["none", "stranger"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_clients_certificate_that_is_missing_or_refused(
    transport: Transport, stage: Stage, certificates: Certificates, kind: str, version: ssl.TLSVersion
) -> None:
    """The server's alert is about ours; TLS 1.3 tells it only after the handshake."""
    context = certificates.server(certificates.good, asks_client=True)
    context.minimum_version = context.maximum_version = version
    peer = stage.serve(lambda link: _shake_hands(link, context))
    changes = {} if kind == "none" else {"cert_path": str(certificates.stranger)}
    endpoint = peer.endpoint(is_tls=True, **changes, key_path=changes.get("cert_path", ""))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), count=2, peers=[peer])

    assert outcome.failures() == {Failure.TLS_CLIENT_CERTIFICATE: 2}


@pytest.mark.parametrize("kind", ["missing", "garbage"])
def test_a_certificate_that_cannot_be_read_stops_the_start(
    transport: Transport, stage: Stage, tmp_path: Path, kind: str
) -> None:
    """Found before the first request, and said with its path."""
    path = tmp_path / "client.pem"
    if kind == "garbage":
        path.write_text("no certificate")
    peer = stage.answer(ok())
    endpoint = peer.endpoint(is_tls=True, cert_path=str(path), key_path=str(path))

    with pytest.raises(ConfigError) as caught:
        exercise(transport, WireStep(endpoint=endpoint, request=get()), peers=[peer])

    assert str(path) in str(caught.value)
    assert peer.links == 0


def test_a_server_without_tls_is_a_failed_handshake(transport: Transport, stage: Stage) -> None:
    """It answers with something else."""

    async def each(link: Link) -> None:
        await link.reader.read(100)
        await link.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    peer = stage.serve(each)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(is_tls=True), request=get()), peers=[peer])

    assert outcome.failures() == {Failure.TLS_FAILED: 1}


def test_a_server_that_hangs_up_within_the_handshake(transport: Transport, stage: Stage) -> None:
    """Closed: not TLS's fault."""

    async def each(link: Link) -> None:
        await link.reader.read(100)

    peer = stage.serve(each)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(is_tls=True), request=get()), peers=[peer])

    [failure] = outcome.failures()
    assert failure in (Failure.CONNECTION_CLOSED, Failure.CONNECTION_RESET)


@pytest.mark.parametrize("is_resumed", [True, False])
def test_sessions_are_resumed_only_if_asked_for(
    transport: Transport,
    stage: Stage,
    certificates: Certificates,
    is_resumed: bool,  # noqa: FBT001
) -> None:
    """By the server's own account."""
    resumed: list[bool] = []

    async def each(link: Link) -> None:
        await link.request()
        resumed.append(bool(link.writer.get_extra_info("ssl_object").session_reused))
        await link.send(ok(b"ok", "Connection: close"))

    peer = stage.serve(each, tls=certificates.server(certificates.good))
    endpoint = peer.endpoint(is_tls=True, is_resumed=is_resumed)

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), count=4, peers=[peer])

    assert outcome.statuses() == {200: 4}
    assert resumed == [False, is_resumed, is_resumed, is_resumed]
    assert outcome.run["handshakes"] == 4


def test_large_bodies_come_through_tls(transport: Transport, stage: Stage, certificates: Certificates) -> None:
    """Both ways."""
    body = bytes(range(256)) * (4 << 12)
    peer = stage.answer(ok(body), tls=certificates.server(certificates.good))
    request = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(is_tls=True), request=request, shows=Shows.ALWAYS, keeps_body=True)

    exercise(transport, step, script=script, count=2, peers=[peer])

    assert [shown.body == body for shown in script.shown] == [True, True]
    assert peer.requests == [request, request]


def test_a_kept_tls_connection_that_was_closed_is_made_anew(
    transport: Transport, stage: Stage, certificates: Certificates
) -> None:
    """As without TLS: answered all the same."""

    async def each(link: Link) -> None:
        await link.request()
        await link.send(ok())

    peer = stage.serve(each, tls=certificates.server(certificates.good))
    step = WireStep(endpoint=peer.endpoint(is_tls=True), request=get(), sleep_ns=(20_000_000, 20_000_000))

    outcome = exercise(transport, step, count=3, peers=[peer])

    assert outcome.statuses() == {200: 3}
    assert outcome.run["handshakes"] == 3
