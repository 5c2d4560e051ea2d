"""Trees -> Python functions: each rule becomes one function without any tree left to walk.

A node becomes a `Piece`: an expression in Python's own syntax with what is known of its value. What is known decides
the code: two numbers are compared by `<`, a number and something from a JSON body by a function that looks at both.
What is constant is computed now. Values never become source text, except numbers and Python's own `repr` of strings;
everything else is bound to a name (`k0`, `k1`, ...) in the function's globals.

Which names and functions there are is the `Vocabulary`'s: assertions see an answer, criteria a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final, Protocol, TypeAlias

from osmia.load.language import values
from osmia.load.language.answer import NOTHING, Needs
from osmia.load.language.extract import MISSING
from osmia.load.language.problems import EvaluationError, RuleError, nearest
from osmia.load.language.tree import ArrayOf, Binary, Call, Chain, Literal, Name, Node, ObjectOf, Unary, show
from osmia.load.plan import JsonValue

__all__ = ["FAILURES", "Compiler", "Function", "Kind", "Piece", "Vocabulary", "compiled"]

FAILURES: Final = (EvaluationError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What makes a rule not hold when it is raised in it."""

_LARGEST_BITS = 4096


class Kind(StrEnum):
    """What is known of a value before there is one; the value is how messages call it."""

    BOOL = "true or false"
    NUMBER = "a number"
    STRING = "text"
    ARRAY = "an array"
    OBJECT = "an object"
    NULL = "null"
    SERIES = "a series"
    ANY = "a value"


class _Unknown(Enum):
    UNKNOWN = 0


_UNKNOWN: Final = _Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Piece:
    """An expression of Python that gives the value of a node; `a` in it is the answer (or run)."""

    code: str
    kind: Kind = Kind.ANY
    is_wire_text: bool = False
    """It came as text from outside, so that text in it may stand for a number (see `values`)."""
    needs: Needs = NOTHING
    constant: JsonValue | _Unknown = _UNKNOWN

    @property
    def is_constant(self) -> bool:
        """Whether the value is known now."""
        return self.constant is not _UNKNOWN


Build: TypeAlias = "Callable[[Compiler, Call, tuple[Piece, ...]], Piece]"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of rules: how many arguments it takes, how calls become code, whether reports show its value."""

    usage: str
    least: int
    most: int
    build: Build
    is_shown: bool = False


class Vocabulary(Protocol):
    """The names and functions of one kind of rules."""

    def name(self, compiler: Compiler, node: Name) -> Piece:
        """The piece of a name.

        Raises:
            RuleError: there is no such name.
        """

    def function(self, name: str) -> Function | None:
        """The function of that name, or None."""

    def function_names(self) -> list[str]:
        """All functions, for suggestions."""


def compiled(node: Node, rule: str, vocabulary: Vocabulary) -> tuple[Callable[[Any], JsonValue], Piece]:
    """A function of an answer that gives a node's value, or raises one of FAILURES."""
    compiler = Compiler(rule, vocabulary)
    piece = compiler.piece(node)
    if piece.kind is Kind.SERIES:
        raise compiler.series_error(node)
    return compiler.function(f"def rule(a):\n    return {piece.code}\n"), piece


