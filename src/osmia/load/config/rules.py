"""What the language has against a rule, an expression or a path, as a problem and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from osmia.load.assertions import compile_assertion
from osmia.load.captures import compile_captures
from osmia.load.criteria import compile_criterion
from osmia.load.language.extract import is_catastrophic
from osmia.load.language.parser import parse
from osmia.load.language.tree import Literal, walk
from osmia.load.plan import Capture, CaptureSource
from osmia.load.variables import VARIABLE_NAMES
from osmia.model.errors import InputError

__all__ = [
    "SLOW_EXPRESSION",
    "Objection",
    "assertion_objection",
    "capture_objection",
    "criterion_objection",
    "dynamic_names",
    "is_slow_capture",
    "is_slow_rule",
]


class Objection(NamedTuple):
    """What is wrong and what to do about it."""

    problem: str
    remedy: str


SLOW_EXPRESSION = Objection(
    "a repetition inside a repetition: unless its parts exclude each other, this takes minutes on some answers",
    "(a+)+ is a+",
)


def is_slow_capture(capture: Capture) -> bool:
    """Whether its expression may backtrack without end; the original's engine does not backtrack."""
    sources = (CaptureSource.BODY_REGEXP, CaptureSource.HEADER_REGEXP)
    return capture.source in sources and is_catastrophic(capture.path)


def is_slow_rule(rule: str) -> bool:
    """The same of a good rule's strings, one of which is the expression."""
    texts = (one.value for one in walk(parse(rule)) if isinstance(one, Literal) and isinstance(one.value, str))
    return ("regexp" in rule or "matches" in rule) and any(is_catastrophic(text) for text in texts)


def assertion_objection(rule: str) -> Objection | None:
    """What is wrong with a step's rule."""
    try:
        compile_assertion(rule)
    except InputError as error:
        return _objection(error)
    return None


def criterion_objection(rule: str, step_ids: Sequence[int]) -> Objection | None:
    """What is wrong with a criterion's rule about a test of these steps."""
    try:
        compile_criterion(rule, step_ids=step_ids)
    except InputError as error:
        return _objection(error)
    return None


def capture_objection(capture: Capture) -> Objection | None:
    """What is wrong with a capture's path or expression."""
    try:
        compile_captures((capture,))
    except InputError as error:
        return Objection(error.message.removeprefix(f"capture {capture.name}: "), error.remedy)
    return None


def dynamic_names() -> frozenset[str]:
    """The names that may stand behind `{{_`."""
    return frozenset(VARIABLE_NAMES)


def _objection(error: InputError) -> Objection:
    column = getattr(error, "column", 0)
    problem = str(getattr(error, "problem", error.message))
    return Objection(f"{problem}, in column {column} of the rule" if column else problem, error.remedy)
