"""A run as one document: what `--out run.json` writes, and where the other reports read their figures.

Declared once, as structs, so that there is a JSON Schema of it (`schema`). Units are in the names; a latency is null
where nothing was answered, never 0. Histograms are sparse: `[from_ms, to_ms, count]`, a value lies at or above the
first and below the second number; an open last bucket has both equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from osmia import __version__
from osmia.load.plan import JsonValue, Plan
from osmia.load.report import figures
from osmia.load.report.describe import hosts_of, is_https, planned_count, planned_s, shape_text, without_password
from osmia.load.report.reasons import class_of, reason_text, status_text
from osmia.load.report.visible import encodable
from osmia.load.results import Results, Second, StepResults, Verdict
from osmia.load.tally import Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "AssertionDocument",
    "Document",
    "ErrorDocument",
    "GeneratorDocument",
    "IterationsDocument",
    "LatencyDocument",
    "PhaseDocument",
    "PlanDocument",
    "RequestsDocument",
    "SecondDocument",
    "StatusDocument",
    "StepDocument",
    "VerdictDocument",
    "WorkerDocument",
    "document_json",
    "document_of",
    "encoded",
    "schema",
]

FORMAT = 1
"""Grows when a key goes away or changes its meaning; new keys alone do not count."""


class LatencyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution in milliseconds."""

    count: int
    mean_ms: float | None
    min_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
    max_ms: float | None


class PhaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the service time; mean over the requests in which it happened, share of the whole service time."""

    name: str
    count: int
    mean_ms: float | None
    share: float | None


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How often a status code came."""

    code: int
    text: str
    count: int


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How often there was no answer, for one reason."""

    reason: str
    kind: str
    text: str
    count: int


class AssertionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that failed; `received` has a few of the values that it saw."""

    rule: str
    count: int
    received: dict[str, list[Any]]
    reason: str


class RequestsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one step, or of all. `succeeded`: answered, and no assertion failed."""

    started: int
    answered: int
    succeeded: int
    failed: int
    assertion_failed: int
    retried: int
    redirects: int
    reused: int
    rate_per_s: float | None
    sent_bytes: int
    received_bytes: int
    service: LatencyDocument
    response: LatencyDocument
    phases: list[PhaseDocument]
    statuses: list[StatusDocument]
    errors: list[ErrorDocument]
    service_histogram: list[tuple[float, float, int]]
    response_histogram: list[tuple[float, float, int]]


class StepDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what it asked and what came of it."""

    id: int
    name: str
    method: str
    url: str
    is_tls: bool
    requests: RequestsDocument
    assertions: list[AssertionDocument]


class IterationsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Whole passes through the steps. `due`: their time had come; `duration`: of the service times of their steps."""

    due: int
    started: int
    finished: int
    succeeded: int
    failed: int
    assertion_failed: int
    rate_per_s: float | None
    in_flight_max: int
    duration: LatencyDocument


class SecondDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What was added in one interval of the run."""

    at_s: float
    duration_s: float
    arrivals: int
    requests: int
    failed: int
    assertion_failed: int
    errors_5xx: int
    in_flight: int
    backlog: int
    received_bytes: int
    service_p50_ms: float | None
    service_p95_ms: float | None
    service_p99_ms: float | None
    response_p50_ms: float | None
    response_p95_ms: float | None
    response_p99_ms: float | None
    lag_p99_ms: float | None


class VerdictDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a success criterion."""

    rule: str
    is_met: bool
    received: dict[str, Any]
    reason: str
    aborted_at_s: float | None


class WorkerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One load generating process; `cpu` is the share of a core."""

    number: int
    cpu: float
    rss_bytes: int
    failure: str


class GeneratorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The generator's own health. `limits` says where it, not the target, was the limit; empty is good."""

    transport: str
    lag: LatencyDocument
    backlog_max: int
    connections_max: int
    connections_opened: int
    handshakes: int
    handshakes_resumed: int
    samples_dropped: int
    cpu_us_per_request: float | None
    workers: list[WorkerDocument]
    limits: list[str]


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked."""

    load: str
    mode: str
    hosts: list[str]
    planned_s: float
    planned_iterations: int | None
    steps: int
    seed: int | None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run. `other_hosts`: redirects to hosts that the plan does not name, followed or forbidden."""

    format: int
    osmia: str
    began_at: str
    duration_s: float
    is_passed: bool
    is_interrupted: bool
    is_aborted: bool
    plan: PlanDocument
    iterations: IterationsDocument
    requests: RequestsDocument
    other_hosts: dict[str, int]
    steps: list[StepDocument]
    criteria: list[VerdictDocument]
    generator: GeneratorDocument
    series: list[SecondDocument]


