"""From windows and requests to the server: numbered batches, kept until acknowledged, within a bound.

A batch is one table, encoded once. It waits in memory, and on disk (`spool.py`) while the server takes nothing: then
only the newest few stay in memory, so that a killed agent loses seconds and not the outage. When the server is back,
what is fresh goes its way at once, and beside it the spool, oldest first: the live map recovers and history follows.
A batch that fails for a passing reason is retried under its number with a growing, jittered delay (or the server's
Retry-After). Whatever gives way is counted: requests of lost windows by cause, rows of the request list as
`list_rows`.

Numbers begin at random (`first_sequence`), not at a time: a clock that was set back between two starts must not make
the server take news for repetitions.
"""

from __future__ import annotations

import random
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio
import anyio.to_thread
import numpy as np

from osmia.agent.post import Answer, Send
from osmia.agent.redaction import Redaction
from osmia.agent.requests import Endpoint, Requests
from osmia.agent.spool import Batch, Spool, SpoolStatistics
from osmia.model import wire
from osmia.model.entity import Entity, KubernetesObject
from osmia.model.errors import UnavailableError
from osmia.model.window import EdgeKey, Window
from osmia.telemetry import get_logger

__all__ = [
    "ExportStatistics",
    "Exporter",
    "first_sequence",
    "object_columns",
    "request_columns",
    "window_columns",
]

_log = get_logger("agent.export")

_FIRST_DELAY_S = 0.2
_LAST_DELAY_S = 5.0
_REFUSED_DELAY_S = 10.0
_SAY_AGAIN_AFTER = 30
"""Failures of one kind in a row after which it is said again: every few minutes."""
_FRESH_BATCHES = 8
"""How many stay in memory while the rest lies in the spool: what gathers in about two reports."""
_SPOOL_AGAIN_S = 30.0
_REPLAYED_AT_ONCE = 4
"""The server stores what comes together by one insert, so a few at once cost it little more than one."""

Columns = Mapping[str, wire.Column]


@dataclass(frozen=True, slots=True)
class ExportStatistics:
    """Counters since start, and the queue and spool now; `lost_*` are requests counted by lost windows."""

    exported_rows: int = 0
    exported_batches: int = 0
    replayed_batches: int = 0
    retries: int = 0
    queued_batches: int = 0
    queued_bytes: int = 0
    lost_queue_full: int = 0
    lost_refused: int = 0
    lost_list_rows: int = 0
    last_error: str = ""
    spool_error: str = ""
    spool: SpoolStatistics = field(default_factory=SpoolStatistics)


def first_sequence() -> int:
    """Where the numbers of a run begin: 2^62 places for a few million numbers, so that no two runs meet."""
    return secrets.randbits(62)


