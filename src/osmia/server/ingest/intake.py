"""Taking in one batch, from its bytes to its acknowledgement."""

from __future__ import annotations

import time
from dataclasses import dataclass

import anyio.to_thread
import pyarrow as pa
import pyarrow.compute as pc

from osmia.model.wire import Table
from osmia.server.ingest.decode import decode
from osmia.server.ingest.errors import BadBatchError
from osmia.server.ingest.peers import AddressBooks, name_peers, sighting
from osmia.server.ingest.presence import Presence
from osmia.server.ingest.shape import STORE_TABLES, shape
from osmia.server.ingest.writer import Writer
from osmia.server.metrics import ServerMetrics
from osmia.server.query.freshness import Freshness

__all__ = ["Batch", "Intake"]

_TIME_COLUMNS = {Table.WINDOWS: "last_ns", Table.REQUESTS: "time_ns"}


@dataclass(frozen=True, slots=True)
class Batch:
    """One POST of an authenticated agent."""

    cluster: str
    agent: str
    sequence: int
    table: Table
    payload: bytes

    @property
    def token(self) -> str:
        """What makes a repetition harmless; the cluster keeps apart agents of one name."""
        return f"{self.cluster}-{self.agent}-{self.sequence}-{self.table}"


@dataclass(frozen=True, slots=True)
class Intake:
    """Checks, shapes and stores batches."""

    writer: Writer
    books: AddressBooks
    presence: Presence
    freshness: Freshness
    metrics: ServerMetrics
    max_bytes: int

    async def take(self, batch: Batch) -> int:
        """Rows accepted; returns once they are stored.

        Raises:
            BadBatchError: the payload is not what it should be.
            NotStoredError: too much is waiting already.
        """
        try:
            decoded = await anyio.to_thread.run_sync(self._decode, batch)
        except BadBatchError as exc:
            self.metrics.add("ingest_rejected", cause=exc.cause)
            raise
        rows = self._name_peers(batch, decoded)
        shaped = shape(batch.table, rows, cluster=batch.cluster, agent=batch.agent, token=batch.token)
        is_news = await self.writer.write(STORE_TABLES[batch.table], shaped, token=batch.token)
        if not is_news:
            self.metrics.add("ingest_repeated", table=batch.table.value)
            return int(rows.num_rows)
        self._note(batch, rows)
        return int(rows.num_rows)

    def _decode(self, batch: Batch) -> pa.Table:
        return decode(batch.table, batch.payload, max_bytes=self.max_bytes)

    def _name_peers(self, batch: Batch, rows: pa.Table) -> pa.Table:
        if batch.table is Table.OBJECTS:
            # Before the insert: the windows of this very flush may need these addresses already.
            book = self.books.of(batch.cluster)
            for row in rows.to_pylist():
                if row["ips"]:
                    book.note(sighting(row))
            self.metrics.set("address_book_entries", self.books.entries())
        if batch.table not in _TIME_COLUMNS:
            return rows
        named, resolved = name_peers(rows, self.books.of(batch.cluster), time_column=_TIME_COLUMNS[batch.table])
        self.metrics.add("ingest_peers_resolved", resolved)
        return named

    def _note(self, batch: Batch, rows: pa.Table) -> None:
        now_ns = time.time_ns()
        self.presence.note(batch.cluster, batch.agent, now_ms=now_ns // 10**6)
        newest_ns = 0
        if batch.table is Table.WINDOWS and rows.num_rows:
            newest_ns = pc.max(rows.column("last_ns")).as_py()
        self.freshness.arrived(batch.cluster, newest_ns=newest_ns, now_ns=now_ns)
        self.metrics.add("ingest_batches", table=batch.table.value)
        self.metrics.add("ingest_rows", rows.num_rows, table=batch.table.value)
        self.metrics.add("ingest_bytes", len(batch.payload), table=batch.table.value)
