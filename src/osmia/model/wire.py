"""What travels from agent to server: six tables as Arrow IPC streams, declared once here.

The agent writes with nanoarrow (3 MB of memory where pyarrow takes 76: docs/decisions/0003), the server reads
with pyarrow straight into the store. One HTTP POST carries one table; its number makes a retry harmless.

    POST /api/v1/ingest/{table}
    Authorization: Bearer <ingest key of the cluster>
    Osmia-Cluster: <monitoring id>     Osmia-Agent: <agent id>     Osmia-Sequence: <n>
    Content-Type: application/vnd.apache.arrow.stream     Content-Encoding: zstd
"""

from __future__ import annotations

import enum
import functools
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import nanoarrow as na
import numpy as np
import zstandard
from nanoarrow.ipc import StreamWriter
from numpy.typing import NDArray

__all__ = [
    "ADDED",
    "CONTENT_ENCODING",
    "CONTENT_TYPE",
    "TABLES",
    "Column",
    "Kind",
    "Repeated",
    "Table",
    "compress",
    "encode",
    "ingest_headers",
]

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
CONTENT_ENCODING = "zstd"


@dataclass(frozen=True, slots=True)
class Repeated:
    """A column of few different values: row i has `values[index[i]]`."""

    values: Sequence[object]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[object]:
        return map(self.values.__getitem__, self.index.tolist())


Column = Sequence[object] | NDArray[Any] | Repeated
"""Values of one column."""


class Table(enum.StrEnum):
    """The tables of the wire."""

    WINDOWS = "windows"
    REQUESTS = "requests"
    OBJECTS = "objects"
    LEDGER = "ledger"
    CONNECTIONS = "connections"
    LISTENERS = "listeners"


class Kind(enum.Enum):
    """Type of a column."""

    BOOL = "bool"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    STRING = "string"
    LIST_UINT16 = "list<uint16>"
    LIST_UINT64 = "list<uint64>"
    LIST_STRING = "list<string>"


def _entity(end: str) -> dict[str, Kind]:
    return {
        f"{end}_kind": Kind.STRING,
        f"{end}_namespace": Kind.STRING,
        f"{end}_name": Kind.STRING,
        f"{end}_pod": Kind.STRING,
        f"{end}_container": Kind.STRING,
        f"{end}_node": Kind.STRING,
        f"{end}_service": Kind.STRING,
        f"{end}_ip": Kind.STRING,
    }


_EDGE: dict[str, Kind] = {
    "role": Kind.STRING,
    "protocol": Kind.STRING,
    "is_tls": Kind.BOOL,
    **_entity("source"),
    **_entity("destination"),
    "server_port": Kind.UINT16,
    "method": Kind.STRING,
    "template": Kind.STRING,
    "status": Kind.STRING,
}

