"""From events to requests and windows: who called whom with what, and what that adds up to. Pure; time is passed in.

An event is one end's view of one request. Assembling it means

1. naming both ends. Whatever end of a connection a process on this machine was seen at is remembered, so that two
   ends on one host find each other before any address is looked up. An event whose far end is not known *yet* is
   held for a while and tried again;
2. parsing its snippets, once per distinct text;
3. knowing its size. A response whose head does not declare its length is held until the kernel reports the
   remainder, or a quarter of a second has passed;
4. adding it to the window its end falls into.

What the ring could not carry arrives as differences of kernel counters (`add_uncaptured`) and is added to the same
windows under the template `UNCAPTURED`, so that the sum over an edge is exact whatever was dropped.
"""

from __future__ import annotations

import functools
import typing
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from osmia.agent.events import EventKind, ProtocolCode, RoleCode
from osmia.model.entity import Entity, EntityKind
from osmia.model.histogram import bucket_of
from osmia.model.request import UNCAPTURED, Address, Process, Protocol, Request, Role
from osmia.model.window import WINDOW_S, EdgeKey, Window
from osmia.protocols.parser import UNRECOGNISED
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from osmia.protocols.parser import ParsedRequest, ParsedResponse

__all__ = ["Assembler", "AssemblyStatistics", "EntityLookup", "Uncaptured"]

_PROTOCOL_OF = {ProtocolCode.HTTP: Protocol.HTTP, ProtocolCode.POSTGRES: Protocol.POSTGRES}
_ROLES = {RoleCode.CLIENT: Role.CLIENT, RoleCode.SERVER: Role.SERVER}

_UNKNOWN_END_HOLD_NS = 2_000_000_000  # Kubernetes tells a pod's address up to a second after its first request
_SAME_HOST_HOLD_NS = 200_000_000  # the two ends' events are at most a few drains apart
_REMAINDER_HOLD_NS = 250_000_000
_PAIR_LIFE_NS = 10_000_000_000  # how long a connection's ends may be taken from the cache
_END_LIFE_NS = 60_000_000_000  # an end that is used again is seen again: both ends' events come together
_STATEMENTS_LIFE_NS = 1_800_000_000_000  # prepared statements of a connection that has gone or sleeps

_HELD_MAX = 20_000
_ENDS_MAX = 32_768
_PAIRS_MAX = 16_384
_ADDRESSES_MAX = 8_192
_REQUEST_LINES_MAX = 8_192
_CONNECTIONS_MAX = 8_192
_WINDOW_ROWS_MAX = 50_000


class EntityLookup(typing.Protocol):
    """Who owns what; `agent.entities.Entities` is the real one."""

    def local(self, cgroup_id: int, pid: int, command: str, *, at_ns: int) -> Entity:
        """The entity a process of this machine belongs to."""
        ...

    def remote(self, address: Address, *, at_ns: int) -> Entity | None:
        """The owner of an address, EXTERNAL if nobody here owns it, None if that is not known yet."""
        ...

    def translate(self, client: Address, server: Address) -> Address | None:
        """Where a connection to `server` really went after address translation; None if not translated or unknown."""
        ...

    def origin(self, client: Address, server: Address) -> Address | None:
        """Who really opened a connection that the server sees coming from `client`; None if that is the truth."""
        ...

    def service_of(self, server: Address) -> str:
        """Name of the Service that has this virtual address, or empty."""
        ...


@dataclass(frozen=True, slots=True)
class Uncaptured:
    """Requests of one edge that the kernel counted but could not send: differences since the last report."""

    edge: NDArray[np.void]
    count: int
    errors: int
    latency_sum_ns: int
    request_bytes: int
    response_bytes: int
    histogram: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class AssemblyStatistics:
    """Counters since start. Each `lost_*` is a request that is missing from windows and request list."""

    assembled: int = 0
    unrecognised: int = 0
    out_of_scope: int = 0
    held: int = 0
    lost_held_full: int = 0
    lost_windows_full: int = 0


@dataclass(slots=True, eq=False)
class _Pair:
    """Both ends of one connection, as its client or its server saw them."""

    source: Entity
    destination: Entity
    client_process: Process | None
    server_process: Process | None
    client: Address
    server: Address
    server_port: int
    made_ns: int
    in_scope: bool


@dataclass(frozen=True, slots=True)
class _End:
    """A process on this machine at one end of a connection."""

    entity: Entity
    process: Process
    made_ns: int


