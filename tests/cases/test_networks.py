"""Whatever address a client uses and whatever network a pod lives in, an edge is there once and leads to the owner."""

from __future__ import annotations

import anyio
import pytest

from tests.cases.receiver import Edge
from tests.cases.world import Actor, World, require

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
async def old(bare_world: World) -> Actor:
    """A client whose connection was made, and used, before there was an agent."""
    server = await bare_world.deploy("old-server")
    client = await bare_world.deploy("old-client")
    await bare_world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await bare_world.play(client, "client.py")
    await user.ask(f"open a {server['status']['podIP']} 8080")
    await user.ask("get a 3")
    return user


@pytest.fixture(scope="module")
async def world(bare_world: World, old: Actor) -> World:
    """A lab whose node has an agent."""
    await bare_world.start_agent()
    return bare_world


def _edge(name: str, namespace: str = "default", other: str = "default") -> Edge:
    return Edge(f"Deployment/{namespace}/{name}-client", f"Deployment/{other}/{name}-server")


async def test_connection_older_than_the_agent(world: World, old: Actor) -> None:
    """Nothing was seen of its beginning, yet both ends and the direction are right."""
    await old.ask("get a 10")
    await world.receiver.settle()

    assert world.receiver.sides("/old-") == {_edge("old"): {"client": 10, "server": 10}}


