"""Connections: when they are kept, when they are made anew, whose they are, and what is counted of them."""

from __future__ import annotations

import socket

import pytest

from osmia.load.client.transport import Pool, Shows, Transport, Users, WireStep
from osmia.load.tally import Failure, Phase, SampleFlag
from tests.load.conformance.rig import Link, Stage, Witness, exercise, get, ok

_SECOND_NS = 1_000_000_000


def test_a_connection_is_used_again(transport: Transport, stage: Stage) -> None:
    """One user, one connection; connecting is counted once and everything else each time."""
    peer = stage.answer(ok())

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), count=50, peers=[peer])

    assert peer.links == 1
    assert outcome.run["connections_opened"] == 1
    assert outcome.run["connections_max"] == 1
    assert outcome.steps[0]["reused"] == 49
    assert outcome.phase_count(Phase.CONNECT) == 1
    assert outcome.phase_count(Phase.DNS) == 0
    assert outcome.phase_count(Phase.TLS) == 0
    assert outcome.phase_count(Phase.TOTAL) == outcome.phase_count(Phase.SERVER_PROCESSING) == 50


def test_users_that_wait_each_have_a_connection(transport: Transport, stage: Stage) -> None:
    """As many connections as requests at once, no more."""
    peer = stage.answer(ok())

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), users=8, count=80, peers=[peer])

    assert 1 <= peer.links <= 8
    assert outcome.run["connections_opened"] == peer.links
    assert outcome.statuses() == {200: 80}
    assert outcome.steps[0]["reused"] + peer.links == 80


@pytest.mark.parametrize("header", ["Connection: close", "connection: Close"])
def test_a_server_that_says_close_is_believed(transport: Transport, stage: Stage, header: str) -> None:
    """The next request has a new connection and nothing failed."""
    peer = stage.once(ok(b"ok", header))

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), count=5, peers=[peer])

    assert outcome.statuses() == {200: 5}
    assert peer.links == 5
    assert outcome.steps[0]["retried"] == 0


def test_a_step_may_ask_for_new_connections(transport: Transport, stage: Stage) -> None:
    """`is_closed_after`: the connection ends with the answer even if the server would keep it."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get("/", "Connection: close"), is_closed_after=True)

    outcome = exercise(transport, step, count=5, peers=[peer])

    assert outcome.statuses() == {200: 5}
    assert peer.links == 5
    assert outcome.phase_count(Phase.CONNECT) == 5
    assert outcome.steps[0]["reused"] == 0


def test_a_kept_connection_that_was_closed_is_made_anew(transport: Transport, stage: Stage) -> None:
    """The server closes after each answer without a word: every request is answered all the same."""
    peer = stage.once(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get(), sleep_ns=(20_000_000, 20_000_000))

    outcome = exercise(transport, step, count=4, peers=[peer])

    assert outcome.statuses() == {200: 4}
    assert outcome.failures() == {}
    assert peer.links == 4


def test_a_kept_connection_that_breaks_at_the_next_request_is_tried_once_more(
    transport: Transport, stage: Stage
) -> None:
    """The second request of each connection is read and then hung up on: it is sent again, and that is counted."""

    async def each(link: Link) -> None:
        peer.requests.append(await link.request())
        await link.send(ok())
        peer.requests.append(await link.request())

    peer = stage.serve(each)

    step = WireStep(endpoint=peer.endpoint(), request=get())
    outcome = exercise(transport, step, count=4, peers=[peer], has_samples=True)

    assert outcome.statuses() == {200: 4}
    assert outcome.steps[0]["retried"] == 3
    assert len(peer.requests) == 7
    assert outcome.samples is not None
    assert int((outcome.samples["flags"] & SampleFlag.RETRIED > 0).sum()) == 3


def test_a_new_connection_that_breaks_is_a_failure(transport: Transport, stage: Stage) -> None:
    """Nothing is tried twice on a connection that was never any good."""
    peer = stage.once()

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), count=3, peers=[peer])

    assert outcome.failures() == {Failure.CONNECTION_CLOSED: 3}
    assert peer.links == 3


def test_a_broken_answer_is_not_asked_for_again(transport: Transport, stage: Stage) -> None:
    """Once a part of the answer has come, a kept connection that closes is a failure like any other."""

    async def each(link: Link) -> None:
        await link.request()
        await link.send(ok())
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    peer = stage.serve(each)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), count=2, peers=[peer])

    assert outcome.statuses() == {200: 1}
    assert outcome.failures() == {Failure.CONNECTION_CLOSED: 1}


def test_new_users_have_new_connections(transport: Transport, stage: Stage) -> None:
    """PER_USER_NEW: both steps of an iteration share one, the next iteration has another."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(transport, step, step, count=6, users=2, pool=Pool.PER_USER_NEW, peers=[peer])

    assert peer.links == 6
    assert outcome.phase_count(Phase.CONNECT, 0) == 6
    assert outcome.phase_count(Phase.CONNECT, 1) == 0
    assert outcome.run["connections_max"] <= 4


