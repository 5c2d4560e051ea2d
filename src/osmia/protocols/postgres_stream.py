"""PostgreSQL on a followed connection: which answer belongs to which of many statements under way.

The server answers in order, and the type of each answer tells what it answers; so a queue of what the client sent
(`_Step`) matches them and notices where it does not fit. What is one exchange (`_Unit`):

- one executed statement: the Query, or the Execute with the Parse, Bind, Describe and Flush since the last one, and
  the Close and Sync right behind it. It ends with its ReadyForQuery if its Sync had come before its CommandComplete,
  else with its CommandComplete; so an open pipeline does not delay what is done. COPY data belongs to its statement.
- what is prepared or described and not executed before the next Parse, Query or Sync: PREPARE or DESCRIBE, as for any
  other connection (if no Sync ended it, one is added to its `request`, so that it reads as such). What a Parse before a
  Flush prepared and the next Bind runs belongs to that statement, which then starts at its first message after the
  answer, so that the time in between is not its own.
- start-up, a Sync or Close of its own: what `PostgresConnection` calls a session's and no request.

After an error the server skips everything up to the next Sync. Those statements were never run and nobody answers
them: they are no exchanges and their Parse prepares nothing; `StreamStatistics.aborted` counts them. The Sync belongs
to the statement that failed, if it had come by then.

An exchange carries the first 512 bytes of its messages. Of a response that is longer than its head, the tail begins
with the message that ended the statement (of a long error, only that); then comes the ReadyForQuery.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from osmia.protocols.postgres_framing import BACKEND, CANCEL, ENCRYPTION, FRONTEND, STARTUP, Cutter, Part
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

__all__ = ["PostgresStream"]

_MAX_STEPS = 4096
_SYNC_MESSAGE = b"S\0\0\0\4"
_READY_MESSAGE = re.compile(rb"Z\x00\x00\x00\x05[ITE]")
_COPY_OVER = re.compile(rb"(?:c\x00\x00\x00\x04|f\x00\x00[\x00-\xff]{2}[^\x00]*\x00)(S\x00\x00\x00\x04)?\Z")
_EXECUTIONS = re.compile(rb"E\x00\x00\x00[\x09-\x48]|Q\x00\x00")

_QUERY, _PARSE, _BIND, _DESCRIBE, _EXECUTE, _CLOSE, _FLUSH, _SYNC, _FUNCTION = b"QPBDECHSF"
_COPY_DATA, _COPY_DONE, _COPY_FAIL, _PASSWORD, _TERMINATE = b"dcfpX"

_ANSWERS = {
    ord("1"): (_PARSE,),
    ord("2"): (_BIND,),
    ord("3"): (_CLOSE,),
    ord("t"): (_DESCRIBE,),
    ord("n"): (_DESCRIBE,),
    ord("T"): (_DESCRIBE, _QUERY),
    ord("D"): (_EXECUTE, _QUERY),
    ord("C"): (_EXECUTE, _QUERY),
    ord("I"): (_EXECUTE, _QUERY),
    ord("s"): (_EXECUTE,),
    ord("G"): (_EXECUTE, _QUERY),
    ord("H"): (_EXECUTE, _QUERY),
    ord("W"): (_EXECUTE, _QUERY),
    ord("d"): (_EXECUTE, _QUERY),
    ord("c"): (_EXECUTE, _QUERY),
    ord("V"): (_FUNCTION,),
    ord("R"): (STARTUP,),
    ord("K"): (STARTUP,),
    ord("v"): (STARTUP,),
    ord("Z"): (_SYNC, _QUERY, _FUNCTION, STARTUP),
}
"""Which steps each message of the server may answer; errors and what comes of itself are not here."""

_ENDING = frozenset(b"123nTCIs")  # the step is answered, unless it is a Query
_OF_ITSELF = frozenset(b"NAS")
_KEPT = frozenset(b"CIsEVGHWZ")  # what says how a statement ended
_COUNTED = frozenset(b"CIsEV")
_COPY_KINDS = frozenset(b"dcf")
_READY_KINDS = frozenset((_SYNC, _QUERY, _FUNCTION, STARTUP))
_RUN = frozenset((_QUERY, _EXECUTE, _FUNCTION))
_BEGINNING = frozenset((_PARSE, _QUERY, _FUNCTION))
_OPENING = frozenset((STARTUP, ENCRYPTION, CANCEL))
_TRAILING = frozenset((_CLOSE, _FLUSH, _SYNC))
_REQUESTS = frozenset((_QUERY, _PARSE, _BIND, _DESCRIBE, _EXECUTE, _FUNCTION))
_COPYING = frozenset(b"GW")
_ERROR, _READY = b"EZ"


class _Unit:
    """The messages of one exchange, and what came back for them."""

    __slots__ = (
        "end",
        "is_bound",
        "is_closed",
        "is_done",
        "is_parsed",
        "is_request",
        "is_run",
        "last_ns",
        "ready",
        "request",
        "request_bytes",
        "response_bytes",
        "response_head",
        "start_ns",
        "steps",
        "trail",
    )

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.request = bytearray()
        self.request_bytes = 0
        self.steps = 0
        self.is_parsed = False
        self.is_bound = False
        self.is_request = False
        self.is_run = False
        self.is_closed = False
        self.is_done = False
        self.last_ns = 0
        self.response_bytes = 0
        self.response_head = bytearray()
        self.end = b""
        self.ready = b""
        self.trail = b""

    def add_request(self, part: Part) -> None:
        self.request_bytes += len(part.data) + part.skipped
        if len(self.request) < MAX_REQUEST_BYTES:
            self.request += part.data[: MAX_REQUEST_BYTES - len(self.request)]

    def add_response(self, part: Part, time_ns: int) -> None:
        self.last_ns = time_ns
        self.response_bytes += len(part.data) + part.skipped
        if len(self.response_head) < MAX_HEAD_BYTES:
            self.response_head += part.data[: MAX_HEAD_BYTES - len(self.response_head)]

    def exchange(self, closed_ns: int | None = None) -> Exchange:
        """As it stands; without a response it ended when the connection was closed."""
        if closed_ns is not None and (not self.response_bytes or self.last_ns < self.start_ns):
            times = (self.start_ns, closed_ns, closed_ns)
            return Exchange(bytes(self.request), b"", b"", *times, self.request_bytes, 0, is_unanswered=True)
        end_ns = max(self.last_ns, self.start_ns)
        times = (self.start_ns, end_ns, end_ns)
        head = bytes(self.response_head)
        return Exchange(bytes(self.request), head, self._tail(), *times, self.request_bytes, self.response_bytes)

    def _tail(self) -> bytes:
        """How the response ended, if the head does not show it."""
        if len(self.response_head) == self.response_bytes:
            return b""
        if self.trail:
            return self.trail
        is_end_whole = int.from_bytes(self.end[1:5]) + 1 == len(self.end)
        is_room = len(self.end) + len(self.ready) <= MAX_TAIL_BYTES
        return self.end + self.ready if is_room and (is_end_whole or not self.end) else self.end


@dataclass(frozen=True, slots=True)
class _Step:
    """One message of the client that the server answers."""

    kind: int
    unit: _Unit


class PostgresStream:
    """Matches the statements and answers of one followed connection."""

    def __init__(self) -> None:
        self._requests = Direction(is_tail_copied=True)
        self._responses = Direction(is_tail_copied=True)
        self._silence = Silence()
        self._frontend = Cutter(FRONTEND, is_starting=True)
        self._backend = Cutter(BACKEND, is_starting=False)
        self._steps: deque[_Step] = deque()
        self._asking: _Unit | None = None  # whose the client's message under way is
        self._answering: _Unit | None = None  # whose the server's message under way is
        self._answer = bytearray()  # its first bytes
        self._open: _Unit | None = None  # more messages of the client may belong to it
        self._trailed: _Unit | None = None  # so may a Close or Sync to this one
        self._last_run: _Unit | None = None
        self._copying: _Unit | None = None  # the server waits for this one's COPY data
        self._is_copy_lost = False
        self._is_skipping = False  # the server skips up to the next Sync
        self._is_seeking = False  # a hole took the end of the only answer that is due
        self._trail = b""
        self._is_ignored = False
        self._is_in_doubt = False  # statements may have passed unseen behind the steps
        self._runs_seen = 0
        self._answers_seen = 0
        self._dropped = 0
        self._aborted = 0
        self._resynchronised = 0
        self._done: list[Exchange] = []

    def feed(self, chunk: Chunk) -> list[Exchange]:
        """Take the next piece of either direction; gives the exchanges that it completes."""
        if self._is_ignored:
            return []
        is_rested = self._silence.ends_with(chunk)
        if chunk.is_request:
            piece = self._requests.place(chunk)
            if self._is_in_doubt and is_rested and not piece.missing and self._is_at_rest(piece.data):
                self._resynchronise()
            self._take_request(piece, chunk.time_ns)
        else:
            self._take_response(self._responses.place(chunk), chunk.time_ns)
        done, self._done = self._done, []
        return done

    def close(self, time_ns: int) -> list[Exchange]:
        """The connection ended: gives the statements under way, unanswered where nothing of an answer had come."""
        units = dict.fromkeys(step.unit for step in self._steps)
        self._steps.clear()
        return [unit.exchange(time_ns) for unit in units if unit.is_closed and unit.is_request and not unit.is_done]

    def statistics(self) -> StreamStatistics:
        """What was lost so far."""
        return StreamStatistics(
            gaps=self._requests.gaps + self._responses.gaps,
            resynchronised=self._resynchronised,
            dropped=self._dropped + max(self._runs_seen, self._answers_seen),
            aborted=self._aborted,
            is_ignored=self._is_ignored,
        )

    def _is_at_rest(self, data: bytes) -> bool:
        """Whether nothing is under way, and `data` begins with a message."""
        if self._steps or not (self._backend.is_between or self._backend.is_lost):
            return False
        probe = Cutter(FRONTEND, is_starting=False)
        probe.cut(data, 0)
        return bool(data) and not probe.is_lost

    def _resynchronise(self) -> None:
        self._dropped += max(self._runs_seen, self._answers_seen)
        self._runs_seen = self._answers_seen = 0
        self._frontend.begin_anew()
        self._backend.begin_anew()
        self._is_in_doubt = False
        self._resynchronised += 1

    # ---- what the client sends

    def _take_request(self, piece: Piece, time_ns: int) -> None:
        if piece.missing:
            self._skip_request(piece.missing)
        if self._is_copy_lost:
            self._seek_copy_end(piece.data)
            return
        if not self._is_in_doubt:
            for part in self._frontend.cut(piece.data, time_ns):
                self._take_request_part(part)
            if self._frontend.is_lost:
                self._is_ignored = self._frontend.is_tls
                self._doubt()
            return
        self._runs_seen += len(_EXECUTIONS.findall(piece.data))

    def _skip_request(self, count: int) -> None:
        """Bytes of the client were not seen: within a message, within COPY data, or nobody knows what they were."""
        if self._is_in_doubt:
            return
        lost = self._frontend.held_bytes + count
        part = self._frontend.skip(count)
        if part is not None:
            self._take_request_part(part)
        elif self._copying is not None:
            self._copying.request_bytes += lost
            self._is_copy_lost = True
            self._trail = b""
        else:
            self._doubt()

    def _take_request_part(self, part: Part) -> None:
        if self._is_in_doubt:
            return
        if part.is_first:
            self._asking = self._unit_of(part.kind, part.began_ns)
        if self._asking is None:
            return
        self._asking.add_request(part)
        if part.is_last:
            self._asked(part.kind, self._asking)

    def _unit_of(self, kind: int, began_ns: int) -> _Unit | None:
        """Whose a message is that the client begins."""
        if kind in _COPY_KINDS or (self._copying is not None and kind in (_SYNC, _FLUSH)):
            run = self._last_run
            return None if run is None or run.is_done else run
        if kind == _PASSWORD:
            return self._steps[0].unit if self._steps and self._steps[0].kind == STARTUP else None
        if kind == _TERMINATE:
            return None
        if kind in _OPENING or (kind == _SYNC and self._is_skipping):
            self._open = None
            return _Unit(began_ns)
        if kind in _TRAILING and self._trailed is not None and not self._trailed.is_done:
            return self._trailed
        self._close_prepared(kind)
        if self._open is None:
            self._open = _Unit(began_ns)
        elif self._open.response_bytes and not self._open.steps:
            self._open.start_ns = began_ns
        self._trailed = None
        return self._open

    def _close_prepared(self, kind: int) -> None:
        """What was parsed and not bound before the next statement was only prepared."""
        unit = self._open
        if unit is None or not unit.is_parsed or unit.is_bound or kind not in _BEGINNING:
            return
        if len(unit.request) + len(_SYNC_MESSAGE) <= MAX_REQUEST_BYTES:
            unit.request += _SYNC_MESSAGE  # so that nobody takes it for run
        unit.is_closed = True
        self._open = None
        self._settle(unit)

    def _asked(self, kind: int, unit: _Unit) -> None:
        """A message of the client is complete."""
        if kind in _OPENING:
            unit.is_closed = True
            if kind != CANCEL:
                self._expect(kind, unit)
        elif kind in (_COPY_DONE, _COPY_FAIL):
            self._copying = None
            self._trailed = unit
            self._steps.append(_Step(kind, unit))
        elif kind in (_COPY_DATA, _PASSWORD) or (self._copying is not None and kind in (_SYNC, _FLUSH)):
            return  # the server ignores a Sync among COPY data
        else:
            unit.is_request = unit.is_request or kind in _REQUESTS
            unit.is_parsed = unit.is_parsed or kind == _PARSE
            unit.is_bound = unit.is_bound or kind == _BIND
            if kind in _RUN:
                unit.is_run = unit.is_closed = True
                self._open = None
                self._trailed = unit if kind == _EXECUTE else None
                self._last_run = unit
            elif kind == _SYNC:
                unit.is_closed = True
                self._open = self._trailed = None
            if kind != _FLUSH:
                self._expect(kind, unit)

    def _expect(self, kind: int, unit: _Unit) -> None:
        """The server will answer this, unless it skips it."""
        if self._is_skipping and kind != _SYNC:
            self._abort(kind, unit)
            return
        self._is_skipping = False
        if len(self._steps) >= _MAX_STEPS:
            unit.is_done = True
            self._runs_seen += unit.is_run
            self._doubt()
            return
        unit.steps += 1
        self._steps.append(_Step(kind, unit))

    def _abort(self, kind: int, unit: _Unit) -> None:
        self._aborted += kind in _RUN
        unit.is_done = True

    def _doubt(self) -> None:
        """Statements may have passed unseen: those that came whole before will still be answered in order."""
        self._is_in_doubt = True
        if self._open is not None:
            self._runs_seen += self._open.is_request
            self._open.is_done = True
        self._open = self._trailed = self._asking = None

    def _seek_copy_end(self, data: bytes) -> None:
        """Among COPY data whose messages were lost: the end of the data, as it ends a call."""
        unit = self._copying
        if unit is None:
            return
        unit.request_bytes += len(data)
        self._trail = (self._trail + data)[-MAX_TAIL_BYTES:]
        end = _COPY_OVER.search(self._trail)
        if end is None:
            return
        self._end_copy()
        self._asked(_COPY_DONE, unit)
        if end[1]:
            self._asked(_SYNC, unit)

    def _end_copy(self) -> None:
        self._copying = None
        if self._is_copy_lost:
            self._is_copy_lost = False
            self._frontend.begin_anew()

    # ---- what the server sends

    def _take_response(self, piece: Piece, time_ns: int) -> None:
        data = piece.data
        if piece.missing:
            self._skip_response(piece, time_ns)
        while self._steps and self._steps[0].kind == ENCRYPTION and data:
            data = self._take_encryption(data, time_ns)
        if self._is_seeking:
            data = self._seek_ready(data, time_ns)
        if self._is_ignored:
            return
        for part in self._backend.cut(data, time_ns):
            self._take_response_part(part, time_ns)
        if self._backend.is_lost and not (self._is_seeking or self._is_in_doubt):
            self._lose()

    def _take_encryption(self, data: bytes, time_ns: int) -> bytes:
        """The one byte that answers a request for encryption."""
        if data[:1] == b"N":
            self._steps[0].unit.add_response(Part(0, b"N", is_first=True, is_last=True, began_ns=time_ns), time_ns)
            self._step_over()
            return data[1:]
        self._is_ignored = data[:1] in (b"S", b"G")
        self._lose()
        return data

    def _skip_response(self, piece: Piece, time_ns: int) -> None:
        """Bytes of the server were not seen: within a message, before the one end that is due, or who knows."""
        lost = self._backend.held_bytes + piece.missing
        part = self._backend.skip(piece.missing)
        if part is not None:
            self._take_response_part(part, time_ns)
            return
        due = sum(step.kind in _READY_KINDS for step in self._steps)
        if piece.is_gap or due != 1:
            if self._steps or not self._is_in_doubt:
                self._lose()
            return
        self._is_seeking = True
        self._trail = b""
        self._target().response_bytes += lost

    def _target(self) -> _Unit:
        """The statement that the ReadyForQuery that is due ends."""
        target = self._steps[0].unit
        for step in self._steps:
            if step.kind in _RUN:
                target = step.unit
            if step.kind in _READY_KINDS:
                break
        return target

    def _seek_ready(self, data: bytes, time_ns: int) -> bytes:
        """Look for the ReadyForQuery behind a hole; gives the bytes behind it."""
        target = self._target()
        both = self._trail + data
        found = _READY_MESSAGE.search(both)
        taken = len(data) if found is None else max(0, found.end() - len(self._trail))
        target.add_response(Part(0, data[:taken], is_first=False, is_last=False, began_ns=time_ns), time_ns)
        if found is None:
            self._trail = both[-MAX_TAIL_BYTES:]
            return b""
        target.trail = both[max(0, found.end() - MAX_TAIL_BYTES) : found.end()]
        self._is_seeking = False
        self._backend.begin_anew()
        while self._steps:
            step = self._steps.popleft()
            if step.unit is not target and not step.unit.is_done:
                self._dropped += step.unit.is_run
                step.unit.is_done = True
            if step.kind in _READY_KINDS:
                break
        target.steps = 0
        self._settle(target)
        return data[taken:]

    def _take_response_part(self, part: Part, time_ns: int) -> None:
        if part.is_first:
            self._answering = self._steps[0].unit if self._steps else None
            self._answer.clear()
        if self._answering is not None:
            self._answering.add_response(part, time_ns)
        if part.kind in _KEPT and len(self._answer) < MAX_TAIL_BYTES:
            self._answer += part.data[: MAX_TAIL_BYTES - len(self._answer)]
        if part.is_last and part.kind not in _OF_ITSELF:
            self._answered(part.kind)

    def _answered(self, kind: int) -> None:
        """A message of the server is complete."""
        if not self._steps:
            is_of_itself = kind == _ERROR and not self._is_in_doubt  # the server shuts down
            self._answers_seen += kind in _COUNTED and not is_of_itself
            if not (self._is_in_doubt or is_of_itself):
                self._lose()
            return
        step = self._steps[0]
        if kind == _ERROR:
            self._failed(step)
        elif step.kind not in _ANSWERS[kind]:
            self._lose()
        elif kind == _READY:
            step.unit.ready = bytes(self._answer)
            self._step_over()
        else:
            if kind in _KEPT and step.unit.end[:1] != b"E":
                step.unit.end = bytes(self._answer)
            if kind in _COPYING:
                self._begin_copy(step)
            elif kind in _ENDING and step.kind != _QUERY:
                self._step_over()

    def _step_over(self) -> None:
        """The first step is answered; the end of COPY data has no answer of its own."""
        unit = self._steps.popleft().unit
        unit.steps -= 1
        while self._steps and self._steps[0].kind in (_COPY_DONE, _COPY_FAIL):
            self._steps.popleft()
        if unit is self._copying:
            self._end_copy()
        self._settle(unit)

    def _settle(self, unit: _Unit) -> None:
        if unit.is_closed and not unit.steps and not unit.is_done:
            unit.is_done = True
            self._done.append(unit.exchange())

    def _failed(self, step: _Step) -> None:
        """An error: what follows up to the Sync is skipped, and that Sync's answer ends the failed statement."""
        unit = step.unit
        unit.end = bytes(self._answer)
        self._end_copy()
        if step.kind in _READY_KINDS:
            return
        while self._steps and self._steps[0].kind != _SYNC:
            skipped = self._steps.popleft()
            if skipped.unit is not unit and skipped.kind not in (_COPY_DONE, _COPY_FAIL):
                self._abort(skipped.kind, skipped.unit)
        unit.is_closed = True
        unit.steps = 0
        if self._open is unit:
            self._open = None
        if self._steps:
            sync = self._steps[0].unit
            if sync is not unit and not sync.is_request:
                unit.request_bytes += sync.request_bytes
            sync.is_done = sync is not unit
            self._steps[0] = _Step(_SYNC, unit)
            unit.steps = 1
        else:
            self._is_skipping = True
        self._settle(unit)

    def _begin_copy(self, step: _Step) -> None:
        """The server wants COPY data, and ignores every Sync up to their end."""
        rest = list(self._steps)[1:]
        ends = [index for index, one in enumerate(rest) if one.kind in (_COPY_DONE, _COPY_FAIL)]
        among = rest[: ends[0]] if ends else rest
        for one in among:
            if one.kind == _SYNC:
                one.unit.steps -= 1
                one.unit.is_done = one.unit is not step.unit
        kept = [one for one in among if one.kind != _SYNC]
        self._steps = deque([step, *kept, *rest[len(among) :]])
        self._copying = None if ends else step.unit

    def _lose(self) -> None:
        """Which answer belongs to which statement is not known any more."""
        for unit in dict.fromkeys(step.unit for step in self._steps):
            if not unit.is_done:
                self._runs_seen += unit.is_run
                unit.is_done = True
        self._steps.clear()
        self._answering = None
        self._is_skipping = self._is_seeking = False
        self._end_copy()
        self._doubt()
