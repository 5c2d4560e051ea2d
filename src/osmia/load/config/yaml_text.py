"""YAML to nodes with places: libyaml's events by way of PyYAML, the scalars read with YAML 1.2's core schema.

Only events are used, for two reasons. Scalars: `on`, `1:30`, `010` and dates are not to be what YAML 1.1 made of them,
and a header's `010` keeps its text. Depth: PyYAML's composer recurses in C without a bound, and a line of dashes ends
the process; here nesting, aliases (which can name billions of values in ten lines) and digits are bounded. Merge keys
(`<<`) are kept, because people use them for what steps have in common.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from osmia.load.config.nodes import MAX_DEPTH, MAX_NODES, Node, Place, Span, SyntaxProblemError

__all__ = ["parse_yaml", "reads_as_text"]

_Parser: TypeAlias = "yaml.SafeLoader | yaml.CSafeLoader"
_PARSER: type[_Parser] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Scalar: TypeAlias = "str | int | float | bool | None"
_TAG = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset({"null", "bool", "int", "float"})
_MAX_DIGITS = 300

_REMEDIES = (
    ("cannot start any token", "YAML is indented with spaces, not tabs, and text that begins with @ or ` needs quotes"),
    ("tab", "YAML is indented with spaces, not tabs"),
    ("mapping values are not allowed", 'text with a colon and a space in it stands in quotes: "..."'),
    ("did not find expected <document start>", "a config is one document: take out what follows"),
    ("did not find expected key", "look at the indentation of this line and of those above it"),
    ("alphabetic or numeric character", 'text that begins with * or & stands in quotes: "*..."'),
    ("end of stream", "a closing quote or bracket is missing"),
)


def parse_yaml(text: str) -> Node:
    """The one document that the text holds, with the places of everything in it.

    Raises:
        SyntaxProblemError: it is not YAML, holds several documents, or something a config cannot hold.
    """
    try:
        parser = _PARSER(text)
    except yaml.YAMLError as error:
        raise SyntaxProblemError(Place(), f"this is not YAML: {' '.join(str(error).split())}") from error
    try:
        return _Composer(parser).document()
    except yaml.MarkedYAMLError as error:
        raise _translated(error) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise SyntaxProblemError(Place(), f"this is not YAML: {' '.join(str(error).split())}") from error
    finally:
        parser.dispose()


def _translated(error: yaml.MarkedYAMLError) -> SyntaxProblemError:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place()
    problem = " ".join(part for part in (error.context, error.problem) if part)
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in problem), "")
    return SyntaxProblemError(place, f"this is not YAML: {problem}", remedy)


@dataclass(frozen=True, slots=True)
class _Part:
    """A node with what its aliases are to count as."""

    node: Node
    size: int
    height: int


class _Composer:
    def __init__(self, parser: _Parser) -> None:
        self._parser = parser
        self._anchors: dict[str, _Part] = {}
        self._count = 0

    def document(self) -> Node:
        self._next()  # the stream's start
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return Node(None, Place(1, 1))
        root = self._part(self._next(), 0).node
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise SyntaxProblemError(_place(event), "a second document", "a config is one: take out what follows ---")
        return root

    def _next(self) -> yaml.Event:
        event = self._parser.get_event()
        return event if isinstance(event, yaml.Event) else yaml.StreamEndEvent()

    def _part(self, event: yaml.Event, depth: int) -> _Part:
        if isinstance(event, yaml.AliasEvent):
            part = self._aliased(event)
        elif isinstance(event, yaml.MappingStartEvent):
            part = self._table(event, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            part = self._list(event, depth)
        elif isinstance(event, yaml.ScalarEvent):
            part = _Part(_scalar(event), 1, 0)
            self._count += 1
        else:
            raise SyntaxProblemError(_place(event), "nothing where a value should be")
        self._bound(event, depth + part.height)
        anchor = getattr(event, "anchor", None)
        if anchor and not isinstance(event, yaml.AliasEvent):
            self._anchors[anchor] = part
        return part

    def _bound(self, event: yaml.Event, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise SyntaxProblemError(_place(event), f"more than {MAX_DEPTH} values inside each other")
        if self._count > MAX_NODES:
            raise SyntaxProblemError(_place(event), f"more than {MAX_NODES:,} values", "aliases (*) count each time")

    def _aliased(self, event: yaml.AliasEvent) -> _Part:
        part = self._anchors.get(event.anchor or "")
        if part is None:
            remedy = f"write &{event.anchor} before the value that it is to stand for, further up"
            raise SyntaxProblemError(_place(event), f"*{event.anchor} stands for nothing", remedy)
        self._count += part.size
        return part

    def _list(self, event: yaml.SequenceStartEvent, depth: int) -> _Part:
        _untagged(event)
        self._bound(event, depth + 1)
        items: list[_Part] = []
        self._count += 1
        while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
            items.append(self._part(inner, depth + 1))
        return _Part(Node(tuple(item.node for item in items), _place(event)), *_extent(items))

    def _table(self, event: yaml.MappingStartEvent, depth: int) -> _Part:
        _untagged(event)
        self._bound(event, depth + 1)
        table = _Table()
        parts: list[_Part] = []
        self._count += 1
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                remedy = 'text that begins with {, [ or * stands in quotes: "{{name}}"'
                raise SyntaxProblemError(_place(key), "no text where a key should be", remedy)
            part = self._part(self._next(), depth + 1)
            parts.append(part)
            if key.value == "<<" and key.implicit[0]:
                table.merge(part.node)
            else:
                table.add(key, part.node)
            if key.anchor:
                self._anchors[key.anchor] = _Part(_scalar(key), 1, 0)
        return _Part(table.node(_place(event)), *_extent(parts))


class _Table:
    """A table in the making."""

    def __init__(self) -> None:
        self._entries: dict[str, Node] = {}
        self._merged: dict[str, Node] = {}
        self._keys: dict[str, Place] = {}
        self._doubled: list[Span] = []

    def add(self, key: yaml.ScalarEvent, node: Node) -> None:
        place = _place(key)
        if key.value in self._entries:
            self._doubled.append(Span(key.value, place))
        self._entries[key.value], self._keys[key.value] = node, place

    def merge(self, node: Node) -> None:
        """What `<<` brings in: a table's entries, or those of a list of tables, of which earlier ones count."""
        for table in node.value if isinstance(node.value, tuple) else (node,):
            if not isinstance(table.value, dict):
                raise SyntaxProblemError(table.place, f"<< brings in a table, and this is {table.kind}", "<<: *anchor")
            self._merged = {**table.value, **self._merged}

    def node(self, place: Place) -> Node:
        keys = {**{name: node.place for name, node in self._merged.items()}, **self._keys}
        return Node({**self._merged, **self._entries}, place, keys=keys, doubled=tuple(self._doubled))


