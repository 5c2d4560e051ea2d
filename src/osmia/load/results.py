"""What came of a run: the workers' counters added up, second by second and in all, ready for criteria and reports.

`Reading` is one look at all workers' blocks; `later - earlier` is what happened in between. `Results` is the end of a
run and all that a report may say: every figure of every output is derived here, so that they agree with each other.

The time series has a bound: when it is full, neighbours are merged and an interval lasts twice as long from then on.
Its points keep their histograms (sparse), so that the percentiles of a merged point are those of its requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from osmia.load.plan import JsonValue, Plan, Step
from osmia.load.tally import RUN, STEP, Failure, Phase
from osmia.model.histogram import BUCKETS, MIDPOINTS_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AssertionFailures",
    "Exchange",
    "Reading",
    "Results",
    "Second",
    "Series",
    "StepResults",
    "Verdict",
    "WorkerHealth",
    "difference",
    "merged",
    "merged_failures",
    "quantile_ns",
]


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
    other_hosts: Mapping[str, int] = field(default_factory=dict)
    """Redirects to hosts that the plan does not name, by host, whether followed or forbidden."""
    exchanges: tuple[Exchange, ...] = ()
    """Every request of a debug run (`Plan.is_debug`), in order."""


# ---- adding up ----

_NOT_ADDED = frozenset({"stop", "state", "zero_ns"})
_GAUGES = frozenset({"in_flight", "backlog", "connections"})
_MINIMA = frozenset({"iteration_min_ns", "first_ns", "service_min_ns"})
_MAXIMA = frozenset({"iteration_max_ns", "last_ns", "service_max_ns", "response_max_ns"})
_PEAKS = frozenset({"in_flight_max", "backlog_max", "connections_max"})
"""Of several workers these are added up, although their peaks need not have been at one moment: an upper bound."""


def merged(at_ns: int, blocks: Sequence[tuple[NDArray[np.void], NDArray[np.void]]]) -> Reading:
    """All workers' blocks (see `tally.views`) as one reading; a minimum of 0 is none yet."""
    runs = np.concatenate([run for run, _ in blocks])
    steps = np.stack([steps for _, steps in blocks])
    return Reading(at_ns, _added(runs, RUN), _added(steps, STEP))


