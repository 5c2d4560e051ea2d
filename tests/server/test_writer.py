"""The bounded way into the store: grouping, bounds, retries, refusals, recovery."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pyarrow as pa
import pytest

from osmia.server.ingest.errors import BadBatchError, NotStoredError
from osmia.server.ingest.journal import Group, Journal
from osmia.server.ingest.writer import Pace, Writer
from osmia.server.metrics import ServerMetrics
from osmia.server.storage.metadata import MetadataStore
from osmia.server.storage.store import QueryError
from tests.server.fakes import FakeStore, Insert

pytestmark = pytest.mark.anyio

_TABLE = "requests"


def _rows(token: str, count: int = 1) -> pa.Table:
    return pa.table({"token": [token] * count})


@asynccontextmanager
async def _writer(
    directory: Path, store: FakeStore, *, queue_rows: int = 1_000, patience_s: float = 10, batch_s: float = 0.05
) -> AsyncIterator[Writer]:
    metadata = await MetadataStore.open(f"sqlite:///{directory / 'metadata.sqlite'}")
    pace = Pace(queue_rows, batch_rows=100, batch_s=batch_s, patience_s=patience_s)
    journal = Journal.open(directory / "journal")
    try:
        async with Writer.open(store, metadata, journal, metrics=ServerMetrics(), pace=pace) as writer:
            yield writer
    finally:
        await metadata.close()


async def test_a_batch_is_acknowledged_when_it_is_stored(tmp_path: Path) -> None:
    """The call returns after the insert, under the batch's own token."""
    store = FakeStore()

    async with _writer(tmp_path, store) as writer:
        is_news = await writer.write(_TABLE, _rows("a", 3), token="a")

    assert is_news
    assert store.inserts == [Insert(_TABLE, "a", 3)]


async def test_batches_that_wait_together_are_stored_together(tmp_path: Path) -> None:
    """While one insert runs, what arrives becomes one insert."""
    store = FakeStore(gate=anyio.Event())

    async with _writer(tmp_path, store) as writer, anyio.create_task_group() as group:
        group.start_soon(partial(writer.write, _TABLE, _rows("first"), token="first"))
        while writer.statistics()[_TABLE] or not list((tmp_path / "journal").iterdir()):
            await anyio.lowlevel.checkpoint()
        for name in "abc":
            group.start_soon(partial(writer.write, _TABLE, _rows(name), token=name))
        while writer.statistics()[_TABLE] < 3:
            await anyio.lowlevel.checkpoint()
        store.gate.set()  # type: ignore[union-attr]  # made above

    assert [one.rows for one in store.inserts] == [1, 3]


async def test_a_repeated_batch_is_not_stored_again(tmp_path: Path) -> None:
    """A token with a receipt is acknowledged without an insert, also after a restart."""
    store = FakeStore()
    async with _writer(tmp_path, store) as writer:
        await writer.write(_TABLE, _rows("a"), token="a")

    async with _writer(tmp_path, store) as writer:
        is_news = await writer.write(_TABLE, _rows("a"), token="a")

    assert not is_news
    assert len(store.inserts) == 1


async def test_a_batch_posted_twice_at_once_is_stored_once(tmp_path: Path) -> None:
    """The second call joins the first."""
    store = FakeStore()

    async with _writer(tmp_path, store) as writer, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(partial(writer.write, _TABLE, _rows("a"), token="a"))

    assert len(store.inserts) == 1


async def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    """Beyond the bound nothing is taken in; the refusal names the wait."""
    store = FakeStore(gate=anyio.Event())

    async with _writer(tmp_path, store, queue_rows=5) as writer, anyio.create_task_group() as group:
        group.start_soon(partial(writer.write, _TABLE, _rows("a", 4), token="a"))
        while not list((tmp_path / "journal").iterdir()):
            await anyio.lowlevel.checkpoint()
        with pytest.raises(NotStoredError, match="waiting") as caught:
            await writer.write(_TABLE, _rows("b", 2), token="b")
        store.gate.set()  # type: ignore[union-attr]  # made above

    assert caught.value.retry_after_s > 0


async def test_a_slow_store_does_not_hold_callers_for_ever(tmp_path: Path) -> None:
    """After its patience a call is told to come back, and finds its batch stored once the store is through."""
    store = FakeStore(gate=anyio.Event())

    async with _writer(tmp_path, store, patience_s=0.05) as writer:
        with pytest.raises(NotStoredError, match="slow"):
            await writer.write(_TABLE, _rows("a"), token="a")
        store.gate.set()  # type: ignore[union-attr]  # made above
        with anyio.fail_after(5):
            while not store.inserts:
                await anyio.lowlevel.checkpoint()
        await writer.write(_TABLE, _rows("a"), token="a")

    assert len(store.inserts) == 1


async def test_a_passing_failure_is_retried_under_the_same_token(tmp_path: Path) -> None:
    """A full disk or a time-out is not the batch's fault."""
    store = FakeStore(failures=[QueryError("disk full", code=243)])

    async with _writer(tmp_path, store) as writer:
        await writer.write(_TABLE, _rows("a"), token="a")

    assert store.inserts == [Insert(_TABLE, "a", 1)]


async def test_a_refused_batch_does_not_take_its_neighbours_along(tmp_path: Path) -> None:
    """Of a group that the store refuses, only the guilty batch fails."""
    store = FakeStore(gate=anyio.Event(), refused_tokens={"bad"})
    outcomes: dict[str, object] = {}

    async def write(writer: Writer, name: str) -> None:
        try:
            outcomes[name] = await writer.write(_TABLE, _rows(name), token=name)
        except BadBatchError as exc:
            outcomes[name] = exc.cause

    async with _writer(tmp_path, store) as writer, anyio.create_task_group() as group:
        for name in ("first", "bad", "good"):
            group.start_soon(write, writer, name)
        store.gate.set()  # type: ignore[union-attr]  # made above

    assert outcomes == {"first": True, "bad": "store", "good": True}


async def test_an_interrupted_group_is_finished_at_the_next_start(tmp_path: Path) -> None:
    """What the journal holds is stored under its group's token before anybody is let in, and has its receipts."""
    group = Group(_TABLE, ("a", "b"), _rows("a", 2))
    Journal.open(tmp_path / "journal").keep(group)
    store = FakeStore()

    async with _writer(tmp_path, store) as writer:
        outcomes = [await writer.write(_TABLE, _rows(name), token=name) for name in ("a", "b")]

    assert store.inserts == [Insert(_TABLE, group.token, 2)]
    assert outcomes == [False, False]
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_half_written_journal_file_is_dropped(tmp_path: Path) -> None:
    """It was never acknowledged, so its agent will send it again."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "torn.part").write_bytes(b"ARROW")
    store = FakeStore()

    async with _writer(tmp_path, store):
        left = list((tmp_path / "journal").iterdir())

    assert left == []
