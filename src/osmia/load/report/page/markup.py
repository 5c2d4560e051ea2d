"""Tags out of Python in which text cannot get out of its place: every string is escaped that is not `Raw`."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from osmia.load.report.visible import visible

__all__ = ["Child", "Raw", "joined", "tag"]

_VOID = frozenset({"meta", "line", "path", "rect"})


class Raw(str):
    """Markup that was made by `tag` or `joined`, or that is our own."""

    __slots__ = ()


Child: TypeAlias = "str | Raw | Iterable[Child]"


def joined(children: Iterable[Child]) -> Raw:
    """Children in a row."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Raw):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(visible(child, keeps_lines=True)))
        else:
            parts.append(joined(child))
    return Raw("".join(parts))


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Raw:
    """An element; `class_` is `class`, `aria_label` is `aria-label`; None and False leave an attribute out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_value(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return Raw(f"<{name}{written}/>")
    return Raw(f"<{name}{written}>{joined(children)}</{name}>")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(visible(value, keeps_lines=True))
    return f"{value:.2f}".rstrip("0").rstrip(".")
