"""PostgreSQL protocol 3, read from the first bytes of what a client flushes and from both ends of the answer.

A request is everything up to the server's ReadyForQuery: one Query message, or the Parse, Bind, Describe, Execute,
Close, Flush and Sync that a driver flushes together. `scan` cuts a snippet into messages; `PostgresParser` judges it
alone, `PostgresConnection` with the statements that this connection has prepared, since an execution of a prepared
statement carries its name only.

Parameter values in Bind, COPY data and passwords are never decoded, so they cannot leak.
Message formats: PostgreSQL manual, chapter "Message Formats".
"""

from __future__ import annotations

import enum
import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from osmia.protocols.parser import (
    CUT,
    MAX_SNIPPET_BYTES,
    UNKNOWN,
    UNRECOGNISED,
    ParsedRequest,
    ParsedResponse,
    text_of,
)
from osmia.protocols.postgres_response import parse_response
from osmia.protocols.sql import normalise, without_numbers

__all__ = ["UNSEEN", "ConnectionStatistics", "Message", "MessageKind", "PostgresConnection", "PostgresParser", "scan"]

UNSEEN = "(statement text not captured)"
"""Ends the template of a prepared statement that is older than the agent, or whose Parse was lost."""

_HEADER = 5
_NUL = b"\0"
_MAX_MESSAGES = 64
_MAX_NAME = 63  # NAMEDATALEN - 1
_MAX_MESSAGE_BYTES = 1 << 30
_STARTUP_CODES = {
    80877102: "CANCEL",
    80877103: "SSLREQUEST",
    80877104: "GSSENCREQUEST",
}
_PROTOCOL_MAJOR = 3
_LIBPQ_MAX_STARTUP = 10_000  # the server refuses longer start-up packets (MAX_STARTUP_PACKET_LENGTH)


class MessageKind(enum.Enum):
    """What a frontend message does; the value is its type byte."""

    QUERY = b"Q"
    PARSE = b"P"
    BIND = b"B"
    DESCRIBE = b"D"
    EXECUTE = b"E"
    CLOSE = b"C"
    FLUSH = b"H"
    SYNC = b"S"
    FUNCTION_CALL = b"F"
    COPY_DATA = b"d"
    COPY_DONE = b"c"
    COPY_FAIL = b"f"
    PASSWORD = b"p"
    TERMINATE = b"X"
    STARTUP = b""


_KINDS = {kind.value: kind for kind in MessageKind if kind.value}


class Message(NamedTuple):
    """One frontend message of a snippet, as far as it was captured and is worth keeping.

    `name` is the statement or portal it defines, uses or closes ("S:" or "P:" before it); `text` is the SQL of a
    Query or Parse, the statement behind a Bind, or what a start-up message asks for.
    """

    kind: MessageKind
    name: str = ""
    text: str = ""
    is_truncated: bool = False


@functools.lru_cache(maxsize=1024)
def scan(head: bytes) -> tuple[Message, ...]:
    """The messages of a client's snippet; empty if it is not PostgreSQL."""
    snippet = head[:MAX_SNIPPET_BYTES]
    if snippet[:1] == b"\0":
        return _startup(snippet)
    messages: list[Message] = []
    position = 0
    while position < len(snippet) and len(messages) < _MAX_MESSAGES:
        kind = _KINDS.get(snippet[position : position + 1])
        length = int.from_bytes(snippet[position + 1 : position + _HEADER])
        is_header_cut = position + _HEADER > len(snippet)
        if kind is None or not (is_header_cut or 4 <= length <= _MAX_MESSAGE_BYTES):  # noqa: PLR2004 - own size
            # Other bytes after whole messages: what is understood so far still stands.
            return tuple(messages)
        end = position + 1 + length
        is_truncated = is_header_cut or end > len(snippet)
        read = _READERS.get(kind)
        body = snippet[position + _HEADER : end]
        messages.append(read(kind, body, is_truncated) if read else Message(kind, is_truncated=is_truncated))
        position = len(snippet) if is_header_cut else end
    return tuple(messages)