@dataclass(frozen=True, slots=True)
class _Event:
    """One event of the ring as plain Python values; times in Unix ns."""

    edge: int
    connection: int
    start_ns: int
    end_ns: int
    cgroup_id: int
    request_bytes: int
    response_bytes: int
    pid: int
    netns: int
    sequence: int
    local: Address
    remote: Address
    protocol: Protocol
    role: Role
    is_remainder: bool
    command: str
    request: bytes
    response_head: bytes
    response_tail: bytes


@dataclass(slots=True)
class _Sums:
    """One row of a window while it grows."""

    count: int = 0
    errors: int = 0
    latency_sum_ns: int = 0
    latency_max_ns: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    histogram: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Statements:
    """What one PostgreSQL connection has prepared."""

    connection: PostgresConnection
    made_ns: int


@dataclass(slots=True)
class _Held:
    """A request that waits for something, until `deadline_ns`."""

    event: _Event
    deadline_ns: int
    request: Request | None = None


class Assembler:
    """Turns batches of events into requests, and sums them into windows until `flush()` takes those away."""

    def __init__(self, entities: EntityLookup, *, only_kubernetes: bool = False) -> None:
        """With `only_kubernetes`, requests of which neither end is a pod or a node are counted and left out."""
        self._entities = entities
        self._only_kubernetes = only_kubernetes
        self._statistics = AssemblyStatistics()
        self._ends: OrderedDict[tuple[int, str, int], _End] = OrderedDict()
        self._pairs: OrderedDict[tuple[int, int, int, int], _Pair] = OrderedDict()
        self._request_lines: dict[bytes, ParsedRequest] = {}
        self._postgres: OrderedDict[tuple[int, int], _Statements] = OrderedDict()
        self._waiting: deque[_Held] = deque()
        self._unsized: OrderedDict[tuple[int, int], _Held] = OrderedDict()
        self._windows: dict[tuple[int, EdgeKey], _Sums] = {}
        self._early_remainders: OrderedDict[tuple[int, int], int] = OrderedDict()

    def statistics(self) -> AssemblyStatistics:
        """Counters up to now."""
        return replace(self._statistics, held=len(self._waiting) + len(self._unsized))

    def add(self, events: NDArray[np.void], *, wall_offset_ns: int, now_ns: int) -> list[Request]:
        """Assemble one drain of the ring; `wall_offset_ns` turns its clock into Unix ns, `now_ns` is Unix ns.

        Gives the requests that are complete, among them earlier ones that waited.
        """
        batch = list(_decode(events, wall_offset_ns))
        for event in batch:
            if not event.is_remainder:
                self._remember_end(event)
        finished: list[Request] = []
        waiting, self._waiting = self._waiting, deque()
        for held in waiting:
            self._take(held.event, held.deadline_ns, now_ns=now_ns, finished=finished)
        for event in batch:
            if event.is_remainder:
                self._take_remainder(event, finished)
            else:
                self._take(event, 0, now_ns=now_ns, finished=finished)
        self._release_unsized(now_ns, finished)
        self._forget(now_ns)
        for request in finished:
            self._count(request)
        if finished:
            self._bump(assembled=len(finished))
        return finished

    def add_uncaptured(self, lost: Iterable[Uncaptured], *, now_ns: int) -> None:
        """Add what only the kernel's counters know; `now_ns` (Unix) decides the window."""
        for one in lost:
            key = self._key_of_edge(one.edge, now_ns)
            if key is None:
                continue
            sums = self._sums(key, now_ns)
            if sums is None:
                continue
            sums.count += one.count
            sums.errors += one.errors
            sums.latency_sum_ns += one.latency_sum_ns
            sums.request_bytes += one.request_bytes
            sums.response_bytes += one.response_bytes
            sums.first_ns = sums.first_ns or now_ns
            sums.last_ns = now_ns
            for bucket, count in one.histogram.items():
                sums.histogram[bucket] = sums.histogram.get(bucket, 0) + count

    def flush(self) -> list[Window]:
        """All windows that changed since the last flush, as parts to be added up."""
        taken, self._windows = self._windows, {}
        return [
            Window(
                start_s,
                key,
                sums.count,
                sums.errors,
                sums.latency_sum_ns,
                sums.latency_max_ns,
                sums.request_bytes,
                sums.response_bytes,
                sums.first_ns,
                sums.last_ns,
                sums.histogram,
            )
            for (start_s, key), sums in taken.items()
        ]

    def _forget(self, now_ns: int) -> None:
        """Drop what is too old to be used again, so that memory follows the traffic of now, not of all time."""
        _drop_old(self._ends, now_ns - _END_LIFE_NS)
        _drop_old(self._pairs, now_ns - _PAIR_LIFE_NS)
        _drop_old(self._postgres, now_ns - _STATEMENTS_LIFE_NS)

    # ---- naming both ends ------------------------------------------------------------------------------------------

    def _remember_end(self, event: _Event) -> _End:
        entity = self._entities.local(event.cgroup_id, event.pid, event.command, at_ns=event.end_ns)
        key = _end_key(event.netns, event.local)
        end = self._ends[key] = _End(entity, Process(event.pid, event.command), event.end_ns)
        self._ends.move_to_end(key)
        _shrink(self._ends, _ENDS_MAX)
        return end

    def _pair_of(self, event: _Event, *, is_last_try: bool) -> _Pair | None:
        key = (event.connection, event.edge, event.local.port, event.remote.port)
        pair = self._pairs.get(key)
        if pair is not None and event.end_ns - pair.made_ns < _PAIR_LIFE_NS:
            return pair
        pair = self._make_pair(event, is_last_try=is_last_try)
        if pair is not None:
            self._pairs[key] = pair
            self._pairs.move_to_end(key)
            _shrink(self._pairs, _PAIRS_MAX)
        return pair

    def _make_pair(self, event: _Event, *, is_last_try: bool) -> _Pair | None:
        near = self._ends.get(_end_key(event.netns, event.local)) or self._remember_end(event)
        service = ""
        if event.role is Role.CLIENT:
            service = self._entities.service_of(event.remote)
            far_address = self._entities.translate(event.local, event.remote) or event.remote
        else:
            far_address = self._entities.origin(event.remote, event.local) or event.remote
        end = self._ends.get(_end_key(event.netns, far_address))
        far = end.entity if end else self._entities.remote(far_address, at_ns=event.end_ns)
        if not is_last_try and (far is None or (end is None and far.kind in _HOST_KINDS)):
            return None
        far = far or Entity(EntityKind.EXTERNAL, far_address.ip)
        near_entity = replace(near.entity, ip=event.local.ip)
        far_entity = replace(far, ip=far_address.ip, service=service or far.service)
        far_process = end.process if end else None
        is_client = event.role is Role.CLIENT
        return _Pair(
            source=near_entity if is_client else far_entity,
            destination=far_entity if is_client else near_entity,
            client_process=near.process if is_client else far_process,
            server_process=far_process if is_client else near.process,
            client=event.local if is_client else event.remote,
            server=event.remote if is_client else event.local,
            server_port=far_address.port if is_client else event.local.port,
            made_ns=event.end_ns,
            in_scope=not self._only_kubernetes or _is_kubernetes(near_entity) or _is_kubernetes(far_entity),
        )

    def _take(self, event: _Event, deadline_ns: int, *, now_ns: int, finished: list[Request]) -> None:
        pair = self._pair_of(event, is_last_try=0 < deadline_ns <= now_ns)
        if pair is None:
            self._hold(event, deadline_ns or now_ns + self._patience_ns(event))
            return
        if not pair.in_scope:
            self._bump(out_of_scope=1)
            return
        self._finish(event, pair, now_ns=now_ns, finished=finished)

    def _patience_ns(self, event: _Event) -> int:
        far = self._entities.remote(event.remote, at_ns=event.end_ns)
        return _UNKNOWN_END_HOLD_NS if far is None else _SAME_HOST_HOLD_NS

    def _hold(self, event: _Event, deadline_ns: int) -> None:
        if len(self._waiting) >= _HELD_MAX:
            self._bump(lost_held_full=1)
            return
        self._waiting.append(_Held(event, deadline_ns))

    # ---- parsing and sizing ----------------------------------------------------------------------------------------

    def _finish(self, event: _Event, pair: _Pair, *, now_ns: int, finished: list[Request]) -> None:
        parsed = self._parse_request(event)
        if parsed.is_session:
            return
        if parsed.template == UNRECOGNISED:
            self._bump(unrecognised=1)
        answer = PROTOCOLS[event.protocol].response(event.response_head, event.response_tail)
        declared = _declared_bytes(event, parsed, answer)
        request = _request_of(event, pair, parsed, answer, response_bytes=max(declared or 0, event.response_bytes))
        early = self._early_remainders.pop((event.connection, event.sequence), None)
        if declared is None and early is None:
            self._unsized[event.connection, event.sequence] = _Held(event, now_ns + _REMAINDER_HOLD_NS, request)
            if len(self._unsized) > _HELD_MAX:
                _, oldest = self._unsized.popitem(last=False)
                finished.extend([oldest.request] if oldest.request else [])
            return
        finished.append(replace(request, response_bytes=early) if early and declared is None else request)

    def _parse_request(self, event: _Event) -> ParsedRequest:
        if event.protocol is Protocol.POSTGRES:
            key = (event.connection, event.local.port)
            known = self._postgres.get(key) or self._postgres.setdefault(key, _Statements(PostgresConnection(), 0))
            known.made_ns = event.end_ns
            self._postgres.move_to_end(key)
            _shrink(self._postgres, _CONNECTIONS_MAX)
            return known.connection.feed_request(event.request)
        line, found, _ = event.request.partition(b"\r\n")
        line += found
        parsed = self._request_lines.get(line)
        if parsed is None:
            if len(self._request_lines) >= _REQUEST_LINES_MAX:
                self._request_lines.clear()
            parsed = self._request_lines[line] = PROTOCOLS[event.protocol].request(line)
        return parsed

    def _take_remainder(self, event: _Event, finished: list[Request]) -> None:
        key = (event.connection, event.sequence)
        held = self._unsized.pop(key, None)
        if held is not None and held.request is not None:
            finished.append(replace(held.request, response_bytes=event.response_bytes))
        elif self._waiting:  # its request may be among those whose far end is not known yet
            self._early_remainders[key] = event.response_bytes
            _shrink(self._early_remainders, _CONNECTIONS_MAX)

    def _release_unsized(self, now_ns: int, finished: list[Request]) -> None:
        while self._unsized:
            key, held = next(iter(self._unsized.items()))
            if held.deadline_ns > now_ns:
                return
            del self._unsized[key]
            if held.request is not None:
                finished.append(held.request)

    # ---- adding up -------------------------------------------------------------------------------------------------

    def _count(self, request: Request) -> None:
        end_ns = request.time_ns + request.latency_ns
        sums = self._sums(_key_of_request(request), end_ns)
        if sums is None:
            return
        sums.count += 1
        sums.errors += request.is_error
        sums.latency_sum_ns += request.latency_ns
        sums.latency_max_ns = max(sums.latency_max_ns, request.latency_ns)
        sums.request_bytes += request.request_bytes
        sums.response_bytes += request.response_bytes
        sums.first_ns = min(sums.first_ns or end_ns, end_ns)
        sums.last_ns = max(sums.last_ns, end_ns)
        bucket = bucket_of(request.latency_ns)
        sums.histogram[bucket] = sums.histogram.get(bucket, 0) + 1

    def _sums(self, key: EdgeKey, end_ns: int) -> _Sums | None:
        start_s = end_ns // 1_000_000_000 // WINDOW_S * WINDOW_S
        sums = self._windows.get((start_s, key))
        if sums is None:
            if len(self._windows) >= _WINDOW_ROWS_MAX:
                self._bump(lost_windows_full=1)
                return None
            sums = self._windows[start_s, key] = _Sums()
        return sums

    def _key_of_edge(self, edge: NDArray[np.void], now_ns: int) -> EdgeKey | None:
        role = _ROLES[RoleCode(int(edge["role"]))]
        near = self._entities.local(int(edge["cgroup_id"]), int(edge["pid"]), _text(edge["command"]), at_ns=now_ns)
        far_address = Address.from_bytes(edge["remote_ip"].tobytes(), int(edge["server_port"]))
        far = self._entities.remote(far_address, at_ns=now_ns) or Entity(EntityKind.EXTERNAL, far_address.ip)
        if self._only_kubernetes and not (_is_kubernetes(near) or _is_kubernetes(far)):
            return None
        if role is Role.CLIENT:
            far = replace(far, service=self._entities.service_of(far_address) or far.service)
        source, destination = (near, far) if role is Role.CLIENT else (far, near)
        protocol = _PROTOCOL_OF[ProtocolCode(int(edge["protocol"]))]
        return EdgeKey(
            role=role,
            protocol=protocol,
            is_tls=False,
            source=source,
            destination=destination,
            server_port=int(edge["server_port"]),
            method="",
            template=UNCAPTURED,
            status="",
        )

    def _bump(self, **by: int) -> None:
        self._statistics = replace(
            self._statistics, **{name: getattr(self._statistics, name) + amount for name, amount in by.items()}
        )


