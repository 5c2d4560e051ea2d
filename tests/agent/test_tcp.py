"""From readings of the kernel's maps to windows: nothing twice, nothing lost, the right ends."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field, replace

import numpy as np

from osmia.agent.connections import ConnectionReporter, connection_columns, listener_columns
from osmia.agent.events import RoleCode
from osmia.agent.tcp import ConnectionTracker, ListenerTracker
from osmia.agent.tcp_state import LISTENER, TCP_BUCKET, TCP_EDGE, TCP_SOCKET, Measure, SocketFlag, TcpState
from osmia.model.connection import ConnectionWindow
from osmia.model.entity import Entity, EntityKind
from osmia.model.histogram import bucket_of
from osmia.model.request import Role
from osmia.model.wire import TABLES, Table, encode
from tests.agent.events import (
    CLIENT_CGROUP,
    CLIENT_IP,
    DATABASE,
    SERVER_CGROUP,
    SERVER_IP,
    VIRTUAL_IP,
    WEB,
    FakeEntities,
    packed,
)

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from osmia.model.wire import Column

_S = 1_000_000_000
_NOW = 1_700_000_000 * _S
_OFFSET = _NOW - 100 * _S


@dataclass
class Kernel:
    """What the maps hold, row by row."""

    edges: dict[int, dict[str, object]] = field(default_factory=dict)
    sockets: dict[int, dict[str, object]] = field(default_factory=dict)
    buckets: dict[tuple[int, Measure, int], int] = field(default_factory=dict)
    listeners: dict[int, dict[str, object]] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)
    is_closed: bool = False
    sweeps: int = 0

    def state(self) -> TcpState:
        """One reading."""
        buckets = np.zeros(len(self.buckets), dtype=TCP_BUCKET)
        for row, (edge, measure, bucket) in zip(buckets, self.buckets, strict=True):
            row["edge"], row["measure"], row["bucket"] = edge, measure, bucket
        return TcpState(
            *_rows(self.edges, TCP_EDGE),
            *_rows(self.sockets, TCP_SOCKET),
            buckets,
            np.array(list(self.buckets.values()), dtype=np.uint64),
            *_rows(self.listeners, LISTENER),
        )

    def sweep(self) -> None:
        """As the real one; here only counted."""
        self.sweeps += 1

    def read(self) -> TcpState:
        """As the real one."""
        return self.state()

    def forget_edges(self, keys: NDArray[np.uint64]) -> None:
        """As the real one."""
        self.forgotten.extend(keys.tolist())

    def ledger(self) -> dict[str, int]:
        """As the real one: two connections were not followed."""
        return {"seen": 10, "sockets_full": 2, "edges_full": 0, "histogram_full": 0, "listeners_full": 0, "unowned": 1}

    def close(self) -> None:
        """As the real one."""
        self.is_closed = True


def _rows(by_key: dict[int, dict[str, object]], kind: np.dtype[np.void]) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    rows = np.zeros(len(by_key), dtype=kind)
    for row, values in zip(rows, by_key.values(), strict=True):
        for name, value in values.items():
            if name == "key":
                for part, one in typing.cast("dict[str, object]", value).items():
                    row["key"][part] = np.void(one) if isinstance(one, bytes) else one
            else:
                row[name] = typing.cast("int", value)
    return np.array(list(by_key), dtype=np.uint64), rows


def key(role: RoleCode = RoleCode.CLIENT, **known: object) -> dict[str, object]:
    """The key of web's connections to the database, at either end."""
    is_client = role is RoleCode.CLIENT
    here, there = (CLIENT_IP, SERVER_IP) if is_client else (SERVER_IP, CLIENT_IP)
    return {
        "cgroup_id": CLIENT_CGROUP if is_client else SERVER_CGROUP,
        "netns": 7,
        "server_port": 5432,
        "role": int(role),
        "local_ip": packed(here),
        "remote_ip": packed(there),
        "command": b"python".ljust(16, b"\0"),
        **known,
    }


