"""HTTP/1.x on a followed connection: which response answers which pipelined request.

Responses come in the order of requests (RFC 9112 section 9.3), so a queue matches them, as long as no message can have
passed unseen. A response counts from its final status line on: an interim one (1xx) adds its bytes, not its time.
After 101, or 2xx to CONNECT, the rest of the connection is another protocol's and is ignored.
"""

from __future__ import annotations

import re
from collections import deque

from osmia.protocols.http1_framing import Framing
from osmia.protocols.streams import (
    MAX_HEAD_BYTES,
    MAX_REQUEST_BYTES,
    MAX_TAIL_BYTES,
    Chunk,
    Direction,
    Exchange,
    Piece,
    Silence,
    StreamStatistics,
)

__all__ = ["Http1Stream"]

_MAX_PENDING = 1024
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}"
_REQUEST_LINE = re.compile(_TOKEN + rb" [^ \r\n]+ HTTP/1\.\d\r?\n")
_REQUEST_LINE_BEGUN = re.compile(_TOKEN + rb"(?: [^ \r\n]*(?: [HTP/1.\d]*\r?)?)?")
_STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-5]\d\d)[ \r\n]")
_STATUS_LINE_BYTES = 13
_REQUEST_START = re.compile(rb"(?:^|(?<=\n))" + _TOKEN + rb" [^ \r\n]+ HTTP/1\.\d\r\n")
_RESPONSE_START = re.compile(rb"(?:^|(?<=\n))HTTP/1\.\d [2-5]\d\d[ \r]")
_LINE_BREAKS = b"\r\n"
_SWITCHING = 101
_FIRST_FINAL = 200
_FIRST_REDIRECT = 300
_NO_BODY = frozenset((204, 304))


class _Pending:
    """A request whose response has not ended, and what was seen of both."""

    __slots__ = (
        "end_ns",
        "is_answered",
        "is_asked",
        "last_ns",
        "method",
        "request",
        "request_bytes",
        "response_bytes",
        "response_head",
        "response_tail",
        "start_ns",
    )

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.request = bytearray()
        self.request_bytes = 0
        self.method = b""
        self.is_asked = False
        self.is_answered = False
        self.end_ns: int | None = None
        self.last_ns = 0
        self.response_bytes = 0
        self.response_head = bytearray()
        self.response_tail = b""

    def add_request(self, data: bytes) -> None:
        self.request_bytes += len(data)
        if len(self.request) < MAX_REQUEST_BYTES:
            self.request += data[: MAX_REQUEST_BYTES - len(self.request)]

    def add_response(self, data: bytes, time_ns: int) -> None:
        if not data:
            return
        self.last_ns = time_ns
        self.end_ns = time_ns if self.end_ns is None else self.end_ns
        self.response_bytes += len(data)
        room = MAX_HEAD_BYTES - len(self.response_head)
        if room > 0:
            self.response_head += data[:room]
            data = data[room:]
        if data:
            self.response_tail = (self.response_tail + data[-MAX_TAIL_BYTES:])[-MAX_TAIL_BYTES:]

    def begin_again(self) -> None:
        """What came was an interim response."""
        self.end_ns = None
        self.response_head.clear()
        self.response_tail = b""

    def exchange(self, closed_ns: int | None = None) -> Exchange:
        """As it stands; without a response it ended when the connection was closed."""
        is_unanswered = self.end_ns is None
        ended_ns = self.start_ns if closed_ns is None else closed_ns
        return Exchange(
            bytes(self.request),
            bytes(self.response_head),
            self.response_tail,
            self.start_ns,
            ended_ns if self.end_ns is None else self.end_ns,
            ended_ns if is_unanswered else self.last_ns,
            self.request_bytes,
            0 if is_unanswered else self.response_bytes,
            is_unanswered=is_unanswered,
        )


