"""What the rest of the server may ask of the telemetry store, whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from osmia.model.errors import OsmiaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["QueryError", "Row", "Store", "StoreHealth", "TableSize"]

Row = Mapping[str, object]
"""One row of an answer, by column name."""


class QueryError(OsmiaError):
    """The store refused or broke off a query; `code` is ClickHouse's number (159 time-out, 241 memory) or 0."""

    def __init__(self, message: str, *, code: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


@dataclass(frozen=True, slots=True)
class TableSize:
    """Rows, bytes on disk and active parts of one table."""

    table: str
    rows: int
    size_bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """What the store says of itself."""

    engine: str
    version: str
    is_ok: bool
    memory_bytes: int
    tables: tuple[TableSize, ...]


class Store(Protocol):
    """The seam between the server and its database. All calls may come from any task; none blocks the event loop."""

    async def migrate(self) -> int:
        """Bring the database to the newest schema; returns how many migrations were applied."""
        ...

    async def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Store rows, their rollups included, exactly once per token; returns when they would survive a kill -9.

        Raises:
            QueryError: nothing or only a part was stored; repeat with the same token.
        """
        ...

    async def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Row]:
        """Rows of a read, bounded in time, memory and threads.

        Raises:
            QueryError: the engine refused it or a bound was hit.
        """
        ...

    async def health(self) -> StoreHealth:
        """Sizes and state; never raises for a store that does not answer."""
        ...

    async def close(self) -> None:
        """Finish running calls and let go of the database."""
        ...