def ended(**known: object) -> dict[str, object]:
    """One row of the map of edges: one connection that carried something and is over."""
    return {
        "key": key(),
        "opened": 1,
        "closed": 1,
        "connect_ns": 200_000,
        "sent_bytes": 100,
        "received_bytes": 900,
        "segments": 3,
        "first_ns": 99 * _S,
        "last_ns": 99 * _S,
        "pid": 41,
        "local_port": 40_000,
        **known,
    }


def live(**known: object) -> dict[str, object]:
    """One row of the map of sockets: an open connection of the same edge."""
    return {
        "key": key(),
        "edge": 1,
        "start_ns": 99 * _S,
        "established_ns": 99 * _S,
        "sent_bytes": 10,
        "received_bytes": 20,
        "segments": 1,
        "flags": int(SocketFlag.OWNED),
        "pid": 41,
        "local_port": 40_001,
        **known,
    }


class Watch:
    """A tracker with its kernel and clock."""

    def __init__(self, *, only_kubernetes: bool = False) -> None:
        self.kernel = Kernel()
        self.entities = FakeEntities()
        self.tracker = ConnectionTracker(self.entities, only_kubernetes=only_kubernetes)
        self.now_ns = _NOW

    def look(self, *, after_s: float = 2) -> list[ConnectionWindow]:
        """Time passes, then the agent reports."""
        self.now_ns += int(after_s * _S)
        self.tracker.advance(self.kernel.state(), wall_offset_ns=_OFFSET, now_ns=self.now_ns)
        return self.tracker.flush(now_ns=self.now_ns)


def _only(windows: list[ConnectionWindow]) -> ConnectionWindow:
    assert len(windows) == 1
    return windows[0]


def test_a_connection_that_ended_is_reported_once_with_its_ends() -> None:
    """Both workloads, the port, what was carried; and nothing more of it later."""
    watch = Watch()
    watch.kernel.edges[1] = ended()
    watch.kernel.buckets[1, Measure.CONNECT, bucket_of(200_000)] = 1

    window = _only(watch.look())

    assert (window.key.source.name, window.key.destination.name, window.key.server_port) == (
        WEB.name,
        DATABASE.name,
        5432,
    )
    assert (window.opened, window.closed, window.client_bytes, window.server_bytes) == (1, 1, 100, 900)
    assert (window.connect_sum_ns, window.connect_histogram) == (200_000, {bucket_of(200_000): 1})
    assert window.last_ns == 99 * _S + _OFFSET
    assert watch.look() == []
    assert watch.look(after_s=30) == []


def test_only_the_difference_is_reported() -> None:
    """The kernel's totals run on; each report has what came since the last."""
    watch = Watch()
    watch.kernel.edges[1] = ended()
    watch.look()
    watch.kernel.edges[1] = ended(opened=4, closed=4, refused=2, sent_bytes=400)

    window = _only(watch.look())

    assert (window.opened, window.refused, window.client_bytes) == (3, 2, 300)


def test_an_open_connection_is_reported_as_it_goes_and_not_again_when_it_ends() -> None:
    """Opened at once; bytes at the end of each window; when it is over only what is new."""
    watch = Watch()
    watch.kernel.sockets[9] = live()
    first = _only(watch.look())
    watch.kernel.sockets[9] = live(sent_bytes=210)
    assert watch.look() == []
    watch.kernel.sockets[9] = live(sent_bytes=510)
    during = _only(watch.look(after_s=10))
    del watch.kernel.sockets[9]
    watch.kernel.edges[1] = ended(sent_bytes=600)
    last = _only(watch.look())

    assert (first.opened, first.closed, first.client_bytes) == (1, 0, 10)
    assert (during.opened, during.client_bytes, during.active_ms) == (0, 500, 12_000)
    assert (last.opened, last.closed, last.client_bytes) == (0, 1, 90)


