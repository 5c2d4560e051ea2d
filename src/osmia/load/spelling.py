"""Flags as Go programs take them: `-config` is `--config`, `-t=URL` is `-t URL`, `-cert-path` is `-cert_path`.

The original was a Go program, so its users and their scripts write one dash or two before any name, and `=` or a space
after it. click knows one spelling of each; this puts a command line into that spelling before click sees it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import click

__all__ = ["NEGATIONS", "canonical"]

NEGATIONS: Mapping[str, str] = {"verify": "--insecure"}
"""What `-flag=false` of a flag is called that has a name for its opposite."""

_TRUE, _FALSE = frozenset({"true", "t", "1", "yes"}), frozenset({"false", "f", "0", "no"})


def canonical(arguments: Sequence[str], *, values: Mapping[str, str], flags: Mapping[str, str]) -> list[str]:
    """The same command line with every flag as click knows it.

    Args:
        arguments: as typed.
        values: name without dashes -> click's spelling, of options that take a value.
        flags: the same of those that take none.

    What follows the first word that is neither a flag nor a flag's value is left as it is: a sub-command has flags of
    its own.

    Raises:
        click.UsageError: a flag that does not exist, with the nearest that does; `-flag=value` where no value belongs.
    """
    result: list[str] = []
    rest = list(arguments)
    while rest and _is_flag(rest[0]):
        name, has_value, value = rest.pop(0).lstrip("-").partition("=")
        key = name.replace("-", "_")
        if key in flags:
            result += _flag(flags[key], key, value if has_value else "true")
        elif key in values:
            result.append(values[key])
            result += [value] if has_value else rest[:1]
            rest = rest if has_value else rest[1:]
        elif len(name) > 1 and name[0] in values and name[1].isdigit():  # -n1000
            result += [values[name[0]], name[1:] + has_value + value]
        else:
            raise _unknown(name, [*values, *flags])
    return result + rest


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and argument.strip("-") != ""


def _flag(spelling: str, key: str, value: str) -> list[str]:
    if value.lower() in _TRUE:
        return [spelling]
    if value.lower() in _FALSE:
        return [NEGATIONS[key]] if key in NEGATIONS else []
    raise click.UsageError(
        f"{spelling} is on or off and takes no value {value!r} - write {spelling} or {spelling}=false"
    )


def _unknown(name: str, known: Sequence[str]) -> click.UsageError:
    near = difflib.get_close_matches(name.replace("-", "_"), [one for one in known if len(one) > 1], n=1)
    spelled = f"-{name}" if len(name) == 1 else f"--{name}"
    remedy = f"did you mean --{near[0].replace('_', '-')}?" if near else "--help lists them all"
    return click.UsageError(f"there is no flag {spelled} - {remedy}")
