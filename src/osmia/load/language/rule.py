"""A compiled rule: one fast function that says whether it holds, and, where it does not, the slow way to say why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from osmia.load.language.answer import Needs
from osmia.load.language.code import FAILURES, Compiler, Kind, Vocabulary, compiled
from osmia.load.language.parser import parse
from osmia.load.language.tree import Call, Chain, Literal, Name, Node, children, show, walk
from osmia.load.language.values import shown
from osmia.load.plan import JsonValue

__all__ = ["Rule"]

A = TypeVar("A")
_MAX_REASON_VALUES = 3


class Rule(Generic[A]):
    """A rule about values of type A (answers, readings of a run).

    `holds(a)` never raises: what cannot be evaluated does not hold. `text` is the rule as written.
    """

    __slots__ = ("_parts", "_vocabulary", "holds", "needs", "text", "tree")

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.text = text
        self.tree = parse(text)
        self._vocabulary = vocabulary
        self._parts: dict[str, Callable[[Any], JsonValue]] = {}
        compiler = Compiler(text, vocabulary)
        piece = compiler.piece(self.tree)
        if piece.kind is Kind.SERIES:
            raise compiler.series_error(self.tree)
        if piece.kind is not Kind.BOOL and piece.kind is not Kind.ANY:
            raise compiler.error(f"a rule says what must be true, and this is {piece.kind.value}", self.tree)
        code = compiler.truth(piece, self.tree, "a rule")
        self.needs: Needs = piece.needs
        self.holds: Callable[[A], bool] = compiler.function(  # type: ignore[assignment]  # `truth` gives truths
            f"def rule(a):\n    try:\n        return {code}\n    except FAILURES:\n        return False\n"
        )

    def explain(self, about: A) -> tuple[dict[str, JsonValue], str]:
        """What the names and functions in the rule gave, and which part does not hold and why ("" if all do)."""
        received: dict[str, JsonValue] = {}
        for text, node in _sources(self.tree, self._vocabulary).items():
            value, problem = self._evaluated(node, about)
            if not problem:
                received[text] = value
        return received, self._reason(about)

    def _reason(self, about: A) -> str:
        is_chain = isinstance(self.tree, Chain) and self.tree.sign == "&&"
        for part in children(self.tree) if is_chain else (self.tree,):
            value, problem = self._evaluated(part, about)
            if problem:
                return f"{show(part)}: {problem}"
            if value is not True and value != "true":
                return self._false(part, value, about)
        return ""

    def _false(self, part: Node, value: JsonValue, about: A) -> str:
        given = [
            f"{text} is {shown(self._evaluated(node, about)[0])}"
            for text, node in _sources(part, self._vocabulary).items()
            if not self._evaluated(node, about)[1]
        ]
        said = "is false" if value is False or value == "false" else f"is {shown(value)}, neither true nor false"
        return f"{show(part)} {said}" + (f": {', '.join(given[:_MAX_REASON_VALUES])}" if given else "")

    def _evaluated(self, node: Node, about: A) -> tuple[JsonValue, str]:
        """A node's value, or None and why there is none."""
        text = show(node)
        if text not in self._parts:
            self._parts[text] = compiled(node, self.text, self._vocabulary)[0]
        try:
            return self._parts[text](about), ""
        except FAILURES as exc:
            return None, str(exc) or type(exc).__name__


def _sources(root: Node, vocabulary: Vocabulary) -> Mapping[str, Node]:
    """The names and the calls whose values reports show, by their text; what is inside such a call is not shown."""
    found: dict[str, Node] = {}
    hidden: set[int] = set()
    for node in walk(root):
        if id(node) in hidden:
            continue
        function = vocabulary.function(node.name) if isinstance(node, Call) else None
        if isinstance(node, Name) or (function and function.is_shown):
            found[show(node)] = node
            hidden |= {id(inner) for inner in walk(node) if not isinstance(inner, Literal)}
    return found