def test_a_new_users_connection_ends_with_its_iteration(transport: Transport, stage: Stage) -> None:
    """Open while the user thinks between its steps, closed while it thinks after them."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS, sleep_ns=(50_000_000, 50_000_000))
    open_links: list[int] = []

    def look() -> int:
        open_links.append(peer.open_links)
        return 0

    exercise(transport, step, step, count=3, pool=Pool.PER_USER_NEW, peers=[peer], stop=look)

    assert peer.links == 3
    assert max(open_links) == 1


def test_users_that_come_back_keep_their_connections(transport: Transport, stage: Stage) -> None:
    """PER_USER_KEPT: a connection per user, never another user's."""
    owners: dict[int, set[bytes]] = {}

    async def each(link: Link) -> None:
        while True:
            request = await link.request()
            owners.setdefault(link.number, set()).add(request.partition(b"User-Number: ")[2].partition(b"\r\n")[0])
            await link.send(ok())

    peer = stage.serve(each)
    script = Witness(renders=lambda state, _step: get("/", f"User-Number: {users[int(str(state))]}"))
    users: dict[int, int] = {}
    begin = script.begin

    def noted(iteration: int, user: int) -> object:
        users[iteration] = user
        return begin(iteration, user)

    script.begin = noted  # type: ignore[method-assign]

    step = WireStep(endpoint=peer.endpoint(), request=None)
    exercise(transport, step, script=script, users=5, count=50, pool=Pool.PER_USER_KEPT, peers=[peer])

    assert peer.links == 5
    assert (
        sorted(owners.values()) == [{str(user).encode()} for user in range(5)]
        or len(set().union(*owners.values())) == 5
    )
    assert all(len(numbers) == 1 for numbers in owners.values())
    assert {user for _, user in script.begun} == set(range(5))


def test_shared_iterations_have_no_user(transport: Transport, stage: Stage) -> None:
    """In one crowd nobody has a number."""
    peer = stage.answer(ok())
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)

    exercise(transport, step, script=script, count=3, peers=[peer])

    assert script.begun == [(0, -1), (1, -1), (2, -1)]


def test_steps_go_to_different_servers(transport: Transport, stage: Stage) -> None:
    """Each endpoint has its own connection, and equal ones share."""
    one, other = stage.answer(ok()), stage.answer(ok(status="404 Not Found"))
    steps = [WireStep(endpoint=peer.endpoint(), request=get()) for peer in (one, other, one)]

    outcome = exercise(transport, *steps, count=5, peers=[one, other])

    assert (one.links, other.links) == (1, 1)
    assert [outcome.statuses(step) for step in range(3)] == [{200: 5}, {404: 5}, {200: 5}]


