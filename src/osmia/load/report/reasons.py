"""What failures and status codes are called.

Reports group failures by class; each has a short name for machines (`read_timeout`), the text that people read, and
for those that Ddosify knew its own text, so that scripts that look for it still find it.
"""

from __future__ import annotations

from http import HTTPStatus

from osmia.load.tally import Failure

__all__ = ["CLASSES", "class_of", "original_reason", "reason_text", "status_text"]

_TEXTS = {
    Failure.CONNECTION_REFUSED: "connection refused",
    Failure.CONNECTION_TIMEOUT: "connection timeout",
    Failure.CONNECTION_RESET: "connection reset by peer",
    Failure.CONNECTION_CLOSED: "connection closed before the whole answer",
    Failure.HOST_UNREACHABLE: "host unreachable",
    Failure.NETWORK_UNREACHABLE: "network unreachable",
    Failure.DNS_NOT_FOUND: "host name not found",
    Failure.DNS_TIMEOUT: "DNS timeout",
    Failure.DNS_FAILED: "DNS lookup failed",
    Failure.TLS_FAILED: "TLS handshake failed",
    Failure.TLS_CERTIFICATE_INVALID: "server certificate not trusted",
    Failure.TLS_CERTIFICATE_EXPIRED: "server certificate expired",
    Failure.TLS_HOSTNAME_MISMATCH: "server certificate is for another host name",
    Failure.TLS_CLIENT_CERTIFICATE: "client certificate missing or refused",
    Failure.TLS_TIMEOUT: "TLS handshake timeout",
    Failure.WRITE_TIMEOUT: "write timeout",
    Failure.READ_TIMEOUT: "read timeout",
    Failure.PROXY_CONNECTION_REFUSED: "proxy connection refused",
    Failure.PROXY_TIMEOUT: "proxy timeout",
    Failure.PROXY_AUTHENTICATION: "proxy asks for other credentials",
    Failure.PROXY_FAILED: "proxy failed",
    Failure.RESPONSE_MALFORMED: "answer is not HTTP",
    Failure.RESPONSE_TOO_LARGE: "answer larger than allowed",
    Failure.HTTP2_PROTOCOL: "HTTP/2 protocol error",
    Failure.HTTP2_REFUSED_STREAM: "HTTP/2 stream refused",
    Failure.HTTP2_STREAM_RESET: "HTTP/2 stream reset by peer",
    Failure.HTTP2_GOAWAY: "HTTP/2 connection given up by peer (GOAWAY)",
    Failure.HTTP2_NOT_NEGOTIATED: "server does not speak HTTP/2",
    Failure.TOO_MANY_REDIRECTS: "too many redirects",
    Failure.REDIRECT_FORBIDDEN: "redirect to another host forbidden",
    Failure.REQUEST_INVALID: "request could not be made (variable not set, or no valid URL or header)",
    Failure.NO_LOCAL_PORT: "no local port left (this machine)",
    Failure.NO_DESCRIPTOR: "no file descriptor left (this machine)",
    Failure.CANCELLED: "cancelled, the run was ended",
    Failure.UNKNOWN: "unknown error",
}

CLASSES = {
    "connection": range(Failure.CONNECTION_REFUSED, Failure.DNS_NOT_FOUND),
    "dns": range(Failure.DNS_NOT_FOUND, Failure.TLS_FAILED),
    "tls": range(Failure.TLS_FAILED, Failure.WRITE_TIMEOUT),
    "timeout": range(Failure.WRITE_TIMEOUT, Failure.PROXY_CONNECTION_REFUSED),
    "proxy": range(Failure.PROXY_CONNECTION_REFUSED, Failure.RESPONSE_MALFORMED),
    "protocol": range(Failure.RESPONSE_MALFORMED, Failure.TOO_MANY_REDIRECTS),
    "redirect": range(Failure.TOO_MANY_REDIRECTS, Failure.REQUEST_INVALID),
    "request": range(Failure.REQUEST_INVALID, Failure.NO_LOCAL_PORT),
    "generator": range(Failure.NO_LOCAL_PORT, Failure.CANCELLED),
    "cancelled": range(Failure.CANCELLED, Failure.CANCELLED + 1),
}
"""Where in a request's life it failed."""

_ORIGINAL = {
    Failure.CANCELLED: "context canceled",
    Failure.DNS_NOT_FOUND: "no such host",
}


def class_of(failure: Failure) -> str:
    """One of `CLASSES`, or `unknown`."""
    return next((name for name, members in CLASSES.items() if failure in members), "unknown")


def reason_text(failure: Failure) -> str:
    """For people."""
    return _TEXTS[failure]


def original_reason(failure: Failure) -> str:
    """What Ddosify's JSON says where it knew the failure; otherwise our own text."""
    return _ORIGINAL.get(failure, _TEXTS[failure])


def status_text(code: int) -> str:
    """`Not Found`; empty for codes that nobody has registered."""
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""
