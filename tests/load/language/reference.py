"""The language as a slow walk over the tree: what compiled rules are held against.

Written from the rules in docs/reference/load-language.md, with types looked at for each value, nothing computed ahead
and no code made. Whatever has no value raises `Wrong`; a rule that does so does not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from osmia.load.language.answer import Answer
from osmia.load.language.extract import Missing, json_path
from osmia.load.language.functions import percentile_share
from osmia.load.language.tree import ArrayOf, Binary, Call, Chain, Literal, Name, Node, ObjectOf, Unary
from osmia.load.plan import JsonValue

__all__ = ["Wrong", "holds"]


class Wrong(Exception):  # noqa: N818 - a value that is none
    """No value."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value, and whether it came as text from outside."""

    it: JsonValue
    is_wire: bool = False


def holds(tree: Node, answer: Answer) -> bool:
    """Whether a rule holds."""
    try:
        return _truth(_value(tree, answer).it)
    except (Wrong, ArithmeticError):
        return False


def _value(node: Node, answer: Answer) -> Value:  # noqa: PLR0911 - one for each kind of node
    match node:
        case Literal(it):
            return Value(it)
        case Name(text):
            return _name(text, answer)
        case ArrayOf(items):
            return Value([_value(one, answer).it for one in items])
        case ObjectOf(items):
            return Value({key: _value(one, answer).it for key, one in items})
        case Unary("!", operand):
            return Value(not _truth(_value(operand, answer).it))
        case Unary(_, operand):
            return Value(-_number(_value(operand, answer).it))
        case Chain(sign, items):
            return Value(_chain(sign, items, answer))
        case Binary(sign, left, right):
            return Value(_binary(sign, _value(left, answer), _value(right, answer)))
        case Call(name, arguments):
            return _call(name, arguments, answer)


def _chain(sign: str, items: tuple[Node, ...], answer: Answer) -> bool:
    for one in items:
        if _truth(_value(one, answer).it) is (sign == "||"):
            return sign == "||"
    return sign == "&&"


def _name(text: str, answer: Answer) -> Value:
    simple: dict[str, Callable[[], Value]] = {
        "status_code": lambda: Value(answer.status),
        "response_time": lambda: Value(answer.service_ns / 1_000_000),
        "response_size": lambda: Value(len(answer.body)),
        "body": lambda: Value(answer.text, is_wire=True),
    }
    if text.lower() in simple:
        return simple[text.lower()]()
    group, _, rest = text.partition(".")
    if group == "headers":
        for name, value in answer.headers:
            if name.lower() == rest.lower():
                return Value(value, is_wire=True)
        raise Wrong
    if group == "variables":
        if rest not in answer.scope:
            raise Wrong
        return Value(answer.scope[rest], is_wire=True)
    return _cookie(rest, answer)


def _cookie(rest: str, answer: Answer) -> Value:
    name, _, field = rest.rpartition(".")
    fields = {"maxAge": "max_age_s", "secure": "is_secure", "value": "value", "expires": "expires_s", "path": "path"}
    if field not in fields:
        name, field = rest, "value"
    found = answer.cookie(name)
    if found is None:
        raise Wrong
    it = getattr(found, fields[field])
    return Value(it, is_wire=isinstance(it, str))


def _binary(sign: str, left: Value, right: Value) -> JsonValue:  # noqa: PLR0911 - one for each sign
    if sign in {"==", "!="}:
        return _same(left, right) is (sign == "==")
    if sign in {"<", ">", "<=", ">="}:
        return _ordered(sign, *_matched(left, right))
    if sign == "+" and isinstance(left.it, str) and isinstance(right.it, str):
        return left.it + right.it
    one, other = _number(left.it), _number(right.it)
    if sign in "/%" and other == 0:
        raise Wrong
    match sign:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case "/":
            return one / other
    return one % other


