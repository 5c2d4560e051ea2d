"""A plan in words: the load, the target, the duration that is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from osmia.load.plan import (
    UNTIL_COUNT_S,
    ArrivalPattern,
    CountShape,
    JsonValue,
    ManualShape,
    Plan,
    RateShape,
    RateStage,
    Shape,
    Step,
    UsersShape,
    UserStage,
)
from osmia.load.report.amounts import count_text, plural, rate_text, time_text

__all__ = ["hosts_of", "is_https", "planned_count", "planned_s", "shape_text", "step_title", "without_password"]

_MOST_STAGES = 4
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_-]*)\s*\}\}")


def without_password(url: str) -> str:
    """A URL whose user information is hidden, for reports are passed on. Variables stay as they are."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"•••@{host}")) if at and user else url


def hosts_of(plan: Plan) -> tuple[str, ...]:
    """Scheme and host of every step, each once, in order; variables that the plan gives one text are filled in."""
    found: dict[str, None] = {}
    for step in plan.steps:
        url = without_password(_filled_in(step.url, plan.environment))
        scheme, separator, rest = url.partition("://")
        found[f"{scheme}://{rest.split('/', 1)[0]}" if separator else url.split("/", 1)[0]] = None
    return tuple(found)


def _filled_in(url: str, environment: Mapping[str, JsonValue]) -> str:
    def value(found: re.Match[str]) -> str:
        text = environment.get(found[1])
        return text if isinstance(text, str) and "{{" not in text else found[0]

    return _VARIABLE.sub(value, url)


def is_https(step: Step) -> bool:
    """Whether the step's URL says so."""
    return step.url.lower().startswith("https://")


def step_title(step: Step) -> str:
    """`2 exchange rate`, or what it asks for if it has no name."""
    return f"{step.id} {step.name}" if step.name else f"{step.id} {step.method} {without_password(step.url)}"


def planned_s(shape: Shape) -> float:
    """Seconds from the first to the last arrival that are asked for."""
    if isinstance(shape, CountShape):
        return float(shape.duration_s)
    parts = shape.segments if isinstance(shape, ManualShape) else shape.stages
    return float(sum(part.duration_s for part in parts))


def planned_count(shape: Shape) -> int | None:
    """Iterations that are asked for, None where only time ends the run."""
    if isinstance(shape, CountShape):
        return shape.count
    if isinstance(shape, ManualShape):
        return sum(segment.count for segment in shape.segments)
    if isinstance(shape, RateShape):
        return math.floor(sum(stage.duration_s * (stage.start_per_s + stage.end_per_s) / 2 for stage in shape.stages))
    return shape.count


def shape_text(shape: Shape) -> str:
    """`1,000 iterations in 10 s, linear`; `50 virtual users for 30 s`; `100/s for 10 s, then to 400/s in 1:00 min`."""
    if isinstance(shape, CountShape):
        text = f"{plural(shape.count, 'iteration')} in {_seconds(shape.duration_s)}, {shape.kind.value}"
        return text + _pattern(shape.pattern)
    if isinstance(shape, ManualShape):
        parts = [f"{count_text(segment.count)} in {_seconds(segment.duration_s)}" for segment in shape.segments]
        return "iterations by hand: " + _joined(parts) + _pattern(shape.pattern)
    if isinstance(shape, RateShape):
        return _joined([_rate_stage(stage) for stage in shape.stages]) + _pattern(shape.pattern)
    return _users(shape)


def _users(shape: UsersShape) -> str:
    if shape.count is not None and [stage.duration_s for stage in shape.stages] == [UNTIL_COUNT_S]:
        return f"{plural(shape.stages[0].end, 'virtual user')} for {plural(shape.count, 'iteration')}"
    text = _joined([_user_stage(stage) for stage in shape.stages])
    return text if shape.count is None else f"{text}, at most {plural(shape.count, 'iteration')}"


def _rate_stage(stage: RateStage) -> str:
    if stage.start_per_s == stage.end_per_s:
        return f"{rate_text(stage.start_per_s)} for {_seconds(stage.duration_s)}"
    return f"{rate_text(stage.start_per_s)} → {rate_text(stage.end_per_s)} in {_seconds(stage.duration_s)}"


def _user_stage(stage: UserStage) -> str:
    if stage.start == stage.end:
        return f"{plural(stage.end, 'virtual user')} for {_seconds(stage.duration_s)}"
    return f"{count_text(stage.start)} → {plural(stage.end, 'virtual user')} in {_seconds(stage.duration_s)}"


def _joined(parts: Sequence[str]) -> str:
    shown = list(parts[:_MOST_STAGES])
    if len(parts) > _MOST_STAGES:
        shown.append(f"and {plural(len(parts) - _MOST_STAGES, 'more stage')}")
    return ", ".join(shown)


def _pattern(pattern: ArrivalPattern) -> str:
    return ", Poisson arrivals" if pattern is ArrivalPattern.POISSON else ""


def _seconds(seconds: float) -> str:
    return time_text(seconds * 1e9)
