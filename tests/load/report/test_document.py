"""The JSON document holds what its schema says, and its figures agree with the tallies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from osmia.load.report.document import document_json, document_of, schema
from osmia.load.results import Results
from tests.load.report import build


@pytest.mark.parametrize("make", [build.healthy, build.ramp, build.failing, build.empty, build.hostile])
def test_the_document_is_valid_by_its_schema(make: Callable[[], Results]) -> None:
    """The schema is a schema, and what is written keeps to it."""
    described = schema()
    jsonschema.Draft202012Validator.check_schema(described)

    jsonschema.validate(json.loads(document_json(make())), described, cls=jsonschema.Draft202012Validator)


def _of(results: Results) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document_json(results))
    return found


def test_phases_add_up_to_the_service_time() -> None:
    """The shares of the phases make a whole."""
    requests = document_of(build.ramp()).requests

    assert sum(phase.share or 0 for phase in requests.phases) == pytest.approx(1, abs=0.001)


def test_the_histogram_holds_every_answer() -> None:
    """Counts of the buckets add up to the answers, and the median lies in the bucket where half of them is reached."""
    requests = document_of(build.ramp()).requests

    assert sum(count for _, _, count in requests.service_histogram) == requests.answered
    seen = 0
    for lower, upper, count in requests.service_histogram:
        seen += count
        if seen >= requests.answered / 2:
            assert requests.service.p50_ms is not None
            assert lower <= requests.service.p50_ms < upper
            break


def test_the_series_adds_up_to_the_run() -> None:
    """Second by second and in all are the same requests."""
    document = document_of(build.ramp())

    assert sum(second.requests for second in document.series) == document.requests.answered + document.requests.failed
    assert sum(second.failed for second in document.series) == document.requests.failed


def test_steps_add_up_to_all() -> None:
    """The requests of all are those of the steps."""
    document = document_of(build.ramp())

    for name in ("started", "answered", "failed", "received_bytes"):
        assert sum(getattr(step.requests, name) for step in document.steps) == getattr(document.requests, name)


def test_no_quantile_lies_beyond_the_maximum() -> None:
    """The midpoint of the last bucket is not slower than the slowest request."""
    for step in document_of(build.ramp()).steps:
        latency = step.requests.service
        assert latency.p99_9_ms is not None
        assert latency.max_ms is not None
        assert latency.p99_9_ms <= latency.max_ms


def test_passwords_in_urls_stay_out() -> None:
    """Reports are passed on."""
    text = document_json(build.hostile()).decode()

    assert "secret" not in text
    assert "•••@host" in text


def test_what_is_not_known_is_null() -> None:
    """An interrupted run without requests has no latency and no rate."""
    document = _of(build.empty())

    assert document["requests"]["service"]["p50_ms"] is None
    assert document["requests"]["rate_per_s"] is None
    assert document["is_interrupted"] is True
    assert document["series"] == []
