r"""Text with `{{variables}}`, compiled once per step into one f-string; text without any costs nothing.

In braces, with or without blanks inside: `name` of the scope (environment, captures, `data.FILE.tag`), `_dynamic` value
(new at each use), `rand(name)` for one element of an array, `$NAME` of the operating system's environment. Anything
else in braces is text.

In a JSON body a string that is nothing but one variable, `"{{x}}"`, becomes the variable's value as JSON: a number
without quotes, an object, null; a string with quotes. A variable inside a longer string or in a key becomes text,
escaped as JSON strings are. Everywhere else a variable becomes its text as it is.
"""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

import orjson

from osmia.load.language.extract import json_text, text_of
from osmia.load.plan import JsonValue
from osmia.load.variables import TEXT_NAMES, VARIABLE_NAMES, Variables
from osmia.model.errors import InputError

__all__ = ["Template", "UnsetVariableError", "compile_template", "compile_value", "is_json_text", "names_in"]

Template: TypeAlias = "Callable[[Mapping[str, JsonValue]], str]"
"""Renders the text with the variables of a scope."""

_PLACEHOLDER: Final = re.compile(
    r"\{\{[ \t]*(?P<name>\$?[A-Za-z_][A-Za-z0-9_.-]*|rand\([ \t]*[A-Za-z_][A-Za-z0-9_.-]*[ \t]*\))[ \t]*\}\}"
)
_QUOTED: Final = re.compile(rf'"{_PLACEHOLDER.pattern}"')
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_RAND: Final = re.compile(r"rand\([ \t]*(.*?)[ \t]*\)")


class _Form(Enum):
    """Where a variable stands: in plain text, as a whole string of JSON, inside a longer one."""

    TEXT = 0
    JSON = 1
    INSIDE = 2


class UnsetVariableError(InputError):
    """A variable has no value where one is needed; `name` is it."""

    def __init__(self, name: str, problem: str = "has no value") -> None:
        super().__init__(f"the variable {name} {problem}")
        self.name = name


def names_in(text: str) -> list[str]:
    """What stands in braces, without blanks, in order: `name`, `_dynamic`, `$NAME`, `rand(name)`, `data.FILE.tag`."""
    return [_name(found) for found in _PLACEHOLDER.finditer(text)] if "{{" in text else []


def is_json_text(text: str) -> bool:
    """Whether a body is JSON as it is written, variables standing inside strings."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def compile_template(
    text: str,
    *,
    variables: Variables,
    is_json: bool = False,
    leaves_unset: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Template:
    """A function of a scope.

    `is_json`: the text is a JSON body, see above. `leaves_unset`: what has no value stays as it is written (bodies);
    otherwise rendering raises UnsetVariableError. `environ` holds the values of `{{$NAME}}`; names that it lacks are
    looked up in the scope as `$NAME`.
    """
    maker = _Maker(variables, leaves_unset=leaves_unset, environ=environ or {})
    return maker.template(_json_parts(text, maker) if is_json else maker.parts(text, _Form.TEXT))


def compile_value(
    text: str, *, variables: Variables, environ: Mapping[str, str] | None = None
) -> Callable[[Mapping[str, JsonValue]], JsonValue]:
    """The same for a value of `env`: text that is nothing but one variable has that variable's value and type."""
    render = compile_template(text, variables=variables, environ=environ)
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is None:
        return render
    name = _name(whole)
    if name.startswith("_") and name[1:] in VARIABLE_NAMES:
        draw = variables.function(name[1:])
        return lambda _scope: draw()
    if name.startswith("$"):
        return render
    inside = _RAND.fullmatch(name)
    key = inside[1] if inside else name
    chosen = _drawing(variables.random, name) if inside else None

    def value(scope: Mapping[str, JsonValue]) -> JsonValue:
        if key not in scope:
            raise UnsetVariableError(key)
        return scope[key] if chosen is None else chosen(scope[key])

    return value


def _name(found: re.Match[str]) -> str:
    name = found["name"]
    return f"rand({inside[1]})" if (inside := _RAND.fullmatch(name)) else name


def _json_parts(text: str, maker: _Maker) -> list[str]:
    """Outside of strings as text, inside escaped, and whole strings as JSON."""
    parts: list[str] = []
    at = 0
    for string in _STRING.finditer(text):
        if "{{" not in string[0]:
            continue
        parts += maker.parts(text[at : string.start()], _Form.TEXT)
        is_key = text[string.end() :].lstrip(" \t\r\n").startswith(":")
        whole = None if is_key else _QUOTED.fullmatch(string[0])
        parts += [maker.part(whole, _Form.JSON)] if whole else maker.parts(string[0], _Form.INSIDE)
        at = string.end()
    return parts + maker.parts(text[at:], _Form.TEXT)


