"""The controller: counts add up over processes, ends are clean, and no worker can hold up or falsify a run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from osmia.load.client.fake import FakeAnswer, FakeTransport
from osmia.load.client.transport import Transport, Work
from osmia.load.engine import Engine, Patience, workers_for
from osmia.load.plan import (
    CountKind,
    CountShape,
    Limits,
    Plan,
    RateShape,
    RateStage,
    Shape,
    Step,
    UsersShape,
    UserStage,
)
from osmia.load.results import Reading, Results
from osmia.load.tally import Failure, Phase, WorkerState, views
from osmia.model.errors import ConfigError, UnavailableError

MS = 1_000_000
URL = "http://target.example/x"


def plan(
    shape: Shape,
    *,
    steps: tuple[Step, ...] = (Step(id=1, url=URL),),
    workers: int = 2,
    is_debug: bool = False,
) -> Plan:
    """A plan of a few requests."""
    limits = Limits(workers=workers)
    return Plan(steps=steps, shape=shape, limits=limits, is_debug=is_debug, seed=1)


def linear(count: int, duration_s: int = 1) -> CountShape:
    """So many iterations, evenly."""
    return CountShape(CountKind.LINEAR, count, duration_s)


def users(count: int, duration_s: float = 0.3) -> UsersShape:
    """A closed load."""
    return UsersShape((UserStage(duration_s, count, count),))


def quick() -> Transport:
    """Answers after one virtual millisecond; the run takes no time."""
    return FakeTransport(lambda _endpoint, _request: FakeAnswer())


def paced() -> Transport:
    """The same in real time."""
    return FakeTransport(lambda _endpoint, _request: FakeAnswer(), is_paced=True)


def slow() -> Transport:
    """Answers after ten seconds of real time."""
    return FakeTransport(lambda _endpoint, _request: FakeAnswer(service_ns=10_000 * MS), is_paced=True)


def run(
    what: Plan, transport: Callable[[], Transport] = quick, *, patience: Patience | None = None
) -> tuple[Results, list[Reading]]:
    """A whole run and its readings."""
    with Engine(what, transport, patience=patience) as engine:
        readings = list(engine.readings())
        return engine.results(), readings


def is_alive(pid: int) -> bool:
    """Whether a process is there (and no zombie of ours)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_planned_iteration_is_run_once(workers: int) -> None:
    """However many processes share a run, it has as many iterations as planned."""
    results, readings = run(plan(linear(100), workers=workers))

    assert int(results.run["iterations_due"]) == 100
    assert int(results.run["iterations_succeeded"]) == 100
    assert int(results.steps[0].tally["answered"]) == 100
    assert int(results.steps[0].tally["statuses"][200]) == 100
    assert len(results.workers) == workers
    assert int(readings[-1].run["iterations_finished"]) == 100
    assert not any(worker.failure for worker in results.workers)
    assert results.transport == "fake"


def test_readings_come_while_it_runs() -> None:
    """About ten a second, growing, and the series adds up to the whole."""
    results, readings = run(plan(linear(200, 2)), paced)

    finished = [int(one.run["iterations_finished"]) for one in readings]
    assert len(readings) >= 15
    assert finished == sorted(finished)
    assert sum(second.requests for second in results.series) == 200
    assert [round(second.at_s) for second in results.series] == [0, 1]
    assert results.duration_s == pytest.approx(2.0, abs=0.2)


def test_users_of_all_workers_run_until_time_is_up() -> None:
    """Five users at a millisecond each for 300 ms are 1,500 iterations, over two processes."""
    results, _ = run(plan(users(5)))

    assert int(results.run["iterations_succeeded"]) == 1500
    assert int(results.run["in_flight_max"]) == 5


def test_a_counted_closed_load_ends_with_its_count() -> None:
    """Users stop when all iterations are done, to the exact number."""
    shape = UsersShape((UserStage(60.0, 4, 4),), count=101)

    results, _ = run(plan(shape))

    assert int(results.run["iterations_finished"]) == 101


def test_failures_are_counted_and_end_nothing() -> None:
    """A failed step fails its iteration; the other steps go on."""

    def answer() -> Transport:
        return FakeTransport(lambda endpoint, _: Failure.CONNECTION_REFUSED if endpoint.port == 81 else FakeAnswer())

    steps = (Step(id=1, url="http://h:81/"), Step(id=2, url="http://h:82/"))

    results, _ = run(plan(linear(10), steps=steps), answer)

    assert int(results.run["iterations_failed"]) == 10
    assert int(results.steps[0].tally["errors"][Failure.CONNECTION_REFUSED]) == 10
    assert int(results.steps[1].tally["answered"]) == 10


