"""Windows: exact over an edge, whatever was an event and whatever was only counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.assembly import Assembler
from osmia.agent.uncaptured import Uncaptured
from osmia.model.histogram import bucket_of
from osmia.model.request import UNCAPTURED
from osmia.model.window import WINDOW_S, Window
from tests.agent.events import CLIENT_IP, SERVER_IP, FakeEntities, batch, counted, event

WALL_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Call:
    """One request as it really was."""

    edge: int
    route: int
    is_error: bool
    latency_ns: int
    request_bytes: int
    response_bytes: int
    is_event: bool

    def as_event(self, end_ns: int, sequence: int) -> dict[str, object]:
        """What the kernel sends of it."""
        status = b"500 No" if self.is_error else b"200 OK"
        return event(
            edge=self.edge,
            connection=self.edge,
            sequence=sequence,
            start_ns=end_ns - self.latency_ns,
            end_ns=end_ns,
            local=(CLIENT_IP, 40_000 + self.edge),
            remote=(SERVER_IP, 8000 + self.edge),
            request=b"GET /route-%c HTTP/1.1\r\n\r\n" % (97 + self.route),
            response_head=b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status,
            request_bytes=self.request_bytes,
            response_bytes=1_000 + self.response_bytes,
        )


CALLS = st.builds(
    Call,
    edge=st.integers(1, 3),
    route=st.integers(0, 3),
    is_error=st.booleans(),
    latency_ns=st.integers(1, 4 * SECOND_NS),
    request_bytes=st.integers(1, 10**6),
    response_bytes=st.integers(0, 10**9),
    is_event=st.booleans(),
)


def uncaptured(calls: Sequence[Call], edge: int, last_ns: int) -> Uncaptured:
    """What the kernel counted of an edge."""
    mine = [call for call in calls if call.edge == edge and not call.is_event]
    buckets = {
        is_error: dict(Counter(bucket_of(call.latency_ns) for call in mine if call.is_error == is_error))
        for is_error in (False, True)
    }
    return counted(
        len(mine),
        errors=sum(call.is_error for call in mine),
        latency_sum_ns=sum(call.latency_ns for call in mine),
        request_bytes=sum(call.request_bytes for call in mine),
        response_bytes=sum(1_000 + call.response_bytes for call in mine),
        histogram=buckets[False],
        error_histogram=buckets[True],
        key=edge,
        server_port=8000 + edge,
        last_ns=last_ns,
    )


def totals(windows: Sequence[Window], edge: int) -> tuple[object, ...]:
    """Sums over an edge."""
    mine = [window for window in windows if window.key.server_port == 8000 + edge]
    names = ("count", "errors", "latency_sum_ns", "request_bytes", "response_bytes")
    histogram = sum((Counter(window.histogram) for window in mine), Counter[int]())
    return (*(sum(getattr(window, name) for window in mine) for name in names), histogram)


def truth(calls: Sequence[Call], edge: int) -> tuple[object, ...]:
    """The same from the calls themselves."""
    mine = [call for call in calls if call.edge == edge]
    return (
        len(mine),
        sum(call.is_error for call in mine),
        sum(call.latency_ns for call in mine),
        sum(call.request_bytes for call in mine),
        sum(1_000 + call.response_bytes for call in mine),
        Counter(bucket_of(call.latency_ns) for call in mine),
    )


@given(st.lists(st.lists(CALLS, max_size=25), min_size=1, max_size=4))
def test_every_edge_is_exact_whatever_was_an_event(intervals: list[list[Call]]) -> None:
    """For random splits between events and counts, over several reports, the sums are those of the calls."""
    assembler = Assembler(FakeEntities())
    windows: list[Window] = []
    for number, calls in enumerate(intervals):
        end_ns = (number + 2) * 4 * SECOND_NS
        now_ns = WALL_NS + end_ns
        rows = [call.as_event(end_ns, index + 1) for index, call in enumerate(calls) if call.is_event]
        assembler.add(batch(*rows), wall_offset_ns=WALL_NS, now_ns=now_ns)
        lost = [uncaptured(calls, edge, end_ns) for edge in (1, 2, 3)]
        assembler.add_uncaptured(lost, wall_offset_ns=WALL_NS, now_ns=now_ns)
        windows += assembler.flush()

    assembler.finish(wall_offset_ns=WALL_NS, now_ns=now_ns)
    windows += assembler.flush()
    everything = [call for calls in intervals for call in calls]
    for edge in (1, 2, 3):
        assert totals(windows, edge) == truth(everything, edge)
    for window in windows:
        assert window.count >= window.errors >= 0
        assert sum(window.histogram.values()) == window.count
        assert window.start_s % WINDOW_S == 0


@pytest.fixture
def assembler() -> Assembler:
    """An assembler over two pods."""
    return Assembler(FakeEntities())


def see(assembler: Assembler, *calls: Call, weight: int = 1) -> None:
    """Events of calls, each standing for `weight`."""
    rows = [call.as_event(SECOND_NS, index + 1) | {"weight": weight} for index, call in enumerate(calls)]
    assembler.add(batch(*rows), wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)


def call(route: int = 0, *, is_error: bool = False, latency_ns: int = 5_000_000) -> Call:
    """A call of edge 1."""
    return Call(1, route, is_error, latency_ns, 100, 0, is_event=True)


def by_route(windows: Sequence[Window]) -> dict[tuple[str, str], int]:
    """Counts by template and status."""
    found: Counter[tuple[str, str]] = Counter()
    for window in windows:
        found[window.key.template, window.key.status] += window.count
    return dict(found)


def test_counts_go_where_events_went(assembler: Assembler) -> None:
    """Three of four events were for one route: so were three of four that were only counted; errors are apart."""
    see(assembler, call(0), call(0), call(0), call(1), call(2, is_error=True), weight=10)

    lost = counted(40, errors=4, histogram={300: 36}, error_histogram={300: 4}, server_port=8001)
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    assert by_route(assembler.flush()) == {
        ("/route-a", "200"): 3 + 27,
        ("/route-b", "200"): 1 + 9,
        ("/route-c", "500"): 1 + 4,
    }


def test_what_was_sent_in_full_gets_no_further_share(assembler: Assembler) -> None:
    """A route whose events stand for nobody else (slow ones, sent one by one) had none that was left out."""
    see(assembler, call(0), weight=20)
    see(assembler, call(1), call(1), weight=1)

    assembler.add_uncaptured([counted(19, server_port=8001)], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    assert by_route(assembler.flush()) == {("/route-a", "200"): 20, ("/route-b", "200"): 2}


def test_an_interval_without_events_remembers_the_last_one(assembler: Assembler) -> None:
    """Between two exemplars of a rare route, counts keep their names."""
    see(assembler, call(3))
    assembler.flush()

    assembler.add_uncaptured([counted(7, server_port=8001)], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    assert by_route(assembler.flush()) == {("/route-d", "200"): 7}


def test_errors_without_any_event_have_ends_but_no_route(assembler: Assembler) -> None:
    """They are not passed off as successes of a route, nor are successes as failures."""
    see(assembler, call(0))

    lost = counted(3, errors=3, error_histogram={300: 3}, server_port=8001)
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    windows = {window.key.template: window for window in assembler.flush()}
    assert (windows["/route-a"].count, windows["/route-a"].errors) == (1, 0)
    assert (windows[UNCAPTURED].count, windows[UNCAPTURED].errors) == (3, 3)
    assert windows[UNCAPTURED].key.destination == windows["/route-a"].key.destination


def test_bytes_that_came_after_their_request_was_counted_are_added(assembler: Assembler) -> None:
    """A counted response that goes on adds bytes to its edge and no request."""
    see(assembler, call(0))

    lost = counted(0, response_bytes=5_000, server_port=8001)
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    (window,) = assembler.flush()
    assert (window.count, window.response_bytes) == (1, 6_000)


def test_counts_of_an_interval_over_two_windows_are_in_both(assembler: Assembler) -> None:
    """What ended between two reports is spread over the windows in between by time."""
    assembler.add_uncaptured([], wall_offset_ns=WALL_NS, now_ns=WALL_NS + 7 * SECOND_NS)
    lost = counted(40, server_port=8001, last_ns=11 * SECOND_NS)

    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + 11 * SECOND_NS)
    assembler.finish(wall_offset_ns=WALL_NS, now_ns=WALL_NS + 11 * SECOND_NS)

    counts = {window.start_s - WALL_NS // SECOND_NS: window.count for window in assembler.flush()}
    assert counts == {0: 30, 10: 10}


def test_the_longest_latency_of_counts_is_known_to_a_bucket(assembler: Assembler) -> None:
    """The maximum of a window covers what was only counted."""
    see(assembler, call(0, latency_ns=1_000_000))

    slow = bucket_of(3 * SECOND_NS)
    lost = counted(1, latency_sum_ns=3 * SECOND_NS, histogram={slow: 1}, server_port=8001)
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    (window,) = assembler.flush()
    assert bucket_of(window.latency_max_ns) == slow
    assert window.latency_sum_ns == 1_000_000 + 3 * SECOND_NS


def test_counts_out_of_scope_are_left_out_and_counted() -> None:
    """Of two host processes nobody wants to know, whether their requests were events or counts."""
    entities = FakeEntities()
    entities.by_cgroup, entities.by_ip = {}, {}
    assembler = Assembler(entities, only_kubernetes=True)

    lost = counted(7, errors=2, histogram={300: 5}, error_histogram={300: 2})
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)
    assembler.finish(wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    assert assembler.flush() == []
    assert assembler.statistics().out_of_scope == 7


def test_counts_wait_for_the_first_event_of_their_edge(assembler: Assembler) -> None:
    """They came before the event that names them: they get its ends and its route, in the window they ended in."""
    lost = counted(7, server_port=8001, last_ns=SECOND_NS)
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)
    before = assembler.flush()
    see(assembler, call(3))

    assembler.add_uncaptured([], wall_offset_ns=WALL_NS, now_ns=WALL_NS + 2 * SECOND_NS)

    assert before == []
    assert by_route(assembler.flush()) == {("/route-d", "200"): 8}


def test_counts_do_not_wait_for_ever(assembler: Assembler) -> None:
    """After a few seconds they are reported under the edge's addresses, without a route."""
    lost = counted(7, server_port=8001)
    assembler.add_uncaptured([lost], wall_offset_ns=WALL_NS, now_ns=WALL_NS + SECOND_NS)

    assembler.add_uncaptured([], wall_offset_ns=WALL_NS, now_ns=WALL_NS + 4 * SECOND_NS)

    assert by_route(assembler.flush()) == {(UNCAPTURED, ""): 7}
