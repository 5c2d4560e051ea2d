"""The default store: ClickHouse inside this process (chDB), one directory, one owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from osmia.model.errors import StoreUnavailableError
from osmia.server.storage.engine import Limits, SqlStore
from osmia.server.storage.lock import StoreLock
from osmia.server.storage.migrations import Topology

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["EmbeddedStore"]

_MARK_CACHE_BYTES = 32 << 20
_DATABASE = "osmia"


@dataclass(frozen=True, slots=True)
class _Engine:
    """How clients of one embedded engine are opened; every client gets the same options, as chDB demands."""

    path: Path
    memory_bytes: int

    def connect(self, settings: Mapping[str, str], *, database: str | None = None) -> Client:
        import clickhouse_connect

        options = {
            # The defaults are a server's: nine tenths of the memory and a cache of 5 GiB.
            "max_server_memory_usage": self.memory_bytes,
            "mark_cache_size": _MARK_CACHE_BYTES,
            "uncompressed_cache_size": 0,
            "index_mark_cache_size": 0,
            "background_pool_size": 2,
            "background_schedule_pool_size": 4,
        }
        return clickhouse_connect.get_client(
            interface="chdb", path=str(self.path), chdb_options=options, settings=dict(settings), database=database
        )


class EmbeddedStore(SqlStore):
    """See `Store`. Opened with `open()`; chDB allows one path per process and dies in a forked child."""

    def __init__(self, engine: _Engine, limits: Limits, lock: StoreLock, database: str) -> None:
        bootstrap = engine.connect({})
        bootstrap.command(f"CREATE DATABASE IF NOT EXISTS {database}")
        super().__init__(
            "chdb",
            topology=Topology(database),
            limits=limits,
            connect=lambda settings: engine.connect(settings, database=database),
        )
        bootstrap.close()
        self._lock = lock

    @classmethod
    async def open(
        cls, directory: Path, *, limits: Limits, memory_bytes: int, database: str = _DATABASE
    ) -> EmbeddedStore:
        """Open or create the store in a directory.

        Raises:
            StoreUnavailableError: another process owns it, or the engine cannot start.
        """
        await anyio.Path(directory).mkdir(parents=True, exist_ok=True)
        lock = StoreLock(directory / "store.lock")

        def work() -> EmbeddedStore:
            engine = _Engine(directory / "store", memory_bytes)
            try:
                return cls(engine, limits, lock, database)
            except ImportError as exc:
                raise StoreUnavailableError(
                    "the embedded store is not installed", remedy="pip install 'osmia[server]', or set --store-url"
                ) from exc
            except Exception as exc:
                raise StoreUnavailableError(
                    f"cannot open the store in {directory}: {exc}", remedy="see the message; the data is left as it was"
                ) from exc

        try:
            return await anyio.to_thread.run_sync(work)
        except StoreUnavailableError:
            lock.release()
            raise

    async def close(self) -> None:
        """See `Store.close`."""
        await super().close()
        self._lock.release()
