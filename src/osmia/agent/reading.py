"""What the bytes of an event say: parsed once per distinct text, not once per event. Pure.

Thousands of requests per second repeat a few hundred request lines and response heads. `Reader` remembers what each
said, so the usual event costs two dictionary lookups. The memory is bounded; what does not repeat is parsed each time.
"""

from __future__ import annotations

import re
import typing
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from osmia.agent.events import EventFlag
from osmia.model.request import NO_RESPONSE, Protocol
from osmia.protocols.parser import UNRECOGNISED
from osmia.protocols.postgres import UNSEEN, PostgresConnection
from osmia.protocols.registry import PROTOCOLS

if typing.TYPE_CHECKING:
    from osmia.protocols.parser import ParsedRequest

__all__ = ["Answer", "Reader", "Remark", "Said", "Statement", "Verdict", "ends_chunked", "request_length"]

_LINES_MAX = 8_192
_STATEMENTS_MAX = 16_384
_ANSWERS_MAX = 4_096
_CONNECTIONS_MAX = 8_192
_STATEMENTS_LIFE_NS = 1_800_000_000_000  # prepared statements of a connection that has gone or sleeps
_UNANSWERED = int(EventFlag.UNANSWERED)  # an operation on the flag itself takes a microsecond
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_CHUNKED_END = b"\r\n0\r\n\r\n"
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?=\r?\n)", re.IGNORECASE)
_BLANK_LINE = b"\r\n\r\n"


Remark = Literal["unparsed_http", "unparsed_postgres", "truncated", "joined_late"]
"""Why a text is poorer than it was, by the causes of `model/ledger.py`."""


@dataclass(slots=True, eq=False)
class Statement:
    """Method and template of a request; the same object for the same two, mostly."""

    method: str
    template: str
    is_session: bool
    has_body: bool


@dataclass(slots=True, eq=False)
class Said:
    """A request's statement, its text with the values in it, and what keeps it from being read in full."""

    statement: Statement
    target: str
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """How a request ended; the same object for the same two, mostly."""

    status: str
    is_error: bool


@dataclass(slots=True, eq=False)
class Answer:
    """A verdict, and the length of the whole response where its head tells."""

    verdict: Verdict
    declared: int | None


@dataclass(slots=True)
class _Prepared:
    """What one PostgreSQL connection has prepared."""

    connection: PostgresConnection
    sequence: int
    made_ns: int


class Reader:
    """Parses the snippets of events, remembering what repeats."""

    def __init__(self) -> None:
        self._lines: dict[bytes, Said] = {}
        self._statements: dict[tuple[str, str, bool], Statement] = {}
        self._answers: dict[tuple[Protocol, bytes, bytes], Answer] = {}
        self._verdicts: dict[tuple[str, bool], Verdict] = {}
        self._prepared: OrderedDict[tuple[int, int], _Prepared] = OrderedDict()
        self._no_response = Answer(Verdict(NO_RESPONSE, is_error=True), 0)

    def http_request(self, request: bytes) -> Said:
        """What a request line says."""
        line, found, _ = request.partition(b"\r\n")
        said = self._lines.get(line)
        if said is not None and found:
            return said
        said = self._said(PROTOCOLS[Protocol.HTTP].request(line + found), "unparsed_http")
        if found:
            if len(self._lines) >= _LINES_MAX:
                self._lines.clear()
            self._lines[line] = said
        return said

    def postgres_request(self, request: bytes, connection: tuple[int, int], *, sequence: int, at_ns: int) -> Said:
        """What a client flushed; to be asked for every request of a connection, in order.

        A sequence that starts again tells that the name of the connection has been given to another one.
        """
        known = self._prepared.get(connection)
        if known is None or 0 < sequence <= known.sequence:
            known = self._prepared[connection] = _Prepared(PostgresConnection(), 0, 0)
            while len(self._prepared) > _CONNECTIONS_MAX:
                self._prepared.popitem(last=False)
        known.made_ns, known.sequence = at_ns, sequence or known.sequence
        self._prepared.move_to_end(connection)
        if not request.startswith(b"Q"):
            return self._said(known.connection.feed_request(request), "unparsed_postgres")
        said = self._lines.get(request)
        if said is None:
            said = self._said(known.connection.feed_request(request), "unparsed_postgres")
            if len(self._lines) >= _LINES_MAX:
                self._lines.clear()
            self._lines[request] = said
        return said

    def answer(self, protocol: Protocol, head: bytes, tail: bytes, flags: int) -> Answer:
        """What the two ends of a response say."""
        if flags & _UNANSWERED:
            return self._no_response
        key = (protocol, head, b"" if protocol is Protocol.HTTP else tail)
        answer = self._answers.get(key)
        if answer is None:
            parsed = PROTOCOLS[protocol].response(head, tail)
            verdict = (parsed.status, parsed.is_error)
            if len(self._answers) >= _ANSWERS_MAX:
                self._answers.clear()
                self._verdicts.clear()
            answer = self._answers[key] = Answer(
                self._verdicts.setdefault(verdict, Verdict(*verdict)), parsed.declared_length
            )
        return answer

    def forget(self, now_ns: int) -> None:
        """Drop the prepared statements of connections that were not used for long."""
        before_ns = now_ns - _STATEMENTS_LIFE_NS
        while self._prepared and next(iter(self._prepared.values())).made_ns < before_ns:
            self._prepared.popitem(last=False)

    def _said(self, parsed: ParsedRequest, unparsed: Remark) -> Said:
        key = (parsed.method, parsed.template, parsed.is_session)
        statement = self._statements.get(key)
        if statement is None:
            if len(self._statements) >= _STATEMENTS_MAX:
                self._statements.clear()
            statement = self._statements[key] = Statement(
                parsed.method,
                parsed.template,
                is_session=parsed.is_session,
                has_body=parsed.method in _WITH_BODY,
            )
        if parsed.is_session:
            return Said(statement, parsed.target, ())
        remarks: dict[Remark, bool] = {
            unparsed: parsed.template == UNRECOGNISED,
            "truncated": parsed.is_truncated,
            "joined_late": parsed.template.endswith(UNSEEN),
        }
        return Said(statement, parsed.target, tuple(name for name, holds in remarks.items() if holds))


def request_length(request: bytes) -> int | None:
    """Bytes of a whole HTTP request as its head declares them; None where that is not captured or not declared."""
    end = request.find(_BLANK_LINE)
    if end < 0:
        return None
    found = _LENGTH.search(request, 0, end + 2)
    return end + len(_BLANK_LINE) + int(found[1]) if found else None


def ends_chunked(head: bytes, tail: bytes) -> bool:
    """Whether these are the ends of a chunked response whose last chunk has passed."""
    return (head + tail).endswith(_CHUNKED_END)
