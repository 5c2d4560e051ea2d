"""Results of runs that never were, made the way real ones are: request by request into tallies, readings, a series.

Latencies come from real distributions (log-normal service with a long tail, queueing once the target is full), so
that reports are tested, and looked at, on what they will meet. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from osmia.load.plan import Capture, CaptureSource, Criterion, Plan, RateShape, RateStage, Step
from osmia.load.results import (
    AssertionFailures,
    Exchange,
    Reading,
    Results,
    Series,
    StepResults,
    Verdict,
    WorkerHealth,
    difference,
    merged,
)
from osmia.load.tally import Failure, Phase, block_bytes, views
from osmia.model.histogram import buckets_of

__all__ = [
    "BEGAN_AT_S",
    "HOSTILE",
    "Target",
    "debugged",
    "empty",
    "failing",
    "healthy",
    "hostile",
    "ramp",
    "readings_of",
    "results_of",
]

BEGAN_AT_S = 1_795_478_400.0
"""2026-11-24 00:00 UTC."""

_ZERO_NS = 1_000_000_000_000
_SHARES = (0.012, 0.06, 0.86, 0.068)  # of the service time: write, the server's first half, its second, read


@dataclass(frozen=True, slots=True)
class Target:
    """How a step's answers are: median and spread of its service time, capacity, faults as shares of requests."""

    median_ms: float = 8.0
    sigma: float = 0.35
    tail_share: float = 0.01
    capacity_per_s: float = 1e9
    statuses: Mapping[int, float] = field(default_factory=lambda: {200: 1.0})
    failures: Mapping[Failure, float] = field(default_factory=dict)
    assertion_share: float = 0.0
    is_tls: bool = False
    body_bytes: int = 2_140