def _ordered(sign: str, left: JsonValue, right: JsonValue) -> bool:
    if not (_is_number(left) and _is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        raise Wrong
    is_less, is_more = left < right, left > right  # type: ignore[operator]  # two numbers or two texts
    return {"<": is_less, ">": is_more, "<=": is_less or left == right, ">=": is_more or left == right}[sign]


def _same(left: Value, right: Value) -> bool:
    return _equal(*_matched(left, right))


def _matched(left: Value, right: Value) -> tuple[JsonValue, JsonValue]:
    """Text from outside beside something else is read as JSON, if it is."""
    one, other = left.it, right.it
    if left.is_wire or right.is_wire:
        if isinstance(one, str) and not isinstance(other, str):
            return _read(one), other
        if isinstance(other, str) and not isinstance(one, str):
            return one, _read(other)
    return one, other


def _equal(one: JsonValue, other: JsonValue) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return sorted(one) == sorted(other) and all(_equal(one[key], other[key]) for key in one)
    if _is_number(one) and _is_number(other):
        return one == other
    return type(one) is type(other) and one == other


def _call(name: str, arguments: tuple[Node, ...], answer: Answer) -> Value:
    if name == "exists":
        try:
            return Value(_value(arguments[0], answer).it is not None)
        except Wrong:
            return Value(it=False)
    given = [_value(one, answer) for one in arguments]
    if name in {"equals", "less_than", "greater_than"}:
        sign = {"equals": "==", "less_than": "<", "greater_than": ">"}[name]
        return Value(_binary(sign, given[0], given[1]))
    share = percentile_share(name)
    if name in {"min", "max", "avg"} or share is not None:
        return Value(_of_many(name, share, given[0].it))
    return _other_call(name, given, answer)


def _of_many(name: str, share: float | None, items: JsonValue) -> float:
    items = _read(items) if isinstance(items, str) else items
    if not isinstance(items, list) or not items:
        raise Wrong
    numbers = sorted(_number(one) for one in items)
    if share is None:
        return {"min": numbers[0], "max": numbers[-1], "avg": sum(numbers) / len(numbers)}[name]
    return next(one for rank, one in enumerate(numbers, 1) if rank >= share * len(numbers) - 1e-9)


def _other_call(name: str, given: list[Value], answer: Answer) -> Value:  # noqa: PLR0911 - one for each name
    match name:
        case "not":
            return Value(not _truth(given[0].it))
        case "in":
            return Value(_member(*given))
        case "contains":
            return Value(_contains(given[0], given[1].it))
        case "range":
            value, low, high = (_number(one.it) for one in given)
            return Value(low <= value < high)
        case "matches":
            return Value(re.search(str(given[1].it), _text(given[0].it)) is not None)
        case "regexp":
            return _regexp(given)
        case "json_path":
            found = json_path(str(given[0].it))(answer.body)
            if isinstance(found, Missing):
                raise Wrong
            return Value(found)
    raise NotImplementedError(name)


def _regexp(given: list[Value]) -> Value:
    number = int(_number(given[2].it)) if len(given) == 3 else 0
    matches = [found[0] for found in re.finditer(str(given[1].it), _text(given[0].it))]
    if number >= len(matches):
        raise Wrong
    return Value(matches[number], is_wire=True)


def _member(value: Value, items: Value) -> bool:
    is_wire = value.is_wire or items.is_wire
    them = _read(items.it) if is_wire and isinstance(items.it, str) else items.it
    if not isinstance(them, list):
        raise Wrong
    return any(_same(Value(value.it, is_wire), Value(one, is_wire)) for one in them)


def _contains(source: Value, part: JsonValue) -> bool:
    if isinstance(source.it, list):
        return any(_equal(part, one) for one in source.it)
    if isinstance(source.it, dict) and isinstance(part, str):
        return part in source.it
    if isinstance(source.it, str):
        return (part if isinstance(part, str) else json.dumps(part, separators=(",", ":"))) in source.it
    raise Wrong


def _truth(it: JsonValue) -> bool:
    if isinstance(it, bool):
        return it
    if it in {"true", "false"} if isinstance(it, str) else False:
        return it == "true"
    raise Wrong


def _is_number(it: JsonValue) -> bool:
    return isinstance(it, int | float) and not isinstance(it, bool)


def _number(it: JsonValue) -> float:
    it = _read(it) if isinstance(it, str) else it
    if isinstance(it, bool) or not isinstance(it, int | float):
        raise Wrong
    return it


def _text(it: JsonValue) -> str:
    if isinstance(it, str):
        return it
    return repr(_number(it))


def _refused(word: str) -> JsonValue:
    raise ValueError(word)


def _read(text: str) -> JsonValue:
    try:
        found: JsonValue = json.loads(text, parse_constant=_refused)
    except ValueError:
        return text
    return found
