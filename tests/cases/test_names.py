"""Peers outside the cluster have the names by which they were asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.cases.outside import NAME_SERVER, SERVERS, outside
from tests.cases.receiver import Edge
from tests.cases.world import Actor, World

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(60)]
_NAMES = [("api.example.com", SERVERS[0]), ("cdn-a.example.net", SERVERS[1]), ("cdn-b.example.net", SERVERS[1])]


@pytest.fixture(scope="module")
async def world(bare_world: World) -> AsyncIterator[World]:
    """A lab whose node has an agent and a way out."""
    await bare_world.start_agent()
    async with outside(bare_world, _NAMES):
        yield bare_world


async def _client(world: World, name: str) -> Actor:
    """A client whose resolver is the name server outside."""
    pod = await world.deploy(name)
    config = f"printf 'nameserver {NAME_SERVER}\\n' > /etc/resolv.conf"
    await anyio.run_process(world.inside(pod, "sh", "-c", config))
    return await world.play(pod, "client.py")


def _outward(world: World, name: str) -> dict[Edge, int]:
    """Edges of a client to the outside. The server outside is on this machine too: what it says of itself is left."""
    return {edge: n for edge, n in world.receiver.edges(f"/{name}").items() if edge.target.startswith("External/")}


async def test_peer_has_the_name_that_was_asked_for(world: World) -> None:
    """From the first request on, over the old connection and new ones; the address stands beside it."""
    user = await _client(world, "caller")

    address = await user.ask("resolve api.example.com")
    await user.ask(f"open a {address} 80")
    await user.ask("get a 5")
    await user.ask(f"fetch {address} 80 5")
    await user.ask("get a 5")
    await world.receiver.settle()

    assert address == SERVERS[0]
    assert _outward(world, "caller") == {Edge("Deployment/default/caller", "External//api.example.com"): 15}
    rows = [row for row in world.receiver.requests("/caller") if row["role"] == "client"]
    assert {row["destination_ip"] for row in rows} == {SERVERS[0]}


async def test_each_client_has_its_own_name_of_a_shared_address(world: World) -> None:
    """Two names of one address are two peers, each of the client that asked for it."""
    users = {name: await _client(world, f"reader-{name}") for name in ("a", "b")}

    for name, user in users.items():
        address = await user.ask(f"resolve cdn-{name}.example.net")
        await user.ask(f"fetch {address} 80 5")
    await world.receiver.settle()

    assert _outward(world, "reader-") == {
        Edge(f"Deployment/default/reader-{name}", f"External//cdn-{name}.example.net"): 5 for name in users
    }


async def test_peer_that_nobody_asked_for_is_its_address(world: World) -> None:
    """Without an answer that tells its name for certain, a peer is called what it was called by: its address."""
    user = await _client(world, "blind")

    await user.ask(f"fetch {SERVERS[1]} 80 5")
    await world.receiver.settle()

    assert _outward(world, "blind") == {Edge("Deployment/default/blind", f"External//{SERVERS[1]}"): 5}


async def test_connections_have_the_ends_of_their_requests(world: World) -> None:
    """Whatever this module's cases did: no connection is reported between others than the requests on it."""
    await world.receiver.settle()

    assert world.receiver.strangers("Deployment/", "Job/") == set()
