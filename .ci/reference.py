"""Writes the generated pages of docs/reference/: commands from the click tree, settings from the tables.

`make docs` runs it; `tests/architecture/test_reference.py` fails if a page is older than the code it describes.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click
import msgspec

from osmia.load.config import reference_page, schema_text
from osmia.settings import SettingRow, table

PAGES = Path(__file__).parent.parent / "docs/reference"
PROGRAMS = ("agent", "server", "load", "lab", "demo")


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (PAGES / name).write_text(text)
        sys.stdout.write(f"docs/reference/{name}\n")


def pages() -> dict[str, str]:
    """File name to content."""
    return {
        "commands.md": _commands_page(),
        "settings.md": _settings_page(),
        "load-config.md": reference_page(),
        "load-config.schema.json": schema_text(),
    }


def settings() -> dict[str, list[SettingRow]]:
    """Every program that has settings, with its table."""
    found: dict[str, list[SettingRow]] = {}
    for program in PROGRAMS:
        try:
            module = importlib.import_module(f"osmia.{program}.config")
        except ModuleNotFoundError:
            continue
        rows = [row for one in _tables(module) for row in table(program, one)]
        if rows:
            found[program] = rows
    return found


def commands() -> dict[str, click.Command]:
    """Every command by its full name, "osmia agent tail"."""
    found: dict[str, click.Command] = {}
    for program in PROGRAMS:
        root: click.Command = getattr(importlib.import_module(f"osmia.{program}.commands"), program)
        _collect(f"osmia {program}", root, found)
    return found


def _tables(module: object) -> list[type[msgspec.Struct]]:
    classes = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return [one for one in classes if one.__module__ == module.__name__]  # type: ignore[attr-defined]  # a module


def _collect(name: str, command: click.Command, found: dict[str, click.Command]) -> None:
    found[name] = command
    if isinstance(command, click.Group):
        for child, one in sorted(command.commands.items()):
            _collect(f"{name} {child}", one, found)


def _commands_page() -> str:
    lines = ["# Commands", "", "Written from the program's own help by `make docs`; do not edit.", ""]
    for name, command in commands().items():
        with click.Context(command, info_name=name) as context:
            usage = " ".join([name, *command.collect_usage_pieces(context)])
            options = [row for one in command.get_params(context) if (row := one.get_help_record(context))]
        lines += [f"## {name}", "", _paragraphs(command.help), "", "```text", usage, "```", ""]
        if options:
            lines += ["| option | |", "|---|---|"]
            lines += [f"| `{_code(flag)}` | {_cell(text)} |" for flag, text in options]
            lines += [""]
    return "\n".join(lines)


def _settings_page() -> str:
    lines = ["# Settings", "", "Written from the programs' tables by `make docs`; do not edit.", ""]
    lines += ["A flag wins over its variable, a variable over the default. Unknown variables that begin with a"]
    lines += ["program's prefix, and values that do not fit, stop the start and are named.", ""]
    for program, rows in settings().items():
        lines += [f"## {program}", "", "| setting | variable | default | |", "|---|---|---|---|"]
        for row in rows:
            flag = f"--{row.name.replace('_', '-')}"
            lines += [f"| `{flag}` | `{row.environment_key}` | `{_code(repr(row.default))}` | {_cell(row.help)} |"]
        lines += [""]
    return "\n".join(lines)


def _paragraphs(text: str | None) -> str:
    return "\n".join(_escaped(line.strip()) for line in (text or "").replace("\b", "").strip().splitlines())


def _cell(text: str) -> str:
    return _escaped(_code(text))


def _code(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    main()