_HOST_KINDS = frozenset({EntityKind.NODE, EntityKind.PROCESS})
"""Kinds that an address of this machine gets while the process behind it has not been seen."""

_KUBERNETES_KINDS = frozenset(EntityKind) - {
    EntityKind.EXTERNAL,
    EntityKind.PROCESS,
    EntityKind.UNIT,
    EntityKind.CONTAINER,
    EntityKind.NODE,
}


def _is_kubernetes(entity: Entity) -> bool:
    return entity.kind in _KUBERNETES_KINDS


def _end_key(netns: int, address: Address) -> tuple[int, str, int]:
    """Loopback addresses mean something only within their network namespace."""
    is_loopback = address.ip.startswith("127.") or address.ip == "::1"
    return (netns if is_loopback else 0, address.ip, address.port)


def _shrink(cache: OrderedDict[typing.Any, typing.Any], limit: int) -> None:
    while len(cache) > limit:
        cache.popitem(last=False)


def _drop_old(cache: OrderedDict[typing.Any, typing.Any], before_ns: int) -> None:
    """Entries are in the order of their `made_ns`, which is also the order of their last use."""
    while cache and next(iter(cache.values())).made_ns < before_ns:
        cache.popitem(last=False)


def _text(raw: NDArray[np.void]) -> str:
    return bytes(raw.tobytes()).split(b"\0", 1)[0].decode("utf-8", "replace")