class Compiler:
    """What one rule's code is made with."""

    def __init__(self, rule: str, vocabulary: Vocabulary) -> None:
        self._rule = rule
        self._vocabulary = vocabulary
        self._names: dict[str, object] = {"FAILURES": FAILURES, "MISSING": MISSING, "missing": _missing}

    # ---- for functions and vocabularies

    def bind(self, value: object) -> str:
        """A name for a value in the code."""
        name = f"k{len(self._names)}"
        self._names[name] = value
        return name

    def error(self, problem: str, node: Node, remedy: str = "") -> RuleError:
        """The problem at the place of a node."""
        return RuleError(problem, self._rule, node.at, remedy=remedy)

    def series_error(self, node: Node) -> RuleError:
        """A series stands where one value is wanted."""
        text = show(node)
        return self.error(f"{text} is a series of times, not one value", node, f"write p95({text}) or avg({text})")

    def literal(self, value: JsonValue, needs: Needs = NOTHING) -> Piece:
        """A constant."""
        match value:
            case bool():
                return Piece(repr(value), Kind.BOOL, constant=value, needs=needs)
            case int() | float():
                code = repr(value) if math.isfinite(value) else self.bind(value)
                return Piece(f"({code})" if value < 0 else code, Kind.NUMBER, constant=value, needs=needs)
            case str():
                return Piece(repr(value), Kind.STRING, constant=value, needs=needs)
            case None:
                return Piece("None", Kind.NULL, constant=value, needs=needs)
            case list():
                return Piece(self.bind(value), Kind.ARRAY, constant=value, needs=needs)
            case dict():
                return Piece(self.bind(value), Kind.OBJECT, constant=value, needs=needs)

    def want(self, piece: Piece, kinds: tuple[Kind, ...], node: Node, who: str) -> None:
        """Refuse what can be seen to be of a wrong type; text from outside may still be something else."""
        if piece.kind is Kind.SERIES and Kind.SERIES not in kinds:
            raise self.series_error(node)
        if piece.kind is Kind.ANY or piece.kind in kinds:
            return
        if piece.is_wire_text and piece.kind is Kind.STRING and {Kind.NUMBER, Kind.BOOL, Kind.ARRAY} & set(kinds):
            return
        wanted = " or ".join(kind.value for kind in kinds)
        raise self.error(f"{who} needs {wanted}, and {show(node)} is {piece.kind.value}", node)

    def truth(self, piece: Piece, node: Node, who: str) -> str:
        """Code that is certain to give true or false."""
        self.want(piece, (Kind.BOOL,), node, who)
        return piece.code if piece.kind is Kind.BOOL else f"{self.bind(values.truth)}({piece.code})"

    def found(self, code: str, problem: str) -> str:
        """Code that raises if the code inside gives MISSING."""
        return self.found_or(code, "MISSING", problem)

    def found_or(self, code: str, nothing: str, problem: str) -> str:
        """The same for code whose word for nothing is another."""
        said = self.bind(problem)
        name = f"v{said}"
        return f"({name} if ({name} := {code}) is not {nothing} else missing({said}))"

    def function(self, source: str) -> Callable[[Any], JsonValue]:
        """The function `rule` of the source, which is made here of numbers, quoted strings and bound names only."""
        exec(compile(source, "<rule>", "exec"), self._names)  # noqa: S102 - see above: nothing of it is foreign code
        made: Callable[[Any], JsonValue] = self._names["rule"]  # type: ignore[assignment]  # just defined
        return made

    # ---- nodes

    def piece(self, node: Node) -> Piece:  # noqa: PLR0911 - one for each kind of node
        """The code of a node, constants computed."""
        match node:
            case Literal(value):
                return self.literal(value)
            case Name():
                return self._vocabulary.name(self, node)
            case ArrayOf(items):
                return self._array(node, [self._value(one) for one in items])
            case ObjectOf(items):
                return self._object(node, [(key, self._value(one)) for key, one in items])
            case Unary(sign, operand):
                return self._unary(node, sign, operand)
            case Chain(sign, items):
                return self._chain(node, sign, items)
            case Binary(sign, left, right):
                return self.binary(sign, (left, right), node)
            case Call():
                return self._call(node)

    def _value(self, node: Node) -> Piece:
        piece = self.piece(node)
        if piece.kind is Kind.SERIES:
            raise self.series_error(node)
        return piece

    def folded(self, node: Node, piece: Piece, parts: tuple[Piece, ...]) -> Piece:
        """The piece, or its value if all its parts are constant."""
        if not all(part.is_constant for part in parts):
            return piece
        try:
            value = self.function(f"def rule(a):\n    return {piece.code}\n")(None)
        except FAILURES as exc:
            raise self.error(f"{show(node)} cannot be computed: {exc}", node) from exc
        if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
            raise self.error("a number of more than a thousand digits", node)
        return self.literal(value, piece.needs)

    def _array(self, node: Node, items: list[Piece]) -> Piece:
        piece = Piece(f"[{', '.join(one.code for one in items)}]", Kind.ARRAY, needs=_needs(items))
        return self.folded(node, piece, tuple(items))

    def _object(self, node: Node, items: list[tuple[str, Piece]]) -> Piece:
        code = ", ".join(f"{key!r}: {value.code}" for key, value in items)
        inside = [value for _, value in items]
        return self.folded(node, Piece(f"{{{code}}}", Kind.OBJECT, needs=_needs(inside)), tuple(inside))

    def _unary(self, node: Node, sign: str, operand: Node) -> Piece:
        inside = self._value(operand)
        if sign == "!":
            made = Piece(f"(not {self.truth(inside, operand, '!')})", Kind.BOOL, needs=inside.needs)
        else:
            self.want(inside, (Kind.NUMBER,), operand, "-")
            code = f"(-{inside.code})" if inside.kind is Kind.NUMBER else f"{self.bind(values.negative)}({inside.code})"
            made = Piece(code, Kind.NUMBER, needs=inside.needs)
        return self.folded(node, made, (inside,))

    def _chain(self, node: Node, sign: str, items: tuple[Node, ...]) -> Piece:
        pieces = tuple(self._value(one) for one in items)
        codes = [self.truth(piece, one, sign) for piece, one in zip(pieces, items, strict=True)]
        word = " and " if sign == "&&" else " or "
        return self.folded(node, Piece(f"({word.join(codes)})", Kind.BOOL, needs=_needs(pieces)), pieces)

    def binary(self, sign: str, nodes: tuple[Node, Node], whole: Node) -> Piece:
        """The code of a sign between two operands; functions such as `less_than` are such signs, too."""
        left, right = self._value(nodes[0]), self._value(nodes[1])
        needs = left.needs | right.needs
        if sign in {"==", "!="}:
            made = Piece(self._equality(sign, left, right), Kind.BOOL, needs=needs)
        elif sign in _ORDERS:
            made = Piece(self._order(sign, (left, right), nodes), Kind.BOOL, needs=needs)
        else:
            made = self._arithmetic(sign, (left, right), nodes)
        return self.folded(whole, made, (left, right))

    def _equality(self, sign: str, left: Piece, right: Piece) -> str:
        if _is_plainly_comparable(left, right):
            return f"({left.code} {sign} {right.code})"
        is_lenient = left.is_wire_text or right.is_wire_text
        name = self.bind(values.same_lenient if is_lenient else values.same)
        return f"{'(not ' if sign == '!=' else '('}{name}({left.code}, {right.code}))"

    def _order(self, sign: str, pieces: tuple[Piece, Piece], nodes: tuple[Node, Node]) -> str:
        for piece, node in zip(pieces, nodes, strict=True):
            self.want(piece, (Kind.NUMBER, Kind.STRING), node, sign)
        left, right = pieces
        if left.kind is right.kind is Kind.NUMBER:
            return f"({left.code} {sign} {right.code})"
        kinds = {left.kind, right.kind}
        is_lenient = left.is_wire_text or right.is_wire_text
        if kinds == {Kind.NUMBER, Kind.STRING} and not is_lenient:
            raise self.error(f"{show(nodes[0])} and {show(nodes[1])}: a number and text have no order", nodes[1])
        strict, lenient = _ORDERS[sign]
        return f"{self.bind(lenient if is_lenient else strict)}({left.code}, {right.code})"

    def _arithmetic(self, sign: str, pieces: tuple[Piece, Piece], nodes: tuple[Node, Node]) -> Piece:
        kinds = (Kind.NUMBER, Kind.STRING) if sign == "+" else (Kind.NUMBER,)
        for piece, node in zip(pieces, nodes, strict=True):
            self.want(piece, kinds, node, sign)
        left, right = pieces
        needs = left.needs | right.needs
        if left.kind is right.kind is Kind.NUMBER and sign in {"+", "-", "*"}:
            return Piece(f"({left.code} {sign} {right.code})", Kind.NUMBER, needs=needs)
        code = f"{self.bind(values.OPERATIONS[sign])}({left.code}, {right.code})"
        return Piece(code, Kind.ANY if sign == "+" else Kind.NUMBER, needs=needs)

    def _call(self, node: Call) -> Piece:
        function = self._vocabulary.function(node.name)
        if function is None:
            remedy = nearest(node.name, self._vocabulary.function_names())
            raise self.error(f"there is no function {node.name!r}", node, remedy)
        count = len(node.arguments)
        if not function.least <= count <= function.most:
            raise self.error(f"{node.name} takes {_counted(function)}, not {count}", node, f"write {function.usage}")
        return function.build(self, node, tuple(self.piece(one) for one in node.arguments))


