"""The wire of ctnetlink: requests to the kernel's connection tracking as bytes, and its answers parsed by hand.

Written out because it runs for every translated connection: general netlink libraries take 180 to 460 us per entry,
this about 3 (`bench/conntrack.py`). Layout: linux/netfilter/nfnetlink_conntrack.h. Numbers in netlink headers are in
host order, those inside the tuples in network order.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["DESTROY_GROUP", "NEW_GROUP", "Flow", "Message", "MessageKind", "dump_request", "get_request", "parse"]

NEW_GROUP, DESTROY_GROUP = 1, 3
"""Multicast groups of events (UPDATE is group 2: what it tells never changes a translation)."""

_CONNTRACK = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_NEW, _GET, _DELETE = _CONNTRACK | 0, _CONNTRACK | 1, _CONNTRACK | 2
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_PORT = struct.Struct("!H")
_CODE = struct.Struct("=i")
_NFGEN = struct.Struct("=BBH")
_BODY = _HEADER.size + _NFGEN.size
_TYPE_MASK = 0x3FFF
_TUPLE_ORIGINAL, _TUPLE_REPLY, _STATUS = 1, 2, 3
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_IP_SOURCE = {1, 3}  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
_IP_DESTINATION = {2, 4}
_PROTOCOL_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3

# The whole of an IPv4 tuple with ports, as the kernel always writes it: one unpack instead of a walk over eight
# attributes. `_V4_SHAPE` is what the lengths and types must be for that.
_V4_TUPLE = struct.Struct("=HH HH HH4s HH4s HH HHB3x HH2s2x HH2s2x")
_V4_LENGTH = _V4_TUPLE.size


class Flow(NamedTuple):
    """A tracked connection: its addresses as its opener wrote them, and as the answers carry them. IPs are packed."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    reply_source: bytes
    reply_source_port: int
    reply_destination: bytes
    reply_destination_port: int

    @property
    def is_translated(self) -> bool:
        """Whether either end's address is rewritten on the way."""
        return (
            self.destination != self.reply_source
            or self.source != self.reply_destination
            or self.destination_port != self.reply_source_port
            or self.source_port != self.reply_destination_port
        )


class MessageKind(NamedTuple):
    """What a message is: exactly one is true, or none for a kind that says nothing here."""

    is_new: bool = False
    is_destroy: bool = False
    is_error: bool = False
    is_done: bool = False


class Message(NamedTuple):
    """One netlink message; `error` is an errno, 0 for an acknowledgement, `flow` None where it has none of ours."""

    kind: MessageKind
    sequence: int
    flow: Flow | None = None
    error: int = 0


_KINDS = {
    _NEW: MessageKind(is_new=True),
    _DELETE: MessageKind(is_destroy=True),
    _ERROR: MessageKind(is_error=True),
    _DONE: MessageKind(is_done=True),
}
_OTHER = MessageKind()


def dump_request(family: int, *, sequence: int) -> bytes:
    """Ask for every tracked connection of an address family (AF_INET or AF_INET6)."""
    return _HEADER.pack(_BODY, _GET, _REQUEST | _DUMP, sequence, 0) + _NFGEN.pack(family, 0, 0)


def get_request(  # noqa: PLR0913 - the five of a tuple
    protocol: int, source: bytes, source_port: int, destination: bytes, destination_port: int, *, sequence: int
) -> bytes:
    """Ask for the one connection with this original tuple (packed IPs)."""
    is_v6 = len(source) == 16  # noqa: PLR2004 - bytes of an IPv6 address
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    ips = _attribute(3 if is_v6 else 1, source) + _attribute(4 if is_v6 else 2, destination)
    ports = (
        _attribute(_PROTOCOL_NUMBER, bytes([protocol]))
        + _attribute(_SOURCE_PORT, _PORT.pack(source_port))
        + _attribute(_DESTINATION_PORT, _PORT.pack(destination_port))
    )
    pair = _attribute(_NESTED | _TUPLE_IP, ips) + _attribute(_NESTED | _TUPLE_PROTOCOL, ports)
    body = _NFGEN.pack(family, 0, 0) + _attribute(_NESTED | _TUPLE_ORIGINAL, pair)
    return _HEADER.pack(_HEADER.size + len(body), _GET, _REQUEST, sequence, 0) + body