def _declared_bytes(event: _Event, parsed: ParsedRequest, answer: ParsedResponse) -> int | None:
    """Size of the whole response where that is certain already."""
    if event.protocol is Protocol.POSTGRES:
        return event.response_bytes
    if parsed.method == "HEAD":
        return event.response_bytes
    return answer.declared_length


def _request_of(
    event: _Event, pair: _Pair, parsed: ParsedRequest, answer: ParsedResponse, *, response_bytes: int
) -> Request:
    return Request(
        time_ns=event.start_ns,
        protocol=event.protocol,
        role=event.role,
        client=pair.client,
        server=pair.server,
        source=pair.source,
        destination=pair.destination,
        client_process=pair.client_process,
        server_process=pair.server_process,
        method=parsed.method,
        target=parsed.target,
        template=parsed.template,
        status=answer.status,
        is_error=answer.is_error,
        is_tls=False,
        latency_ns=event.end_ns - event.start_ns,
        request_bytes=event.request_bytes,
        response_bytes=response_bytes,
        server_port=pair.server_port,
    )


def _key_of_request(request: Request) -> EdgeKey:
    return EdgeKey(
        request.role,
        request.protocol,
        request.is_tls,
        request.source,
        request.destination,
        request.server_port,
        request.method,
        request.template,
        request.status,
    )


