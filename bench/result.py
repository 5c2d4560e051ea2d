"""What a benchmark gives: one figure, the goal it is held against, and whether it holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Bench", "Result", "at_least", "at_most", "median_ns"]


@dataclass(frozen=True, slots=True)
class Result:
    """One figure; `goal` is readable text such as "<= 15", `note` tells what it was compared with."""

    value: float
    unit: str
    goal: str
    holds: bool
    note: str = ""


Bench = Callable[[], Result]


def at_most(value: float, goal: float, unit: str, note: str = "") -> Result:
    """A figure that holds if it is not above its goal."""
    return Result(value, unit, f"<= {goal:g}", value <= goal, note)


def at_least(value: float, goal: float, unit: str, note: str = "") -> Result:
    """A figure that holds if it is not below its goal."""
    return Result(value, unit, f">= {goal:g}", value >= goal, note)


def median_ns(action: Callable[[], object], *, repeats: int = 7, seconds: float = 0.1) -> float:
    """Median over `repeats` of the ns that one call takes; each repeat runs for about `seconds`."""
    began = time.perf_counter_ns()
    action()
    calls = max(1, int(seconds * 1e9 / max(1, time.perf_counter_ns() - began)))
    rounds: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter_ns()
        for _ in range(calls):
            action()
        rounds.append((time.perf_counter_ns() - began) / calls)
    return statistics.median(rounds)
