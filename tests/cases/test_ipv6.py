"""IPv6 from end to end: pods, Services of both families, and the same edge whichever family a request took."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cases.receiver import Edge
from tests.cases.world import World, lab_world

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
async def world(able: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A lab of both families, whose node has an agent."""
    async with lab_world("ipv6", tmp_path_factory.mktemp("world"), dual_stack=True) as made:
        await made.start_agent()
        yield made


def _ipv6_of(pod: dict[str, dict[str, list[dict[str, str]]]]) -> str:
    return pod["status"]["podIPs"][1]["ip"]


async def test_pods_by_ipv6(world: World) -> None:
    """Pod to pod, on an address that does not fit into 32 bits."""
    server = await world.deploy("six-server")
    client = await world.deploy("six-client")
    await world.play(server, "server.py", "asyncio", "::", "8080")
    user = await world.play(client, "client.py")

    await user.ask(f"fetch {_ipv6_of(server)} 8080 10")
    await world.receiver.settle()

    edge = Edge("Deployment/default/six-client", "Deployment/default/six-server")
    assert world.receiver.sides("/six-") == {edge: {"client": 10, "server": 10}}
    assert {row["destination_ip"] for row in world.receiver.requests("/six-")} == {_ipv6_of(server)}


async def test_both_families_are_one_edge(world: World) -> None:
    """A client that takes now one family and now the other has one edge to its server."""
    server = await world.deploy("both-server")
    client = await world.deploy("both-client")
    await world.play(server, "server.py", "thread", "::", "8080")
    user = await world.play(client, "client.py")

    await user.ask(f"fetch {_ipv6_of(server)} 8080 5")
    await user.ask(f"fetch {server['status']['podIP']} 8080 5")
    await world.receiver.settle()

    edge = Edge("Deployment/default/both-client", "Deployment/default/both-server")
    assert world.receiver.sides("/both-") == {edge: {"client": 10, "server": 10}}


@pytest.mark.parametrize("policy", ["RequireDualStack", "SingleStack"])
async def test_service_by_ipv6(world: World, policy: str) -> None:
    """A virtual IPv6 address is translated and followed like an IPv4 one."""
    name = f"vip6-{policy.lower()}"
    server = await world.deploy(f"{name}-server")
    client = await world.deploy(f"{name}-client")
    await world.play(server, "server.py", "thread", "::", "8080")
    user = await world.play(client, "client.py")
    families = ["IPv6"] if policy == "SingleStack" else ["IPv4", "IPv6"]
    world.expose(f"{name}-server", ipFamilyPolicy=policy, ipFamilies=families)
    await world.service(f"{name}-server")
    address = world.lab.api.get("services", "default", f"{name}-server")["spec"]["clusterIPs"][-1]

    await user.ask(f"fetch {address} 80 10")
    await world.receiver.settle()

    edge = Edge(f"Deployment/default/{name}-client", f"Deployment/default/{name}-server")
    assert ":" in address
    assert world.receiver.sides(f"/{name}-") == {edge: {"client": 10, "server": 10}}


async def test_host_network_by_ipv6(world: World) -> None:
    """A hostNetwork pod at the node's IPv6 address is itself, not the node."""
    server = await world.deploy("host6-server", hostNetwork=True)
    client = await world.deploy("host6-client")
    await world.play(server, "server.py", "thread", "::", "18080")
    user = await world.play(client, "client.py")
    address = world.lab.plan.both(world.lab.plan.node)[1]

    await user.ask(f"fetch {address} 18080 10")
    await world.receiver.settle()

    edge = Edge("Deployment/default/host6-client", "Deployment/default/host6-server")
    assert world.receiver.sides("/host6-") == {edge: {"client": 10, "server": 10}}


async def test_connections_have_the_ends_of_their_requests(world: World) -> None:
    """Whatever this module's cases did: no connection is reported between others than the requests on it."""
    await world.receiver.settle()

    assert world.receiver.strangers("Deployment/", "Job/") == set()
