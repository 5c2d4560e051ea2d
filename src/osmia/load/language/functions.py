"""The functions that assertions and criteria share, and how percentiles are named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from osmia.load.language import values
from osmia.load.language.code import Build, Compiler, Function, Kind, Piece
from osmia.load.language.cookie import parse_date
from osmia.load.language.extract import compiled_expression
from osmia.load.language.tree import Call, show

__all__ = ["COMMON", "PERCENTILES", "constant_text", "percentile_share", "percentiles"]

PERCENTILES = ("p50", "p75", "p80", "p90", "p95", "p98", "p99", "p99_9", "p99_99")
"""Those that messages and pages name; any other number works as well."""

_PERCENTILE = re.compile(r"p([0-9]{1,2})(?:[._]([0-9]{1,4}))?")
_NINES = re.compile(r"p(99)(9{1,4})")
_NUMBERS = (Kind.SERIES, Kind.ARRAY)


def percentile_share(name: str) -> float | None:
    """The share (0..1) that `p95`, `p99_9`, `p99.9` or `p999` name, or None."""
    found = _PERCENTILE.fullmatch(name) or _NINES.fullmatch(name)
    if not found:
        return None
    share = float(f"{found[1]}.{found[2] or 0}") / 100
    return share or None


def constant_text(compiler: Compiler, node: Call, pieces: tuple[Piece, ...], number: int) -> str:
    """An argument that must be text in quotes, known before the test starts."""
    piece = pieces[number]
    if not isinstance(piece.constant, str):
        given = show(node.arguments[number])
        raise compiler.error(f"{node.name} needs text in quotes, not {given}", node.arguments[number])
    return piece.constant


def percentiles(name: str) -> Function | None:
    """The function of a percentile's name, or None."""
    share = percentile_share(name)
    return None if share is None else _over(f"{name}(numbers)", values.quantile, share)


def _over(usage: str, compute: Callable[..., float], *more: float) -> Function:
    """A function of many numbers: an array, or a series of a run."""

    def build(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
        compiler.want(pieces[0], _NUMBERS, node.arguments[0], node.name)
        arguments = ", ".join([pieces[0].code, *map(repr, more)])
        made = Piece(f"{compiler.bind(compute)}({arguments})", Kind.NUMBER, needs=pieces[0].needs)
        return compiler.folded(node, made, pieces)

    return Function(usage, 1, 1, build, is_shown=True)


def _sign(sign: str) -> Build:
    """A function that is another way to write an operator."""

    def build(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
        del pieces
        return compiler.binary(sign, (node.arguments[0], node.arguments[1]), node)

    return build


def _not(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    code = f"(not {compiler.truth(pieces[0], node.arguments[0], 'not')})"
    return compiler.folded(node, Piece(code, Kind.BOOL, needs=pieces[0].needs), pieces)


def _in(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    value, items = pieces
    compiler.want(items, (Kind.ARRAY,), node.arguments[1], "in")
    code = _constant_member(compiler, value, items) or (
        f"{compiler.bind(values.member)}({value.code}, {items.code}, {value.is_wire_text or items.is_wire_text})"
    )
    return compiler.folded(node, Piece(code, Kind.BOOL, needs=value.needs | items.needs), pieces)


def _constant_member(compiler: Compiler, value: Piece, items: Piece) -> str:
    """Python's own `in` a set, where value and items are certain to be of one simple type."""
    if value.kind not in {Kind.NUMBER, Kind.STRING} or not isinstance(items.constant, list):
        return ""
    are_alike = all(
        isinstance(one, str)
        if value.kind is Kind.STRING
        else isinstance(one, int | float) and not isinstance(one, bool)
        for one in items.constant
    )
    return f"({value.code} in {compiler.bind(frozenset(items.constant))})" if are_alike else ""


def _contains(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    source, part = pieces
    compiler.want(source, (Kind.STRING, Kind.ARRAY, Kind.OBJECT), node.arguments[0], "contains")
    is_text = source.kind is part.kind is Kind.STRING
    code = (
        f"({part.code} in {source.code})"
        if is_text
        else f"{compiler.bind(values.contains)}({source.code}, {part.code})"
    )
    return compiler.folded(node, Piece(code, Kind.BOOL, needs=source.needs | part.needs), pieces)


def _range(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    value, low, high = pieces
    for piece, argument in zip(pieces, node.arguments, strict=True):
        compiler.want(piece, (Kind.NUMBER,), argument, "range")
    needs = value.needs | low.needs | high.needs
    if value.kind is low.kind is high.kind is Kind.NUMBER:
        code = f"({low.code} <= {value.code} < {high.code})"
    else:
        code = f"{compiler.bind(values.is_within)}({value.code}, {low.code}, {high.code})"
    return compiler.folded(node, Piece(code, Kind.BOOL, needs=needs), pieces)


def _exists(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    if pieces[0].kind is Kind.SERIES:
        raise compiler.series_error(node.arguments[0])
    code = f"{compiler.bind(values.is_there)}(lambda: {pieces[0].code})"
    return compiler.folded(node, Piece(code, Kind.BOOL, needs=pieces[0].needs), pieces)


def _time(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    """Unix time; a constant date is read now, another when it is there."""
    compiler.want(pieces[0], (Kind.STRING,), node.arguments[0], "time")
    if isinstance(pieces[0].constant, str) and parse_date(pieces[0].constant) is None:
        remedy = "write it as 'Tue, 24 Nov 2026 08:00:00 GMT'"
        raise compiler.error(f"{pieces[0].constant!r} is no date", node.arguments[0], remedy)
    made = Piece(f"{compiler.bind(values.time_of)}({pieces[0].code})", Kind.NUMBER, needs=pieces[0].needs)
    return compiler.folded(node, made, pieces)


def _matches(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    compiler.want(pieces[0], (Kind.STRING, Kind.NUMBER), node.arguments[0], "matches")
    pattern = constant_text(compiler, node, pieces, 1)
    try:
        search = compiled_expression(pattern).search
    except ValueError as exc:
        raise compiler.error(str(exc), node.arguments[1]) from exc
    is_text = pieces[0].kind is Kind.STRING
    text = pieces[0].code if is_text else f"{compiler.bind(values.as_text)}({pieces[0].code})"
    made = Piece(f"({compiler.bind(search)}({text}) is not None)", Kind.BOOL, needs=pieces[0].needs)
    return compiler.folded(node, made, pieces)


COMMON: Mapping[str, Function] = {
    "not": Function("not(x)", 1, 1, _not),
    "less_than": Function("less_than(x, limit)", 2, 2, _sign("<")),
    "greater_than": Function("greater_than(x, limit)", 2, 2, _sign(">")),
    "equals": Function("equals(x, y)", 2, 2, _sign("==")),
    "in": Function("in(x, [a, b])", 2, 2, _in),
    "contains": Function('contains(text, "part")', 2, 2, _contains),
    "range": Function("range(x, low, high)", 3, 3, _range),
    "exists": Function("exists(x)", 1, 1, _exists),
    "time": Function('time("Tue, 24 Nov 2026 08:00:00 GMT")', 1, 1, _time),
    "matches": Function('matches(text, "expression")', 2, 2, _matches),
    "min": _over("min(numbers)", values.smallest),
    "max": _over("max(numbers)", values.largest),
    "avg": _over("avg(numbers)", values.average),
}
"""Functions that need neither an answer nor a run."""
