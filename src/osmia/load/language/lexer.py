r"""Rules as tokens.

Strings have either quote. `\"`, `\'`, `\\`, `\n`, `\r`, `\t` and `\uXXXX` are escapes; before anything else a backslash
is itself, so that `\d` of an expression and `a\.b` of a path can be written as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from osmia.load.language.problems import RuleError

__all__ = ["MAX_RULE_CHARACTERS", "Token", "TokenKind", "tokens_of"]

MAX_RULE_CHARACTERS = 1 << 16


class TokenKind(StrEnum):
    """What a token is; the value is how messages call it."""

    NUMBER = "a number"
    STRING = "a string"
    NAME = "a name"
    SIGN = "a sign"
    END = "the end of the rule"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as written (a sign, a name), `value` of numbers and strings, `at` its first character, from 0."""

    kind: TokenKind
    text: str
    at: int
    value: str | float | int = ""


_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"[0-9]+(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SIGN = re.compile(r"&&|\|\||==|!=|<=|>=|[-+*/%<>!()\[\]{},:]")
_ESCAPE = re.compile(r"""\\(?:(["'\\nrt])|u([0-9a-fA-F]{4}))""")
_ENDS = {'"': re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL), "'": re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)}
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_HALVES = {"&": "&&", "|": "||", "=": "=="}
_MAX_DIGITS = 300


def tokens_of(rule: str) -> list[Token]:
    """All tokens of a rule; the last is END.

    Raises:
        RuleError: a string without end, a sign that there is none of, a rule that is too long.
    """
    if len(rule) > MAX_RULE_CHARACTERS:
        raise RuleError(f"a rule of {len(rule):,} characters is too long (at most {MAX_RULE_CHARACTERS:,})", rule, 0)
    found: list[Token] = []
    at = _after_space(rule, 0)
    while at < len(rule):
        token, end = _token(rule, at)
        found.append(token)
        at = _after_space(rule, end)
    found.append(Token(TokenKind.END, "", len(rule)))
    return found


def _after_space(rule: str, at: int) -> int:
    space = _SPACE.match(rule, at)
    return space.end() if space else at


def _token(rule: str, at: int) -> tuple[Token, int]:
    """The token that starts at a place, and where it ends."""
    first = rule[at]
    if first in _ENDS:
        return _string(rule, at)
    if found := _NAME.match(rule, at):
        return Token(TokenKind.NAME, found[0], at), found.end()
    if found := _NUMBER.match(rule, at):
        return _number(rule, at, found), found.end()
    if found := _SIGN.match(rule, at):
        return Token(TokenKind.SIGN, found[0], at), found.end()
    remedy = f"write {_HALVES[first]}" if first in _HALVES else "text stands in quotes"
    raise RuleError(f"{first!r} means nothing here", rule, at, remedy=remedy)


def _number(rule: str, at: int, found: re.Match[str]) -> Token:
    if len(found[0]) > _MAX_DIGITS:
        raise RuleError(f"a number of {len(found[0])} characters is too long", rule, at)
    if not (found["fraction"] or found["exponent"]):
        return Token(TokenKind.NUMBER, found[0], at, int(found[0]))
    value = float(found[0])
    if value == float("inf"):
        raise RuleError(f"{found[0]} is too large", rule, at)
    return Token(TokenKind.NUMBER, found[0], at, value)


def _string(rule: str, at: int) -> tuple[Token, int]:
    quote = rule[at]
    inside = _ENDS[quote].match(rule, at + 1)
    end = inside.end() if inside else at + 1
    if end >= len(rule) or rule[end] != quote:
        raise RuleError(f"the string that begins here has no end, expected {quote}", rule, at)
    value = _ESCAPE.sub(_unescaped, rule[at + 1 : end])
    return Token(TokenKind.STRING, rule[at : end + 1], at, value), end + 1


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[1]) if found[1] else chr(int(found[2], 16))
