"""Assembly: naming both ends, sizing responses, summing windows."""

from __future__ import annotations

import pytest

from osmia.agent.assembly import Assembler
from osmia.agent.events import EventFlag, EventKind, ProtocolCode, RoleCode
from osmia.agent.redaction import Redaction
from osmia.model.entity import EntityKind
from osmia.model.histogram import bucket_of
from osmia.model.request import NO_RESPONSE, UNCAPTURED, Request, Role
from tests.agent.events import (
    CLIENT_CGROUP,
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
    other_end: dict[str, object] = {
        "edge": 2,
        "connection": 0xFFFF_0002,
        "cgroup_id": SERVER_CGROUP,
        "pid": 92,
        "command": b"server",
        "role": RoleCode.SERVER,
        "local": (SERVER_IP, 8080),
        "remote": (CLIENT_IP, 40_000),
    }
    return event(**other_end | values)


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


def test_connections_that_follow_at_one_place_within_a_batch_keep_their_requests(assembler: Assembler) -> None:
    """On a busy machine a socket's place is taken again before we look: each remainder finds its own request."""
    events = []
    for start_ns, size in ((1_000_000, 7_000), (5_000_000, 8_000)):
        times = {"start_ns": start_ns, "end_ns": start_ns + 100_000}
        events.append(event(response_head=CHUNKED, response_bytes=len(CHUNKED), **times))
        more = event(kind=EventKind.REMAINDER, response_bytes=size, flags=EventFlag.FINAL, **times)
        events.append(more)

    requests = add(assembler, *events)

    assert [request.response_bytes for request in requests] == [7_000, 8_000]


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
    assembler.finish(wall_offset_ns=WALL_NS, now_ns=WALL_NS)

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


def test_a_request_without_a_response_is_an_error_of_its_own(assembler: Assembler) -> None:
    """The connection ended first: it took until then, and it failed."""
    unanswered = event(flags=EventFlag.UNANSWERED, response_head=b"", response_bytes=0, end_ns=9_000_000)

    (request,) = add(assembler, unanswered)

    assert (request.status, request.is_error, request.latency_ns) == (NO_RESPONSE, True, 8_000_000)
    (window,) = assembler.flush()
    assert (window.count, window.errors, window.key.status) == (1, 1, NO_RESPONSE)
    assert assembler.statistics().unanswered == 1


PATH = b"/run/postgresql/.s.PGSQL.5432"


def test_both_ends_of_a_unix_socket_find_each_other(assembler: Assembler) -> None:
    """There are no addresses: each end's socket names the other, and the path stands for the address."""
    unix = {"flags": EventFlag.UNIX, "path": PATH}
    client = event(connection=71, peer=72, **unix)
    server = server_side() | {"connection": 72, "peer": 71, **unix}

    requests = add(assembler, client, server)

    assert [str(request.server) for request in requests] == ["unix:/run/postgresql/.s.PGSQL.5432"] * 2
    for request in requests:
        assert (request.source.id, request.destination.id, request.server_port) == (WEB.id, DATABASE.id, 0)
        assert request.client_process is not None
        assert request.server_process is not None
        assert (request.client_process.pid, request.server_process.pid) == (41, 92)


def test_the_unseen_end_of_a_unix_socket_is_on_this_machine(assembler: Assembler) -> None:
    """After a short wait the far end is the node, not an outsider with a strange name."""
    before = add(assembler, event(connection=71, peer=72, flags=EventFlag.UNIX, path=PATH))

    (request,) = add(assembler, after_ns=300_000_000)

    assert before == []
    assert request.destination.kind is EntityKind.NODE


def test_two_sockets_of_one_path_are_not_mixed_up(assembler: Assembler, entities: FakeEntities) -> None:
    """Two clients of one server over one path keep their own names."""
    entities.by_cgroup[777] = DATABASE
    unix = {"flags": EventFlag.UNIX, "path": PATH}
    ends = [
        event(connection=71, peer=72, **unix),
        server_side() | {"connection": 72, "peer": 71, **unix},
        event(connection=81, peer=82, cgroup_id=777, pid=43, **unix),
        server_side() | {"connection": 82, "peer": 81, **unix},
    ]

    requests = add(assembler, *ends)

    clients = [request.client_process.pid for request in requests if request.client_process]
    assert clients == [41, 41, 43, 43]


def test_workers_that_share_a_port_are_told_apart(assembler: Assembler) -> None:
    """Of two pre-forked servers each client finds the one that answered it."""
    first, second = (CLIENT_IP, 40_001), (CLIENT_IP, 40_002)
    requests = add(
        assembler,
        server_side() | {"connection": 1, "remote": first, "pid": 101},
        server_side() | {"connection": 2, "remote": second, "pid": 102},
        event(connection=3, local=first),
        event(connection=4, local=second),
    )

    pairs = {(one.client.port, one.server_process.pid) for one in requests if one.server_process}
    assert pairs == {(40_001, 101), (40_002, 102)}


def test_a_socket_that_was_passed_on_has_its_new_owner(assembler: Assembler) -> None:
    """The process that answers a request owns it, whoever answered the one before."""
    requests = add(assembler, server_side(pid=101), server_side(pid=102, sequence=2))

    assert [one.server_process.pid for one in requests if one.server_process] == [101, 102]


def test_a_declared_response_is_held_until_it_is_complete(assembler: Assembler) -> None:
    """Its size and the time to its last byte are those of all of it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    before = add(assembler, event(response_head=head, response_bytes=len(head)))
    running = add(assembler, event(kind=EventKind.REMAINDER, response_bytes=500, last_ms=10))

    (request,) = add(assembler, event(kind=EventKind.REMAINDER, response_bytes=len(head) + 1000, last_ms=25))

    assert before == running == []
    assert (request.response_bytes, request.transfer_ns) == (len(head) + 1000, 25_000_000)
    assert assembler.statistics().unfinished == 0


def test_a_response_that_stalls_is_reported_and_its_rest_counted(assembler: Assembler) -> None:
    """Nobody waits for ever; bytes that come afterwards are in the windows."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    add(assembler, event(response_head=head, response_bytes=len(head)))

    (request,) = add(assembler, after_ns=400_000_000)
    add(assembler, event(kind=EventKind.REMAINDER, response_bytes=len(head) + 1000, flags=EventFlag.FINAL))

    assert request.response_bytes == len(head)
    assert assembler.statistics().unfinished == 1
    assert sum(window.response_bytes for window in assembler.flush()) == len(head) + 1000


def test_a_response_that_never_ends_is_reported_after_a_minute(assembler: Assembler) -> None:
    """A stream of events that goes on for hours is one request, with what it had by then."""
    add(assembler, event(response_head=CHUNKED, response_bytes=len(CHUNKED)))
    found: list[Request] = []
    for tenth in range(1, 700):
        more = event(kind=EventKind.REMAINDER, response_bytes=1000 * tenth, last_ms=100 * tenth)
        found += add(assembler, more, after_ns=tenth * 100_000_000)

    assert [60_000 <= request.transfer_ns / 1e6 <= 61_000 for request in found] == [True]


def test_a_chunked_response_in_one_piece_is_complete(assembler: Assembler) -> None:
    """Its last chunk is there: nothing is waited for."""
    whole = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"

    (request,) = add(assembler, event(response_head=whole, response_bytes=len(whole)))

    assert (request.response_bytes, request.transfer_ns) == (len(whole), 0)


def test_an_answer_before_the_request_has_ended_waits_for_it(assembler: Assembler) -> None:
    """A server that refuses an upload early: the request has all the bytes that were sent."""
    upload = b"POST /files HTTP/1.1\r\nContent-Length: 5000\r\n\r\n"
    before = add(assembler, event(request=upload, request_bytes=1000))

    (request,) = add(assembler, event(kind=EventKind.REMAINDER, request_bytes=len(upload) + 5000, response_bytes=43))

    assert before == []
    assert (request.request_bytes, request.response_bytes, request.transfer_ns) == (len(upload) + 5000, 43, 0)


def test_the_answer_to_head_has_no_body(assembler: Assembler) -> None:
    """What its head declares is never sent, so it is not waited for."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    (request,) = add(assembler, event(request=b"HEAD / HTTP/1.1\r\n\r\n", response_head=head, response_bytes=len(head)))

    assert request.response_bytes == len(head)


def test_weights_reach_the_request_list(assembler: Assembler) -> None:
    """A row says for how many requests it stands, the window counts it once."""
    (request,) = add(assembler, event(weight=17))

    assert request.weight == 17
    assert [window.count for window in assembler.flush()] == [1]


def test_dns_answers_are_handed_on() -> None:
    """Payload, process, cgroup and time go to whoever names addresses; nothing becomes a request."""
    told: list[tuple[bytes, int, int, int]] = []
    assembler = Assembler(FakeEntities(), on_dns=lambda *answer: told.append(answer))

    requests = add(assembler, event(kind=EventKind.DNS, protocol=3, request=b"\x12\x34\x81\x80", end_ns=7))

    assert requests == []
    assert told == [(b"\x12\x34\x81\x80", 41, CLIENT_CGROUP, WALL_NS + 7)]


def test_a_reused_connection_name_does_not_inherit_prepared_statements(assembler: Assembler) -> None:
    """The kernel gives a socket's address to the next one; its statements are not those of the last one."""
    parse = b"P\x00\x00\x00\x17one\x00SELECT 1 + 2\x00\x00\x00" + b"S\x00\x00\x00\x04"
    execute = b"B\x00\x00\x00\x0f\x00one\x00\x00\x00\x00\x00\x00\x00" + b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
    ready = b"C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"
    postgres = {"protocol": ProtocolCode.POSTGRES, "response_head": ready, "response_bytes": len(ready)}

    known = add(assembler, event(request=parse, **postgres), event(request=execute, sequence=2, **postgres))
    late = add(assembler, event(request=execute, sequence=1, **postgres))

    assert "SELECT" in known[1].template
    assert "SELECT" not in late[0].template
    assert assembler.statistics().joined_late == 1


def test_few_templates_are_reported_whatever_is_asked(entities: FakeEntities) -> None:
    """A service's templates are bounded in windows and requests, and no count is lost by it."""
    assembler = Assembler(entities, redaction=Redaction(templates_max=10))
    names = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}x" for n in range(300)]
    for start in range(0, 300, 10):
        add(
            assembler,
            *(
                event(sequence=n, request=f"GET /{names[n]} HTTP/1.1\r\n\r\n".encode())
                for n in range(start, start + 10)
            ),
        )

    windows = assembler.flush()

    assert len({window.key.template for window in windows}) <= 12
    assert sum(window.count for window in windows) == 300