def test_a_connection_that_is_missing_for_one_look_is_not_lost_or_doubled() -> None:
    """Edges are read before sockets: what ends in between is in neither, and then in the totals."""
    watch = Watch()
    watch.kernel.sockets[9] = live(sent_bytes=500)
    watch.look()
    del watch.kernel.sockets[9]
    assert watch.look() == []
    watch.kernel.edges[1] = ended(sent_bytes=500)

    window = _only(watch.look())

    assert (window.opened, window.closed, window.client_bytes) == (0, 1, 0)


def test_connections_older_than_the_agent_are_active_but_not_opened() -> None:
    """They count for how many are open, never for how many began."""
    watch = Watch()
    watch.kernel.sockets[9] = live(flags=int(SocketFlag.OWNED | SocketFlag.JOINED))
    watch.look()

    window = _only(watch.look(after_s=10))

    assert (window.opened, window.active_ms) == (0, 10_000)


def test_sockets_without_an_owner_or_already_counted_are_left_out() -> None:
    """Nobody's yet, still connecting, or in the totals of its edge."""
    watch = Watch()
    watch.kernel.sockets = {
        1: live(flags=0),
        2: live(established_ns=0),
        3: live(flags=int(SocketFlag.OWNED | SocketFlag.ENDED)),
    }

    assert watch.look() == []


def test_the_server_s_end_is_turned_round() -> None:
    """Bytes and resets are named by client and server, whichever end reports."""
    watch = Watch()
    watch.kernel.edges[2] = ended(key=key(RoleCode.SERVER), resets_received=1)

    window = _only(watch.look())

    assert window.key.role is Role.SERVER
    assert (window.key.source.name, window.key.destination.name) == (WEB.name, DATABASE.name)
    assert (window.client_bytes, window.server_bytes, window.client_resets) == (900, 100, 1)


def test_a_service_address_is_followed_to_the_pod() -> None:
    """The virtual address stands as the Service, the pod behind it is the far end."""
    watch = Watch()
    watch.kernel.edges[1] = ended(key=key(remote_ip=packed(VIRTUAL_IP)))

    window = _only(watch.look())

    assert (window.key.destination.name, window.key.destination.ip) == (DATABASE.name, SERVER_IP)
    assert window.key.destination.service


def test_a_far_end_that_is_not_known_yet_is_waited_for() -> None:
    """For two seconds; what gathers meanwhile is reported under the name."""
    watch = Watch()
    watch.entities.late.add(SERVER_IP)
    watch.kernel.edges[1] = ended()
    assert watch.look(after_s=0.5) == []
    watch.entities.late.clear()
    watch.kernel.edges[1] = ended(opened=2, closed=2)

    window = _only(watch.look(after_s=0.5))

    assert (window.opened, window.key.destination.name) == (2, DATABASE.name)


def test_a_far_end_that_nobody_knows_is_an_outsider() -> None:
    """After the wait it is reported by its address."""
    watch = Watch()
    watch.entities.late.add(SERVER_IP)
    watch.kernel.edges[1] = ended()
    watch.look(after_s=0.5)

    window = _only(watch.look(after_s=3))

    assert window.key.destination == Entity(EntityKind.EXTERNAL, SERVER_IP, ip=SERVER_IP)


def test_two_processes_of_one_host_are_one_edge() -> None:
    """Over loopback the client's view names both; the server's is left out, though its client is only an address."""
    watch = Watch()
    here = packed("127.0.0.1")
    watch.kernel.edges[1] = ended(key=key(local_ip=here, remote_ip=here))
    watch.kernel.edges[2] = ended(key=key(RoleCode.SERVER, local_ip=here, remote_ip=here))

    window = _only(watch.look())

    assert (window.key.role, window.key.source.name, window.key.destination.name) == (
        Role.CLIENT,
        WEB.name,
        DATABASE.name,
    )


