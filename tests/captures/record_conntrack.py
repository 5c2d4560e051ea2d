"""Records connection tracking messages of this kernel (root): `python -m tests.captures.record_conntrack`.

Two translated connections (IPv4, IPv6), one untranslated and a UDP packet: as a dump of either family, as answers to a
question with and without a match, and as events from the beginning of the connections to their end.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from osmia.agent.entities.conntrack import in_namespace, open_netlink
from osmia.agent.entities.netlink import dump_request, get_request, parse
from osmia.model.request import Address
from tests.agent.entities.network import CLIENT, SERVER, Node, connect, make_node, say

_DIRECTORY = Path(__file__).parent / "conntrack"
_NETFILTER, _ALL_GROUPS, _RECEIVE_BYTES = 12, (1, 2, 3), 1 << 17
_PACKET = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.9.0.1', 9999))"


def main() -> None:
    """Make the connections and write what the kernel says of them."""
    with make_node() as node, in_namespace(node.path, lambda: open_netlink(_NETFILTER, _ALL_GROUPS)) as events:
        _connect_all(node)
        for name, family in (("dump-ipv4", socket.AF_INET), ("dump-ipv6", socket.AF_INET6)):
            _write(name, in_namespace(node.path, _dump(family)))
        flows = [one.flow for one in parse((_DIRECTORY / "dump-ipv4.bin").read_bytes()) if one.flow]
        known = next(flow for flow in flows if flow.is_translated)
        _write("get-found", in_namespace(node.path, _ask(get_request(*known[:5], sequence=9))))
        unknown = get_request(6, b"\1\2\3\4", 1, b"\1\2\3\4", 2, sequence=10)
        _write("get-missing", in_namespace(node.path, _ask(unknown)))
        subprocess.run(["ip", "netns", "exec", node.node, "conntrack", "-F"], check=True, capture_output=True)
        _write("events", b"".join(_everything(events)))


def _connect_all(node: Node) -> None:
    say(node.start(node.node, SERVER))
    client = node.start(node.pod, CLIENT)
    for server in (Address("10.96.0.20", 80), Address("fd00:96::20", 80), Address("10.9.0.1", 8080)):
        connect(client, server)
    node.start(node.pod, _PACKET).wait()


def _dump(family: int) -> Callable[[], bytes]:
    def dump() -> bytes:
        data = b""
        with open_netlink(_NETFILTER) as asking:
            asking.send(dump_request(family, sequence=7))
            while not any(message.kind.is_done for message in parse(data)):
                data += asking.recv(_RECEIVE_BYTES)
        return data

    return dump


def _ask(request: bytes) -> Callable[[], bytes]:
    def ask() -> bytes:
        with open_netlink(_NETFILTER) as asking:
            asking.send(request)
            return asking.recv(_RECEIVE_BYTES)

    return ask


def _everything(events: socket.socket) -> Iterator[bytes]:
    events.settimeout(1.0)
    while True:
        try:
            yield events.recv(_RECEIVE_BYTES)
        except TimeoutError:
            return


def _write(name: str, data: bytes) -> None:
    _DIRECTORY.mkdir(exist_ok=True)
    (_DIRECTORY / f"{name}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
