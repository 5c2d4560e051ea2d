"""HTTP/1.0 and 1.1 (RFC 9110, RFC 9112), read from the first bytes of a request and of its response."""

from __future__ import annotations

import re

from osmia.protocols.parser import CUT, MAX_SNIPPET_BYTES, UNKNOWN, UNRECOGNISED, ParsedRequest, ParsedResponse, text_of
from osmia.protocols.paths import authority_template, target_template

__all__ = ["Http1Parser"]

_REQUEST_LINE = re.compile(rb"[\r\n]*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^ \r\n]+)(?: (HTTP/1\.\d)\r?\n)?")
# fmt: off
_METHODS = frozenset([  # RFC 9110 and RFC 5789, then WebDAV and the caches' own
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "QUERY", "PURGE",
    "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "LABEL", "LINK", "MERGE", "MKACTIVITY", "MKCALENDAR",
    "MKREDIRECTREF", "MKWORKSPACE", "ORDERPATCH", "REBIND", "UNBIND", "UNCHECKOUT", "UNLINK", "UPDATE",
    "UPDATEREDIRECTREF", "VERSION-CONTROL", "BAN", "M-SEARCH", "NOTIFY", "SOURCE", "SUBSCRIBE", "UNSUBSCRIBE",
])
# fmt: on
_STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-5]\d\d)(?=[ \r\n]|$)")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL)
_HOST = re.compile(rb"\nhost:[ \t]*([^\r\n]*?)[ \t]*\r?\n", re.IGNORECASE)
_HOST_NAME = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[\w.\-]+)(?::\d{0,5})?")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?=\r?\n)", re.IGNORECASE)
_CODING = re.compile(rb"\ntransfer-encoding:", re.IGNORECASE)
_NO_PATH = "{target}"
_OTHER_METHOD = "OTHER"
_FIRST_SERVER_ERROR = 500
_SWITCHING = 101
_FIRST_FINAL = 200
_NO_BODY = frozenset((204, 304))


class Http1Parser:
    """HTTP/1.x; the template of a request is its path without values, and the sorted names of its query."""

    def request(self, head: bytes) -> ParsedRequest:
        """Read a request line and, where captured, the Host field."""
        snippet = head[:MAX_SNIPPET_BYTES]
        line = _REQUEST_LINE.match(snippet)
        if line is None or not _is_plausible(line, snippet):
            return ParsedRequest(UNKNOWN, "", UNRECOGNISED)
        method = line[1].decode("ascii")
        if method not in _METHODS:  # anything may stand here, and every method is a row of its own
            method = _OTHER_METHOD
        target = text_of(line[2])
        # Without the version the cut may have split the target, unless a space follows it.
        is_target_cut = line[3] is None and line.end() == len(snippet)
        host, template = _host_and_template(method, target, is_truncated=is_target_cut)
        return ParsedRequest(
            method,
            target,
            template,
            is_truncated=is_target_cut,
            host=host or _host_field(snippet),
        )

    def response(self, head: bytes, tail: bytes) -> ParsedResponse:
        """Read the status line and the declared length; `tail` says nothing in this protocol."""
        del tail
        snippet = head[:MAX_SNIPPET_BYTES]
        start = _final_response_start(snippet)
        line = _STATUS_LINE.match(snippet, start)
        if line is None:
            return ParsedResponse(UNKNOWN, is_error=False, is_truncated=b"\n" not in snippet)
        status = int(line[1])
        blank = _BLANK_LINE.search(snippet, start)
        return ParsedResponse(
            str(status),
            is_error=status >= _FIRST_SERVER_ERROR,
            declared_length=None if blank is None else _declared_length(snippet[: blank.end()], start, status=status),
            is_truncated=blank is None,
        )


def _is_plausible(line: re.Match[bytes], snippet: bytes) -> bool:
    """Whether a matched line is HTTP: by its version, or, if the cut came before the version, by its method."""
    if line[3] is not None:
        return True
    is_cut_in_version = b" HTTP/1.1\r\n".startswith(snippet[line.end() :]) or b" HTTP/1.0\r\n".startswith(
        snippet[line.end() :]
    )
    return is_cut_in_version and line[1].decode("ascii") in _METHODS


def _host_and_template(method: str, target: str, *, is_truncated: bool) -> tuple[str, str]:
    """Host named by the target itself (empty if it names none) and the template, per form of RFC 9112 section 3.2."""
    if method == "CONNECT":
        return ("", CUT) if is_truncated else (_host(target), authority_template(target))
    if target == "*":
        return "", target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        is_path = target.startswith(("/", "?"))
        return "", target_template(target, is_truncated=is_truncated) if is_path else _NO_PATH
    host = _host(absolute[1])
    if is_truncated and not absolute[2]:
        return "", f"/{CUT}"
    path = absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
    return host, target_template(path, is_truncated=is_truncated)


def _host(authority: str) -> str:
    """Host and port without what stands before an `@`; empty if it is no name or address."""
    host = authority.rpartition("@")[2]
    return host if _HOST_NAME.fullmatch(host) else ""


def _host_field(snippet: bytes) -> str:
    found = _HOST.search(snippet)
    if found is None:
        return ""
    blank = _BLANK_LINE.search(snippet)
    return text_of(found[1]) if blank is None or found.end() <= blank.end() else ""


def _final_response_start(snippet: bytes) -> int:
    """Where the final response begins: after any 100 Continue or 103 Early Hints that the snippet holds whole."""
    start = 0
    while True:
        line = _STATUS_LINE.match(snippet, start)
        if line is None or int(line[1]) >= _FIRST_FINAL or int(line[1]) == _SWITCHING:
            return start
        blank = _BLANK_LINE.search(snippet, start)
        if blank is None or not _STATUS_LINE.match(snippet, blank.end()):
            return start
        start = blank.end()


def _declared_length(headers: bytes, start: int, *, status: int) -> int | None:
    """Bytes from the start of the snippet to the end of the body, from complete headers; None if not declared."""
    if status < _FIRST_FINAL or status in _NO_BODY:
        return len(headers)
    lengths = set(_LENGTH.findall(headers, start))
    if len(lengths) != 1 or _CODING.search(headers, start):
        return None
    return len(headers) + int(lengths.pop())
