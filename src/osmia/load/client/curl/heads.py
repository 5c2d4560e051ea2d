"""The head of the final answer, out of all header lines that libcurl passed on."""

from __future__ import annotations

from collections import deque

import pycurl

from osmia.load.client.curl.handles import Exchange, hear

__all__ = ["final_head", "is_cut"]

_BLANK = (b"\r\n", b"\n")


def is_cut(exchange: Exchange) -> bool:
    """Whether a connection was closed within a head, for an answer of which no body came.

    To libcurl that is an answer without a body: what it has read until the end is the head. Only the last line tells.
    A handle that did not listen gets the benefit of the doubt, once.
    """
    if exchange.get(pycurl.CONTENT_LENGTH_DOWNLOAD_T) >= 0:
        return False
    if not exchange.hears:
        hear(exchange)
        return False
    return bool(exchange.lines) and exchange.lines[-1] not in _BLANK


def final_head(received: deque[bytes]) -> bytes:
    """Status line to empty line; without what came before (1xx, a proxy's answer) and after (trailers)."""
    if received and received[0].startswith(b"HTTP/1") and received[-1] == b"\r\n" and received.count(b"\r\n") == 1:
        return b"".join(received)
    lines = list(received)
    blanks = [at for at, line in enumerate(lines) if line in _BLANK]
    starts = [at for at, line in enumerate(lines) if line.startswith(b"HTTP/")]
    if not starts:
        return b""
    start = max((at for at in starts if at == 0 or lines[at - 1] in _BLANK), default=0)
    end = next((at for at in blanks if at > start), len(lines) - 1)
    head = b"".join(lines[start : end + 1])
    if head.startswith((b"HTTP/2", b"HTTP/3")):
        line, end_of_line, rest = head.partition(b"\r\n")
        return line.rstrip(b" ") + end_of_line + rest
    return head
