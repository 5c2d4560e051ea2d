"""From events to requests and windows: who called whom with what, and what that adds up to. Pure; time is passed in.

An event is one end's view of one request. Assembling a drain of the ring means

1. naming both ends (`ends.py`). An event whose far end is not known *yet* is held for a while and tried again;
2. parsing its snippets, once per distinct text (`reading.py`);
3. knowing its size and when its last byte passed. A request whose response is still on its way is held until that is
   known, or for a bounded time (`unfinished.py`);
4. adding it to the window its end falls into (`windows.py`).

The pieces of followed connections become such events first (`following.py`). What the kernel only counted arrives as
differences of its counters (`add_uncaptured`) and goes to the same windows.

An event that repeats known texts costs a few dictionary lookups; everything that is done with its numbers is done for
the whole drain at once.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from osmia.agent.ends import ConnectionKey, Ends, EntityLookup, Sighting
from osmia.agent.events import EVENT, EventFlag, EventKind
from osmia.agent.following import Following
from osmia.agent.reading import Answer, Reader, Statement, Verdict, ends_chunked, request_length
from osmia.agent.redaction import Redaction
from osmia.agent.requests import PROTOCOL_OF, ROW, Group, Pair, Requests
from osmia.agent.unfinished import UNKNOWN_TOTAL, Open, OpenKey, Unfinished
from osmia.agent.windows import Windows
from osmia.model.request import Protocol
from osmia.model.window import Window
from osmia.protocols.registry import STREAMS

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from osmia.agent.uncaptured import Uncaptured

__all__ = ["Assembler", "AssemblyStatistics", "EntityLookup", "OnDns"]

_QUIET_NS = 250_000_000
_UNSEEN_HOLD_NS = 2_500_000_000  # longer than any event waits for the name of its far end
_FOREVER_NS = 600_000_000_000
_HELD_MAX = 20_000

OnDns = Callable[[bytes, int, int, int], None]
"""Takes a DNS answer that a process read: payload, pid, cgroup id, Unix ns."""


@dataclass(frozen=True, slots=True)
class AssemblyStatistics:
    """Counters since start. Each `lost_*` is a request that is missing from windows and request list.

    Requests of `unparsed_*`, `truncated` and `joined_late` are poorer in text. `unfinished` ones were reported before
    their last byte: what came later is in their windows only. `held` and `followed` (connections) are of now, `gaps`
    and `unmatched` those of all followed connections.
    """

    assembled: int = 0
    unparsed_http: int = 0
    unparsed_postgres: int = 0
    truncated: int = 0
    joined_late: int = 0
    out_of_scope: int = 0
    unanswered: int = 0
    unfinished: int = 0
    held: int = 0
    followed: int = 0
    gaps: int = 0
    unmatched: int = 0
    lost_held_full: int = 0
    lost_windows_full: int = 0


@dataclass(slots=True)
class _Rows:
    """Rows of EVENT on their way: the ns to the last byte where known, and until when each may wait (0: new)."""

    events: NDArray[np.void]
    transfers: NDArray[np.uint64]
    deadlines: NDArray[np.int64]

    @classmethod
    def new(cls, events: NDArray[np.void], transfers: NDArray[np.uint64] | None = None) -> _Rows:
        size = len(events)
        known = np.zeros(size, dtype=np.uint64) if transfers is None else transfers
        return cls(events, known, np.zeros(size, dtype=np.int64))

    @classmethod
    def joined(cls, parts: Iterable[_Rows]) -> _Rows:
        kept = [part for part in parts if len(part)]
        if not kept:
            return cls.new(np.zeros(0, dtype=EVENT))
        if len(kept) == 1:
            return kept[0]
        return cls(
            np.concatenate([part.events for part in kept]),
            np.concatenate([part.transfers for part in kept]),
            np.concatenate([part.deadlines for part in kept]),
        )

    def __len__(self) -> int:
        return len(self.events)

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> _Rows:
        return _Rows(self.events[which], self.transfers[which], self.deadlines[which])


@dataclass(frozen=True, slots=True)
class _Counted:
    """Counts of an edge, the Unix ns between which their requests ended, and until when they may wait for an event."""

    uncaptured: Uncaptured
    since_ns: int
    until_ns: int
    deadline_ns: int


@dataclass(slots=True)
class _Batch:
    """What the texts of some rows say: groups, and per row the index of its group (-1: no request) and the rest."""

    groups: list[Group]
    places: dict[tuple[Pair, Statement, Verdict], int]
    templates: dict[tuple[str, Statement], str]
    index: list[int]
    targets: list[str]
    request_totals: list[int]
    response_totals: list[int]


class Assembler:
    """Turns batches of events into requests, and sums them into windows until `flush()` takes those away."""

    def __init__(
        self,
        entities: EntityLookup,
        *,
        only_kubernetes: bool = False,
        redaction: Redaction | None = None,
        quiet_ns: int = _QUIET_NS,
        on_dns: OnDns | None = None,
    ) -> None:
        """With `only_kubernetes`, requests of which neither end is a pod or a node are counted and left out.

        `quiet_ns` is for how long a running response may say nothing; let it be longer than the time between two
        sweeps of the kernel (`Capture.sweep`).
        """
        self._only_kubernetes = only_kubernetes
        self._redaction = redaction or Redaction()
        self._on_dns = on_dns
        self._ends = Ends(entities, only_kubernetes=only_kubernetes)
        self._reader = Reader()
        self._following = Following(STREAMS)
        self._unfinished = Unfinished(quiet_ns=quiet_ns)
        self._windows = Windows()
        self._waiting = _Rows.joined(())
        self._counted: list[_Counted] = []
        self._reported_ns = 0
        self._statistics = AssemblyStatistics()

    def statistics(self) -> AssemblyStatistics:
        """Counters up to now."""
        following = self._following.statistics()
        return replace(
            self._statistics,
            out_of_scope=self._statistics.out_of_scope + self._windows.out_of_scope,
            unfinished=self._unfinished.given_up,
            held=len(self._waiting) + len(self._unfinished),
            followed=following.streams,
            gaps=following.gaps,
            unmatched=following.dropped,
            lost_windows_full=self._windows.lost,
        )

    def add(self, events: NDArray[np.void], *, wall_offset_ns: int, now_ns: int) -> Requests:
        """Assemble one drain of the ring; `wall_offset_ns` turns its clock into Unix ns, `now_ns` is Unix ns.

        Gives the requests that are complete, among them earlier ones that waited.
        """
        kinds = events["kind"]
        is_request = kinds == EventKind.REQUEST
        has_others = not is_request.all()
        if has_others:  # first, for the requests that these names were asked for
            self._tell_dns(events[kinds == EventKind.DNS], wall_offset_ns)
        rows = _Rows.joined(
            (
                self._waiting,
                _Rows.new(events[is_request] if has_others else events),
                _Rows.new(*self._follow(events, kinds, now_ns - wall_offset_ns)),
            )
        )
        complete = self._take(rows, wall_offset_ns=wall_offset_ns, now_ns=now_ns) if len(rows) else None
        if has_others:
            self._take_remainders(events[kinds == EventKind.REMAINDER], now_ns)
        requests = Requests.joined([*([complete] if complete else []), self._unfinished.finished(now_ns)])
        self._ends.forget(now_ns)
        self._reader.forget(now_ns)
        self._windows.add(requests)
        self._bump(assembled=len(requests))
        return requests

    def add_uncaptured(self, counted: Iterable[Uncaptured], *, wall_offset_ns: int, now_ns: int) -> None:
        """Add what only the kernel's counters know: it ended between the last call, or the edge's first, and now.

        Counts of an edge of which no event was seen yet wait for one, as the event may be waiting for names.
        """
        for one in counted:
            first_ns, last_ns = (int(one.edge[name]) + wall_offset_ns for name in ("first_ns", "last_ns"))
            until_ns = min(now_ns, max(last_ns, self._reported_ns))
            since_ns = min(until_ns, max(self._reported_ns, first_ns))
            self._counted.append(_Counted(one, since_ns, until_ns, now_ns + _UNSEEN_HOLD_NS))
        seen = self._windows.seen_edges()
        excess = len(self._counted) - _HELD_MAX
        due = [
            one.uncaptured.key in seen or one.deadline_ns <= now_ns or index < excess
            for index, one in enumerate(self._counted)
        ]
        ready = [one for one, is_due in zip(self._counted, due, strict=True) if is_due]
        self._counted = [one for one, is_due in zip(self._counted, due, strict=True) if not is_due]
        self._windows.add_uncaptured(
            [(one.uncaptured, one.since_ns, one.until_ns) for one in ready],
            lambda one: self._ends.key_of_edge(one.edge, now_ns),
        )
        self._reported_ns = now_ns

    def finish(self, *, wall_offset_ns: int, now_ns: int) -> Requests:
        """The end: everything that waits is taken with what is known of it."""
        later_ns = now_ns + _FOREVER_NS
        requests = self.add(np.zeros(0, dtype=EVENT), wall_offset_ns=wall_offset_ns, now_ns=later_ns)
        self.add_uncaptured([], wall_offset_ns=wall_offset_ns, now_ns=later_ns)
        return requests

    def flush(self) -> list[Window]:
        """All windows that changed since the last flush, as parts to be added up."""
        return self._windows.flush()

    def _follow(
        self, events: NDArray[np.void], kinds: NDArray[np.uint8], now_ring_ns: int
    ) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """Requests of followed connections."""
        is_piece = (kinds == EventKind.CHUNK) | (kinds == EventKind.CLOSED)
        if is_piece.any():
            return self._following.feed(events[is_piece])
        return self._following.forget(now_ring_ns)

    def _tell_dns(self, events: NDArray[np.void], wall_offset_ns: int) -> None:
        if self._on_dns is None:
            return
        for event in events:
            payload = event["request"].tobytes()[: int(event["request_length"])]
            self._on_dns(payload, int(event["pid"]), int(event["cgroup_id"]), int(event["end_ns"]) + wall_offset_ns)

    # ---- naming both ends ------------------------------------------------------------------------------------------

    def _take(self, rows: _Rows, *, wall_offset_ns: int, now_ns: int) -> Requests:
        """The requests among the rows whose ends are known and in scope; the others wait, or are left out."""
        pairs = self._pairs_of(rows, wall_offset_ns=wall_offset_ns, now_ns=now_ns)
        if self._only_kubernetes:
            in_scope = [pair if pair is not None and pair.in_scope else None for pair in pairs]
            self._bump(out_of_scope=in_scope.count(None) - pairs.count(None))
            pairs = in_scope
        found = [pair for pair in pairs if pair is not None]
        if len(found) < len(pairs):
            rows = rows.chosen(np.array([pair is not None for pair in pairs], dtype=np.bool_))
        return self._assemble(rows, found, wall_offset_ns=wall_offset_ns, now_ns=now_ns)

    def _pairs_of(self, rows: _Rows, *, wall_offset_ns: int, now_ns: int) -> list[Pair | None]:
        """Both ends of each row; None where the far one may be known better in a while: then the row waits."""
        keys = _connection_keys(rows.events)
        pairs = self._ends.known(keys)
        unknown = [index for index, pair in enumerate(pairs) if pair is None]
        newest = {keys[index]: index for index in unknown}
        seen = {key: Sighting.of(rows.events[index], wall_offset_ns) for key, index in newest.items()}
        for one in seen.values():  # all of them first, so that two ends of one connection find each other
            self._ends.remember(one)
        made: dict[ConnectionKey, Pair | None] = {}
        held: list[int] = []
        for index in unknown:
            key, deadline_ns = keys[index], int(rows.deadlines[index])
            is_last_try = 0 < deadline_ns <= now_ns
            if made.get(key) is None and (key not in made or is_last_try):
                made[key] = self._ends.pair(key, seen[key], is_last_try=is_last_try)
            pairs[index] = made[key]
            if pairs[index] is None:
                held.append(index)
                rows.deadlines[index] = deadline_ns or now_ns + self._ends.patience_ns(seen[key])
        self._bump(lost_held_full=max(0, len(held) - _HELD_MAX))
        self._waiting = rows.chosen(np.array(held[:_HELD_MAX], dtype=np.int64))
        return pairs

    # ---- parsing and sizing ----------------------------------------------------------------------------------------

    def _assemble(self, rows: _Rows, pairs: list[Pair], *, wall_offset_ns: int, now_ns: int) -> Requests:
        """The requests of these rows that are complete; the others are held."""
        batch = self._parse(rows.events, pairs, wall_offset_ns)
        made = _numbers(rows, wall_offset_ns)
        made["group"] = batch.index
        is_request = made["group"] >= 0
        is_open = made["response_bytes"] < np.array(batch.response_totals, dtype=np.uint64)
        is_open |= made["request_bytes"] < np.array(batch.request_totals, dtype=np.uint64)
        for index in np.flatnonzero(is_open & is_request).tolist():
            event, row = rows.events[index], made[index].copy()
            group, target = batch.groups[int(row["group"])], batch.targets[index]
            one = Open(group, row, target, batch.request_totals[index], batch.response_totals[index])
            self._unfinished.hold(_open_key(event), one, now_ns)
        is_complete = is_request & ~is_open
        if is_complete.all():
            return Requests(batch.groups, made, batch.targets)
        chosen = np.flatnonzero(is_complete)
        return Requests(batch.groups, made[chosen], [batch.targets[index] for index in chosen.tolist()])

    def _parse(self, events: NDArray[np.void], pairs: list[Pair], wall_offset_ns: int) -> _Batch:
        """Read what each event says. Once per event, so in few steps."""
        batch = _Batch([], {}, {}, [], [], [], [])
        raw, columns = events.tobytes(), [events[name].tolist() for name in _PARSED]
        remarks: list[str] = []
        for at, pair, row in zip(range(0, len(raw), EVENT.itemsize), pairs, zip(*columns, strict=True), strict=True):
            protocol, flags, length, head_length, tail_length, response_bytes, connection, port, sequence, end_ns = row
            request = raw[at + _REQUEST_AT : at + _REQUEST_AT + length]
            head = raw[at + _HEAD_AT : at + _HEAD_AT + head_length]
            tail = raw[at + _TAIL_AT : at + _TAIL_AT + tail_length]
            if protocol == _HTTP:
                said = self._reader.http_request(request)
            else:
                at_ns = end_ns + wall_offset_ns
                said = self._reader.postgres_request(request, (connection, port), sequence=sequence, at_ns=at_ns)
            statement = said.statement
            answer = self._reader.answer(PROTOCOL_OF[protocol], head, tail, flags)
            place = batch.places.get((pair, statement, answer.verdict))
            if place is None:
                place = self._place(batch, (pair, statement, answer.verdict), end_ns + wall_offset_ns)
            if said.remarks or flags & _UNANSWERED:
                remarks += (*said.remarks, "unanswered") if flags & _UNANSWERED else said.remarks
            is_over = protocol != _HTTP or bool(flags & _OVER) or statement.method in _WITHOUT_BODY
            batch.index.append(place)
            batch.targets.append(said.target)
            batch.response_totals.append(
                response_bytes if is_over else _response_total(answer, head, tail, response_bytes)
            )
            batch.request_totals.append((request_length(request) or 0) if statement.has_body and not is_over else 0)
        self._bump(**Counter(remarks))
        return batch

    def _place(self, batch: _Batch, shared: tuple[Pair, Statement, Verdict], at_ns: int) -> int:
        """Index of a new group, -1 for what manages a connection and is no request."""
        pair, statement, verdict = shared
        place = -1
        if not statement.is_session:
            names = pair.names
            template = batch.templates.get((names.service, statement))
            if template is None:
                template = self._redaction.template(
                    statement.template, protocol=names.key.protocol, service=names.service, at_ns=at_ns
                )
                batch.templates[names.service, statement] = template
            endpoint = names.endpoint(statement.method, template, verdict.status, is_error=verdict.is_error)
            place = len(batch.groups)
            batch.groups.append(Group(pair, endpoint))
        batch.places[shared] = place
        return place

    def _take_remainders(self, remainders: NDArray[np.void], now_ns: int) -> None:
        may_be_early = len(self._waiting) > 0  # its request may be among those whose far end is not known yet
        for event in remainders:
            more = self._unfinished.take(_open_key(event), event, now_ns, may_be_early=may_be_early)
            if more is not None:
                self._windows.add_bytes(
                    more.group,
                    more.end_ns,
                    request_bytes=more.request_bytes,
                    response_bytes=more.response_bytes,
                )

    def _bump(self, **by: int) -> None:
        changed = {name: getattr(self._statistics, name) + amount for name, amount in by.items() if amount}
        if changed:
            self._statistics = replace(self._statistics, **changed)


def _open_key(event: NDArray[np.void]) -> OpenKey:
    return (int(event["connection"]), int(event["sequence"]), int(event["start_ns"]))


_HTTP = next(code for code, protocol in PROTOCOL_OF.items() if protocol is Protocol.HTTP)
_UNANSWERED = int(EventFlag.UNANSWERED)
_OVER = int(EventFlag.UNANSWERED | EventFlag.FINAL)
_WITHOUT_BODY = frozenset({"HEAD", "CONNECT"})
"""Methods whose response is over with its head, whatever that declares."""

_PARSED = (
    "protocol",
    "flags",
    "request_length",
    "response_head_length",
    "response_tail_length",
    "response_bytes",
    "connection",
    "local_port",
    "sequence",
    "end_ns",
)
_OFFSETS = {name: int(given[1]) for name, given in (EVENT.fields or {}).items()}
_REQUEST_AT, _HEAD_AT, _TAIL_AT = _OFFSETS["request"], _OFFSETS["response_head"], _OFFSETS["response_tail"]


def _connection_keys(events: NDArray[np.void]) -> list[ConnectionKey]:
    owner = events["pid"].astype(np.uint64) << np.uint64(32)
    owner |= events["local_port"].astype(np.uint64) << np.uint64(16)
    owner |= events["remote_port"]
    return list(zip(events["connection"].tolist(), events["edge"].tolist(), owner.tolist(), strict=True))


def _numbers(rows: _Rows, wall_offset_ns: int) -> NDArray[np.void]:
    """The rows of ROW, all but their groups."""
    events = rows.events
    made = np.empty(len(events), dtype=ROW)
    made["time_ns"] = events["start_ns"] + np.uint64(wall_offset_ns)
    made["latency_ns"] = np.maximum(events["end_ns"], events["start_ns"]) - events["start_ns"]
    made["transfer_ns"] = rows.transfers
    made["request_bytes"] = events["request_bytes"]
    made["response_bytes"] = events["response_bytes"]
    made["weight"] = np.maximum(events["weight"], 1)
    return made


def _response_total(answer: Answer, head: bytes, tail: bytes, response_bytes: int) -> int:
    """Bytes of the whole response; those seen already where there will be no more."""
    if answer.declared is not None:
        return answer.declared
    return response_bytes if ends_chunked(head, tail) else UNKNOWN_TOTAL
