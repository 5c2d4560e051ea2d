"""What people set up, on both databases it may live in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from osmia.model.errors import StoreUnavailableError
from osmia.server.storage.metadata import ClusterRecord, MetadataStore, NameTakenError
from tests.agent.postgres import postgres_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'metadata.sqlite'}"
        return
    with postgres_server() as port:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"


async def test_clusters_survive_opening_again(url: str) -> None:
    """The second opening migrates nothing and finds what the first one kept."""
    record = ClusterRecord("abc", "production", 1_700_000_000_123, 1)
    first = await MetadataStore.open(url)
    await first.add_cluster(record)
    await first.close()

    second = await MetadataStore.open(url)
    found = await second.clusters()
    await second.close()

    assert found == [record]


async def test_clusters_are_renamed_and_removed(url: str) -> None:
    """Changes of what is not there are told apart."""
    metadata = await MetadataStore.open(url)
    await metadata.add_cluster(ClusterRecord("abc", "old", 1, 1))

    renamed = await metadata.rename_cluster("abc", "new")
    outcomes = [await metadata.remove_cluster("abc"), await metadata.remove_cluster("abc")]
    nobody = await metadata.rename_cluster("abc", "newer")
    await metadata.close()

    assert renamed == ClusterRecord("abc", "new", 1, 1)
    assert (outcomes, nobody) == ([True, False], None)


async def test_of_many_who_want_one_name_one_gets_it(url: str) -> None:
    """Also when all ask at the same time."""
    metadata = await MetadataStore.open(url)
    taken: list[str] = []

    async def add(cluster_id: str) -> None:
        try:
            await metadata.add_cluster(ClusterRecord(cluster_id, "one", 1, 1))
        except NameTakenError:
            taken.append(cluster_id)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(add, f"c{number}")
    found = await metadata.clusters()
    await metadata.close()

    assert (len(found), len(taken)) == (1, 7)


async def test_receipts_are_kept_once_and_forgotten_by_age(url: str) -> None:
    """Adding a known receipt again is harmless."""
    metadata = await MetadataStore.open(url)
    await metadata.add_receipts(["old"], now_ms=1_000)
    await metadata.add_receipts(["new", "old"], now_ms=9_000)

    forgotten = await metadata.forget_receipts(before_ms=5_000)
    known = [await metadata.has_receipt(token) for token in ("old", "new")]
    await metadata.close()

    assert (forgotten, known) == (1, [False, True])


@pytest.mark.parametrize("bad", ["nonsense", "postgresql+psycopg://nobody@127.0.0.1:1/none", "sqlite:////nowhere/x"])
async def test_a_database_that_cannot_be_opened_is_named(bad: str) -> None:
    """The error says which setting to look at."""
    with pytest.raises(StoreUnavailableError, match="--metadata-url"):
        await MetadataStore.open(bad)
