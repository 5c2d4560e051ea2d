"""Values out of answers: compiled once per step, called once per answer.

`json_path`, `xpath`, `html_path` and `expression` give a function of the body; what it does not find is MISSING, which
is not null. Paths of JSON are those of gjson (https://github.com/tidwall/gjson/blob/master/SYNTAX.md), read by pygjson
without parsing the whole body. Where its wheel is missing, orjson and `walked` read plain paths: keys, indices, `#`,
`#.key`; modifiers, queries and wildcards are then an error when the test starts, never a wrong value.

Expressions are those of Python's `re`, which backtracks: `(a+)+$` on the wrong body takes as long as it likes. Nothing
here can stop it, so `is_catastrophic` names the nested repetitions that cause this and whoever reads a config warns.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from re import _constants as kinds  # type: ignore[attr-defined]  # the parser of `re` has no public name
from re import _parser  # type: ignore[attr-defined]  # same
from typing import Any, Final, TypeAlias

import orjson

from osmia.load.language.problems import EvaluationError
from osmia.load.plan import JsonValue

try:
    import pygjson
except ImportError:  # pragma: no cover - every platform of ours has the wheel
    pygjson = None  # type: ignore[assignment]  # looked at in json_path

__all__ = [
    "MISSING",
    "FromBody",
    "Missing",
    "compiled_expression",
    "expression",
    "html_path",
    "is_catastrophic",
    "json_path",
    "json_text",
    "parsed_json",
    "text_of",
    "walked",
    "xpath",
]


class Missing:
    """The type of MISSING."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
FromBody: TypeAlias = "Callable[[bytes], JsonValue | Missing]"
_MAX_EXPRESSION = 10_000
_LARGEST, _SMALLEST = (1 << 64) - 1, -(1 << 63)
_PLAIN_PART = r"(?:[^.*?|#@!{}\[\]()\\]|\\.)+"
_PLAIN_PATH = re.compile(rf"(?:{_PLAIN_PART}|#)(?:\.(?:{_PLAIN_PART}|#))*", re.DOTALL)
_LONG_NUMBER = re.compile(r"[0-9]{19}")
_PATH_PART = re.compile(rf"{_PLAIN_PART}|#", re.DOTALL)


# ---- JSON


def json_path(path: str) -> FromBody:
    """What a gjson path finds in a body.

    Raises:
        ValueError: the path needs pygjson, and it is not installed.
    """
    if pygjson is None:
        return walked(path)
    compiled = pygjson.compile(path)
    get = pygjson.get_bytes

    def value(body: bytes) -> JsonValue | Missing:
        try:
            found = get(body, compiled)
        except UnicodeDecodeError:
            found = get(body.decode("utf-8", "replace").encode(), compiled)
        scalar = found.value
        kind = scalar.__class__
        if kind is str or kind is bool or kind is float or (kind is int and _SMALLEST < scalar < _LARGEST):
            return scalar  # type: ignore[no-any-return]  # told by its class
        return _whole(found, scalar)

    return value


def _whole(found: pygjson.Result, value: object) -> JsonValue | Missing:
    """Null, nothing, an integer of more than 64 bits (which pygjson cuts), an array or an object."""
    if isinstance(value, int):
        return int(found.to_str())
    if value is None:
        return None if found.exists() else MISSING
    try:
        return parsed_json(found.to_str())
    except ValueError:
        return MISSING


def parsed_json(text: str) -> JsonValue:
    """JSON with integers of any length: what may be more than 64 bits, a float to orjson, goes to Python's parser.

    Raises:
        ValueError: it is none.
    """
    if _LONG_NUMBER.search(text):
        try:
            return json.loads(text, parse_constant=_no_constant)  # type: ignore[no-any-return]  # JSON by definition
        except RecursionError as exc:
            raise ValueError("nested too deep") from exc
    return orjson.loads(text)  # type: ignore[no-any-return]  # same


def _no_constant(word: str) -> JsonValue:
    raise ValueError(f"{word} is not JSON")


def walked(path: str) -> FromBody:
    """The same for plain paths, with the whole body parsed."""
    if not _PLAIN_PATH.fullmatch(path):
        raise ValueError(f"the path {path!r} needs pygjson, which is not installed: only keys, indices and # work")
    parts = [re.sub(r"\\(.)", r"\1", one) for one in _PATH_PART.findall(path)]

    def value(body: bytes) -> JsonValue | Missing:
        try:
            return _walk(parsed_json(body.decode("utf-8", "replace")), parts)
        except ValueError:
            return MISSING

    return value


def _walk(value: JsonValue, parts: list[str]) -> JsonValue | Missing:
    found: JsonValue | Missing = value
    for number, part in enumerate(parts):
        if isinstance(found, dict):
            found = found.get(part, MISSING)
        elif isinstance(found, list):
            if part == "#":
                rest = parts[number + 1 :]
                inner = [_walk(one, rest) for one in found]
                return [one for one in inner if not isinstance(one, Missing)] if rest else len(found)
            found = found[int(part)] if part.isdecimal() and int(part) < len(found) else MISSING
        else:
            return MISSING
    return found


