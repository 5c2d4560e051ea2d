"""Assembly: naming both ends, sizing responses, summing windows."""

from __future__ import annotations

import pytest

from osmia.agent.assembly import Assembler
from osmia.agent.events import EventFlag, EventKind, RoleCode
from osmia.model.entity import EntityKind
from osmia.model.histogram import bucket_of
from osmia.model.request import UNCAPTURED, Request, Role
from tests.agent.events import (
    CLIENT_IP,
    DATABASE,
    SERVER_CGROUP,
    SERVER_IP,
    VIRTUAL_IP,
    WEB,
    FakeEntities,
    batch,
    counted,
    event,
)

WALL_NS = 1_700_000_000_000_000_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def entities() -> FakeEntities:
    """Two pods, one Service."""
    return FakeEntities()


@pytest.fixture
def assembler(entities: FakeEntities) -> Assembler:
    """An assembler over that world."""
    return Assembler(entities)


def add(assembler: Assembler, *events: dict[str, object], after_ns: int = 5_000_000) -> list[Request]:
    """Feed events whose ring clock started at `WALL_NS`."""
    return list(assembler.add(batch(*events), wall_offset_ns=WALL_NS, now_ns=WALL_NS + after_ns))


def server_side(**values: object) -> dict[str, object]:
    """The same exchange as `event()`, seen at the server."""
    return event(
        edge=2,
        connection=0xFFFF_0002,
        cgroup_id=SERVER_CGROUP,
        pid=92,
        command=b"server",
        role=RoleCode.SERVER,
        local=(SERVER_IP, 8080),
        remote=(CLIENT_IP, 40_000),
        **values,
    )


def test_a_client_event_becomes_a_request_with_both_ends_named(assembler: Assembler) -> None:
    """Source, destination, wall time, latency, status and sizes come out of one event."""
    (request,) = add(assembler, event())

    assert (request.source.id, request.destination.id) == (WEB.id, DATABASE.id)
    assert request.time_ns == WALL_NS + 1_000_000
    assert (request.latency_ns, request.status, request.method) == (2_000_000, "200", "GET")
    assert request.response_bytes == 43


def test_the_template_holds_no_value_of_the_target(assembler: Assembler) -> None:
    """The raw target stays for this host; what is exported has its literals out."""
    (request,) = add(assembler, event())

    assert request.target == "/orders/17?token=s3cret"
    assert "s3cret" not in request.template
    assert "17" not in request.template


def test_both_ends_on_one_host_know_each_other_s_process(assembler: Assembler) -> None:
    """Client and server process are found through each other's event, whichever comes first."""
    requests = add(assembler, server_side(), event())

    assert {request.role for request in requests} == {Role.CLIENT, Role.SERVER}
    for request in requests:
        assert request.client_process is not None
        assert request.server_process is not None
        assert (request.client_process.pid, request.server_process.pid) == (41, 92)


def test_a_virtual_address_leads_to_the_pod_behind_it(assembler: Assembler) -> None:
    """The client's address stays the Service's, the destination is the pod that conntrack names."""
    (request,) = add(assembler, event(remote=(VIRTUAL_IP, 5432)))

    assert request.server.ip == VIRTUAL_IP
    assert (request.destination.id, request.destination.service) == (DATABASE.id, "db-service")
    assert request.destination.ip == SERVER_IP


def test_a_client_behind_a_rewritten_source_is_found(assembler: Assembler, entities: FakeEntities) -> None:
    """A hairpin connection comes from the node's address; connection tracking knows who really opened it."""
    entities.hidden = {"10.244.0.1": CLIENT_IP}

    (request,) = add(assembler, server_side() | {"remote": ("10.244.0.1", 40_000)})

    assert (request.source.id, request.source.ip) == (WEB.id, CLIENT_IP)


def test_an_unknown_address_is_an_external_not_a_guess(assembler: Assembler) -> None:
    """A peer that nobody here owns is shown by its address."""
    (request,) = add(assembler, event(remote=("203.0.113.7", 443)))

    assert (request.destination.kind, request.destination.name) == (EntityKind.EXTERNAL, "203.0.113.7")


def test_a_peer_that_is_not_known_yet_is_waited_for(assembler: Assembler, entities: FakeEntities) -> None:
    """An event whose far end appears within two seconds is named then, not before."""
    entities.late = {SERVER_IP}
    before = add(assembler, event())
    entities.late = set()

    (request,) = add(assembler, after_ns=1_000_000_000)

    assert before == []
    assert request.destination.id == DATABASE.id


def test_a_peer_that_never_becomes_known_is_external_after_two_seconds(
    assembler: Assembler, entities: FakeEntities
) -> None:
    """Waiting ends, and the request is not lost."""
    entities.late = {SERVER_IP}
    add(assembler, event())

    (request,) = add(assembler, after_ns=2_100_000_000)

    assert request.destination.kind is EntityKind.EXTERNAL


def test_a_reused_socket_with_another_client_gets_its_own_ends(assembler: Assembler) -> None:
    """The kernel reuses socket addresses; a new client port means a new pair."""
    add(assembler, server_side(), event())
    other = {"local": (CLIENT_IP, 40_001), "pid": 77, "connection": 0xFFFF_0009}

    requests = add(assembler, server_side(sequence=1) | {"remote": (CLIENT_IP, 40_001)}, event(**other))

    server_view = next(request for request in requests if request.role is Role.SERVER)
    assert server_view.client.port == 40_001
    assert server_view.client_process is not None
    assert server_view.client_process.pid == 77


