"""From what libcurl says went wrong to the engine's own classes.

libcurl has one code for many things (RECV_ERROR is a reset, a bad chunk and a proxy's no), so the phase that was
reached, the errno, the verify result and, where nothing else tells them apart, its text decide.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pycurl

from osmia.load.tally import Failure

__all__ = ["Broken", "classify"]

_TOO_LARGE = 100  # CURLE_TOO_LARGE and the two below have no name in pycurl
_PROXY = 97
_HTTP2_STREAM = 92
_HTTP3 = 95
_QUIC_CONNECT = 96

_BY_ERRNO = {
    errno.ECONNREFUSED: Failure.CONNECTION_REFUSED,
    errno.ECONNRESET: Failure.CONNECTION_RESET,
    errno.EPIPE: Failure.CONNECTION_CLOSED,
    errno.ETIMEDOUT: Failure.CONNECTION_TIMEOUT,
    errno.EHOSTUNREACH: Failure.HOST_UNREACHABLE,
    errno.ENETUNREACH: Failure.NETWORK_UNREACHABLE,
    errno.EADDRNOTAVAIL: Failure.NO_LOCAL_PORT,
    errno.EMFILE: Failure.NO_DESCRIPTOR,
    errno.ENFILE: Failure.NO_DESCRIPTOR,
}

_BY_CODE = {
    pycurl.E_UNSUPPORTED_PROTOCOL: Failure.RESPONSE_MALFORMED,  # HTTP/0.9: no status line
    pycurl.E_URL_MALFORMAT: Failure.REQUEST_INVALID,
    pycurl.E_COULDNT_RESOLVE_PROXY: Failure.PROXY_FAILED,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Failure.RESPONSE_MALFORMED,  # CURLE_WEIRD_SERVER_REPLY by its old name
    pycurl.E_PARTIAL_FILE: Failure.CONNECTION_CLOSED,
    pycurl.E_WRITE_ERROR: Failure.RESPONSE_TOO_LARGE,
    pycurl.E_FILESIZE_EXCEEDED: Failure.RESPONSE_TOO_LARGE,
    _TOO_LARGE: Failure.RESPONSE_TOO_LARGE,
    pycurl.E_GOT_NOTHING: Failure.CONNECTION_CLOSED,
    pycurl.E_SSL_CERTPROBLEM: Failure.TLS_CLIENT_CERTIFICATE,
    pycurl.E_SSL_CACERT_BADFILE: Failure.TLS_FAILED,
    pycurl.E_SSL_CIPHER: Failure.TLS_FAILED,
    pycurl.E_ABORTED_BY_CALLBACK: Failure.CANCELLED,
    _HTTP3: Failure.RESPONSE_MALFORMED,
}

_BY_WORDS = (
    ("failed to connect", Failure.CONNECTION_REFUSED),  # QUIC: an ICMP message for the first datagram
    ("too large", Failure.RESPONSE_TOO_LARGE),
    ("chunk", Failure.RESPONSE_MALFORMED),
    ("malformed", Failure.RESPONSE_MALFORMED),
    ("header", Failure.RESPONSE_MALFORMED),
)

_X509_EXPIRED = 10

_UNCLEAR = (Failure.RESPONSE_MALFORMED, Failure.CONNECTION_CLOSED, Failure.CONNECTION_RESET)

_ALERTS_ABOUT_OUR_CERTIFICATE = (
    "certificate required",
    "bad certificate",
    "certificate expired",
    "certificate revoked",
    "unknown ca",
    "handshake failure",  # TLS 1.2: how OpenSSL's servers ask for one
    "unsupported certificate",
    "access denied",
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A transfer that ended with CURLcode `code` and libcurl's own words `text`."""

    easy: Any
    code: int
    text: str
    is_tls: bool
    has_proxy: bool
    is_tunnelled: bool
    is_named: bool
    is_http2: bool

    def info(self, what: int) -> int:
        """One of libcurl's numbers about it."""
        return int(self.easy.getinfo(what))


def classify(broken: Broken) -> Failure:
    """The class of a failure."""
    decide = _DECIDED.get(broken.code)
    failure = decide(broken) if decide else _BY_CODE.get(broken.code, Failure.UNKNOWN)
    if broken.is_tunnelled and failure in _UNCLEAR and not broken.info(pycurl.REQUEST_SIZE):
        # Before a tunnel stands, all that is wrong with an answer is the proxy's fault.
        return failure if broken.info(pycurl.HTTP_CONNECTCODE) else Failure.PROXY_FAILED
    return failure