TABLES: Mapping[Table, Mapping[str, Kind]] = MappingProxyType(
    {
        # One row per edge x endpoint x status x window; additive, see model/window.py.
        Table.WINDOWS: {
            "start_s": Kind.UINT32,
            **_EDGE,
            "count": Kind.UINT64,
            "errors": Kind.UINT64,
            "latency_sum_ns": Kind.UINT64,
            "latency_max_ns": Kind.UINT64,
            "request_bytes": Kind.UINT64,
            "response_bytes": Kind.UINT64,
            "first_ns": Kind.UINT64,
            "last_ns": Kind.UINT64,
            "buckets": Kind.LIST_UINT16,
            "bucket_counts": Kind.LIST_UINT64,
        },
        # One row per request, or per `weight` requests.
        Table.REQUESTS: {
            "time_ns": Kind.UINT64,
            **_EDGE,
            "client_port": Kind.UINT16,
            "pid": Kind.UINT32,
            "command": Kind.STRING,
            "target": Kind.STRING,
            "is_error": Kind.BOOL,
            "latency_ns": Kind.UINT64,
            "transfer_ns": Kind.UINT64,
            "request_bytes": Kind.UINT64,
            "response_bytes": Kind.UINT64,
            "weight": Kind.UINT64,
        },
        # The Kubernetes objects this agent knows; newest row per uid wins.
        Table.OBJECTS: {
            "seen_ns": Kind.UINT64,
            "uid": Kind.STRING,
            "kind": Kind.STRING,
            "namespace": Kind.STRING,
            "name": Kind.STRING,
            "node": Kind.STRING,
            "workload_kind": Kind.STRING,
            "workload_name": Kind.STRING,
            "phase": Kind.STRING,
            "ips": Kind.LIST_STRING,
            "replicas_desired": Kind.UINT32,
            "replicas_ready": Kind.UINT32,
            "created_ns": Kind.UINT64,
            "deleted_ns": Kind.UINT64,
        },
        # What the agent says of itself, every flush; counters run from the agent's start.
        Table.LEDGER: {
            "time_ns": Kind.UINT64,
            "node": Kind.STRING,
            "version": Kind.STRING,
            "started_ns": Kind.UINT64,
            "seen": Kind.UINT64,
            "exported": Kind.UINT64,
            "lost_causes": Kind.LIST_STRING,
            "lost_counts": Kind.LIST_UINT64,
            "lag_ns": Kind.UINT64,
            "cpu_ns": Kind.UINT64,
            "rss_bytes": Kind.UINT64,
            "bpf_ns": Kind.UINT64,
            "bpf_programs": Kind.LIST_STRING,
            "bpf_program_ns": Kind.LIST_UINT64,
            "events": Kind.UINT64,
            "sampled": Kind.UINT64,
            "sample_every": Kind.UINT32,
            "level": Kind.STRING,
            "queue_bytes": Kind.UINT64,
            "spool_bytes": Kind.UINT64,
            "export_error": Kind.STRING,
            "features": Kind.LIST_STRING,
            "feature_states": Kind.LIST_STRING,
            "feature_reasons": Kind.LIST_STRING,
            "unseen_commands": Kind.LIST_STRING,
            "unseen_counts": Kind.LIST_UINT64,
            "step_ns": Kind.LIST_UINT64,
            "step_from": Kind.LIST_STRING,
            "step_to": Kind.LIST_STRING,
            "step_causes": Kind.LIST_STRING,
        },
        # One row per edge x port x window, whatever is spoken; additive, see model/connection.py.
        Table.CONNECTIONS: {
            "start_s": Kind.UINT32,
            "role": Kind.STRING,
            **_entity("source"),
            **_entity("destination"),
            "server_port": Kind.UINT16,
            "opened": Kind.UINT64,
            "closed": Kind.UINT64,
            "refused": Kind.UINT64,
            "timed_out": Kind.UINT64,
            "unreachable": Kind.UINT64,
            "failed_otherwise": Kind.UINT64,
            "cancelled": Kind.UINT64,
            "active_ms": Kind.UINT64,
            "client_bytes": Kind.UINT64,
            "server_bytes": Kind.UINT64,
            "segments": Kind.UINT64,
            "retransmits": Kind.UINT64,
            "client_resets": Kind.UINT64,
            "server_resets": Kind.UINT64,
            "connect_sum_ns": Kind.UINT64,
            "rtt_sum_ns": Kind.UINT64,
            "first_ns": Kind.UINT64,
            "last_ns": Kind.UINT64,
            "connect_buckets": Kind.LIST_UINT16,
            "connect_counts": Kind.LIST_UINT64,
            "rtt_buckets": Kind.LIST_UINT16,
            "rtt_counts": Kind.LIST_UINT64,
        },
        # One row per listening port x window in which its queue was not empty or dropped something.
        Table.LISTENERS: {
            "start_s": Kind.UINT32,
            "kind": Kind.STRING,
            "namespace": Kind.STRING,
            "name": Kind.STRING,
            "pod": Kind.STRING,
            "node": Kind.STRING,
            "port": Kind.UINT16,
            "dropped": Kind.UINT64,
            "waiting": Kind.UINT32,
            "waiting_max": Kind.UINT32,
        },
    }
)
"""Columns of each table, in order. `source_ip` and `destination_ip` are the addresses after DNAT, as text.

`target` of a request is its raw path or statement, empty except where the agent was told to send it. In the ledger
`bpf_ns` is what our programs took in the kernel, extrapolated from samples (0: not measured); `sample_every` is 1 event
per N requests now (0: none); `unseen_*` are processes whose traffic cannot be seen, by command; the lists `step_*` are
the governor's steps since the last row.
"""


def _behind(table: Table, column: str) -> frozenset[str]:
    names = list(TABLES[table])
    return frozenset(names[names.index(column) + 1 :])


