"""What stands on a terminal: the final report, the debug text, the live panel, at several widths."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from osmia.load.plan import UNTIL_COUNT_S, UsersShape, UserStage
from osmia.load.report.amounts import bytes_text, clock_text, rate_text, share_text, sparkline, time_text
from osmia.load.report.debug import debug_json, debug_text
from osmia.load.report.describe import hosts_of, shape_text
from osmia.load.report.text import final_text
from osmia.load.report.visible import visible
from tests.load.report import build
from tests.load.report.snapshots import SNAPSHOTS, expected, made


@pytest.mark.parametrize("name", list(SNAPSHOTS))
def test_texts_are_as_written_down(name: str) -> None:
    """Each is what `snapshots/` holds; `python -m tests.load.report.snapshots` writes them anew."""
    assert made(name) == expected(name)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["healthy", "ramp", "failing", "empty", "hostile"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    """Nothing is left to the terminal to wrap."""
    lines = final_text(getattr(build, name)(), width=width).split("\n")

    assert max(len(line) for line in lines) <= width


def test_nothing_from_outside_moves_the_cursor() -> None:
    """Names, rules, values and errors hold no control or direction characters."""
    text = final_text(build.hostile(), width=80)

    assert not {character for character in text if ord(character) < 0x20 and character != "\n"}
    assert "\u202e" not in text
    assert "\\x1b[31m\\u202e" in text


def test_a_line_from_outside_stays_one_line() -> None:
    """A name cannot write a line of its own into the report."""
    assert visible("a\nPassed") == "a\\x0aPassed"


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "—"),
        (0, "0 s"),
        (850, "850 ns"),
        (1_500, "1.5 µs"),
        (999_600, "1 ms"),
        (31_240_000, "31.2 ms"),
        (1_930_000_000, "1.93 s"),
        (59_949_000_000, "59.9 s"),
        (192e9, "3:12 min"),
        (7_265e9, "2:01:05 h"),
    ],
)
def test_times_have_three_figures_and_a_unit(ns: float | None, text: str) -> None:
    """The unit follows the size; not known is a dash and never 0."""
    assert time_text(ns) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "—"), (0, 9, "0 %"), (1, 1_000_000, "< 0.01 %"), (999_999, 1_000_000, "> 99.99 %"), (3, 1000, "0.3 %"),
     (996, 1000, "99.6 %"), (1, 3, "33.3 %"), (9, 9, "100 %")],
)  # fmt: skip
def test_shares_never_round_to_none_or_all(part: int, whole: int, text: str) -> None:
    """One failure in a million is not 0 %."""
    assert share_text(part, whole) == text


def test_rates_bytes_and_clocks() -> None:
    """As people write them."""
    rates, sizes = (0, 0.25, 274.4, 106_120.3, None), (0, 999, 1_000, 4_096, 5_300_000)

    assert [rate_text(value) for value in rates] == ["0/s", "0.25/s", "274/s", "106,120/s", "—"]
    assert [bytes_text(value) for value in sizes] == ["0 B", "999 B", "1 kB", "4.1 kB", "5.3 MB"]
    assert [clock_text(value) for value in (0, 7, 750, 3_723)] == ["0:00", "0:07", "12:30", "1:02:03"]


def test_sparklines_show_the_last_values() -> None:
    """From 0 to the largest; flat where all is 0."""
    assert sparkline([0, 1, 2, 4, 8], width=4) == "▁▂▄█"
    assert sparkline([0, 0], width=4) == "▁▁"
    assert sparkline([], width=4) == ""


def test_a_body_with_line_ends_of_the_web_is_lines() -> None:
    """What a shell's curl shows as lines is lines in --debug, too; a lonely return stays visible."""
    results = build.debugged()
    exchange = replace(results.exchanges[0], response_body=b"<a>\r\n</a>\rx")

    text = debug_text(replace(results, exchanges=(exchange,)), width=80)

    assert "< <a>\n< </a>\\x0dx\n" in text


@pytest.mark.parametrize("depth", [150, 500, 200_000])
def test_json_of_any_depth_is_shown(depth: int) -> None:
    """What a target answers cannot break --debug: beyond a hundred levels JSON is only text."""
    body = "[" * depth + "]" * depth
    results = build.debugged()
    results = replace(results, exchanges=(replace(results.exchanges[0], response_body=body.encode()),))

    (step,) = json.loads(debug_json(results))["steps"].values()

    assert step["response"]["body"] == body
    assert "< [" in debug_text(results, width=80)


def test_a_count_that_ends_virtual_users_is_their_load() -> None:
    """How long they go on at most is nobody's plan."""
    ends = [UsersShape((UserStage(duration_s, 3, 3),), 100) for duration_s in (UNTIL_COUNT_S, 30.0)]

    assert [shape_text(shape) for shape in ends] == [
        "3 virtual users for 100 iterations",
        "3 virtual users for 30 s, at most 100 iterations",
    ]


def test_the_banner_names_the_host_that_a_variable_stands_for() -> None:
    """What is known before the run is shown; what is drawn at random stays as it was written."""
    plan = replace(build.healthy().plan, environment={"HOST": "http://orders:8080", "LIST": ["a", "b"]})
    steps = tuple(replace(plan.steps[0], url=url) for url in ("{{HOST}}/a", "http://{{LIST}}/", "{{ HOST }}/b"))

    assert hosts_of(replace(plan, steps=steps)) == ("http://orders:8080", "http://{{LIST}}")