async def test_service_of_another_namespace(world: World) -> None:
    """Through a Service's virtual address, from one Kubernetes namespace to another: the edge ends at the workload."""
    server = await world.deploy("vip-server", namespace="shop")
    client = await world.deploy("vip-client", namespace="front")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    world.expose("vip-server", namespace="shop")
    address = await world.service("vip-server", "shop")

    await user.ask(f"fetch {address} 80 10")
    await user.ask(f"open a {address} 80")
    await user.ask("get a 10")
    await world.receiver.settle()

    assert world.receiver.sides("/vip-") == {_edge("vip", "front", "shop"): {"client": 20, "server": 20}}
    services = {row["destination_service"] for row in world.receiver.requests("/vip-") if row["role"] == "client"}
    assert services == {"vip-server"}


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
async def test_service_by_iptables(world: World, program: str) -> None:
    """Translated by rules as kube-proxy writes them for iptables, one of two endpoints by chance: both are found."""
    require(program)
    name = program.replace("-", "")
    servers = [await world.deploy(f"{name}-server{number}") for number in range(2)]
    client = await world.deploy(f"{name}-client")
    for server in servers:
        await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    world.lab.api.create("services", {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
    address = world.lab.address_of("default", name)
    targets = [f"{server['status']['podIP']}:8080" for server in servers]
    rules = [
        f"-N {name}",
        *(f"-A {chain} -d {address}/32 -p tcp --dport 80 -j {name}" for chain in ("PREROUTING", "OUTPUT")),
        f"-A {name} -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination {targets[0]}",
        f"-A {name} -p tcp -j DNAT --to-destination {targets[1]}",
    ]
    for rule in rules:
        await anyio.run_process(["nsenter", f"--net={world.lab.namespace_path}", program, "-t", "nat", *rule.split()])

    await user.ask(f"fetch {address} 80 40")
    await world.receiver.settle()

    sides = world.receiver.sides(f"/{name}-")
    source = f"Deployment/default/{name}-client"
    assert set(sides) == {Edge(source, f"Deployment/default/{name}-server{number}") for number in range(2)}
    assert all(roles["client"] == roles["server"] > 0 for roles in sides.values())
    assert sum(roles["server"] for roles in sides.values()) == 40


async def test_pod_that_calls_its_own_service(world: World) -> None:
    """The hairpin: what the server sees is the bridge's address, who calls is the workload itself."""
    server = await world.deploy("hairpin")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(server, "client.py")
    world.expose("hairpin")
    address = await world.service("hairpin")

    await user.ask(f"fetch {address} 80 10")
    await world.receiver.settle()

    own = "Deployment/default/hairpin"
    assert world.receiver.sides("/hairpin") == {Edge(own, own): {"client": 10, "server": 10}}


async def test_headless_service(world: World) -> None:
    """A name that leads to the pod itself: no translation, the same edge."""
    server = await world.deploy("headless-server")
    client = await world.deploy("headless-client")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    world.expose("headless-server", clusterIP="None")
    await world.lab.wait_ready(20)

    address = await world.resolve(user, "headless-server.default.svc.cluster.local")
    await user.ask(f"fetch {address} 8080 10")
    await world.receiver.settle()

    assert world.receiver.sides("/headless-") == {_edge("headless"): {"client": 10, "server": 10}}


@pytest.mark.parametrize("is_host", [False, True], ids=["from a pod", "from a hostNetwork pod"])
async def test_node_port(world: World, is_host: bool) -> None:  # noqa: FBT001 - a case
    """Through a port of the node, from within and from the node's own network."""
    name, port = ("ports-host", 30181) if is_host else ("ports", 30180)
    server = await world.deploy(f"{name}-server")
    client = await world.deploy(f"{name}-client", hostNetwork=is_host)
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    world.expose(f"{name}-server", type="NodePort", node_port=port)
    await world.lab.wait_ready(20)

    await user.ask(f"fetch {world.lab.plan.node} {port} 10")
    await world.receiver.settle()

    assert world.receiver.sides(f"/{name}-") == {_edge(name): {"client": 10, "server": 10}}
    services = {row["destination_service"] for row in world.receiver.requests(f"/{name}-") if row["role"] == "client"}
    assert services == {f"{name}-server"}


async def test_host_network_pods(world: World) -> None:
    """Pods that share the node's address are told apart: as servers, as clients, by address and by loopback."""
    server = await world.deploy("hostnet-server", hostNetwork=True)
    client = await world.deploy("hostnet-client", hostNetwork=True)
    inside = await world.deploy("hostnet-inside")
    await world.play(server, "server.py", "thread", "0.0.0.0", "18080")
    user, other = await world.play(client, "client.py"), await world.play(inside, "client.py")

    await user.ask(f"fetch {world.lab.plan.node} 18080 5")
    await user.ask("fetch 127.0.0.1 18080 5")
    await other.ask(f"fetch {world.lab.plan.node} 18080 7")
    await world.receiver.settle()

    inner = Edge("Deployment/default/hostnet-inside", "Deployment/default/hostnet-server")
    assert world.receiver.sides("/hostnet-") == {
        _edge("hostnet"): {"client": 10, "server": 10},
        inner: {"client": 7, "server": 7},
    }


async def test_host_network_pod_calls_a_service(world: World) -> None:
    """From the node's own network through a virtual address: translated on the way out, not on the way through."""
    server = await world.deploy("hostvip-server")
    client = await world.deploy("hostvip-client", hostNetwork=True)
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")
    world.expose("hostvip-server")
    address = await world.service("hostvip-server")

    await user.ask(f"fetch {address} 80 10")
    await world.receiver.settle()

    assert world.receiver.sides("/hostvip-") == {_edge("hostvip"): {"client": 10, "server": 10}}


async def test_ipv4_mapped_listener(world: World) -> None:
    """A dual-stack listener sees ::ffff:a.b.c.d; that is the client's IPv4 address, not another one."""
    server = await world.deploy("mapped-server")
    client = await world.deploy("mapped-client")
    await world.play(server, "server.py", "thread", "::", "8080")
    user = await world.play(client, "client.py")

    await user.ask(f"fetch {server['status']['podIP']} 8080 5")
    await user.ask(f"fetch ::ffff:{server['status']['podIP']} 8080 5")
    await world.receiver.settle()

    assert world.receiver.sides("/mapped-") == {_edge("mapped"): {"client": 10, "server": 10}}
    addresses = {row["source_ip"] for row in world.receiver.requests("/mapped-")}
    assert addresses == {client["status"]["podIP"]}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_loopback_of_each_pod_is_its_own(world: World, host: str) -> None:
    """Two pods talk to themselves at the same loopback address and port; neither is taken for the other."""
    pods = [await world.deploy(f"loop{len(host)}-{one}") for one in ("a", "b")]
    users = []
    for pod in pods:
        await world.play(pod, "server.py", "thread", host, "8080")
        users.append(await world.play(pod, "client.py"))

    await users[0].ask(f"fetch {host} 8080 5")
    await users[1].ask(f"fetch {host} 8080 7")
    await world.receiver.settle()

    first, second = (f"Deployment/default/loop{len(host)}-{one}" for one in ("a", "b"))
    assert world.receiver.sides(f"/loop{len(host)}-") == {
        Edge(first, first): {"client": 5, "server": 5},
        Edge(second, second): {"client": 7, "server": 7},
    }


async def test_server_of_a_moment(world: World) -> None:
    """A pod that answers in its first second, before the API server tells its address, is named by its callers too."""
    client = await world.deploy("early-client")
    user = await world.play(client, "client.py")
    server = await world.deploy("early-server")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    await user.ask(f"fetch {server['status']['podIP']} 8080 10")
    await world.receiver.settle()

    assert world.receiver.sides("/early-") == {_edge("early"): {"client": 10, "server": 10}}


async def test_connections_have_the_ends_of_their_requests(world: World) -> None:
    """Whatever this module's cases did: no connection is reported between others than the requests on it."""
    await world.receiver.settle()

    assert world.receiver.strangers("Deployment/", "Job/") == set()
