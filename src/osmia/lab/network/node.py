"""A node as a network namespace: bridge for pods, uplink to this machine, forwarding; the host stack stays untouched.

Pods get a /32 and reach everything, their neighbours too, through the bridge's address. So every packet, also the
answer of a pod on the same bridge, passes the node's IP stack where conntrack can undo a Service's DNAT (a shared
subnet would need br_netfilter for that).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.to_thread import run_sync

from osmia.lab.host import run
from osmia.lab.network.plan import AddressPlan, twin, twin_network
from osmia.model.errors import LabError

__all__ = ["NETNS_PREFIX", "NodeNetwork", "NodeSockets", "used_networks", "wait_removed"]

NETNS_PREFIX = "osmia-lab-"
_NETNS_DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_BRIDGE = "cni0"
_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv6/conf/all/disable_ipv6": 0,
    "net/ipv6/conf/all/forwarding": 1,
    # Absent without br_netfilter. With it, a pod that meets itself through a VIP would be switched, not routed, and the
    # bridge does not send a frame back to the port it came from.
    "net/bridge/bridge-nf-call-iptables": 0,
}


async def used_networks() -> list[IPv4Network]:
    """The networks that this machine has routes to."""
    routes = json.loads(await run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    return [IPv4Network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """Names and addresses of one node's network; `create` and `remove` make it so."""

    node: str
    plan: AddressPlan

    @property
    def namespace(self) -> str:
        """Name of the network namespace."""
        return f"{NETNS_PREFIX}{self.node}"

    @property
    def namespace_path(self) -> Path:
        """File to open or bind for entering the namespace."""
        return _NETNS_DIRECTORY / self.namespace

    @property
    def uplink(self) -> str:
        """Name of the uplink's interface on this machine."""
        return "osmia-" + hashlib.sha256(self.node.encode()).hexdigest()[:8]

    async def create(self) -> None:
        """Build the namespace, its bridge, the uplink and the routes of this machine to pods and Services.

        Raises:
            LabError: a step failed (what was built until then is left for `remove`).
        """
        plan, inside = self.plan, self.namespace
        await run(["ip", "netns", "add", inside])
        await _batch(
            f"link add {self.uplink} type veth peer name uplink netns {inside}",
            f"address add {plan.host}/{plan.uplink.prefixlen} dev {self.uplink}",
            f"link set {self.uplink} up",
        )
        await run(["nsenter", f"--net={self.namespace_path}", "sh", "-ec", _write_sysctls()])
        await _batch(
            "link set lo up",
            f"link add {_BRIDGE} address 0a:58:{_mac_tail(plan.gateway)} type bridge",
            f"address add {plan.gateway}/{plan.pods.prefixlen} dev {_BRIDGE}",
            f"link set {_BRIDGE} up",
            f"address add {plan.node}/{plan.uplink.prefixlen} dev uplink",
            "link set uplink up",
            f"route add default via {plan.host}",
            namespace=inside,
        )
        await _batch(
            f"route add {plan.pods} via {plan.node}",
            f"route add {plan.services} via {plan.node}",
        )
        if plan.is_dual_stack:
            await self._create_twins()

    async def _create_twins(self) -> None:
        """The same addresses and routes again, for IPv6."""
        plan, length = self.plan, twin_network(self.plan.uplink).prefixlen
        await _batch(
            f"address add {twin(plan.gateway)}/{twin_network(plan.pods).prefixlen} dev {_BRIDGE} nodad",
            f"address add {twin(plan.node)}/{length} dev uplink nodad",
            f"route add ::/0 via {twin(plan.host)}",
            namespace=self.namespace,
        )
        await _batch(
            f"address add {twin(plan.host)}/{length} dev {self.uplink} nodad",
            f"route add {twin_network(plan.pods)} via {twin(plan.node)}",
            f"route add {twin_network(plan.services)} via {twin(plan.node)}",
        )

    async def remove(self) -> None:
        """Take away namespace, links and routes, whatever of them is there."""
        for argv in (["link", "delete", self.uplink], ["netns", "delete", self.namespace]):
            with suppress(LabError):
                await run(["ip", *argv])

    async def connect_pod(self, pid: int, interface: str, address: IPv4Address) -> None:
        """Give the network namespace of process `pid` an eth0 with the address, plugged into the bridge."""
        await _batch(
            f"link add {interface} type veth peer name eth0 address 0a:58:{_mac_tail(address)} netns {pid}",
            f"link set {interface} master {_BRIDGE} up",
            namespace=self.namespace,
        )
        lines = [
            "link set lo up",
            f"address add {address}/32 dev eth0",
            "link set eth0 up",
            f"route add {self.plan.gateway} dev eth0",
            f"route add default via {self.plan.gateway} src {address}",
        ]
        if self.plan.is_dual_stack:
            gateway = twin(self.plan.gateway)
            lines += [
                f"address add {twin(address)}/128 dev eth0 nodad",
                f"route add {gateway} dev eth0",
                f"route add ::/0 via {gateway} src {twin(address)}",
            ]
        await run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], text="\n".join(lines))

    async def disconnect_pod(self, interface: str) -> None:
        """Unplug a pod; nothing happens if its namespace has already gone."""
        with suppress(LabError):
            await run(["ip", "-n", self.namespace, "link", "delete", interface])

    async def run(self, *argv: str, text: str = "") -> str:
        """Run a command in the node's network namespace; returns its output.

        Raises:
            LabError: it failed.
        """
        return await run(["nsenter", f"--net={self.namespace_path}", *argv], text=text)


class NodeSockets:
    """Makes sockets that live in the node's network namespace, for probes and DNS of the process that holds this."""

    def __init__(self, network: NodeNetwork) -> None:
        self._path = network.namespace_path
        self._thread = ThreadPoolExecutor(max_workers=1, initializer=self._enter, thread_name_prefix="node-sockets")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await run_sync(self._thread.shutdown)

    async def open(self, kind: socket.SocketKind) -> socket.socket:
        """A new non-blocking IPv4 socket in the node's namespace."""
        made = await run_sync(self._thread.submit(socket.socket, socket.AF_INET, kind).result)
        made.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return made

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with self._path.open("rb") as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self._path))


async def _batch(*lines: str, namespace: str | None = None) -> None:
    prefix = ["ip", "-n", namespace] if namespace else ["ip"]
    await run([*prefix, "-batch", "-"], text="\n".join(lines))


def _write_sysctls() -> str:
    return "\n".join(f"! [ -e /proc/sys/{key} ] || echo {value} > /proc/sys/{key}" for key, value in _SYSCTLS.items())


def _mac_tail(address: IPv4Address) -> str:
    return ":".join(f"{byte:02x}" for byte in address.packed)


async def wait_removed(network: NodeNetwork, timeout_s: float = 5.0) -> None:
    """Wait until the kernel has taken the uplink away (it does so a moment after the namespace went).

    Raises:
        LabError: it is still there when the time is over.
    """
    path = Path("/sys/class/net") / network.uplink
    with anyio.move_on_after(timeout_s):
        while path.exists():  # noqa: ASYNC110 - sysfs cannot be awaited
            await anyio.sleep(0.01)
        return
    raise LabError(f"interface {network.uplink} is still there after {timeout_s} s")
