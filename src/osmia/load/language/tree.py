r"""What a rule is once read: a tree of frozen nodes, and the tree as text again (`show`).

Two trees are equal if they mean the same text; where they stood (`at`) does not count. `parse(show(tree)) == tree`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "PRECEDENCE",
    "ArrayOf",
    "Binary",
    "Call",
    "Chain",
    "Literal",
    "Name",
    "Node",
    "ObjectOf",
    "Unary",
    "children",
    "show",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a string, true, false or null."""

    value: str | float | int | bool | None
    at: int = field(default=0, compare=False)

    def __eq__(self, other: object) -> bool:
        """1, 1.0 and true are three different literals."""
        return isinstance(other, Literal) and type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Name:
    """Something that an answer or a run has: `status_code`, `headers.Location`."""

    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """`[a, b]`."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """`{"a": 1}`."""

    items: tuple[tuple[str, Node], ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`!x` or `-x`. A minus before a number belongs to the literal."""

    sign: str
    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands with a sign between them; `at` is where the sign stands."""

    sign: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Two or more operands with the same `&&` or `||` between them: as flat as it was written."""

    sign: str
    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)`."""

    name: str
    arguments: tuple[Node, ...]
    at: int = field(default=0, compare=False)


Node: TypeAlias = Literal | Name | ArrayOf | ObjectOf | Unary | Binary | Chain | Call

PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
"""How tight each sign binds; all are left associative, prefixes bind tighter than any."""

_PREFIX = 7
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order in which they are written."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> tuple[Node, ...]:
    """What stands directly below a node."""
    match node:
        case ArrayOf(items) | Chain(_, items) | Call(_, items):
            return items
        case ObjectOf(pairs):
            return tuple(value for _, value in pairs)
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
    return ()


def show(node: Node) -> str:  # noqa: PLR0911 - one for each kind of node
    """The tree as the text of a rule, with no more parentheses than it needs."""
    match node:
        case Literal(value):
            return _literal(value)
        case Name(text):
            return text
        case ArrayOf(items):
            return f"[{', '.join(map(show, items))}]"
        case ObjectOf(pairs):
            return f"{{{', '.join(f'{_literal(key)}: {show(value)}' for key, value in pairs)}}}"
        case Call(name, arguments):
            return f"{name}({', '.join(map(show, arguments))})"
        case Unary(sign, operand):
            inside = _enclosed(operand, _PREFIX)
            # Before a digit the minus would become part of the number.
            return f"-({inside})" if sign == "-" and inside[0].isdigit() else sign + inside
        case Chain(sign, items):
            return f" {sign} ".join(_enclosed(item, PRECEDENCE[sign] + 1) for item in items)
        case Binary(sign, left, right):
            binds = PRECEDENCE[sign]
            return f"{_enclosed(left, binds)} {sign} {_enclosed(right, binds + 1)}"


def _enclosed(node: Node, least: int) -> str:
    """In parentheses if it binds less than what is around it."""
    binds = PRECEDENCE[node.sign] if isinstance(node, Binary | Chain) else _PREFIX
    return show(node) if binds >= least else f"({show(node)})"


def _literal(value: str | float | bool | None) -> str:  # noqa: FBT001 - a value like the others
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + "".join(_ESCAPES.get(one, one) for one in value) + '"'
    return repr(value)
