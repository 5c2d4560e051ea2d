"""JSON, RFC 8259 and nothing more, to nodes with places; what it forbids is refused with the reason in words."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out

from osmia.load.config.nodes import MAX_DEPTH, Node, Place, Span, SyntaxProblemError

__all__ = ["parse_json"]

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[\w.+-]+")
_LITERALS = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 300
"""More make no sense here, and Python refuses to read whole numbers of more than 4,300."""

_STRANGE_STARTS = {
    "/": ("a comment", "JSON has no comments: take it out, or write the config as YAML, which has them (#)"),
    "#": ("a comment", "JSON has no comments: take it out, or write the config as YAML, which has them (#)"),
    "'": ("a single quote", 'JSON text stands in double quotes: "..."'),
    "`": ("a back quote", 'JSON text stands in double quotes: "..."'),
    "“": ("a typographic quote", 'JSON text stands in straight double quotes: "..."'),
    "”": ("a typographic quote", 'JSON text stands in straight double quotes: "..."'),
}
_STRANGE_WORDS = {
    "True": "true",
    "False": "false",
    "None": "null",
    "undefined": "null",
    "yes": "true",
    "no": "false",
}


def parse_json(text: str) -> Node:
    """The one value that the text holds, with the places of everything in it.

    Raises:
        SyntaxProblemError: it is not JSON.
    """
    reader = _Reader(text)
    node, end = reader.value(reader.skip(0), 0)
    end = reader.skip(end)
    if end < len(text):
        raise reader.problem(end, f"{reader.seen(end)} after the end of the document", "a file holds one JSON value")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, at: int) -> Place:
        line = bisect_right(self._line_starts, at)
        return Place(line, at - self._line_starts[line - 1] + 1)

    def skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def problem(self, at: int, problem: str, remedy: str = "") -> SyntaxProblemError:
        if not remedy and self._text[at : at + 1] in _STRANGE_STARTS:
            remedy = _STRANGE_STARTS[self._text[at]][1]
        return SyntaxProblemError(self.place(at), problem, remedy)

    def seen(self, at: int) -> str:
        """What stands there, in words."""
        if at >= len(self._text):
            return "the file's end"
        first = self._text[at]
        if first in _STRANGE_STARTS:
            return _STRANGE_STARTS[first][0]
        word = _WORD.match(self._text, at)
        return word.group()[:30] if word else f"{first!r}"

    def value(self, at: int, depth: int) -> tuple[Node, int]:
        first = self._text[at : at + 1]
        if first in {"{", "["} and depth >= MAX_DEPTH:
            raise self.problem(at, f"more than {MAX_DEPTH} values inside each other")
        if first == "{":
            return self._table(at, depth)
        if first == "[":
            return self._list(at, depth)
        if first == '"':
            text, end = self._string(at)
            return Node(text, self.place(at), text), end
        return self._scalar(at)

    def _scalar(self, at: int) -> tuple[Node, int]:
        word = _WORD.match(self._text, at)
        text = word.group() if word else ""
        end = at + len(text)
        if text in _LITERALS:
            return Node(_LITERALS[text], self.place(at), text), end
        number = _NUMBER.fullmatch(text)
        if number and len(text) <= _MAX_DIGITS:
            value = float(text) if number[1] or number[2] else int(text)
            if math.isfinite(value):
                return Node(value, self.place(at), text), end
        raise self.problem(at, f"{self.seen(at)} where a value should be", self._about_word(text))

    def _about_word(self, text: str) -> str:
        if text in _STRANGE_WORDS:
            return f"in JSON it is written {_STRANGE_WORDS[text]}"
        if text in {"NaN", "Infinity", "-Infinity"} or not text:
            return "JSON has no NaN and no Infinity" if text else ""
        if text[0] in "+-.0123456789":
            return "this is no JSON number: no leading +, zeros or dot, and digits after the dot"
        return 'text stands in double quotes: "..."'

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self._text, at + 1, True)  # noqa: FBT003 - json's own, strict by position only
        except JSONDecodeError as error:
            raise self._about_string(at, error) from error
        try:
            str(text).encode()
        except UnicodeEncodeError as error:
            remedy = r"characters beyond \uffff are two \u together, or are written as they are"
            raise self.problem(at, "half a character in this text", remedy) from error
        return str(text), int(end)

    def _about_string(self, at: int, error: JSONDecodeError) -> SyntaxProblemError:
        if error.msg.startswith("Unterminated"):
            return self.problem(at, "text without an end", 'its closing " is missing')
        if error.msg.startswith("Invalid control"):
            return self.problem(error.pos, "a line break or tab inside text", r"write \n or \t")
        return self.problem(error.pos, "a backslash that means nothing", r"write \\ for a backslash itself")

    def _list(self, start: int, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        at = self.skip(start + 1)
        while self._text[at : at + 1] != "]":
            node, at = self.value(at, depth + 1)
            items.append(node)
            at = self._next(at, "]", start)
        return Node(tuple(items), self.place(start)), at + 1

    def _table(self, start: int, depth: int) -> tuple[Node, int]:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        doubled: list[Span] = []
        at = self.skip(start + 1)
        while self._text[at : at + 1] != "}":
            name, place, at = self._key(at)
            node, at = self.value(at, depth + 1)
            if name in entries:
                doubled.append(Span(name, place))
            entries[name], keys[name] = node, place
            at = self._next(at, "}", start)
        return Node(entries, self.place(start), keys=keys, doubled=tuple(doubled)), at + 1

    def _key(self, at: int) -> tuple[str, Place, int]:
        if self._text[at : at + 1] != '"':
            remedy = 'a key stands in double quotes: "..."' if _WORD.match(self._text, at) else ""
            raise self.problem(at, f"{self.seen(at)} where a key should be", remedy)
        name, end = self._string(at)
        end = self.skip(end)
        if self._text[end : end + 1] != ":":
            raise self.problem(end, f"{self.seen(end)} after the key {name!r}", "a colon and a value follow a key")
        return name, self.place(at), self.skip(end + 1)

    def _next(self, at: int, closing: str, start: int) -> int:
        """Behind the comma, or at the closing bracket."""
        at = self.skip(at)
        seen = self._text[at : at + 1]
        if seen == closing:
            return at
        if seen != ",":
            opened = self.place(start)
            remedy = f"a comma or {closing} is missing (opened in line {opened.line}, column {opened.column})"
            raise self.problem(at, f"{self.seen(at)} after a value", "" if seen in _STRANGE_STARTS else remedy)
        following = self.skip(at + 1)
        if self._text[following : following + 1] == closing:
            raise self.problem(at, f"a comma before {closing}", "take it out: JSON has no comma after the last value")
        return following
