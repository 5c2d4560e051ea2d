"""Connection tracking of a real network namespace with real translation rules."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from osmia.agent.entities.conntrack import Conntrack
from osmia.agent.entities.hosts import local_addresses
from osmia.model.errors import UnavailableError
from osmia.model.request import Address
from tests.agent.entities.network import CLIENT, SERVER, Node, connect, make_node, say
from tests.agent.entities.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


@pytest.fixture
def node() -> Iterator[Node]:
    """Two namespaces joined by a link, with two virtual addresses translated on the node."""
    with make_node() as made:
        yield made


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the agent."""
    return "asyncio"


_V4, _V6 = Address("10.96.0.20", 80), Address("fd00:96::20", 80)


def _served(node: Node) -> subprocess.Popen[str]:
    server = node.start(node.node, SERVER)
    assert say(server) == ["up"]
    return node.start(node.pod, CLIENT)


async def test_dump_finds_older_connections(node: Node) -> None:
    """Connections from before the start are known after the dump, both families, with no question asked."""
    client = _served(node)
    locals_ = [connect(client, server) for server in (_V4, _V6)]

    with Conntrack(node.path) as conntrack:
        await conntrack.dump()
        found = [conntrack.translate(*pair) for pair in zip(locals_, (_V4, _V6), strict=True)]

    assert found == [Address("10.9.0.1", 8080), Address("fd00:9::1", 8080)]
    assert conntrack.statistics().get("asked", 0) == 0


async def test_events_tell_new_connections(node: Node) -> None:
    """A connection opened while following is known from its event; its end is taken in as well."""
    client = _served(node)
    now = [0.0]
    with Conntrack(node.path, now=lambda: now[0]) as conntrack:
        async with anyio.create_task_group() as group:
            group.start_soon(conntrack.run)
            await until(lambda: conntrack.counters["dumps"] == 1)
            local = connect(client, _V4)
            await until(lambda: conntrack.statistics()["flows"] == 1)
            found = conntrack.translate(local, _V4)
            await anyio.run_process(["ip", "netns", "exec", node.node, "conntrack", "-F"])
            await until(lambda: conntrack.counters["events"] >= 2)
            still = conntrack.statistics()["flows"]
            now[0] += 60
            connect(client, _V6)
            await until(lambda: conntrack.translate(local, _V4) is None)
            group.cancel_scope.cancel()

    assert (found, still) == (Address("10.9.0.1", 8080), 1)


async def test_lost_events_are_counted_and_made_good(node: Node) -> None:
    """When the kernel has to drop events that is counted, and another dump brings what they would have told."""
    client = _served(node)
    with Conntrack(node.path) as conntrack:
        # Such a small buffer overflows while this test, and with it the loop, is busy connecting.
        conntrack._events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(conntrack.run)
            await until(lambda: conntrack.counters["dumps"] == 1)
            for _ in range(50):
                connect(client, _V4)
            await until(lambda: conntrack.statistics()["flows"] == 50)
            group.cancel_scope.cancel()

    assert conntrack.counters["overruns"] >= 1
    assert conntrack.counters["dumps"] == conntrack.counters["overruns"] + 1


async def test_untranslated_connections_are_not_heard_of(node: Node) -> None:
    """The kernel keeps events of connections that nobody rewrites to itself."""
    client = _served(node)
    with Conntrack(node.path) as conntrack:
        async with anyio.create_task_group() as group:
            group.start_soon(conntrack.run)
            await until(lambda: conntrack.counters["dumps"] == 1)
            for _ in range(5):
                connect(client, Address("10.9.0.1", 8080))
            connect(client, _V4)
            await until(lambda: conntrack.statistics()["flows"] == 1)
            group.cancel_scope.cancel()

    assert conntrack.counters["events"] == 1


async def test_missed_connection_is_asked_for_once(node: Node) -> None:
    """What neither dump nor event told is asked of the kernel; a second look costs nothing."""
    client = _served(node)
    with Conntrack(node.path) as conntrack:
        local = connect(client, _V4)
        direct = connect(client, Address("10.9.0.1", 8080))

        found = [conntrack.translate(local, _V4) for _ in range(2)]
        untranslated = [conntrack.translate(direct, Address("10.9.0.1", 8080)) for _ in range(2)]
        strange = conntrack.translate(Address("10.1.1.1", 1), Address("10.1.1.2", 2))

    assert found == [Address("10.9.0.1", 8080)] * 2
    assert (untranslated, strange) == ([None, None], None)
    assert conntrack.counters["asked"] == 3


async def test_hairpin_tells_both_ends(node: Node) -> None:
    """A pod that reaches itself through its Service: the server sees the node, the origin is known."""
    server = node.start(node.pod, SERVER)
    assert say(server) == ["up"]
    client = node.start(node.pod, CLIENT)
    virtual = Address("10.96.0.21", 80)
    local = connect(client, virtual)
    seen_ip, seen_port = say(server)

    with Conntrack(node.path) as conntrack:
        await conntrack.dump()
        target = conntrack.translate(local, virtual)
        origin = conntrack.origin(Address(seen_ip.removeprefix("::ffff:"), int(seen_port)), Address("10.9.0.2", 8080))

    assert target == Address("10.9.0.2", 8080)
    assert seen_ip == "::ffff:10.9.0.1"
    assert origin == local


async def test_flows_are_bounded(node: Node) -> None:
    """Beyond its limit the oldest connections go and are counted; asking brings them back."""
    client = _served(node)
    locals_ = [connect(client, _V4) for _ in range(12)]

    with Conntrack(node.path, limit=10) as conntrack:
        await conntrack.dump()
        held, dropped = conntrack.statistics()["flows"], conntrack.counters["dropped"]
        found = {conntrack.translate(local, _V4) for local in locals_}

    assert (held, dropped) == (10, 2)
    assert found == {Address("10.9.0.1", 8080)}


def test_namespace_that_is_not_there_is_a_reason() -> None:
    """A namespace that cannot be entered says which and why."""
    with pytest.raises(UnavailableError, match="/run/netns/none cannot be read: No such file"):
        Conntrack(Path("/run/netns/none")).__enter__()


def test_own_addresses_of_a_namespace(node: Node) -> None:
    """Every address of the node's interfaces, loopback included, and none of the pod's."""
    found = local_addresses(node.path)

    assert {"127.0.0.1", "::1", "10.9.0.1", "fd00:9::1"} <= found
    assert "10.9.0.2" not in found
