"""What came of a run: the workers' counters added up, second by second and in all, ready for criteria and reports.

`Reading` is one look at all workers' blocks; `later - earlier` is what happened in between. `Results` is the end of a
run and all that a report may say: every figure of every output is derived here, so that they agree with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osmia.load.plan import JsonValue, Plan, Step
from osmia.load.tally import Failure, Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AssertionFailures", "Exchange", "Reading", "Results", "Second", "StepResults", "Verdict", "WorkerHealth"]


@dataclass(frozen=True, slots=True)
class Reading:
    """All workers added up at one moment: `run` of dtype RUN, shape (), `steps` of dtype STEP, shape (steps,).

    `stop`, `state` and `zero_ns` mean nothing here; minima and maxima are those of all workers since the beginning,
    gauges (`in_flight`, `backlog`, `connections`) are sums.
    """

    at_ns: int
    run: NDArray[np.void]
    steps: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Second:
    """One interval of the time series, about a second: what was added in it. Latencies in ns, None without answers."""

    at_s: float
    duration_s: float
    arrivals: int
    requests: int
    failed: int
    assertion_failed: int
    errors_5xx: int
    in_flight: int
    backlog: int
    service_ns: tuple[int | None, int | None, int | None]  # p50, p95, p99
    response_ns: tuple[int | None, int | None, int | None]
    lag_p99_ns: int | None
    received_bytes: int


@dataclass(frozen=True, slots=True)
class AssertionFailures:
    """How often one rule of one step failed, with a few values that it saw (at most `Plan.sampling_rate` each)."""

    rule: str
    count: int
    received: Mapping[str, list[JsonValue]]
    reason: str


@dataclass(frozen=True, slots=True)
class StepResults:
    """One step in all: its plan, its counters (dtype STEP, shape ()) and its failed assertions by rule."""

    step: Step
    tally: np.void
    assertions: tuple[AssertionFailures, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one success criterion; `received` are the values of the names in it."""

    rule: str
    is_met: bool
    received: Mapping[str, JsonValue]
    reason: str = ""
    aborted_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """One load generating process: `cpu` is the share of a core that it used, `failure` why it ended early."""

    number: int
    cpu: float
    rss_bytes: int
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request of a debug run, whole: what went out, what came back, and what the scenario made of it.

    A redirect that was followed is an exchange of its own, of the same step. `status` 0: no answer, see `failure`;
    `detail` is what else is known about it (the variable that was not set). `response_body` is decompressed.
    `environment` and `data` are what the step could use, `failed_captures` says why each of them failed.
    """

    step: Step
    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: bytes = b""
    http_version: str = "HTTP/1.1"
    status: int = 0
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    service_ns: int = 0
    phases_ns: Mapping[Phase, int] = field(default_factory=dict)
    failure: Failure | None = None
    detail: str = ""
    environment: Mapping[str, JsonValue] = field(default_factory=dict)
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    failed_captures: Mapping[str, str] = field(default_factory=dict)
    failed_assertions: tuple[AssertionFailures, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """A finished run. `limits` says in words where the generator, not the target, was the limit; empty is good."""

    plan: Plan
    transport: str
    began_at_s: float  # Unix time
    duration_s: float
    run: np.void  # dtype RUN, shape ()
    steps: tuple[StepResults, ...]
    series: tuple[Second, ...]
    verdicts: tuple[Verdict, ...]
    workers: tuple[WorkerHealth, ...]
    limits: tuple[str, ...] = ()
    is_interrupted: bool = False
    is_aborted: bool = False
    exchanges: tuple[Exchange, ...] = ()
    """Every request of a debug run (`Plan.is_debug`), in order."""
