"""Taking in one batch, from its bytes to its acknowledgement."""

from __future__ import annotations

import time
from dataclasses import dataclass

import anyio.to_thread
import pyarrow as pa
import pyarrow.compute as pc

from osmia.model.wire import Table
from osmia.server.ingest.admission import Admission
from osmia.server.ingest.decode import decode
from osmia.server.ingest.late import name_late
from osmia.server.ingest.peers import AddressBooks, name_peers, sighting
from osmia.server.ingest.presence import Presence
from osmia.server.ingest.shape import STORE_TABLES, shape
from osmia.server.ingest.writer import Writer
from osmia.server.metrics import ServerMetrics
from osmia.server.query.freshness import Freshness
from osmia.server.query.late_names import LateNames

__all__ = ["Batch", "Intake"]

_TIME_COLUMNS = {Table.WINDOWS: "last_ns", Table.REQUESTS: "time_ns", Table.CONNECTIONS: "last_ns"}
_NEWS = frozenset({Table.WINDOWS, Table.CONNECTIONS})


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
    late_names: LateNames
    metrics: ServerMetrics
    admission: Admission
    max_bytes: int

    async def take(self, batch: Batch) -> int:
        """Rows accepted; returns once they are stored.

        Raises:
            BadBatchError: the payload is not what it should be.
            NotStoredError: too much is waiting already.
        """
        decoded = await anyio.to_thread.run_sync(self._decode, batch, limiter=self.admission.decoders)
        if batch.table is Table.OBJECTS:
            # Before the insert: traffic that is on its way may need these addresses already.
            self._learn(batch.cluster, decoded)
        rows = self._name_peers(batch, decoded)
        shaped = shape(batch.table, rows, cluster=batch.cluster, agent=batch.agent, token=batch.token)
        is_news = await self.writer.write(STORE_TABLES[batch.table], shaped, token=batch.token)
        if not is_news:
            self.metrics.add("ingest_repeated", table=batch.table.value)
            return int(rows.num_rows)
        self._note(batch, rows)
        return int(rows.num_rows)

    def _decode(self, batch: Batch) -> pa.Table:
        return decode(batch.table, batch.payload, max_bytes=self.max_bytes, now_s=time.time())

    def _name_peers(self, batch: Batch, rows: pa.Table) -> pa.Table:
        if batch.table not in _TIME_COLUMNS:
            return rows
        book = self.books.of(batch.cluster)
        named = name_peers(rows, book, time_column=_TIME_COLUMNS[batch.table])
        self.metrics.add("ingest_peers_resolved", named.resolved)
        for ip, (first_ns, last_ns) in named.unnamed.items():
            self.late_names.note_unnamed(batch.cluster, ip, first_ns=first_ns, last_ns=last_ns)
        return named.rows

    def _learn(self, cluster: str, rows: pa.Table) -> None:
        """Take in who has which address, and name the addresses that were stored before their owner was known."""
        book = self.books.of(cluster)
        ips: set[str] = set()
        for row in rows.to_pylist():
            if row["ips"]:
                book.note(sighting(row))
                ips.update(row["ips"])
        for ip in ips:
            name_late(cluster, ip, book=book, late_names=self.late_names)
        self.metrics.set("address_book_entries", self.books.entries())

    def _note(self, batch: Batch, rows: pa.Table) -> None:
        now_ns = time.time_ns()
        self.presence.note(batch.cluster, batch.agent, now_ms=now_ns // 10**6)
        newest_ns = 0
        if batch.table in _NEWS and rows.num_rows:
            newest_ns = pc.max(rows.column("last_ns")).as_py()
        self.freshness.arrived(batch.cluster, newest_ns=newest_ns, now_ns=now_ns)
        self.metrics.add("ingest_batches", table=batch.table.value)
        self.metrics.add("ingest_rows", rows.num_rows, table=batch.table.value)
        self.metrics.add("ingest_bytes", len(batch.payload), table=batch.table.value)