# ---- XML and HTML


def xpath(path: str) -> FromBody:
    """What an XPath 1.0 expression finds in an XML body: the text of the first node, or the number or truth it gives.

    Raises:
        ValueError: it is not XPath.
    """
    from lxml import etree

    find = _xpath(path)
    settings = {"resolve_entities": False, "no_network": True, "huge_tree": False, "recover": False}

    def value(body: bytes) -> JsonValue | Missing:
        try:
            root = etree.fromstring(body, etree.XMLParser(**settings))
        except (etree.XMLSyntaxError, ValueError):
            return MISSING
        return _first(find(root), _whole_text)

    return value


def html_path(path: str) -> FromBody:
    """What an XPath 1.0 expression finds in an HTML body: the first child of the first node, if that is text.

    Raises:
        ValueError: it is not XPath.
    """
    from lxml import etree

    find = _xpath(path)

    def value(body: bytes) -> JsonValue | Missing:
        try:
            root = etree.fromstring(body, etree.HTMLParser(no_network=True, encoding=_html_encoding(body)))
        except (etree.XMLSyntaxError, ValueError):
            return MISSING
        return MISSING if root is None else _first(find(root), _first_text)

    return value


def _html_encoding(body: bytes) -> str | None:
    """UTF-8 if it is; otherwise what the page says of itself (lxml's own guess is Latin-1)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _xpath(path: str) -> Callable[[Any], Any]:
    from lxml import etree

    try:
        compiled = etree.XPath(path)
    except (etree.XPathSyntaxError, ValueError) as exc:
        raise ValueError(f"{path!r} is no XPath 1.0: {exc}") from exc

    def find(root: Any) -> Any:  # noqa: ANN401 - lxml's own types are not described
        try:
            return compiled(root)
        except etree.XPathError as exc:
            raise EvaluationError(f"the XPath {path!r} cannot be evaluated: {exc}") from exc

    return find


def _first(found: Any, text: Callable[[Any], str | Missing]) -> JsonValue | Missing:  # noqa: ANN401 - of lxml
    if isinstance(found, list):
        if not found:
            return MISSING
        first = found[0]
        return str(first) if isinstance(first, str) else text(first)
    if isinstance(found, str):
        return str(found)
    return int(found) if isinstance(found, float) and found.is_integer() else found


def _whole_text(node: Any) -> str | Missing:  # noqa: ANN401 - of lxml
    return "".join(node.itertext()) if hasattr(node, "itertext") else MISSING


def _first_text(node: Any) -> str | Missing:  # noqa: ANN401 - of lxml
    return MISSING if node.text is None else str(node.text)


# ---- expressions


def expression(pattern: str, number: int = 0) -> Callable[[str], str | Missing]:
    """The whole of the match with that number, counted from 0.

    Raises:
        ValueError: it is no expression of Python's `re`, or the number is negative.
    """
    compiled = compiled_expression(pattern)
    if number < 0:
        raise ValueError(f"matches are counted from 0, not from {number}")
    search, each = compiled.search, compiled.finditer

    def first(text: str) -> str | Missing:
        found = search(text)
        return found[0] if found else MISSING

    def later(text: str) -> str | Missing:
        for count, found in enumerate(each(text)):
            if count == number:
                return found[0]
        return MISSING

    return first if number == 0 else later


@functools.lru_cache(maxsize=1024)
def compiled_expression(pattern: str) -> re.Pattern[str]:
    """A compiled expression; flags as Python writes them, `(?i)`.

    Raises:
        ValueError: it is none.
    """
    if len(pattern) > _MAX_EXPRESSION:
        raise ValueError(f"an expression of {len(pattern):,} characters is too long")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as exc:
        raise ValueError(f"{pattern!r} is no regular expression: {exc}") from exc


def is_catastrophic(pattern: str) -> bool:
    """Whether a repetition without bound holds another one, which can take exponential time: `(a+)+`, `(.*,)*`."""
    try:
        return _repeats(_parser.parse(pattern), is_inside=False)
    except (re.error, OverflowError, RecursionError):
        return False


def _repeats(items: Any, *, is_inside: bool) -> bool:  # noqa: ANN401 - the tree of `re` has no types
    for kind, value in items:
        is_unbounded = kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT} and value[1] is kinds.MAXREPEAT
        if is_unbounded and is_inside:
            return True
        if any(_repeats(inner, is_inside=is_inside or is_unbounded) for inner in _inner(value)):
            return True
    return False


def _inner(value: Any) -> list[Any]:  # noqa: ANN401 - the tree of `re` has no types
    if isinstance(value, _parser.SubPattern):
        return [value]
    if isinstance(value, tuple | list):
        return [one for part in value for one in _inner(part)]
    return []


# ---- text


def text_of(value: JsonValue) -> str:
    """A value as it stands in a URL, a header or a body that is not JSON."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return repr(value)
    return json_text(value)


def json_text(value: JsonValue) -> str:
    """A value as compact JSON."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # an integer of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
