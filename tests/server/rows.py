"""Wire rows with defaults, so that a test names only what it is about."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from osmia.model.histogram import bucket_of
from osmia.model.wire import ADDED, TABLES, Table, compress, encode

__all__ = [
    "NS",
    "body",
    "columns",
    "connection_row",
    "entity",
    "ledger_row",
    "listener_row",
    "object_row",
    "request_row",
    "window_row",
]

NS = 10**9
Row = dict[str, Any]


def entity(end: str, identifier: str, **known: object) -> Row:
    """The eight columns of one end, from kind/namespace/name."""
    kind, namespace, name = identifier.split("/", 2)
    fields: Row = {"pod": "", "container": "", "node": "", "service": "", "ip": name if kind == "External" else ""}
    fields |= {"kind": kind, "namespace": namespace, "name": name, **known}
    return {f"{end}_{field}": value for field, value in fields.items()}


def window_row(
    *,
    start_s: int,
    source: str = "Deployment/shop/web",
    target: str = "Deployment/shop/cart",
    latencies_ns: Sequence[int] = (1_000_000,),
    **known: object,
) -> Row:
    """One row of `windows` whose requests have these latencies, spread from the start of the window."""
    histogram = _histogram(latencies_ns)
    count = len(latencies_ns)
    return {
        "start_s": start_s,
        "role": "server",
        "protocol": "http",
        "is_tls": False,
        **entity("source", source),
        **entity("destination", target),
        "server_port": 8080,
        "method": "GET",
        "template": "/",
        "status": "200",
        "count": count,
        "errors": 0,
        "latency_sum_ns": sum(latencies_ns),
        "latency_max_ns": max(latencies_ns),
        "request_bytes": 100 * count,
        "response_bytes": 1_000 * count,
        "first_ns": start_s * NS,
        "last_ns": start_s * NS + count * 1_000,
        "buckets": sorted(histogram),
        "bucket_counts": [histogram[bucket] for bucket in sorted(histogram)],
        **known,
    }


def request_row(
    *, time_ns: int, source: str = "Deployment/shop/web", target: str = "Deployment/shop/cart", **known: object
) -> Row:
    """One row of `requests`."""
    return {
        "time_ns": time_ns,
        "role": "server",
        "protocol": "http",
        "is_tls": False,
        **entity("source", source),
        **entity("destination", target),
        "server_port": 8080,
        "method": "GET",
        "template": "/",
        "status": "200",
        "client_port": 40_000,
        "pid": 7,
        "command": "cart",
        "target": "",
        "is_error": False,
        "latency_ns": 1_000_000,
        "transfer_ns": 0,
        "request_bytes": 100,
        "response_bytes": 1_000,
        "weight": 1,
        **known,
    }


def object_row(*, kind: str, name: str, namespace: str = "shop", seen_ns: int = 0, **known: object) -> Row:
    """One row of `objects`, seen now unless told otherwise."""
    return {
        "seen_ns": seen_ns or time.time_ns(),
        "uid": f"{kind}/{namespace}/{name}",
        "kind": kind,
        "namespace": namespace,
        "name": name,
        "node": "node-1",
        "workload_kind": "",
        "workload_name": "",
        "phase": "",
        "ips": (),
        "replicas_desired": 0,
        "replicas_ready": 0,
        "created_ns": 1,
        "deleted_ns": 0,
        **known,
    }


_LATER = ADDED[Table.LEDGER]


def ledger_row(*, time_ns: int, lost: Mapping[str, int] | None = None, **known: object) -> Row:
    """One row of `ledger`."""
    lost = lost or {}
    return {
        "time_ns": time_ns,
        "node": "node-1",
        "version": "1.2.3",
        "started_ns": time_ns - 3_600 * NS,
        "seen": 100,
        "exported": 100,
        "lost_causes": list(lost),
        "lost_counts": list(lost.values()),
        "lag_ns": 1_500_000_000,
        "cpu_ns": 0,
        "rss_bytes": 64 << 20,
        **{name: [] if "list" in kind.value else 0 for name, kind in TABLES[Table.LEDGER].items() if name in _LATER},
        "level": "full",
        "export_error": "",
        **known,
    }


def connection_row(
    *,
    start_s: int,
    source: str = "Deployment/shop/web",
    target: str = "Deployment/shop/cart",
    connects_ns: Sequence[int] = (1_000_000,),
    **known: object,
) -> Row:
    """One row of `connections`, seen by the client: connects of these durations, all closed, each 50 us away."""
    connects, trips = _histogram(connects_ns), _histogram([50_000] * len(connects_ns))
    count = len(connects_ns)
    sums = dict.fromkeys(("refused", "timed_out", "unreachable", "failed_otherwise", "cancelled", "active_ms"), 0)
    sums |= dict.fromkeys(("retransmits", "client_resets", "server_resets"), 0)
    return {
        "start_s": start_s,
        "role": "client",
        **entity("source", source),
        **entity("destination", target),
        "server_port": 8080,
        "opened": count,
        "closed": count,
        **sums,
        "client_bytes": 100 * count,
        "server_bytes": 1_000 * count,
        "segments": 2 * count,
        "connect_sum_ns": sum(connects_ns),
        "rtt_sum_ns": 50_000 * count,
        "first_ns": start_s * NS,
        "last_ns": start_s * NS + count * 1_000,
        "connect_buckets": sorted(connects),
        "connect_counts": [connects[bucket] for bucket in sorted(connects)],
        "rtt_buckets": sorted(trips),
        "rtt_counts": [trips[bucket] for bucket in sorted(trips)],
        **known,
    }


def listener_row(*, start_s: int, **known: object) -> Row:
    """One row of `listeners`: a queue that held three of four."""
    return {
        "start_s": start_s,
        "kind": "Deployment",
        "namespace": "shop",
        "name": "cart",
        "pod": "cart-1",
        "node": "node-1",
        "port": 8080,
        "dropped": 0,
        "waiting": 3,
        "waiting_max": 4,
        **known,
    }


def _histogram(values_ns: Sequence[int]) -> dict[int, int]:
    histogram: dict[int, int] = {}
    for value_ns in values_ns:
        histogram[bucket_of(value_ns)] = histogram.get(bucket_of(value_ns), 0) + 1
    return histogram


def columns(table: Table, rows: Sequence[Row]) -> dict[str, list[object]]:
    """Rows as the columns that `osmia.model.wire.encode` takes."""
    return {name: [row[name] for row in rows] for name in TABLES[table]}


def body(table: Table, rows: Sequence[Row]) -> bytes:
    """Rows as the body of a POST."""
    return compress(encode(table, columns(table, rows)))
