"""Logging: events with fields, on stderr, for people or for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from osmia.telemetry import configure_logging, get_logger


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    """Each test configures logging for itself."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_json_events_carry_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object a line, with time, level, component and the event's own fields."""
    configure_logging(json=True)

    get_logger("hive").warning("queue full", dropped=3)

    captured = capsys.readouterr()
    event = json.loads(captured.err)
    assert (event["event"], event["level"], event["component"], event["dropped"]) == (
        "queue full",
        "warning",
        "hive",
        3,
    )
    assert event["timestamp"].endswith("Z")
    assert captured.out == ""


def test_readable_events_have_no_colour_codes_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal, lines are plain text."""
    configure_logging()

    get_logger("hive").info("started", port=80)

    said = capsys.readouterr().err
    assert "started" in said
    assert "port=80" in said
    assert "\x1b" not in said


def test_events_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The level is a floor."""
    configure_logging(level="warning")

    get_logger("hive").info("quiet")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("json_lines", [True, False])
def test_exceptions_are_told_without_the_values_around_them(
    json_lines: bool,  # noqa: FBT001 - a parameter
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A trace names lines, not what variables held there: that may be an application's traffic."""
    configure_logging(level="debug", json=json_lines)
    seen_on_the_wire = "sword" + "fish"
    try:
        int(f"{len(seen_on_the_wire)} bytes")
    except ValueError:
        get_logger("hive").exception("failed")

    said = capsys.readouterr().err
    assert "9 bytes" in said
    assert "swordfish" not in said


def test_exceptions_are_told_with_their_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """An event logged while handling an error says where it came from."""
    configure_logging(json=True)
    try:
        int("no honey")
    except ValueError:
        get_logger("hive").exception("failed")

    assert "ValueError: invalid literal" in json.loads(capsys.readouterr().err)["exception"]
