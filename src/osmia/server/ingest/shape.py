"""From the wire's columns to the store's: adds the cluster, folds parallel lists into maps, drops what is not kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from osmia.model.window import WINDOW_S
from osmia.model.wire import Table

__all__ = ["STORE_TABLES", "shape"]

STORE_TABLES: Mapping[Table, str] = {
    Table.WINDOWS: "endpoint_10s",
    Table.REQUESTS: "requests",
    Table.OBJECTS: "objects",
    Table.LEDGER: "ledger",
    Table.CONNECTIONS: "connection_10s",
    Table.LISTENERS: "listeners",
}
"""Which table of the store takes which table of the wire."""

_WINDOW_COLUMNS = {
    "role": "role",
    "protocol": "protocol",
    "is_tls": "is_tls",
    "source_kind": "source_kind",
    "source_namespace": "source_namespace",
    "source_name": "source_name",
    "destination_kind": "destination_kind",
    "destination_namespace": "destination_namespace",
    "destination_name": "destination_name",
    "destination_service": "destination_service",
    "server_port": "server_port",
    "method": "method",
    "template": "template",
    "status": "status",
    "count": "n",
    "errors": "errors",
    "latency_sum_ns": "latency_sum",
    "latency_max_ns": "latency_max",
    "request_bytes": "request_bytes",
    "response_bytes": "response_bytes",
    "first_ns": "first_ns",
    "last_ns": "last_ns",
}


_CONNECTION_LISTS = ("connect_buckets", "connect_counts", "rtt_buckets", "rtt_counts")
_NOT_KEPT = (
    frozenset({"start_s", *_CONNECTION_LISTS})
    | {f"{end}_{part}" for end in ("source", "destination") for part in ("pod", "container", "node", "ip")}
    | {"source_service"}
)


def shape(table: Table, rows: pa.Table, *, cluster: str, agent: str, token: str) -> pa.Table:
    """The rows as the store's table takes them."""
    shaped = _SHAPES[table](rows, agent, token)
    return shaped.add_column(0, "cluster", pa.repeat(pa.scalar(cluster), rows.num_rows))


def _windows(rows: pa.Table, _agent: str, _token: str) -> pa.Table:
    kept = rows.select(list(_WINDOW_COLUMNS)).rename_columns(list(_WINDOW_COLUMNS.values()))
    kept = kept.append_column("t", _window_starts(rows))
    return kept.append_column("hist", _map(rows, "buckets", "bucket_counts"))


def _connections(rows: pa.Table, _agent: str, _token: str) -> pa.Table:
    kept = rows.select([name for name in rows.column_names if name not in _NOT_KEPT])
    kept = kept.append_column("t", _window_starts(rows))
    kept = kept.append_column("protocol", pa.repeat(pa.scalar("tcp"), rows.num_rows))
    kept = kept.append_column("connect_hist", _map(rows, "connect_buckets", "connect_counts"))
    return kept.append_column("rtt_hist", _map(rows, "rtt_buckets", "rtt_counts"))


def _listeners(rows: pa.Table, _agent: str, _token: str) -> pa.Table:
    return rows.drop_columns(["start_s"]).append_column("t", _window_starts(rows))


def _requests(rows: pa.Table, _agent: str, token: str) -> pa.Table:
    # A stable id per row breaks ties between requests of one nanosecond when paging.
    seed = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")
    ids = np.arange(rows.num_rows, dtype=np.uint64) + np.uint64(seed)
    return rows.append_column("id", pa.array(ids, pa.uint64()))


def _objects(rows: pa.Table, _agent: str, _token: str) -> pa.Table:
    return rows


def _ledger(rows: pa.Table, agent: str, _token: str) -> pa.Table:
    kept = rows.drop_columns(["lost_causes", "lost_counts"])
    kept = kept.append_column("lost", _map(rows, "lost_causes", "lost_counts"))
    return kept.append_column("agent", pa.repeat(pa.scalar(agent), rows.num_rows))


def _window_starts(rows: pa.Table) -> pa.Array:
    starts = rows.column("start_s").to_numpy()
    return pa.array(starts - starts % WINDOW_S, pa.uint32())


def _map(rows: pa.Table, keys: str, values: str) -> pa.Array:
    """Two parallel list columns of equal lengths as one map column."""
    key_lists, value_lists = (rows.column(name).combine_chunks() for name in (keys, values))
    # flatten() honours slices, so offsets are counted anew instead of taken from either column.
    lengths = pc.list_value_length(key_lists).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), key_lists.flatten(), value_lists.flatten())


_SHAPES: Mapping[Table, Callable[[pa.Table, str, str], pa.Table]] = {
    Table.WINDOWS: _windows,
    Table.REQUESTS: _requests,
    Table.OBJECTS: _objects,
    Table.LEDGER: _ledger,
    Table.CONNECTIONS: _connections,
    Table.LISTENERS: _listeners,
}
