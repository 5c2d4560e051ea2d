"""Time ranges: what is understood, and what a rate is divided by."""

from __future__ import annotations

import pytest

from osmia.server.query.ranges import BadTimeError, TimeRange, parse_time_ms
from osmia.server.query.series import KnownSpan, known_seconds

_NOW_MS = 1_700_000_007_000


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("now", _NOW_MS),
        ("now-15m", _NOW_MS - 900_000),
        ("now-2h", _NOW_MS - 7_200_000),
        ("now-3d", _NOW_MS - 259_200_000),
        ("now-30s", _NOW_MS - 30_000),
        ("1699999999999", 1_699_999_999_999),
    ],
)
def test_times_are_understood(text: str, expected_ms: int) -> None:
    """Absolute in ms, or relative to now."""
    assert parse_time_ms("from", text, now_ms=_NOW_MS) == expected_ms


@pytest.mark.parametrize("text", ["", "15m", "now+5m", "now-5w", "-5", "1e9", "2023-01-01", "now-9999999m", "٣"])
def test_other_times_are_refused(text: str) -> None:
    """The error shows what is understood."""
    with pytest.raises(BadTimeError, match="now-15m"):
        parse_time_ms("from", text, now_ms=_NOW_MS)


@pytest.mark.parametrize(
    ("start", "suffix"), [("now-5m", "10s"), ("now-6h", "10s"), ("now-7h", "1m"), ("now-3d", "1m"), ("now-4d", "1h")]
)
def test_long_ranges_are_answered_coarsely(start: str, suffix: str) -> None:
    """10 s up to six hours, 1 min up to three days, else 1 h."""
    assert TimeRange.parse(start, "now", now_ms=_NOW_MS).resolution.suffix == suffix


def test_a_range_is_widened_to_whole_steps() -> None:
    """Figures cover exactly the range they say."""
    span = TimeRange.parse("now-15m", "now", now_ms=_NOW_MS)

    assert (span.from_s, span.to_s) == (1_699_999_100, 1_700_000_010)


def test_a_rate_is_divided_by_what_is_covered() -> None:
    """From the later of range and first request to the earlier of range and newest data, at least one second."""
    span = TimeRange.parse("now-15m", "now", now_ms=_NOW_MS)
    start_ns, second = span.from_s * 10**9, 10**9

    def covered(first_ns: int, newest_ns: int) -> float:
        return span.seconds_covered(first_ns=first_ns, last_ns=newest_ns, newest_ns=newest_ns)

    assert covered(0, start_ns + 100 * second) == 100
    assert covered(start_ns + 90 * second, start_ns + 100 * second) == 10
    assert covered(0, 1 << 62) == 910
    assert covered(5, 5) == 1


def test_an_end_in_the_past_is_not_rounded_up() -> None:
    """Counts hold the whole last step, but nobody waited for its end: only requests seen after `to` stretch it."""
    span = TimeRange.parse("1699999800000", "1699999833250", now_ms=_NOW_MS)
    start_ns, end_ns = 1_699_999_800 * 10**9, 1_699_999_833_250 * 10**6

    def covered(last_ns: int) -> float:
        return span.seconds_covered(first_ns=start_ns, last_ns=last_ns, newest_ns=_NOW_MS * 10**6)

    assert covered(end_ns) == 33.25
    assert covered(end_ns - 20 * 10**9) == 33.25
    assert covered(end_ns + 5 * 10**9) == 38.25
    assert covered(end_ns + 60 * 10**9) == 40


def test_the_newest_step_has_a_rate_once_a_fourth_of_it_has_passed() -> None:
    """A step that has just begun would show the agents' rhythm of reporting; its length ends at the newest request."""
    span = TimeRange.parse("0", "1000000", now_ms=1_000_000)

    def length(newest_s: float, first_s: int = 1) -> float | None:
        return known_seconds(100, 20, span=span, known=KnownSpan(first_s * 10**9, int(newest_s * 10**9)))

    assert length(104.9) is None
    assert length(105.0) == 5.0
    assert length(117.5) == 17.5
    assert length(150.0) == 20.0
    assert length(102.0, first_s=100) == 2.0, "all that there is to show"
