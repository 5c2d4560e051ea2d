"""`-o stdout-json`: one line with the keys of Ddosify's JSON, and Osmia's own beside them.

Its keys, their capitals and their units (seconds, percent as whole numbers rounded down) are kept, so that scripts go
on working. What is told apart deliberately: durations of phases are means over the requests in which the phase
happened (0 where it never did), the total runs to the last byte of the body, and errors have a class instead of a
text with the rendered URL in it. Everything new stands under `version`, `run`, `percentiles`, `rates`, `response`,
`histogram`, `series`, `generator`, `limits` and `verdicts`, in a step `percentiles`, `response`, `rate` and
`histogram`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from osmia.load.report import figures
from osmia.load.report.document import Document, LatencyDocument, RequestsDocument, StepDocument, document_of, encoded
from osmia.load.report.reasons import original_reason
from osmia.load.results import Results, StepResults
from osmia.load.tally import Phase

if TYPE_CHECKING:
    import numpy as np

__all__ = ["original_json"]

_DURATIONS = {
    Phase.DNS: "dns",
    Phase.CONNECT: "connection",
    Phase.TLS: "tls",
    Phase.REQUEST_WRITE: "request_write",
    Phase.SERVER_PROCESSING: "server_processing",
    Phase.RESPONSE_READ: "response_read",
    Phase.TOTAL: "total",
}


def original_json(results: Results) -> bytes:
    """One line of JSON with its end of line."""
    document = document_of(results)
    report = _summary(results, document) | {"steps": _steps(results, document)} | _news(document)
    return encoded(report) + b"\n"


def _summary(results: Results, document: Document) -> dict[str, Any]:
    run = results.run
    success, server = int(run["iterations_succeeded"]), int(run["iterations_failed"])
    assertion = int(run["iterations_assertion_failed"])
    broken = [verdict for verdict in document.criteria if not verdict.is_met]
    success_perc, fail_perc = _percents(success, server + assertion)
    return {
        "success_perc": success_perc,
        "fail_perc": fail_perc,
        "test_status": "failed" if broken or results.is_aborted else "success",
        "failed_criterias": [{"rule": one.rule, "received": one.received} for one in broken] or None,
        "success_count": success,
        "server_fail_count": server,
        "assertion_fail_count": assertion,
        "avg_duration": round(int(run["succeeded_ns"]) / success / 1e9, 3) if success else 0,
    }


def _steps(results: Results, document: Document) -> dict[str, Any]:
    return {
        str(step.step.id): _step(step, described) | _step_news(described.requests)
        for step, described in zip(results.steps, document.steps, strict=True)
    }


def _step(results: StepResults, described: StepDocument) -> dict[str, Any]:
    tally = results.tally
    failed, assertion_failed = int(tally["failed"]), int(tally["assertion_failed"])
    success = int(tally["answered"]) - assertion_failed
    success_perc, fail_perc = _percents(success, failed + assertion_failed)
    return {
        "name": results.step.name,
        "status_code_dist": {str(code): count for code, count in figures.statuses_of(tally).items()},
        "fail": {
            "count": failed + assertion_failed,
            "assertions": {
                "count": assertion_failed,
                "conditions": {
                    one.rule: {"Count": one.count, "Received": one.received, "Reason": one.reason}
                    for one in described.assertions
                },
            },
            "server": {"count": failed, "reasons": _reasons(tally)},
        },
        "durations": _durations(tally, is_tls=described.is_tls),
        "success_count": success,
        "success_perc": success_perc,
        "fail_perc": fail_perc,
    }


def _reasons(tally: np.void) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for failure, count in figures.errors_of(tally).items():
        text = original_reason(failure)
        reasons[text] = reasons.get(text, 0) + count
    return reasons


def _durations(tally: np.void, *, is_tls: bool) -> dict[str, float]:
    return {
        name: round((figures.phase_of(tally, phase).mean_ns or 0) / 1e9, 6)
        for phase, name in _DURATIONS.items()
        if is_tls or phase is not Phase.TLS
    }


def _percents(success: int, fail: int) -> tuple[int, int]:
    """Both rounded down, as there, so that they need not add up to 100."""
    total = success + fail
    return (100 * success // total, 100 * fail // total) if total else (0, 0)


def _step_news(requests: RequestsDocument) -> dict[str, Any]:
    return {
        "requests": _counts(requests),
        "rate": requests.rate_per_s,
        "percentiles": _percentiles(requests.service),
        "response": _percentiles(requests.response),
        "phase_counts": {phase.name: phase.count for phase in requests.phases},
        "errors": {error.reason: error.count for error in requests.errors},
        "histogram": requests.service_histogram,
    }


def _news(document: Document) -> dict[str, Any]:
    requests = document.requests
    return {
        "version": document.osmia,
        "run": {
            "began_at": document.began_at,
            "duration_s": document.duration_s,
            "is_passed": document.is_passed,
            "is_interrupted": document.is_interrupted,
            "is_aborted": document.is_aborted,
            "plan": document.plan,
            "iterations": document.iterations,
        },
        "requests": _counts(requests),
        "rates": {
            "requests_per_s": requests.rate_per_s,
            "iterations_per_s": document.iterations.rate_per_s,
            "sent_bytes_per_s": _per_s(requests.sent_bytes, document),
            "received_bytes_per_s": _per_s(requests.received_bytes, document),
        },
        "percentiles": _percentiles(requests.service),
        "response": _percentiles(requests.response),
        "histogram": requests.service_histogram,
        "verdicts": document.criteria,
        "generator": document.generator,
        "limits": document.generator.limits,
        "series": document.series,
    }


def _counts(requests: RequestsDocument) -> dict[str, int]:
    return {
        name: getattr(requests, name)
        for name in (
            "started",
            "answered",
            "succeeded",
            "failed",
            "assertion_failed",
            "retried",
            "redirects",
            "reused",
            "sent_bytes",
            "received_bytes",
        )
    }


def _percentiles(latency: LatencyDocument) -> dict[str, float | None]:
    """In seconds, as the durations of the original."""
    return {
        name.removesuffix("_ms").replace("p99_9", "p99.9"): None if value is None else round(value / 1000, 9)
        for name, value in msgspec.structs.asdict(latency).items()
        if name.endswith("_ms")
    }


def _per_s(count: int, document: Document) -> float | None:
    return round(count / document.duration_s, 3) if document.duration_s > 0 else None
