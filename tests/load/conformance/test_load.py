"""When requests go out: arrivals, users, sleeps, limits, and the ways in which a run ends early."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from osmia.load.client.transport import Arrivals, Pool, Shows, Transport, Users, WireStep, Work
from osmia.load.tally import Failure, Phase, WorkerState, block_bytes, views
from tests.load.conformance.rig import Link, Stage, Witness, exercise, get, ok, wait_for

_MS_NS = 1_000_000
_SECOND_NS = 1_000_000_000


def _arrivals(*blocks: NDArray[np.int64], first: int = 0, stride: int = 1) -> Arrivals:
    def each() -> Iterator[NDArray[np.int64]]:
        yield from blocks

    return Arrivals(blocks=each(), first=first, stride=stride)


def _even(count: int, over_ns: int, start_ns: int = 0) -> NDArray[np.int64]:
    return start_ns + np.arange(count, dtype=np.int64) * (over_ns // count)


def test_every_arrival_is_begun_in_time(transport: Transport, stage: Stage) -> None:
    """300 in half a second, in blocks of different sizes: the number is exact and few are late."""
    peer = stage.answer(ok())
    empty = np.array([], dtype=np.int64)
    load = _arrivals(_even(100, 200 * _MS_NS), empty, _even(1, 1, 200 * _MS_NS), _even(199, 300 * _MS_NS, 201 * _MS_NS))

    step = WireStep(endpoint=peer.endpoint(), request=get())
    outcome = exercise(transport, step, load=load, peers=[peer], has_samples=True)

    assert outcome.statuses() == {200: 300}
    assert outcome.run["iterations_due"] == outcome.run["iterations_succeeded"] == 300
    assert int(outcome.run["lag"].sum()) == 300
    assert 0.45 < outcome.seconds < 1.5
    assert outcome.samples is not None
    late = outcome.samples["started_ns"].astype(np.int64) - outcome.samples["intended_ns"].astype(np.int64)
    assert (late >= 0).all()
    assert np.median(late) < 2 * _MS_NS


def test_iterations_are_numbered_by_worker(transport: Transport, stage: Stage) -> None:
    """`first` and `stride`: two of three numbers belong to other workers."""
    peer = stage.answer(ok())
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)

    load = _arrivals(_even(5, 20 * _MS_NS), first=1, stride=3)
    exercise(transport, step, script=script, load=load, peers=[peer])

    assert sorted(number for number, _ in script.begun) == [1, 4, 7, 10, 13]


def test_no_arrivals_is_a_run(transport: Transport, stage: Stage) -> None:
    """A worker may have nothing to do."""
    peer = stage.answer(ok())

    step = WireStep(endpoint=peer.endpoint(), request=get())
    outcome = exercise(transport, step, load=_arrivals(), peers=[peer])

    assert outcome.run["iterations_started"] == 0
    assert peer.links == 0


def test_a_late_start_is_response_time_and_not_service_time(transport: Transport, stage: Stage) -> None:
    """Coordinated omission: a server that stands still for 200 ms is seen by all who should have come meanwhile."""
    still = asyncio.Event()

    async def each(link: Link) -> None:
        while True:
            await link.request()
            if not still.is_set():
                still.set()
                time.sleep(0.2)  # noqa: ASYNC251 - the whole server stands still
            await link.send(ok())

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get())

    load = _arrivals(_even(100, 300 * _MS_NS))
    outcome = exercise(transport, step, load=load, max_in_flight=1, peers=[peer])

    assert outcome.statuses() == {200: 100}
    assert outcome.steps[0]["response_max_ns"] >= 190 * _MS_NS
    assert outcome.run["backlog_max"] >= 40
    assert outcome.run["in_flight_max"] == 1
    assert outcome.phase_s(Phase.WAIT) > 2
    assert outcome.phase_s(Phase.TOTAL) < 1


def test_arrivals_beyond_the_connections_wait(transport: Transport, stage: Stage) -> None:
    """Nothing is dropped; what is due and not begun is backlog."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.02)
            await link.send(ok())

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get())

    load = _arrivals(np.zeros(20, dtype=np.int64))
    outcome = exercise(transport, step, load=load, max_connections=4, peers=[peer])

    assert outcome.statuses() == {200: 20}
    assert peer.links == 4
    assert outcome.run["backlog_max"] >= 12
    assert 0.09 < outcome.seconds < 0.6


