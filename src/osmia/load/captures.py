"""Captures: values of an answer that later steps (and the assertions of their own step) use as variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from osmia.load.language.answer import Answer, Needs, header_finder
from osmia.load.language.extract import MISSING, FromBody, Missing, expression, html_path, json_path, xpath
from osmia.load.language.problems import EvaluationError
from osmia.load.plan import Capture, CaptureSource, JsonValue
from osmia.model.errors import InputError

__all__ = ["Captures", "compile_captures"]

_Read: TypeAlias = "Callable[[Answer], JsonValue | Missing]"
_OF_BODY: Final = frozenset({CaptureSource.BODY_JSON, CaptureSource.BODY_XPATH, CaptureSource.BODY_HTML})
_NONE_FAILED: Final[Mapping[str, str]] = {}
_IN_HEAD, _IN_BODY = Needs(has_head=True), Needs(has_body=True)


class Captures:
    """All captures of a step. Called with an answer and the scope, sets each variable, "" where nothing was found.

    Returns the names of those with the reason why. `needs` is what must be kept of answers.
    """

    __slots__ = ("_parts", "needs")

    def __init__(self, captures: Sequence[Capture]) -> None:
        self._parts = tuple((one.name, *_readers(one), _reason(one)) for one in captures)
        self.needs = Needs()
        for one in captures:
            self.needs |= _needs(one.source)

    def __call__(self, answer: Answer, scope: dict[str, JsonValue]) -> Mapping[str, str]:
        """Set the variables; the names of those that failed, and why."""
        failed: dict[str, str] | None = None
        for name, read_body, read, reason in self._parts:
            try:
                value = read_body(answer.body) if read_body is not None else read(answer)
            except EvaluationError as exc:
                value, reason = MISSING, str(exc)  # noqa: PLW2901 - a better reason than the usual
            if value.__class__ is not Missing:
                scope[name] = value  # type: ignore[assignment]  # told by its class
                continue
            scope[name] = ""
            failed = failed or {}
            failed[name] = reason
        return _NONE_FAILED if failed is None else failed


def compile_captures(captures: Sequence[Capture]) -> Captures:
    """The captures of a step as one function.

    Raises:
        InputError: a path or an expression is not understood.
    """
    return Captures(captures)


def _needs(source: CaptureSource) -> Needs:
    match source:
        case CaptureSource.HEADER | CaptureSource.HEADER_REGEXP | CaptureSource.COOKIE:
            return _IN_HEAD
        case CaptureSource.BODY_REGEXP:
            return _IN_HEAD | _IN_BODY  # Content-Type says how the body is read
    return _IN_BODY


def _readers(capture: Capture) -> tuple[FromBody | None, _Read]:
    """What reads the body alone, called without a detour, or what reads anything else of the answer."""
    try:
        if capture.source in _OF_BODY:
            return _read_body(capture), _nothing
        return None, _read(capture)
    except ValueError as exc:
        raise InputError(f"capture {capture.name}: {exc}") from exc


def _read_body(capture: Capture) -> FromBody:
    match capture.source:
        case CaptureSource.BODY_XPATH:
            return xpath(capture.path)
        case CaptureSource.BODY_HTML:
            return html_path(capture.path)
    return json_path(capture.path)


def _read(capture: Capture) -> _Read:
    match capture.source:
        case CaptureSource.BODY_REGEXP:
            find = expression(capture.path, capture.match_number)
            return lambda answer: find(answer.text)
        case CaptureSource.HEADER:
            return _header(capture.path)
        case CaptureSource.HEADER_REGEXP:
            return _header_match(capture)
    return _cookie(capture.path)


def _nothing(answer: Answer) -> Missing:
    del answer
    return MISSING


def _header(name: str) -> _Read:
    find = header_finder(name)

    def read(answer: Answer) -> JsonValue | Missing:
        value = find(answer.head)
        return MISSING if value is None else value

    return read


def _header_match(capture: Capture) -> _Read:
    find, match = header_finder(capture.header), expression(capture.path, capture.match_number)

    def read(answer: Answer) -> JsonValue | Missing:
        value = find(answer.head)
        return MISSING if value is None else match(value)

    return read


def _cookie(name: str) -> _Read:
    def read(answer: Answer) -> JsonValue | Missing:
        found = answer.cookie(name)
        return MISSING if found is None else found.value

    return read


def _reason(capture: Capture) -> str:
    """What is said when nothing was found."""
    match capture.source:
        case CaptureSource.HEADER:
            return f"the answer has no header {capture.path}"
        case CaptureSource.HEADER_REGEXP:
            return f"no header {capture.header} has match {capture.match_number} of {capture.path}"
        case CaptureSource.COOKIE:
            return f"there is no cookie {capture.path}"
        case CaptureSource.BODY_REGEXP:
            return f"the body has no match {capture.match_number} of {capture.path}"
    return f"{capture.source.value} {capture.path} finds nothing in the body"
