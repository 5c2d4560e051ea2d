"""Reading and writing metadata; every call runs in a thread and in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, delete, event, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from osmia.model.errors import InputError, StoreUnavailableError
from osmia.server.storage.metadata.tables import ClusterRow, ReceiptRow

__all__ = ["ClusterRecord", "MetadataStore", "NameTakenError"]

T = TypeVar("T")

_THREADS = 4
_RECEIPTS_KEPT = 200_000


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """One monitored cluster as people set it up."""

    id: str
    name: str
    created_ms: int
    key_version: int


class NameTakenError(InputError):
    """Another cluster has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a cluster named {name!r} already", remedy="choose another name")
        self.name = name


class MetadataStore:
    """All metadata behind one object, on SQLite or PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = anyio.CapacityLimiter(_THREADS)
        # Names are given one at a time: looking whether one is free and taking it are two statements.
        self._naming = anyio.CapacityLimiter(1)

    @classmethod
    async def open(cls, url: str) -> MetadataStore:
        """Connect and bring the tables to the newest version.

        Raises:
            StoreUnavailableError: the database does not answer or refuses.
        """

        def work() -> MetadataStore:
            try:
                engine = _engine(url)
                _upgrade(engine)
            except (SQLAlchemyError, ImportError) as exc:
                raise StoreUnavailableError(
                    f"cannot open the metadata: {str(exc).splitlines()[0]}", remedy="check --metadata-url and --data"
                ) from exc
            return cls(engine)

        return await anyio.to_thread.run_sync(work)

    async def close(self) -> None:
        """Let go of the database."""
        await anyio.to_thread.run_sync(self._engine.dispose)

    async def clusters(self) -> Sequence[ClusterRecord]:
        """Every cluster, oldest first."""
        query = select(ClusterRow).order_by(ClusterRow.created_ms, ClusterRow.id)
        return await self._run(lambda session: [_record(row) for row in session.scalars(query)])

    async def add_cluster(self, record: ClusterRecord) -> None:
        """Keep a new cluster.

        Raises:
            NameTakenError: another cluster has its name.
        """
        row = ClusterRow(id=record.id, name=record.name, created_ms=record.created_ms, key_version=record.key_version)

        def work(session: Session) -> None:
            _refuse_taken(session, record.id, record.name)
            session.add(row)

        await self._run(work, limiter=self._naming)

    async def rename_cluster(self, cluster_id: str, name: str) -> ClusterRecord | None:
        """The cluster under its new name, or None when there is no such cluster.

        Raises:
            NameTakenError: another cluster has that name.
        """

        def work(session: Session) -> ClusterRecord | None:
            row = session.get(ClusterRow, cluster_id)
            if row is None:
                return None
            _refuse_taken(session, cluster_id, name)
            row.name = name
            return _record(row)

        return await self._run(work, limiter=self._naming)

    async def remove_cluster(self, cluster_id: str) -> bool:
        """Whether there was such a cluster to forget."""

        def work(session: Session) -> bool:
            row = session.get(ClusterRow, cluster_id)
            if row is None:
                return False
            session.delete(row)
            return True

        return await self._run(work)

    async def add_receipts(self, tokens: Sequence[str], *, now_ms: int) -> None:
        """Remember that these batches are stored (known ones are left alone)."""

        def work(session: Session) -> None:
            known = set(session.scalars(select(ReceiptRow.token).where(ReceiptRow.token.in_(tokens))))
            fresh = [{"token": token, "stored_ms": now_ms} for token in tokens if token not in known]
            if fresh:
                session.execute(insert(ReceiptRow), fresh)

        await self._run(work)

    async def has_receipt(self, token: str) -> bool:
        """Whether this batch was stored before."""
        return await self._run(lambda session: session.get(ReceiptRow, token) is not None)

    async def forget_receipts(self, *, before_ms: int) -> int:
        """Drop receipts older than that, and the oldest above the bound; returns how many went."""

        def work(session: Session) -> int:
            boundary = session.scalar(
                select(ReceiptRow.stored_ms).order_by(ReceiptRow.stored_ms.desc()).offset(_RECEIPTS_KEPT).limit(1)
            )
            oldest = max(before_ms, boundary or 0)
            count = session.scalar(select(func.count()).where(ReceiptRow.stored_ms < oldest)) or 0
            session.execute(delete(ReceiptRow).where(ReceiptRow.stored_ms < oldest))
            return count

        return await self._run(work)

    async def _run(self, work: Callable[[Session], T], *, limiter: anyio.CapacityLimiter | None = None) -> T:
        def transaction() -> T:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return work(session)

        return await anyio.to_thread.run_sync(transaction, limiter=limiter or self._threads)


def _refuse_taken(session: Session, cluster_id: str, name: str) -> None:
    others = select(ClusterRow.id).where(ClusterRow.name == name, ClusterRow.id != cluster_id).limit(1)
    if session.scalar(others) is not None:
        raise NameTakenError(name)


def _record(row: ClusterRow) -> ClusterRecord:
    return ClusterRecord(row.id, row.name, row.created_ms, row.key_version)


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection type
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
