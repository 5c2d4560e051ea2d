"""Rows of data files by iteration number."""

from __future__ import annotations

from collections import Counter

from osmia.load.data import Rows, row_number
from osmia.load.plan import Column, ColumnType, DataFile, RowOrder

USERS = DataFile(
    "users",
    (Column(0, "name"), Column(1, "age", ColumnType.INT)),
    (("ann", 30), ("bo", 40), ("cy", 50)),
    order=RowOrder.SEQUENTIAL,
)


def test_rows_in_order_begin_again() -> None:
    """Iteration n has row n modulo their number."""
    rows = Rows([USERS], seed=1)

    assert [rows.of(number)["data.users.name"] for number in range(5)] == ["ann", "bo", "cy", "ann", "bo"]
    assert rows.of(1)["data.users.age"] == 40


def test_random_rows_are_those_of_seed_and_number() -> None:
    """The same for any worker, whatever was asked before; another seed gives others."""
    drawn = [row_number(number, 1000, RowOrder.RANDOM, 7) for number in range(100)]

    assert drawn == [row_number(number, 1000, RowOrder.RANDOM, 7) for number in reversed(range(100))][::-1]
    assert drawn != [row_number(number, 1000, RowOrder.RANDOM, 8) for number in range(100)]


def test_random_rows_are_evenly_spread() -> None:
    """Ten rows, ten thousand iterations: each about a thousand times (five standard deviations)."""
    counts = Counter(row_number(number, 10, RowOrder.RANDOM, 3) for number in range(10_000))

    assert set(counts) == set(range(10))
    assert all(850 <= count <= 1150 for count in counts.values())


def test_files_draw_on_their_own() -> None:
    """Two files of one length do not go hand in hand; one without rows has nothing."""
    rows = tuple((str(number),) for number in range(100))
    files = [DataFile(name, (Column(0, "x"),), rows) for name in ("a", "b")]
    found = Rows([*files, DataFile("empty", (Column(0, "x"),), ())], seed=1)

    pairs = [tuple(found.of(number).values()) for number in range(50)]

    assert any(one != other for one, other in pairs)
    assert list(found.of(0)) == ["data.a.x", "data.b.x"]
