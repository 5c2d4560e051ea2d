"""How long a batch takes to encode and how large it is, beside pyarrow and beside JSON."""

from __future__ import annotations

import random

import msgspec
import pyarrow as pa

from bench.result import Bench, Result, at_most, median_ns
from osmia.model.wire import TABLES, Kind, Table, compress, encode

__all__ = ["BENCHES"]

_ROWS = 2_000
_KINDS = TABLES[Table.WINDOWS]
_TYPES = {
    Kind.BOOL: pa.bool_(),
    Kind.UINT16: pa.uint16(),
    Kind.UINT32: pa.uint32(),
    Kind.UINT64: pa.uint64(),
    Kind.STRING: pa.string(),
    Kind.LIST_UINT16: pa.list_(pa.uint16()),
    Kind.LIST_UINT64: pa.list_(pa.uint64()),
    Kind.LIST_STRING: pa.list_(pa.string()),
}


_SAME = {"start_s": 1_800_000_000, "server_port": 8000, "role": "server", "protocol": "http", "is_tls": False}


def _columns() -> dict[str, list[object]]:
    """Windows as an agent with forty edges of fifty endpoints would send them."""
    dice = random.Random(4)  # noqa: S311 - the same batch every time
    return {name: [_value(name, kind, row, dice) for row in range(_ROWS)] for name, kind in _KINDS.items()}


def _value(name: str, kind: Kind, row: int, dice: random.Random) -> object:
    if name in _SAME:
        return _SAME[name]
    if kind is Kind.STRING:
        return f"{name}-{row if name == 'template' else row // 50}"
    if kind is Kind.LIST_UINT16:
        return list(range(200, 212))
    if kind is Kind.LIST_UINT64:
        return [dice.randrange(1, 20) for _ in range(12)]
    return dice.randrange(100_000)


def _with_pyarrow(columns: dict[str, list[object]]) -> bytes:
    batch = pa.record_batch(
        [pa.array(columns[name], _TYPES[kind]) for name, kind in _KINDS.items()], names=list(_KINDS)
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _encode() -> Result:
    columns = _columns()
    ours = median_ns(lambda: encode(Table.WINDOWS, columns))
    return at_most(ours / _ROWS / 1000, 25, "us/row", f"{_ROWS} windows, nanoarrow")


def _encode_ratio() -> Result:
    columns = _columns()
    ours = median_ns(lambda: encode(Table.WINDOWS, columns))
    theirs = median_ns(lambda: _with_pyarrow(columns))
    return at_most(ours / theirs, 3, "x", f"pyarrow {theirs / _ROWS / 1000:.1f} us/row, same run")


def _size_ratio() -> Result:
    columns = _columns()
    arrow = len(compress(encode(Table.WINDOWS, columns)))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    json = len(compress(msgspec.json.encode(rows)))
    return at_most(arrow / json, 1.1, "x", f"{arrow / _ROWS:.0f} B/row, JSON {json / _ROWS:.0f} B/row, both zstd")


BENCHES: dict[str, Bench] = {"encode": _encode, "encode_ratio": _encode_ratio, "size_ratio": _size_ratio}
