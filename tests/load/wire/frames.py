"""An HTTP/2 server that is told each frame: for what the `h2` library would never send."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import hpack

from tests.load.conformance.rig import Link

__all__ = [
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "PING",
    "RST_STREAM",
    "SETTINGS",
    "Frame",
    "answered",
    "fields",
    "frame",
    "goaway",
    "greet",
    "heads",
    "incoming",
    "settings",
]

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """As it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends(self) -> bool:
        """Whether the request is whole with it."""
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    """SETTINGS; only `streams` is known."""
    payload = b"".join(struct.pack(">HI", 3, value) for value in values.values())
    return frame(SETTINGS, 0, payload)


def goaway(last: int, code: int = 0) -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, struct.pack(">II", last, code))


def heads(stream: int, *fields: tuple[str, str], ends: bool = False) -> bytes:
    """HEADERS with a block that needs no table."""
    block = hpack.Encoder().encode([(name, value, True) for name, value in fields])
    return frame(HEADERS, stream, block, END_HEADERS | (END_STREAM if ends else 0))


def answered(stream: int, body: bytes = b"ok") -> bytes:
    """A whole answer."""
    return heads(stream, (":status", "200")) + frame(DATA, stream, body, END_STREAM)


async def greet(link: Link, first: bytes | None = None) -> None:
    """Read the client's preface, send SETTINGS."""
    assert await link.reader.readexactly(len(_PREFACE)) == _PREFACE
    await link.send(first if first is not None else settings())


async def incoming(link: Link) -> AsyncIterator[Frame]:
    """What the client sends; its SETTINGS are acknowledged."""
    while head := await link.reader.readexactly(9):
        length = int.from_bytes(head[:3], "big")
        one = Frame(head[3], head[4], int.from_bytes(head[5:], "big"), await link.reader.readexactly(length))
        if one.kind == SETTINGS and not one.flags & ACK:
            await link.send(frame(SETTINGS, 0, flags=ACK))
        yield one


def fields(blocks: Iterable[bytes]) -> list[list[tuple[str, str]]]:
    """The header blocks of one connection, in order."""
    decoder = hpack.Decoder()
    return [[(str(name), str(value)) for name, value in decoder.decode(block)] for block in blocks]
