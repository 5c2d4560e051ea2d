"""Where the generator, not the target, was the limit of a run: in words, with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from osmia.load.plan import Plan, UsersShape
from osmia.load.results import Reading, WorkerHealth, quantile_ns
from osmia.load.shape import planned
from osmia.load.tally import Failure
from osmia.model.histogram import bucket_of

__all__ = ["limits"]

_LATE_NS = 5_000_000
_FULL_CPU = 0.95
_MISSED = 0.01
_FEW = 10
_SEVERAL = 3
_SHORT_S = 0.5
"""What a process needs to begin and end says nothing of a run that is shorter."""


def limits(
    plan: Plan,
    *,
    last: Reading,
    at_schedule_end: Reading | None,
    workers: Sequence[WorkerHealth],
    max_connections: int,
) -> tuple[str, ...]:
    """One sentence for each way in which the generator was the limit; none is good.

    `at_schedule_end` is the first reading after the last planned arrival (None: the run was ended before),
    `max_connections` what all workers together were allowed.
    """
    found = [f"worker {one.number} {one.failure}; its share is missing from then on" for one in workers if one.failure]
    if not isinstance(plan.shape, UsersShape):
        found += _rate(plan, last, at_schedule_end)
    found += _resources(last, max_connections)
    lasted_s = (int(last.run["last_ns"]) - int(last.run["first_ns"])) / 1e9
    for one in workers:
        if one.cpu > _FULL_CPU and lasted_s > _SHORT_S:
            found.append(
                f"worker {one.number} used {one.cpu:.0%} of a core: the generator, not the target, set the pace"
                " - use more workers, cores or machines"
            )
    return tuple(found)


def _rate(plan: Plan, last: Reading, at_schedule_end: Reading | None) -> Iterator[str]:
    """The open model: was everything started, and in time?"""
    lag = last.run["lag"]
    late, lag_ns = int(lag[bucket_of(_LATE_NS) + 1 :].sum()), quantile_ns(lag, 0.99)
    # Of twenty iterations the 99th percentile is the worst one; a single hiccup is no limit.
    if lag_ns is not None and lag_ns > _LATE_NS and late >= _SEVERAL:
        yield (
            f"iterations started late: 99 % within {lag_ns / 1e6:,.1f} ms of their time"
            f" (up to {_LATE_NS / 1e6:g} ms is good) - response times include the wait, service times do not"
        )
    if at_schedule_end is None:
        return
    due, started = int(at_schedule_end.run["iterations_due"]), int(at_schedule_end.run["iterations_started"])
    whole = planned(plan.shape)
    expected = max(due, whole.iterations or 0) if _is_exact(plan) else due
    missed = expected - started
    if missed > max(_FEW, expected * _MISSED) and whole.duration_s > 0:
        yield (
            f"the rate was not kept: {expected / whole.duration_s:,.0f} iterations a second were planned,"
            f" {started / whole.duration_s:,.0f} were started; up to {int(last.run['backlog_max']):,} waited"
        )


def _is_exact(plan: Plan) -> bool:
    """Whether the planned number is the number of arrivals (chance at a rate has only an expectation)."""
    return not isinstance(plan.shape, UsersShape) and getattr(plan.shape, "stages", None) is None


def _resources(last: Reading, max_connections: int) -> Iterator[str]:
    """Connections, ports, descriptors, samples."""
    if int(last.run["connections_max"]) >= max_connections and int(last.run["backlog_max"]):
        yield (
            f"all {max_connections:,} connections that are allowed were in use and {int(last.run['backlog_max']):,}"
            " iterations waited for one - raise --max-connections"
        )
    errors = last.steps["errors"].sum(axis=0)
    if ports := int(errors[Failure.NO_LOCAL_PORT]):
        yield (
            f"{ports:,} requests found no free local port - let connections be reused, or widen"
            " net.ipv4.ip_local_port_range"
        )
    if descriptors := int(errors[Failure.NO_DESCRIPTOR]):
        yield f"{descriptors:,} requests found no free file descriptor - raise `ulimit -n`"
    if dropped := int(last.run["samples_dropped"]):
        yield f"{dropped:,} samples were dropped, for they came faster than they could be written; counts are exact"
