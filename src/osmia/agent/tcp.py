"""From the kernel's totals per connection edge to windows: what each edge did since the last look, and whose it is.

Pure; time is passed in. An edge's total is what its ended connections left in the kernel's map plus what the open ones
say of themselves. A connection that ends between the two readings is missing for one look, so totals are followed
upwards only. Differences gather per edge until something happened on it (a connect, a failure, an end) or its window is
over; then they are named as requests are: cgroup for the near end, conntrack and addresses for the far one.

Two ends on this host find each other by address and port before anybody's address is looked up. Where the address is
the host's own it stands for several processes: then each client's view tells of itself and the server's is left out.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from osmia.agent.events import RoleCode
from osmia.agent.tcp_state import TCP_SUMS, Measure, SocketFlag, TcpState
from osmia.model.connection import ConnectionKey, ConnectionWindow, ListenerWindow
from osmia.model.entity import Entity, EntityKind
from osmia.model.request import Address, Role
from osmia.model.window import WINDOW_S

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from osmia.agent.ends import EntityLookup

__all__ = ["ConnectionTracker", "ListenerTracker", "TrackerStatistics"]

_NAMED_FOR_NS = 10_000_000_000
_UNKNOWN_END_HOLD_NS = 2_000_000_000  # as in assembly: a pod's address may be told after its first connection
_IDLE_EDGE_NS = 120_000_000_000
_WINDOW_NS = WINDOW_S * 1_000_000_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

_HAPPENINGS = slice(0, TCP_SUMS.index("connect_ns"))
_PAYLOAD = ("sent_bytes", "received_bytes")
_LIVE = ("sent_bytes", "received_bytes", "segments", "retransmits", "resets_sent", "resets_received")

_Buckets = dict[int, int]
_EndKey = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class TrackerStatistics:
    """Edges followed now, and how often one was named and found to be out of scope."""

    edges: int = 0
    out_of_scope: int = 0


@dataclass(frozen=True, slots=True)
class _Facts:
    """What identifies an edge, with the ports of its latest connection."""

    role: Role
    cgroup_id: int
    netns: int
    pid: int
    command: str
    local: Address
    remote: Address


@dataclass(frozen=True, slots=True)
class _Names:
    """Who an edge belongs to; None where it is not reported."""

    key: ConnectionKey | None
    made_ns: int


@dataclass(slots=True)
class _Pending:
    """What gathered since an edge was reported last."""

    begun_ns: int
    first_ns: int
    sums: list[int] = field(default_factory=lambda: [0] * len(TCP_SUMS))
    active: int = 0
    active_ms: int = 0
    last_ns: int = 0
    histograms: tuple[_Buckets, _Buckets] = field(default_factory=lambda: ({}, {}))


@dataclass(slots=True)
class _Edge:
    """One edge of the kernel: totals taken so far, the far end after translation, and what waits to be reported."""

    facts: _Facts
    taken: list[int] = field(default_factory=lambda: [0] * len(TCP_SUMS))
    far: Address | None = None
    names: _Names | None = None
    pending: _Pending | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """One edge in one reading: totals, how many connections are open, first and last touch (Unix ns)."""

    facts: _Facts
    totals: list[int]
    active: int
    first_ns: int
    last_ns: int


class ConnectionTracker:
    """Takes readings of the kernel's maps by `advance()`, gives windows by `flush()`."""

    def __init__(self, entities: EntityLookup, *, only_kubernetes: bool = False) -> None:
        """With `only_kubernetes`, edges of which neither end is a pod are counted and left out."""
        self._entities = entities
        self._only_kubernetes = only_kubernetes
        self._statistics = TrackerStatistics()
        self._edges: dict[int, _Edge] = {}
        self._servers: dict[_EndKey, _Facts] = {}
        self._clients: dict[tuple[_EndKey, str], _Facts] = {}
        self._looked_ns = 0
        self._buckets = _BucketGrowth()

    def statistics(self) -> TrackerStatistics:
        """Counters up to now."""
        return replace(self._statistics, edges=len(self._edges))

    def advance(self, state: TcpState, *, wall_offset_ns: int, now_ns: int) -> None:
        """Take a reading; `wall_offset_ns` turns the kernel's clock into Unix ns, `now_ns` is Unix ns."""
        grown = self._buckets.advance(state.buckets, state.bucket_counts)
        elapsed_ms = (now_ns - self._looked_ns) // 1_000_000 if self._looked_ns else 0
        self._servers, self._clients = {}, {}
        for number, look in _looks(state, wall_offset_ns, now_ns):
            edge = self._edges.get(number)
            if edge is None:
                edge = self._edges[number] = _Edge(look.facts)
            edge.facts = look.facts
            self._remember_ends(edge)
            self._take(edge, look, grown.get(number), elapsed_ms=elapsed_ms, now_ns=now_ns)
        self._looked_ns = now_ns

    def flush(self, *, now_ns: int) -> list[ConnectionWindow]:
        """Every edge on which something happened, and the quiet ones whose window is over."""
        windows: dict[tuple[int, ConnectionKey], ConnectionWindow] = {}
        # Clients first: a server's view is left out where the client's is known.
        for edge in sorted(self._edges.values(), key=lambda edge: edge.facts.role):
            pending = edge.pending
            if pending is None or not _is_due(pending, now_ns):
                continue
            names = self._names_of(edge, now_ns=now_ns, is_last_try=now_ns - pending.begun_ns >= _UNKNOWN_END_HOLD_NS)
            if names is None:
                continue
            edge.pending = None
            if names.key is not None and not _is_probe(pending, names.key):
                window = _window_of(pending, names.key)
                same = windows.get((window.start_s, window.key))
                windows[window.start_s, window.key] = _added(same, window) if same else window
        return list(windows.values())

    def forget_idle(self, state: TcpState, *, now_ns: int, capacity: int) -> NDArray[np.uint64]:
        """Edges to drop from the kernel so that new ones find room, once its map is half full; `now_ns` monotonic."""
        if len(state.edge_keys) * 2 < capacity:
            return state.edge_keys[:0]
        is_old = state.edges["last_ns"].astype(np.int64) < now_ns - _IDLE_EDGE_NS
        keys = state.edge_keys[is_old & ~np.isin(state.edge_keys, state.sockets["edge"])]
        for number in keys.tolist():
            self._edges.pop(number, None)
        return keys

    def _take(
        self, edge: _Edge, look: _Look, grown: tuple[_Buckets, _Buckets] | None, *, elapsed_ms: int, now_ns: int
    ) -> None:
        differences = [max(0, now - before) for now, before in zip(look.totals, edge.taken, strict=True)]
        if not look.active and grown is None and not any(differences):
            return
        if edge.pending is None:
            edge.pending = _Pending(now_ns, min(now_ns, max(self._looked_ns, look.first_ns)))
        pending = edge.pending
        pending.sums = [one + more for one, more in zip(pending.sums, differences, strict=True)]
        edge.taken = [max(pair) for pair in zip(look.totals, edge.taken, strict=True)]
        pending.active = look.active
        pending.active_ms += look.active * elapsed_ms
        pending.last_ns = now_ns if look.active else look.last_ns
        for into, more_buckets in zip(pending.histograms, grown or ({}, {}), strict=True):
            for bucket, count in more_buckets.items():
                into[bucket] = into.get(bucket, 0) + count

    # ---- names -----------------------------------------------------------------------------------------------------

    def _names_of(self, edge: _Edge, *, now_ns: int, is_last_try: bool) -> _Names | None:
        if edge.names is not None and now_ns - edge.names.made_ns < _NAMED_FOR_NS:
            return edge.names
        edge.far = self._far_address(edge.facts)
        self._remember_ends(edge)
        made = self._make_names(edge.facts, edge.far, now_ns=now_ns, is_last_try=is_last_try)
        if made is not None:
            edge.names = made
        return made

    def _make_names(self, facts: _Facts, far_address: Address, *, now_ns: int, is_last_try: bool) -> _Names | None:
        is_client = facts.role is Role.CLIENT
        far, near = self._far(facts, far_address, now_ns), self._near(facts, now_ns)
        is_unseen = is_client and far is not None and far.kind in _HOST_KINDS  # its process may show at the next look
        if (far is None or near is None or is_unseen) and not is_last_try:
            return None
        near = near or Entity(EntityKind.PROCESS, facts.command or "unknown")
        if is_unseen and _is_loopback(far_address.ip):
            far = self._in_same_pod(near, far_address.port, now_ns) or far
        far = far or Entity(EntityKind.EXTERNAL, far_address.ip)
        if not is_client and far.kind in _HOST_KINDS and self._client_of(facts, far_address):
            return _Names(None, now_ns)  # one of several processes of this host; each tells of itself
        service = self._entities.service_of(facts.remote) if is_client else ""
        near = replace(near, ip=facts.local.ip)
        far = replace(far, ip=far_address.ip, service=service or far.service)
        if self._only_kubernetes and not (_is_kubernetes(near) or _is_kubernetes(far)):
            self._statistics = replace(self._statistics, out_of_scope=self._statistics.out_of_scope + 1)
            return _Names(None, now_ns)
        port = far_address.port if is_client else facts.local.port
        source, destination = (near, far) if is_client else (far, near)
        return _Names(ConnectionKey(facts.role, source, destination, port), now_ns)

    def _far(self, facts: _Facts, address: Address, now_ns: int) -> Entity | None:
        """Who is at the far end: whoever was seen there on this host, or else the owner of the address."""
        is_client = facts.role is Role.CLIENT
        owner = self._entities.remote(address, at_ns=now_ns, cgroup_id=facts.cgroup_id if is_client else 0)
        seen = self._servers.get(_end(facts.netns, address)) if is_client else self._client_of(facts, address)
        if seen is None or (not is_client and owner is not None and owner.kind in _HOST_KINDS):
            return owner
        return self._near(seen, now_ns) or owner

    def _in_same_pod(self, near: Entity, port: int, now_ns: int) -> Entity | None:
        """Who is at a loopback port that nobody was seen at: the pod itself, unless its network is the node's."""
        if not near.pod or not near.ip:
            return None
        owner = self._entities.remote(Address(near.ip, port), at_ns=now_ns)
        return owner if owner is not None and owner.pod == near.pod else None

    def _client_of(self, facts: _Facts, address: Address) -> _Facts | None:
        return self._clients.get((_end(facts.netns, facts.local), address.ip))

    def _far_address(self, facts: _Facts) -> Address:
        if facts.role is Role.CLIENT:
            return self._entities.translate(facts.local, facts.remote) or facts.remote
        return self._entities.origin(facts.remote, facts.local) or facts.remote

    def _near(self, facts: _Facts, now_ns: int) -> Entity | None:
        return self._entities.local(facts.cgroup_id, facts.pid, facts.command, at_ns=now_ns)

    def _remember_ends(self, edge: _Edge) -> None:
        """Servers of this host by their address; clients by the server's address and their own."""
        facts = edge.facts
        if facts.role is Role.SERVER:
            self._servers[_end(facts.netns, facts.local)] = facts
            return
        for server in {facts.remote, edge.far or facts.remote}:
            self._clients[_end(facts.netns, server), facts.local.ip] = facts


