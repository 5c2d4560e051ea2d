"""What must be shown: the server's own map over the cases that other agents get wrong, and not one edge more."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from osmia.demo.world import cluster_named, start_server
from tests.cases.world import agent, lab_world, room_for_five

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(120)]


async def test_every_edge_once_right_direction_right_owner(able: None, tmp_path: Path) -> None:
    """Old connection, IPv6, VIP, other namespace, asyncio server, hostNetwork, reused pod IP: exactly these."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(start_server(["127.0.0.1:0"], tmp_path / "store", tmp_path))
        monitoring_id, key = await cluster_named(server.api, "cases")
        world = await stack.enter_async_context(lab_world("map", tmp_path, dual_stack=True, pod_cidr=room_for_five()))
        client = await world.deploy("client")
        pods = {
            "old": await world.deploy("old"),
            "six": await world.deploy("six"),
            "vip": await world.deploy("vip", namespace="shop"),
            "host": await world.deploy("host", hostNetwork=True),
            "first": await world.deploy("first"),
        }
        world.expose("vip", namespace="shop")
        address = await world.service("vip", "shop")
        for name, pod in pods.items():
            port = "18080" if name == "host" else "8080"
            await world.play(pod, "server.py", "asyncio" if name == "six" else "thread", "::", port)
        user = await world.play(client, "client.py")
        await user.ask(f"open old {pods['old']['status']['podIP']} 8080")
        await user.ask("get old 5")
        options = ["--monitoring-id", monitoring_id, "--key", key, "--node", world.lab.state.node]
        options += ["--kubeconfig", str(world.lab.kubeconfig), "--node-netns", str(world.lab.namespace_path)]
        await stack.enter_async_context(agent(server.api.url, tmp_path / "agent.log", *options))

        await user.ask("get old 10")
        await user.ask(f"wide {pods['six']['status']['podIPs'][1]['ip']} 8080 10 1")
        await user.ask(f"fetch {address} 80 10")
        await user.ask(f"fetch {world.lab.plan.node} 18080 10")
        reused = pods["first"]["status"]["podIP"]
        await user.ask(f"fetch {reused} 8080 10")
        world.lab.api.delete("deployments", "default", "first")
        with anyio.fail_after(20):
            while world.lab.pods("default", "first"):  # noqa: ASYNC110 - tells nobody
                await anyio.sleep(0.02)
        heir = await world.deploy("heir")
        await world.play(heir, "server.py", "thread", "::", "8080")
        await user.ask(f"fetch {reused} 8080 7")

        wanted = {f"Deployment/default/{name}": 10 for name in ("old", "six", "host", "first")}
        wanted |= {"Deployment/shop/vip": 10, "Deployment/default/heir": 7}
        found: dict[tuple[str, str, str], int] = {}
        with anyio.move_on_after(30):
            while sum(found.values()) < sum(wanted.values()):
                await anyio.sleep(0.2)
                shown = await server.api.get(f"/clusters/{monitoring_id}/map")
                found = {(one["source"], one["target"], one["protocol"]): one["count"] for one in shown["edges"]}

    assert heir["status"]["podIP"] == reused
    assert found == {("Deployment/default/client", target, "http"): count for target, count in wanted.items()}
