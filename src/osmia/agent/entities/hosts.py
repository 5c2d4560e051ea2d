"""Which addresses are this machine's own, in the network namespace of the node."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from osmia.agent.entities.conntrack import in_namespace, open_netlink

__all__ = ["local_addresses", "node_namespace"]

_ROUTE = 0
_GET_ADDRESSES, _NEW_ADDRESS, _ERROR, _DONE = 22, 20, 2, 3
_REQUEST_DUMP = 0x301
_HEADER = struct.Struct("=IHHII")
_ADDRESS_MESSAGE = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_ATTRIBUTE = struct.Struct("=HH")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


def node_namespace(proc: Path = Path("/proc")) -> Path:
    """The network namespace of the node: that of process 1, or our own where that one may not be looked at."""
    first = proc / "1/ns/net"
    try:
        first.open("rb").close()
    except OSError:
        return proc / "self/ns/net"
    return first


def local_addresses(namespace: Path = Path("/proc/1/ns/net")) -> frozenset[str]:
    """Every address of every interface in a network namespace, as text; blocks.

    Raises:
        OSError: the namespace cannot be entered.
    """
    return in_namespace(namespace, _dump)


def _dump() -> frozenset[str]:
    found: set[str] = set()
    with open_netlink(_ROUTE) as route:
        route.settimeout(5.0)
        length = _HEADER.size + _ADDRESS_MESSAGE.size
        header = _HEADER.pack(length, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0)
        route.send(header + _ADDRESS_MESSAGE.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        while _take(route.recv(1 << 16), found):
            pass
    return frozenset(found)


def _take(data: bytes, found: set[str]) -> bool:
    """Add the addresses of one datagram; False at the end of the dump."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, type_, *_ = _HEADER.unpack_from(data, offset)
        if type_ in {_DONE, _ERROR} or length < _HEADER.size:
            return False
        if type_ == _NEW_ADDRESS:
            found |= _addresses(data, offset + _HEADER.size, min(offset + length, len(data)))
        offset += (length + 3) & ~3
    return True


def _addresses(data: bytes, offset: int, end: int) -> set[str]:
    if offset + _ADDRESS_MESSAGE.size > end:
        return set()
    family = data[offset]
    offset += _ADDRESS_MESSAGE.size
    size = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}.get(family, 0)
    values: dict[int, str] = {}
    while offset + _ATTRIBUTE.size <= end:
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        value = data[offset + _ATTRIBUTE.size : offset + length]
        if type_ in {_IFA_ADDRESS, _IFA_LOCAL} and len(value) == size > 0:
            values[type_] = socket.inet_ntop(family, value)
        offset += (length + 3) & ~3
    # On point-to-point links IFA_ADDRESS is the other end.
    local = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
    return {local} if local else set()
