"""What a document consists of, whatever it was written in: values that remember their line and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from osmia.load.plan import JsonValue

__all__ = ["MAX_DEPTH", "MAX_NODES", "Node", "NodeValue", "Place", "Span", "SyntaxProblemError"]

MAX_DEPTH = 100
"""Values inside values; deeper documents are refused, which keeps recursion off the stack's end."""
MAX_NODES = 1_000_000
"""Values in all, aliases counted as often as they are used: a few lines of YAML can name billions."""


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, from 1; 0 and 0: the whole file."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A key of a table and where it stands."""

    name: str
    place: Place


NodeValue: TypeAlias = "str | int | float | bool | tuple[Node, ...] | Mapping[str, Node] | None"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands.

    `source` is a scalar's text as it was written (a string's content), so that `010` can still become `"010"`;
    `keys` has the places of a table's keys, and `doubled` the keys that came again (the last one counts, as in Go).
    """

    value: NodeValue
    place: Place
    source: str = ""
    keys: Mapping[str, Place] = field(default_factory=dict)
    doubled: tuple[Span, ...] = ()

    @property
    def kind(self) -> str:
        """What it is, in words: "a list"."""
        for kind, name in _KINDS:
            if isinstance(self.value, kind):
                return name
        return "null"

    def plain(self) -> JsonValue:
        """The value without its places."""
        if isinstance(self.value, tuple):
            return [item.plain() for item in self.value]
        if isinstance(self.value, Mapping):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (tuple, "a list"),
    (Mapping, "a table"),
)


class SyntaxProblemError(Exception):
    """The text is not what it should be; turned into a `ConfigFileError` where the file's name is known."""

    def __init__(self, place: Place, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem
        self.remedy = remedy
