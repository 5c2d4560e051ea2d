"""The page's way of writing numbers, again and independently: three significant figures and a unit."""

from __future__ import annotations

__all__ = ["duration", "rate", "share"]


def rate(per_second: float) -> str:
    """118.4 -> "118/s"."""
    return f"{_three(per_second)}/s"


def share(fraction: float) -> str:
    """0.0214 -> "2.14 %"; below one per cent two figures are enough."""
    if fraction == 0:
        return "0 %"
    digits = 2 if fraction < 0.01 else 3
    return f"{float(f'{fraction * 100:.{digits}g}'):g} %"


def duration(ns: int | None) -> str:
    """1_900_000 -> "1.9 ms"."""
    if ns is None:
        return "—"
    for unit, size in (("µs", 1e3), ("ms", 1e6), ("s", 1e9)):
        if float(f"{ns:.3g}") < size * 1000:
            return f"{_three(ns / size)} {unit}"
    return f"{_three(ns / 60e9)} min"


def _three(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