def test_loopback_of_another_namespace_is_another_machine() -> None:
    """The same address and port in two pods are two servers."""
    watch = Watch()
    here = packed("127.0.0.1")
    watch.kernel.edges[1] = ended(key=key(local_ip=here, remote_ip=here))
    watch.kernel.edges[2] = ended(key=key(RoleCode.SERVER, local_ip=here, remote_ip=here, netns=8))

    windows = [*watch.look(), *watch.look(after_s=3)]

    assert {window.key.role for window in windows} == {Role.CLIENT, Role.SERVER}


def test_loopback_of_a_pod_is_the_pod() -> None:
    """A connection inside a pod on which nothing was read yet: whoever listens there, it is that pod, not the node."""
    watch = Watch()
    here = packed("127.0.0.1")
    web = replace(WEB, pod="web-1", ip=CLIENT_IP)
    watch.entities.by_cgroup = dict.fromkeys(watch.entities.by_cgroup, web)
    watch.entities.by_ip[CLIENT_IP] = web
    watch.kernel.edges[1] = ended(key=key(local_ip=here, remote_ip=here))

    window = _only([*watch.look(), *watch.look(after_s=3)])

    assert window.key.destination.id == window.key.source.id == WEB.id


def test_hosts_own_traffic_stays_out_of_a_cluster() -> None:
    """With Kubernetes only, an edge between two processes is counted as out of scope; one with a pod is not."""
    watch = Watch(only_kubernetes=True)
    watch.kernel.edges[1] = ended(key=key(cgroup_id=1, remote_ip=packed("203.0.113.9")))
    assert watch.look() == []
    watch.kernel.edges[2] = ended()

    assert _only(watch.look()).key.source.name == WEB.name
    assert watch.tracker.statistics().out_of_scope == 1


def test_a_container_of_this_host_is_found_by_its_other_end() -> None:
    """No cluster knows its address, but both its ends are seen here."""
    watch = Watch()
    watch.entities.by_ip.clear()
    watch.kernel.edges = {1: ended(), 2: ended(key=key(RoleCode.SERVER))}

    windows = watch.look()

    assert {(one.key.role, one.key.source.name, one.key.destination.name) for one in windows} == {
        (Role.CLIENT, WEB.name, DATABASE.name),
        (Role.SERVER, WEB.name, DATABASE.name),
    }


def test_a_node_that_only_asks_whether_a_pod_listens_is_no_caller() -> None:
    """Probes carry nothing, whether they succeed or not; what carries something is a call."""
    watch = Watch()
    silent: dict[str, object] = {"sent_bytes": 0, "received_bytes": 0, "refused": 3}
    watch.kernel.edges[1] = ended(key=key(cgroup_id=1), **silent)
    watch.kernel.edges[2] = ended(**silent)
    assert _only(watch.look()).key.source.name == WEB.name
    watch.kernel.edges[1] = ended(key=key(cgroup_id=1), opened=2, sent_bytes=5)

    assert _only(watch.look()).key.source.kind is EntityKind.PROCESS


def test_several_processes_of_a_workload_are_one_row() -> None:
    """Two kernel edges with the same names add up."""
    watch = Watch()
    watch.kernel.edges[1] = ended()
    watch.kernel.edges[2] = ended(key=key(command=b"worker".ljust(16, b"\0")), sent_bytes=1)
    watch.kernel.buckets[1, Measure.RTT, 7] = 2
    watch.kernel.buckets[2, Measure.RTT, 7] = 3

    window = _only(watch.look())

    assert (window.opened, window.client_bytes, window.rtt_histogram) == (2, 101, {7: 5})


def test_histograms_are_differences_too_whatever_the_order_of_the_map() -> None:
    """Buckets come in any order; new ones appear, old ones grow."""
    watch = Watch()
    watch.kernel.edges[1] = ended()
    watch.kernel.buckets = {(1, Measure.RTT, 9): 4, (1, Measure.CONNECT, 3): 1}
    watch.look()
    watch.kernel.edges[1] = ended(opened=2)
    watch.kernel.buckets = {(1, Measure.CONNECT, 3): 2, (1, Measure.RTT, 500): 1, (1, Measure.RTT, 9): 4}

    window = _only(watch.look())

    assert (window.connect_histogram, window.rtt_histogram) == ({3: 1}, {500: 1})


