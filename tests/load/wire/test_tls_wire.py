"""TLS of the core: versions, groups, names, sessions, and bytes that come in any pieces."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from osmia.load.client.transport import Http, Shows, Transport, WireStep
from osmia.load.tally import Failure, Phase
from tests.load.conformance.certificates import Certificates
from tests.load.conformance.rig import Link, Peer, Stage, Witness, exercise, get, ok

_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def _step(peer: Peer, **changes: object) -> WireStep:
    return WireStep(endpoint=peer.endpoint(is_tls=True, **changes), request=get(), shows=Shows.ALWAYS, keeps_body=True)


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_servers_without_our_first_group(
    core: Transport, stage: Stage, certificates: Certificates, version: ssl.TLSVersion, curve: str
) -> None:
    """One round trip more in TLS 1.3, where a key share was sent that the server does not know."""
    context = certificates.server(certificates.good)
    context.minimum_version = context.maximum_version = version
    context.set_ecdh_curve(curve)
    peer = stage.answer(ok(), tls=context)

    outcome = exercise(core, _step(peer), count=3, peers=[peer])

    assert outcome.statuses() == {200: 3}
    assert outcome.run["handshakes"] == outcome.phase_count(Phase.TLS) == 1


@pytest.mark.parametrize("version", _VERSIONS)
def test_resumed_handshakes_are_counted(
    core: Transport, stage: Stage, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    """All but the first."""
    context = certificates.server(certificates.good)
    context.minimum_version = context.maximum_version = version
    peer = stage.answer(ok(b"ok", "Connection: close"), tls=context)

    outcome = exercise(core, _step(peer, is_resumed=True), count=5, peers=[peer])

    assert outcome.statuses() == {200: 5}
    assert outcome.run["handshakes"] == 5
    assert outcome.run["handshakes_resumed"] == 4


@pytest.mark.parametrize(("name", "sent"), [("", None), ("some.host", "some.host"), ("10.0.0.1", None)])
def test_addresses_are_not_sent_as_names(
    core: Transport, stage: Stage, certificates: Certificates, name: str, sent: str | None
) -> None:
    """SNI has names only (RFC 6066, 3)."""
    names: list[str | None] = []
    context = certificates.server(certificates.good)
    context.sni_callback = lambda _ssl, asked, _context: names.append(asked)
    peer = stage.answer(ok(), tls=context)

    exercise(core, _step(peer, server_name=name), peers=[peer])

    assert names == [sent]


@pytest.mark.parametrize(("http", "chosen"), [(Http.ONE, "http/1.1"), (Http.TWO, "h2")])
def test_only_what_is_wanted_is_offered(
    core: Transport, stage: Stage, certificates: Certificates, http: Http, chosen: str
) -> None:
    """By ALPN, against a server that prefers HTTP/2."""
    seen: list[str | None] = []

    async def each(link: Link) -> None:
        seen.append(link.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await link.request()
        await link.send(ok())

    peer = stage.serve(each, tls=certificates.server(certificates.good, alpn=("h2", "http/1.1")))

    exercise(core, _step(peer, http=http), peers=[peer])

    assert seen == [chosen]


def test_records_come_in_any_pieces(core: Transport, stage: Stage, certificates: Certificates) -> None:
    """A relay that passes on one byte at a time, handshake and all."""
    origin = stage.answer(ok(b"x" * 500), tls=certificates.server(certificates.good))

    async def each(link: Link) -> None:
        reader, writer = await asyncio.open_connection(origin.host, origin.port)

        async def upwards() -> None:
            while data := await link.reader.read(65536):
                writer.write(data)
            writer.close()

        task = asyncio.ensure_future(upwards())
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await link.send(*(data[at : at + 1] for at in range(len(data))))
        await task
        await writer.wait_closed()

    relay = stage.serve(each)
    script = Witness()

    outcome = exercise(core, _step(relay), script=script, count=2, peers=[relay, origin])

    assert outcome.statuses() == {200: 2}
    assert [shown.body for shown in script.shown] == [b"x" * 500] * 2


@pytest.mark.parametrize("is_whole", [True, False])
def test_an_end_without_goodbye_is_an_end(
    core: Transport,
    stage: Stage,
    certificates: Certificates,
    is_whole: bool,  # noqa: FBT001
) -> None:
    """No close_notify: fine for a body that ends so, not for one that said how long it is."""

    async def each(link: Link) -> None:
        await link.request()
        length = b"" if is_whole else b"Content-Length: 99\r\n"
        await link.send(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nbody")
        link.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await link.ended()

    peer = stage.serve(each, tls=certificates.server(certificates.good))
    script = Witness()

    outcome = exercise(core, _step(peer), script=script, peers=[peer])

    assert outcome.statuses() == ({200: 1} if is_whole else {})
    assert outcome.failures() == ({} if is_whole else {Failure.CONNECTION_CLOSED: 1})
    assert [shown.body for shown in script.shown] == ([b"body"] if is_whole else [])


def test_a_weak_certificate_is_no_reason_if_nobody_verifies(core: Transport, stage: Stage, tmp_path: Path) -> None:
    """A key of 1024 bits, which OpenSSL's own level would refuse."""
    pem = tmp_path / "weak.pem"
    made = ["req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", *made, "-keyout", pem, "-out", tmp_path / "c"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "c").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(pem)
    peer = stage.answer(ok(), tls=context)

    outcome = exercise(core, _step(peer), peers=[peer])

    assert outcome.statuses() == {200: 1}


@pytest.mark.parametrize(
    "alert", [b"\x02\x46", b"\x02\x28", b"\x02\x50"], ids=["version", "handshake_failure", "internal"]
)
def test_alerts_about_something_else_are_failed_handshakes(core: Transport, stage: Stage, alert: bytes) -> None:
    """Nobody has asked for a certificate."""

    async def each(link: Link) -> None:
        await link.reader.read(65536)
        await link.send(b"\x15\x03\x03\x00\x02" + alert)

    peer = stage.serve(each)

    outcome = exercise(core, _step(peer), peers=[peer])

    assert outcome.failures() == {Failure.TLS_FAILED: 1}
    assert outcome.run["handshakes"] == 0


def test_large_bodies_fill_the_socket(core: Transport, stage: Stage, certificates: Certificates) -> None:
    """A server that does not read for a while: what the socket did not take is offered again, whole."""

    async def each(link: Link) -> None:
        await asyncio.sleep(0.05)
        peer.requests.append(await link.request())
        await link.send(ok())

    peer = stage.serve(each, tls=certificates.server(certificates.good))
    body = bytes(range(251)) * 40_000
    request = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    outcome = exercise(core, WireStep(endpoint=peer.endpoint(is_tls=True), request=request), peers=[peer])

    assert outcome.statuses() == {200: 1}
    assert peer.requests == [request]
