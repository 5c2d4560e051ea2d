"""Connection tracking of a real network namespace with real translation rules."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from osmia.agent.entities.conntrack import Conntrack
from osmia.agent.entities.hosts import local_addresses
from osmia.model.errors import UnavailableError
from osmia.model.request import Address
from tests.agent.entities.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

_RULES = """
table inet osmia_test {
 chain prerouting {
  type nat hook prerouting priority -100
  ip daddr 10.96.0.20 tcp dport 80 dnat ip to 10.9.0.1:8080
  ip6 daddr fd00:96::20 tcp dport 80 dnat ip6 to [fd00:9::1]:8080
  ip daddr 10.96.0.21 tcp dport 80 dnat ip to 10.9.0.2:8080
 }
 chain postrouting {
  type nat hook postrouting priority 100
  ct status dnat ip saddr 10.9.0.2 ip daddr 10.9.0.2 masquerade
 }
}
"""
_SERVER = """
import socket
server = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
held = []
while True:
    connection, peer = server.accept()
    held.append(connection)
    print(*peer[:2], flush=True)
"""
_CLIENT = """
import socket, sys
held = []
for line in sys.stdin:
    ip, port = line.split()
    held.append(socket.create_connection((ip, int(port)), timeout=10))
    print(*held[-1].getsockname()[:2], flush=True)
"""


@dataclass
class _Node:
    """A node's namespace with translation, and a pod's namespace behind it."""

    node: str
    pod: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return Path("/run/netns") / self.node

    def start(self, namespace: str, program: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", namespace, "python3", "-c", program]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process


@contextmanager
def _node() -> Iterator[_Node]:
    made = _Node(f"osmia-n{os.getpid()}", f"osmia-p{os.getpid()}")
    with ExitStack() as undo:
        for name in (made.node, made.pod):
            subprocess.run(["ip", "netns", "add", name], check=True)
            undo.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        for command in _LINKS.format(node=made.node, pod=made.pod).strip().splitlines():
            subprocess.run(command.split(), check=True)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.route_localnet"):
            subprocess.run(["ip", "netns", "exec", made.node, "sysctl", "-qw", f"{key}=1"], check=True)
        subprocess.run(["ip", "netns", "exec", made.node, "nft", "-f", "-"], input=_RULES, text=True, check=True)
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                process.communicate()


_LINKS = """
ip -n {node} link set lo up
ip -n {pod} link set lo up
ip -n {node} link add v0 type veth peer name v1 netns {pod}
ip -n {node} addr add 10.9.0.1/24 dev v0
ip -n {node} addr add fd00:9::1/64 dev v0 nodad
ip -n {node} link set v0 up
ip -n {pod} addr add 10.9.0.2/24 dev v1
ip -n {pod} addr add fd00:9::2/64 dev v1 nodad
ip -n {pod} link set v1 up
ip -n {pod} route add default via 10.9.0.1
ip -n {pod} -6 route add default via fd00:9::1
"""


@pytest.fixture
def node() -> Iterator[_Node]:
    """Two namespaces joined by a link, with two virtual addresses translated on the node."""
    with _node() as made:
        yield made


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the agent."""
    return "asyncio"


def _say(process: subprocess.Popen[str], line: str = "") -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline().split()


def _connect(client: subprocess.Popen[str], server: Address) -> Address:
    ip, port = _say(client, f"{server.ip} {server.port}")
    return Address(ip, int(port))


_V4, _V6 = Address("10.96.0.20", 80), Address("fd00:96::20", 80)


def _served(node: _Node) -> subprocess.Popen[str]:
    server = node.start(node.node, _SERVER)
    assert _say(server) == ["up"]
    return node.start(node.pod, _CLIENT)


async def test_dump_finds_older_connections(node: _Node) -> None:
    """Connections from before the start are known after the dump, both families, with no question asked."""
    client = _served(node)
    locals_ = [_connect(client, server) for server in (_V4, _V6)]

    with Conntrack(node.path) as conntrack:
        await conntrack.dump()
        found = [conntrack.translate(*pair) for pair in zip(locals_, (_V4, _V6), strict=True)]

    assert found == [Address("10.9.0.1", 8080), Address("fd00:9::1", 8080)]
    assert conntrack.statistics().get("asked", 0) == 0