def parse(data: bytes | memoryview) -> Iterator[Message]:
    """The messages of one datagram. Cut or odd messages end it or have no flow; nothing is raised."""
    data = bytes(data)
    offset, end = 0, len(data)
    while end - offset >= _HEADER.size:
        length, type_, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > end:
            return
        kind = _KINDS.get(type_, _OTHER)
        if kind.is_error:
            code = _CODE.unpack_from(data, offset + _HEADER.size)[0] if length >= _HEADER.size + 4 else -errno.EBADMSG
            yield Message(kind, sequence, error=-code)
        elif kind.is_new or kind.is_destroy:
            yield Message(kind, sequence, _flow(data, offset + _BODY, offset + length))
        else:
            yield Message(kind, sequence)
        offset += (length + 3) & ~3


_NESTED = 0x8000
_Tuple = tuple[int, bytes, int, bytes, int]


def _flow(data: bytes, offset: int, end: int) -> Flow | None:
    original: _Tuple | None = None
    reply: _Tuple | None = None
    while offset + 4 <= end:
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:  # noqa: PLR2004 - an attribute's header
            return None
        type_ &= _TYPE_MASK
        if type_ == _TUPLE_ORIGINAL:
            original = _tuple(data, offset, length)
        elif type_ == _TUPLE_REPLY:
            reply = _tuple(data, offset, length)
            break
        offset += (length + 3) & ~3
    if original is None or reply is None:
        return None
    return Flow(*original, *reply[1:])


def _tuple(data: bytes, offset: int, length: int) -> _Tuple | None:
    """One direction of a connection; the usual IPv4 form at one stroke, any other attribute by attribute."""
    if length == _V4_LENGTH:
        f = _V4_TUPLE.unpack_from(data, offset)
        if (f[2], f[4], f[7], f[10], f[12], f[15], f[18]) == (20, 8, 8, 28, 5, 6, 6) and f[5] & _TYPE_MASK == 1:
            return (f[14], f[6], _PORT.unpack(f[17])[0], f[9], _PORT.unpack(f[20])[0])
    return _walked_tuple(data, offset + 4, offset + length)


def _walked_tuple(data: bytes, offset: int, end: int) -> _Tuple | None:
    source = destination = b""
    protocol = source_port = destination_port = -1
    for outer, start, stop in _attributes(data, offset, end):
        for inner, at, until in _attributes(data, start, stop):
            if outer == _TUPLE_IP and inner in _IP_SOURCE:
                source = data[at:until]
            elif outer == _TUPLE_IP and inner in _IP_DESTINATION:
                destination = data[at:until]
            elif outer == _TUPLE_PROTOCOL and inner == _PROTOCOL_NUMBER and until - at == 1:
                protocol = data[at]
            elif outer == _TUPLE_PROTOCOL and inner == _SOURCE_PORT and until - at == _PORT.size:
                source_port = _PORT.unpack_from(data, at)[0]
            elif outer == _TUPLE_PROTOCOL and inner == _DESTINATION_PORT and until - at == _PORT.size:
                destination_port = _PORT.unpack_from(data, at)[0]
    if not source or not destination or min(protocol, source_port, destination_port) < 0:
        return None
    return (protocol, source, source_port, destination, destination_port)


def _attributes(data: bytes, offset: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(type, start, end of the value) of each attribute in a range."""
    while offset + 4 <= end:
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:  # noqa: PLR2004 - an attribute's header
            return
        yield type_ & _TYPE_MASK, offset + 4, offset + length
        offset += (length + 3) & ~3


def _attribute(type_: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, type_) + value + b"\0" * (-length % 4)