class Exporter:
    """A bounded queue of encoded batches, the spool behind it, and the loops that empty both."""

    def __init__(
        self, send: Send, *, first_sequence: int, max_bytes: int, open_spool: Callable[[], Spool] | None = None
    ) -> None:
        """`first_sequence` begins numbers that no earlier run has used; without `open_spool` memory is all there is."""
        self._send = send
        self._next_sequence = first_sequence
        self._max_bytes = max_bytes
        self._open_spool = open_spool
        self._spool: Spool | None = None
        self._spool_due_s = 0.0
        self._spool_turn = anyio.Lock()
        self._queue: deque[Batch] = deque()
        self._queued_bytes = 0
        self._in_flight = 0
        self._failures = 0
        self._silent_failures = 0
        self._wake = anyio.Event()
        self._spill_wake = anyio.Event()
        self._replay_wake = anyio.Event()
        self._statistics = ExportStatistics()

    def statistics(self) -> ExportStatistics:
        """Counters up to now."""
        spool = SpoolStatistics() if self._spool is None else self._spool.statistics()
        return replace(
            self._statistics,
            queued_batches=len(self._queue) + self._in_flight,
            queued_bytes=self._queued_bytes,
            spool=spool,
        )

    def submit(self, table: wire.Table, columns: Columns) -> None:
        """Queue one batch; an empty one is left out. The oldest batches give way when the queue is full."""
        rows = len(columns[next(iter(wire.TABLES[table]))])
        if rows == 0:
            return
        payload = wire.compress(wire.encode(table, columns))
        requests = sum(int(str(count)) for count in columns["count"]) if table is wire.Table.WINDOWS else 0
        self._queue.append(Batch(table, self._next_sequence, rows, requests, payload))
        self._next_sequence += 1
        self._queued_bytes += len(payload)
        self._keep_bound()
        self._wake.set()
        self._spill_wake.set()

    async def run(self) -> None:
        """Send batches and spill what must wait, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send_loop)
            if self._open_spool is not None:
                tasks.start_soon(self._spill_loop)
                tasks.start_soon(self._replay_loop)

    async def finish(self, within_s: float) -> None:
        """Try to send what is queued once more, at most `within_s` seconds, and spool the rest; for a clean end."""
        with anyio.move_on_after(within_s):
            while self._queue and await self._send_queued(_FIRST_DELAY_S) is None:
                pass
        self._spool_due_s = 0.0
        while self._queue and await self._spill_oldest():
            pass
        if self._queue:
            _log.warning("ending with batches that no server took", batches=len(self._queue), bytes=self._queued_bytes)
        if self._spool is not None:
            self._spool.close()

    async def _send_loop(self) -> None:
        """What is fresh, in order."""
        delay_s = _FIRST_DELAY_S
        while True:
            if not self._queue:
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            pause_s = await self._send_queued(delay_s)
            if pause_s is None:
                delay_s = _FIRST_DELAY_S
                continue
            delay_s = min(delay_s * 2, _LAST_DELAY_S)
            await _sleep(pause_s)

    async def _replay_loop(self) -> None:
        """What lies on disk, oldest first, a few at once; what is fresh finds out whether the server is back."""
        delay_s = _FIRST_DELAY_S
        while True:
            if self._spool is None or not len(self._spool) or (self._failures and self._has_fresh()):
                self._replay_wake = anyio.Event()
                await self._replay_wake.wait()
                continue
            pause_s = await self._replay(self._spool, delay_s)
            if pause_s is None:
                delay_s = _FIRST_DELAY_S
                continue
            delay_s = min(delay_s * 2, _LAST_DELAY_S)
            await _sleep(pause_s)

    def _has_fresh(self) -> bool:
        return bool(self._queue) or self._in_flight > 0

    async def _send_queued(self, delay_s: float) -> float | None:
        """Send the oldest batch in memory. None: it is settled; else seconds to wait before trying again."""
        batch = self._queue.popleft()
        self._in_flight = 1
        is_settled = False
        try:
            pause_s = await self._send_one(batch, delay_s)
            is_settled = pause_s is None
        finally:
            self._in_flight = 0
            if is_settled:
                self._queued_bytes -= len(batch.payload)
            else:
                self._queue.appendleft(batch)
                self._keep_bound()
        return pause_s

    async def _replay(self, spool: Spool, delay_s: float) -> float | None:
        """Send the oldest few on disk. None: they are settled; else seconds to wait before trying again."""
        async with self._spool_turn:
            batches = await anyio.to_thread.run_sync(spool.oldest, _REPLAYED_AT_ONCE)
        pauses: list[float] = []

        async def send(batch: Batch) -> None:
            pause_s = await self._send_one(batch, delay_s)
            if pause_s is not None:
                pauses.append(pause_s)
                return
            self._bump(replayed_batches=1)
            async with self._spool_turn:
                await anyio.to_thread.run_sync(spool.drop, batch)

        async with anyio.create_task_group() as tasks:
            for batch in batches:
                tasks.start_soon(send, batch)
        return max(pauses, default=None)

    async def _send_one(self, batch: Batch, delay_s: float) -> float | None:
        answer = await self._send(batch.table, batch.sequence, batch.payload)
        if answer.status == 200:  # noqa: PLR2004 - OK
            self._bump(exported_rows=batch.rows, exported_batches=1)
            self._note_success()
            return None
        self._note_failure(batch, answer)
        if answer.status in _BATCH_AT_FAULT:
            self._count_lost("lost_refused", batch)
            return None
        self._failures += 1
        self._spill_wake.set()
        self._bump(retries=1)
        if answer.status in _WE_ARE_AT_FAULT:
            return _REFUSED_DELAY_S
        return answer.retry_after_s or delay_s

    async def _spill_loop(self) -> None:
        """Open the spool at once, for what an earlier run left there; then move to it what must wait, for ever."""
        while True:
            if not await self._has_spool():
                await anyio.sleep(_SPOOL_AGAIN_S)
                continue
            while self._must_spill() and await self._spill_oldest():
                pass
            self._spill_wake = anyio.Event()
            with anyio.move_on_after(_SPOOL_AGAIN_S):
                await self._spill_wake.wait()

    def _must_spill(self) -> bool:
        is_away = self._failures > 0 and len(self._queue) > _FRESH_BATCHES
        return is_away or (self._queued_bytes > self._max_bytes / 2 and bool(self._queue))

    async def _spill_oldest(self) -> bool:
        """Move the oldest batch in memory to the disk; false if that cannot be."""
        if not await self._has_spool() or self._spool is None:
            return False
        async with self._spool_turn:
            if not self._queue:
                return False
            batch = self._queue.popleft()
            try:
                with anyio.CancelScope(shield=True):  # a batch is on disk or in memory, never in between
                    await anyio.to_thread.run_sync(self._spool.put, batch)
            except UnavailableError as exc:
                self._queue.appendleft(batch)
                self._keep_bound()
                self._note_spool_failure(exc)
                return False
        self._queued_bytes -= len(batch.payload)
        self._note_spool_success()
        self._replay_wake.set()
        return True

    async def _has_spool(self) -> bool:
        """Open the spool if it is not; after a failure not before some time has passed."""
        if self._open_spool is None or anyio.current_time() < self._spool_due_s:
            return False
        if self._spool is not None:
            return True
        try:
            self._spool = await anyio.to_thread.run_sync(self._open_spool)
        except UnavailableError as exc:
            self._note_spool_failure(exc)
            return False
        if len(self._spool):
            _log.info("batches of an earlier run wait in the spool", batches=len(self._spool))
            self._replay_wake.set()
        self._note_spool_success()
        return True

    def _keep_bound(self) -> None:
        while self._queued_bytes > self._max_bytes and len(self._queue) > 1:
            lost = self._queue.popleft()
            self._queued_bytes -= len(lost.payload)
            self._count_lost("lost_queue_full", lost)

    def _count_lost(self, cause: str, batch: Batch) -> None:
        self._bump(**{cause: batch.requests}, lost_list_rows=batch.rows if batch.table is wire.Table.REQUESTS else 0)

    def _note_success(self) -> None:
        if self._failures:
            waiting = len(self._spool) if self._spool is not None else 0
            _log.info("the server takes batches again", queued=len(self._queue), spooled=waiting)
        self._failures = 0
        self._replay_wake.set()
        self._statistics = replace(self._statistics, last_error="")

    def _note_failure(self, batch: Batch, answer: Answer) -> None:
        error = f"{answer.status or 'no answer'}: {answer.text}".strip()
        self._silent_failures = 0 if error != self._statistics.last_error else self._silent_failures + 1
        if self._silent_failures % _SAY_AGAIN_AFTER == 0:
            _log.warning(
                _WHAT_IS_WRONG.get(answer.status, "batch not taken"),
                table=batch.table.value,
                sequence=batch.sequence,
                error=error,
                queued=len(self._queue),
            )
        self._statistics = replace(self._statistics, last_error=error)

    def _note_spool_failure(self, exc: UnavailableError) -> None:
        if not self._statistics.spool_error:
            _log.warning("no spool: batches wait in memory", error=str(exc), try_again_s=_SPOOL_AGAIN_S)
        self._spool_due_s = anyio.current_time() + _SPOOL_AGAIN_S
        self._statistics = replace(self._statistics, spool_error=exc.message)

    def _note_spool_success(self) -> None:
        if self._statistics.spool_error:
            _log.info("the spool can be written again")
            self._statistics = replace(self._statistics, spool_error="")

    def _bump(self, **by: int) -> None:
        self._statistics = replace(
            self._statistics, **{name: getattr(self._statistics, name) + amount for name, amount in by.items()}
        )


async def _sleep(pause_s: float) -> None:
    await anyio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret


_BATCH_AT_FAULT = frozenset({400, 413, 415, 422})
# Key, id or address; a proxy without its server says 404 too, and a login page in between redirects.
_WE_ARE_AT_FAULT = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405})
_WHAT_IS_WRONG = {
    401: "the server refuses the key; data is kept until the key is right",
    400: "the server refuses this batch; it is dropped and counted",
    413: "this batch is too large for the server or a proxy; it is dropped and counted",
}


def window_columns(windows: Sequence[Window]) -> Columns:
    """Windows as columns of the wire's `windows`."""
    columns: dict[str, wire.Column] = {**_edge_columns([window.key for window in windows])}
    columns["start_s"] = [window.start_s for window in windows]
    for name in _WINDOW_NUMBERS:
        columns[name] = [getattr(window, name) for window in windows]
    columns["buckets"] = [sorted(window.histogram) for window in windows]
    columns["bucket_counts"] = [[window.histogram[b] for b in sorted(window.histogram)] for window in windows]
    return columns


