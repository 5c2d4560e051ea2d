"""A store that obeys the test: slow, failing or refusing on command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import pyarrow as pa

from osmia.server.storage.store import QueryError, Row, StoreHealth

__all__ = ["FakeStore", "Insert"]


@dataclass(frozen=True, slots=True)
class Insert:
    """One insert that reached the store."""

    table: str
    token: str
    rows: int


@dataclass
class FakeStore:
    """A `Store` without a database. `gate` holds inserts while it is not set; `failures` are raised first, in order."""

    inserts: list[Insert] = field(default_factory=list)
    failures: list[QueryError] = field(default_factory=list)
    refused_tokens: set[str] = field(default_factory=set)
    gate: anyio.Event | None = None

    async def migrate(self) -> int:
        """Nothing to do."""
        return 0

    async def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Note the insert, unless told to wait, fail or refuse."""
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if any(token == one or set(rows.column("token").to_pylist()) & {one} for one in self.refused_tokens):
            raise QueryError("cannot parse", code=27)
        self.inserts.append(Insert(table, token, rows.num_rows))

    async def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Row]:
        """No rows."""
        del sql, parameters
        return ()

    async def health(self) -> StoreHealth:
        """Always well."""
        return StoreHealth("fake", "0", is_ok=True, memory_bytes=0, tables=())

    async def close(self) -> None:
        """Nothing to close."""
