"""When iterations start: counts per second, arrivals in nanoseconds, numbers of virtual users; pure arithmetic.

The counts per second of `CountShape` and `ManualShape` are those of the Ddosify engine, computed for one second at a
time, so that a run of a week needs no more memory than one of ten seconds. *Inside* a second the arrivals are not its
ten bursts: the i-th of n starts at i/n of the second, or, as `ArrivalPattern.POISSON`, where chance puts it.

An arrival rate is integrated exactly: the i-th iteration (from 0) starts when the integral of the rate reaches i. A
Poisson arrival is the same with i replaced by the sum of i + 1 exponential gaps of mean 1.

Several workers share a shape by taking every N-th arrival (worker k: those whose number mod N is k), so that each of
them sees an even stream, too, and all numbers together are every number once. With chance in play each worker draws
the whole stream from the same seed and keeps its part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from osmia.load.plan import (
    ArrivalPattern,
    CountKind,
    CountShape,
    ManualShape,
    RateShape,
    RateStage,
    Shape,
    UsersShape,
    UserStage,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Planned", "arrivals", "counts_per_second", "planned", "share", "user_changes"]

_SECOND_NS = 1_000_000_000
_BLOCK = 4096
"""Arrivals in one block at most: 32 KiB, less than a second of a fast run."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a shape amounts to, for banners and limits.

    `iterations` is None where only time ends the run; with Poisson arrivals at a rate it is the expected number.
    `peak_per_s` (iterations in the busiest second) belongs to the open model, `peak_users` to the closed one.
    """

    iterations: int | None
    duration_s: float
    peak_per_s: float | None = None
    peak_users: int | None = None


def planned(shape: Shape) -> Planned:
    """Totals and peaks of a shape."""
    match shape:
        case CountShape():
            return Planned(shape.count, shape.duration_s, peak_per_s=max(counts_per_second(shape), default=0))
        case ManualShape():
            total, duration_s = sum(s.count for s in shape.segments), sum(s.duration_s for s in shape.segments)
            return Planned(total, duration_s, peak_per_s=max(counts_per_second(shape), default=0))
        case RateShape():
            peak_per_s = max((max(s.start_per_s, s.end_per_s) for s in shape.stages), default=0.0)
            total = math.ceil(sum(map(_integral, shape.stages), Fraction()))
            return Planned(total, sum(s.duration_s for s in shape.stages), peak_per_s=peak_per_s)
        case UsersShape():
            peak = max((max(s.start, s.end) for s in shape.stages), default=0)
            return Planned(shape.count, sum(s.duration_s for s in shape.stages), peak_users=peak)


def share(total: int, worker: int, workers: int) -> int:
    """How many of `total` things numbered from 0 are worker's, when number n belongs to worker n mod workers."""
    return max(0, -(-(total - worker) // workers))


# ---- counts per second ----


def counts_per_second(shape: CountShape | ManualShape) -> Iterator[int]:
    """How many iterations start in each second of the shape, in order."""
    if isinstance(shape, ManualShape):
        for segment in shape.segments:
            yield from (_linear(segment.count, segment.duration_s, second) for second in range(segment.duration_s))
        return
    count_in = {CountKind.LINEAR: _linear, CountKind.INCREMENTAL: _incremental, CountKind.WAVED: _waved}[shape.kind]
    yield from (count_in(shape.count, shape.duration_s, second) for second in range(shape.duration_s))


def _linear(count: int, duration_s: int, second: int) -> int:
    """Equal parts; what does not divide is one more in each of the first seconds."""
    each, rest = divmod(count, duration_s)
    return each + (second < rest)


def _incremental(count: int, duration_s: int, second: int) -> int:
    """A staircase that rises by one each `step` seconds, stretched to the count; the last seconds take the rest."""
    if count == 0:
        return 0
    step = -(-(duration_s * (duration_s + 1) // 2) // count)
    full, part = divmod(duration_s, step)
    # Stairs 1..full of `step` seconds each, then `part` seconds of stair full + 1.
    stairs = step * full * (full + 1) // 2 + part * (full + 1)
    factor, rest = divmod(count, stairs)
    plus, last = divmod(rest, duration_s)
    return (second // step + 1) * factor + plus + (second >= duration_s - last)


def _waved(count: int, duration_s: int, second: int) -> int:
    """Quarter waves, up and down in turn, as many as the duration has powers of two; what is left over is idle."""
    quarters = max(1, duration_s.bit_length() - 1)
    length_s, each = duration_s // quarters, count // quarters
    quarter, offset_s = divmod(second, length_s)
    if quarter >= quarters:
        return 0
    if quarter == quarters - 1:
        each = count - each * (quarters - 1)
    return _incremental(each, length_s, length_s - 1 - offset_s if quarter % 2 else offset_s)


# ---- arrivals ----


def arrivals(
    shape: CountShape | ManualShape | RateShape, *, worker: int = 0, workers: int = 1, seed: int = 0
) -> Iterator[NDArray[np.int64]]:
    """When the worker's iterations start: ascending ns after the beginning, in blocks of at most 4,096.

    The n-th of them all has the number `worker + n * workers`.
    """
    if isinstance(shape, RateShape):
        if shape.pattern is ArrivalPattern.POISSON:
            return _of_worker(_poisson_rate(shape.stages, seed), worker, workers)
        return _even_rate(shape.stages, worker, workers)
    if shape.pattern is ArrivalPattern.POISSON:
        return _of_worker(_poisson_counts(counts_per_second(shape), seed), worker, workers)
    return _even_counts(counts_per_second(shape), worker, workers)


def _even_counts(counts: Iterator[int], worker: int, workers: int) -> Iterator[NDArray[np.int64]]:
    """The i-th of the n arrivals of a second at i/n of it."""
    before = 0
    for second, count in enumerate(counts):
        for numbers in _numbers((worker - before) % workers, count, workers):
            yield second * _SECOND_NS + numbers * _SECOND_NS // count
        before += count


def _even_rate(stages: tuple[RateStage, ...], worker: int, workers: int) -> Iterator[NDArray[np.int64]]:
    """The i-th arrival where the integral of the rate is i."""
    integral, start_s = Fraction(), Fraction()
    for stage in stages:
        end = integral + _integral(stage)
        first = math.ceil(integral)
        first += (worker - first) % workers
        before = math.floor(integral)
        for numbers in _numbers(first - before, math.ceil(end) - before, workers):
            # Small numbers for float64: counted from the stage's beginning, not from the run's.
            yield _inverse_ns(stage, numbers.astype(np.float64) - float(integral - before), start_s)
        integral, start_s = end, start_s + Fraction(repr(stage.duration_s))


def _numbers(first: int, end: int, stride: int) -> Iterator[NDArray[np.int64]]:
    """first, first + stride, ... below end, in blocks."""
    for start in range(first, end, stride * _BLOCK):
        yield np.arange(start, min(end, start + stride * _BLOCK), stride, dtype=np.int64)


def _integral(stage: RateStage) -> Fraction:
    """Iterations of a stage, exactly (the decimal that was written, not its nearest binary fraction)."""
    mean_per_s = (Fraction(repr(stage.start_per_s)) + Fraction(repr(stage.end_per_s))) / 2
    return mean_per_s * Fraction(repr(stage.duration_s))


def _inverse_ns(stage: RateStage, iterations: NDArray[np.float64], start_s: Fraction) -> NDArray[np.int64]:
    """When the integral of a stage's rate, from its beginning, is as much as asked; ns after the run's zero."""
    slope = (stage.end_per_s - stage.start_per_s) / stage.duration_s
    root = np.sqrt(np.maximum(0.0, stage.start_per_s * stage.start_per_s + 2.0 * slope * iterations))
    speed = np.maximum(stage.start_per_s + root, np.finfo(np.float64).tiny)
    at_ns: NDArray[np.int64] = np.rint(np.minimum(2.0 * iterations / speed, stage.duration_s) * 1e9).astype(np.int64)
    at_ns += int(start_s * _SECOND_NS)
    return at_ns


# ---- chance ----


def _poisson_counts(counts: Iterator[int], seed: int) -> Iterator[NDArray[np.int64]]:
    """The exact count of each second at times that are independent of each other: a Poisson process of known count.

    The sorted times of n arrivals come one after the other: given that the last is at u, the least of the m that are
    left leaves a share of 1 - u that is distributed as V ** (1 / m).
    """
    random = np.random.default_rng(seed)
    for second, count in enumerate(counts):
        left = 0.0  # log(1 - u)
        for done in range(0, count, _BLOCK):
            remaining = np.arange(count - done, max(0, count - done - _BLOCK), -1)
            logs = left + np.cumsum(-random.standard_exponential(len(remaining)) / remaining)
            left = float(logs[-1])
            yield second * _SECOND_NS + (-np.expm1(logs) * _SECOND_NS).astype(np.int64)


def _poisson_rate(stages: tuple[RateStage, ...], seed: int) -> Iterator[NDArray[np.int64]]:
    """A Poisson process of the stages' rate: exponential gaps of mean 1, through the inverse of the integral.

    A stage begins anew with a gap of its own; the process has no memory, so nobody can tell.
    """
    random = np.random.default_rng(seed)
    start_s = Fraction()
    for stage in stages:
        reached, end = 0.0, float(_integral(stage))
        while reached < end:
            sums = reached + np.cumsum(random.standard_exponential(_BLOCK))
            reached = float(sums[-1])
            yield _inverse_ns(stage, sums[sums < end], start_s)
        start_s += Fraction(repr(stage.duration_s))


def _of_worker(blocks: Iterator[NDArray[np.int64]], worker: int, workers: int) -> Iterator[NDArray[np.int64]]:
    """Every workers-th arrival of a stream, from number `worker` on."""
    before = 0
    for block in blocks:
        own = block[(worker - before) % workers :: workers]
        before += len(block)
        if len(own):
            yield own


# ---- virtual users ----


def user_changes(shape: UsersShape, *, worker: int = 0, workers: int = 1) -> list[tuple[int, int]]:
    """(ns after the beginning, the worker's users from then on), ascending, beginning at 0.

    On the way up each user starts as early as the line allows, on the way down each ends as late: a ramp from 0 to n
    begins with one user, and one from n to 0 ends with one.
    """
    changes: list[tuple[int, int]] = []
    start_s = Fraction()
    for stage in shape.stages:
        for at_s, users in _stage_users(stage):
            own = share(users, worker, workers)
            if not changes or own != changes[-1][1]:
                _add_change(changes, int((start_s + at_s) * _SECOND_NS), own)
        start_s += Fraction(repr(stage.duration_s))
    return changes


def _stage_users(stage: UserStage) -> Iterator[tuple[Fraction, int]]:
    """(s after the stage's beginning, users from then on)."""
    duration_s, steps = Fraction(repr(stage.duration_s)), abs(stage.end - stage.start)
    yield Fraction(), stage.start
    for step in range(steps):
        if stage.end > stage.start:
            yield duration_s * step / steps, stage.start + step + 1
        else:
            yield duration_s * (step + 1) / steps, stage.start - step - 1


def _add_change(changes: list[tuple[int, int]], at_ns: int, users: int) -> None:
    """Put a change last; of several at one moment only the last counts."""
    if changes and changes[-1][0] == at_ns:
        changes.pop()
    if not changes or changes[-1][1] != users:
        changes.append((at_ns, users))