_ORDERS: Final[dict[str, tuple[Callable[..., bool], Callable[..., bool]]]] = {
    "<": (values.less, values.less_lenient),
    ">": (values.more, values.more_lenient),
    "<=": (values.less_or_same, values.less_or_same_lenient),
    ">=": (values.more_or_same, values.more_or_same_lenient),
}


def _is_plainly_comparable(left: Piece, right: Piece) -> bool:
    """Whether Python's own == gives what `same` gives."""
    if left.kind is right.kind and left.kind in {Kind.NUMBER, Kind.STRING, Kind.BOOL}:
        return True
    if left.is_wire_text or right.is_wire_text:
        return False
    return _is_unmistakable(left) or _is_unmistakable(right)


def _is_unmistakable(piece: Piece) -> bool:
    """A constant that Python calls equal only to what is: not 0 and 1, which equal False and True."""
    constant = piece.constant
    return constant is None or isinstance(constant, str) or (piece.kind is Kind.NUMBER and constant not in {0, 1})


def _needs(pieces: list[Piece] | tuple[Piece, ...]) -> Needs:
    needs = NOTHING
    for piece in pieces:
        needs |= piece.needs
    return needs


def _missing(problem: str) -> JsonValue:
    raise EvaluationError(problem)


def _counted(function: Function) -> str:
    number = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
    return f"{number} argument{'' if number == '1' else 's'}"