def request_columns(requests: Requests, redaction: Redaction) -> Columns:
    """Requests as columns of the wire's `requests`; only templates travel, and what `redaction` lets through."""
    rows, groups = requests.rows, requests.groups
    places: dict[Endpoint, int] = {}
    endpoint_of = np.array([places.setdefault(one.endpoint, len(places)) for one in groups], dtype=np.int64)
    endpoints, index = list(places), endpoint_of[rows["group"]]
    keys = [one.key for one in endpoints]
    columns: dict[str, wire.Column] = {
        name: wire.Repeated(values, index) for name, values in _edge_columns(keys).items()
    }
    columns["is_error"] = wire.Repeated([one.is_error for one in endpoints], index)
    for name in _REQUEST_NUMBERS:
        columns[name] = rows[name]
    may_travel = np.array([bool(redaction.target("x", key.source, key.destination)) for key in keys], dtype=np.bool_)
    columns["target"] = (
        [text if may else "" for text, may in zip(requests.targets, may_travel[index].tolist(), strict=True)]
        if may_travel.any()
        else wire.Repeated([""], np.zeros(len(rows), dtype=np.int64))
    )
    processes = [one.pair.near_process for one in groups]
    columns["client_port"] = wire.Repeated([one.pair.client.port for one in groups], rows["group"])
    columns["pid"] = wire.Repeated([one.pid if one else 0 for one in processes], rows["group"])
    columns["command"] = wire.Repeated([one.command if one else "" for one in processes], rows["group"])
    return columns


def object_columns(objects: Sequence[KubernetesObject], *, seen_ns: int) -> Columns:
    """Kubernetes objects as columns of the wire's `objects`."""
    names = [name for name in wire.TABLES[wire.Table.OBJECTS] if name != "seen_ns"]
    columns: dict[str, wire.Column] = {name: [getattr(one, name) for one in objects] for name in names}
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
_REQUEST_NUMBERS = ("time_ns", "latency_ns", "transfer_ns", "request_bytes", "response_bytes", "weight")
_ENTITY_VALUES = ("kind", "namespace", "name", "pod", "container", "node", "service", "ip")
_EDGE_VALUES = ("role", "protocol", "is_tls", "server_port", "method", "template", "status")


def _edge_columns(keys: Sequence[EdgeKey]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {name: [getattr(key, name) for key in keys] for name in _EDGE_VALUES}
    for end in ("source", "destination"):
        entities: list[Entity] = [getattr(key, end) for key in keys]
        for name in _ENTITY_VALUES:
            columns[f"{end}_{name}"] = [getattr(entity, name) for entity in entities]
    return columns
