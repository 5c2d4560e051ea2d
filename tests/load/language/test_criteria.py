"""Success criteria on counters and histograms: what they say at the end, and when they end a run."""

from __future__ import annotations

import numpy as np
import pytest

from osmia.load.criteria import compile_criterion, decide
from osmia.load.language.problems import RuleError
from osmia.load.results import Reading
from osmia.load.tally import RUN, STEP, Phase
from osmia.model.histogram import bucket_of

SECOND_NS = 1_000_000_000


def reading(*, failed: int = 10, finished: int = 200, in_flight: int = 0) -> Reading:
    """A run of 10 s: iterations of 1 to 100 ms, two of each; step 1 fast, step 7 slow and failing at times."""
    run, steps = np.zeros((), RUN), np.zeros(2, STEP)
    run["iterations_finished"], run["iterations_failed"], run["iterations_assertion_failed"] = finished, failed, 5
    run["iterations_succeeded"] = max(0, finished - failed - 5)
    run["first_ns"], run["last_ns"], run["in_flight"], run["backlog"] = SECOND_NS, 11 * SECOND_NS, in_flight, 3
    if finished:
        run["iteration_min_ns"], run["iteration_max_ns"] = 1_000_000, 100_000_000
        for duration_ms in range(1, 101):
            run["iterations"][bucket_of(duration_ms * 1_000_000)] += 2
    for index, (milliseconds, errors) in enumerate(((10, 0), (80, failed))):
        step = steps[index : index + 1]
        step["answered"], step["failed"], step["assertion_failed"] = 200 - errors, errors, 5 * index
        step["service"][0][bucket_of(milliseconds * 1_000_000)] = 200 - errors
        step["response"][0][bucket_of(2 * milliseconds * 1_000_000)] = 200 - errors
        step["service_max_ns"] = step["service_min_ns"] = milliseconds * 1_000_000
        step["response_max_ns"] = 2 * milliseconds * 1_000_000
        step["phase_count"][0][Phase.TOTAL] = 200 - errors
    return Reading(21 * SECOND_NS, run, steps)


@pytest.mark.parametrize(
    "rule",
    [
        "less_than(fail_count, 120)",
        "less_than(fail_count_perc, 0.08) && fail_count_perc == 0.075",
        "fail_count == 15 && server_fail_count == 10 && assertion_fail_count == 5 && success_count == 185",
        "iterations == 200 && requests == 400 && rps == 40 && error_rate == 0.025 && backlog == 3 && in_flight == 0",
        "range(p50(iteration_duration), 49, 51) && range(p99(iteration_duration), 97, 101)",
        "range(p99_9(iteration_duration), 98, 100.1) && p99.9(iteration_duration) == p999(iteration_duration)",
        "min(iteration_duration) == 1 && max(iteration_duration) == 100 && range(avg(iteration_duration), 49.5, 51.5)",
        "range(p95(response_time), 157, 160.1) && max(response_time) == 160 && min(service_time) == 10",
        "range(p50(steps.1.service_time), 9.8, 10.1) && steps.1.error_rate == 0 && steps.1.rps == 20",
        "range(p50(steps.7.response_time), 157, 160.1) && steps.7.fail_count == 15 && steps.7.requests == 200",
    ],
)
def test_what_is_met(rule: str) -> None:
    """Every name, and both examples of the original that never could be met there."""
    verdict = compile_criterion(rule, step_ids=(1, 7)).judge(reading())

    assert verdict.reason == ""
    assert verdict.is_met


def test_received_values_and_the_reason_are_told() -> None:
    """The names and percentiles of the rule."""
    verdict = compile_criterion("p95(iteration_duration) < 10 && fail_count < 120").judge(reading())

    assert not verdict.is_met
    assert list(verdict.received) == ["p95(iteration_duration)", "fail_count"]
    assert verdict.received["fail_count"] == 15
    assert verdict.reason.startswith("p95(iteration_duration) < 10 is false: p95(iteration_duration) is 9")


def test_nothing_is_known_before_an_iteration_has_ended() -> None:
    """Not met, and it is said why."""
    for rule in ("fail_count_perc < 0.5", "p95(iteration_duration) < 10"):
        verdict = compile_criterion(rule).judge(reading(failed=0, finished=0))

        assert not verdict.is_met
        assert "yet" in verdict.reason


def test_the_rate_of_a_running_test_is_that_until_now() -> None:
    """21 s on the clock, begun at 1 s, iterations in flight."""
    assert compile_criterion("rps == 20").holds(reading(in_flight=1))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("iteration_duration < 5", "is a series of times, not one value, column 1 - write p95(iteration_duration)"),
        ("exists(iteration_duration)", "is a series of times"),
        ("status_code == 200", "there is no 'status_code' in a criterion"),
        ("fail_counts < 1", "did you mean fail_count?"),
        ('json_path("a") == 1', "there is no function 'json_path'"),
        ("p101(iteration_duration) < 1", "there is no function 'p101'"),
        ("p0(iteration_duration) < 1", "there is no function 'p0'"),
        ("steps.2.rps > 1", "there is no step 2, column 1 - there are 1, 7"),
        ("steps.x.rps > 1", "is no step's id"),
        ("steps.1.rpm > 1", "did you mean rps?"),
        ("p95(fail_count) < 1", "p95 needs a series or an array"),
    ],
)
def test_a_criterion_that_cannot_be_is_refused(rule: str, said: str) -> None:
    """Before the run."""
    with pytest.raises(RuleError) as caught:
        compile_criterion(rule, step_ids=(1, 7))

    assert said in str(caught.value)


def test_a_run_ends_when_a_criterion_stays_broken() -> None:
    """Broken at 3 s, mended at 4 s, broken from 5 s: with a delay of 2 s the run ends at 7 s."""
    criterion = compile_criterion("fail_count < 12")
    good, bad = reading(failed=1), reading(failed=20)
    since_s: float | None = None
    ended: list[float] = []

    for elapsed_s, now in ((3.0, bad), (4.0, good), (5.0, bad), (6.9, bad), (7.0, bad)):
        decision = decide(criterion, now, elapsed_s=elapsed_s, delay_s=2.0, broken_since_s=since_s)
        since_s = decision.broken_since_s
        ended += [elapsed_s] if decision.is_over else []

    assert ended == [7.0]


def test_without_a_delay_a_run_ends_at_once_but_not_before_its_first_iteration() -> None:
    """As the original."""
    criterion = compile_criterion("fail_count_perc < 0.01")

    assert not decide(criterion, reading(finished=0), elapsed_s=9, delay_s=0, broken_since_s=None).is_over
    assert decide(criterion, reading(), elapsed_s=9, delay_s=0, broken_since_s=None).is_over
