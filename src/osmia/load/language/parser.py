"""Tokens -> tree: precedence climbing, with a bound on how deep a rule may be nested.

`||` binds least, then `&&`, `== !=`, `< > <= >=`, `+ -`, `* / %`, prefixes, calls. All of a rule must be used up.
"""

from __future__ import annotations

from osmia.load.language.lexer import Token, TokenKind, tokens_of
from osmia.load.language.problems import RuleError
from osmia.load.language.tree import (
    PRECEDENCE,
    ArrayOf,
    Binary,
    Call,
    Chain,
    Literal,
    Name,
    Node,
    ObjectOf,
    Unary,
    children,
)

__all__ = ["MAX_DEPTH", "parse"]

MAX_DEPTH = 40
"""Levels of parentheses, calls, prefixes, arrays and operators within each other. `&&` and `||` in a row are one."""

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_CHAINED = ("||", "&&")


def parse(rule: str) -> Node:
    """The tree of a rule.

    Raises:
        RuleError: with the column of what was not understood, and what was expected there.
    """
    reader = _Reader(rule)
    node = reader.expression(0, 0)
    if reader.now.kind is not TokenKind.END:
        raise reader.unexpected("the end of the rule or an operator")
    _check_tree(node, rule)
    return node


def _check_tree(root: Node, rule: str) -> None:
    """Operators in a row nest to the left without a parenthesis, so only the finished tree tells its depth."""
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise RuleError(f"nested more than {MAX_DEPTH} levels deep", rule, node.at)
        waiting += [(child, depth + 1) for child in children(node)]


class _Reader:
    """The tokens of one rule and how far they are read."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._tokens = tokens_of(rule)
        self._next = 0

    @property
    def now(self) -> Token:
        return self._tokens[self._next]

    def unexpected(self, expected: str) -> RuleError:
        now = self.now
        what = f"{now.kind}" if now.kind is TokenKind.END else f"unexpected {_quoted(now.text)}"
        if now.kind is TokenKind.END:
            what = "unexpected end of the rule"
        return RuleError(f"{what}, expected {expected}", self._rule, now.at)

    def _take(self) -> Token:
        token = self.now
        if token.kind is not TokenKind.END:
            self._next += 1
        return token

    def _is_at(self, sign: str) -> bool:
        return self.now.kind is TokenKind.SIGN and self.now.text == sign

    def _accept(self, sign: str) -> bool:
        if self._is_at(sign):
            self._next += 1
            return True
        return False

    def _expect(self, sign: str, expected: str) -> None:
        if not self._accept(sign):
            raise self.unexpected(expected)

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise RuleError(f"nested more than {MAX_DEPTH} levels deep", self._rule, self.now.at)

    def expression(self, least: int, depth: int) -> Node:
        """Operands and the operators between them that bind at least so tight."""
        self._check_depth(depth)
        left = self._prefixed(depth)
        levels = 0
        while self.now.kind is TokenKind.SIGN and PRECEDENCE.get(self.now.text, -1) >= max(least, 1):
            sign = self.now
            levels += 1
            self._check_depth(depth + levels)
            if sign.text in _CHAINED:
                left = self._chain(left, sign, depth)
                continue
            self._next += 1
            right = self.expression(PRECEDENCE[sign.text] + 1, depth + 1)
            left = Binary(sign.text, left, right, sign.at)
        return left

    def _chain(self, first: Node, sign: Token, depth: int) -> Node:
        items = [first]
        while self._accept(sign.text):
            items.append(self.expression(PRECEDENCE[sign.text] + 1, depth + 1))
        return Chain(sign.text, tuple(items), sign.at)

    def _prefixed(self, depth: int) -> Node:
        sign = self.now
        if not (self._is_at("!") or self._is_at("-")):
            return self._operand(depth)
        self._check_depth(depth + 1)
        self._next += 1
        if sign.text == "-" and self.now.kind is TokenKind.NUMBER:
            value = self._take().value
            return Literal(-value if not isinstance(value, str) else value, sign.at)
        return Unary(sign.text, self._prefixed(depth + 1), sign.at)

    def _operand(self, depth: int) -> Node:
        token = self.now
        if token.kind in {TokenKind.NUMBER, TokenKind.STRING}:
            self._next += 1
            return Literal(token.value, token.at)
        if token.kind is TokenKind.NAME:
            return self._name(depth)
        if self._accept("("):
            inside = self.expression(0, depth + 1)
            self._expect(")", "')' or an operator")
            return inside
        if self._accept("["):
            return ArrayOf(self._list("]", depth), token.at)
        if self._accept("{"):
            return self._object(token.at, depth)
        raise self.unexpected("a value")

    def _name(self, depth: int) -> Node:
        token = self._take()
        if self._accept("("):
            return Call(token.text, self._list(")", depth), token.at)
        if token.text in _WORDS:
            return Literal(_WORDS[token.text], token.at)
        return Name(token.text, token.at)

    def _list(self, end: str, depth: int) -> tuple[Node, ...]:
        """Expressions with commas between them, up to the closing sign."""
        items: list[Node] = []
        if self._accept(end):
            return ()
        while True:
            items.append(self.expression(0, depth + 1))
            if self._accept(end):
                return tuple(items)
            self._expect(",", f"',' or '{end}'")

    def _object(self, at: int, depth: int) -> ObjectOf:
        items: list[tuple[str, Node]] = []
        if self._accept("}"):
            return ObjectOf((), at)
        while True:
            key = self.now
            if key.kind is not TokenKind.STRING:
                raise self.unexpected("a key in quotes")
            self._next += 1
            self._expect(":", "':'")
            items.append((str(key.value), self.expression(0, depth + 1)))
            if self._accept("}"):
                return ObjectOf(tuple(items), at)
            self._expect(",", "',' or '}'")


def _quoted(text: str) -> str:
    most = 40
    return f"'{text}'" if len(text) <= most else f"'{text[:most]}...'"