class _Unset(str):
    """The text that stays where a variable has no value."""

    __slots__ = ()


class _Maker:
    """The parts of one rendering function: source of its pieces, and what they call.

    The source is string literals (`repr` of the text) and f-strings of one field each, side by side: Python makes one
    f-string of them. Fields hold nothing but names that are bound here.
    """

    def __init__(self, variables: Variables, *, leaves_unset: bool, environ: Mapping[str, str]) -> None:
        self._variables = variables
        self._leaves_unset = leaves_unset
        self._environ = environ
        self._names: dict[str, Any] = {"Unset": UnsetVariableError}

    def parts(self, text: str, form: _Form) -> list[str]:
        """The pieces of a text, each as source."""
        parts: list[str] = []
        at = 0
        for found in _PLACEHOLDER.finditer(text):
            parts += [repr(text[at : found.start()]), self.part(found, form)]
            at = found.end()
        return [*parts, repr(text[at:])]

    def part(self, found: re.Match[str], form: _Form) -> str:
        """One variable, in the form that its place asks for."""
        name = _name(found)
        if name.startswith("_") and name[1:] in VARIABLE_NAMES:
            value = f"{self._bind(self._variables.function(name[1:]))}()"
            return self._field(value, form, is_text=name[1:] in TEXT_NAMES)
        if name.startswith("$") and name[1:] in self._environ:
            return self._field(self._bind(self._environ[name[1:]]), form, is_text=True)
        written = found[0][1:-1] if form is _Form.JSON and found[0].startswith('"') else found[0]
        if inside := _RAND.fullmatch(name):
            value = self._value(inside[1], written)
            return self._field(f"{self._bind(_drawing(self._variables.random, name))}({value})", form)
        return self._field(self._value(name, written), form)

    def template(self, parts: list[str]) -> Template:
        """All parts as one function; text alone is a constant."""
        whole = " ".join(part for part in parts if part != "''") or "''"
        if not any(part.startswith("f") for part in parts):
            constant = "".join(map(literal_eval, parts))
            return lambda _scope: constant
        source = (
            f"def render(scope):\n    try:\n        return {whole}\n"
            "    except KeyError as exc:\n        raise Unset(exc.args[0]) from None\n"
        )
        exec(compile(source, "<template>", "exec"), self._names)  # noqa: S102 - see above: nothing of it is foreign code
        made: Template = self._names["render"]
        return made

    def _value(self, name: str, written: str) -> str:
        key = self._bind(name)
        return f"scope.get({key}, {self._bind(_Unset(written))})" if self._leaves_unset else f"scope[{key}]"

    def _field(self, value: str, form: _Form, *, is_text: bool = False) -> str:
        """A field that turns a value into text; text itself goes the short way."""
        if form is not _Form.TEXT:
            return f"f'{{{self._bind(_json if form is _Form.JSON else _inside)}({value})}}'"
        if is_text:
            return f"f'{{{value}}}'"
        other = self._bind(_text)
        name = f"v{len(self._names)}"
        return f"f'{{{name} if ({name} := {value}).__class__ is str else {other}({name})}}'"

    def _bind(self, value: object) -> str:
        name = f"k{len(self._names)}"
        self._names[name] = value
        return name


def _drawing(random: Callable[[], float], name: str) -> Callable[[JsonValue], JsonValue]:
    """One element of an array."""

    def draw(items: JsonValue) -> JsonValue:
        if isinstance(items, list) and items:
            return items[int(random() * len(items))]
        if isinstance(items, _Unset):
            return items
        problem = "is drawn from an empty array" if items == [] else "is drawn from something that is no array"
        raise UnsetVariableError(name, problem)

    return draw


def _text(value: JsonValue) -> str:
    return str(value) if isinstance(value, str) else text_of(value)


def _json(value: JsonValue) -> str:
    """A value in the place of a whole JSON string, quotes included."""
    if isinstance(value, _Unset):
        return f'"{value}"'
    return _escaped(value) if isinstance(value, str) else json_text(value)


def _inside(value: JsonValue) -> str:
    """A value inside a JSON string."""
    if isinstance(value, _Unset):
        return str(value)
    return _escaped(_text(value))[1:-1]


def _escaped(value: str) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # half of a surrogate pair
        return json.dumps(value)
