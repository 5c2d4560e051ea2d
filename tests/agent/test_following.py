"""Followed connections: copied bytes become ordinary requests, within bounds."""

from __future__ import annotations

import pytest

from osmia.agent.assembly import Assembler
from osmia.agent.events import EventFlag, EventKind, RoleCode
from osmia.agent.following import Following
from osmia.model.entity import EntityKind
from osmia.model.request import NO_RESPONSE, Protocol, Request, Role
from osmia.protocols.streams import Chunk, Exchange, StreamStatistics
from tests.agent.events import CLIENT_IP, DATABASE, SERVER_CGROUP, SERVER_IP, WEB, FakeEntities, batch, event

WALL_NS = 1_700_000_000_000_000_000
MS = 1_000_000
ASKED = b"GET /%c HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Connection:
    """A followed connection as its client's process sees it: remembers where each direction has arrived."""

    def __init__(self, **values: object) -> None:
        self.values = values
        self.positions = {True: 0, False: 0}

    def sent(self, data: bytes, at_ns: int) -> dict[str, object]:
        """A piece that left the process."""
        return self._chunk(data, at_ns, is_sent=True)

    def arrived(self, data: bytes, at_ns: int) -> dict[str, object]:
        """A piece that came."""
        return self._chunk(data, at_ns, is_sent=False)

    def closed(self, at_ns: int) -> dict[str, object]:
        """Its end."""
        return event(kind=EventKind.CLOSED, start_ns=at_ns, end_ns=at_ns, **self.values)

    def _chunk(self, data: bytes, at_ns: int, *, is_sent: bool) -> dict[str, object]:
        position = self.positions[is_sent]
        self.positions[is_sent] += len(data)
        return event(
            kind=EventKind.CHUNK,
            flags=EventFlag.SENT if is_sent else 0,
            start_ns=at_ns,
            end_ns=at_ns,
            position=position,
            request=data,
            request_bytes=len(data),
            response_head=b"",
            response_bytes=0,
            **self.values,
        )


@pytest.fixture
def assembler() -> Assembler:
    """An assembler over two pods."""
    return Assembler(FakeEntities())


def add(assembler: Assembler, *events: dict[str, object], after_ns: int = 50 * MS) -> list[Request]:
    """Feed events whose ring clock started at `WALL_NS`."""
    return list(assembler.add(batch(*events), wall_offset_ns=WALL_NS, now_ns=WALL_NS + after_ns))


def test_pipelined_requests_are_requests_like_others(assembler: Assembler) -> None:
    """Three in one buffer, answered one by one: named, timed, summed as if each had come alone."""
    connection = Connection()
    questions = b"".join(ASKED % letter for letter in b"abc")

    requests = add(
        assembler,
        connection.sent(questions, 1 * MS),
        connection.arrived(ANSWERED, 5 * MS),
        connection.arrived(ANSWERED + ANSWERED, 9 * MS),
    )

    assert [request.target for request in requests] == ["/a", "/b", "/c"]
    assert [request.latency_ns for request in requests] == [4 * MS, 8 * MS, 8 * MS]
    assert {(one.source.id, one.destination.id, one.role) for one in requests} == {(WEB.id, DATABASE.id, Role.CLIENT)}
    assert {(one.request_bytes, one.response_bytes) for one in requests} == {(len(ASKED % 1), len(ANSWERED))}
    assert sum(window.count for window in assembler.flush()) == 3


def test_at_the_server_requests_arrive(assembler: Assembler) -> None:
    """Which direction is the request's depends on whose end it is."""
    here: dict[str, object] = {
        "role": RoleCode.SERVER,
        "cgroup_id": SERVER_CGROUP,
        "local": (SERVER_IP, 8080),
        "remote": (CLIENT_IP, 40_000),
    }
    connection = Connection(**here)

    (request,) = add(assembler, connection.arrived(ASKED % b"x", 1 * MS), connection.sent(ANSWERED, 3 * MS))

    assert (request.role, request.source.id, request.target) == (Role.SERVER, WEB.id, "/x")


