"""Axes: where ticks go and what they are called. Positions are shares of the plot, 0 at its left or bottom end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osmia.load.report.amounts import clock_text

__all__ = ["Scale", "exact", "linear", "logarithmic", "time_ticks"]

_TICKS = 4
_FEW_DECADES = 2.2
_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_TIME_TICKS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """Value -> share of the axis; `ticks` are (share, label)."""

    ticks: tuple[tuple[float, str], ...]
    _low: float
    _high: float
    _is_logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, kept within the axis."""
        if self._is_logarithmic:
            value = math.log(max(value, self._low) / self._low) / math.log(self._high / self._low)
        else:
            value = (value - self._low) / (self._high - self._low)
        return min(1.0, max(0.0, value))


def linear(top: float, label: Callable[[float], str]) -> Scale:
    """From 0 to at least `top`, in steps of 1, 2 or 5 times a power of ten."""
    top = top or 1.0
    step = _nice(top / _TICKS)
    count = max(1, math.ceil(top / step - 1e-9))
    ticks = tuple((number / count, label(number * step)) for number in range(count + 1))
    return Scale(ticks, 0.0, count * step)


def logarithmic(low: float, high: float, label: Callable[[float], str]) -> Scale:
    """Whole decades around both; a narrow one has 2 and 5 between them."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    factors = (1, 2, 5) if last - first <= 2 else (1,)  # noqa: PLR2004 - more would not fit
    values = [factor * 10.0**power for power in range(first, last) for factor in factors] + [10.0**last]
    below = max((value for value in values if value <= low * 1.0001), default=values[0])
    above = min((value for value in values if value >= high * 0.9999), default=values[-1])
    if above <= below:
        below, above = 10.0**first, 10.0**last
    span = math.log(above / below)
    shown = [value for value in values if below <= value <= above]
    return Scale(
        tuple((math.log(value / below) / span, label(value)) for value in shown), below, above, _is_logarithmic=True
    )


def exact(low: float, high: float, label: Callable[[float], str]) -> Scale:
    """Logarithmic from `low` to `high`, with ticks at whole decades, and at 2 and 5 times them where there is room."""
    span = math.log(high / low)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if math.log10(high / low) <= _FEW_DECADES else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    shown = [value for value in values if low <= value <= high] or [low, high]
    return Scale(
        tuple((math.log(value / low) / span, label(value)) for value in shown), low, high, _is_logarithmic=True
    )


def time_ticks(total_s: float) -> Sequence[tuple[float, str]]:
    """(share, `1:30`) along a run; at least its beginning."""
    if total_s <= 0:
        return ((0.0, "0:00"),)
    step = next((step for step in _TIME_STEPS_S if total_s / step <= _MOST_TIME_TICKS), math.ceil(total_s))
    return tuple((second / total_s, clock_text(second)) for second in range(0, math.floor(total_s) + 1, step))


def _nice(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.9999)
