"""What is wrong with a rule, said with its place: the column, a caret under it, and the nearest word that exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from osmia.model.errors import InputError

__all__ = ["EvaluationError", "RuleError", "nearest"]

_SHOWN_BEFORE = 60
_SHOWN_AFTER = 40


class RuleError(InputError):
    """A rule that is not understood; `column` counts from 1. `str()` ends with the rule and a caret under the place."""

    def __init__(self, problem: str, rule: str, at: int, *, remedy: str = "") -> None:
        super().__init__(f"{problem}, column {at + 1}", remedy=remedy)
        self.problem = problem
        self.rule = rule
        self.column = at + 1
        self.args = (f"{self.args[0]}\n{_pointed(rule, at)}",)


class EvaluationError(Exception):
    """A rule that cannot be evaluated for this answer, and why: a header is missing, text is compared with a number."""


def nearest(word: str, words: Iterable[str]) -> str:
    """'did you mean X?' for the most similar of the words, or nothing."""
    lowered = {one.lower(): one for one in words}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"did you mean {lowered[found[0]]}?" if found else ""


def _pointed(rule: str, at: int) -> str:
    """The rule around the place, as one line, and a line with a caret."""
    start = max(0, at - _SHOWN_BEFORE)
    end = min(len(rule), at + _SHOWN_AFTER)
    before, after = "..." if start else "", "..." if end < len(rule) else ""
    line = "".join(one if one.isprintable() else " " for one in rule[start:end])
    return f"  {before}{line}{after}\n  {' ' * (len(before) + at - start)}^"
