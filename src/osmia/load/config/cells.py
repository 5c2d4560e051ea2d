"""CSV to typed rows: the columns that are used, each cell read as what its column says."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Final

from osmia.load.plan import Column, ColumnType, JsonValue
from osmia.model.errors import InputError

__all__ = ["DelimitedText", "read_cells"]

_SHOWN_PROBLEMS = 3
_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DelimitedText:
    """How the file is written. Spaces before a cell do not count."""

    delimiter: str = ","
    skips_first_line: bool = False
    skips_empty_lines: bool = True
    allows_stray_quotes: bool = False


def read_cells(content: bytes, form: DelimitedText, columns: tuple[Column, ...]) -> tuple[tuple[JsonValue, ...], ...]:
    """The rows, with values in the order of `columns`.

    Raises:
        InputError: the file is no such CSV, has no rows, or cells are not what their columns say.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is no UTF-8 text (byte {error.start})", remedy="save it as UTF-8") from error
    rows: list[tuple[JsonValue, ...]] = []
    wrong: list[str] = []
    try:
        for line, cells in _records(text, form):
            row, problem = _typed(cells, columns)
            rows.append(row)
            if problem:
                wrong.append(f"line {line}: {problem}")
    except csv.Error as error:
        raise InputError(
            f"is no such CSV: {error}", remedy="allow_quota: true takes stray quotes as they are"
        ) from error
    if wrong:
        rest = f"; and {len(wrong) - _SHOWN_PROBLEMS} more lines" if len(wrong) > _SHOWN_PROBLEMS else ""
        raise InputError("; ".join(wrong[:_SHOWN_PROBLEMS]) + rest, remedy=_remedy(form))
    if not rows:
        raise InputError("has no rows", remedy="an iteration needs one")
    return tuple(rows)


def _remedy(form: DelimitedText) -> str:
    return "" if form.skips_first_line else "is the first line a heading? then skip_first_line: true"


def _records(text: str, form: DelimitedText) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row."""
    reader = csv.reader(
        StringIO(text, newline=""),
        delimiter=form.delimiter,
        skipinitialspace=form.delimiter != " ",
        strict=not form.allows_stray_quotes,
    )
    for index, cells in enumerate(reader):
        if index == 0 and form.skips_first_line:
            continue
        if form.skips_empty_lines and not any(cells):
            continue
        yield reader.line_num, cells


def _typed(cells: list[str], columns: tuple[Column, ...]) -> tuple[tuple[JsonValue, ...], str]:
    """The values, and what is wrong with one of them."""
    values: list[JsonValue] = []
    problem = ""
    for column in columns:
        if column.index >= len(cells) and cells:
            problem = problem or f"there is no column {column.index}, only {len(cells)}"
            continue
        cell = cells[column.index] if cells else ""
        try:
            values.append(_READERS[column.type](cell))
        except ValueError:
            shown = cell if len(cell) <= 40 else f"{cell[:37]}..."  # noqa: PLR2004 - a line's part
            problem = problem or f"column {column.index} ({column.tag}) is {shown!r}, which is no {column.type}"
    return tuple(values), problem


def _flag(cell: str) -> bool:
    lowered = cell.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(cell)
    return lowered in _TRUE


def _fraction(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(cell)
    return value


def _whole(cell: str) -> int:
    if "_" in cell:  # Python's digits may be grouped
        raise ValueError(cell)
    return int(cell)


def _json(cell: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(cell, parse_constant=_fraction)
    except RecursionError as error:
        raise ValueError(cell) from error
    return value


_READERS: Final[dict[ColumnType, Callable[[str], JsonValue]]] = {
    ColumnType.STRING: str,
    ColumnType.INT: _whole,
    ColumnType.FLOAT: _fraction,
    ColumnType.BOOL: _flag,
    ColumnType.JSON: _json,
}
