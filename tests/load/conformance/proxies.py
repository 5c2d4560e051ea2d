"""Proxies for tests: an HTTP proxy of both kinds, and SOCKS 4 and 5."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct

from tests.load.conformance.rig import Link, Peer, Stage

__all__ = ["http_proxy", "socks4_proxy", "socks5_proxy"]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _join(link: Link, host: str, port: int, greeting: bytes, first: bytes = b"") -> None:
    """Say the greeting, then pass bytes between client and target."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        await link.send(greeting)
        writer.write(first)
        there = asyncio.ensure_future(_pump(link.reader, writer))
        await _pump(reader, link.writer)
        there.cancel()
        await asyncio.gather(there, return_exceptions=True)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def http_proxy(
    stage: Stage, *, authorization: str = "", tls: ssl.SSLContext | None = None, refuses: bytes = b""
) -> Peer:
    """CONNECT and absolute form; notes the heads that it was sent. `refuses` is its answer to every CONNECT."""

    async def each(link: Link) -> None:
        while True:
            request = await link.request()
            head, _, body = request.partition(b"\r\n\r\n")
            peer.requests.append(request)
            if authorization and f"Proxy-Authorization: {authorization}".encode() not in head:
                await link.send(
                    b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n'
                    b"Content-Length: 0\r\n\r\n"
                )
                continue
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            if method == b"CONNECT":
                if refuses:
                    await link.send(refuses)
                    return
                host, _, port = target.decode().rpartition(":")
                await _join(link, host.strip("[]"), int(port), b"HTTP/1.1 200 Connection established\r\n\r\n")
                return
            place, _, path = target.removeprefix(b"http://").partition(b"/")
            host, _, port = place.decode().partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.replace(target, b"/" + path, 1) + b"\r\n\r\n" + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await link.send(answer + await reader.readexactly(length))
            writer.close()
            await writer.wait_closed()

    peer = stage.serve(each, tls=tls)
    return peer


def socks5_proxy(stage: Stage, *, password: str = "") -> Peer:
    """Notes the targets that it was asked for, as "name:port" or "address:port"."""

    async def each(link: Link) -> None:
        _, count = await link.reader.readexactly(2)
        methods = await link.reader.readexactly(count)
        wanted = 2 if password else 0
        if wanted not in methods:
            await link.send(b"\x05\xff")
            return
        await link.send(bytes([5, wanted]))
        if password and not await _is_user(link, password):
            return
        _, _, _, kind = await link.reader.readexactly(4)
        host = await _socks5_host(link, kind)
        [port] = struct.unpack("!H", await link.reader.readexactly(2))
        peer.requests.append(f"{host}:{port}".encode())
        try:
            await _join(link, host, port, b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        except OSError:
            await link.send(b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")

    peer = stage.serve(each)
    return peer


async def _is_user(link: Link, password: str) -> bool:
    _, length = await link.reader.readexactly(2)
    name = await link.reader.readexactly(length)
    [length] = await link.reader.readexactly(1)
    is_good = (name, await link.reader.readexactly(length)) == (b"user", password.encode())
    await link.send(b"\x01\x00" if is_good else b"\x01\x01")
    return is_good


async def _socks5_host(link: Link, kind: int) -> str:
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, await link.reader.readexactly(4))
    if kind == 4:
        return socket.inet_ntop(socket.AF_INET6, await link.reader.readexactly(16))
    [length] = await link.reader.readexactly(1)
    return (await link.reader.readexactly(length)).decode()


def socks4_proxy(stage: Stage) -> Peer:
    """Addresses only."""

    async def each(link: Link) -> None:
        _, _, port = struct.unpack("!BBH", await link.reader.readexactly(4))
        host = socket.inet_ntop(socket.AF_INET, await link.reader.readexactly(4))
        await link.reader.readuntil(b"\0")
        peer.requests.append(f"{host}:{port}".encode())
        await _join(link, host, port, b"\x00\x5a" + bytes(6))

    peer = stage.serve(each)
    return peer
