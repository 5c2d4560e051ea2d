"""What operators and functions do with values: compared, ordered and added as their types allow, never by accident.

A value that came as text from the wire (a header, a cookie, a match, a captured variable) has no other type than text;
beside a number, a truth or a structure it is read as JSON if it is JSON (`*_lenient`). Values of JSON bodies have their
own types and are compared with them: `"5"` is not `5`, `true` is not `1`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import orjson

from osmia.load.language.cookie import parse_date
from osmia.load.language.extract import parsed_json
from osmia.load.language.problems import EvaluationError
from osmia.load.plan import JsonValue

__all__ = [
    "OPERATIONS",
    "Series",
    "as_text",
    "average",
    "contains",
    "is_there",
    "is_within",
    "largest",
    "less",
    "less_lenient",
    "less_or_same",
    "less_or_same_lenient",
    "member",
    "more",
    "more_lenient",
    "more_or_same",
    "more_or_same_lenient",
    "negative",
    "quantile",
    "same",
    "same_lenient",
    "shown",
    "smallest",
    "time_of",
    "truth",
]

_SHOWN = 80


@runtime_checkable
class Series(Protocol):
    """Many times, in ms, of which only the distribution is known."""

    def quantile(self, share: float) -> float:
        """Nearest rank."""

    def smallest(self) -> float:
        """The least."""

    def largest(self) -> float:
        """The greatest."""

    def average(self) -> float:
        """The mean."""


def shown(value: object) -> str:
    """A value for a message: as JSON, cut."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# ---- comparing


def same(left: JsonValue, right: JsonValue) -> bool:
    """Equal in value and type; whole and broken numbers are one type, truths are not numbers."""
    kind = left.__class__
    if kind is right.__class__:
        if kind is list:
            return len(left) == len(right) and all(map(same, left, right))  # type: ignore[arg-type]  # told by class
        if kind is dict:
            return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)  # type: ignore[union-attr,index]
        return left == right
    return _is_number(left) and _is_number(right) and left == right


def same_lenient(left: JsonValue, right: JsonValue) -> bool:
    """`same`, with text read as JSON beside something else."""
    return same(*_matched(left, right))


def less(left: JsonValue, right: JsonValue) -> bool:
    """Of two numbers, or of two texts by their characters."""
    _check_order(left, right)
    return left < right  # type: ignore[operator]  # checked


def less_lenient(left: JsonValue, right: JsonValue) -> bool:
    """`less`, with text read as JSON beside a number."""
    return less(*_matched(left, right))


def less_or_same(left: JsonValue, right: JsonValue) -> bool:
    """`<=`; not the contrary of `>`, which would call incomparable things less."""
    _check_order(left, right)
    return left <= right  # type: ignore[operator]  # checked


def less_or_same_lenient(left: JsonValue, right: JsonValue) -> bool:
    """`less_or_same`, with text read as JSON beside a number."""
    return less_or_same(*_matched(left, right))


def more(left: JsonValue, right: JsonValue) -> bool:
    """`>`."""
    _check_order(left, right)
    return left > right  # type: ignore[operator]  # checked


def more_lenient(left: JsonValue, right: JsonValue) -> bool:
    """`more`, with text read as JSON beside a number."""
    return more(*_matched(left, right))


def more_or_same(left: JsonValue, right: JsonValue) -> bool:
    """`>=`."""
    _check_order(left, right)
    return left >= right  # type: ignore[operator]  # checked


def more_or_same_lenient(left: JsonValue, right: JsonValue) -> bool:
    """`more_or_same`, with text read as JSON beside a number."""
    return more_or_same(*_matched(left, right))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value.__class__ is not bool


def _matched(left: JsonValue, right: JsonValue) -> tuple[JsonValue, JsonValue]:
    if isinstance(left, str):
        return (left, right) if isinstance(right, str) else (_as_json(left), right)
    return (left, _as_json(right)) if isinstance(right, str) else (left, right)


def _as_json(text: str) -> JsonValue:
    try:
        return parsed_json(text)
    except ValueError:
        return text


def _check_order(left: JsonValue, right: JsonValue) -> None:
    if _is_number(left) and _is_number(right):
        return
    if not (isinstance(left, str) and isinstance(right, str)):
        raise EvaluationError(f"{shown(left)} and {shown(right)} have no order: two numbers or two texts have one")


# ---- truths