def _timeout(broken: Broken) -> Failure:
    """Which phase the time ran out in: the first one that has no end. Without a byte sent it is the connection's."""
    if "nghttp2" in broken.text:  # it has ended the connection, and libcurl waits for ever
        return Failure.HTTP2_PROTOCOL
    if broken.info(pycurl.REQUEST_SIZE):
        return Failure.READ_TIMEOUT if broken.info(pycurl.POSTTRANSFER_TIME_T) else Failure.WRITE_TIMEOUT
    if broken.is_named and not broken.info(pycurl.NAMELOOKUP_TIME_T):
        return Failure.DNS_TIMEOUT
    is_tunnelled = not broken.has_proxy or broken.info(pycurl.HTTP_CONNECTCODE)
    if broken.is_tls and is_tunnelled and broken.info(pycurl.CONNECT_TIME_T):
        return Failure.TLS_TIMEOUT
    return Failure.PROXY_TIMEOUT if broken.has_proxy else Failure.CONNECTION_TIMEOUT


def _dns(broken: Broken) -> Failure:
    """The resolver's reason is not passed on, except in words."""
    text = broken.text.lower()
    if "timeout" in text or "timed out" in text:
        return Failure.DNS_TIMEOUT
    return Failure.DNS_FAILED if "temporar" in text else Failure.DNS_NOT_FOUND


def _unconnected(broken: Broken) -> Failure:
    if broken.info(pycurl.HTTP_CONNECTCODE):
        return _no_tunnel(broken)
    failure = _BY_ERRNO.get(broken.info(pycurl.OS_ERRNO), Failure.UNKNOWN)
    if not broken.has_proxy:
        return failure
    if failure is Failure.CONNECTION_REFUSED:
        return Failure.PROXY_CONNECTION_REFUSED
    return Failure.PROXY_TIMEOUT if failure is Failure.CONNECTION_TIMEOUT else Failure.PROXY_FAILED


def _no_tunnel(broken: Broken) -> Failure:
    """The proxy answered CONNECT with something else than 2xx."""
    is_unknown = broken.info(pycurl.HTTP_CONNECTCODE) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    return Failure.PROXY_AUTHENTICATION if is_unknown else Failure.PROXY_FAILED


def _unverified(broken: Broken) -> Failure:
    """Names are compared by libcurl itself, and told only in words; the rest is the verify result."""
    if "match" in broken.text:
        return Failure.TLS_HOSTNAME_MISMATCH
    is_expired = broken.info(pycurl.SSL_VERIFYRESULT) == _X509_EXPIRED
    return Failure.TLS_CERTIFICATE_EXPIRED if is_expired else Failure.TLS_CERTIFICATE_INVALID


def _handshake(broken: Broken) -> Failure:
    text = broken.text.lower()
    if "alert" in text and any(words in text for words in _ALERTS_ABOUT_OUR_CERTIFICATE):
        return Failure.TLS_CLIENT_CERTIFICATE
    if broken.info(pycurl.OS_ERRNO) == errno.ECONNRESET or "reset by peer" in text:
        return Failure.CONNECTION_RESET
    return Failure.CONNECTION_CLOSED if "unexpected eof" in text else Failure.TLS_FAILED


def _socks(broken: Broken) -> Failure:
    text = broken.text.lower()
    return Failure.PROXY_AUTHENTICATION if "rejected" in text or "auth" in text else Failure.PROXY_FAILED


def _http2(broken: Broken) -> Failure:
    text = broken.text.upper()
    if "REFUSED_STREAM" in text:
        return Failure.HTTP2_REFUSED_STREAM
    if "GOAWAY" in text:
        return Failure.HTTP2_GOAWAY
    if not text or "FAILURE:" in text:  # nothing was wrong but that the connection ended
        return _BY_ERRNO.get(broken.info(pycurl.OS_ERRNO), Failure.CONNECTION_CLOSED)
    return Failure.HTTP2_STREAM_RESET if broken.code == _HTTP2_STREAM else Failure.HTTP2_PROTOCOL


def _cut(broken: Broken) -> Failure:
    """Sending or receiving failed: a proxy's answer to CONNECT, a bad encoding, an alert after TLS 1.3, the socket."""
    text = broken.text.lower()
    if broken.info(pycurl.HTTP_CONNECTCODE) // 100 not in (0, 2):
        return _no_tunnel(broken)
    if "before giving up" in text and broken.is_http2:
        return Failure.HTTP2_REFUSED_STREAM
    for words, failure in _BY_WORDS:
        if words in text:
            return failure
    if "alert" in text:
        return _handshake(broken)
    if "reset by peer" in text:
        return Failure.CONNECTION_RESET
    return _BY_ERRNO.get(broken.info(pycurl.OS_ERRNO), Failure.CONNECTION_CLOSED)


_DECIDED: dict[int, Callable[[Broken], Failure]] = {
    pycurl.E_OPERATION_TIMEDOUT: _timeout,
    pycurl.E_COULDNT_RESOLVE_HOST: _dns,
    pycurl.E_COULDNT_CONNECT: _unconnected,
    _QUIC_CONNECT: _unconnected,
    pycurl.E_PEER_FAILED_VERIFICATION: _unverified,
    pycurl.E_SSL_CONNECT_ERROR: _handshake,
    _PROXY: _socks,
    pycurl.E_HTTP2: _http2,
    _HTTP2_STREAM: _http2,
    pycurl.E_RECV_ERROR: _cut,
    pycurl.E_SEND_ERROR: _cut,
}