class Http1Stream:
    """Matches the requests and responses of one followed connection."""

    def __init__(self) -> None:
        self._requests = Direction(is_tail_copied=False)
        self._responses = Direction(is_tail_copied=False)
        self._silence = Silence()
        self._queue: deque[_Pending] = deque()
        self._asking: Framing | None = None
        self._answering: Framing | None = None
        self._done: list[Exchange] = []
        self._is_ignored = False
        # Following may begin within the response to a request that was matched before.
        self._is_joining = True
        self._before = b""
        self._before_ns: list[int] = []  # when each of those bytes passed
        # Requests may have passed unseen behind those in the queue: no response after theirs can be matched.
        self._is_in_doubt = False
        self._requests_seen = 0
        self._responses_seen = 0
        self._dropped = 0
        self._resynchronised = 0

    def feed(self, chunk: Chunk) -> list[Exchange]:
        """Take the next piece of either direction; gives the exchanges that it completes."""
        if self._is_ignored:
            return []
        is_rested = self._silence.ends_with(chunk)
        if chunk.is_request:
            piece = self._requests.place(chunk)
            is_known = not self._queue and not piece.missing
            if self._is_in_doubt and is_rested and is_known and _may_begin(piece.data):
                self._resynchronise()
            self._ask(piece, chunk.time_ns)
        else:
            self._answer(self._responses.place(chunk), chunk.time_ns)
        return self._taken()

    def close(self, time_ns: int) -> list[Exchange]:
        """The connection ended: gives what was under way, unanswered where no final response had begun."""
        for pending in self._queue:
            if pending.method or pending.end_ns is not None:
                self._done.append(pending.exchange(time_ns))
            else:
                self._dropped += 1
        self._queue.clear()
        return self._taken()

    def statistics(self) -> StreamStatistics:
        """What was lost so far."""
        return StreamStatistics(
            gaps=self._requests.gaps + self._responses.gaps,
            resynchronised=self._resynchronised,
            dropped=self._dropped + max(self._requests_seen, self._responses_seen),
            is_ignored=self._is_ignored,
        )

    def _taken(self) -> list[Exchange]:
        done, self._done = self._done, []
        return done

    def _resynchronise(self) -> None:
        """Nothing is under way: both directions begin anew."""
        self._dropped += max(self._requests_seen, self._responses_seen)
        self._requests_seen = self._responses_seen = 0
        self._asking = self._answering = None
        self._is_in_doubt = self._is_joining = False
        self._before = b""
        self._resynchronised += 1

    # ---- requests

    def _ask(self, piece: Piece, time_ns: int) -> None:
        if piece.missing:
            self._skip_request(piece.missing)
        position = 0
        while position < len(piece.data) and not self._is_in_doubt:
            position = self._ask_from(piece.data, position, time_ns)
        if self._is_in_doubt:
            self._requests_seen += len(_REQUEST_START.findall(piece.data, position))
        elif piece.beyond:
            self._skip_request(piece.beyond)

    def _ask_from(self, data: bytes, start: int, time_ns: int) -> int:
        """Follow the request under way, or begin the next, up to its end or that of the data."""
        if self._asking is None:
            start = _after_line_breaks(data, start)
            if start == len(data):
                return start
            if len(self._queue) >= _MAX_PENDING:
                self._is_in_doubt = True
                return start
            self._asking = Framing()
            self._queue.append(_Pending(time_ns))
        pending, framing = self._queue[-1], self._asking
        if framing.is_in_header:
            end = framing.eat_header(data, start)
            if not _understand(pending, framing):
                self._forget_request()
                return end
            if not framing.is_in_header:
                framing.begin_body(is_response=False)
        else:
            end = framing.eat_body(data, start)
        pending.add_request(data[start:end])
        self._check_request(pending, framing)
        return end

    def _check_request(self, pending: _Pending, framing: Framing) -> None:
        """At the end of a request, or where it is lost, go on with the next."""
        if not (framing.is_over or framing.is_lost):
            return
        self._asking = None
        self._is_in_doubt = framing.is_lost
        pending.is_asked = True
        if pending.is_answered:  # before it ended, so it is the only one
            self._done.append(self._queue.popleft().exchange())

    def _forget_request(self) -> None:
        """What came is no request, or nobody can say which; nor is what the server may have begun to answer to it."""
        self._queue.pop()
        if not self._queue:
            self._answering = None
        self._requests_seen += 1
        self._asking, self._is_in_doubt = None, True

    def _skip_request(self, count: int) -> None:
        """Bytes of requests were not seen: within a body that covers them, or nobody knows what they were."""
        if self._is_in_doubt:
            return
        framing = self._asking
        if framing is None:
            self._is_in_doubt = True
            return
        pending = self._queue[-1]
        left = framing.skip(count)
        pending.request_bytes += count - left
        if not pending.method:
            self._forget_request()
            return
        self._check_request(pending, framing)
        self._is_in_doubt = self._is_in_doubt or left > 0

    # ---- responses

    def _answer(self, piece: Piece, time_ns: int) -> None:
        if piece.missing:
            self._skip_response(piece.missing, time_ns)
        data = self._join(piece.data, time_ns) if self._is_joining else piece.data
        self._answer_with(data, time_ns)
        if piece.beyond:
            self._skip_response(piece.beyond, time_ns)

    def _join(self, data: bytes, time_ns: int) -> bytes:
        """Pass over the rest of a response that had begun before; gives what is there of the first that is ours."""
        both = self._before + data
        is_begun = len(both) < _STATUS_LINE_BYTES and _is_status_line_begun(both)
        found = None if is_begun else _STATUS_LINE.search(both)
        self._is_joining = found is None
        start = found.start() if found else 0
        if self._is_joining:
            self._before = both[1 - _STATUS_LINE_BYTES :]
            self._before_ns = (self._before_ns + [time_ns] * min(len(data), len(self._before)))[-len(self._before) :]
            return b""
        before, self._before = self._before, b""
        if start < len(before):
            self._answer_with(before[start:], self._before_ns[start])
        return data[max(0, start - len(before)) :]

    def _answer_with(self, data: bytes, time_ns: int) -> None:
        position = 0
        while position < len(data) and not self._is_ignored:
            if self._answering is None:
                position = _after_line_breaks(data, position)
                if position == len(data):
                    break
                if not self._queue or self._queue[0].is_answered:
                    self._lose()
                    self._responses_seen += len(_RESPONSE_START.findall(data, position))
                    break
                self._answering = Framing()
            position = self._answer_from(data, position, time_ns)

    def _answer_from(self, data: bytes, start: int, time_ns: int) -> int:
        """Follow the response under way up to its end or that of the data."""
        pending, framing = self._queue[0], self._answering
        if framing is None:
            return len(data)
        if framing.is_lost and _STATUS_LINE.match(data, start):  # its end was in a hole
            self._end_response(pending)
            return start
        if not framing.is_in_header:
            end = framing.eat_body(data, start)
            pending.add_response(data[start:end], time_ns)
        else:
            end = framing.eat_header(data, start)
            if not _is_status_line_begun(framing.header):
                self._lose()
                return len(data)
            pending.add_response(data[start:end], time_ns)
            if framing.is_in_header:
                return end
            self._decide(pending, framing)
        if framing.is_over and self._answering is framing:
            self._end_response(pending)
        elif framing.is_lost and len(self._queue) > 1:
            self._lose()
            return len(data)
        return end

    def _decide(self, pending: _Pending, framing: Framing) -> None:
        """The header section is complete: interim response, end of HTTP, or how the body ends."""
        line = _STATUS_LINE.match(framing.header)
        status = int(line[1]) if line else 0
        is_tunnel = pending.method == b"CONNECT" and _FIRST_FINAL <= status < _FIRST_REDIRECT
        if status == _SWITCHING or is_tunnel:
            self._done.append(pending.exchange())
            self._queue.clear()
            self._asking = self._answering = None
            self._is_ignored = True
        elif status < _FIRST_FINAL:
            pending.begin_again()
            self._answering = None
        elif pending.method == b"HEAD" or status in _NO_BODY:
            framing.end_without_body()
        else:
            framing.begin_body(is_response=True)

    def _end_response(self, pending: _Pending) -> None:
        self._answering = None
        pending.is_answered = True
        if pending.is_asked:
            self._done.append(self._queue.popleft().exchange())

    def _skip_response(self, count: int, time_ns: int) -> None:
        """Bytes of responses were not seen; with one request waiting, they can only be its response's."""
        if self._is_ignored or (self._is_in_doubt and not self._queue):
            return
        framing = self._answering
        if framing is None:
            self._lose()
            return
        pending = self._queue[0]
        left = framing.skip(count)
        if framing.is_lost and len(self._queue) == 1:
            left = 0
        if count > left:
            pending.response_bytes += count - left
            pending.last_ns = time_ns
        if framing.is_over:
            self._end_response(pending)
        if left:
            self._lose()

    def _lose(self) -> None:
        """Which response belongs to which request is not known any more."""
        is_answer_known = self._answering is not None and _STATUS_LINE.match(self._answering.header)
        if is_answer_known or (self._queue and self._queue[0].is_answered):
            self._done.append(self._queue.popleft().exchange())
        self._requests_seen += len(self._queue)
        self._queue.clear()
        self._asking = self._answering = None
        self._is_in_doubt = True