class ListenerTracker:
    """Follows the queues of listening sockets: windows of those that dropped something or let somebody wait."""

    def __init__(self, entities: EntityLookup, *, only_kubernetes: bool = False) -> None:
        """With `only_kubernetes`, only the ports of pods."""
        self._entities = entities
        self._only_kubernetes = only_kubernetes
        self._dropped: dict[int, int] = {}

    def advance(self, state: TcpState, *, now_ns: int) -> list[ListenerWindow]:
        """One row per listening socket that has something to tell; to be called after each sweep."""
        rows = state.listeners
        before, self._dropped = (
            self._dropped,
            dict(zip(state.listener_keys.tolist(), rows["dropped"].tolist(), strict=True)),
        )
        windows = []
        for key, row in zip(state.listener_keys.tolist(), rows, strict=True):
            # What a socket dropped before we saw it first is no news.
            dropped = (int(row["dropped"]) - before.get(key, int(row["dropped"]))) % (1 << 32)
            if not dropped and not row["waiting"]:
                continue
            entity = self._entities.local(int(row["cgroup_id"]), int(row["pid"]), _command(row), at_ns=now_ns)
            if entity is None or (self._only_kubernetes and not _is_kubernetes(entity)):
                continue
            start_s = now_ns // _WINDOW_NS * WINDOW_S
            waiting, waiting_max = int(row["waiting"]), int(row["waiting_max"])
            windows.append(ListenerWindow(start_s, entity, int(row["port"]), dropped, waiting, waiting_max))
        return windows


