"""`stdout-json` has the original's keys, and the new ones say the same as the document."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from osmia.load.report.original import original_json
from osmia.load.report.reasons import original_reason
from osmia.load.results import Results
from osmia.load.tally import Failure
from tests.load.report import build

_TOP = {
    "success_perc",
    "fail_perc",
    "test_status",
    "failed_criterias",
    "success_count",
    "server_fail_count",
    "assertion_fail_count",
    "avg_duration",
    "steps",
}
_STEP = {"name", "status_code_dist", "fail", "durations", "success_count", "success_perc", "fail_perc"}
_DURATIONS = {"dns", "connection", "request_write", "server_processing", "response_read", "total"}


def _report(results: Results) -> dict[str, Any]:
    line = original_json(results)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize("make", [build.healthy, build.ramp, build.failing, build.empty, build.hostile])
def test_every_key_of_the_original_is_there(make: Callable[[], Results]) -> None:
    """Whatever the run was like, a script finds the keys that it knows, with the types that it knows."""
    report = _report(make())

    assert set(report) >= _TOP
    for step in report["steps"].values():
        assert set(step) >= _STEP
        assert set(step["durations"]) >= _DURATIONS
        assert set(step["fail"]) == {"count", "assertions", "server"}
        assert set(step["fail"]["assertions"]) == {"count", "conditions"}
        assert set(step["fail"]["server"]) == {"count", "reasons"}
    for name in ("success_perc", "fail_perc", "success_count", "server_fail_count", "assertion_fail_count"):
        assert isinstance(report[name], int)


def test_percents_are_rounded_down_both() -> None:
    """98.5 % and 1.5 % are 98 and 1."""
    report = _report(build.ramp())

    assert (report["success_perc"], report["fail_perc"]) == (98, 1)


def test_counts_are_those_of_the_run() -> None:
    """Successes and both kinds of failures add up to the iterations, and to the requests of each step."""
    results = build.ramp()

    report = _report(results)

    finished = int(results.run["iterations_finished"])
    assert report["success_count"] + report["server_fail_count"] + report["assertion_fail_count"] == finished
    for step in report["steps"].values():
        assert step["success_count"] + step["fail"]["count"] == step["requests"]["started"]
        answered = step["fail"]["assertions"]["count"] + step["success_count"]
        assert sum(step["status_code_dist"].values()) == answered


def test_failed_assertions_keep_their_capitals() -> None:
    """Count, Received and Reason are written as there."""
    report = _report(build.ramp())

    conditions = report["steps"]["2"]["fail"]["assertions"]["conditions"]

    assert list(conditions) == ["equals(status_code, 200)"]
    assert set(conditions["equals(status_code, 200)"]) == {"Count", "Received", "Reason"}
    assert conditions["equals(status_code, 200)"]["Received"]["status_code"] == [503, 200, 503]


def test_criteria_decide_the_status() -> None:
    """`success` and null, or `failed` and what was received."""
    passed, broken = _report(build.healthy()), _report(build.ramp())

    assert (passed["test_status"], passed["failed_criterias"]) == ("success", None)
    assert broken["test_status"] == "failed"
    assert broken["failed_criterias"] == [
        {"rule": "p95(iteration_duration) < 300", "received": {"iteration_duration": 412}}
    ]


def test_tls_is_only_told_of_https() -> None:
    """A plain step has no `tls` duration, an https one has."""
    steps = _report(build.ramp())["steps"]

    assert "tls" not in steps["1"]["durations"]
    assert steps["3"]["durations"]["tls"] == pytest.approx(0.0041)


def test_durations_are_seconds_and_count_only_what_happened() -> None:
    """The mean connect time is that of the connections, not spread over the requests that reused one."""
    step = _report(build.healthy())["steps"]["1"]

    assert step["durations"]["connection"] == pytest.approx(0.0007)
    assert step["phase_counts"]["connect"] == 64
    assert step["durations"]["total"] == pytest.approx(step["percentiles"]["mean"], abs=1e-6)
    assert step["percentiles"]["p50"] < step["percentiles"]["p99"] < step["percentiles"]["p99.9"]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure.CONNECTION_REFUSED, "connection refused"),
        (Failure.CONNECTION_TIMEOUT, "connection timeout"),
        (Failure.READ_TIMEOUT, "read timeout"),
        (Failure.CONNECTION_RESET, "connection reset by peer"),
        (Failure.PROXY_CONNECTION_REFUSED, "proxy connection refused"),
        (Failure.PROXY_TIMEOUT, "proxy timeout"),
        (Failure.CANCELLED, "context canceled"),
    ],
)
def test_known_reasons_have_the_texts_of_the_original(failure: Failure, text: str) -> None:
    """A script that looks for `connection refused` finds it."""
    assert original_reason(failure) == text


def test_every_failure_has_a_reason() -> None:
    """No failure is left without words."""
    assert all(original_reason(failure) for failure in Failure)


def test_nothing_answered_is_null_and_not_zero() -> None:
    """Without answers there is no median."""
    report = _report(build.failing())

    assert report["percentiles"]["p50"] is None
    assert report["steps"]["1"]["fail"]["server"]["reasons"] == {"connection refused": 5000}
    assert report["limits"]


def test_an_aborted_run_has_failed() -> None:
    """Even if no criterion is told as broken."""
    assert _report(replace(build.healthy(), is_aborted=True))["test_status"] == "failed"