ADDED: Mapping[Table, frozenset[str]] = MappingProxyType(
    {
        Table.REQUESTS: frozenset({"target", "transfer_ns"}),
        Table.LEDGER: _behind(Table.LEDGER, "rss_bytes"),
    }
)
"""Columns that agents of an earlier version do not send; the server fills them with zeros and empty values."""

_FIXED = {Kind.BOOL: na.bool_, Kind.UINT16: na.uint16, Kind.UINT32: na.uint32, Kind.UINT64: na.uint64}
_DTYPES = {Kind.UINT16: np.uint16, Kind.UINT32: np.uint32, Kind.UINT64: np.uint64}
_ITEMS = {
    Kind.LIST_UINT16: Kind.UINT16,
    Kind.LIST_UINT64: Kind.UINT64,
    Kind.LIST_STRING: Kind.STRING,
}


def encode(table: Table, columns: Mapping[str, Column]) -> bytes:
    """One table as an Arrow IPC stream; `columns` has every column of `TABLES[table]`, all of one length."""
    kinds = TABLES[table]
    children = [_array(kind, columns[name]) for name, kind in kinds.items()]
    schema = _table_schema(table)
    rows = len(columns[next(iter(kinds))])
    batch = na.c_array_from_buffers(schema, rows, [None], children=children)
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(batch)
    return out.getvalue()


def ingest_headers(*, cluster: str, key: str, agent: str) -> dict[str, str]:
    """Headers of every batch of an agent; Osmia-Sequence is added per batch."""
    return {
        "Authorization": f"Bearer {key}",
        "Osmia-Cluster": cluster,
        "Osmia-Agent": agent,
        "Content-Type": CONTENT_TYPE,
        "Content-Encoding": CONTENT_ENCODING,
    }


def compress(payload: bytes) -> bytes:
    """The payload as one zstd frame, level 1."""
    return zstandard.ZstdCompressor(level=1).compress(payload)


@functools.cache
def _table_schema(table: Table) -> na.Schema:
    """Making one takes a millisecond."""
    return na.struct({name: _schema(kind) for name, kind in TABLES[table].items()}, nullable=False)


@functools.cache
def _schema(kind: Kind) -> na.Schema:
    if kind in _ITEMS:
        return na.list_(_schema(_ITEMS[kind]))
    return na.string() if kind is Kind.STRING else _FIXED[kind]()


def _array(kind: Kind, values: Column) -> object:
    if isinstance(values, Repeated):
        return _repeated_array(kind, values)
    if kind is Kind.STRING:
        data = [str(value).encode("utf-8", "replace") for value in values]
        return na.c_array_from_buffers(_schema(kind), len(data), [None, _offsets(map(len, data)), b"".join(data)])
    if kind is Kind.BOOL:
        bits = np.packbits(np.asarray(values, dtype=np.bool_), bitorder="little")
        return na.c_array_from_buffers(_schema(kind), len(values), [None, bits.tobytes()])
    if kind in _ITEMS:
        lists: list[Sequence[object]] = list(values)  # type: ignore[arg-type]  # a list column holds sequences
        flat = [item for one in lists for item in one]
        return na.c_array_from_buffers(
            _schema(kind), len(lists), [None, _offsets(map(len, lists))], children=[_array(_ITEMS[kind], flat)]
        )
    numbers = np.asarray(values, dtype=_DTYPES[kind])
    return na.c_array_from_buffers(_schema(kind), len(numbers), [None, numbers.tobytes()])


def _repeated_array(kind: Kind, column: Repeated) -> object:
    if kind is not Kind.STRING:
        return _array(kind, np.asarray(column.values)[column.index])
    data = [str(value).encode("utf-8", "replace") for value in column.values]
    rows = len(column)
    lengths = np.fromiter(map(len, data), dtype=np.int32, count=len(data))[column.index]
    joined = data[0] * rows if len(set(data)) == 1 else b"".join(map(data.__getitem__, column.index.tolist()))
    return na.c_array_from_buffers(_schema(kind), rows, [None, _offsets(lengths), joined])


def _offsets(lengths: Iterable[int] | NDArray[np.int32]) -> bytes:
    counts = lengths if isinstance(lengths, np.ndarray) else np.fromiter(lengths, dtype=np.int32)
    return np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(counts, dtype=np.int32)]).tobytes()
