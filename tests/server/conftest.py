"""One server process for all HTTP tests, and one store per engine for the store's own tests.

chDB allows one path per process, so every running server is a process of its own, and tests are kept apart by
clusters, not by stores.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from osmia.server.storage.cluster import ClusterStore
from osmia.server.storage.embedded import EmbeddedStore
from osmia.server.storage.engine import Limits
from osmia.server.storage.store import Store
from tests.server.clickhouse import ClickHouseServer, find_library
from tests.server.process import Cluster, ServerProcess

LIMITS = Limits(readers=2, query_timeout_s=5, query_memory_bytes=200 << 20)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The server runs on asyncio, and session-wide fixtures need a session-wide backend."""
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server with an embedded store."""
    with ServerProcess.start(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def cluster(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A fresh cluster of the running server."""
    with server.add_cluster(request.node.name) as added:
        yield added


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """A real ClickHouse server on loopback, where its library is installed."""
    library = find_library(os.environ.get("OSMIA_TEST_CLICKHOUSE_LIB", ""))  # noqa: TID251 - chooses a test, not a setting
    if library is None:
        pytest.skip("no ClickHouse server library: see tests/server/clickhouse.py for how to install it")
    with ClickHouseServer.start(library, tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture(scope="session")
async def embedded(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Store]:
    """The embedded store of this process, migrated."""
    directory = tmp_path_factory.mktemp("embedded")
    store = await EmbeddedStore.open(directory, limits=LIMITS, memory_bytes=400 << 20)
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def remote(clickhouse: ClickHouseServer, anyio_backend: str) -> AsyncIterator[Store]:
    """A store on the real ClickHouse server, migrated."""
    store = await ClusterStore.open(clickhouse.url, limits=LIMITS)
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture(
    scope="session", params=["embedded", pytest.param("remote", marks=[pytest.mark.clickhouse, pytest.mark.slow])]
)
def store(request: pytest.FixtureRequest) -> Store:
    """Each engine in turn: what holds for one must hold for the other."""
    chosen: Store = request.getfixturevalue(request.param)
    return chosen


_numbers = itertools.count(1)


@pytest.fixture
def cluster_name() -> str:
    """A cluster id that no other test of this run uses."""
    return f"cluster{next(_numbers)}"


@pytest.fixture
def now_s() -> int:
    """The beginning of the ten seconds before these, so that whole windows lie in the past."""
    return int(time.time()) // 10 * 10 - 10


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A made-up build of the pages."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>the page</title>")
    (tmp_path / "assets" / "app-1a2b.js").write_text("export {}")
    return tmp_path
