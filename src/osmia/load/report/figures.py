"""Figures out of tallies: latencies, phases, statuses and errors of one step or of several added up.

Pure functions of the counters in `osmia.load.tally`; a latency is None where nothing was answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osmia.load.results import quantile_ns
from osmia.load.tally import STEP, Failure, Phase
from osmia.model.histogram import BUCKETS, MIDPOINTS_NS, lower_bound_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "PHASES",
    "QUANTILES",
    "Latency",
    "PhaseTime",
    "added_up",
    "bucket_bounds_ns",
    "errors_of",
    "lag_of",
    "latency_of",
    "phase_of",
    "response_of",
    "service_of",
    "sparse",
    "statuses_of",
]

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""What every table shows."""

PHASES = (Phase.DNS, Phase.CONNECT, Phase.TLS, Phase.REQUEST_WRITE, Phase.SERVER_PROCESSING, Phase.RESPONSE_READ)
"""The phases that add up to the service time, in order."""

_MAXIMA = ("service_max_ns", "response_max_ns")


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution in ns; all None without values. `max_ns` and `min_ns` are exact where the tally has them."""

    count: int
    mean_ns: float | None
    min_ns: int | None
    p50_ns: int | None
    p90_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    p99_9_ns: int | None
    max_ns: int | None


_EMPTY = Latency(0, None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """How often a phase happened and how long it took in all."""

    phase: Phase
    count: int
    total_ns: int

    @property
    def mean_ns(self) -> float | None:
        """Mean over the requests in which it happened."""
        return self.total_ns / self.count if self.count else None


def latency_of(
    histogram: NDArray[np.uint64], *, mean_ns: float | None = None, min_ns: int = 0, max_ns: int = 0
) -> Latency:
    """The distribution in a dense histogram; exact mean, minimum and maximum if the caller knows them."""
    count = int(histogram.sum())
    if count == 0:
        return _EMPTY
    used = np.flatnonzero(histogram)
    lowest = min_ns or int(MIDPOINTS_NS[used[0]])
    highest = max_ns or int(MIDPOINTS_NS[used[-1]])
    mean = mean_ns if mean_ns is not None else float(histogram @ MIDPOINTS_NS.astype(np.float64)) / count
    # A bucket's midpoint may lie beyond the exact ends; nothing was slower than the slowest.
    p50, p90, p95, p99, p99_9 = (min(max(quantile_ns(histogram, share) or 0, lowest), highest) for share in QUANTILES)
    return Latency(count, mean, lowest, p50, p90, p95, p99, p99_9, highest)


def service_of(tally: np.void) -> Latency:
    """Service times of a step (dtype STEP, shape ())."""
    total = phase_of(tally, Phase.TOTAL)
    return latency_of(
        tally["service"],
        mean_ns=total.mean_ns,
        min_ns=int(tally["service_min_ns"]),
        max_ns=int(tally["service_max_ns"]),
    )


def response_of(tally: np.void) -> Latency:
    """Response times of a step, that is, from the moment at which it should have begun.

    The mean is exact, for the wait before the start is a phase of its own.
    """
    count = int(tally["response"].sum())
    whole_ns = int(tally["phase_ns"][Phase.WAIT]) + int(tally["phase_ns"][Phase.TOTAL])
    return latency_of(
        tally["response"], mean_ns=whole_ns / count if count else None, max_ns=int(tally["response_max_ns"])
    )


def lag_of(run: np.void) -> Latency:
    """How late iterations began (dtype RUN, shape ()); empty in the closed model."""
    return latency_of(run["lag"])


def phase_of(tally: np.void, phase: Phase) -> PhaseTime:
    """One phase of a step."""
    return PhaseTime(phase, int(tally["phase_count"][phase]), int(tally["phase_ns"][phase]))


def statuses_of(tally: np.void) -> dict[int, int]:
    """Status code -> count, ascending."""
    statuses = tally["statuses"]
    return {int(code): int(statuses[code]) for code in np.flatnonzero(statuses)}


def errors_of(tally: np.void) -> dict[Failure, int]:
    """Failure -> count, most first; numbers that this version does not know count as UNKNOWN."""
    found: dict[Failure, int] = {}
    known = {failure.value for failure in Failure}
    for index in np.flatnonzero(tally["errors"]):
        failure = Failure(int(index)) if int(index) in known else Failure.UNKNOWN
        found[failure] = found.get(failure, 0) + int(tally["errors"][index])
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def added_up(tallies: Sequence[np.void]) -> np.void:
    """Several steps as one (dtype STEP, shape ()): sums, the largest of maxima, the smallest minimum that is set."""
    total = np.zeros(1, dtype=STEP)
    for name in STEP.names or ():
        values = np.array([tally[name] for tally in tallies])
        if not len(values):
            continue
        if name == "service_min_ns":
            total[name][0] = min((int(value) for value in values if value), default=0)
        elif name in _MAXIMA:
            total[name][0] = values.max()
        else:
            total[name][0] = values.sum(axis=0)
    row: np.void = total[0]
    return row


def sparse(histogram: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """(bucket, count) of the buckets that are not empty."""
    return [(int(bucket), int(histogram[bucket])) for bucket in np.flatnonzero(histogram)]


def bucket_bounds_ns(bucket: int) -> tuple[int, int]:
    """Lower and upper bound of a bucket in ns; the last is open and given as one value."""
    lower = lower_bound_ns(bucket)
    return lower, lower_bound_ns(bucket + 1) if bucket < BUCKETS - 1 else lower
