"""What is the core's alone; what every transport must do is in `tests/load/conformance`."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from osmia.load.client.core import CoreTransport
from osmia.load.client.core.loop import Loop
from osmia.load.client.transport import (
    Arrivals,
    Endpoint,
    Http,
    Outgoing,
    Pool,
    Proxy,
    ProxyKind,
    Script,
    Shows,
    Users,
    WireStep,
    Work,
)
from osmia.load.tally import Failure, Phase, WorkerState, block_bytes, views
from osmia.model.errors import ConfigError, UnavailableError
from tests.load.conformance.rig import Link, Peer, Stage, Witness, exercise, get, ok, wait_for

_MS_NS = 1_000_000


class _StoryEndsError(Exception):
    """What a script raises here."""


class _Raising:
    """A script of which one method raises."""

    def __init__(self, method: str) -> None:
        self._witness = Witness()
        self._method = method

    def __getattr__(self, name: str) -> Callable[..., object]:
        def raising(*_: object) -> object:
            raise _StoryEndsError(name)

        if name == self._method:
            return raising
        known: Callable[..., object] = getattr(self._witness, name)
        return known


def _arrivals(count: int, every_ns: int = 0) -> Arrivals:
    return Arrivals(blocks=iter([np.arange(count, dtype=np.int64) * every_ns]))


def _run(work: Work, peer: Peer) -> None:
    try:
        CoreTransport().run(work)
    finally:
        wait_for(lambda: not peer.open_links, "the end of all connections")


def _work(step: WireStep, script: object, **changes: object) -> tuple[Work, NDArray[np.void]]:
    block = memoryview(bytearray(block_bytes(1)))
    run, _ = views(block)
    run[0]["zero_ns"] = time.monotonic_ns()
    load = Users(changes=[(0, 3)], duration_ns=10**10)
    work = Work(steps=[step], load=load, script=script, block=block, asks_ends=True)  # type: ignore[arg-type]  # made to
    return dataclasses.replace(work, **changes), run  # type: ignore[arg-type]  # by their names


@pytest.mark.parametrize("method", ["begin", "render", "inspect", "fail", "end"])
def test_what_a_script_raises_ends_the_run(stage: Stage, method: str) -> None:
    """Whichever method it is; the worker's state is DONE and nothing stays open."""
    peer = stage.once() if method == "fail" else stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=None if method == "render" else get(), shows=Shows.ALWAYS)
    work, run = _work(step, _Raising(method))

    with pytest.raises(_StoryEndsError, match=method):
        _run(work, peer)

    assert run[0]["state"] == WorkerState.DONE
    assert run[0]["in_flight"] == run[0]["connections"] == 0


def test_what_arrivals_raise_ends_the_run(stage: Stage) -> None:
    """In the middle of a run."""
    peer = stage.answer(ok())

    def blocks() -> Iterator[NDArray[np.int64]]:
        yield np.array([0, 1], dtype=np.int64)
        raise _StoryEndsError("blocks")

    work, _ = _work(WireStep(endpoint=peer.endpoint(), request=get()), Witness(), load=Arrivals(blocks=blocks()))

    with pytest.raises(_StoryEndsError, match="blocks"):
        _run(work, peer)


def test_what_the_taker_of_samples_raises_ends_the_run(stage: Stage) -> None:
    """Samples cannot be written: better no run than one without them."""
    peer = stage.answer(ok())

    def refuse(_: NDArray[np.void]) -> None:
        raise _StoryEndsError("samples")

    load = Users(changes=[(0, 1)], duration_ns=10**10, count=1)
    work, _ = _work(WireStep(endpoint=peer.endpoint(), request=get()), Witness(), on_samples=refuse, load=load)

    with pytest.raises(_StoryEndsError, match="samples"):
        _run(work, peer)


