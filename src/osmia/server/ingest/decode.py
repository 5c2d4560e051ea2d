"""Wire bytes to a checked Arrow table: zstd with a size limit, then every column as `model.wire.TABLES` declares it."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from osmia.model.wire import ADDED, TABLES, Kind, Table
from osmia.server.ingest.errors import BadBatchError, TooLargeError

__all__ = ["MAX_ROWS", "decode"]

MAX_ROWS = 100_000
"""Rows of one batch; an insert of the store is atomic up to about that size."""

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

_NEUTRAL: dict[Kind, object] = {
    Kind.BOOL: False,
    Kind.STRING: "",
    Kind.LIST_UINT16: [],
    Kind.LIST_UINT64: [],
    Kind.LIST_STRING: [],
}
"""What stands in a column that an older agent did not send; 0 in one of numbers."""

# Lists that belong together, element by element.
_PARALLEL: Mapping[Table, tuple[tuple[str, ...], ...]] = {
    Table.WINDOWS: (("buckets", "bucket_counts"),),
    Table.LEDGER: (
        ("lost_causes", "lost_counts"),
        ("bpf_programs", "bpf_program_ns"),
        ("features", "feature_states", "feature_reasons"),
        ("unseen_commands", "unseen_counts"),
        ("step_ns", "step_from", "step_to", "step_causes"),
    ),
    Table.CONNECTIONS: (("connect_buckets", "connect_counts"), ("rtt_buckets", "rtt_counts")),
}

_LATEST_NS = 4_102_444_800 * 10**9  # the year 2100
_NANOSECONDS = {
    Table.WINDOWS: ("first_ns", "last_ns"),
    Table.REQUESTS: ("time_ns",),
    Table.OBJECTS: ("seen_ns", "created_ns", "deleted_ns"),
    Table.LEDGER: ("time_ns", "started_ns"),
    Table.CONNECTIONS: ("first_ns", "last_ns"),
    Table.LISTENERS: (),
}

# The column that says when, and its ticks per second. Rows far from now would land in partitions of their own, of
# which one insert may touch only so many, and would be dropped as too old at the next merge.
_WHEN = {
    Table.WINDOWS: ("start_s", 1),
    Table.REQUESTS: ("time_ns", 10**9),
    Table.OBJECTS: ("seen_ns", 10**9),
    Table.LEDGER: ("time_ns", 10**9),
    Table.CONNECTIONS: ("start_s", 1),
    Table.LISTENERS: ("start_s", 1),
}
_OLDEST_S = 3 * 86_400
_AHEAD_S = 3_600


def decode(table: Table, payload: bytes, *, max_bytes: int, now_s: float) -> pa.Table:
    """The rows of one compressed Arrow IPC stream, exactly the declared columns in their order.

    Raises:
        TooLargeError: more than `max_bytes` decompressed, or more than `MAX_ROWS` rows.
        BadBatchError: not zstd, not Arrow, cut off, with other columns than declared, or far from `now_s`.
    """
    rows = _columns(table, _read(table, _decompress(payload, max_bytes)))
    if rows.num_rows > MAX_ROWS:
        raise TooLargeError(
            table.value, str(rows.num_rows), "too many rows", cause="too_large", remedy=f"send at most {MAX_ROWS}"
        )
    _check_lists(table, rows)
    _check_times(table, rows, now_s)
    return rows


def _decompress(payload: bytes, max_bytes: int) -> bytes:
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(payload)
        data = reader.read(max_bytes + 1)
    except zstandard.ZstdError as exc:
        raise BadBatchError(
            "body", payload[:8].hex(), f"not zstd: {exc}", cause="encoding", remedy="compress with zstd (model/wire.py)"
        ) from exc
    if len(data) > max_bytes:
        raise TooLargeError(
            "body", f"more than {max_bytes} bytes", "too large", cause="too_large", remedy="send smaller batches"
        )
    return data


def _read(table: Table, data: bytes) -> pa.Table:
    try:
        with pa.ipc.open_stream(data) as reader:
            rows = reader.read_all()
        rows.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise BadBatchError(
            table.value,
            f"{len(data)} bytes",
            f"not a complete Arrow IPC stream: {str(exc)[:200]}",
            cause="arrow",
            remedy="send one whole stream as model/wire.py encodes it",
        ) from exc
    return rows


def _columns(table: Table, rows: pa.Table) -> pa.Table:
    declared = TABLES[table]
    for name in rows.column_names:
        if name not in declared:
            raise _bad_column(table, name, "not a column of this table", "send the columns of model/wire.py")
    if len(set(rows.column_names)) != len(rows.column_names):
        raise _bad_column(table, ",".join(rows.column_names), "a column stands twice", "send each once")
    columns = []
    for name, kind in declared.items():
        if name not in rows.column_names and name in ADDED.get(table, ()):
            columns.append(pa.repeat(pa.scalar(_NEUTRAL.get(kind, 0), _TYPES[kind]), rows.num_rows))
            continue
        if name not in rows.column_names:
            raise _bad_column(table, name, "the column is missing", "send all columns of model/wire.py")
        column = rows.column(name)
        wanted = _TYPES[kind]
        if not column.type.equals(wanted):
            raise _bad_column(table, name, f"has type {column.type}", f"send {kind.value}")
        if column.null_count:
            raise _bad_column(table, name, f"has {column.null_count} nulls", "send empty strings and zeros")
        columns.append(column)
    return pa.table(columns, names=list(declared))


def _check_lists(table: Table, rows: pa.Table) -> None:
    for first, *others in _PARALLEL.get(table, ()):
        lengths = pc.list_value_length(rows.column(first))
        for name in others:
            if not lengths.equals(pc.list_value_length(rows.column(name))):
                raise _bad_column(table, name, f"not as long as {first}", "send one value for each")


def _check_times(table: Table, rows: pa.Table, now_s: float) -> None:
    if not rows.num_rows:
        return
    name, ticks = _WHEN[table]
    bounds = pc.min_max(rows.column(name)).as_py()
    for seconds in (bounds["min"] / ticks, bounds["max"] / ticks):
        if not now_s - _OLDEST_S <= seconds <= now_s + _AHEAD_S:
            raise _bad_column(
                table, name, f"{seconds:.0f} s is too far from now ({now_s:.0f} s)", "set the clock of the agent's node"
            )
    for name in _NANOSECONDS[table]:
        latest = pc.max(rows.column(name)).as_py()
        if latest > _LATEST_NS:
            raise _bad_column(table, name, f"{latest} is after the year 2100", "send Unix time in ns")


def _bad_column(table: Table, column: str, problem: str, remedy: str) -> BadBatchError:
    return BadBatchError(f"{table.value}.{column}", column, problem, cause="columns", remedy=remedy)
