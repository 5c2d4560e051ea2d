"""The same agent on a plain host, without Kubernetes: units, containers and processes are the ends of edges."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from osmia.lab.runtime import cgroup
from tests.cases.receiver import Edge, Receiver, receiver
from tests.cases.world import CGROUPS, JOIN, PROGRAMS, Actor, actor, agent

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.slow, pytest.mark.timeout(60)]
_ROOT = f"osmia-case-{os.getpid()}"
_CONTAINER = secrets.token_hex(32)


@asynccontextmanager
async def _cgroup(path: str) -> AsyncIterator[Path]:
    """A control group below one of our own; the directories go with the block."""
    directory = CGROUPS / _ROOT / path
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        await cgroup.kill_tree(directory)
        while directory != CGROUPS:
            try:
                directory.rmdir()
            except OSError:
                break
            directory = directory.parent


@pytest.fixture(scope="module")
async def got(able: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Receiver]:
    """What an agent reports that watches this host and knows of no cluster."""
    log = tmp_path_factory.mktemp("host") / "agent.log"
    async with receiver() as made, agent(made.url, log, "--node", "case-host", "--scope", "all"):
        yield made


async def _in(stack: AsyncExitStack, path: str, *argv: str) -> Actor:
    """Run a program in a control group."""
    directory = await stack.enter_async_context(_cgroup(path))
    return await stack.enter_async_context(actor(["sh", "-ec", JOIN, str(directory), sys.executable, "-S", *argv]))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("system.slice/case-shop.service", "Unit//case-shop"),
        ("system.slice/system-case.slice/case@blue.service", "Unit//case@blue"),
        (f"docker/{_CONTAINER}", f"Container//{_CONTAINER[:12]}"),
        (f"system.slice/docker-{_CONTAINER}.scope", f"Container//{_CONTAINER[:12]}"),
        (f"machine.slice/libpod-{_CONTAINER}.scope/container", f"Container//{_CONTAINER[:12]}"),
        ("user.slice/user-0.slice/session-1.scope", "Process//server.py"),
    ],
    ids=["unit", "template unit", "docker, cgroupfs", "docker, systemd", "podman", "process"],
)
async def test_server_and_client_are_named(got: Receiver, unused_port: int, path: str, name: str) -> None:
    """A systemd unit, a container of any runtime, else the program's own name; the client likewise."""
    async with AsyncExitStack() as stack:
        port = str(unused_port)
        await _in(stack, path, str(PROGRAMS / "server.py"), "prefork", "127.0.0.1", port)
        user = await _in(stack, f"system.slice/case-client-{port}.service", str(PROGRAMS / "client.py"))
        await user.ask(f"fetch 127.0.0.1 {port} 10")
        await got.settle()

    assert got.sides(f"case-client-{port}") == {
        Edge(f"Unit//case-client-{port}", name): {"client": 10, "server": 10},
    }


async def test_process_that_is_gone_has_the_kernels_name(got: Receiver, unused_port: int) -> None:
    """A curl of a few milliseconds is called curl, whether or not anybody could look at it."""
    async with AsyncExitStack() as stack:
        port = str(unused_port)
        await _in(
            stack, f"system.slice/case-brief-{port}.service", str(PROGRAMS / "server.py"), "fork", "127.0.0.1", port
        )
        await stack.enter_async_context(actor(["sh", "-c", f"curl -s http://127.0.0.1:{port}/ok"]))
        await got.settle()

    assert got.sides(f"case-brief-{port}") == {
        Edge("Process//curl", f"Unit//case-brief-{port}"): {"client": 1, "server": 1},
    }