class _BucketGrowth:
    """Remembers every bucket's last count, as arrays: there may be tens of thousands."""

    def __init__(self) -> None:
        self._composites = np.zeros(0, dtype=np.uint64)
        self._counts = np.zeros(0, dtype=np.uint64)

    def advance(self, buckets: NDArray[np.void], counts: NDArray[np.uint64]) -> dict[int, tuple[_Buckets, _Buckets]]:
        """By edge, connect and round-trip buckets that grew since the last reading."""
        within = buckets["measure"].astype(np.uint64) << np.uint64(16) | buckets["bucket"]
        # One number per bucket, to search for: edges are hashes, so what is added keeps them apart.
        composites = buckets["edge"] + within * _GOLDEN
        order = np.argsort(composites)
        composites, counts = composites[order], counts[order]
        before = np.zeros(len(composites), dtype=np.uint64)
        if len(self._composites):
            places = np.minimum(np.searchsorted(self._composites, composites), len(self._composites) - 1)
            before = np.where(self._composites[places] == composites, self._counts[places], np.uint64(0))
        # A smaller count means the entry was dropped and made anew.
        growth = np.where(counts >= before, counts - before, counts)
        self._composites, self._counts = composites, counts
        changed = np.flatnonzero(growth)
        found: dict[int, tuple[_Buckets, _Buckets]] = {}
        for row, more in zip(buckets[order[changed]], growth[changed].tolist(), strict=True):
            found.setdefault(int(row["edge"]), ({}, {}))[int(row["measure"])][int(row["bucket"])] = more
        return found


