"""Whole runs over real sockets, on both transports: scenarios, redirects, spreading, stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from osmia.load.client.transport import Transport
from osmia.load.engine import Engine
from osmia.load.plan import (
    Capture,
    CaptureSource,
    CountKind,
    CountShape,
    Limits,
    Mode,
    Plan,
    Shape,
    Sleep,
    Step,
    UsersShape,
    UserStage,
)
from osmia.load.results import Results
from osmia.load.tally import Failure, Phase
from tests.load.engine.crowd import Crowd

Make = Callable[[], Transport]
MS = 1_000_000


def run(transport: Make, shape: Shape, *steps: Step, workers: int = 1, mode: Mode = Mode.DDOSIFY) -> Results:
    """A whole run."""
    plan = Plan(
        steps=steps,
        shape=shape,
        mode=mode,
        seed=1,
        limits=Limits(workers=workers),
        has_cookies=mode is not Mode.DDOSIFY,
    )
    with Engine(plan, transport) as engine:
        for _ in engine.readings():
            pass
        return engine.results()


def linear(count: int, duration_s: int = 1) -> CountShape:
    """So many iterations, evenly."""
    return CountShape(CountKind.LINEAR, count, duration_s)


def test_the_server_saw_what_the_results_say(transport: Make, crowd: Crowd) -> None:
    """Two steps over two processes: as many visits as answers, spread over the second."""
    steps = (Step(id=1, url=f"{crowd.url}/a"), Step(id=2, url=f"{crowd.url}/b"))

    results = run(transport, linear(200), *steps, workers=2)

    assert Counter(visit.path for visit in crowd.visits()) == {"/a": 200, "/b": 200}
    assert [int(step.tally["statuses"][200]) for step in results.steps] == [200, 200]
    assert int(results.run["iterations_succeeded"]) == 200
    assert int(results.run["iterations_due"]) == 200
    assert 0.9 < results.duration_s < 5


def test_phases_add_up(transport: Make, crowd: Crowd) -> None:
    """DNS to the last byte is the service time, and the server's 20 ms are in its processing."""
    results = run(transport, linear(10), Step(id=1, url=f"{crowd.url}/slow"))

    tally = results.steps[0].tally
    parts_ns = sum(int(tally["phase_ns"][phase]) for phase in range(Phase.DNS, Phase.TOTAL))
    total_ns = int(tally["phase_ns"][Phase.TOTAL])
    assert abs(parts_ns - total_ns) < total_ns * 0.02
    assert int(tally["phase_ns"][Phase.SERVER_PROCESSING]) >= 10 * 20 * MS * 0.95
    assert int(tally["service_min_ns"]) >= 19 * MS


def test_a_captured_value_reaches_the_next_request(transport: Make, crowd: Crowd) -> None:
    """What the server said of the connection is what the next step says to the server."""
    steps = (
        Step(
            id=1,
            url=f"{crowd.url}/first?r={{{{_randomInt}}}}",
            captures=(Capture("ID", CaptureSource.BODY_JSON, "connection"),),
            assertions=("status_code == 200", 'contains(body, "connection")', "variables.ID >= 0"),
        ),
        Step(id=2, method="POST", url=f"{crowd.url}/second/{{{{ID}}}}", body='{"id": "{{ID}}"}'),
    )

    results = run(transport, UsersShape((UserStage(10.0, 3, 3),), count=30), *steps)

    seconds = [visit for visit in crowd.visits() if visit.path.startswith("/second")]
    known = {str(visit.connection) for visit in crowd.visits()}
    assert int(results.run["iterations_succeeded"]) == 30
    assert len(seconds) == 30
    assert {visit.path.removeprefix("/second/") for visit in seconds} <= known


def test_failed_assertions_come_home_from_the_workers(transport: Make, crowd: Crowd) -> None:
    """Exact counts by rule over two processes, and no more samples than asked for."""
    step = Step(id=1, url=f"{crowd.url}/x", assertions=("status_code == 201", "status_code == 200"))

    results = run(transport, linear(50), step, workers=2)

    (failure,) = results.steps[0].assertions
    assert (failure.rule, failure.count) == ("status_code == 201", 50)
    assert failure.received["status_code"] == [200, 200, 200]
    assert int(results.run["iterations_assertion_failed"]) == 50


def test_users_keep_their_cookies(transport: Make, crowd: Crowd) -> None:
    """Distinct users log in without a cookie and go on with their own."""
    steps = (Step(id=1, url=f"{crowd.url}/login"), Step(id=2, url=f"{crowd.url}/home"))

    run(transport, UsersShape((UserStage(10.0, 2, 2),), count=8), *steps, mode=Mode.DISTINCT_USER)

    visits = crowd.visits()
    assert {visit.cookie for visit in visits if visit.path == "/login"} == {""}
    assert sorted(visit.cookie for visit in visits if visit.path == "/home") == sorted(f"user={n}" for n in range(1, 9))


def test_thinking_is_no_latency(transport: Make, crowd: Crowd) -> None:
    """Sleep lies between the steps, not in their times."""
    steps = (Step(id=1, url=f"{crowd.url}/a", sleep=Sleep(100, 100)), Step(id=2, url=f"{crowd.url}/b"))

    results = run(transport, linear(1), *steps)

    assert results.duration_s >= 0.1
    assert int(results.run["iteration_max_ns"]) < 100 * MS


def test_a_stop_ends_at_once_and_cleanly(transport: Make, crowd: Crowd) -> None:
    """What had begun is finished and counted, exactly as the server saw it."""
    plan = Plan(
        steps=(Step(id=1, url=f"{crowd.url}/slow"),),
        shape=UsersShape((UserStage(60.0, 5, 5),)),
        limits=Limits(workers=2),
    )
    with Engine(plan, transport) as engine:
        for reading in engine.readings():
            if int(reading.run["iterations_finished"]) > 10:
                engine.stop()
        results = engine.results()

    assert results.is_interrupted
    assert results.duration_s < 10
    assert int(results.run["iterations_succeeded"]) == len(crowd.visits())
    assert not any(worker.failure for worker in results.workers)


def test_an_abort_gives_up_what_hangs(transport: Make, crowd: Crowd) -> None:
    """A request without a timeout ends when the run does, as cancelled."""
    plan = Plan(
        steps=(Step(id=1, url="http://192.0.2.1/", timeout_s=0),),
        shape=UsersShape((UserStage(60.0, 2, 2),)),
        limits=Limits(workers=1),
    )
    with Engine(plan, transport) as engine:
        for reading in engine.readings():
            if int(reading.run["iterations_started"]):
                engine.abort()
        results = engine.results()

    assert results.is_interrupted
    assert results.duration_s < 5
    assert not any(worker.failure for worker in results.workers)
    errors = results.steps[0].tally["errors"]
    assert int(errors.sum()) in {int(errors[Failure.CANCELLED]), int(results.run["iterations_failed"])}


def test_too_few_connections_are_said(transport: Make, crowd: Crowd) -> None:
    """Fifty a second of 20 ms on one connection is its limit; a hundred wait, none is dropped, and it is said."""
    plan = Plan(
        steps=(Step(id=1, url=f"{crowd.url}/slow"),), shape=linear(100), limits=Limits(workers=1, max_connections=1)
    )
    with Engine(plan, transport) as engine:
        for _ in engine.readings():
            pass
        results = engine.results()

    assert int(results.run["iterations_succeeded"]) == 100
    assert len({visit.connection for visit in crowd.visits()}) == 1
    assert any("all 1 connections" in one for one in results.limits)
    assert any("the rate was not kept" in one for one in results.limits)
