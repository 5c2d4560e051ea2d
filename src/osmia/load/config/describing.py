"""A plan in a few lines: what `osmia load validate` says of a config that is right."""

from __future__ import annotations

from collections.abc import Iterator

from osmia.load.plan import CountShape, ManualShape, Part, Plan, RateShape, Shape, Step, UsersShape

__all__ = ["describe"]


def describe(plan: Plan) -> tuple[str, ...]:
    """Lines for people: the load, the scenario, what it knows and what it must meet."""
    return tuple(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"load: {_shape(plan.shape)}"
    yield f"mode: {plan.mode}{', cookies' if plan.has_cookies else ''}"
    if plan.proxy:
        yield f"proxy: {plan.proxy.rpartition('@')[2]}"
    for file in plan.data:
        tags = ", ".join(column.tag for column in file.columns)
        yield f"data: {file.name}, {len(file.rows)} rows of {tags}, {file.order}"
    yield f"steps: {len(plan.steps)}"
    for step in plan.steps:
        yield f"  {step.id}. {_step(step)}"
    for criterion in plan.criteria:
        yield f"must hold: {criterion.rule}{', else the test ends' if criterion.is_abort else ''}"


def _step(step: Step) -> str:
    details = []
    if step.body:
        details.append(_body(step.body))
    if step.captures:
        details.append(f"captures {', '.join(capture.name for capture in step.captures)}")
    if step.assertions:
        details.append(f"{len(step.assertions)} assertion{'s' if len(step.assertions) > 1 else ''}")
    if step.sleep:
        low, high = step.sleep.min_ms, step.sleep.max_ms
        details.append(f"then rests {low} ms" if low == high else f"then rests {low} to {high} ms")
    name = f"{step.name}: " if step.name else ""
    return f"{name}{step.method} {step.url}" + (f" ({'; '.join(details)})" if details else "")


def _body(body: str | bytes | tuple[Part, ...]) -> str:
    if isinstance(body, tuple):
        return f"a form of {len(body)} fields"
    return f"a body of {len(body.encode() if isinstance(body, str) else body)} bytes"


def _shape(shape: Shape) -> str:
    match shape:
        case CountShape():
            return f"{shape.count} iterations in {shape.duration_s} s, {shape.kind}"
        case ManualShape():
            count = sum(segment.count for segment in shape.segments)
            duration_s = sum(segment.duration_s for segment in shape.segments)
            return f"{count} iterations in {duration_s} s, in {len(shape.segments)} segments"
        case RateShape():
            stages = [f"{one.start_per_s:g} to {one.end_per_s:g}/s in {one.duration_s:g} s" for one in shape.stages]
            return f"iterations started at {', '.join(stages)} ({shape.pattern})"
        case UsersShape():
            users = [f"{one.start} to {one.end} for {one.duration_s:g} s" for one in shape.stages]
            end = f", at most {shape.count} iterations" if shape.count else ""
            return f"virtual users {', '.join(users)}{end}"