def truth(value: JsonValue) -> bool:
    """The value, which must be true or false."""
    if value is True or value is False:
        return value
    if isinstance(value, str) and value in {"true", "false"}:  # captured as text
        return value == "true"
    raise EvaluationError(f"{shown(value)} is neither true nor false")


def is_there(value: Callable[[], JsonValue]) -> bool:
    """Whether there is such a value, and it is not null."""
    try:
        return value() is not None
    except EvaluationError:
        return False


def member(value: JsonValue, items: JsonValue, is_lenient: bool) -> bool:  # noqa: FBT001 - called by generated code
    """Whether an array has the value; text that is an array as JSON is one if it came from outside."""
    if is_lenient and isinstance(items, str):
        items = _as_json(items)
    if not isinstance(items, list):
        raise EvaluationError(f"{shown(items)} is no array")
    return any(map(same_lenient if is_lenient else same, [value] * len(items), items))


def is_within(value: JsonValue, low: JsonValue, high: JsonValue) -> bool:
    """Half open: not below the first bound and below the second."""
    number = _number(value)
    return _number(low) <= number < _number(high)


def contains(source: JsonValue, part: JsonValue) -> bool:
    """Whether text has a part, an array an item, an object a key."""
    if isinstance(source, list):
        return member(part, source, is_lenient=False)
    if isinstance(source, str | dict) and isinstance(part, str):
        return part in source
    if isinstance(source, str):
        return shown(part) in source
    raise EvaluationError(f"{shown(source)} contains nothing: it is neither text nor array nor object")


# ---- arithmetic


def negative(value: JsonValue) -> float:
    """Minus a number."""
    return -_number(value)


def _number(value: JsonValue) -> float:
    if isinstance(value, str):
        value = _as_json(value)
    if _is_number(value):
        return value  # type: ignore[return-value]  # checked
    raise EvaluationError(f"{shown(value)} is no number")


def _add(left: JsonValue, right: JsonValue) -> JsonValue:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _number(left) + _number(right)


def _divide(left: JsonValue, right: JsonValue) -> float:
    divisor = _number(right)
    if divisor == 0:
        raise EvaluationError("division by zero")
    return _number(left) / divisor


def _remainder(left: JsonValue, right: JsonValue) -> float:
    divisor = _number(right)
    if divisor == 0:
        raise EvaluationError("division by zero")
    return _number(left) % divisor


Operation: TypeAlias = "Callable[[JsonValue, JsonValue], JsonValue]"
OPERATIONS: dict[str, Operation] = {
    "+": _add,
    "-": lambda left, right: _number(left) - _number(right),
    "*": lambda left, right: _number(left) * _number(right),
    "/": _divide,
    "%": _remainder,
}
"""What the signs between numbers do; `+` also puts two texts together."""


# ---- many numbers


def quantile(values: JsonValue | Series, share: float) -> float:
    """Nearest rank: the smallest value that so much of all values do not exceed."""
    if isinstance(values, Series):
        return values.quantile(share)
    numbers = sorted(_numbers(values))
    # The small allowance keeps 0.95 * 100 from being 95.00000000000001, i.e. rank 96.
    rank = max(1, math.ceil(share * len(numbers) - 1e-9))
    return numbers[rank - 1]


def smallest(values: JsonValue | Series) -> float:
    """The least of the numbers."""
    return values.smallest() if isinstance(values, Series) else min(_numbers(values))


def largest(values: JsonValue | Series) -> float:
    """The greatest of the numbers."""
    return values.largest() if isinstance(values, Series) else max(_numbers(values))


def average(values: JsonValue | Series) -> float:
    """The mean of the numbers."""
    if isinstance(values, Series):
        return values.average()
    numbers = _numbers(values)
    return sum(numbers) / len(numbers)


def as_text(value: JsonValue) -> str:
    """Text, or a number as text."""
    if isinstance(value, str):
        return value
    if _is_number(value):
        return repr(value)
    raise EvaluationError(f"{shown(value)} is no text")


def time_of(value: JsonValue) -> int:
    """The Unix time of a date in text."""
    found = parse_date(as_text(value))
    if found is None:
        raise EvaluationError(f"{shown(value)} is no date")
    return found


def _numbers(values: JsonValue) -> Sequence[float]:
    if isinstance(values, str):
        values = _as_json(values)
    if not isinstance(values, list) or not values:
        raise EvaluationError(f"{shown(values)} is no array of numbers")
    return [_number(one) for one in values]
