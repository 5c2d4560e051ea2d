"""An agent that ends, or is killed, and comes back in mid-traffic: nothing twice, nothing lost but its absence."""

from __future__ import annotations

import anyio
import pytest

from tests.cases.receiver import Edge
from tests.cases.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.mark.parametrize("by_force", [False, True], ids=["ended", "killed"])
async def test_connections_go_on_where_they_were(bare_world: World, by_force: bool) -> None:  # noqa: FBT001 - a case
    """The same connections before and after: one edge, right direction, each request of its lifetime once."""
    world, name = bare_world, "killed" if by_force else "ended"
    server = await world.deploy(f"{name}-server")
    client = await world.deploy(f"{name}-client")
    await world.play(server, "server.py", "asyncio", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    await user.ask(f"open a {server['status']['podIP']} 8080")
    first = await world.start_agent()

    await user.ask("get a 100")
    if by_force:  # what had not been sent yet dies with it
        await world.receiver.settle()
    await first.end(by_force=by_force)
    before = len(world.receiver.sequences)
    await user.ask("get a 50")
    second = await world.start_agent()
    await user.ask("get a 100")
    await world.receiver.settle()
    await second.end()

    edge = Edge(f"Deployment/default/{name}-client", f"Deployment/default/{name}-server")
    assert world.receiver.sides(f"/{name}-") == {edge: {"client": 200, "server": 200}}
    numbers = world.receiver.sequences
    assert len(numbers) > before > 0
    assert len(set(numbers)) == len(numbers)


async def test_restart_under_traffic(bare_world: World) -> None:
    """Killed while requests run: both ends of the edge tell no more than there was, and miss no more than the gap."""
    world = bare_world
    server = await world.deploy("busy-server")
    client = await world.deploy("busy-client")
    await world.play(server, "server.py", "asyncio", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    await user.ask(f"open a {server['status']['podIP']} 8080")
    sent, is_over = 0, False

    async def ask() -> None:
        nonlocal sent
        while not is_over:
            await user.ask("get a 10")
            sent += 10
            await anyio.sleep(0.01)

    first = await world.start_agent()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        while sent < 500:  # noqa: ASYNC110 - the client's own progress
            await anyio.sleep(0.01)
        surely_before = sent
        await world.receiver.settle()
        await first.end(by_force=True)
        second = await world.start_agent()
        back_at = sent
        while sent < back_at + 500:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        is_over = True
    await world.receiver.settle()
    await second.end()

    edge = Edge("Deployment/default/busy-client", "Deployment/default/busy-server")
    ((found, roles),) = world.receiver.sides("/busy-").items()
    least = surely_before + sent - back_at - 10  # of the ten that ran as it came back some were not seen
    assert found == edge
    assert least <= roles["client"] <= sent
    assert least <= roles["server"] <= sent