@pytest.mark.parametrize("pool", [Pool.PER_USER_KEPT, Pool.PER_USER_NEW])
def test_a_users_connections_to_servers_on_one_host_are_not_mixed_up(
    transport: Transport, stage: Stage, pool: Pool
) -> None:
    """Same name, other port: another server."""
    one, other = stage.answer(ok()), stage.answer(ok(status="404 Not Found"))
    steps = [WireStep(endpoint=peer.endpoint(), request=get()) for peer in (one, other, one)]

    outcome = exercise(transport, *steps, users=2, count=6, pool=pool, peers=[one, other])

    assert [outcome.statuses(step) for step in range(3)] == [{200: 6}, {404: 6}, {200: 6}]


def test_connections_have_a_ceiling(transport: Transport, stage: Stage) -> None:
    """More users than connections: those that find none wait, and nothing is lost."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(transport, step, users=10, count=60, max_connections=3, peers=[peer])

    assert peer.links <= 3
    assert outcome.statuses() == {200: 60}
    assert outcome.run["connections_max"] <= 3


def test_an_ipv6_address_is_an_address(transport: Transport, stage: Stage) -> None:
    """A literal without brackets."""
    peer = stage.answer(ok(), host="::1")

    step = WireStep(endpoint=peer.endpoint(), request=get(host="[::1]"))
    outcome = exercise(transport, step, count=3, peers=[peer])

    assert outcome.statuses() == {200: 3}
    assert outcome.phase_count(Phase.DNS) == 0


def test_a_name_is_looked_up(transport: Transport, stage: Stage) -> None:
    """A name of the hosts file: found, connected, answered."""
    peer = stage.answer(ok())
    assert socket.gethostbyname("localhost") == "127.0.0.1"

    step = WireStep(endpoint=peer.endpoint(host="localhost"), request=get())
    outcome = exercise(transport, step, count=3, peers=[peer])

    assert outcome.statuses() == {200: 3}


def test_phases_are_where_the_time_went(transport: Transport, stage: Stage) -> None:
    """A pause before the answer is the server's, a pause within it is reading; the body counts."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.06)
            await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", pause_s=0.03)
            await link.send(b"body")

    peer = stage.serve(each)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), count=3, peers=[peer])

    assert 0.17 < outcome.phase_s(Phase.SERVER_PROCESSING) < 0.25
    assert 0.08 < outcome.phase_s(Phase.RESPONSE_READ) < 0.15
    assert outcome.phase_s(Phase.CONNECT) < 0.05
    assert outcome.steps[0]["service_min_ns"] >= 85_000_000
    assert outcome.run["iteration_min_ns"] >= 85_000_000


def test_samples_are_every_request(transport: Transport, stage: Stage) -> None:
    """One row each, with its times in order and its phases adding up."""
    peer = stage.answer(ok(), ok(status="404 Not Found"))
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(transport, step, step, count=10, peers=[peer], has_samples=True)

    rows = outcome.samples
    assert rows is not None
    assert sorted(zip(rows["iteration"].tolist(), rows["step"].tolist(), strict=True)) == [
        (iteration, step) for iteration in range(10) for step in range(2)
    ]
    assert sorted(rows["status"].tolist()) == [200] + [404] * 19
    assert (rows["started_ns"] <= rows["ended_ns"]).all()
    assert (rows["intended_ns"] <= rows["started_ns"]).all()
    assert int((rows["flags"] & SampleFlag.REUSED > 0).sum()) == 19
    durations = rows["ended_ns"] - rows["started_ns"]
    parts = rows["phase_ns"][:, Phase.DNS : Phase.TOTAL].sum(axis=1)
    assert (abs(parts.astype(int) - durations.astype(int)) <= 200_000).all()


def test_users_end_when_their_time_is_over(transport: Transport, stage: Stage) -> None:
    """The closed model by time: what has begun is finished."""
    peer = stage.answer(ok())
    load = Users(changes=[(0, 2)], duration_ns=_SECOND_NS // 4)

    outcome = exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), load=load, peers=[peer])

    assert 0.24 < outcome.seconds < 1
    assert outcome.run["iterations_succeeded"] == outcome.run["iterations_started"] > 10
