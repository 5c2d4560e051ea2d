"""A pod's address is soon another pod's: every request belongs to who had the address when it was made."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.cases.receiver import Edge
from tests.cases.world import Object, World, lab_world, room_for_five

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
async def world(able: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A lab with room for five pods, whose node has an agent."""
    async with lab_world("reuse", tmp_path_factory.mktemp("world"), pod_cidr=room_for_five()) as made:
        await made.start_agent()
        yield made


async def _end(world: World, name: str) -> None:
    """Delete a Deployment and wait until its pod has gone."""
    world.lab.api.delete("deployments", "default", name)
    with anyio.fail_after(20):
        while world.lab.pods("default", name):  # noqa: ASYNC110 - tells nobody
            await anyio.sleep(0.02)


async def _pod_at(world: World, ip: str) -> Object:
    """Deploy pods until one has the address."""
    for number in range(6):
        pod = await world.deploy(f"next{number}")
        if pod["status"]["podIP"] == ip:
            return pod
        await _end(world, f"next{number}")
    raise AssertionError(f"{ip} does not come again")


async def test_address_that_is_given_to_another_pod(world: World) -> None:
    """Requests to the first owner stay the first one's, those to the second are the second one's, on one client."""
    client = await world.deploy("heir-client")
    first = await world.deploy("heir-first")
    await world.play(first, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    ip = first["status"]["podIP"]

    await user.ask(f"fetch {ip} 8080 10")
    await _end(world, "heir-first")
    second = await _pod_at(world, ip)
    await world.play(second, "server.py", "thread", "0.0.0.0", "8080")
    await user.ask(f"fetch {ip} 8080 7")
    await world.receiver.settle()

    source, heir = "Deployment/default/heir-client", second["metadata"]["labels"]["app"]
    assert world.receiver.sides("/heir-") == {
        Edge(source, "Deployment/default/heir-first"): {"client": 10, "server": 10},
        Edge(source, f"Deployment/default/{heir}"): {"client": 7, "server": 7},
    }


async def test_address_of_a_finished_job(world: World) -> None:
    """A Job's pod that has ended keeps its address in its status; who has it now is the one that is named."""
    server = await world.deploy("late-server")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    job = await world.run_job("late-job", ["curl", "-s", f"http://{server['status']['podIP']}:8080/ok"])
    ip = (job.get("status") or {}).get("podIP") or ""
    heir = await _pod_at(world, ip)
    user = await world.play(heir, "client.py")

    await user.ask(f"fetch {server['status']['podIP']} 8080 7")
    await world.receiver.settle()

    target, name = "Deployment/default/late-server", heir["metadata"]["labels"]["app"]
    assert world.receiver.sides("/late-") == {
        Edge("Job/default/late-job", target): {"client": 1, "server": 1},
        Edge(f"Deployment/default/{name}", target): {"client": 7, "server": 7},
    }