def test_idle_edges_make_room_and_are_counted_anew() -> None:
    """Half full, the long idle ones without an open connection go; what comes later starts from nothing."""
    watch = Watch()
    watch.kernel.edges = {1: ended(last_ns=1 * _S), 2: ended(last_ns=1 * _S), 3: ended(last_ns=200 * _S)}
    watch.kernel.sockets[9] = live(edge=2)
    watch.look()

    gone = watch.tracker.forget_idle(watch.kernel.state(), now_ns=201 * _S, capacity=4)
    watch.kernel.edges[1] = ended()

    assert gone.tolist() == [1]
    assert _only(watch.look()).opened == 1


def test_queues_of_listening_ports_are_told_when_there_is_something_to_tell() -> None:
    """Drops since the last look and who waits; a quiet port and what was dropped before us are no news."""
    kernel, entities = Kernel(), FakeEntities()
    port: dict[str, object] = {"cgroup_id": SERVER_CGROUP, "port": 5432, "waiting_max": 4, "dropped": 100}
    kernel.listeners = {1: port, 2: {**port, "port": 9, "waiting": 3}}
    tracker = ListenerTracker(entities, only_kubernetes=True)

    first = tracker.advance(kernel.state(), now_ns=_NOW)
    kernel.listeners[1] = {**port, "dropped": 107}
    second = tracker.advance(kernel.state(), now_ns=_NOW + 10 * _S)

    assert [(one.port, one.dropped, one.waiting) for one in first] == [(9, 0, 3)]
    assert [(one.port, one.dropped, one.waiting) for one in second] == [(5432, 7, 0), (9, 0, 3)]
    assert second[0].entity.name == DATABASE.name


def test_the_reporter_sweeps_reports_and_gives_up_its_source() -> None:
    """Batches of both tables, a sweep every ten seconds, losses that outlive a closing."""
    kernel, clock = Kernel(), 100 * _S
    kernel.edges[1] = ended()
    kernel.listeners[1] = {"cgroup_id": SERVER_CGROUP, "port": 5432, "waiting": 1}
    reporter = ConnectionReporter(lambda: kernel, FakeEntities(), only_kubernetes=False, max_edges=2)
    assert list(reporter.flush(now_ns=_NOW, monotonic_ns=clock)) == []
    reporter.open()

    first = dict(reporter.flush(now_ns=_NOW, monotonic_ns=clock))
    second = dict(reporter.flush(now_ns=_NOW + 2 * _S, monotonic_ns=clock + 2 * _S))

    assert (len(first[Table.CONNECTIONS]["role"]), len(first[Table.LISTENERS]["port"])) == (1, 1)
    assert (len(second[Table.CONNECTIONS]["role"]), Table.LISTENERS in second) == (0, False)
    assert kernel.sweeps == 1
    assert reporter.lost()["tcp_sockets_full"] == 2
    reporter.close()
    assert kernel.is_closed
    assert not reporter.is_open
    assert reporter.lost()["tcp_unowned"] == 1


def test_rows_are_what_the_wire_declares() -> None:
    """Every column of both tables, in a form that the wire takes."""
    watch = Watch()
    watch.kernel.edges[1] = ended()
    watch.kernel.listeners[1] = {"cgroup_id": SERVER_CGROUP, "port": 5432, "waiting": 1}
    listeners = ListenerTracker(watch.entities).advance(watch.kernel.state(), now_ns=_NOW)
    tables = {
        Table.CONNECTIONS: connection_columns(watch.look()),
        Table.LISTENERS: listener_columns(listeners),
    }

    for table, columns in tables.items():
        assert set(columns) == set(TABLES[table])
        assert encode(table, typing.cast("dict[str, Column]", columns))
