"""From windows and requests to the server: numbered batches, kept until acknowledged, within a bound.

A batch is one table, encoded once. Batches leave in order; one that fails for a passing reason stays first and is
retried with a growing, jittered delay (or the server's Retry-After). Numbers begin at the Unix microsecond of the
agent's start, so they grow across restarts and the server can tell a retry from news. When the bound is reached the
oldest batch gives way and its rows are counted as lost.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from osmia.agent.redaction import Redaction
from osmia.model import wire
from osmia.model.entity import Entity, KubernetesObject
from osmia.model.request import Request, Role
from osmia.model.window import EdgeKey, Window
from osmia.telemetry import get_logger

__all__ = [
    "Answer",
    "ExportStatistics",
    "Exporter",
    "Send",
    "object_columns",
    "request_columns",
    "window_columns",
]

_log = get_logger("agent.export")

_FIRST_DELAY_S = 0.2
_LAST_DELAY_S = 15.0
_REFUSED_DELAY_S = 10.0
_SAY_AGAIN_AFTER = 30
"""Failures of one kind in a row after which it is said again: every five minutes or so."""

Columns = dict[str, list[object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: HTTP status (0: not reached), Retry-After in seconds if any, and the text of an error."""

    status: int
    retry_after_s: float | None = None
    text: str = ""


Send = Callable[[wire.Table, int, bytes], Awaitable[Answer]]
"""Posts one compressed table under its number; never raises for network errors."""


@dataclass(frozen=True, slots=True)
class ExportStatistics:
    """Counters since start and the queue now."""

    exported_rows: int = 0
    exported_batches: int = 0
    retries: int = 0
    queued_batches: int = 0
    queued_bytes: int = 0
    lost_queue_full: int = 0
    lost_refused: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class _Batch:
    table: wire.Table
    sequence: int
    rows: int
    payload: bytes


class Exporter:
    """A bounded queue of encoded batches and the loop that empties it."""

    def __init__(self, send: Send, *, first_sequence: int, max_bytes: int) -> None:
        """`first_sequence` must be larger than any number this agent has used before."""
        self._send = send
        self._next_sequence = first_sequence
        self._max_bytes = max_bytes
        self._queue: deque[_Batch] = deque()
        self._queued_bytes = 0
        self._wake = anyio.Event()
        self._statistics = ExportStatistics()
        self._silent_failures = 0

    def statistics(self) -> ExportStatistics:
        """Counters up to now."""
        return replace(self._statistics, queued_batches=len(self._queue), queued_bytes=self._queued_bytes)

    def submit(self, table: wire.Table, columns: Columns) -> None:
        """Queue one batch; an empty one is left out. The oldest batches give way when the queue is full."""
        rows = len(columns[next(iter(wire.TABLES[table]))])
        if rows == 0:
            return
        payload = wire.compress(wire.encode(table, columns))
        self._queue.append(_Batch(table, self._next_sequence, rows, payload))
        self._next_sequence += 1
        self._queued_bytes += len(payload)
        while self._queued_bytes > self._max_bytes and len(self._queue) > 1:
            lost = self._queue.popleft()
            self._queued_bytes -= len(lost.payload)
            self._bump(lost_queue_full=lost.rows)
        self._wake.set()

    async def run(self) -> None:
        """Send batches in order, for ever."""
        delay_s = _FIRST_DELAY_S
        while True:
            if not self._queue:
                self._wake = anyio.Event()
                await self._wake.wait()
            pause_s = await self._send_first(delay_s)
            if pause_s is None:
                delay_s = _FIRST_DELAY_S
                continue
            delay_s = min(delay_s * 2, _LAST_DELAY_S)
            await anyio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    async def drain(self, within_s: float) -> None:
        """Try to send what is queued once more, at most `within_s` seconds; for a clean end."""
        with anyio.move_on_after(within_s):
            while self._queue and await self._send_first(_FIRST_DELAY_S) is None:
                pass

    async def _send_first(self, delay_s: float) -> float | None:
        """Send the oldest batch. None: it is settled; else seconds to wait before trying again."""
        batch = self._queue[0]
        answer = await self._send(batch.table, batch.sequence, batch.payload)
        if answer.status == 200:  # noqa: PLR2004 - OK
            self._settle(batch)
            self._bump(exported_rows=batch.rows, exported_batches=1)
            self._statistics = replace(self._statistics, last_error="")
            return None
        self._note(batch, answer)
        if answer.status in _BATCH_AT_FAULT:
            self._settle(batch)
            self._bump(lost_refused=batch.rows)
            return None
        self._bump(retries=1)
        if answer.status in _WE_ARE_AT_FAULT:
            return _REFUSED_DELAY_S
        return answer.retry_after_s or delay_s

    def _settle(self, batch: _Batch) -> None:
        # The queue may have given this batch up while it was on its way.
        if self._queue and self._queue[0] is batch:
            self._queue.popleft()
            self._queued_bytes -= len(batch.payload)

    def _note(self, batch: _Batch, answer: Answer) -> None:
        error = f"{answer.status or 'no answer'}: {answer.text}".strip()
        self._silent_failures = 0 if error != self._statistics.last_error else self._silent_failures + 1
        if self._silent_failures % _SAY_AGAIN_AFTER == 0:
            _log.warning(
                "batch not taken",
                table=batch.table.value,
                sequence=batch.sequence,
                error=error,
                queued=len(self._queue),
            )
        self._statistics = replace(self._statistics, last_error=error)

    def _bump(self, **by: int) -> None:
        self._statistics = replace(
            self._statistics, **{name: getattr(self._statistics, name) + amount for name, amount in by.items()}
        )


