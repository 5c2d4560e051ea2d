"""Rows of data files: which one an iteration gets, by its number, so that any worker can tell and nothing is kept.

In order, iteration n has row n modulo their number. At random, the row is a hash of seed, file and iteration number
(splitmix64, https://prng.di.unimi.it/splitmix64.c): the same seed gives the same rows, however many workers there are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from osmia.load.plan import DataFile, JsonValue, RowOrder

__all__ = ["Rows", "row_number"]

_MASK = (1 << 64) - 1


class Rows:
    """The rows of all data files; memory is that of the files."""

    def __init__(self, files: Sequence[DataFile], *, seed: int) -> None:
        self._files = [
            (file, _keyed(file), (seed ^ (zlib.crc32(file.name.encode()) << 32)) & _MASK) for file in files if file.rows
        ]

    def of(self, iteration: int) -> dict[str, JsonValue]:
        """The variables `data.FILE.tag` of one iteration; a file without rows has none."""
        scope: dict[str, JsonValue] = {}
        for file, rows, seed in self._files:
            scope.update(rows[row_number(iteration, len(rows), file.order, seed)])
        return scope


def row_number(iteration: int, count: int, order: RowOrder, seed: int) -> int:
    """Which of `count` rows an iteration gets."""
    if order is RowOrder.SEQUENTIAL:
        return iteration % count
    mixed = (seed + (iteration + 1) * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) * count) >> 64


def _keyed(file: DataFile) -> list[Mapping[str, JsonValue]]:
    names = [f"data.{file.name}.{column.tag}" for column in file.columns]
    return [dict(zip(names, row, strict=False)) for row in file.rows]