def _added(parts: NDArray[np.void], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Over the first axis, each field in its way."""
    out = np.zeros(parts.shape[1:], dtype=dtype)
    for name in dtype.names or ():
        if name in _MINIMA:
            # 0 is none, so it must not win: as the largest number it cannot.
            least = np.where(parts[name] == 0, np.iinfo(np.uint64).max, parts[name]).min(axis=0)
            out[name] = np.where(least == np.iinfo(np.uint64).max, 0, least)
        elif name in _MAXIMA:
            out[name] = parts[name].max(axis=0)
        elif name not in _NOT_ADDED:
            out[name] = parts[name].sum(axis=0)
    return out


def difference(later: Reading, earlier: Reading) -> Reading:
    """What was counted between two readings; gauges, minima, maxima and peaks are the later one's."""
    return Reading(later.at_ns, _subtracted(later.run, earlier.run, RUN), _subtracted(later.steps, earlier.steps, STEP))


def _subtracted(later: NDArray[np.void], earlier: NDArray[np.void], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    kept = _NOT_ADDED | _GAUGES | _MINIMA | _MAXIMA | _PEAKS
    out = later.copy()
    for name in dtype.names or ():
        if name not in kept:
            out[name] -= earlier[name]
    return out


def merged_failures(parts: Sequence[Sequence[AssertionFailures]], most: int) -> tuple[AssertionFailures, ...]:
    """Failed assertions of several workers by rule: counts added, at most `most` received values of each name."""
    by_rule: dict[str, AssertionFailures] = {}
    for one in (one for part in parts for one in part):
        known = by_rule.get(one.rule)
        if known is None:
            by_rule[one.rule] = one
            continue
        names = dict.fromkeys([*known.received, *one.received])
        received = {name: [*known.received.get(name, []), *one.received.get(name, [])][:most] for name in names}
        by_rule[one.rule] = AssertionFailures(one.rule, known.count + one.count, received, known.reason or one.reason)
    return tuple(by_rule.values())


def quantile_ns(histogram: NDArray[np.uint64], share: float) -> int | None:
    """Nearest-rank quantile in ns (share 0..1) of a dense histogram, or None when it is empty."""
    seen = np.cumsum(histogram)
    total = int(seen[-1])
    if total == 0:
        return None
    # The small allowance keeps 0.95 * 100 from being 95.00000000000001, i.e. rank 96.
    rank = max(1, -int(-(share * total - 1e-9) // 1))
    return int(MIDPOINTS_NS[int(np.searchsorted(seen, rank))])


# ---- second by second ----

_SHOWN = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class _Point:
    """An interval and the histograms behind its percentiles, sparse: buckets and their counts."""

    second: Second
    histograms: tuple[tuple[NDArray[np.int64], NDArray[np.uint64]], ...]  # service, response, lag


class Series:
    """The time series of a run, in at most `most` points, however long it is."""

    def __init__(self, *, most: int = 3_600, interval_s: float = 1.0) -> None:
        self._points: list[_Point] = []
        self._most = most
        self.interval_s = interval_s
        """How long the next interval should be."""

    @property
    def seconds(self) -> tuple[Second, ...]:
        """All intervals so far, in order."""
        return tuple(point.second for point in self._points)

    def add(self, between: Reading, *, at_s: float, duration_s: float, is_rest: bool = False) -> None:
        """One more interval: the difference of two readings, beginning `at_s` after the run's zero.

        `is_rest`: it is the last, and belongs to the one before if it is shorter than half of what it should be.
        """
        steps, run = between.steps, between.run
        histograms = (steps["service"].sum(axis=0), steps["response"].sum(axis=0), run["lag"])
        failed = int(steps["failed"].sum())
        second = Second(
            at_s=at_s,
            duration_s=duration_s,
            arrivals=int(run["iterations_due"]),
            requests=int(steps["answered"].sum()) + failed,
            failed=failed,
            assertion_failed=int(steps["assertion_failed"].sum()),
            errors_5xx=int(steps["statuses"][:, 500:600].sum()),
            in_flight=int(run["in_flight"]),
            backlog=int(run["backlog"]),
            **_quantiles(histograms),
            received_bytes=int(steps["received_bytes"].sum()),
        )
        point = _Point(second, tuple(_sparse(histogram) for histogram in histograms))
        if is_rest and self._points and duration_s < self.interval_s / 2:
            point = _joined(self._points.pop(), point)
        self._points.append(point)
        if len(self._points) > self._most:
            self._coarsen()

    def _coarsen(self) -> None:
        """Merge neighbours; an odd one at the end stays as it is."""
        points = self._points
        pairs = [_joined(points[at], points[at + 1]) for at in range(0, len(points) - 1, 2)]
        self._points = pairs + points[2 * len(pairs) :]
        self.interval_s *= 2


def _joined(first: _Point, second: _Point) -> _Point:
    a, b = first.second, second.second
    dense = tuple(_dense(one) + _dense(other) for one, other in zip(first.histograms, second.histograms, strict=True))
    joined = Second(
        at_s=a.at_s,
        duration_s=a.duration_s + b.duration_s,
        arrivals=a.arrivals + b.arrivals,
        requests=a.requests + b.requests,
        failed=a.failed + b.failed,
        assertion_failed=a.assertion_failed + b.assertion_failed,
        errors_5xx=a.errors_5xx + b.errors_5xx,
        in_flight=max(a.in_flight, b.in_flight),
        backlog=max(a.backlog, b.backlog),
        **_quantiles(dense),
        received_bytes=a.received_bytes + b.received_bytes,
    )
    return _Point(joined, tuple(_sparse(histogram) for histogram in dense))


class _Quantiles(TypedDict):
    service_ns: tuple[int | None, int | None, int | None]
    response_ns: tuple[int | None, int | None, int | None]
    lag_p99_ns: int | None


def _quantiles(histograms: Sequence[NDArray[np.uint64]]) -> _Quantiles:
    service, response, lag = histograms
    p50, p95, p99 = _SHOWN
    return {
        "service_ns": (quantile_ns(service, p50), quantile_ns(service, p95), quantile_ns(service, p99)),
        "response_ns": (quantile_ns(response, p50), quantile_ns(response, p95), quantile_ns(response, p99)),
        "lag_p99_ns": quantile_ns(lag, p99),
    }


def _sparse(histogram: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    buckets = np.flatnonzero(histogram)
    return buckets, histogram[buckets]


def _dense(sparse: tuple[NDArray[np.int64], NDArray[np.uint64]]) -> NDArray[np.uint64]:
    histogram = np.zeros(BUCKETS, dtype=np.uint64)
    histogram[sparse[0]] = sparse[1]
    return histogram
