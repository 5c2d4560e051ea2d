"""What every protocol parser takes and gives: snippets of captured bytes in, understood values out.

The kernel copies only the beginning of a request and the two ends of a response, so a parser works on cut bytes. It
never raises on any bytes, never reads a clock or a socket, and gives `UNKNOWN` or `UNRECOGNISED` for what it did not
understand, so that the caller can count it.
"""

from __future__ import annotations

import enum
import re
import typing
from dataclasses import dataclass

__all__ = [
    "CUT",
    "MAX_SNIPPET_BYTES",
    "UNKNOWN",
    "UNRECOGNISED",
    "ParsedRequest",
    "ParsedResponse",
    "Parser",
    "TransactionStatus",
    "text_of",
]

UNKNOWN = "unknown"
"""Method or status that could not be read from the snippet."""

UNRECOGNISED = "(unrecognised)"
"""Template of bytes that are not a request of the protocol they were taken for."""

CUT = "…"
"""Ends a template whose rest was not captured."""

MAX_SNIPPET_BYTES = 4096
"""No parser looks further than this, whatever it is given; it bounds its time and its output."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")


class TransactionStatus(enum.StrEnum):
    """State of the database session after the response, as its last ReadyForQuery says."""

    IDLE = "idle"
    OPEN = "open"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What one request snippet says.

    `target` is the raw path or statement as far as it was captured; it may hold values and stays on the node.
    `template` has its literals removed. `is_truncated` says that the capture cut both. `host` is the name the client
    asked for (HTTP), empty where not seen. `is_session` marks bytes that manage the connection (start-up, passwords,
    termination) and are no request.
    """

    method: str
    target: str
    template: str
    is_truncated: bool = False
    host: str = ""
    is_session: bool = False


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """What the two ends of one response say.

    `status` is the HTTP code as text, "ok", a SQLSTATE, "error" where the SQLSTATE was not captured, or `UNKNOWN`.
    `declared_length` is header plus body in bytes where the head says so, else None; for the response to a HEAD
    request it counts a body that is never sent. `rows` is the row count of the last SQL statement, None where
    there is none.
    """

    status: str
    is_error: bool
    declared_length: int | None = None
    is_truncated: bool = False
    rows: int | None = None
    transaction: TransactionStatus = TransactionStatus.UNKNOWN


class Parser(typing.Protocol):
    """One application protocol; neither method ever raises, whatever the bytes."""

    def request(self, head: bytes) -> ParsedRequest:
        """Read the first captured bytes of a request."""
        ...

    def response(self, head: bytes, tail: bytes) -> ParsedResponse:
        """Read the first and the last captured bytes of a response; they may overlap, and `tail` may be empty."""
        ...


def text_of(data: bytes) -> str:
    """Captured bytes as text that is safe to print: UTF-8, anything else and control characters become U+FFFD."""
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() else _CONTROL.sub("\ufffd", text)