def test_something_else_than_a_request_is_an_error(stage: Stage) -> None:
    """A script that answers with text ends the run with the reason."""
    peer = stage.answer(ok())
    script = Witness()
    script.render = lambda *_: "GET /"  # type: ignore[method-assign, assignment]  # wrong on purpose
    work, _ = _work(WireStep(endpoint=peer.endpoint(), request=None), script)

    with pytest.raises(TypeError, match="GET /"):
        _run(work, peer)


def test_a_static_plan_never_asks_its_script(stage: Stage) -> None:
    """Not even for the states of iterations."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(CoreTransport(), step, script=cast("Script", _Raising("begin")), count=50, users=2, peers=[peer])

    assert outcome.statuses() == {200: 50}


def test_others_run_while_the_core_waits(stage: Stage) -> None:
    """With a script, too, the GIL is free whenever there is nothing to do."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)
    turns = 0
    is_over = threading.Event()

    def count() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    exercise(CoreTransport(), step, load=_arrivals(20, 10 * _MS_NS), peers=[peer])
    is_over.set()
    other.join()

    assert turns > 10


def test_references_are_given_back(stage: Stage) -> None:
    """States, rendered requests and shown answers: as many references after the run as before."""
    peer = stage.answer(ok())
    state, request = object(), get("/a/long/enough/path/to/be/no/constant")

    class Lean(Witness):
        def begin(self, iteration: int, user: int) -> object:
            del iteration, user
            return state

        def render(self, state: object, step: int) -> bytes:
            del state, step
            return request

        def inspect(self, *_: object) -> bool:
            return True

    before = sys.getrefcount(state), sys.getrefcount(request)
    step = WireStep(endpoint=peer.endpoint(), request=None, shows=Shows.ALWAYS)
    exercise(CoreTransport(), step, script=Lean(), count=100, users=4, peers=[peer])

    assert (sys.getrefcount(state), sys.getrefcount(request)) == before


def test_arrivals_beyond_the_limit_are_a_backlog(stage: Stage) -> None:
    """Ten at once, one at a time: nine wait at first, none is dropped, lag and response time tell it."""

    async def slow(link: Link) -> None:
        while await link.request():
            await asyncio.sleep(0.01)
            await link.send(ok())

    peer = stage.serve(slow)
    step = WireStep(endpoint=peer.endpoint(), request=get())

    outcome = exercise(CoreTransport(), step, load=_arrivals(10), max_in_flight=1, peers=[peer])

    assert outcome.statuses() == {200: 10}
    assert outcome.run["backlog_max"] == 9
    assert outcome.run["in_flight_max"] == peer.links == 1
    assert outcome.steps[0]["response_max_ns"] > 90 * _MS_NS
    assert outcome.steps[0]["service_max_ns"] < 60 * _MS_NS


def test_a_step_that_waits_for_a_connection_gets_one(stage: Stage) -> None:
    """Two servers, one connection allowed: it is closed for the other server each time."""
    first, second = stage.answer(*[ok()] * 50), stage.answer(*[ok()] * 50)
    steps = [WireStep(endpoint=one.endpoint(), request=get()) for one in (first, second)]

    outcome = exercise(CoreTransport(), *steps, count=12, users=4, max_connections=1, peers=[first, second])

    assert outcome.statuses(0) == outcome.statuses(1) == {200: 12}
    assert outcome.run["connections_max"] == 1


def test_the_next_address_is_tried(stage: Stage) -> None:
    """`localhost` is ::1 and 127.0.0.1; only the second has a server, and it is remembered."""
    peer = stage.answer(ok())
    endpoint = dataclasses.replace(peer.endpoint(), host="localhost")
    step = WireStep(endpoint=endpoint, request=get(), is_closed_after=True)

    outcome = exercise(CoreTransport(), step, count=5, peers=[peer])

    assert outcome.statuses() == {200: 5}
    assert outcome.phase_count(Phase.DNS) == 1


