"""The wire: what nanoarrow writes, pyarrow reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from osmia.model.wire import TABLES, Kind, Table, compress, encode

TYPES = {
    Kind.BOOL: pa.bool_(),
    Kind.UINT16: pa.uint16(),
    Kind.UINT32: pa.uint32(),
    Kind.UINT64: pa.uint64(),
    Kind.STRING: pa.string(),
    Kind.LIST_UINT16: pa.list_(pa.uint16()),
    Kind.LIST_UINT64: pa.list_(pa.uint64()),
    Kind.LIST_STRING: pa.list_(pa.string()),
}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES: dict[Kind, st.SearchStrategy[object]] = {
    Kind.BOOL: st.booleans(),
    Kind.UINT16: st.integers(0, (1 << 16) - 1),
    Kind.UINT32: st.integers(0, (1 << 32) - 1),
    Kind.UINT64: st.integers(0, (1 << 64) - 1),
    Kind.STRING: TEXTS,
    Kind.LIST_UINT16: st.lists(st.integers(0, (1 << 16) - 1), max_size=4),
    Kind.LIST_UINT64: st.lists(st.integers(0, (1 << 64) - 1), max_size=4),
    Kind.LIST_STRING: st.lists(TEXTS, max_size=3),
}
ROWS = {
    table: st.lists(st.fixed_dictionaries({name: VALUES[kind] for name, kind in kinds.items()}), max_size=4)
    for table, kinds in TABLES.items()
}


def decode(payload: bytes) -> pa.Table:
    """The stream as pyarrow reads it, checked through."""
    table = pa.ipc.open_stream(payload).read_all()
    table.validate(full=True)
    return table


def columns(table: Table, rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """Rows turned into the columns that `encode` takes."""
    return {name: [row[name] for row in rows] for name in TABLES[table]}


def one_column(table: Table, name: str, values: Sequence[object]) -> dict[str, Sequence[object]]:
    """Columns of neutral values, but for one."""
    neutral: dict[Kind, object] = {Kind.STRING: "", Kind.LIST_STRING: [], Kind.LIST_UINT16: [], Kind.LIST_UINT64: []}
    given: dict[str, Sequence[object]] = {
        other: [neutral.get(kind, 0)] * len(values) for other, kind in TABLES[table].items()
    }
    return given | {name: values}


@pytest.mark.parametrize("table", list(Table))
@given(data=st.data())
def test_rows_arrive_as_they_were_sent(table: Table, data: st.DataObject) -> None:
    """Every value of every kind, none to a few rows, comes back equal, in the declared columns and order."""
    rows = data.draw(ROWS[table])

    arrived = decode(encode(table, columns(table, rows)))

    assert arrived.column_names == list(TABLES[table])
    assert [field.type for field in arrived.schema] == [TYPES[kind] for kind in TABLES[table].values()]
    assert arrived.to_pylist() == rows


@pytest.mark.parametrize("table", list(Table))
def test_empty_table_keeps_its_schema(table: Table) -> None:
    """A batch without rows is a valid stream with all columns."""
    arrived = decode(encode(table, columns(table, [])))

    assert (arrived.num_rows, arrived.column_names) == (0, list(TABLES[table]))


def test_text_that_is_no_unicode_is_made_so() -> None:
    """A lone surrogate, as `os.fsdecode` makes it of odd bytes, becomes a question mark and breaks nothing."""
    names = ["\udcff", "a\ud800b", "naïve", "日本", "\U0001f41d", "nul\0inside"]

    arrived = decode(encode(Table.REQUESTS, one_column(Table.REQUESTS, "command", names)))

    assert arrived["command"].to_pylist() == ["?", "a?b", "naïve", "日本", "\U0001f41d", "nul\0inside"]


def test_lists_of_different_lengths_keep_their_rows() -> None:
    """Empty lists between full ones do not shift what belongs where."""
    buckets = [[1, 2], [], [3], [], [4, 5, 6]]

    arrived = decode(encode(Table.WINDOWS, one_column(Table.WINDOWS, "buckets", buckets)))

    assert arrived["buckets"].to_pylist() == buckets


def test_compressed_payload_is_one_zstd_frame() -> None:
    """What is sent is the stream, compressed with its size in the header."""
    payload = encode(Table.LEDGER, columns(Table.LEDGER, []))

    assert zstandard.ZstdDecompressor().decompress(compress(payload)) == payload
