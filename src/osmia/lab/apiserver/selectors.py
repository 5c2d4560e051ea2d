"""Label and field selectors: text in, predicate over objects out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from osmia.lab.apiserver.errors import bad_request
from osmia.lab.apiserver.resources import Resource

__all__ = ["Predicate", "field_value", "match_labels", "parse_fields", "parse_labels", "select"]

Predicate = Callable[[dict[str, Any]], bool]
"""Whether an object is selected."""

_SET = re.compile(r"^\s*(?P<key>[^\s!=(),]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s!=(),]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=(),]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<operator>!?)\s*(?P<key>[^\s!=(),]+)\s*$")
_COMMA = re.compile(r",(?![^()]*\))")


class _Term(NamedTuple):
    """One requirement: `values` contains the value of `key` (or not); None among the values = key is absent."""

    key: str
    values: frozenset[str | None]
    is_negated: bool

    def holds(self, value: str | None) -> bool:
        return (value in self.values) != self.is_negated


_ABSENT: frozenset[str | None] = frozenset({None})


def parse_labels(text: str) -> Predicate:
    """Predicate of a label selector such as "app=web,tier in (a,b),!canary"; empty text selects everything.

    Raises:
        ApiError: 400, the text is not a label selector.
    """
    terms = [_label_term(part) for part in _COMMA.split(text)] if text.strip() else []
    return lambda obj: _hold(terms, obj.get("metadata", {}).get("labels") or {})


def parse_fields(text: str, resource: Resource) -> Predicate:
    """Predicate of a field selector such as "spec.nodeName=a,status.phase!=Failed".

    Raises:
        ApiError: 400, the text is not a field selector or the resource cannot be selected by that field.
    """
    terms: list[tuple[str, str, bool]] = []
    for part in text.split(",") if text.strip() else []:
        match = re.match(r"^\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*$", part)
        if match is None:
            raise bad_request(f"invalid field selector {part!r}: use field=value or field!=value")
        field, operator, value = match.groups()
        if field not in {"metadata.name", "metadata.namespace", *resource.fields}:
            raise bad_request(f'Unable to find "{resource.full_name}": field label not supported: {field}')
        terms.append((field, value, operator == "!="))
    return lambda obj: all((field_value(obj, field) == value) != negated for field, value, negated in terms)


def select(resource: Resource, *, labels: str = "", fields: str = "") -> Predicate:
    """Both selectors as one predicate."""
    by_label, by_field = parse_labels(labels), parse_fields(fields, resource)
    if not labels and not fields:
        return lambda _: True
    return lambda obj: by_label(obj) and by_field(obj)


def match_labels(selector: dict[str, Any] | None, labels: dict[str, str] | None) -> bool:
    """Whether labels satisfy a LabelSelector object (matchLabels, matchExpressions); an absent one matches nothing."""
    if selector is None:
        return False
    terms = [_Term(key, frozenset({value}), is_negated=False) for key, value in selector.get("matchLabels", {}).items()]
    terms += [_expression(one) for one in selector.get("matchExpressions", [])]
    return _hold(terms, labels or {})


def field_value(obj: dict[str, Any], field: str) -> str:
    """The value at a dotted path as field selectors compare it; absent is the empty string, booleans lower case."""
    value: object = obj
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if field == "source" and isinstance(value, dict):
        value = value.get("component")
    if field in {"spec.unschedulable", "spec.hostNetwork"} and value is None:
        return "false"
    return "" if value is None else str(value)


def _hold(terms: list[_Term], labels: dict[str, str]) -> bool:
    return all(term.holds(labels.get(term.key)) for term in terms)


def _label_term(part: str) -> _Term:
    if match := _SET.match(part):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return _Term(match["key"], values, match["operator"] == "notin")
    if match := _EQUAL.match(part):
        return _Term(match["key"], frozenset({match["value"]}), match["operator"] == "!=")
    if match := _EXISTS.match(part):
        return _Term(match["key"], _ABSENT, match["operator"] == "")
    raise bad_request(f"unable to parse requirement {part.strip()!r} of the label selector")


def _expression(expression: dict[str, Any]) -> _Term:
    key, operator = expression["key"], expression["operator"]
    if operator in {"Exists", "DoesNotExist"}:
        return _Term(key, _ABSENT, operator == "Exists")
    return _Term(key, frozenset(expression.get("values", [])), operator == "NotIn")
