"""The bounded way into the store: batches of many agents become few inserts, each counted exactly once.

An idle table stores a batch at once; a busy one collects what arrives for `batch_ms` or until `batch_rows`. A batch
is acknowledged when the insert of its group is done and its receipt is written. What fails for a passing reason is
repeated here, under the same token, until it succeeds: giving up in between could leave half of it in a rollup.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import pyarrow as pa

from osmia.server.ingest.errors import BadBatchError, NotStoredError
from osmia.server.ingest.journal import Group, Journal
from osmia.server.ingest.shape import STORE_TABLES
from osmia.server.metrics import ServerMetrics
from osmia.server.storage.metadata import MetadataStore
from osmia.server.storage.store import QueryError, Store
from osmia.telemetry import get_logger

__all__ = ["Pace", "Writer"]

_log = get_logger("writer")

# ClickHouse's codes for what the same data may survive: time-out, socket time-out, network, memory, disk, parts,
# read-only; 0 is a connection that broke.
_PASSING = frozenset({0, 159, 209, 210, 241, 242, 243, 252, 1002})
_FIRST_PAUSE_S = 0.2
_LAST_PAUSE_S = 5.0
_RETRY_AFTER_S = 2
_LATELY = 10_000
_RECEIPTS_KEPT_MS = 24 * 3_600 * 1_000
_TIDY_EVERY_S = 3_600


@dataclass(frozen=True, slots=True)
class Pace:
    """How batches are collected, and how much may wait."""

    queue_rows: int
    batch_rows: int
    batch_s: float
    patience_s: float = 10.0
    """How long one POST waits for its acknowledgement before it is told to come back."""


@dataclass(slots=True)
class _Waiting:
    """One batch on its way; `failure` says why it will never be stored."""

    token: str
    rows: pa.Table
    done: anyio.Event = field(default_factory=anyio.Event)
    failure: BadBatchError | None = None


class _Queue:
    """Batches of one table, in order of arrival."""

    def __init__(self) -> None:
        self.batches: deque[_Waiting] = deque()
        self.rows = 0
        self.arrived = anyio.Event()
        self.filled = anyio.Event()

    def put(self, one: _Waiting, batch_rows: int) -> None:
        self.batches.append(one)
        self.rows += one.rows.num_rows
        self.arrived.set()
        if self.rows >= batch_rows:
            self.filled.set()

    def take(self, batch_rows: int) -> list[_Waiting]:
        taken = [self.batches.popleft()]
        size = taken[0].rows.num_rows
        while self.batches and size + self.batches[0].rows.num_rows <= batch_rows:
            taken.append(self.batches.popleft())
            size += taken[-1].rows.num_rows
        self.rows -= size
        if not self.batches:
            self.arrived = anyio.Event()
        if self.rows < batch_rows:
            self.filled = anyio.Event()
        return taken


class Writer:
    """Stores batches; made by `open()`, which also finishes what a crash left behind."""

    def __init__(
        self, store: Store, metadata: MetadataStore, journal: Journal, *, metrics: ServerMetrics, pace: Pace
    ) -> None:
        self._store = store
        self._metadata = metadata
        self._journal = journal
        self._metrics = metrics
        self._pace = pace
        self._queues = {table: _Queue() for table in STORE_TABLES.values()}
        self._under_way: dict[str, _Waiting] = {}
        self._lately: OrderedDict[str, None] = OrderedDict()
        self._waiting_rows = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        store: Store,
        metadata: MetadataStore,
        journal: Journal,
        *,
        metrics: ServerMetrics,
        pace: Pace,
    ) -> AsyncIterator[Writer]:
        """A writer whose tasks run while the context lasts.

        Raises:
            QueryError: the store cannot take what a crash left behind.
        """
        writer = cls(store, metadata, journal, metrics=metrics, pace=pace)
        await writer._recover()
        async with anyio.create_task_group() as group:
            for table, queue in writer._queues.items():
                group.start_soon(writer._run, table, queue)
            group.start_soon(writer._tidy)
            yield writer
            group.cancel_scope.cancel()

    def statistics(self) -> Mapping[str, int]:
        """Rows waiting, by table."""
        return {table: queue.rows for table, queue in self._queues.items()}

    async def write(self, table: str, rows: pa.Table, *, token: str) -> bool:
        """Store one batch; returns when it is stored, with whether it is news (False: it was stored before).

        Raises:
            NotStoredError: too many rows wait, or this batch waits too long; the same batch is welcome again.
            BadBatchError: the store will never take it.
        """
        if not rows.num_rows:
            return True
        one = self._under_way.get(token)
        if one is None:
            if await self._metadata.has_receipt(token) or token in self._lately:
                # The second question: it may have been stored while we asked the first.
                return False
            one = self._enqueue(table, rows, token)
        with anyio.move_on_after(self._pace.patience_s) as patience:
            await one.done.wait()
        if patience.cancelled_caught:
            self._metrics.add("ingest_rejected", cause="slow_store")
            raise NotStoredError("the store is slow; the batch is still waiting", retry_after_s=_RETRY_AFTER_S)
        if one.failure is not None:
            raise one.failure
        return True

    def _enqueue(self, table: str, rows: pa.Table, token: str) -> _Waiting:
        # A second call may have come while the first asked for its receipt.
        known = self._under_way.get(token)
        if known is not None:
            return known
        if self._waiting_rows and self._waiting_rows + rows.num_rows > self._pace.queue_rows:
            self._metrics.add("ingest_rejected", cause="queue_full")
            raise NotStoredError("too many rows are waiting to be stored", retry_after_s=_RETRY_AFTER_S)
        one = _Waiting(token, rows)
        self._under_way[token] = one
        self._waiting_rows += rows.num_rows
        self._queues[table].put(one, self._pace.batch_rows)
        self._metrics.set("queue_rows", self._queues[table].rows, table=table)
        return one

    async def _run(self, table: str, queue: _Queue) -> None:
        began = -self._pace.batch_s
        while True:
            await queue.arrived.wait()
            with anyio.move_on_after(max(0.0, began + self._pace.batch_s - time.monotonic())):
                await queue.filled.wait()
            began = time.monotonic()
            batches = queue.take(self._pace.batch_rows)
            self._metrics.set("queue_rows", queue.rows, table=table)
            await self._store_batches(table, batches)

    async def _store_batches(self, table: str, batches: Sequence[_Waiting]) -> None:
        """Store batches as one group; one that the store refuses for good is found by storing each alone."""
        rows = pa.concat_tables([one.rows for one in batches]) if len(batches) > 1 else batches[0].rows
        group = Group(table, tuple(one.token for one in batches), rows)
        try:
            await self._store_group(group)
        except QueryError as exc:
            await anyio.to_thread.run_sync(self._journal.drop, group)
            if len(batches) > 1:
                for one in batches:
                    await self._store_batches(table, [one])
                return
            _log.error("batch refused by the store", table=table, token=group.token, error=str(exc))
            batches[0].failure = BadBatchError(
                table, group.token, f"the store refused it: {exc.message}", cause="store", remedy="report this"
            )
        for one in batches:
            self._waiting_rows -= one.rows.num_rows
            del self._under_way[one.token]
            if one.failure is None:
                self._lately[one.token] = None
            one.done.set()
        while len(self._lately) > _LATELY:
            self._lately.popitem(last=False)

    async def _store_group(self, group: Group) -> None:
        await anyio.to_thread.run_sync(self._journal.keep, group)
        await self._insert(group)
        await self._metadata.add_receipts(group.tokens, now_ms=time.time_ns() // 10**6)
        await anyio.to_thread.run_sync(self._journal.drop, group)

    async def _insert(self, group: Group) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            began = time.perf_counter()
            try:
                await self._store.insert(group.table, group.rows, token=group.token)
            except QueryError as exc:
                if exc.code not in _PASSING:
                    raise
                _log.warning("insert failed, trying again", table=group.table, rows=group.rows.num_rows, error=str(exc))
                self._metrics.add("insert_retries", table=group.table)
                await anyio.sleep(pause_s)
                pause_s = min(_LAST_PAUSE_S, pause_s * 2)
                continue
            self._metrics.observe("insert_seconds", time.perf_counter() - began, table=group.table)
            return

    async def _recover(self) -> None:
        for group in self._journal.pending():
            await self._store.insert(group.table, group.rows, token=group.token)
            await self._metadata.add_receipts(group.tokens, now_ms=time.time_ns() // 10**6)
            self._journal.drop(group)
            _log.info("finished an interrupted insert", table=group.table, rows=group.rows.num_rows)

    async def _tidy(self) -> None:
        while True:
            await self._metadata.forget_receipts(before_ms=time.time_ns() // 10**6 - _RECEIPTS_KEPT_MS)
            await anyio.sleep(_TIDY_EVERY_S)