def _after_line_breaks(data: bytes, start: int) -> int:
    """Where a message begins: empty lines before it are left over from sloppy senders (RFC 9112 section 2.2)."""
    while start < len(data) and data[start] in _LINE_BREAKS:
        start += 1
    return start


def _understand(pending: _Pending, framing: Framing) -> bool:
    """Whether the request line is one, as far as it has come; notes the method."""
    if pending.method:
        return True
    header = framing.header
    if b"\n" in header:
        is_request = framing.is_compacted or _REQUEST_LINE.match(header) is not None
    else:
        is_request = framing.is_compacted or _REQUEST_LINE_BEGUN.fullmatch(header) is not None
    if is_request and b" " in header and (b"\n" in header or framing.is_compacted):
        pending.method = bytes(header[: header.index(b" ")])
    return is_request


def _may_begin(data: bytes) -> bool:
    """Whether a piece begins with a request."""
    start = _after_line_breaks(data, 0)
    line = data[start : data.find(b"\n", start) + 1 or len(data)]
    return bool(_REQUEST_LINE.match(line) or _REQUEST_LINE_BEGUN.fullmatch(line))


def _is_status_line_begun(header: bytes | bytearray) -> bool:
    if len(header) < _STATUS_LINE_BYTES:
        return (header + b"HTTP/1.1 200 "[len(header) :]).startswith(b"HTTP/1.")
    return _STATUS_LINE.match(header) is not None
