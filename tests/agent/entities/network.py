"""A node's network namespace with address translation, a pod's behind it, and programs that talk between them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from osmia.model.request import Address

__all__ = ["CLIENT", "SERVER", "Node", "connect", "make_node", "say"]

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
SERVER = """
import socket
server = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
held = []
while True:
    connection, peer = server.accept()
    held.append(connection)
    print(*peer[:2], flush=True)
"""
CLIENT = """
import socket, sys
held = []
for line in sys.stdin:
    ip, port = line.split()
    held.append(socket.create_connection((ip, int(port)), timeout=10))
    print(*held[-1].getsockname()[:2], flush=True)
"""


@dataclass
class Node:
    """Two namespaces, by name, and what runs in them."""

    node: str
    pod: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The node's namespace as a file."""
        return Path("/run/netns") / self.node

    def start(self, namespace: str, program: str) -> subprocess.Popen[str]:
        """Run a Python program in a namespace."""
        command = ["ip", "netns", "exec", namespace, "python3", "-c", program]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process


@contextmanager
def make_node() -> Iterator[Node]:
    """Two namespaces joined by a link, with virtual addresses translated on the node; gone in the end."""
    made = Node(f"osmia-n{os.getpid()}", f"osmia-p{os.getpid()}")
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


def say(process: subprocess.Popen[str], line: str = "") -> list[str]:
    """Send a line, if any, and give the words of the answer."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("started without pipes")
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline().split()


def connect(client: subprocess.Popen[str], server: Address) -> Address:
    """Let CLIENT open a connection and keep it; gives its own address."""
    ip, port = say(client, f"{server.ip} {server.port}")
    return Address(ip, int(port))