def test_samples_of_every_request_come_home() -> None:
    """Each request of each worker is one row, with the number of its iteration."""
    seen: dict[int, list[int]] = {0: [], 1: []}

    def keep(worker: int, rows: NDArray[np.void]) -> None:
        seen[worker] += rows["iteration"].tolist()

    with Engine(plan(linear(1000)), quick, on_samples=keep) as engine:
        for _ in engine.readings():
            pass

    assert sorted(seen[0]) == list(range(0, 1000, 2))
    assert sorted(seen[1]) == list(range(1, 1000, 2))


def test_stop_finishes_what_is_in_flight() -> None:
    """After stop() nothing new begins, and what had begun is counted."""
    with Engine(plan(users(3, 60.0)), paced) as engine:
        for reading in engine.readings():
            if int(reading.run["iterations_finished"]):
                engine.stop()
        results = engine.results()

    assert results.is_interrupted
    assert int(results.run["iterations_finished"]) == int(results.run["iterations_started"])
    assert results.duration_s < 10
    assert not any("the rate was not kept" in one for one in results.limits)


def test_abort_gives_up_what_is_in_flight() -> None:
    """abort() does not wait for answers."""
    began_s = time.monotonic()
    with Engine(plan(users(3, 60.0)), slow) as engine:
        for reading in engine.readings():
            if int(reading.run["iterations_started"]) == 3:
                engine.abort()
        results = engine.results()

    assert results.is_interrupted
    assert int(results.run["iterations_finished"]) == 0
    assert time.monotonic() - began_s < 5


def test_leaving_early_leaves_nothing_behind() -> None:
    """An error in the middle of a run ends its processes."""
    pids: tuple[int, ...] = ()

    def leave() -> None:
        nonlocal pids
        with Engine(plan(users(3, 60.0)), slow) as engine:
            pids = engine.worker_pids
            for _ in engine.readings():
                raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)


def test_a_killed_worker_is_said_and_the_rest_goes_on() -> None:
    """SIGKILL in the middle: the other worker finishes its share, the results name the dead one."""
    with Engine(plan(linear(200, 2)), paced) as engine:
        for number, _ in enumerate(engine.readings()):
            if number == 3:
                os.kill(engine.worker_pids[1], signal.SIGKILL)
        results = engine.results()

    assert results.workers[0].failure == ""
    assert "killed" in results.workers[1].failure
    assert "SIGKILL" in results.workers[1].failure
    assert "worker 1 was killed" in results.limits[0]
    assert any("the rate was not kept" in one for one in results.limits)
    assert 100 < int(results.run["iterations_finished"]) < 200
    assert int(results.run["in_flight"]) == 0


def test_a_killed_workers_findings_are_not_lost() -> None:
    """What it had sent home in its last second of life is in the results."""
    steps = (Step(id=1, url=URL, assertions=("status_code == 201",)),)
    with Engine(plan(users(1, 60.0), steps=steps, workers=1), paced) as engine:
        for reading in engine.readings():
            if int(reading.steps["assertion_failed"].sum()) > 1200 and is_alive(engine.worker_pids[0]):
                os.kill(engine.worker_pids[0], signal.SIGKILL)
        results = engine.results()

    (failure,) = results.steps[0].assertions
    assert 0 < failure.count <= int(results.steps[0].tally["assertion_failed"])
    assert failure.received == {"status_code": [200] * 3} or failure.count < 3


class _Stuck:
    """Starts an iteration and never comes back."""

    name = "stuck"

    def run(self, work: Work) -> None:
        row = views(work.block)[0]
        row["state"] = WorkerState.READY
        while not row["zero_ns"][0]:
            time.sleep(0.001)
        row["state"] = WorkerState.RUNNING
        row["in_flight"] = 1
        row["iterations_started"] = 1
        while True:
            time.sleep(1)


class _Silent:
    """Never gets ready."""

    name = "silent"

    def run(self, work: Work) -> None:
        while True:
            time.sleep(1)


class _Broken:
    """Raises something of its own, once ready or before."""

    name = "broken"

    def __init__(self, *, is_ready: bool, error: Exception) -> None:
        self._is_ready = is_ready
        self._error = error

    def run(self, work: Work) -> None:
        row = views(work.block)[0]
        if self._is_ready:
            row["state"] = WorkerState.READY
            while not row["zero_ns"][0]:
                time.sleep(0.001)
        raise self._error


