"""However a server or client spreads its work over processes and threads, an edge has one owner at each end."""

from __future__ import annotations

import sys

import anyio
import pytest

from tests.cases.receiver import Edge
from tests.cases.world import PROGRAMS, World, require

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
async def world(bare_world: World) -> World:
    """A lab whose node has an agent."""
    await bare_world.start_agent()
    return bare_world


@pytest.mark.parametrize("model", ["thread", "fork", "prefork", "asyncio", "passed"])
async def test_server_of_any_process_model_is_one_owner(world: World, model: str) -> None:
    """Threads, forks, pre-forked workers, one loop for all, sockets handed over: one edge, from client to server."""
    server = await world.deploy(f"{model}-server")
    client = await world.deploy(f"{model}-client")
    await world.play(server, "server.py", model, "0.0.0.0", "8080")
    user = await world.play(client, "client.py")

    await user.ask(f"fetch {server['status']['podIP']} 8080 20")
    await user.ask(f"open a {server['status']['podIP']} 8080")
    await user.ask("get a 10")
    await user.ask("close a")
    await world.receiver.settle()

    edge = Edge(f"Deployment/default/{model}-client", f"Deployment/default/{model}-server")
    assert world.receiver.sides(f"/{model}-") == {edge: {"client": 30, "server": 30}}


_REAL = {
    "gunicorn": [
        sys.executable,
        "-m",
        "gunicorn",
        "-w",
        "4",
        "--chdir",
        str(PROGRAMS),
        "-b",
        "0.0.0.0:8080",
        "wsgi:app",
    ],
    "uvicorn": [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        str(PROGRAMS),
        "--host",
        "0.0.0.0",
        "--port",
        "8080",
        "asgi:app",
    ],
    "nginx": ["nginx", "-c", str(PROGRAMS / "nginx.conf")],
    "node": ["node", str(PROGRAMS / "server.js")],
}


@pytest.mark.parametrize("kind", list(_REAL))
async def test_real_server_is_one_owner(world: World, kind: str) -> None:
    """Real servers with several workers, or with hundreds of connections at once on one thread."""
    require(_REAL[kind][0])
    server = await world.deploy(f"{kind}-server")
    client = await world.deploy(f"{kind}-client")
    await world.start(server, *_REAL[kind], is_silent=True)
    user = await world.play(client, "client.py")
    await world.listening(server, 8080)

    # Gunicorn's workers answer one request per connection.
    how, many = ("fetch", "600") if kind == "gunicorn" else ("wide", "300 2")
    await user.ask(f"{how} {server['status']['podIP']} 8080 {many}")
    await world.receiver.settle()

    edge = Edge(f"Deployment/default/{kind}-client", f"Deployment/default/{kind}-server")
    assert world.receiver.sides(f"/{kind}-") == {edge: {"client": 600, "server": 600}}


async def test_postgres_backends_are_one_owner(world: World) -> None:
    """Every session has a backend process of its own; together they are one server."""
    require("psql")
    database = await world.deploy(
        "pg-server",
        containers=(),
        extra=({"name": "db", "image": "postgres", "env": [{"name": "POSTGRES_PASSWORD", "value": "case"}]},),
    )
    client = await world.deploy("pg-client")
    await world.listening(database, 5432)
    address = f"postgresql://postgres:case@{database['status']['podIP']}/postgres?sslmode=disable"
    statements = [word for number in range(3) for word in ("-c", f"select {number}")]

    for _ in range(4):
        await anyio.run_process(world.inside(client, "psql", "-qAt", address, *statements))
    await world.receiver.settle()

    edge = Edge("Deployment/default/pg-client", "Deployment/default/pg-server", "postgres")
    assert world.receiver.sides("/pg-") == {edge: {"client": 12, "server": 12}}


async def test_proxy_on_one_thread_inverts_nothing(world: World) -> None:
    """A thread that serves many and calls one in between: each request belongs to its own connection."""
    backend = await world.deploy("chain-backend")
    proxy = await world.deploy("chain-proxy")
    client = await world.deploy("chain-client")
    await world.play(backend, "server.py", "asyncio", "0.0.0.0", "8080")
    await world.play(proxy, "server.py", "proxy", "0.0.0.0", "8080", backend["status"]["podIP"], "8080")
    user = await world.play(client, "client.py")

    await user.ask(f"wide {proxy['status']['podIP']} 8080 20 5")
    await world.receiver.settle()

    ends = [f"Deployment/default/chain-{one}" for one in ("client", "proxy", "backend")]
    both = {"client": 100, "server": 100}
    assert world.receiver.sides("/chain-") == {Edge(*ends[:2]): both, Edge(*ends[1:]): both}


async def test_client_without_read_and_write_is_seen(world: World) -> None:
    """Programs that use sendmsg and recvmsg alone (gRPC's core does) are clients like others."""
    server = await world.deploy("msg-server")
    client = await world.deploy("msg-client")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")
    user = await world.play(client, "client.py")

    await user.ask(f"open a {server['status']['podIP']} 8080")
    await user.ask("send a 10")
    await world.receiver.settle()

    edge = Edge("Deployment/default/msg-client", "Deployment/default/msg-server")
    assert world.receiver.sides("/msg-") == {edge: {"client": 10, "server": 10}}


async def test_containers_of_a_pod_are_told_apart(world: World) -> None:
    """A sidecar that is called by the outside and calls its neighbour: one workload, two containers by name."""
    pod = await world.deploy("duo", containers=("front", "app"))
    client = await world.deploy("duo-client")
    await world.play(pod, "server.py", "asyncio", "127.0.0.1", "9090", container="app")
    await world.play(pod, "server.py", "proxy", "0.0.0.0", "8080", "127.0.0.1", "9090", container="front")
    user = await world.play(client, "client.py")

    await user.ask(f"fetch {pod['status']['podIP']} 8080 10")
    await world.receiver.settle()

    outer = Edge("Deployment/default/duo-client", "Deployment/default/duo")
    inner = Edge("Deployment/default/duo", "Deployment/default/duo")
    both = {"client": 10, "server": 10}
    assert world.receiver.sides("/duo") == {outer: both, inner: both}
    containers = {(row["source_container"], row["destination_container"]) for row in world.receiver.requests("/duo")}
    assert containers == {("main", "front"), ("front", "app")}


@pytest.mark.parametrize("run", range(3))
async def test_job_of_a_moment_has_its_name(world: World, run: int) -> None:
    """A job whose only container is one curl of a few milliseconds is named, not "curl" and not an address."""
    require("curl")
    server = await world.deploy(f"shop{run}-server")
    await world.play(server, "server.py", "thread", "0.0.0.0", "8080")

    await world.run_job(f"shop{run}-job", ["curl", "-s", f"http://{server['status']['podIP']}:8080/ok"])
    await world.receiver.settle()

    edge = Edge(f"Job/default/shop{run}-job", f"Deployment/default/shop{run}-server")
    assert world.receiver.sides(f"/shop{run}-") == {edge: {"client": 1, "server": 1}}


async def test_connections_have_the_ends_of_their_requests(world: World) -> None:
    """Whatever this module's cases did: no connection is reported between others than the requests on it."""
    await world.receiver.settle()

    assert world.receiver.strangers("Deployment/", "Job/") == set()