def _startup(snippet: bytes) -> tuple[Message, ...]:
    length, code = int.from_bytes(snippet[:4]), int.from_bytes(snippet[4:8])
    if len(snippet) < 8 or not 8 <= length <= _LIBPQ_MAX_STARTUP:  # noqa: PLR2004 - two four-byte numbers
        return ()
    if code >> 16 == _PROTOCOL_MAJOR:
        return (Message(MessageKind.STARTUP, text="STARTUP"),)
    return (Message(MessageKind.STARTUP, text=_STARTUP_CODES[code]),) if code in _STARTUP_CODES else ()


def _query(kind: MessageKind, body: bytes, is_truncated: bool) -> Message:  # noqa: FBT001 - as _READERS calls it
    sql, end, _ = body.partition(_NUL)
    return Message(kind, "", text_of(sql), is_truncated and not end)


def _parse(kind: MessageKind, body: bytes, is_truncated: bool) -> Message:  # noqa: FBT001 - as _READERS calls it
    sql, end, _ = body.partition(_NUL)[2].partition(_NUL)
    return Message(kind, f"S:{_name(body)}", text_of(sql), is_truncated and not end)


def _bind(kind: MessageKind, body: bytes, is_truncated: bool) -> Message:  # noqa: FBT001 - as _READERS calls it
    return Message(kind, f"P:{_name(body)}", f"S:{_name(body.partition(_NUL)[2])}", is_truncated)


def _execute(kind: MessageKind, body: bytes, is_truncated: bool) -> Message:  # noqa: FBT001 - as _READERS calls it
    return Message(kind, f"P:{_name(body)}", "", is_truncated)


def _describe(kind: MessageKind, body: bytes, is_truncated: bool) -> Message:  # noqa: FBT001 - as _READERS calls it
    return Message(kind, f"{'P' if body[:1] == b'P' else 'S'}:{_name(body[1:])}", "", is_truncated)


_READERS: dict[MessageKind, Callable[[MessageKind, bytes, bool], Message]] = {
    MessageKind.QUERY: _query,
    MessageKind.PARSE: _parse,
    MessageKind.BIND: _bind,
    MessageKind.EXECUTE: _execute,
    MessageKind.DESCRIBE: _describe,
    MessageKind.CLOSE: _describe,
}
"""How each message that says more than its type is read; the others are never looked into."""


