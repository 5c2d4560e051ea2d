"""The 95 % that the embedded and the remote store share: clients, migrations, inserts, bounded reads, health."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from clickhouse_connect.driver.exceptions import ClickHouseError

from osmia.server.storage.migrations import LEDGER_TABLE, Topology, load
from osmia.server.storage.store import QueryError, Row, StoreHealth, TableSize
from osmia.telemetry import get_logger

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

__all__ = ["Limits", "SqlStore"]

_MAX_WAITING_READS = 64
_TOO_MANY_QUERIES = 202  # ClickHouse's own number for it

_INSERT_SETTINGS = {
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "distributed_foreground_insert": "1",
}

_HINTS = {
    159: "ask for a shorter time range",
    241: "ask for a shorter time range or raise --query-memory-mib",
    243: "the disk is full: make room",
    252: "too many parts: the store merges slower than data arrives; wait",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the reads."""

    readers: int
    query_timeout_s: int
    query_memory_bytes: int

    def settings(self) -> dict[str, str]:
        """As ClickHouse settings of a reading client; one thread each, so that inserts keep their core."""
        return {
            "max_threads": "1",
            "max_execution_time": str(self.query_timeout_s),
            "max_memory_usage": str(self.query_memory_bytes),
            "max_result_rows": "1000000",
            # Rows of one edge live on one shard, so a subquery about edges needs its own shard only.
            "distributed_product_mode": "local",
        }


_WRITE_SETTINGS = {"max_threads": "1", "max_insert_threads": "1"}

_PARTS = """
SELECT table, sum(rows) AS n, sum(bytes_on_disk) AS size, count() AS parts
FROM system.parts WHERE active AND database = {database:String} GROUP BY table ORDER BY table
"""


class SqlStore:
    """A `Store` on any engine that clickhouse-connect can open; `connect` makes a client with given settings."""

    def __init__(
        self, engine: str, *, topology: Topology, limits: Limits, connect: Callable[[Mapping[str, str]], Client]
    ) -> None:
        self._engine = engine
        self._topology = topology
        self._log = get_logger("store")
        self._writer = connect(_WRITE_SETTINGS)
        readers = [connect(limits.settings()) for _ in range(limits.readers)]
        self._clients = [self._writer, *readers]
        # A thread takes a reader and gives it back; the limiter lets in no more threads than there are readers.
        # Writes have their own slot: a burst of questions must not hold up an insert.
        self._idle = deque(readers)
        self._read_slots = anyio.CapacityLimiter(limits.readers)
        self._write_slot = anyio.CapacityLimiter(1)

    async def migrate(self) -> int:
        """See `Store.migrate`."""
        return await anyio.to_thread.run_sync(self._migrate, limiter=self._write_slot)

    async def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """See `Store.insert`."""
        settings = {"insert_deduplication_token": token, **_INSERT_SETTINGS}

        def work() -> None:
            with _translated():
                self._writer.insert_arrow(table, rows.combine_chunks(), settings=settings)

        await anyio.to_thread.run_sync(work, limiter=self._write_slot)

    async def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Row]:
        """See `Store.query`."""
        if self._read_slots.statistics().tasks_waiting >= _MAX_WAITING_READS:
            raise QueryError("too many questions are waiting", code=_TOO_MANY_QUERIES, remedy="ask again in a moment")

        def work() -> list[Row]:
            client = self._idle.pop()
            try:
                with _translated():
                    return list(client.query(sql, parameters=dict(parameters or {})).named_results())
            finally:
                self._idle.append(client)

        return await anyio.to_thread.run_sync(work, limiter=self._read_slots)

    async def health(self) -> StoreHealth:
        """See `Store.health`."""
        version = self._writer.server_version or ""
        try:
            parts = await self.query(_PARTS, {"database": self._topology.database})
            memory = await self.query("SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'")
        except QueryError as exc:
            self._log.warning("store does not answer", error=str(exc))
            return StoreHealth(self._engine, version, is_ok=False, memory_bytes=0, tables=())
        sizes = tuple(TableSize(str(r["table"]), _int(r["n"]), _int(r["size"]), _int(r["parts"])) for r in parts)
        used = _int(memory[0]["value"]) if memory else 0
        return StoreHealth(self._engine, version, is_ok=True, memory_bytes=used, tables=sizes)

    async def close(self) -> None:
        """See `Store.close`."""
        async with self._write_slot:
            for client in self._clients:
                await anyio.to_thread.run_sync(client.close)

    def _migrate(self) -> int:
        client, database = self._writer, self._topology.database
        applied = 0
        with _translated():
            client.command(
                f"CREATE TABLE IF NOT EXISTS {LEDGER_TABLE} (number UInt32, name String, applied_at DateTime)"
                " ENGINE = MergeTree ORDER BY number"
            )
            known = {row[0] for row in client.query(f"SELECT number FROM {LEDGER_TABLE}").result_rows}  # noqa: S608 - a constant
            for migration in load(self._topology):
                if migration.number in known:
                    continue
                # Every statement says IF NOT EXISTS: a migration that was broken off is simply run again.
                for statement in migration.statements:
                    client.command(statement)
                client.insert(LEDGER_TABLE, [[migration.number, migration.name, datetime.now(tz=UTC)]])
                self._log.info("schema migrated", number=migration.number, name=migration.name, database=database)
                applied += 1
        return applied


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into ours, with ClickHouse's code and what to do about it."""
    try:
        yield
    except ClickHouseError as exc:
        code = int(getattr(exc, "code", 0) or 0)
        first_line = str(exc).strip().splitlines()[0][:500] if str(exc).strip() else type(exc).__name__
        raise QueryError(first_line, code=code, remedy=_HINTS.get(code, "")) from exc


def _int(value: object) -> int:
    return int(value)  # type: ignore[call-overload,no-any-return]  # ClickHouse numbers arrive as object
