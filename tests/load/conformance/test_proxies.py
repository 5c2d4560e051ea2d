"""Proxies: absolute form and tunnels, with credentials and without, and how they fail."""

from __future__ import annotations

import base64
import socket

import pytest

from osmia.load.client.transport import Endpoint, Pool, Proxy, ProxyKind, Transport, WireStep
from osmia.load.tally import Failure, Phase
from tests.load.conformance.certificates import Certificates
from tests.load.conformance.proxies import http_proxy, socks4_proxy, socks5_proxy
from tests.load.conformance.rig import Link, Peer, Stage, exercise, full_backlog, get, ok

SECRET = "Basic " + base64.b64encode(b"user:secret").decode()
ONLY_CURL = pytest.mark.unsupported(core="SOCKS and HTTPS proxies are libcurl's part")
_TIMEOUT_NS = 150_000_000


def _by(proxy: Peer, kind: ProxyKind = ProxyKind.HTTP, **changes: str) -> Proxy:
    return Proxy(kind, proxy.host, proxy.port, **changes)


def _absolute(peer: Peer, *headers: str) -> bytes:
    return get(f"http://{peer.host}:{peer.port}/path?query", *headers, host=f"{peer.host}:{peer.port}")


@pytest.mark.parametrize("pool", list(Pool))
def test_plain_requests_are_handed_to_the_proxy(transport: Transport, stage: Stage, pool: Pool) -> None:
    """Absolute form, as the plan wrote it; connections are the proxy's and kept."""
    target = stage.answer(ok())
    proxy = http_proxy(stage)
    step = WireStep(endpoint=target.endpoint(proxy=_by(proxy)), request=_absolute(target))

    outcome = exercise(transport, step, count=3, pool=pool, peers=[proxy])

    assert outcome.statuses() == {200: 3}
    assert proxy.requests == [_absolute(target)] * 3
    assert proxy.links == (3 if pool is Pool.PER_USER_NEW else 1)
    assert len(target.requests) == 3


def test_credentials_are_in_the_request(transport: Transport, stage: Stage) -> None:
    """In absolute form the plan has them in place; without them the proxy's 407 is an answer."""
    target = stage.answer(ok())
    proxy = http_proxy(stage, authorization=SECRET)
    endpoint = target.endpoint(proxy=_by(proxy, authorization=SECRET))
    good = WireStep(endpoint=endpoint, request=_absolute(target, f"Proxy-Authorization: {SECRET}"))
    bad = WireStep(endpoint=target.endpoint(proxy=_by(proxy)), request=_absolute(target))

    outcome = exercise(transport, good, bad, count=2, peers=[proxy])

    assert outcome.statuses(0) == {200: 2}
    assert outcome.statuses(1) == {407: 2}


@pytest.mark.parametrize("pool", list(Pool))
def test_tls_goes_through_a_tunnel(transport: Transport, stage: Stage, certificates: Certificates, pool: Pool) -> None:
    """CONNECT with the credentials, which the target never sees."""
    target = stage.answer(ok(), tls=certificates.server(certificates.good))
    proxy = http_proxy(stage, authorization=SECRET)
    endpoint = target.endpoint(is_tls=True, proxy=_by(proxy, authorization=SECRET))

    outcome = exercise(
        transport, WireStep(endpoint=endpoint, request=get("/secret")), count=3, pool=pool, peers=[proxy, target]
    )

    assert outcome.statuses() == {200: 3}
    assert target.requests == [get("/secret")] * 3
    first = proxy.requests[0]
    assert first.startswith(f"CONNECT {target.host}:{target.port} HTTP/1.1\r\n".encode())
    assert f"Host: {target.host}:{target.port}\r\n".encode() in first
    assert f"Proxy-Authorization: {SECRET}\r\n".encode() in first
    assert outcome.phase_count(Phase.TLS) == len(proxy.requests) == (3 if pool is Pool.PER_USER_NEW else 1)
    assert outcome.steps[0]["received_bytes"] == 3 * len(ok())


def test_a_tunnel_to_an_ipv6_address_has_brackets(
    transport: Transport, stage: Stage, certificates: Certificates
) -> None:
    """`CONNECT [::1]:443`."""
    target = stage.answer(ok(), tls=certificates.server(certificates.good), host="::1")
    proxy = http_proxy(stage)
    endpoint = target.endpoint(is_tls=True, proxy=_by(proxy))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), peers=[proxy, target])

    assert outcome.statuses() == {200: 1}
    assert proxy.requests[0].startswith(f"CONNECT [::1]:{target.port} HTTP/1.1\r\n".encode())


def test_a_tunnel_without_the_credentials_is_refused(
    transport: Transport, stage: Stage, certificates: Certificates
) -> None:
    """407 to CONNECT: no answer of the target."""
    target = stage.answer(ok(), tls=certificates.server(certificates.good))
    proxy = http_proxy(stage, authorization=SECRET)
    endpoint = target.endpoint(is_tls=True, proxy=_by(proxy))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), count=2, peers=[proxy])

    assert outcome.failures() == {Failure.PROXY_AUTHENTICATION: 2}
    assert target.links == 0


@pytest.mark.parametrize("answer", [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!", b"what?\r\n\r\n"])
def test_a_tunnel_that_is_refused(transport: Transport, stage: Stage, answer: bytes) -> None:
    """Any other answer to CONNECT."""
    proxy = http_proxy(stage, refuses=answer)
    endpoint = Endpoint(host="target.example", port=443, is_tls=True, proxy=_by(proxy))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), count=2, peers=[proxy])

    assert outcome.failures() == {Failure.PROXY_FAILED: 2}


