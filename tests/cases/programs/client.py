"""A client that is told line by line what to do, so that a test decides when a connection is made and when used.

open KEY HOST PORT | get KEY COUNT | close KEY | fetch HOST PORT COUNT (a new connection each) | wide HOST PORT
CONNECTIONS COUNT (many at once, asyncio) | send KEY COUNT (by sendmsg and recvmsg only) | resolve NAME
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

_REQUEST = b"GET /ok HTTP/1.1\r\nHost: case\r\n\r\n"
_ENOUGH = 65_536

held: dict[str, socket.socket] = {}


def main() -> None:
    """Obey until the input ends."""
    sys.stdout.write("up\n")
    sys.stdout.flush()
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            answer = VERBS[verb](*words)
        except OSError as exc:
            answer = f"failed {exc}"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def connect(key: str, host: str, port: str) -> str:
    """Open a connection and keep it."""
    held[key] = socket.create_connection((host, int(port)), timeout=10)
    return " ".join(map(str, held[key].getsockname()[:2]))


def get(key: str, count: str) -> str:
    """Requests on a kept connection, one after another."""
    for _ in range(int(count)):
        held[key].sendall(_REQUEST)
        _answer(held[key].recv)
    return "done"


def send(key: str, count: str) -> str:
    """The same by sendmsg and recvmsg, in pieces."""
    for _ in range(int(count)):
        held[key].sendmsg([_REQUEST[:10], _REQUEST[10:]])
        _answer(lambda size: held[key].recvmsg(size)[0])
    return "done"


def close(key: str) -> str:
    """End a kept connection."""
    held.pop(key).close()
    return "done"


def fetch(host: str, port: str, count: str) -> str:
    """Requests on connections of their own."""
    for _ in range(int(count)):
        connect("", host, port)
        get("", "1")
        close("")
    return "done"


def wide(host: str, port: str, connections: str, count: str) -> str:
    """Many connections in one thread, all busy at once."""

    async def one(requests: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(requests):
            writer.write(_REQUEST)
            await reader.readuntil(b"ok\n")
        writer.close()
        await writer.wait_closed()

    async def everything() -> None:
        await asyncio.gather(*(one(int(count)) for _ in range(int(connections))))

    asyncio.run(everything())
    return "done"


def resolve(name: str) -> str:
    """Ask the name server and tell the addresses."""
    return " ".join(sorted({str(one[4][0]) for one in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}))


def _answer(receive: Callable[[int], bytes]) -> None:
    data = b""
    while not data.endswith(b"ok\n"):
        part = receive(_ENOUGH)
        if not part:
            raise ConnectionError(f"ended after {data!r}")
        data += part


VERBS: dict[str, Callable[..., str]] = {
    "open": connect,
    "get": get,
    "send": send,
    "close": close,
    "fetch": fetch,
    "wide": wide,
    "resolve": resolve,
}

if __name__ == "__main__":
    main()
