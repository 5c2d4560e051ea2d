"""Success criteria of a run: judged at the end, and before it where they may end it."""

from __future__ import annotations

import pytest

from osmia.load.client.fake import FakeAnswer, FakeTransport
from osmia.load.client.transport import Transport
from osmia.load.engine import Engine
from osmia.load.plan import Criterion, Limits, Plan, Step, UsersShape, UserStage
from osmia.load.results import Results
from osmia.load.tally import Failure
from osmia.model.errors import ConfigError

MS = 1_000_000


def run(transport: type[Transport] | object, *criteria: Criterion, duration_s: float = 30.0) -> Results:
    """Two users on two processes, until a criterion or time ends it."""
    plan = Plan(
        steps=(Step(id=4, url="http://h/"),),
        shape=UsersShape((UserStage(duration_s, 2, 2),)),
        limits=Limits(workers=2),
        criteria=criteria,
    )
    with Engine(plan, transport) as engine:  # type: ignore[arg-type]  # a factory
        for _ in engine.readings():
            pass
        return engine.results()


def fine() -> Transport:
    """Answers in 5 ms of real time."""
    return FakeTransport(lambda _endpoint, _request: FakeAnswer(service_ns=5 * MS), is_paced=True)


def failing() -> Transport:
    """Answers twenty, and refuses all others."""
    calls = iter(range(1_000_000))
    return FakeTransport(
        lambda _endpoint, _request: FakeAnswer(service_ns=5 * MS) if next(calls) < 20 else Failure.CONNECTION_REFUSED,
        is_paced=True,
    )


def test_criteria_are_judged_at_the_end() -> None:
    """What is met, what is not, and the values that were seen."""
    rules = ("p95(iteration_duration) < 100", "fail_count > 5", "steps.4.rps > 1")

    results = run(fine, *map(Criterion, rules), duration_s=0.5)

    met, broken, of_step = results.verdicts
    assert (met.is_met, broken.is_met, of_step.is_met) == (True, False, True)
    assert broken.received == {"fail_count": 0}
    assert broken.reason
    assert not results.is_aborted
    assert not results.is_interrupted


def test_an_aborting_criterion_ends_the_run() -> None:
    """Errors begin after a while: the run ends long before its time, cleanly, and the reason is said."""
    results = run(failing, Criterion("fail_count_perc < 0.2", is_abort=True), Criterion("fail_count < 1000000"))

    broken, other = results.verdicts
    assert results.is_aborted
    assert not results.is_interrupted
    assert results.duration_s < 10
    assert not broken.is_met
    assert broken.aborted_at_s is not None
    assert broken.aborted_at_s == pytest.approx(results.duration_s, abs=0.5)
    assert other.is_met
    assert other.aborted_at_s is None
    assert int(results.run["iterations_finished"]) == int(results.run["iterations_started"])


def test_a_delay_gives_it_time() -> None:
    """A criterion that must stay broken for half a second ends the run not before that."""
    rule = "iterations < 0"

    at_once = run(fine, Criterion(rule, is_abort=True))
    later = run(fine, Criterion(rule, is_abort=True, delay_s=0.5))

    assert at_once.verdicts[0].aborted_at_s is not None
    assert later.verdicts[0].aborted_at_s is not None
    assert at_once.verdicts[0].aborted_at_s < 0.4
    assert 0.5 <= later.verdicts[0].aborted_at_s < 2


def test_a_criterion_that_recovers_ends_nothing() -> None:
    """Broken at first, met before its delay is over: the run goes on to its end."""
    results = run(fine, Criterion("iterations > 60", is_abort=True, delay_s=0.9), duration_s=1.2)

    assert results.verdicts[0].is_met
    assert not results.is_aborted
    assert results.duration_s >= 1.1


def test_a_criterion_that_may_not_abort_does_not() -> None:
    """It is only judged at the end."""
    results = run(fine, Criterion("iterations < 0"), duration_s=0.3)

    assert not results.verdicts[0].is_met
    assert not results.is_aborted
    assert results.duration_s >= 0.25


def test_a_criterion_that_is_not_understood_is_a_config_error() -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="steps"):
        run(fine, Criterion("steps.9.rps > 1"))