_HOST_KINDS = frozenset({EntityKind.NODE, EntityKind.PROCESS})
_HOST_OWN = _HOST_KINDS | {EntityKind.UNIT}
_NOT_KUBERNETES = frozenset(
    {EntityKind.EXTERNAL, EntityKind.PROCESS, EntityKind.UNIT, EntityKind.CONTAINER, EntityKind.NODE}
)


def _is_kubernetes(entity: Entity) -> bool:
    return entity.kind not in _NOT_KUBERNETES


def _end(netns: int, address: Address) -> _EndKey:
    """Loopback addresses mean something only within their network namespace."""
    return (netns if _is_loopback(address.ip) else 0, address.ip, address.port)


def _is_loopback(ip: str) -> bool:
    return ip.startswith("127.") or ip == "::1"


def _is_due(pending: _Pending, now_ns: int) -> bool:
    return now_ns // _WINDOW_NS > pending.begun_ns // _WINDOW_NS or any(pending.sums[_HAPPENINGS])


def _is_probe(pending: _Pending, key: ConnectionKey) -> bool:
    """A node asks its pods whether they listen (kubelet), and says nothing: not a call, nor a failed one."""
    is_silent = not pending.active and not any(pending.sums[TCP_SUMS.index(name)] for name in _PAYLOAD)
    return is_silent and key.source.kind in _HOST_OWN and _is_kubernetes(key.destination)


def _looks(state: TcpState, wall_offset_ns: int, now_ns: int) -> Iterator[tuple[int, _Look]]:
    """Every edge of a reading: ended connections and open ones together."""
    live = _live_by_edge(state.sockets)
    columns = [state.edges[name].tolist() for name in TCP_SUMS]
    for index, number in enumerate(state.edge_keys.tolist()):
        row = state.edges[index]
        open_ones = live.pop(number, None)
        totals = [column[index] for column in columns]
        if open_ones:
            totals = [one + more for one, more in zip(totals, open_ones.sums, strict=True)]
        facts = _facts(row["key"], open_ones.latest if open_ones else row)
        first_ns, last_ns = (int(row[name]) + wall_offset_ns for name in ("first_ns", "last_ns"))
        yield number, _Look(facts, totals, open_ones.count if open_ones else 0, first_ns, min(now_ns, last_ns))
    for number, one in live.items():
        first_ns = int(one.latest["start_ns"]) + wall_offset_ns
        yield number, _Look(_facts(one.latest["key"], one.latest), one.sums, one.count, first_ns, now_ns)


@dataclass(frozen=True, slots=True)
class _Open:
    """The open connections of one edge: how many, their sums as `TCP_SUMS` has them, and one of them."""

    count: int
    sums: list[int]
    latest: typing.Any


