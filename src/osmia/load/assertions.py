"""Assertions: what a rule may say about an answer.

Names: `status_code`, `body`, `response_size` (bytes of the decoded body), `response_time` (ms, from send to last byte),
`headers.NAME`, `variables.NAME`, `cookies.NAME` with `.name .value .path .domain .expires .rawExpires .maxAge .secure
.httpOnly .raw`. Functions beside the common ones: `json_path`, `xpath`, `html_path`, `regexp`, `equals_on_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from osmia.load.language import extract, values
from osmia.load.language.answer import Answer, Needs, header_finder
from osmia.load.language.code import Compiler, Function, Kind, Piece, Vocabulary
from osmia.load.language.cookie import Cookie
from osmia.load.language.functions import COMMON, PERCENTILES, constant_text, percentiles
from osmia.load.language.problems import EvaluationError, nearest
from osmia.load.language.rule import Rule
from osmia.load.language.tree import Call, Name, show
from osmia.load.plan import JsonValue

__all__ = ["Assertion", "compile_assertion"]

Assertion: TypeAlias = Rule[Answer]
"""`holds(answer) -> bool`; `explain(answer) -> (received values by name, reason)`; `needs`; `text`."""


def compile_assertion(rule: str, *, read_file: Callable[[str], bytes] | None = None) -> Assertion:
    """A rule about answers. `read_file` gives the content of `equals_on_file`'s file, now; the default reads the disk.

    Raises:
        RuleError: the rule is not understood, or its file cannot be read.
    """
    return Rule(rule, _AnswerVocabulary(read_file or _read))


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


_BODY, _HEAD = Needs(has_body=True), Needs(has_head=True)
_SIMPLE: Mapping[str, Piece] = {
    "status_code": Piece("a.status", Kind.NUMBER),
    "response_time": Piece("(a.service_ns / 1000000)", Kind.NUMBER),
    "response_size": Piece("len(a.body)", Kind.NUMBER, needs=_BODY),
    "body": Piece("a.text", Kind.STRING, is_wire_text=True, needs=_HEAD | _BODY),
}
_GROUPS: Final = ("headers", "variables", "cookies")
_COOKIE_FIELDS: Mapping[str, tuple[Callable[[Cookie], JsonValue], Kind]] = {
    "name": (lambda one: one.name, Kind.STRING),
    "value": (lambda one: one.value, Kind.STRING),
    "path": (lambda one: one.path, Kind.STRING),
    "domain": (lambda one: one.domain, Kind.STRING),
    "expires": (lambda one: one.expires_s, Kind.ANY),
    "rawExpires": (lambda one: one.raw_expires, Kind.STRING),
    "maxAge": (lambda one: one.max_age_s, Kind.ANY),
    "secure": (lambda one: one.is_secure, Kind.BOOL),
    "httpOnly": (lambda one: one.is_http_only, Kind.BOOL),
    "raw": (lambda one: one.raw, Kind.STRING),
}


class _AnswerVocabulary(Vocabulary):
    """What rules about answers can say."""

    def __init__(self, read_file: Callable[[str], bytes]) -> None:
        self._functions = {
            **COMMON,
            "json_path": Function('json_path("a.b")', 1, 1, _json_path, is_shown=True),
            "xpath": Function('xpath("//a/b")', 1, 1, _tree_path(extract.xpath, "body as XML"), is_shown=True),
            "html_path": Function('html_path("//h1")', 1, 1, _tree_path(extract.html_path, "page"), is_shown=True),
            "regexp": Function('regexp(text, "expression", 0)', 2, 3, _regexp, is_shown=True),
            "equals_on_file": Function('equals_on_file(x, "path")', 2, 2, _equals_on_file(read_file)),
        }

    def name(self, compiler: Compiler, node: Name) -> Piece:
        """A simple name in any case, or one of a group with its rest."""
        if simple := _SIMPLE.get(node.text.lower()):
            return simple
        group, _, rest = node.text.partition(".")
        if not rest or group not in _GROUPS:
            remedy = nearest(node.text, [*_SIMPLE, *(f"{one}." for one in _GROUPS)])
            if "-" in node.text and not rest:
                remedy = f"{remedy} (a minus needs spaces around it)".strip()
            remedy = remedy or f"there are {', '.join(_SIMPLE)}, {', '.join(f'{one}.NAME' for one in _GROUPS)}"
            raise compiler.error(f"there is no {node.text!r}", node, remedy)
        if group == "headers":
            return _header(compiler, rest)
        return _variable(compiler, rest) if group == "variables" else _cookie(compiler, rest)

    def function(self, name: str) -> Function | None:
        """A function of answers, a common one, or a percentile."""
        return self._functions.get(name) or percentiles(name)

    def function_names(self) -> list[str]:
        """For suggestions."""
        return [*self._functions, *PERCENTILES]


def _header(compiler: Compiler, name: str) -> Piece:
    find = compiler.bind(header_finder(name))
    code = compiler.found_or(f"{find}(a.head)", "None", f"the answer has no header {name}")
    return Piece(code, Kind.STRING, is_wire_text=True, needs=_HEAD)


def _variable(compiler: Compiler, name: str) -> Piece:
    code = compiler.found(f"a.scope.get({name!r}, MISSING)", f"there is no variable {name}")
    return Piece(code, Kind.ANY, is_wire_text=True)


def _cookie(compiler: Compiler, rest: str) -> Piece:
    name, dot, field = rest.rpartition(".")
    if not dot or field not in _COOKIE_FIELDS:
        name, field = rest, "value"
    get, kind = _COOKIE_FIELDS[field]

    def read(answer: Answer) -> JsonValue:
        found = answer.cookie(name)
        if found is None:
            raise EvaluationError(f"there is no cookie {name}")
        return get(found)

    return Piece(f"{compiler.bind(read)}(a)", kind, is_wire_text=kind is Kind.STRING, needs=_HEAD)


def _json_path(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    path = constant_text(compiler, node, pieces, 0)
    try:
        read = extract.json_path(path)
    except ValueError as exc:
        raise compiler.error(str(exc), node.arguments[0]) from exc
    code = compiler.found(f"{compiler.bind(read)}(a.body)", f"{show(node)} finds nothing in the body")
    return Piece(code, Kind.ANY, needs=_BODY)


def _tree_path(make: Callable[[str], extract.FromBody], where: str) -> Callable[..., Piece]:
    def build(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
        path = constant_text(compiler, node, pieces, 0)
        try:
            read = make(path)
        except ValueError as exc:
            raise compiler.error(str(exc), node.arguments[0]) from exc
        code = compiler.found(f"{compiler.bind(read)}(a.body)", f"{show(node)} finds nothing in the {where}")
        return Piece(code, Kind.ANY, is_wire_text=True, needs=_BODY)

    return build


def _regexp(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
    compiler.want(pieces[0], (Kind.STRING, Kind.NUMBER), node.arguments[0], "regexp")
    pattern = constant_text(compiler, node, pieces, 1)
    number = pieces[2].constant if len(node.arguments) > 2 else 0  # noqa: PLR2004 - the third argument
    if not isinstance(number, int) or isinstance(number, bool):
        raise compiler.error("regexp needs a whole number as third argument", node.arguments[2])
    try:
        read = extract.expression(pattern, number)
    except ValueError as exc:
        raise compiler.error(str(exc), node.arguments[1]) from exc
    text = pieces[0].code if pieces[0].kind is Kind.STRING else f"{compiler.bind(values.as_text)}({pieces[0].code})"
    code = compiler.found(f"{compiler.bind(read)}({text})", f"{show(node)} finds no match")
    return Piece(code, Kind.STRING, is_wire_text=True, needs=pieces[0].needs)


def _equals_on_file(read_file: Callable[[str], bytes]) -> Callable[..., Piece]:
    def build(compiler: Compiler, node: Call, pieces: tuple[Piece, ...]) -> Piece:
        path = constant_text(compiler, node, pieces, 1)
        try:
            content = read_file(path).decode("utf-8", "replace")
        except OSError as exc:
            raise compiler.error(f"{path} cannot be read: {exc.strerror or exc}", node.arguments[1]) from exc
        equals = compiler.bind(_equal_to(content))
        return Piece(f"{equals}({pieces[0].code})", Kind.BOOL, needs=pieces[0].needs)

    return build


def _equal_to(content: str) -> Callable[[JsonValue], bool]:
    """Whether a value is a file's content: as text (whatever the last line's end) or as JSON."""
    text = content.rstrip("\r\n")
    try:
        expected = orjson.loads(content)
    except orjson.JSONDecodeError:
        return lambda value: isinstance(value, str) and value.rstrip("\r\n") == text

    def equals(value: JsonValue) -> bool:
        if not isinstance(value, str):
            return values.same(value, expected)
        return value.rstrip("\r\n") == text or values.same_lenient(value, expected)

    return equals
