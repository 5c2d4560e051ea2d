"""Which load it is: the keys that say how many iterations start when."""

from __future__ import annotations

from osmia.load.config.cursor import Cursor
from osmia.load.plan import (
    UNTIL_COUNT_S,
    ArrivalPattern,
    CountKind,
    CountShape,
    ManualShape,
    RateShape,
    RateStage,
    Segment,
    Shape,
    UsersShape,
    UserStage,
)

__all__ = ["read_shape"]

_DEFAULT_S = 10.0


def read_shape(config: Cursor) -> Shape:
    """The shape that the keys ask for; what contradicts itself is reported."""
    pattern = ArrivalPattern(config.choice("arrivals"))
    if config.has("manual_load"):
        return _manual(config, pattern)
    if config.has("load_type"):
        for key in ("stages", "rate", "vus"):
            if config.has(key):
                config.warn("load_type", f"not used, because there is {key}")
                break
    if config.has("rate") and config.has("vus"):
        config.error("vus", "there is also rate", remedy="take one of the two: vus wait for answers, rate does not")
    if config.has("stages"):
        return _stages(config, pattern)
    if config.has("rate"):
        return _rate(config, pattern)
    return _users(config) if config.has("vus") else _counted(config, pattern)


def _manual(config: Cursor, pattern: ArrivalPattern) -> ManualShape:
    for key in ("stages", "rate", "vus"):
        if config.has(key):
            config.error(key, "there is also manual_load", remedy="take one of the two")
    for key in ("iteration_count", "duration", "load_type"):
        if config.has(key):
            config.warn(key, "not used, because there is manual_load")
    segments = tuple(Segment(one.whole("duration"), one.whole("count")) for one in config.tables("manual_load"))
    if segments and not any(segment.count for segment in segments):
        config.error("manual_load", "no segment has a count above 0")
    return ManualShape(segments, pattern)


def _counted(config: Cursor, pattern: ArrivalPattern) -> CountShape:
    duration_s = config.number("duration")
    if duration_s != int(duration_s):
        remedy = "fractions are for rate, vus and stages"
        config.error("duration", "must be a whole number of seconds for a load_type", remedy=remedy)
    kind = CountKind(config.choice("load_type"))
    return CountShape(kind, config.whole("iteration_count"), int(duration_s), pattern)


def _rate(config: Cursor, pattern: ArrivalPattern) -> RateShape:
    rate = config.number("rate")
    times = [config.number("duration")] if config.has("duration") else []
    if config.has("iteration_count") and rate > 0:
        times.append(config.whole("iteration_count") / rate)
    return RateShape((RateStage(min(times, default=_DEFAULT_S), rate, rate),), pattern)


def _users(config: Cursor) -> UsersShape:
    _refuse_pattern(config)
    vus = config.whole("vus")
    count = config.whole("iteration_count") if config.has("iteration_count") else None
    is_timed = config.has("duration") or count is None
    return UsersShape((UserStage(config.number("duration") if is_timed else UNTIL_COUNT_S, vus, vus),), count)


def _refuse_pattern(config: Cursor) -> None:
    if config.choice("arrivals") != ArrivalPattern.EVEN:
        config.error("arrivals", "virtual users start when they are answered", remedy="take rate instead of vus")


def _stages(config: Cursor, pattern: ArrivalPattern) -> RateShape | UsersShape:
    if config.has("duration"):
        config.warn("duration", "not used, because each of the stages has its own")
    stages = config.tables("stages")
    has_users = config.has("vus") or (not config.has("rate") and any(stage.has("vus") for stage in stages))
    wanted, other = ("vus", "rate") if has_users else ("rate", "vus")
    points: list[tuple[float, float]] = []
    for stage in stages:
        if stage.has(other):
            stage.error(other, f"the other stages, or the test, have {wanted}", remedy="all stages have the same")
        elif not stage.has(wanted):
            stage.error(wanted, f"{wanted} is missing", remedy="each stage says where it ends")
        points.append((stage.number("duration"), stage.number(wanted)))
    lines = _lines(config.number(wanted), points)
    if not lines:
        config.error("stages", "no stage has a duration above 0")
    elif not any(start or end for _, start, end in lines):
        config.error("stages", f"{wanted} is 0 all the time")
    if not has_users:
        if config.has("iteration_count"):
            config.warn("iteration_count", "not used, because the stages say how long")
        return RateShape(tuple(RateStage(*line) for line in lines), pattern)
    _refuse_pattern(config)
    count = config.whole("iteration_count") if config.has("iteration_count") else None
    return UsersShape(tuple(UserStage(length, int(start), int(end)) for length, start, end in lines), count)


def _lines(start: float, points: list[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Durations with start and end values; a stage without a duration is a jump."""
    lines = []
    for duration_s, end in points:
        if duration_s > 0:
            lines.append((duration_s, start, end))
        start = end
    return lines
