"""Easy handles: an endpoint and a request in libcurl's options.

A request is bytes; libcurl wants its method, target, headers and body apart, and adds headers of its own unless told
not to. What it cannot be kept from: Host stands first, and a header without a value has no space behind its colon.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pycurl

from osmia.load.client.transport import Endpoint, Http, Proxy, ProxyKind, Shows, WireStep
from osmia.model.errors import ConfigError

__all__ = ["Exchange", "Request", "aim", "check", "hear", "load", "parse", "retarget", "set_timeout", "wire"]

_SUPPRESS_CONNECT_HEADERS = 265  # CURLOPT_SUPPRESS_CONNECT_HEADERS has no name in pycurl
_LONGEST_IDLE_S = 1 << 24
_OWN_HEADERS = (b"accept", b"host")
_OWN_HEADERS_OF_BODIES = (b"content-type", b"expect")
_MS_NS = 1_000_000

_VERSIONS = {
    (Http.ONE, False): pycurl.CURL_HTTP_VERSION_1_1,
    (Http.ONE, True): pycurl.CURL_HTTP_VERSION_1_1,
    (Http.TWO, False): pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
    (Http.TWO, True): pycurl.CURL_HTTP_VERSION_2TLS,
    (Http.THREE, True): pycurl.CURL_HTTP_VERSION_3ONLY,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request taken apart. `headers` are as libcurl wants them, `head` are the bytes that they came from."""

    method: bytes
    target: bytes
    version: bytes
    head: bytes
    body: bytes

    @property
    def is_absolute(self) -> bool:
        """Whether it is made for a proxy: the target is a whole URL."""
        return self.target.startswith((b"http://", b"https://"))


@dataclass(slots=True, eq=False)
class Exchange:
    """An easy handle, what it was prepared for, and what it does now."""

    easy: Any
    step: int
    endpoint: Endpoint
    marks: int
    """Flags of each row of this handle."""
    shows: Shows
    is_multiplexed: bool
    get: Callable[[int], Any]
    """Its `getinfo`."""
    hears: bool = False
    """Whether `lines` are filled."""
    is_simple: bool = False
    """It holds the step's own request for good, and nothing is to be asked of its answers but the usual."""
    key: int = 0
    url: str = ""
    """Without the port."""
    head: bytes | None = None
    method: bytes = b""
    has_body: bool = False
    is_absolute: bool = False
    """Its requests are written for the proxy."""
    is_tunnelled: bool = False
    timeout_ms: int = -1
    sent_bytes: int = 0
    lines: deque[bytes] = field(default_factory=deque)
    chunks: list[bytes] = field(default_factory=list)
    iteration: Any = None
    started_ns: int = 0
    is_closed_after: bool = False
    home: list[Exchange] = field(default_factory=list)
    """Where it waits for its next use."""


def parse(request: bytes) -> Request | None:
    """Take a request apart; None if it is none."""
    top, _, body = request.partition(b"\r\n\r\n")
    line, _, head = top.partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):  # noqa: PLR2004
        return None
    return Request(words[0], words[1], words[2], head, body)


def check(endpoint: Endpoint) -> None:
    """Whether libcurl can go there.

    Raises:
        ConfigError: no HTTP/3 in this libcurl or without TLS, or a certificate that cannot be used.
    """
    if endpoint.http is Http.THREE:
        if not endpoint.is_tls:
            raise ConfigError("http", "3", "HTTP/3 is always over TLS", remedy="use an https:// URL")
        if not pycurl.version_info()[4] & pycurl.VERSION_HTTP3:
            raise ConfigError("http", "3", f"{pycurl.version} has no HTTP/3", remedy="install pycurl from its wheel")
    if endpoint.cert_path:
        try:
            with Path(endpoint.cert_path).open("rb"):
                pass
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(endpoint.cert_path, endpoint.key_path or None)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(
                "cert_path", endpoint.cert_path, f"the client certificate or its key cannot be read: {exc}",
                remedy="give PEM files that belong together",
            ) from exc  # fmt: skip


def aim(exchange: Exchange, *, key: int, is_absolute: bool) -> None:
    """Point a new easy handle at its endpoint. `key` is the port that stands for a user, 0 for the crowd."""
    easy, endpoint = exchange.easy, exchange.endpoint
    proxy = endpoint.proxy
    exchange.key = key
    exchange.is_absolute, exchange.is_tunnelled = is_absolute, proxy is not None and not is_absolute
    is_tls, host, port = endpoint.is_tls, endpoint.host, endpoint.port
    name = endpoint.server_name or host
    easy.setopt(pycurl.PROXY, "")
    easy.setopt(pycurl.NOPROXY, "")
    if proxy is not None and is_absolute:
        # The proxy is the server: the request is written for it. libcurl would open a tunnel for a port of a user.
        is_tls, host, port, name = proxy.kind is ProxyKind.HTTPS, proxy.host, proxy.port, proxy.host
    elif proxy is not None:
        _through(easy, proxy, is_verified=endpoint.is_verified)
    exchange.url = f"{'https' if is_tls else 'http'}://{_bracketed(name)}"
    easy.setopt(pycurl.URL, f"{exchange.url}:{key or port}/")
    if key or name != host:
        easy.setopt(pycurl.CONNECT_TO, [f"::{_bracketed(host)}:{port}"])
    easy.setopt(pycurl.HTTP_VERSION, _VERSIONS[endpoint.http, endpoint.is_tls])
    easy.setopt(pycurl.PIPEWAIT, int(exchange.is_multiplexed))
    if is_tls:
        _secure(easy, endpoint)


