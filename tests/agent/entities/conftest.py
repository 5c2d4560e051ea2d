"""An API server emulation on a port, and access to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from osmia.agent.entities.client import Access, KubernetesClient
from osmia.lab.apiserver import ApiServer, Served, serve


@pytest.fixture
def anyio_backend() -> str:
    """Aiohttp runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def api() -> ApiServer:
    """An API server with a history of 100 changes per resource."""
    return ApiServer(ring_size=100)


@pytest.fixture
async def served(api: ApiServer) -> AsyncIterator[Served]:
    """The API server on a port."""
    async with serve(api) as server:
        yield server


@pytest.fixture
async def client(served: Served) -> AsyncIterator[KubernetesClient]:
    """The agent's client for it."""
    async with KubernetesClient(Access(served.url)) as opened:
        yield opened