def test_a_client_whose_event_sampling_left_out_is_the_usual_one(assembler: Assembler) -> None:
    """Of short connections on one host most ends are not sent: the far end is who was seen there before."""
    loopback = {"local": ("127.0.0.1", 8080), "remote": ("127.0.0.1", 40_000)}
    add(assembler, event(local=loopback["remote"], remote=loopback["local"]), server_side(**loopback))

    (request,) = add(assembler, server_side(**loopback | {"remote": ("127.0.0.1", 40_001)}, connection=9, weight=20))

    assert request.source.id == WEB.id
    assert request.client_process is None


def test_without_sampling_nobody_is_assumed(assembler: Assembler) -> None:
    """An end that should have been seen and was not is not given another's name."""
    loopback = {"local": ("127.0.0.1", 8080), "remote": ("127.0.0.1", 40_000)}
    add(assembler, event(local=loopback["remote"], remote=loopback["local"]), server_side(**loopback))
    before = add(assembler, server_side(**loopback | {"remote": ("127.0.0.1", 40_001)}, connection=9))

    (request,) = add(assembler, after_ns=300_000_000)

    assert before == []
    assert request.source.kind is EntityKind.NODE


def test_at_the_end_nothing_is_left_behind(assembler: Assembler, entities: FakeEntities) -> None:
    """What waits for a name or for its last byte is told when the agent ends."""
    entities.late = {SERVER_IP}
    add(assembler, event())
    entities.late = set()
    add(assembler, event(connection=5, local=(CLIENT_IP, 9), response_head=CHUNKED, response_bytes=len(CHUNKED)))
    entities.late = {SERVER_IP}
    add(assembler, event(connection=6, local=(CLIENT_IP, 10)))

    requests = assembler.finish(wall_offset_ns=WALL_NS, now_ns=WALL_NS + 20_000_000)

    assert len(requests) == 2
    assert sum(window.count for window in assembler.flush()) == 3


def test_a_port_that_another_client_had_before_does_not_name_this_one(assembler: Assembler) -> None:
    """Ports of loopback are used again within seconds; the client that had one called another server."""
    here = {"local": ("127.0.0.1", 8080), "remote": ("127.0.0.1", 40_000)}
    add(assembler, event(pid=66, local=("127.0.0.1", 40_000), remote=("127.0.0.1", 9090)))
    before = add(assembler, server_side(**here))

    (request,) = [one for one in add(assembler, after_ns=300_000_000) if one.role is Role.SERVER]

    assert before == []
    assert request.client_process is None
    assert request.source.kind is EntityKind.NODE