def _spread(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Milliseconds as ns."""
    return np.maximum(values * 1e6, 40_000).astype(np.uint64)


def _phases(row: np.void, service: NDArray[np.uint64], *, opened: int, target: Target) -> None:
    parts = {Phase.REQUEST_WRITE: 0.012, Phase.RESPONSE_READ: 0.068}
    left = service.astype(np.float64)
    opening = {Phase.DNS: 0.4e6, Phase.CONNECT: 0.7e6} | ({Phase.TLS: 4.1e6} if target.is_tls else {})
    for phase, mean_ns in opening.items():
        row["phase_ns"][phase] += int(opened * mean_ns)
        row["phase_count"][phase] += opened
    for phase, share in parts.items():
        row["phase_ns"][phase] += int((service * share).sum())
        row["phase_count"][phase] += len(service)
        left -= service * share
    spent = sum(int(opened * mean_ns) for mean_ns in opening.values())
    row["phase_ns"][Phase.SERVER_PROCESSING] += max(0, int(left.sum()) - spent)
    row["phase_count"][Phase.SERVER_PROCESSING] += len(service)
    row["phase_ns"][Phase.TOTAL] += int(service.sum())
    row["phase_count"][Phase.TOTAL] += len(service)


def _answers(
    row: np.void, service: NDArray[np.uint64], response: NDArray[np.uint64], rng: np.random.Generator, target: Target
) -> None:
    """Count answered requests."""
    count = len(service)
    row["answered"] += count
    np.add.at(row["service"], buckets_of(service), 1)
    np.add.at(row["response"], buckets_of(response), 1)
    codes = rng.choice(list(target.statuses), size=count, p=list(target.statuses.values()))
    np.add.at(row["statuses"], codes, 1)
    row["assertion_failed"] += rng.binomial(count, target.assertion_share)
    row["received_bytes"] += count * (target.body_bytes + 180)
    if count:
        least = int(service.min())
        row["service_min_ns"] = min(int(row["service_min_ns"]) or least, least)
        row["service_max_ns"] = max(int(row["service_max_ns"]), int(service.max()))
        row["response_max_ns"] = max(int(row["response_max_ns"]), int(response.max()))
    row["phase_ns"][Phase.WAIT] += int((response - service).sum())
    row["phase_count"][Phase.WAIT] += count


def _step_second(row: np.void, count: int, second: int, rng: np.random.Generator, target: Target) -> float:
    """One second of one step; gives the seconds that a request now waits in the target's queue."""
    row["started"] += count
    row["sent_bytes"] += count * 148
    failed = 0
    for failure, share in target.failures.items():
        number = int(rng.binomial(count, share))
        row["errors"][failure] += number
        failed += number
    row["failed"] += failed
    over = max(0.0, count - target.capacity_per_s) / target.capacity_per_s
    waiting_ms = over * 1_000 * (1 + second / 60)
    service = rng.lognormal(np.log(target.median_ms), target.sigma, count - failed)
    slow = rng.random(len(service)) < target.tail_share
    service[slow] *= rng.pareto(2.2, int(slow.sum())) + 2
    service += rng.random(len(service)) * waiting_ms * 0.5
    lateness = rng.random(len(service)) * waiting_ms * 0.9 + rng.exponential(0.05, len(service))
    opened = len(service) if second == 0 and len(service) < 64 else 64 if second == 0 else 0
    row["reused"] += len(service) - opened
    _phases(row, _spread(service), opened=opened, target=target)
    _answers(row, _spread(service), _spread(service) + _spread(lateness), rng, target)
    return waiting_ms / 1000


def readings_of(plan: Plan, targets: Sequence[Target], per_s: Sequence[float], *, seed: int = 7) -> list[Reading]:
    """A reading at zero and one after each second in which so many iterations were due."""
    rng = np.random.default_rng(seed)
    run, rows = views(bytearray(block_bytes(len(plan.steps))))
    run = run.copy()
    rows = rows.copy()
    run["first_ns"] = _ZERO_NS
    readings = [merged(_ZERO_NS, [(run.copy(), rows.copy())])]
    for second, rate in enumerate(per_s):
        count = int(rate)
        before_failed, before_wrong = int(rows["failed"].sum()), int(rows["assertion_failed"].sum())
        waits = [_step_second(row, count, second, rng, target) for row, target in zip(rows, targets, strict=True)]
        failed = min(count, int(rows["failed"].sum()) - before_failed)
        wrong = min(count - failed, int(rows["assertion_failed"].sum()) - before_wrong)
        _iterations(run, rng, count=count, failed=failed, wrong=wrong, median_ms=sum(t.median_ms for t in targets))
        run["in_flight"] = int(count * (sum(waits) + sum(t.median_ms for t in targets) / 1000))
        run["in_flight_max"] = max(int(run["in_flight_max"][0]), int(run["in_flight"][0]))
        run["backlog"] = int(count * max(0.0, sum(waits) - 0.8))
        run["backlog_max"] = max(int(run["backlog_max"][0]), int(run["backlog"][0]))
        run["connections"] = run["connections_max"] = run["connections_opened"] = 64
        run["cpu_ns"] += count * len(targets) * 11_000
        run["last_ns"] = _ZERO_NS + (second + 1) * 1_000_000_000
        readings.append(merged(int(run["last_ns"][0]), [(run.copy(), rows.copy())]))
    return readings


def _iterations(  # noqa: PLR0913 - four keywords
    run: NDArray[np.void], rng: np.random.Generator, *, count: int, failed: int, wrong: int, median_ms: float
) -> None:
    for name in ("iterations_due", "iterations_started", "iterations_finished"):
        run[name] += count
    run["iterations_failed"] += failed
    run["iterations_assertion_failed"] += wrong
    run["iterations_succeeded"] += count - failed - wrong
    durations = _spread(rng.lognormal(np.log(median_ms), 0.3, count))
    run["succeeded_ns"] += int(durations.sum() * (count - failed - wrong) / count) if count else 0
    np.add.at(run["iterations"][0], buckets_of(durations), 1)
    np.add.at(run["lag"][0], buckets_of(_spread(rng.exponential(0.06, count))), 1)
    if count:
        run["iteration_min_ns"] = durations.min()
        run["iteration_max_ns"] = max(int(run["iteration_max_ns"][0]), int(durations.max()))


def results_of(plan: Plan, targets: Sequence[Target], per_s: Sequence[float], *, seed: int = 7) -> Results:
    """A finished run without verdicts and limits (`dataclasses.replace` them)."""
    readings = readings_of(plan, targets, per_s, seed=seed)
    series = Series()
    for second, (earlier, later) in enumerate(pairwise(readings)):
        series.add(difference(later, earlier), at_s=float(second), duration_s=1.0)
    last = readings[-1]
    return Results(
        plan=plan,
        transport="core",
        began_at_s=BEGAN_AT_S,
        duration_s=float(len(per_s)),
        run=last.run[()],  # type: ignore[arg-type] # () makes a row of it, which numpy does not tell
        steps=tuple(
            StepResults(step, row, _failures(step, int(row["assertion_failed"])))
            for step, row in zip(plan.steps, last.steps, strict=True)
        ),
        series=series.seconds,
        verdicts=(),
        workers=(WorkerHealth(0, 0.31, 24_300_000), WorkerHealth(1, 0.29, 23_900_000)),
    )


def _failures(step: Step, count: int) -> tuple[AssertionFailures, ...]:
    if not count or not step.assertions:
        return ()
    received: dict[str, list[object]] = {"status_code": [503, 200, 503], "response_size": [2140, 0, 19]}
    return (
        AssertionFailures(step.assertions[0], count, received, "expression evaluated to false"),  # type: ignore[arg-type]
    )


# ---- four runs ----

_STEPS = (
    Step(id=1, name="list currencies", url="http://testserver:8200/currencies/"),
    Step(
        id=2,
        name="exchange rate",
        url="http://testserver:8200/exchange_rate/{{BASE}}/{{rand(QUOTES)}}/",
        assertions=("equals(status_code, 200)", "less_than(response_time, 500)"),
    ),
    Step(id=3, name="status", method="POST", url="https://testserver:8443/status", body='{"a": 1}'),
)


def healthy(seconds: int = 10) -> Results:
    """The reference story: one step, 100 iterations per second, nothing wrong."""
    plan = Plan(steps=_STEPS[:1], shape=RateShape((RateStage(float(seconds), 100, 100),)))
    return results_of(plan, [Target()], [100] * seconds)


def ramp(seconds: int = 192) -> Results:
    """Three steps on a ramp over the knee, with criteria of which some are broken."""
    criteria = (Criterion("p95(iteration_duration) < 300"), Criterion("fail_count_perc < 0.01"))
    shape = RateShape((RateStage(float(seconds), 50, 275),))
    plan = Plan(steps=_STEPS, shape=shape, criteria=criteria)
    targets = [
        Target(median_ms=9),
        Target(
            median_ms=31,
            sigma=0.4,
            capacity_per_s=210,
            statuses={200: 0.984, 404: 0.006, 503: 0.01},
            failures={Failure.READ_TIMEOUT: 0.003, Failure.CONNECTION_RESET: 0.0006},
            assertion_share=0.011,
        ),
        Target(median_ms=3.2, is_tls=True, body_bytes=61),
    ]
    rates = [50 + (275 - 50) * second / seconds for second in range(seconds)]
    verdicts = (
        Verdict(criteria[0].rule, is_met=False, received={"iteration_duration": 412}, reason="412 is not below 300"),
        Verdict(criteria[1].rule, is_met=True, received={"fail_count_perc": 0.0031}),
    )
    return replace(results_of(plan, targets, rates), verdicts=verdicts)


def failing(seconds: int = 10) -> Results:
    """A target that is not there, and a generator that was the limit."""
    plan = Plan(steps=_STEPS[:2], shape=RateShape((RateStage(float(seconds), 500, 500),)))
    target = Target(failures={Failure.CONNECTION_REFUSED: 1.0})
    verdict = Verdict("fail_count < 100", is_met=False, received={"fail_count": 5000}, aborted_at_s=9.5)
    return replace(
        results_of(plan, [target, target], [500] * seconds),
        verdicts=(verdict,),
        limits=(
            "312 requests found no local port: 28,232 of them lead to 127.0.0.1:9. Keep connections open.",
            "Worker 1 used its whole core for 6 of 10 s: rates are lower and latencies higher than the target's own.",
        ),
        is_aborted=True,
        workers=(WorkerHealth(0, 0.31, 24_300_000), WorkerHealth(1, 0.99, 23_900_000, failure="killed by signal 9")),
    )


def empty() -> Results:
    """Interrupted before the first request."""
    plan = Plan(steps=_STEPS[:1], shape=RateShape((RateStage(60.0, 100, 100),)))
    return replace(results_of(plan, [Target()], []), is_interrupted=True, workers=())


HOSTILE = '<script>alert("x")</script>\'"&]]>\x1b[31m\u202e\ud800{{'


def hostile() -> Results:
    """Every text that comes from outside tries to get out of its place."""
    step = Step(
        id=1,
        name=HOSTILE,
        method="GET",
        url=f"http://user:secret@host/{HOSTILE}",
        assertions=(f'contains(body, "{HOSTILE}")',),
    )
    plan = Plan(steps=(step,), shape=RateShape((RateStage(3.0, 50, 50),)))
    results = results_of(plan, [Target(assertion_share=0.2, failures={Failure.READ_TIMEOUT: 0.1})], [50] * 3)
    wrong = AssertionFailures(step.assertions[0], 9, {HOSTILE: [HOSTILE, {"a": HOSTILE}]}, HOSTILE)
    return replace(
        results,
        steps=(replace(results.steps[0], assertions=(wrong,)),),
        verdicts=(Verdict(HOSTILE, is_met=False, received={HOSTILE: HOSTILE}, reason=HOSTILE),),
        limits=(HOSTILE,),
        workers=(WorkerHealth(0, 0.3, 1 << 20, failure=HOSTILE),),
        other_hosts={HOSTILE: 3},
    )


def debugged() -> Results:
    """One iteration of three steps: answered with a broken assertion, redirected, and never answered."""
    first = replace(_STEPS[1], captures=(Capture("RATE", CaptureSource.BODY_JSON, "rate"),))
    plan = Plan(steps=(first, _STEPS[0], _STEPS[2]), shape=RateShape((RateStage(1.0, 1, 1),)), is_debug=True)
    ok = {"response_headers": (("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))}
    exchanges = (
        Exchange(
            step=first,
            method="GET",
            url="http://testserver:8200/exchange_rate/EUR/USD/?full=1",
            request_headers=(("Host", "testserver:8200"), ("X-Trace", "\x1b[2J")),
            status=503,
            response_headers=ok["response_headers"],
            response_body=b'{"rate":1.08,"day":"2026-11-24"}',
            service_ns=31_200_000,
            phases_ns={Phase.CONNECT: 700_000, Phase.SERVER_PROCESSING: 30_000_000, Phase.TOTAL: 31_200_000},
            environment={"BASE": "EUR", "QUOTES": ["USD", "GBP"]},
            data={"data.users.name": "Ada"},
            failed_captures={"RATE": "no such path"},
            failed_assertions=(
                AssertionFailures("equals(status_code, 200)", 1, {"status_code": [503]}, "503 is not 200"),
            ),
        ),
        Exchange(
            step=_STEPS[0], method="GET", url="http://testserver:8200/currencies/", status=302, service_ns=900_000
        ),
        Exchange(
            step=_STEPS[0],
            method="GET",
            url="http://testserver:8200/currencies/all",
            status=200,
            response_body=bytes(range(256)),
            service_ns=1_100_000,
        ),
        Exchange(
            step=_STEPS[2],
            method="POST",
            url="https://testserver:8443/status",
            request_body=b'{"a": 1}',
            failure=Failure.CONNECTION_REFUSED,
            detail="127.0.0.1:8443",
        ),
    )
    return replace(results_of(plan, [Target()] * 3, [1]), exchanges=exchanges)
