"""An API server in this process, and one on a port with clients for it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import anyio
import pytest

from osmia.lab.apiserver import ApiServer, Certificate, Served, make_certificate, serve

TOKEN = "lab-token"


@pytest.fixture
def anyio_backend() -> str:
    """Aiohttp runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def api() -> ApiServer:
    """A fresh API server with a small history."""
    return ApiServer(ring_size=100)


@pytest.fixture
async def served(api: ApiServer) -> AsyncIterator[Served]:
    """The same server on a port, behind a bearer token."""
    async with serve(api, tokens=[TOKEN]) as server:
        yield server


@pytest.fixture
async def http(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client with the token and base URL of the server."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(served.url, headers=headers) as session:
        yield session


Kubectl = Callable[..., Awaitable[str]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the loopback address."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def kubectl(api: ApiServer, certificate: Certificate, tmp_path: Path) -> AsyncIterator[Kubectl]:
    """Run the real kubectl against the server; gives what it printed, fails if it failed."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed here")
    config = tmp_path / "kubeconfig"

    async def run(*arguments: str, stdin: str = "", fails: bool = False) -> str:
        command = [program, f"--kubeconfig={config}", f"--cache-dir={tmp_path / 'cache'}", *arguments]
        done = await anyio.run_process(command, input=stdin.encode(), check=False)
        assert (done.returncode != 0) == fails, (done.stdout + done.stderr).decode()
        return (done.stderr if fails else done.stdout).decode()

    # Over plain HTTP kubectl keeps its token to itself.
    async with serve(api, tokens=[TOKEN], certificate=certificate) as server:
        server.write_kubeconfig(config)
        yield run
