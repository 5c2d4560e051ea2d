"""A table of a document together with its declaration: values by key, defaults filled in, wrong ones left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from osmia.load.config.kinds import Choice, Items, Names, Table, entry
from osmia.load.config.nodes import Node
from osmia.load.config.report import Report

__all__ = ["Cursor", "Found"]


class Found(NamedTuple):
    """A value as it stands in the document."""

    path: str
    node: Node

    @property
    def text(self) -> str:
        """As it was written."""
        return self.node.source


class Cursor:
    """Reads one table. The document was checked before: what has the wrong kind is reported, and reads as missing."""

    def __init__(self, node: Node, table: Table, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self.report = report
        self._table = table

    def found(self, name: str) -> Found | None:
        """The value, if it is there and of the right kind."""
        for written, node in self._table.found(self.node, name):
            path = entry(self.path, written)
            return None if path in self.report.bad else Found(path, node)
        return None

    def has(self, name: str) -> bool:
        """Whether the key is written, be its value right or wrong."""
        return next(self._table.found(self.node, name), None) is not None

    def at(self, name: str) -> str:
        """The key's path."""
        return entry(self.path, name)

    def text(self, name: str) -> str:
        """Text as it was written; the default, or nothing."""
        found = self.found(name)
        default = self._table.key(name).default
        return found.text if found else str(default or "")

    def number(self, name: str) -> float:
        """A number; the default, or 0."""
        return self.optional_number(name) or 0.0

    def optional_number(self, name: str) -> float | None:
        """A number; the default, or None."""
        found = self.found(name)
        value = found.node.value if found else self._table.key(name).default
        return float(value) if isinstance(value, int | float) else None

    def whole(self, name: str) -> int:
        """A whole number; the default, or 0."""
        return self.optional_whole(name) or 0

    def optional_whole(self, name: str) -> int | None:
        """A whole number; the default, or None."""
        found = self.found(name)
        value = found.node.value if found else self._table.key(name).default
        return int(value) if isinstance(value, int | float) else None

    def flag(self, name: str) -> bool:
        """True or false; the default, or false."""
        return bool(self.optional_flag(name))

    def optional_flag(self, name: str) -> bool | None:
        """True or false; the default, or None."""
        found = self.found(name)
        value = found.node.value if found else self._table.key(name).default
        return value if isinstance(value, bool) else None

    def choice(self, name: str) -> str:
        """One of the key's words, as they are declared; the default, or nothing."""
        key = self._table.key(name)
        found = self.found(name)
        meant = key.kind.meant(found.text) if found and isinstance(key.kind, Choice) else None
        return str(meant or key.default or "")

    def table(self, name: str) -> Cursor:
        """A table inside this one; an empty one if it is missing."""
        kind = self._table.key(name).kind
        if not isinstance(kind, Table):
            raise TypeError(name)
        found = self.found(name)
        node = found.node if found else Node({}, self.node.place)
        return Cursor(node, kind, found.path if found else self.at(name), self.report)

    def tables(self, name: str) -> list[Cursor]:
        """The tables of a list."""
        kind = self._table.key(name).kind
        if not isinstance(kind, Items) or not isinstance(kind.item, Table):
            raise TypeError(name)
        return [Cursor(one.node, kind.item, one.path, self.report) for one in self.items(name)]

    def items(self, name: str) -> list[Found]:
        """What a list holds, without what is wrong."""
        found = self.found(name)
        nodes = found.node.value if found and isinstance(found.node.value, tuple) else ()
        path = found.path if found else ""
        all_found = [Found(f"{path}[{index}]", node) for index, node in enumerate(nodes)]
        return [one for one in all_found if one.path not in self.report.bad]

    def names(self, name: str) -> Iterator[tuple[str, Found]]:
        """The entries of a table of the user's own names, without what is wrong."""
        found = self.found(name)
        nodes = found.node.value if found and isinstance(found.node.value, Mapping) else {}
        path = found.path if found else ""
        for written, node in nodes.items():
            if (inner := entry(path, written)) not in self.report.bad:
                yield written, Found(inner, node)

    def named_tables(self, name: str) -> Iterator[tuple[str, Cursor]]:
        """The same, if the values are tables."""
        kind = self._table.key(name).kind
        if not isinstance(kind, Names) or not isinstance(kind.value, Table):
            raise TypeError(name)
        for written, found in self.names(name):
            yield written, Cursor(found.node, kind.value, found.path, self.report)

    def error(self, name: str, problem: str, *, remedy: str = "") -> None:
        """The value of this key is wrong in a way that its kind cannot tell."""
        for written, node in self._table.found(self.node, name):
            self.report.error(entry(self.path, written), node, problem, remedy=remedy)
            return
        self.report.error(self.at(name), Node({}, self.node.place), problem, remedy=remedy)

    def warn(self, name: str, problem: str, *, remedy: str = "") -> None:
        """The value of this key is odd."""
        for written, node in self._table.found(self.node, name):
            self.report.warn(entry(self.path, written), node, problem, remedy=remedy)
            return