def test_a_response_in_pieces_has_its_time_to_the_last_byte(assembler: Assembler) -> None:
    """The first piece gives the latency, the last one the end."""
    connection = Connection()

    (request,) = add(
        assembler,
        connection.sent(ASKED % b"x", 1 * MS),
        connection.arrived(ANSWERED[:-2], 5 * MS),
        connection.arrived(ANSWERED[-2:], 25 * MS),
    )

    assert (request.latency_ns, request.transfer_ns) == (4 * MS, 20 * MS)


def test_what_was_under_way_at_the_end_had_no_response(assembler: Assembler) -> None:
    """A connection that ends with open questions leaves them as errors."""
    connection = Connection()
    requests = add(
        assembler, connection.sent(ASKED % b"a" + ASKED % b"b", 1 * MS), connection.arrived(ANSWERED, 2 * MS)
    )

    requests += add(assembler, connection.closed(30 * MS))

    assert [(request.target, request.status) for request in requests] == [("/a", "200"), ("/b", NO_RESPONSE)]
    assert requests[1].latency_ns == 29 * MS
    assert assembler.statistics().followed == 0


def test_requests_of_a_followed_connection_wait_for_names_too() -> None:
    """A peer that is not known yet is waited for."""
    entities = FakeEntities()
    entities.late = {SERVER_IP}
    assembler = Assembler(entities)
    connection = Connection()
    before = add(assembler, connection.sent(ASKED % b"x", 1 * MS), connection.arrived(ANSWERED, 2 * MS))
    entities.late = set()

    (request,) = add(assembler, after_ns=500 * MS)

    assert before == []
    assert request.destination.kind is EntityKind.STATEFUL_SET


def test_a_lost_chunk_is_counted_as_a_gap(assembler: Assembler) -> None:
    """Bytes that did not come show in the statistics."""
    connection = Connection()
    add(assembler, connection.sent(ASKED % b"a", 1 * MS), connection.arrived(ANSWERED, 2 * MS))
    connection.sent(ASKED % b"b", 3 * MS)  # never arrives here

    add(assembler, connection.sent(ASKED % b"c", 4 * MS), connection.arrived(ANSWERED, 5 * MS))

    assert assembler.statistics().gaps == 1


def test_bytes_read_together_with_the_end_are_no_gap(assembler: Assembler) -> None:
    """TCP counts the end of a stream as one more byte; the last response is there all the same."""
    connection = Connection()
    add(assembler, connection.sent(ASKED % b"a" + ASKED % b"b", 1 * MS), connection.arrived(ANSWERED, 2 * MS))
    connection.positions[False] += 1

    (request,) = add(assembler, connection.arrived(ANSWERED, 3 * MS))

    assert (request.target, request.status) == ("/b", "200")
    assert assembler.statistics().gaps == 0


class Silent:
    """A stream that has one exchange to give, at its end."""

    def feed(self, chunk: Chunk) -> list[Exchange]:
        """Nothing yet."""
        return []

    def close(self, time_ns: int) -> list[Exchange]:
        """The one."""
        return [Exchange(b"GET / HTTP/1.1\r\n\r\n", b"", b"", 1, time_ns, time_ns, 18, 0, is_unanswered=True)]

    def statistics(self) -> StreamStatistics:
        """Something was lost."""
        return StreamStatistics(gaps=1, dropped=2)


def test_the_number_of_streams_is_bounded() -> None:
    """The connection used longest ago gives way; what it had under way is told, what it lost stays counted."""
    following = Following({Protocol.HTTP: Silent})
    found = 0
    for number in range(2_100):
        rows, _ = following.feed(batch(Connection(connection=number).sent(b"x", number)))
        found += len(rows)

    statistics = following.statistics()

    assert (statistics.streams, statistics.evicted, found) == (2_048, 52, 52)
    assert (statistics.gaps, statistics.dropped) == (2_100, 4_200)


def test_a_connection_whose_end_was_lost_is_ended_after_a_while() -> None:
    """The kernel's CLOSED may find the ring full: memory is given back all the same."""
    following = Following({Protocol.HTTP: Silent})
    following.feed(batch(Connection().sent(b"x", 5)))

    early, _ = following.forget(300 * 10**9)
    late, _ = following.forget(700 * 10**9)

    assert (len(early), len(late), following.statistics().streams) == (0, 1, 0)
