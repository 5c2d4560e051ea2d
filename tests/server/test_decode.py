"""What the door refuses, and how it says so."""

from __future__ import annotations

import pyarrow as pa
import pytest
import zstandard

from osmia.model.wire import Table, compress, encode
from osmia.server.ingest.decode import decode
from osmia.server.ingest.errors import BadBatchError, TooLargeError
from tests.server.rows import (
    body,
    columns,
    connection_row,
    ledger_row,
    listener_row,
    object_row,
    request_row,
    window_row,
)

_LIMIT = 1 << 20
_NOW_S = 1_700_000_060

_ROWS = {
    Table.WINDOWS: window_row(start_s=1_700_000_000),
    Table.REQUESTS: request_row(time_ns=1_700_000_000 * 10**9),
    Table.OBJECTS: object_row(kind="Pod", name="a", seen_ns=1_700_000_000 * 10**9, ips=("10.0.0.1", "fd00::1")),
    Table.LEDGER: ledger_row(time_ns=1_700_000_000 * 10**9, lost={"a": 1}),
    Table.CONNECTIONS: connection_row(start_s=1_700_000_000),
    Table.LISTENERS: listener_row(start_s=1_700_000_000),
}


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return compress(sink.getvalue().to_pybytes())


def _windows(**replaced: pa.Array) -> pa.Table:
    table = decode(Table.WINDOWS, body(Table.WINDOWS, [_ROWS[Table.WINDOWS]]), max_bytes=_LIMIT, now_s=_NOW_S)
    for name, values in replaced.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


@pytest.mark.parametrize("table", list(Table))
def test_what_the_agent_encodes_is_understood(table: Table) -> None:
    """Every table of the wire comes out as it went in."""
    row = _ROWS[table]

    decoded = decode(table, body(table, [row]), max_bytes=_LIMIT, now_s=_NOW_S)

    assert decoded.to_pylist() == [{name: list(v) if isinstance(v, tuple) else v for name, v in _only(table, row)}]


def _only(table: Table, row: dict[str, object]) -> list[tuple[str, object]]:
    return [(name, values[0]) for name, values in columns(table, [row]).items()]


def test_columns_that_an_older_agent_does_not_know_are_filled_in() -> None:
    """A column that was added later is empty where it was not sent; any other must be there."""
    whole = decode(Table.REQUESTS, body(Table.REQUESTS, [_ROWS[Table.REQUESTS]]), max_bytes=_LIMIT, now_s=_NOW_S)

    older = decode(Table.REQUESTS, _stream(whole.drop_columns(["target"])), max_bytes=_LIMIT, now_s=_NOW_S)

    assert older.equals(whole)


def test_something_else_than_zstd_is_refused() -> None:
    """Plain bytes are told apart from a broken stream."""
    with pytest.raises(BadBatchError, match="not zstd") as caught:
        decode(Table.WINDOWS, b"hello", max_bytes=_LIMIT, now_s=_NOW_S)

    assert (caught.value.field, caught.value.cause) == ("body", "encoding")


def test_something_else_than_arrow_is_refused() -> None:
    """Zstd of anything is not enough."""
    with pytest.raises(BadBatchError, match="Arrow") as caught:
        decode(Table.WINDOWS, compress(b"hello"), max_bytes=_LIMIT, now_s=_NOW_S)

    assert caught.value.cause == "arrow"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_stream_that_is_cut_off_is_refused(share: float) -> None:
    """A part of a stream is not taken for a smaller whole."""
    whole = encode(Table.WINDOWS, columns(Table.WINDOWS, [_ROWS[Table.WINDOWS]] * 50))

    with pytest.raises(BadBatchError, match="Arrow"):
        decode(Table.WINDOWS, compress(whole[: int(len(whole) * share)]), max_bytes=_LIMIT, now_s=_NOW_S)


def test_a_cut_off_zstd_frame_is_refused() -> None:
    """A truncated frame does not pass as a shorter one."""
    whole = body(Table.WINDOWS, [_ROWS[Table.WINDOWS]] * 500)

    with pytest.raises(BadBatchError):
        decode(Table.WINDOWS, whole[: len(whole) // 2], max_bytes=_LIMIT, now_s=_NOW_S)


def test_a_zip_bomb_stops_at_the_limit() -> None:
    """No more than the limit is ever unpacked."""
    bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))

    with pytest.raises(TooLargeError, match="smaller batches"):
        decode(Table.WINDOWS, bomb, max_bytes=_LIMIT, now_s=_NOW_S)


def test_a_missing_column_is_named() -> None:
    """The error names table and column."""
    with pytest.raises(BadBatchError, match="missing") as caught:
        decode(Table.WINDOWS, _stream(_windows().drop_columns(["errors"])), max_bytes=_LIMIT, now_s=_NOW_S)

    assert caught.value.field == "windows.errors"


def test_an_unknown_column_is_named() -> None:
    """A column this table does not have is refused by name."""
    extra = _windows().append_column("colour", pa.array(["red"]))

    with pytest.raises(BadBatchError, match="not a column") as caught:
        decode(Table.WINDOWS, _stream(extra), max_bytes=_LIMIT, now_s=_NOW_S)

    assert caught.value.field == "windows.colour"


def test_a_column_of_another_type_is_named() -> None:
    """Types are as declared, not as convenient."""
    with pytest.raises(BadBatchError, match="has type string") as caught:
        decode(Table.WINDOWS, _stream(_windows(count=pa.array(["many"]))), max_bytes=_LIMIT, now_s=_NOW_S)

    assert caught.value.field == "windows.count"


def test_nulls_are_refused() -> None:
    """Unknown is an empty string on this wire."""
    with pytest.raises(BadBatchError, match="nulls"):
        decode(Table.WINDOWS, _stream(_windows(status=pa.array([None], pa.string()))), max_bytes=_LIMIT, now_s=_NOW_S)


def test_lists_that_belong_together_have_one_length() -> None:
    """A histogram without all its counts is refused."""
    short = pa.array([[1, 2]], pa.list_(pa.uint64()))

    with pytest.raises(BadBatchError, match="not as long") as caught:
        decode(Table.WINDOWS, _stream(_windows(bucket_counts=short)), max_bytes=_LIMIT, now_s=_NOW_S)

    assert caught.value.field == "windows.bucket_counts"


def test_a_time_in_the_wrong_unit_is_refused() -> None:
    """A time that no clock will show in this century is a mistake of units."""
    far = pa.array([_NOW_S * 10**10], pa.uint64())

    with pytest.raises(BadBatchError, match="2100") as caught:
        decode(Table.WINDOWS, _stream(_windows(last_ns=far)), max_bytes=_LIMIT, now_s=_NOW_S)

    assert caught.value.field == "windows.last_ns"


@pytest.mark.parametrize("offset_s", [-4 * 86_400, 2 * 3_600])
@pytest.mark.parametrize("table", list(Table))
def test_a_clock_that_is_far_off_is_refused(table: Table, offset_s: int) -> None:
    """Rows days old or hours ahead are refused with the clock as the likely cause."""
    with pytest.raises(BadBatchError, match="clock"):
        decode(table, body(table, [_ROWS[table]]), max_bytes=_LIMIT, now_s=_NOW_S - offset_s)


def test_an_empty_batch_is_fine() -> None:
    """No rows, no complaint."""
    empty = _windows().slice(0, 0)

    assert decode(Table.WINDOWS, _stream(empty), max_bytes=_LIMIT, now_s=_NOW_S).num_rows == 0
