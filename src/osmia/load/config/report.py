"""Collects what is wrong in a file, so that all of it is told at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from osmia.load.config.nodes import Node, Place
from osmia.model.errors import Problem

__all__ = ["Report", "shown"]

_SHOWN_CHARACTERS = 60
_CREDENTIALS = re.compile(r"://[^@/\s]*@")
"""In URLs; messages end up in logs."""
_MAX_PROBLEMS = 200
"""A file of another kind can be wrong everywhere; the rest is counted."""


class Report:
    """Errors and warnings about one file. Paths with an error are `bad`: nobody looks at their values again."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.bad: set[str] = set()
        self._left_out = 0

    def error(self, path: str, node: Node, problem: str, *, remedy: str = "") -> None:
        """The value is wrong; without it there is no plan."""
        self.bad.add(path)
        self._add(self.errors, self._problem(path, node.place, shown(node), problem, remedy))

    def warn(self, path: str, node: Node, problem: str, *, remedy: str = "") -> None:
        """The value is odd, or not used."""
        self._add(self.warnings, self._problem(path, node.place, shown(node), problem, remedy))

    def warn_key(self, path: str, place: Place, problem: str, *, remedy: str = "") -> None:
        """The key itself is odd."""
        self._add(self.warnings, self._problem(path, place, "", problem, remedy))

    def all_errors(self) -> tuple[Problem, ...]:
        """In the order of the file."""
        found = sorted(self.errors, key=lambda one: (one.line, one.column))
        if self._left_out:
            found.append(Problem(file=self.file, problem=f"and {self._left_out} more problems"))
        return tuple(found)

    def all_warnings(self) -> tuple[Problem, ...]:
        """In the order of the file."""
        return tuple(sorted(self.warnings, key=lambda one: (one.line, one.column)))

    def _problem(self, path: str, place: Place, value: str, problem: str, remedy: str) -> Problem:
        return Problem(
            file=self.file,
            line=place.line,
            column=place.column,
            path=path,
            value="" if path.endswith(".password") else _CREDENTIALS.sub("://...@", value),
            problem=_CREDENTIALS.sub("://...@", problem),
            remedy=remedy,
        )

    def _add(self, to: list[Problem], problem: Problem) -> None:
        if len(to) < _MAX_PROBLEMS:
            to.append(problem)
        else:
            self._left_out += 1


def shown(node: Node) -> str:
    """A scalar as it would be written, shortened; nothing for lists and tables, which have many lines."""
    if isinstance(node.value, tuple | Mapping):
        return ""
    text = json.dumps(node.value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