def _decode(events: NDArray[np.void], wall_offset_ns: int) -> Iterable[_Event]:
    """Structured array to values, column by column: a scalar access per field would cost five times as much."""
    columns = [events[name].tolist() for name in _COLUMNS]
    for values in zip(*columns, strict=True):
        row = dict(zip(_COLUMNS, values, strict=True))
        is_remainder = row["kind"] == EventKind.REMAINDER
        yield _Event(
            edge=row["edge"],
            connection=row["connection"],
            start_ns=row["start_ns"] + wall_offset_ns,
            end_ns=row["end_ns"] + wall_offset_ns,
            cgroup_id=row["cgroup_id"],
            request_bytes=row["request_bytes"],
            response_bytes=row["response_bytes"],
            pid=row["pid"],
            netns=row["netns"],
            sequence=row["sequence"],
            local=_address(row["local_ip"], row["local_port"]),
            remote=_address(row["remote_ip"], row["remote_port"]),
            protocol=_PROTOCOL_OF[row["protocol"]],
            role=_ROLES[row["role"]],
            is_remainder=is_remainder,
            command="" if is_remainder else row["command"].split(b"\0", 1)[0].decode("utf-8", "replace"),
            request=row["request"][: row["request_length"]],
            response_head=row["response_head"][: row["response_head_length"]],
            response_tail=row["response_tail"][: row["response_tail_length"]],
        )


@functools.lru_cache(maxsize=_ADDRESSES_MAX)
def _address(ip: bytes, port: int) -> Address:
    """Addresses repeat; making one costs 3 us."""
    return Address.from_bytes(ip, port)


_COLUMNS = (
    "edge",
    "connection",
    "start_ns",
    "end_ns",
    "cgroup_id",
    "request_bytes",
    "response_bytes",
    "pid",
    "netns",
    "sequence",
    "local_port",
    "remote_port",
    "local_ip",
    "remote_ip",
    "kind",
    "protocol",
    "role",
    "request_length",
    "response_head_length",
    "response_tail_length",
    "command",
    "response_head",
    "response_tail",
    "request",
)
