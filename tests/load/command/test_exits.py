"""Each outcome has its exit code; where several fit, the one that explains the others wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osmia.load.exits import ExitCode, exit_code
from osmia.load.flags import Flags, plan_of
from osmia.load.results import Results, StepResults, Verdict, WorkerHealth
from osmia.load.tally import RUN, STEP, Failure

BROKEN_RULE = Verdict("fail_count < 1", is_met=False, received={})
REFUSED = {Failure.CONNECTION_REFUSED: 3}


def results_of(answered: int = 5, errors: dict[Failure, int] | None = None) -> Results:
    """A run of one step."""
    plan = plan_of(Flags(target="http://a/"))
    tally = np.zeros(1, dtype=STEP)[0]
    tally["answered"] = answered
    tally["failed"] = sum((errors or {}).values())
    for failure, count in (errors or {}).items():
        tally["errors"][failure] = count
    return Results(
        plan=plan,
        transport="core",
        began_at_s=0.0,
        duration_s=1.0,
        run=np.zeros(1, dtype=RUN)[0],
        steps=(StepResults(plan.steps[0], tally, ()),),
        series=(),
        verdicts=(),
        workers=(WorkerHealth(0, 0.5, 1 << 20),),
    )


def test_answers_are_enough() -> None:
    """Failed requests are no failed run: that is what criteria are for."""
    assert exit_code(results_of()) == ExitCode.PASSED
    assert exit_code(results_of(errors={Failure.READ_TIMEOUT: 5})) == ExitCode.PASSED
    assert exit_code(results_of(0, {Failure.READ_TIMEOUT: 5})) == ExitCode.PASSED


def test_a_target_that_nobody_reached_is_told() -> None:
    """Every request failed before it was sent; those cancelled at the end do not count."""
    assert exit_code(results_of(0, REFUSED)) == ExitCode.UNREACHABLE
    assert exit_code(results_of(0, {**REFUSED, Failure.CANCELLED: 1})) == ExitCode.UNREACHABLE
    assert exit_code(results_of(1, REFUSED)) == ExitCode.PASSED
    assert exit_code(results_of(0, {**REFUSED, Failure.CONNECTION_RESET: 1})) == ExitCode.PASSED


def test_nothing_sent_is_not_unreachable() -> None:
    """A run that was ended before its first request says nothing about the target."""
    assert exit_code(results_of(0)) == ExitCode.PASSED


def test_criteria_have_codes_of_their_own() -> None:
    """Not met is 3, ended early by one is 4."""
    broken = replace(results_of(), verdicts=(BROKEN_RULE,))

    assert exit_code(broken) == ExitCode.CRITERIA_FAILED
    assert exit_code(replace(broken, is_aborted=True)) == ExitCode.ABORTED


def test_a_limited_generator_fails_only_if_asked() -> None:
    """It is always reported."""
    limited = replace(results_of(), limits=("the rate was not kept",))

    assert exit_code(limited) == ExitCode.PASSED
    assert exit_code(limited, fails_if_limited=True) == ExitCode.GENERATOR_LIMITED


def test_the_reason_behind_the_others_wins() -> None:
    """Interrupted, broken, unreachable, aborted, in this order."""
    everything = replace(
        results_of(0, REFUSED),
        is_interrupted=True,
        is_aborted=True,
        workers=(WorkerHealth(0, 0.5, 1 << 20, failure="killed"),),
        verdicts=(BROKEN_RULE,),
    )

    assert exit_code(everything) == ExitCode.INTERRUPTED
    assert exit_code(replace(everything, is_interrupted=False)) == ExitCode.BROKEN
    assert exit_code(replace(everything, is_interrupted=False, workers=())) == ExitCode.UNREACHABLE