def _name(body: bytes) -> str:
    """A name; `CUT` if its end was not captured, since half a name is another name."""
    name, end, _ = body.partition(_NUL)
    return text_of(name) if end else CUT


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement as its Parse told it, or as its name alone tells."""

    target: str
    method: str
    template: str
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """How full the memory of one connection is, and how often it had to forget or did not know a name."""

    names: int
    forgotten: int
    unknown: int


class PostgresConnection:
    """What one connection has prepared: statement and portal names to SQL, the newest `capacity` of them.

    Feed it every request of the connection in order; when it is full it forgets the name used longest ago.
    """

    __slots__ = ("_capacity", "_forgotten", "_prepared", "_unknown")

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()
        self._forgotten = 0
        self._unknown = 0

    def feed_request(self, head: bytes) -> ParsedRequest:
        """Read one request snippet and remember what it prepares."""
        messages = scan(head)
        if not messages:
            return ParsedRequest(UNKNOWN, "", UNRECOGNISED)
        executed = self._executed(messages)
        if executed:
            return _joined(executed)
        return self._unexecuted(messages)

    def statistics(self) -> ConnectionStatistics:
        """A snapshot of the memory."""
        return ConnectionStatistics(len(self._prepared), self._forgotten, self._unknown)

    def _executed(self, messages: tuple[Message, ...]) -> list[_Prepared]:
        """Apply the messages to the memory; list what they execute, in order.

        What is parsed or bound last and not executed counts as executed if no Sync follows: the cut took its
        Execute, or the driver flushed early (asyncpg) and sends it in the same request.
        """
        executed: list[_Prepared] = []
        pending: _Prepared | None = None
        for message in messages:
            match message.kind:
                case MessageKind.QUERY:
                    executed.append(_prepared(message))
                case MessageKind.PARSE:
                    pending = self._remember(message.name, _prepared(message))
                case MessageKind.BIND:
                    pending = self._remember(message.name, self._recall(message.text))
                case MessageKind.EXECUTE:
                    executed.append(self._recall(message.name))
                    pending = None
                case MessageKind.CLOSE:
                    self._prepared.pop(message.name, None)
                case MessageKind.SYNC:
                    pending = None
                case _:
                    pass
        return executed if pending is None else [*executed, pending]

    def _unexecuted(self, messages: tuple[Message, ...]) -> ParsedRequest:
        """A request that executes nothing, named by its first message that says more than Sync."""
        message = next((one for one in messages if one.kind not in _PUNCTUATION), messages[0])
        if message.kind is MessageKind.PARSE:
            prepared = self._recall(message.name)
            return ParsedRequest("PREPARE", prepared.target, prepared.template, is_truncated=prepared.is_truncated)
        if message.kind is MessageKind.DESCRIBE:
            prepared = self._recall(message.name, verb="DESCRIBE")
            return ParsedRequest("DESCRIBE", prepared.target, prepared.template, is_truncated=prepared.is_truncated)
        if message.kind is MessageKind.FUNCTION_CALL:
            return ParsedRequest("FUNCTION CALL", "FUNCTION CALL", "FUNCTION CALL")
        # Of a Bind that nothing executes, the text is a statement's name.
        asks = message.text if message.kind is MessageKind.STARTUP else ""
        name = asks or message.kind.name.replace("_", " ")
        return ParsedRequest(name, name, name, is_session=True)

    def _remember(self, name: str, prepared: _Prepared) -> _Prepared:
        if name.endswith(CUT):
            return prepared
        self._prepared[name] = prepared
        self._prepared.move_to_end(name)
        if len(self._prepared) > self._capacity:
            self._prepared.popitem(last=False)
            self._forgotten += 1
        return prepared

    def _recall(self, name: str, verb: str = "EXECUTE") -> _Prepared:
        prepared = self._prepared.get(name)
        if prepared is None:
            self._unknown += 1
            return _by_name(name, verb)
        self._prepared.move_to_end(name)
        return prepared


_PUNCTUATION = (MessageKind.SYNC, MessageKind.FLUSH)


def _prepared(message: Message) -> _Prepared:
    statement = normalise(message.text, is_truncated=message.is_truncated)
    return _Prepared(message.text, statement.method, statement.template, message.is_truncated)


def _by_name(name: str, verb: str) -> _Prepared:
    """A statement whose text was never seen; drivers number their names, so numbers are left out."""
    _, _, bare = name.partition(":")
    bare = f" {bare[:_MAX_NAME]}" if bare else ""
    return _Prepared(f"{verb}{bare}", verb, f"{verb}{without_numbers(bare)} {UNSEEN}")


def _joined(executed: list[_Prepared]) -> ParsedRequest:
    """One request for all statements of a pipeline; a batch of one statement has its template whatever its size.

    The first statement gives the method, past the BEGIN that drivers flush before it.
    """
    distinct = list({one.template: one for one in executed}.values())
    first = next((one for one in distinct if one.method != "BEGIN"), distinct[0])
    return ParsedRequest(
        first.method if len(distinct) == 1 else first.method.removesuffix(CUT) + CUT,
        "; ".join([one.target for one in distinct]),
        "; ".join([one.template for one in distinct]),
        is_truncated=any(one.is_truncated for one in executed),
    )


class PostgresParser:
    """PostgreSQL, each snippet for itself; statements that an earlier snippet prepared are known by name only."""

    def request(self, head: bytes) -> ParsedRequest:
        """Read the messages of one flush."""
        return PostgresConnection().feed_request(head)

    def response(self, head: bytes, tail: bytes) -> ParsedResponse:
        """Read SQLSTATE or command tag and the transaction status; messages of errors are not looked at."""
        return parse_response(head[:MAX_SNIPPET_BYTES], tail[-MAX_SNIPPET_BYTES:])
