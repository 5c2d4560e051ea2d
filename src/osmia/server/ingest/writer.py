"""The bounded way into the store."""

from __future__ import annotations

import time

import pyarrow as pa

from osmia.server.ingest.errors import NotStoredError
from osmia.server.metrics import ServerMetrics
from osmia.server.storage.store import Store

__all__ = ["Writer"]


class Writer:
    """Stores batches in order of arrival and refuses what would wait too long."""

    def __init__(self, store: Store, metrics: ServerMetrics, *, max_rows: int) -> None:
        self._store = store
        self._metrics = metrics
        self._max_rows = max_rows
        self._waiting_rows = 0

    async def write(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Store one batch; returns when it is stored.

        Raises:
            NotStoredError: too many rows are waiting.
            QueryError: the store failed; the batch may be repeated.
        """
        if not rows.num_rows:
            return
        if self._waiting_rows and self._waiting_rows + rows.num_rows > self._max_rows:
            self._metrics.add("ingest_rejected", cause="queue_full")
            raise NotStoredError("too many rows are waiting to be stored", retry_after_s=2)
        self._waiting_rows += rows.num_rows
        began = time.perf_counter()
        try:
            await self._store.insert(table, rows, token=token)
        finally:
            self._waiting_rows -= rows.num_rows
        self._metrics.observe("insert_seconds", time.perf_counter() - began, table=table)
