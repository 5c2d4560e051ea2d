"""Numbers as people read them: three significant figures, the unit beside the number, an em dash for "not known"."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "NOT_KNOWN",
    "bytes_text",
    "clock_text",
    "count_text",
    "memory_text",
    "plural",
    "rate_text",
    "share_text",
    "sparkline",
    "time_text",
]

NOT_KNOWN = "—"
"""Never to be mixed up with 0."""

_NS_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def _three_figures(value: float) -> str:
    """A number below 1,000 with three significant figures, without zeros that say nothing."""
    if value >= 100 or value == 0:  # noqa: PLR2004 - hundreds have three figures already
        return f"{value:.0f}"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3  # noqa: PLR2004 - powers of ten
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def time_text(ns: float | None) -> str:
    """A duration in the unit that suits it: `850 ns`, `31.2 ms`, `1.93 s`, `2:05 min`."""
    if ns is None:
        return NOT_KNOWN
    if ns >= 119.5e9:  # noqa: PLR2004 - from two minutes on, seconds are hard to read
        return f"{clock_text(ns / 1e9)} min" if ns < 3.6e12 else f"{clock_text(ns / 1e9)} h"  # noqa: PLR2004 - an hour
    for size, unit in _NS_UNITS:
        if ns >= size * 0.9995:
            return f"{_three_figures(ns / size)} {unit}"
    return f"{ns:.0f} ns" if ns else "0 s"


def clock_text(seconds: float) -> str:
    """A position in a run: `0:07`, `12:30`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def count_text(count: float) -> str:
    """A whole number with separators: `51,204`."""
    return f"{count:,.0f}"


def rate_text(per_s: float | None) -> str:
    """A rate: `274/s`, `0.5/s`, `106,120/s`; whole from 1,000 on, for it is compared with what was asked."""
    if per_s is None:
        return NOT_KNOWN
    return f"{per_s:,.0f}/s" if per_s >= 999.5 else f"{_three_figures(per_s)}/s"  # noqa: PLR2004 - a thousand


def share_text(part: float, whole: float) -> str:
    """A share: `0.3 %`, `< 0.01 %` for what is little and not nothing, `99.99 %` for what is much and not all."""
    if whole <= 0:
        return NOT_KNOWN
    percent = 100 * part / whole
    if 0 < percent < 0.01:  # noqa: PLR2004 - two decimals would say none
        return "< 0.01 %"
    if 99.99 < percent < 100:  # noqa: PLR2004 - two decimals would say all
        return "> 99.99 %"
    if percent > 99:  # noqa: PLR2004 - what is missing there counts
        return f"{percent:.2f}".rstrip("0").rstrip(".") + " %"
    return f"{_three_figures(percent)} %" if percent >= 1 else f"{percent:.2f}".rstrip("0").rstrip(".") + " %"


def bytes_text(size: float) -> str:
    """Bytes as sent over a wire, in powers of 1,000: `4.1 kB`."""
    for unit in _BYTE_UNITS[:-1]:
        if size < 999.5:  # noqa: PLR2004 - a thousand
            return f"{_three_figures(size)} {unit}"
        size /= 1000
    return f"{_three_figures(size)} {_BYTE_UNITS[-1]}"


def memory_text(size: float) -> str:
    """Memory, in powers of 1,024: `23.4 MiB`."""
    return f"{_three_figures(size / (1 << 20))} MiB" if size < 1 << 30 else f"{_three_figures(size / (1 << 30))} GiB"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 request`, `3 requests`, `2,000 processes`."""
    return f"{count_text(count)} {noun if count == 1 else nouns or noun + 's'}"


_SPARKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], *, width: int) -> str:
    """The last `width` values as bars from 0 to their maximum."""
    shown = list(values)[-width:]
    top = max(shown, default=0)
    if top <= 0:
        return _SPARKS[1] * len(shown)
    return "".join(_SPARKS[max(1, min(8, round(value / top * 8)))] for value in shown)