def test_an_undeclared_response_waits_for_its_remainder(assembler: Assembler) -> None:
    """A chunked response is reported with the bytes that the kernel counted to its end."""
    before = add(assembler, event(response_head=CHUNKED, response_bytes=len(CHUNKED)))

    running = add(assembler, event(kind=EventKind.REMAINDER, response_bytes=7_000, last_ms=20))
    (request,) = add(
        assembler, event(kind=EventKind.REMAINDER, response_bytes=9_000, last_ms=31, flags=EventFlag.FINAL)
    )

    assert before == running == []
    assert (request.response_bytes, request.transfer_ns) == (9_000, 31_000_000)


def test_an_undeclared_response_is_reported_after_a_quarter_second(assembler: Assembler) -> None:
    """A connection that stays idle does not keep its last request from the user."""
    add(assembler, event(response_head=CHUNKED, response_bytes=len(CHUNKED)))

    (request,) = add(assembler, after_ns=300_000_000)

    assert request.response_bytes == len(CHUNKED)


def test_a_remainder_that_overtakes_its_held_request_still_counts(assembler: Assembler, entities: FakeEntities) -> None:
    """The size is known even though the request waited for its far end's name."""
    entities.late = {SERVER_IP}
    add(assembler, event(response_head=CHUNKED, response_bytes=len(CHUNKED)))
    add(assembler, event(kind=EventKind.REMAINDER, response_bytes=7_000, flags=EventFlag.FINAL))
    entities.late = set()

    (request,) = add(assembler, after_ns=500_000_000)

    assert request.response_bytes == 7_000


def test_windows_add_up_what_the_requests_say(assembler: Assembler) -> None:
    """Counts, errors, sums, extremes and histogram of a window equal its requests."""
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    failed = {"response_head": head, "response_bytes": len(head)}
    events = [event(sequence=n, end_ns=1_000_000 + n * 1_000_000) for n in (1, 2, 3)]
    requests = add(assembler, *events, event(sequence=4, **failed))

    windows = assembler.flush()

    by_status = {window.key.status: window for window in windows}
    ok = by_status["200"]
    assert (ok.count, ok.errors, by_status["503"].count, by_status["503"].errors) == (3, 0, 1, 1)
    assert ok.latency_sum_ns == sum(r.latency_ns for r in requests if r.status == "200")
    assert ok.latency_max_ns == 3_000_000
    assert ok.histogram == {bucket_of(n * 1_000_000): 1 for n in (1, 2, 3)}
    assert ok.start_s % 10 == 0
    assert (ok.first_ns, ok.last_ns) == (WALL_NS + 2_000_000, WALL_NS + 4_000_000)


def test_flush_gives_each_request_once(assembler: Assembler) -> None:
    """Parts of one window add up: nothing is repeated, nothing forgotten."""
    add(assembler, event(sequence=1))
    first = assembler.flush()
    add(assembler, event(sequence=2))
    second = assembler.flush()

    assert [window.count for window in first + second] == [1, 1]
    assert assembler.flush() == []


def test_what_the_ring_lost_is_in_the_windows(assembler: Assembler) -> None:
    """Kernel counters of unsent requests appear under the template that says so."""
    lost = counted(5, latency_sum_ns=50_000_000, request_bytes=500, response_bytes=900, histogram={300: 5})

    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS)

    (window,) = assembler.flush()
    assert (window.key.template, window.count, window.errors) == (UNCAPTURED, 5, 0)
    assert (window.latency_sum_ns, window.request_bytes, window.response_bytes) == (50_000_000, 500, 900)
    assert window.histogram == {300: 5}
    assert window.key.destination.id == DATABASE.id


def test_only_kubernetes_leaves_host_traffic_out_and_counts_it(entities: FakeEntities) -> None:
    """Requests between two host processes are not the cluster's, and the statistics say how many there were."""
    assembler = Assembler(entities, only_kubernetes=True)
    host = event(cgroup_id=1, local=("127.0.0.1", 40_000), remote=("127.0.0.1", 8080))

    requests = add(assembler, host) + add(assembler, after_ns=3_000_000_000)

    assert requests == []
    assert assembler.statistics().out_of_scope == 1


def test_held_requests_are_bounded_and_the_loss_is_counted(assembler: Assembler, entities: FakeEntities) -> None:
    """When too many requests wait, further ones are counted as lost instead of growing memory."""
    entities.late = {SERVER_IP}
    for start in range(0, 20_500, 500):
        add(assembler, *(event(sequence=start + n) for n in range(500)))

    statistics = assembler.statistics()

    assert statistics.held == 20_000
    assert statistics.lost_held_full == 500


def test_memory_follows_the_traffic_of_now(assembler: Assembler) -> None:
    """Ends and pairs of connections that are over are forgotten, and the next request is named all the same."""
    for start in range(0, 5_000, 500):
        add(assembler, *(event(connection=start + n, local=(CLIENT_IP, 10_000 + start + n)) for n in range(500)))

    (request,) = add(assembler, event(start_ns=100 * 10**9, end_ns=100 * 10**9 + 5), after_ns=100 * 10**9)

    assert request.destination.id == DATABASE.id
    assert len(assembler._ends) == 2
