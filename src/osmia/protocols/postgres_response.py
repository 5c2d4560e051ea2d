"""PostgreSQL's answer, read from its first and last bytes: error or command tag, rows, transaction status.

An answer is a chain of messages that ends with ReadyForQuery. A head that begins on a message is walked. A tail, and
the head of a buffer that began in the middle of a message, is entered at the first place from which the chain arrives
exactly at the last ReadyForQuery. An error that the head does not show (after many rows) is longer than the tail: then
its end is recognised, and the status is "error" without its SQLSTATE.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from osmia.protocols.parser import UNKNOWN, ParsedResponse, TransactionStatus, text_of

__all__ = ["parse_response"]

_HEADER = 5
_TYPES = frozenset(b"123ACDEGHIKNRSTVWZcdnstv")
_ROWS_AND_DATA = frozenset(b"DTVd")
_MAX_DATA_BYTES = 1 << 30
_MAX_BYTES = 1 << 20  # text that looks like a message has a "length" far above, since its first byte is not 0
_READY = re.compile(rb"Z\x00\x00\x00\x05([ITE])")
_ENTRY = re.compile(rb"(?=[123ACDEGHIKNRSTVWZcdnstv]\x00\x00[\x00-\xff]{2})")
_END_OF_ERROR = re.compile(rb"\0R\w+\0\0$")
_SQLSTATE = re.compile(rb"\0C([0-9A-Z]{5})\0")
_TRANSACTION = {b"I": TransactionStatus.IDLE, b"T": TransactionStatus.OPEN, b"E": TransactionStatus.FAILED}
_ENCRYPTION_ANSWERS = (b"S", b"N", b"G")
_HALF_WAY = (b"R", b"G", b"H", b"W", b"I", b"s")  # authentication, COPY, pipelines: rightly without ReadyForQuery
_PREPARED = (b"1tT", b"1tn", b"1T", b"1n", b"1")  # likewise
_OK = "ok"
_ERROR = "error"


@dataclass(slots=True)
class _Walk:
    """What the messages of a stretch of bytes said."""

    end: int = 0
    sqlstate: str = ""
    tag: str = ""
    kinds: bytes = b""
    ready: bytes = b""
    is_whole: bool = False


def parse_response(head: bytes, tail: bytes) -> ParsedResponse:
    """Judge an answer by its two ends."""
    if head in _ENCRYPTION_ANSWERS:
        return ParsedResponse(_OK, is_error=False)
    start = _walk(head)
    end = _end(start, head, tail)
    sqlstate = start.sqlstate or end.sqlstate
    status = sqlstate or _status_without_error(start, end)
    return ParsedResponse(
        status,
        is_error=status not in (_OK, UNKNOWN),
        is_truncated=not end.ready,
        rows=None if sqlstate else _rows(end.tag or start.tag),
        transaction=_TRANSACTION.get(end.ready, TransactionStatus.UNKNOWN),
    )


def _end(start: _Walk, head: bytes, tail: bytes) -> _Walk:
    """What the last messages said, wherever they were captured."""
    if head.endswith(tail):
        return start if start.is_whole and start.ready else _walk_backwards(head)
    both = _walk(head + tail)  # right if the tail follows the head at once, which nothing else tells
    return both if both.is_whole and both.ready else _walk_backwards(tail)


def _status_without_error(start: _Walk, end: _Walk) -> str:
    if end.ready == b"E":
        return _ERROR  # only a failing command leaves the transaction failed
    kinds = end.kinds or start.kinds
    if end.ready or start.tag or end.tag or kinds[-1:] in _HALF_WAY or kinds in _PREPARED:
        return _OK
    return UNKNOWN


def _walk(data: bytes, position: int = 0) -> _Walk:
    """Follow the messages from `position` on, as far as they are plausible; `is_whole` if they end where data ends."""
    walk = _Walk(end=position)
    kinds = bytearray()
    while walk.end + _HEADER <= len(data) and data[walk.end] in _TYPES:
        length = int.from_bytes(data[walk.end + 1 : walk.end + _HEADER])
        kind = data[walk.end : walk.end + 1]
        if not 4 <= length <= (_MAX_DATA_BYTES if kind[0] in _ROWS_AND_DATA else _MAX_BYTES):  # noqa: PLR2004 - itself
            break
        kinds += kind
        body = data[walk.end + _HEADER : walk.end + 1 + length]
        _note(walk, kind, body)
        walk.end += 1 + length
    walk.kinds = bytes(kinds)
    walk.is_whole = walk.end == len(data)
    return walk


def _note(walk: _Walk, kind: bytes, body: bytes) -> None:
    if kind == b"E" and body[:1] == b"S" and not walk.sqlstate:
        found = _SQLSTATE.search(body)
        walk.sqlstate = found[1].decode("ascii") if found else _ERROR
    elif kind == b"C":
        walk.tag = text_of(body.partition(b"\0")[0])
    elif kind == b"Z":
        walk.ready = body


def _walk_backwards(tail: bytes) -> _Walk:
    """Find the messages that lead to the last ReadyForQuery; without one, only messages at the beginning count."""
    found = list(_READY.finditer(tail))
    if not found:  # a statement within a pipeline
        walk = _walk(tail)
        return walk if walk.is_whole or walk.sqlstate else _Walk()
    ready = found[-1]
    upto = tail[: ready.end()]
    for entry in _ENTRY.finditer(upto):
        walk = _walk(upto, entry.start())
        if walk.is_whole:
            break
    if not (walk.tag or walk.sqlstate) and _END_OF_ERROR.search(upto, 0, ready.start()):
        walk.sqlstate = _ERROR
    return walk


def _rows(tag: str) -> int | None:
    last = tag.rpartition(" ")[2]
    return int(last) if last.isascii() and last.isdigit() else None