def _extent(parts: list[_Part]) -> tuple[int, int]:
    return 1 + sum(part.size for part in parts), 1 + max((part.height for part in parts), default=0)


def _untagged(event: yaml.CollectionStartEvent) -> None:
    tag = (event.tag or "").removeprefix(_TAG)
    if tag not in {"", "!", "seq", "map"}:
        raise _about_tag(event, tag)


def _about_tag(event: yaml.Event, tag: str) -> SyntaxProblemError:
    return SyntaxProblemError(_place(event), f"the tag {tag}", "configs have no tags: write the value itself")


def _scalar(event: yaml.ScalarEvent) -> Node:
    text, place = str(event.value), _place(event)
    tag = (event.tag or "").removeprefix(_TAG)
    if tag not in _CORE_TAGS | {"", "!", "str"}:
        raise _about_tag(event, tag)
    is_text = tag in {"!", "str"} or not (event.implicit[0] or tag in _CORE_TAGS)
    return Node(text if is_text else _plain(text, place), place, text)


def _never(_: str) -> _Scalar:
    return None


def _number(text: str) -> _Scalar:
    value = float(text)
    return value if math.isfinite(value) else text


# YAML 1.2.2, 10.3.2: the core schema, without .inf and .nan, which nothing here can be
_MEANINGS: tuple[tuple[re.Pattern[str], Callable[[str], _Scalar]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), _never),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text, 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), _number),
)


def _plain(text: str, place: Place) -> _Scalar:
    for pattern, read in _MEANINGS:
        if pattern.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                raise SyntaxProblemError(place, f"a number of {len(text)} digits", 'text stands in quotes: "..."')
            return read(text)
    return text


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place()


def reads_as_text(plain: str) -> bool:
    """Whether a plain scalar is text, and no number, boolean or null."""
    return not any(pattern.fullmatch(plain) for pattern, _ in _MEANINGS)
