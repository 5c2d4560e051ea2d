"""How every program reads its settings: one frozen table each, from the environment and the command line.

A program declares a `msgspec.Struct` whose fields are made by `setting()`. `read()` builds it from
OSMIA_<PROGRAM>_<FIELD> variables and from explicit values (flags win), or raises `ConfigError` naming key, value
and remedy. `options()` turns the same table into click options, so that a setting is declared exactly once.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, get_type_hints

import click
import msgspec

from osmia.model.errors import ConfigError

__all__ = ["SettingRow", "options", "read", "setting", "table"]

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "URL")

T = TypeVar("T", bound=msgspec.Struct)
F = TypeVar("F", bound=Callable[..., Any])


class SettingRow(NamedTuple):
    """One row of a program's table."""

    name: str
    default: object
    help: str
    environment_key: str


def setting(default: Any, help: str) -> Any:  # noqa: A002, ANN401 - reads as the table it makes; the field's own annotation types it
    """A field of a settings table: its default (str, int, float, bool or tuple of str) and what it does."""
    return msgspec.field(default_factory=_Factory(default, help))


class _Factory:
    """Callable default that also carries the help text (msgspec fields have no metadata)."""

    __slots__ = ("help", "value")

    def __init__(self, value: object, help_text: str) -> None:
        self.value = value
        self.help = help_text

    def __call__(self) -> object:
        return self.value


def table(program: str, config: type[msgspec.Struct]) -> list[SettingRow]:
    """Every setting of a program in order, for help texts and the reference."""
    return [
        SettingRow(field.name, field.default_factory.value, field.default_factory.help, _key(program, field.name))
        for field in msgspec.structs.fields(config)
        if isinstance(field.default_factory, _Factory)
    ]


def read(
    program: str,
    config: type[T],
    given: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
) -> T:
    """The settings of `program`: `given` (None = not given) over environment over defaults.

    Raises:
        ConfigError: a value does not fit, or an OSMIA_<PROGRAM>_ variable is not a setting.
    """
    environ = os.environ if environ is None else environ
    rows = {row.name: row for row in table(program, config)}
    _refuse_unknown(program, rows, environ)
    values: dict[str, object] = {}
    for name, row in rows.items():
        if given.get(name) not in (None, ()):
            values[name] = given[name]
        elif row.environment_key in environ:
            values[name] = _from_text(environ[row.environment_key], row.default)
    hints = get_type_hints(config, include_extras=True)
    for name, value in values.items():
        try:
            msgspec.convert(value, hints[name], strict=False)
        except msgspec.ValidationError as exc:
            source = "option" if given.get(name) not in (None, ()) else rows[name].environment_key
            remedy = f"{rows[name].help} (default {rows[name].default!r})"
            raise ConfigError(f"{source} {name}", value, str(exc), remedy=remedy) from exc
    return msgspec.convert(values, config, strict=False)


def options(config: type[msgspec.Struct], program: str) -> Callable[[F], F]:
    """Decorator that adds one click option per setting; the command gets each as a keyword, None if not given."""

    def decorate(command: F) -> F:
        for row in reversed(table(program, config)):
            command = click.option(_flag(row), row.name, **_click_arguments(row))(command)
        return command

    return decorate


def _click_arguments(row: SettingRow) -> dict[str, Any]:
    arguments: dict[str, Any] = {"default": None, "help": f"{row.help}  [default: {row.default!r}]"}
    if isinstance(row.default, tuple):
        arguments |= {"multiple": True, "default": ()}
    elif not isinstance(row.default, bool):
        arguments["metavar"] = type(row.default).__name__.upper()
    return arguments


def _flag(row: SettingRow) -> str:
    flag = "--" + row.name.replace("_", "-")
    return f"{flag}/--no-{flag[2:]}" if isinstance(row.default, bool) else flag


def _key(program: str, name: str) -> str:
    return f"OSMIA_{program}_{name}".upper()


def _from_text(text: str, default: object) -> object:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _refuse_unknown(program: str, rows: Mapping[str, SettingRow], environ: Mapping[str, str]) -> None:
    prefix = _key(program, "")
    for key in environ:
        name = key.removeprefix(prefix).lower()
        if key.startswith(prefix) and name not in rows:
            close = difflib.get_close_matches(name, rows, n=1)
            known = ", ".join(sorted(row.environment_key for row in rows.values()))
            remedy = f"did you mean {rows[close[0]].environment_key}?" if close else f"known: {known}"
            raise ConfigError(key, _shown(key, environ[key]), "no such setting", remedy=remedy)


def _shown(key: str, value: str) -> str:
    """What an error message may tell of a value: nothing where the name says that it is a secret."""
    return "(hidden)" if any(word in key.upper() for word in _SECRET_WORDS) else value