@pytest.mark.parametrize("is_tls", [True, False])
def test_a_proxy_that_is_not_there(transport: Transport, is_tls: bool) -> None:  # noqa: FBT001
    """Refused by the proxy's machine, not by the target."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        proxy = Proxy(ProxyKind.HTTP, "127.0.0.1", int(probe.getsockname()[1]))
    endpoint = Endpoint(host="target.example", port=80, is_tls=is_tls, proxy=proxy)
    request = get() if is_tls else get("http://target.example/")

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=request))

    assert outcome.failures() == {Failure.PROXY_CONNECTION_REFUSED: 1}


def test_a_proxy_that_does_not_take_the_connection(transport: Transport) -> None:
    """Time ran out on the way to the proxy."""
    with full_backlog() as port:
        endpoint = Endpoint(
            host="target.example", port=443, is_tls=True, proxy=Proxy(ProxyKind.HTTP, "127.0.0.1", port)
        )

        outcome = exercise(transport, WireStep(endpoint=endpoint, request=get(), timeout_ns=_TIMEOUT_NS))

    assert outcome.failures() == {Failure.PROXY_TIMEOUT: 1}


def test_a_proxy_that_does_not_answer_connect(transport: Transport, stage: Stage) -> None:
    """Connected, asked, silence."""

    async def each(link: Link) -> None:
        await link.ended()

    proxy = stage.serve(each)
    endpoint = Endpoint(host="target.example", port=443, is_tls=True, proxy=_by(proxy))
    step = WireStep(endpoint=endpoint, request=get(), timeout_ns=_TIMEOUT_NS)

    outcome = exercise(transport, step, peers=[proxy])

    assert outcome.failures() == {Failure.PROXY_TIMEOUT: 1}


@ONLY_CURL
@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.parametrize("kind", [ProxyKind.SOCKS4, ProxyKind.SOCKS5, ProxyKind.SOCKS5H])
@pytest.mark.parametrize("pool", list(Pool))
def test_socks_carries_everything(  # noqa: PLR0913, PLR0917 - parameters of the test
    transport: Transport,
    stage: Stage,
    certificates: Certificates,
    kind: ProxyKind,
    is_tls: bool,  # noqa: FBT001
    pool: Pool,
) -> None:
    """Version 4 and 5, plain and TLS; 5h leaves the name to the proxy."""
    target = stage.answer(ok(), tls=certificates.server(certificates.good) if is_tls else None)
    proxy = socks4_proxy(stage) if kind is ProxyKind.SOCKS4 else socks5_proxy(stage)
    name = "localhost" if kind is ProxyKind.SOCKS5H else "127.0.0.1"
    endpoint = target.endpoint(host=name, is_tls=is_tls, proxy=_by(proxy, kind))

    outcome = exercise(
        transport, WireStep(endpoint=endpoint, request=get("/path")), count=3, pool=pool, peers=[proxy, target]
    )

    assert outcome.statuses() == {200: 3}
    assert target.requests == [get("/path")] * 3
    assert set(proxy.requests) == {f"{name}:{target.port}".encode()}
    assert proxy.links == (3 if pool is Pool.PER_USER_NEW else 1)


@ONLY_CURL
@pytest.mark.parametrize("password", ["secret", "wrong", ""])
def test_socks_asks_for_a_password(transport: Transport, stage: Stage, password: str) -> None:
    """The right one, a wrong one, none."""
    target = stage.answer(ok())
    proxy = socks5_proxy(stage, password="secret")
    given = {"username": "user", "password": password} if password else {}
    endpoint = target.endpoint(proxy=_by(proxy, ProxyKind.SOCKS5, **given))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), peers=[proxy])

    if password == "secret":
        assert outcome.statuses() == {200: 1}
    else:
        assert outcome.failures() == {Failure.PROXY_AUTHENTICATION: 1}


@ONLY_CURL
def test_socks_cannot_reach_the_target(transport: Transport, stage: Stage) -> None:
    """The proxy's word that it failed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    proxy = socks5_proxy(stage)
    endpoint = Endpoint(host="127.0.0.1", port=port, proxy=_by(proxy, ProxyKind.SOCKS5))

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=get()), peers=[proxy])

    assert outcome.failures() == {Failure.PROXY_FAILED: 1}


@ONLY_CURL
@pytest.mark.parametrize("is_tls", [True, False])
def test_a_proxy_may_speak_tls_itself(
    transport: Transport,
    stage: Stage,
    certificates: Certificates,
    is_tls: bool,  # noqa: FBT001
) -> None:
    """An HTTPS proxy: tunnels for TLS, absolute form for the rest."""
    target = stage.answer(ok(), tls=certificates.server(certificates.good) if is_tls else None)
    proxy = http_proxy(stage, tls=certificates.server(certificates.good))
    endpoint = target.endpoint(is_tls=is_tls, proxy=_by(proxy, ProxyKind.HTTPS))
    request = get("/path") if is_tls else _absolute(target)

    outcome = exercise(transport, WireStep(endpoint=endpoint, request=request), count=2, peers=[proxy])

    assert outcome.statuses() == {200: 2}
    assert len(target.requests) == 2
    assert proxy.links == 1