_BATCH_AT_FAULT = frozenset({400, 413, 415, 422})
_WE_ARE_AT_FAULT = frozenset({401, 403, 404, 405})  # key, id or address; a proxy without its server says 404 too


def window_columns(windows: Sequence[Window]) -> Columns:
    """Windows as columns of the wire's `windows`."""
    columns: Columns = _edge_columns([window.key for window in windows])
    columns["start_s"] = [window.start_s for window in windows]
    for name in _WINDOW_NUMBERS:
        columns[name] = [getattr(window, name) for window in windows]
    columns["buckets"] = [sorted(window.histogram) for window in windows]
    columns["bucket_counts"] = [[window.histogram[b] for b in sorted(window.histogram)] for window in windows]
    return columns


def request_columns(requests: Sequence[Request], redaction: Redaction) -> Columns:
    """Requests as columns of the wire's `requests`; only templates travel, and what `redaction` lets through."""
    columns: Columns = _edge_columns(requests)
    for name in _REQUEST_VALUES:
        columns[name] = [getattr(request, name) for request in requests]
    columns["target"] = [redaction.target(one.target, one.source, one.destination) for one in requests]
    columns["client_port"] = [request.client.port for request in requests]
    observers = [r.client_process if r.role is Role.CLIENT else r.server_process for r in requests]
    columns["pid"] = [observer.pid if observer else 0 for observer in observers]
    columns["command"] = [observer.command if observer else "" for observer in observers]
    return columns


def object_columns(objects: Sequence[KubernetesObject], *, seen_ns: int) -> Columns:
    """Kubernetes objects as columns of the wire's `objects`."""
    names = [name for name in wire.TABLES[wire.Table.OBJECTS] if name != "seen_ns"]
    columns: Columns = {name: [getattr(one, name) for one in objects] for name in names}
    columns["seen_ns"] = [seen_ns] * len(objects)
    return columns


_WINDOW_NUMBERS = (
    "count",
    "errors",
    "latency_sum_ns",
    "latency_max_ns",
    "request_bytes",
    "response_bytes",
    "first_ns",
    "last_ns",
)
_REQUEST_VALUES = ("time_ns", "is_error", "latency_ns", "request_bytes", "response_bytes", "weight")
_ENTITY_VALUES = ("kind", "namespace", "name", "pod", "container", "node", "service", "ip")
_EDGE_VALUES = ("role", "protocol", "is_tls", "server_port", "method", "template", "status")


def _edge_columns(rows: Sequence[EdgeKey] | Sequence[Request]) -> Columns:
    columns: Columns = {name: [getattr(row, name) for row in rows] for name in _EDGE_VALUES}
    for end in ("source", "destination"):
        entities: list[Entity] = [getattr(row, end) for row in rows]
        for name in _ENTITY_VALUES:
            columns[f"{end}_{name}"] = [getattr(entity, name) for entity in entities]
    return columns