def _live_by_edge(sockets: NDArray[np.void]) -> dict[int, _Open]:
    flags = sockets["flags"]
    is_owned, is_ended = flags & SocketFlag.OWNED != 0, flags & SocketFlag.ENDED != 0
    rows = sockets[is_owned & ~is_ended & (sockets["established_ns"] != 0)]
    numbers, one_of, inverse = np.unique(rows["edge"], return_index=True, return_inverse=True)
    sums = np.zeros((len(numbers), len(TCP_SUMS)), dtype=np.int64)
    is_new = (rows["flags"] & SocketFlag.JOINED == 0).astype(np.int64)
    np.add.at(sums[:, TCP_SUMS.index("opened")], inverse, is_new)
    for name in _LIVE:
        np.add.at(sums[:, TCP_SUMS.index(name)], inverse, rows[name].astype(np.int64))
    counts = np.bincount(inverse, minlength=len(numbers)).tolist()
    return {
        number: _Open(counts[index], sums[index].tolist(), rows[one_of[index]])
        for index, number in enumerate(numbers.tolist())
    }


def _facts(key: typing.Any, latest: typing.Any) -> _Facts:  # noqa: ANN401 - rows of structured arrays
    is_server = int(key["role"]) == RoleCode.SERVER
    server_port, local_port, remote_port = (
        int(key["server_port"]),
        int(latest["local_port"]),
        int(latest["remote_port"]),
    )
    return _Facts(
        role=Role.SERVER if is_server else Role.CLIENT,
        cgroup_id=int(key["cgroup_id"]),
        netns=int(key["netns"]),
        pid=int(latest["pid"]),
        command=_command(key),
        local=Address.from_bytes(key["local_ip"].tobytes(), server_port if is_server else local_port),
        remote=Address.from_bytes(key["remote_ip"].tobytes(), remote_port if is_server else server_port),
    )


def _command(row: typing.Any) -> str:  # noqa: ANN401 - a row of a structured array
    return bytes(row["command"].tobytes()).split(b"\0", 1)[0].decode("utf-8", "replace")


def _window_of(pending: _Pending, key: ConnectionKey) -> ConnectionWindow:
    sums = dict(zip(TCP_SUMS, pending.sums, strict=True))
    sent, received = sums.pop("sent_bytes"), sums.pop("received_bytes")
    resets_sent, resets_received = sums.pop("resets_sent"), sums.pop("resets_received")
    connect_ns, rtt_ns = sums.pop("connect_ns"), sums.pop("rtt_ns")
    is_client = key.role is Role.CLIENT
    return ConnectionWindow(
        start_s=pending.begun_ns // _WINDOW_NS * WINDOW_S,
        key=key,
        **sums,
        active_ms=pending.active_ms,
        client_bytes=sent if is_client else received,
        server_bytes=received if is_client else sent,
        client_resets=resets_sent if is_client else resets_received,
        server_resets=resets_received if is_client else resets_sent,
        connect_sum_ns=connect_ns,
        rtt_sum_ns=rtt_ns,
        first_ns=min(pending.first_ns, pending.last_ns),
        last_ns=pending.last_ns,
        connect_histogram=pending.histograms[Measure.CONNECT],
        rtt_histogram=pending.histograms[Measure.RTT],
    )


_ADDED = (
    "opened",
    "closed",
    "refused",
    "timed_out",
    "unreachable",
    "failed_otherwise",
    "cancelled",
    "active_ms",
    "client_bytes",
    "server_bytes",
    "segments",
    "retransmits",
    "client_resets",
    "server_resets",
    "connect_sum_ns",
    "rtt_sum_ns",
)


def _added(one: ConnectionWindow, two: ConnectionWindow) -> ConnectionWindow:
    """Two parts of one window: several processes of a workload are one edge."""
    sums = {name: getattr(one, name) + getattr(two, name) for name in _ADDED}
    return replace(
        one,
        **sums,
        first_ns=min(one.first_ns, two.first_ns),
        last_ns=max(one.last_ns, two.last_ns),
        connect_histogram=_merged(one.connect_histogram, two.connect_histogram),
        rtt_histogram=_merged(one.rtt_histogram, two.rtt_histogram),
    )


def _merged(one: Mapping[int, int], two: Mapping[int, int]) -> Mapping[int, int]:
    return {bucket: one.get(bucket, 0) + two.get(bucket, 0) for bucket in {*one, *two}}
