"""Time ranges as users give them, and the resolution that answers them at a bounded cost."""

from __future__ import annotations

import re
from dataclasses import dataclass

from osmia.model.errors import InputError

__all__ = ["BadTimeError", "Resolution", "TimeRange", "parse_time_ms"]

_RELATIVE = re.compile(r"now(?:-([0-9]{1,6})(s|m|h|d))?")
_ABSOLUTE = re.compile(r"[0-9]{1,13}")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_S = 86_400
_LONGEST_MS = 400 * _DAY_S * 1_000
_LATEST_MS = 4_102_444_800_000  # the year 2100; the store's clock column ends in 2106


class BadTimeError(InputError):
    """A time or a range that does not make sense; `field` and `value` say which."""

    def __init__(self, field: str, value: str, problem: str) -> None:
        super().__init__(
            f"{field} = {value!r}: {problem}", remedy="use Unix milliseconds or now, now-15m, now-2h, now-3d"
        )
        self.field = field
        self.value = value
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Resolution:
    """One step size the store keeps: suffix of its tables and length in seconds."""

    suffix: str
    step_s: int


# Finest first: step, longest range it answers, how long it is kept.
_RESOLUTIONS = (
    (Resolution("10s", 10), 6 * 3_600, 3 * _DAY_S),
    (Resolution("1m", 60), 3 * _DAY_S, 30 * _DAY_S),
    (Resolution("1h", 3_600), 400 * _DAY_S, 400 * _DAY_S),
)


def parse_time_ms(field: str, text: str, *, now_ms: int) -> int:
    """Unix ms from "1700000000000", "now" or "now-15m".

    Raises:
        BadTimeError: it is neither.
    """
    match = _RELATIVE.fullmatch(text.strip())
    if match:
        return now_ms - (int(match[1]) * _UNIT_MS[match[2]] if match[1] else 0)
    if _ABSOLUTE.fullmatch(text.strip()) and int(text) <= _LATEST_MS:
        return int(text)
    raise BadTimeError(field, text, "not a time")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range widened to whole steps of its resolution, so that figures cover exactly [from_s, to_s)."""

    from_s: int
    to_s: int
    resolution: Resolution
    end_ms: int
    """The end that was asked for, or now if that is earlier: when the question what exists is answered."""

    @classmethod
    def parse(cls, start: str, end: str, *, now_ms: int) -> TimeRange:
        """From the `from` and `to` of a URL.

        Raises:
            BadTimeError: one is not a time, or the range is empty or too long.
        """
        from_ms, to_ms = parse_time_ms("from", start, now_ms=now_ms), parse_time_ms("to", end, now_ms=now_ms)
        if from_ms >= to_ms:
            raise BadTimeError("from", start, f"must be before to = {end!r}")
        if to_ms - from_ms > _LONGEST_MS:
            raise BadTimeError("from", start, "the range is longer than 400 days")
        age_s = (now_ms - from_ms) / 1_000
        length_s = (to_ms - from_ms) / 1_000
        fits = [r for r, longest_s, kept_s in _RESOLUTIONS if length_s <= longest_s and age_s <= kept_s]
        resolution = fits[0] if fits else _RESOLUTIONS[-1][0]
        step = resolution.step_s
        return cls(from_ms // 1_000 // step * step, -(-to_ms // (1_000 * step)) * step, resolution, min(to_ms, now_ms))

    def seconds_covered(self, *, first_ns: int, last_ns: int, newest_ns: int) -> float:
        """Seconds over which something counted from `first_ns` to `last_ns` is averaged; at least 1.

        Up to the end that was asked for, or the newest data if that is earlier. Counts hold the whole last step, so
        what went on after that end is averaged up to its own last request.
        """
        start = max(self.from_s * 10**9, first_ns)
        end = min(self.to_s * 10**9, max(self.end_ms * 10**6, last_ns))
        end = min(end, newest_ns) if newest_ns else end
        return max(1.0, (end - start) / 1e9)