def test_a_stuck_worker_is_killed_and_said() -> None:
    """No progress for longer than any step can take: the run ends, and says why."""
    steps = (Step(id=1, url=URL, timeout_s=0.2),)

    results, _ = run(plan(users(1, 60.0), steps=steps), _Stuck, patience=Patience(progress_s=0.3))

    assert "made no progress" in results.workers[0].failure
    assert "worker 0 made no progress" in results.limits[0]


def test_a_worker_that_does_not_give_up_is_killed() -> None:
    """abort() has an end, whatever the transport does."""
    with Engine(plan(users(1, 60.0)), _Stuck, patience=Patience(end_s=0.2)) as engine:
        for _ in engine.readings():
            engine.abort()
        results = engine.results()

    assert results.workers[0].failure == "did not give up when it was told to"


def test_workers_that_do_not_get_ready_are_an_error() -> None:
    """The run does not wait for ever to begin."""
    engine = Engine(plan(linear(1), workers=2), _Silent, patience=Patience(ready_s=0.3))

    with pytest.raises(UnavailableError, match=r"not ready within 0\.3 s"):
        engine.__enter__()

    assert not any(is_alive(pid) for pid in engine.worker_pids)


def test_what_a_transport_cannot_do_is_a_config_error() -> None:
    """The worker's ConfigError arrives in the engine with its field, value and remedy."""
    error = ConfigError("steps[1].cert_path", "/no.pem", "cannot be read", remedy="give a PEM file")

    with pytest.raises(ConfigError) as caught:
        run(plan(linear(1)), lambda: _Broken(is_ready=False, error=error))

    assert caught.value.field == "steps[1].cert_path"
    assert caught.value.remedy == "give a PEM file"
    assert str(caught.value) == str(error)


def test_a_crash_at_the_beginning_is_told_with_its_place() -> None:
    """An error of our own before the start ends the run with its traceback."""
    with pytest.raises(UnavailableError, match=r"RuntimeError: oh(?s:.*)Traceback"):
        run(plan(linear(1)), lambda: _Broken(is_ready=False, error=RuntimeError("oh")))


def test_a_crash_in_the_middle_is_in_the_results() -> None:
    """A worker whose transport raises is a dead worker with a reason."""
    results, _ = run(plan(linear(1), workers=1), lambda: _Broken(is_ready=True, error=RuntimeError("oh")))

    assert "RuntimeError: oh (test_engine.py:" in results.workers[0].failure


def test_a_step_that_cannot_be_sent_is_refused_before_the_start() -> None:
    """A plan with an impossible URL never begins."""
    with pytest.raises(ConfigError, match="step 7"):
        run(plan(linear(1), steps=(Step(id=7, url="http://h:99999/"),)))


def test_debugging_is_one_iteration_with_everything_kept() -> None:
    """Whatever the shape says, there is one iteration in one worker, and its exchanges are whole."""
    steps = (
        Step(id=1, url=URL, headers=(("X", "1"),)),
        Step(id=2, url="http://target.example/y", method="POST", body="b"),
    )

    results, _ = run(plan(users(50, 60.0), steps=steps, is_debug=True))

    assert int(results.run["iterations_finished"]) == 1
    assert [(one.step.id, one.method, one.url, one.status) for one in results.exchanges] == [
        (1, "GET", URL, 200),
        (2, "POST", "http://target.example/y", 200),
    ]
    assert ("X", "1") in results.exchanges[0].request_headers
    assert results.exchanges[1].request_body == b"b"
    assert results.exchanges[0].service_ns == MS
    assert results.exchanges[0].phases_ns[Phase.TOTAL] == MS


@pytest.mark.parametrize(
    ("shape", "asked", "expected"),
    [
        (linear(100, 10), 0, 1),
        (linear(60_000, 10), 0, 2),
        (RateShape((RateStage(10.0, 100_000.0, 100_000.0),)), 0, 4),
        (linear(100, 10), 3, 3),
        (users(1), 0, 1),
        (users(64), 0, 4),
        (users(2), 8, 2),
    ],
)
def test_as_many_workers_as_the_load_needs(shape: Shape, asked: int, expected: int) -> None:
    """One for a small rate, a core each for a large one, never more than users."""
    assert workers_for(plan(shape, workers=asked), cores=4) == expected


def children() -> set[str]:
    """Processes of ours, those that have ended and were not waited for among them."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_a_run_leaves_no_process() -> None:
    """All workers are reaped."""
    before = children()

    results, _ = run(plan(linear(10), workers=3))

    assert int(results.run["iterations_finished"]) == 10
    assert children() == before
