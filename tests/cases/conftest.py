"""Worlds for the cases; where eBPF or network namespaces cannot be had, the cases are skipped and say why."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.lab.host import require_host
from osmia.model.errors import CaptureUnavailableError, LabError
from tests.cases.world import World, lab_world


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Lab and receiver are aiohttp, which runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def able() -> None:
    """This machine can carry a lab and capture; otherwise the test is skipped and says why."""
    try:
        require_host()
        Capture(CaptureOptions(ring_bytes=1 << 16, max_connections=64, max_edges=64, max_buckets=64)).close()
    except (LabError, CaptureUnavailableError) as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
async def bare_world(
    able: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A lab in which no agent runs yet."""
    directory: Path = tmp_path_factory.mktemp("world")
    number = sum(request.module.__name__.encode()) % 1000
    async with lab_world(f"c{number}", directory) as made:
        yield made