def document_of(results: Results) -> Document:
    """Everything that is known of a run."""
    total = figures.added_up([step.tally for step in results.steps])
    return Document(
        format=FORMAT,
        osmia=__version__,
        began_at=datetime.fromtimestamp(results.began_at_s, UTC).isoformat(timespec="milliseconds"),
        duration_s=round(results.duration_s, 6),
        is_passed=not results.is_aborted and all(verdict.is_met for verdict in results.verdicts),
        is_interrupted=results.is_interrupted,
        is_aborted=results.is_aborted,
        plan=_plan(results.plan),
        iterations=_iterations(results.run, results.duration_s),
        requests=_requests(total, results.duration_s),
        other_hosts=dict(results.other_hosts),
        steps=[_step(step, results.duration_s) for step in results.steps],
        criteria=[_verdict(verdict) for verdict in results.verdicts],
        generator=_generator(results, int(total["answered"]) + int(total["failed"])),
        series=[_second(second) for second in results.series],
    )


def document_json(results: Results) -> bytes:
    """The document as indented JSON with an end of line."""
    return msgspec.json.format(encoded(document_of(results)), indent=2) + b"\n"


def encoded(value: object) -> bytes:
    """A value as JSON; a text with half a character in it, which is no UTF-8, has a question mark there."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the document."""
    described = msgspec.json.schema(Document)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Osmia load run", **described}


def _plan(plan: Plan) -> PlanDocument:
    return PlanDocument(
        load=shape_text(plan.shape),
        mode=plan.mode.value,
        hosts=list(hosts_of(plan)),
        planned_s=planned_s(plan.shape),
        planned_iterations=planned_count(plan.shape),
        steps=len(plan.steps),
        seed=plan.seed,
    )


def _iterations(run: np.void, duration_s: float) -> IterationsDocument:
    finished = int(run["iterations_finished"])
    duration = figures.latency_of(
        run["iterations"], min_ns=int(run["iteration_min_ns"]), max_ns=int(run["iteration_max_ns"])
    )
    return IterationsDocument(
        due=int(run["iterations_due"]),
        started=int(run["iterations_started"]),
        finished=finished,
        succeeded=int(run["iterations_succeeded"]),
        failed=int(run["iterations_failed"]),
        assertion_failed=int(run["iterations_assertion_failed"]),
        rate_per_s=_rate(finished, duration_s),
        in_flight_max=int(run["in_flight_max"]),
        duration=_latency(duration),
    )


def _step(results: StepResults, duration_s: float) -> StepDocument:
    step = results.step
    return StepDocument(
        id=step.id,
        name=step.name,
        method=step.method,
        url=without_password(step.url),
        is_tls=is_https(step) or figures.phase_of(results.tally, Phase.TLS).count > 0,
        requests=_requests(results.tally, duration_s),
        assertions=[
            AssertionDocument(
                rule=one.rule, count=one.count, received=_plain(one.received), reason=str(encodable(one.reason))
            )
            for one in results.assertions
        ],
    )


def _requests(tally: np.void, duration_s: float) -> RequestsDocument:
    answered = int(tally["answered"])
    return RequestsDocument(
        started=int(tally["started"]),
        answered=answered,
        succeeded=answered - int(tally["assertion_failed"]),
        failed=int(tally["failed"]),
        assertion_failed=int(tally["assertion_failed"]),
        retried=int(tally["retried"]),
        redirects=int(tally["redirects"]),
        reused=int(tally["reused"]),
        rate_per_s=_rate(answered + int(tally["failed"]), duration_s),
        sent_bytes=int(tally["sent_bytes"]),
        received_bytes=int(tally["received_bytes"]),
        service=_latency(figures.service_of(tally)),
        response=_latency(figures.response_of(tally)),
        phases=_phases(tally),
        statuses=[
            StatusDocument(code=code, text=status_text(code), count=count)
            for code, count in figures.statuses_of(tally).items()
        ],
        errors=[
            ErrorDocument(reason=failure.name.lower(), kind=class_of(failure), text=reason_text(failure), count=count)
            for failure, count in figures.errors_of(tally).items()
        ],
        service_histogram=_histogram(tally["service"]),
        response_histogram=_histogram(tally["response"]),
    )