def test_waiting_by_a_timer(stage: Stage) -> None:
    """Linux before 5.11 has no epoll_pwait2: arrivals, sleeps and timeouts come by a timerfd."""
    peer = stage.answer(ok())
    step = WireStep(endpoint=peer.endpoint(), request=get(), sleep_ns=(5 * _MS_NS, 5 * _MS_NS))
    work, run = _work(step, Witness(), load=_arrivals(40, 5 * _MS_NS))

    loop = Loop(work)
    loop.wait_by_timer()
    loop.go()
    wait_for(lambda: not peer.open_links, "the end of all connections")

    assert run[0]["iterations_succeeded"] == 40
    assert 190 * _MS_NS < run[0]["last_ns"] - run[0]["first_ns"] < 400 * _MS_NS


def test_a_refusing_target_does_not_hold_up_the_end(stage: Stage) -> None:
    """A closed model against a port that nobody has: failures as fast as they come, and the end in time."""
    peer = stage.answer(ok())
    free = dataclasses.replace(peer.endpoint(), port=1)
    load = Users(changes=[(0, 20)], duration_ns=200 * _MS_NS)

    outcome = exercise(CoreTransport(), WireStep(endpoint=free, request=get()), load=load)

    assert set(outcome.failures()) == {Failure.CONNECTION_REFUSED}
    assert outcome.seconds < 1


def test_timeouts_of_steps_are_their_own(stage: Stage) -> None:
    """Three steps with different timeouts against a server that never answers."""

    async def silent(link: Link) -> None:
        await link.ended()

    peer = stage.serve(silent)
    steps = [WireStep(endpoint=peer.endpoint(), request=get(), timeout_ns=ms * _MS_NS) for ms in (60, 20, 40)]

    outcome = exercise(CoreTransport(), *steps, users=3, count=6, peers=[peer])

    for number in range(3):
        assert outcome.failures(number) == {Failure.READ_TIMEOUT: 6}
    assert 0.2 < outcome.seconds < 0.8
    assert outcome.run["iterations_failed"] == 6


def test_a_script_may_go_where_no_step_goes(stage: Stage) -> None:
    """Endpoints that are first met during the run are made then."""
    first, second = stage.answer(ok()), stage.answer(ok(b"elsewhere"))
    script = Witness(renders=lambda *_: Outgoing(second.endpoint(), get()))
    step = WireStep(endpoint=first.endpoint(), request=None, shows=Shows.ALWAYS, keeps_body=True)

    outcome = exercise(CoreTransport(), step, script=script, peers=[first, second])

    assert outcome.statuses() == {200: 1}
    assert [shown.body for shown in script.shown] == [b"elsewhere"]
    assert first.links == 0


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(host="a.test", port=80, http=Http.THREE),
        Endpoint(host="a.test", port=80, proxy=Proxy(ProxyKind.SOCKS5, "b.test", 1080)),
        Endpoint(host="a.test", port=443, is_tls=True, cert_path="/nowhere/certificate.pem"),
    ],
    ids=["HTTP/3", "SOCKS", "certificate"],
)
def test_what_the_core_cannot_do_is_said_before_the_first_request(endpoint: Endpoint) -> None:
    """As ConfigError, with state STARTING."""
    work, run = _work(WireStep(endpoint=endpoint, request=get()), Witness())

    with pytest.raises(ConfigError):
        CoreTransport().run(work)

    assert run[0]["iterations_started"] == 0


def test_a_core_that_was_not_built_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is there, its extension is not."""
    monkeypatch.setitem(sys.modules, "osmia.load.client.core.loop", None)

    with pytest.raises(UnavailableError, match="--transport curl"):
        CoreTransport()


def test_kept_users_are_numbered_from_nought(stage: Stage) -> None:
    """Users of the closed model keep number and connection; new ones replace those that have ended."""
    peer = stage.answer(ok())
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)

    exercise(CoreTransport(), step, script=script, users=3, count=30, pool=Pool.PER_USER_KEPT, peers=[peer])

    assert {user for _, user in script.begun} == {0, 1, 2}
    assert peer.links == 3
