"""A shell's words: quotes, `$'...'`, continued lines, comments; commands are told apart, nothing is run."""

from __future__ import annotations

import re

from osmia.model.errors import InputError

__all__ = ["commands_of"]

_ENDS = frozenset({";", "&", "|", "\n"})
_ESCAPE = re.compile(
    r"\\(?:x(?P<hex>[0-9a-fA-F]{1,2})|u(?P<short>[0-9a-fA-F]{1,4})|U(?P<long>[0-9a-fA-F]{1,8})"
    r"|(?P<octal>[0-7]{1,3})|(?P<other>.))",
    re.DOTALL,
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b"}
_MAX_CODE_POINT = 0x10FFFF


def commands_of(text: str) -> list[list[str]]:
    """The commands of a piece of shell, each as its words. Variables and substitutions stay as they are written.

    Raises:
        InputError: a quote does not end.
    """
    return _Words(text.replace("\r\n", "\n")).commands()


class _Words:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._commands: list[list[str]] = [[]]
        self._word: list[str] | None = None

    def commands(self) -> list[list[str]]:
        while self._at < len(self._text):
            self._step()
        self._end_word()
        return [command for command in self._commands if command]

    def _step(self) -> None:
        first = self._text[self._at]
        if first in _ENDS:
            self._end_word()
            self._commands.append([])
            self._at += 1
        elif first.isspace():
            self._end_word()
            self._at += 1
        elif first == "#" and self._word is None:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif first == "\\":
            following = self._text[self._at + 1 : self._at + 2]
            if following != "\n":
                self._add(following)
            self._at += 2
        else:
            self._add(self._piece(first))

    def _piece(self, first: str) -> str:
        if first == "'":
            return self._until_quote(1)
        if self._text.startswith("$'", self._at):
            return self._ansi()
        if first == '"' or self._text.startswith('$"', self._at):
            self._at += first == "$"
            return self._double()
        self._at += 1
        return first

    def _until_quote(self, skipped: int) -> str:
        start = self._at + skipped
        end = self._text.find("'", start)
        if end < 0:
            raise self._endless("'")
        self._at = end + 1
        return self._text[start:end]

    def _ansi(self) -> str:
        found = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self._text, self._at)
        if found is None:
            raise self._endless("$'")
        self._at = found.end()
        return _ESCAPE.sub(_unescaped, found[1])

    def _double(self) -> str:
        found = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(self._text, self._at)
        if found is None:
            raise self._endless('"')
        self._at = found.end()
        return re.sub(r'\\(["\\$`]|\n)', lambda one: one[1].strip("\n"), found[1])

    def _endless(self, quote: str) -> InputError:
        line = self._text.count("\n", 0, self._at) + 1
        return InputError(f"the quote {quote} in line {line} does not end")

    def _add(self, piece: str) -> None:
        if self._word is None:
            self._word = []
        self._word.append(piece)

    def _end_word(self) -> None:
        if self._word is not None:
            self._commands[-1].append("".join(self._word))
            self._word = None


def _unescaped(found: re.Match[str]) -> str:
    code = found["hex"] or found["short"] or found["long"]
    if code:
        number = int(code, 16)
        return chr(number) if number <= _MAX_CODE_POINT else found[0]
    if found["octal"]:
        return chr(int(found["octal"], 8) & 0xFF)
    return _LETTERS.get(found["other"], found["other"])