def test_users_come_and_go(transport: Transport, stage: Stage) -> None:
    """Two, then six, then one."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.01)
            await link.send(ok())

    peer = stage.serve(each)
    load = Users(
        changes=[(0, 2), (150 * _MS_NS, 6), (300 * _MS_NS, 1)],
        duration_ns=450 * _MS_NS,
    )

    step = WireStep(endpoint=peer.endpoint(), request=get())
    outcome = exercise(transport, step, load=load, peers=[peer], has_samples=True)

    assert outcome.samples is not None
    begun = outcome.samples["started_ns"].astype(np.int64) - int(outcome.run["zero_ns"])
    parts = np.histogram(begun, [0, 150 * _MS_NS, 300 * _MS_NS, 450 * _MS_NS])[0]
    assert outcome.run["in_flight_max"] == 6
    assert parts[0] * 2 < parts[1]
    assert parts[2] * 2 < parts[1]
    assert parts[2] > 3


def test_a_number_of_iterations_is_exact(transport: Transport, stage: Stage) -> None:
    """Users share them and none is begun beyond it."""
    peer = stage.answer(ok())
    load = Users(changes=[(0, 7)], duration_ns=60 * _SECOND_NS, count=100, first=1, stride=2)
    script = Witness()

    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)
    outcome = exercise(transport, step, script=script, load=load, peers=[peer])

    assert outcome.statuses() == {200: 100}
    assert sorted(number for number, _ in script.begun) == list(range(1, 200, 2))


def test_users_rest_between_steps_and_iterations(transport: Transport, stage: Stage) -> None:
    """Sleep after each step, the last one too; it is in no latency."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get(), sleep_ns=(30 * _MS_NS, 40 * _MS_NS))

    outcome = exercise(transport, step, step, count=3, peers=[peer])

    assert 5 * 0.03 <= outcome.seconds < 0.6
    assert outcome.steps[0]["service_max_ns"] < 30 * _MS_NS
    assert outcome.steps[1]["response_max_ns"] < 30 * _MS_NS


def test_a_stop_lets_everything_finish(transport: Transport, stage: Stage) -> None:
    """1: nothing new begins, what is under way is answered."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.2)
            await link.send(ok())

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(transport, step, users=4, count=1000, peers=[peer], stop=lambda: 1 if peer.links == 4 else 0)

    assert outcome.statuses() == {200: 4}
    assert outcome.failures() == {}
    assert outcome.run["iterations_succeeded"] == 4


@pytest.mark.parametrize("is_open", [True, False])
def test_an_abort_gives_up_at_once(transport: Transport, stage: Stage, is_open: bool) -> None:  # noqa: FBT001
    """2: requests under way are cancelled, and told from errors of the target."""

    async def each(link: Link) -> None:
        await link.request()
        await link.ended()

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get(), timeout_ns=30 * _SECOND_NS)
    load = _arrivals(np.zeros(3, dtype=np.int64), _even(1, 1, 50 * _SECOND_NS)) if is_open else None

    outcome = exercise(
        transport, step, step, load=load, users=3, count=100, peers=[peer], stop=lambda: 2 if peer.links == 3 else 0
    )

    assert outcome.failures() == {Failure.CANCELLED: 3}
    assert outcome.run["iterations_failed"] == 3
    assert outcome.seconds < 1


def test_a_stop_before_the_start_is_a_run_without_requests(transport: Transport, stage: Stage) -> None:
    """Ended while it waits for its zero."""
    peer = stage.answer(ok())
    load = _arrivals(_even(1, 1, 50 * _SECOND_NS))

    step = WireStep(endpoint=peer.endpoint(), request=get())
    outcome = exercise(transport, step, load=load, peers=[peer], stop=lambda: 1)

    assert outcome.run["iterations_started"] == 0
    assert outcome.seconds < 1


def test_open_iterations_have_several_steps(transport: Transport, stage: Stage) -> None:
    """Arrivals overlap: each goes through all steps."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.02)
            await link.send(ok())

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(transport, step, step, step, load=_arrivals(_even(20, 100 * _MS_NS)), peers=[peer])

    assert [outcome.statuses(number) for number in range(3)] == [{200: 20}] * 3
    assert outcome.run["iterations_succeeded"] == 20
    assert outcome.run["iteration_min_ns"] >= 58 * _MS_NS
    assert outcome.run["in_flight_max"] > 1


def test_counters_are_live(transport: Transport, stage: Stage) -> None:
    """A reader of the block sees what happened a tenth of a second ago, and gauges of now."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.01)
            await link.send(ok())

    peer = stage.serve(each)
    block = memoryview(bytearray(block_bytes(1)))
    run, steps = views(block)
    load = Users(changes=[(0, 3)], duration_ns=600 * _MS_NS)
    step = WireStep(endpoint=peer.endpoint(), request=get())
    run[0]["zero_ns"] = time.monotonic_ns()
    work = Work(steps=[step], load=load, script=Witness(), block=block)
    thread = threading.Thread(target=transport.run, args=(work,))

    thread.start()
    try:
        wait_for(lambda: int(steps[0]["answered"]) >= 5, "the first answers", 2)
        early = int(steps[0]["answered"])
        wait_for(lambda: int(run[0]["in_flight"]) == int(run[0]["connections"]) == 3, "the gauges", 2)
        state = int(run[0]["state"])
        wait_for(lambda: int(steps[0]["answered"]) >= early + 20, "more answers", 2)
    finally:
        thread.join(5)

    assert state == WorkerState.RUNNING
    assert run[0]["cpu_ns"] > 0


def test_users_of_arrivals_are_as_many_as_run_at_once(transport: Transport, stage: Stage) -> None:
    """PER_USER_KEPT in the open model: whoever is free comes back."""
    peer = stage.answer(ok())
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)
    load = _arrivals(_even(10, 300 * _MS_NS))

    exercise(transport, step, script=script, load=load, pool=Pool.PER_USER_KEPT, peers=[peer])

    users = [user for _, user in script.begun]
    assert set(users) <= {0, 1, 2}
    assert users.count(0) >= 5
    assert peer.links == len(set(users))