def _phases(tally: np.void) -> list[PhaseDocument]:
    whole_ns = figures.phase_of(tally, Phase.TOTAL).total_ns
    return [
        PhaseDocument(
            name=part.phase.name.lower(),
            count=part.count,
            mean_ms=_ms(part.mean_ns),
            share=round(part.total_ns / whole_ns, 6) if whole_ns else None,
        )
        for part in (figures.phase_of(tally, phase) for phase in figures.PHASES)
    ]


def _generator(results: Results, requests: int) -> GeneratorDocument:
    run = results.run
    return GeneratorDocument(
        transport=results.transport,
        lag=_latency(figures.lag_of(run)),
        backlog_max=int(run["backlog_max"]),
        connections_max=int(run["connections_max"]),
        connections_opened=int(run["connections_opened"]),
        handshakes=int(run["handshakes"]),
        handshakes_resumed=int(run["handshakes_resumed"]),
        samples_dropped=int(run["samples_dropped"]),
        cpu_us_per_request=round(int(run["cpu_ns"]) / 1000 / requests, 3) if requests else None,
        workers=[
            WorkerDocument(
                number=worker.number, cpu=round(worker.cpu, 4), rss_bytes=worker.rss_bytes, failure=worker.failure
            )
            for worker in results.workers
        ],
        limits=list(results.limits),
    )


def _verdict(verdict: Verdict) -> VerdictDocument:
    return VerdictDocument(
        rule=verdict.rule,
        is_met=verdict.is_met,
        received={name: encodable(value) for name, value in verdict.received.items()},
        reason=verdict.reason,
        aborted_at_s=verdict.aborted_at_s,
    )


def _second(second: Second) -> SecondDocument:
    return SecondDocument(
        at_s=round(second.at_s, 3),
        duration_s=round(second.duration_s, 6),
        arrivals=second.arrivals,
        requests=second.requests,
        failed=second.failed,
        assertion_failed=second.assertion_failed,
        errors_5xx=second.errors_5xx,
        in_flight=second.in_flight,
        backlog=second.backlog,
        received_bytes=second.received_bytes,
        service_p50_ms=_ms(second.service_ns[0]),
        service_p95_ms=_ms(second.service_ns[1]),
        service_p99_ms=_ms(second.service_ns[2]),
        response_p50_ms=_ms(second.response_ns[0]),
        response_p95_ms=_ms(second.response_ns[1]),
        response_p99_ms=_ms(second.response_ns[2]),
        lag_p99_ms=_ms(second.lag_p99_ns),
    )


def _latency(latency: figures.Latency) -> LatencyDocument:
    return LatencyDocument(
        count=latency.count,
        mean_ms=_ms(latency.mean_ns),
        min_ms=_ms(latency.min_ns),
        p50_ms=_ms(latency.p50_ns),
        p90_ms=_ms(latency.p90_ns),
        p95_ms=_ms(latency.p95_ns),
        p99_ms=_ms(latency.p99_ns),
        p99_9_ms=_ms(latency.p99_9_ns),
        max_ms=_ms(latency.max_ns),
    )


def _histogram(histogram: NDArray[np.uint64]) -> list[tuple[float, float, int]]:
    return [
        (lower / 1e6, upper / 1e6, count)
        for bucket, count in figures.sparse(histogram)
        for lower, upper in (figures.bucket_bounds_ns(bucket),)
    ]


def _plain(received: Mapping[str, list[JsonValue]]) -> dict[str, list[Any]]:
    return {str(encodable(name)): [encodable(value) for value in values] for name, values in received.items()}


def _rate(count: int, duration_s: float) -> float | None:
    return round(count / duration_s, 3) if duration_s > 0 else None


def _ms(ns: float | None) -> float | None:
    return None if ns is None else round(ns / 1e6, 6)