def retarget(exchange: Exchange, key: int) -> None:
    """The same endpoint for another user."""
    exchange.key = key
    exchange.easy.setopt(pycurl.URL, f"{exchange.url}:{key}/")


def load(exchange: Exchange, request: Request) -> None:
    """Set the request that is sent next. What did not change since the last one is left alone."""
    easy = exchange.easy
    easy.setopt(pycurl.REQUEST_TARGET, request.target)
    if request.head != exchange.head or bool(request.body) != exchange.has_body:
        exchange.head = request.head
        easy.setopt(pycurl.HTTPHEADER, _headers(request))
    if not request.body and not exchange.has_body and request.method == exchange.method:
        return
    exchange.method, exchange.has_body = request.method, bool(request.body)
    if request.method == b"HEAD":
        easy.setopt(pycurl.NOBODY, 1)
    elif request.body:
        easy.setopt(pycurl.POSTFIELDS, request.body)
    else:
        easy.setopt(pycurl.HTTPGET, 1)
    easy.setopt(pycurl.CUSTOMREQUEST, request.method)
    if request.version == b"HTTP/1.0":
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_0)


def wire(exchange: Exchange, step: WireStep, on_opened: Any, *, max_body_bytes: int) -> None:  # noqa: ANN401
    """Set what an easy handle always has: where its answer goes, and who hears of its sockets."""
    easy = exchange.easy
    easy.setopt(pycurl.NOSIGNAL, 1)
    easy.setopt(pycurl.USERAGENT, "")
    easy.setopt(pycurl.SOCKOPTFUNCTION, on_opened)
    easy.setopt(pycurl.MAXAGE_CONN, _LONGEST_IDLE_S)
    easy.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
    if step.shows and step.keeps_body:
        easy.setopt(pycurl.WRITEFUNCTION, exchange.chunks.append)
        easy.setopt(pycurl.MAXFILESIZE_LARGE, max_body_bytes)
    else:
        easy.setopt(pycurl.WRITEFUNCTION, len)  # takes everything, keeps nothing, and is no Python code
    if step.shows or exchange.is_tunnelled:
        hear(exchange)
    set_timeout(exchange, step.timeout_ns)
    if step.is_closed_after:
        exchange.is_closed_after = True
        easy.setopt(pycurl.FORBID_REUSE, 1)


def hear(exchange: Exchange) -> None:
    """Keep the lines of heads from the next request on. Each costs 0.15 us, so it is not done for nothing."""
    exchange.hears = True
    exchange.easy.setopt(pycurl.HEADERFUNCTION, exchange.lines.append)


def set_timeout(exchange: Exchange, timeout_ns: int) -> None:
    """How long the next transfer may take; 0 is for ever. libcurl counts in ms."""
    timeout_ms = -(-timeout_ns // _MS_NS)
    if timeout_ms != exchange.timeout_ms:
        exchange.timeout_ms = timeout_ms
        exchange.easy.setopt(pycurl.TIMEOUT_MS, timeout_ms)


def _headers(request: Request) -> list[bytes]:
    """Lines for libcurl: a header without value is told by a semicolon, one of its own that is not sent by no value."""
    lines: list[bytes] = []
    names: set[bytes] = set()
    for line in request.head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        names.add(name.lower())
        lines.append(line if value.strip() else name + b";")
    own = _OWN_HEADERS + _OWN_HEADERS_OF_BODIES if request.body else _OWN_HEADERS
    lines += [name + b":" for name in own if name not in names]
    return lines


def _through(easy: Any, proxy: Proxy, *, is_verified: bool) -> None:  # noqa: ANN401
    easy.setopt(pycurl.PROXY, f"{proxy.kind.value}://{_bracketed(proxy.host)}:{proxy.port}")
    if proxy.kind in (ProxyKind.HTTP, ProxyKind.HTTPS):
        easy.setopt(pycurl.HTTPPROXYTUNNEL, 1)
        lines = [f"Proxy-Authorization: {proxy.authorization}"] if proxy.authorization else []
        easy.setopt(pycurl.PROXYHEADER, [*lines, "User-Agent:", "Proxy-Connection:"])
        easy.setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
        easy.setopt(pycurl.PROXY_SSL_VERIFYPEER, int(is_verified))
        easy.setopt(pycurl.PROXY_SSL_VERIFYHOST, 2 if is_verified else 0)
    if proxy.username:
        easy.setopt(pycurl.PROXYUSERNAME, proxy.username)
        easy.setopt(pycurl.PROXYPASSWORD, proxy.password)


def _secure(easy: Any, endpoint: Endpoint) -> None:  # noqa: ANN401
    easy.setopt(pycurl.SSL_VERIFYPEER, int(endpoint.is_verified))
    easy.setopt(pycurl.SSL_VERIFYHOST, 2 if endpoint.is_verified else 0)
    easy.setopt(pycurl.SSL_SESSIONID_CACHE, int(endpoint.is_resumed))
    if endpoint.is_verified:
        paths = ssl.get_default_verify_paths()
        if paths.cafile:
            easy.setopt(pycurl.CAINFO, paths.cafile)
        if paths.capath:
            easy.setopt(pycurl.CAPATH, paths.capath)
    if endpoint.cert_path:
        easy.setopt(pycurl.SSLCERT, endpoint.cert_path)
        easy.setopt(pycurl.SSLKEY, endpoint.key_path or endpoint.cert_path)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
