"""A world outside of the lab: a network namespace that the lab's node routes to, with a name server and servers.

Its servers run on this machine, where the agent would see them too. Therefore each stands behind an address of its
own: what the client calls (203.0.113.x) is rewritten outside, where the node's connection tracking knows nothing of
it, as it is behind any load balancer. What the agent then sees of the server itself is left out by the tests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from tests.cases.world import PROGRAMS, World, actor

__all__ = ["NAME_SERVER", "SERVERS", "outside"]

SERVERS = ("203.0.113.7", "203.0.113.8")
"""Public addresses on which something serves HTTP at port 80."""

NAME_SERVER = "203.0.113.53"
_BEHIND = "198.51.100.2"
_RULES = """
table ip osmia_outside {
 chain prerouting {
  type nat hook prerouting priority -100
  ip daddr 203.0.113.0/24 tcp dport 80 dnat to 198.51.100.2:8080
 }
}
"""


@asynccontextmanager
async def outside(world: World, names: Iterable[tuple[str, str]]) -> AsyncIterator[None]:
    """The namespace, reachable from every pod; `names` are what its name server knows."""
    node, own, link = world.lab.state.network.namespace, f"osmia-out-{os.getpid()}", f"out{os.getpid()}"
    plan = world.lab.plan
    async with AsyncExitStack() as stack:
        await _ip(f"netns add {own}")
        stack.push_async_callback(_ip, f"netns del {own}")
        for command in (
            f"-n {node} link add {link} type veth peer name inward netns {own}",
            f"-n {node} address add 192.0.2.1/30 dev {link}",
            f"-n {node} link set {link} up",
            f"-n {own} link set lo up",
            f"-n {own} address add 192.0.2.2/30 dev inward",
            f"-n {own} link set inward up",
            *(f"-n {own} address add {ip}/32 dev lo" for ip in (*SERVERS, NAME_SERVER, _BEHIND)),
            f"-n {own} route add {plan.pods} via 192.0.2.1",
            f"-n {node} route add 203.0.113.0/24 via 192.0.2.2",
        ):
            await _ip(command)
        await anyio.run_process(["ip", "netns", "exec", own, "nft", "-f", "-"], input=_RULES.encode())
        inside = ["ip", "netns", "exec", own, sys.executable]
        zone = [f"{name}={ip}" for name, ip in names]
        await stack.enter_async_context(actor([*inside, str(PROGRAMS / "nameserver.py"), NAME_SERVER, *zone]))
        await stack.enter_async_context(actor([*inside, str(PROGRAMS / "server.py"), "thread", _BEHIND, "8080"]))
        yield


async def _ip(command: str) -> None:
    await anyio.run_process(["ip", *command.split()])