async def test_events_tell_new_connections(node: _Node) -> None:
    """A connection opened while following is known from its event; its end is taken in as well."""
    client = _served(node)
    now = [0.0]
    with Conntrack(node.path, now=lambda: now[0]) as conntrack:
        async with anyio.create_task_group() as group:
            group.start_soon(conntrack.run)
            await until(lambda: conntrack.counters["dumps"] == 1)
            local = _connect(client, _V4)
            await until(lambda: conntrack.statistics()["flows"] == 1)
            found = conntrack.translate(local, _V4)
            await anyio.run_process(["ip", "netns", "exec", node.node, "conntrack", "-F"])
            await until(lambda: conntrack.counters["events"] >= 2)
            still = conntrack.statistics()["flows"]
            now[0] += 60
            _connect(client, _V6)
            await until(lambda: conntrack.translate(local, _V4) is None)
            group.cancel_scope.cancel()

    assert (found, still) == (Address("10.9.0.1", 8080), 1)


async def test_lost_events_are_counted_and_made_good(node: _Node) -> None:
    """When the kernel has to drop events that is counted, and another dump brings what they would have told."""
    client = _served(node)
    with Conntrack(node.path) as conntrack:
        # Such a small buffer overflows while this test, and with it the loop, is busy connecting.
        conntrack._events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(conntrack.run)
            await until(lambda: conntrack.counters["dumps"] == 1)
            for _ in range(50):
                _connect(client, _V4)
            await until(lambda: conntrack.statistics()["flows"] == 50)
            group.cancel_scope.cancel()

    assert conntrack.counters["overruns"] >= 1
    assert conntrack.counters["dumps"] == conntrack.counters["overruns"] + 1


async def test_untranslated_connections_are_not_heard_of(node: _Node) -> None:
    """The kernel keeps events of connections that nobody rewrites to itself."""
    client = _served(node)
    with Conntrack(node.path) as conntrack:
        async with anyio.create_task_group() as group:
            group.start_soon(conntrack.run)
            await until(lambda: conntrack.counters["dumps"] == 1)
            for _ in range(5):
                _connect(client, Address("10.9.0.1", 8080))
            _connect(client, _V4)
            await until(lambda: conntrack.statistics()["flows"] == 1)
            group.cancel_scope.cancel()

    assert conntrack.counters["events"] == 1


async def test_missed_connection_is_asked_for_once(node: _Node) -> None:
    """What neither dump nor event told is asked of the kernel; a second look costs nothing."""
    client = _served(node)
    with Conntrack(node.path) as conntrack:
        local = _connect(client, _V4)
        direct = _connect(client, Address("10.9.0.1", 8080))

        found = [conntrack.translate(local, _V4) for _ in range(2)]
        untranslated = [conntrack.translate(direct, Address("10.9.0.1", 8080)) for _ in range(2)]
        strange = conntrack.translate(Address("10.1.1.1", 1), Address("10.1.1.2", 2))

    assert found == [Address("10.9.0.1", 8080)] * 2
    assert (untranslated, strange) == ([None, None], None)
    assert conntrack.counters["asked"] == 3


async def test_hairpin_tells_both_ends(node: _Node) -> None:
    """A pod that reaches itself through its Service: the server sees the node, the origin is known."""
    server = node.start(node.pod, _SERVER)
    assert _say(server) == ["up"]
    client = node.start(node.pod, _CLIENT)
    virtual = Address("10.96.0.21", 80)
    local = _connect(client, virtual)
    seen_ip, seen_port = _say(server)

    with Conntrack(node.path) as conntrack:
        await conntrack.dump()
        target = conntrack.translate(local, virtual)
        origin = conntrack.origin(Address(seen_ip.removeprefix("::ffff:"), int(seen_port)), Address("10.9.0.2", 8080))

    assert target == Address("10.9.0.2", 8080)
    assert seen_ip == "::ffff:10.9.0.1"
    assert origin == local


async def test_flows_are_bounded(node: _Node) -> None:
    """Beyond its limit the oldest connections go and are counted; asking brings them back."""
    client = _served(node)
    locals_ = [_connect(client, _V4) for _ in range(12)]

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


def test_own_addresses_of_a_namespace(node: _Node) -> None:
    """Every address of the node's interfaces, loopback included, and none of the pod's."""
    found = local_addresses(node.path)

    assert {"127.0.0.1", "::1", "10.9.0.1", "fd00:9::1"} <= found
    assert "10.9.0.2" not in found
