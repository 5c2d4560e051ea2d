"""A server in a process of its own that remembers who came: `python crowd.py` prints its port and serves until killed.

`GET /login` sets a cookie with a number that nobody had before, `/slow` answers after 20 ms, everything else at once;
each answer says which connection it came by. `GET /log` gives every other request so far, in order, as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.request import urlopen


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: the number of its connection, its path, its cookies, its other headers in lower case."""

    connection: int
    path: str
    cookie: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Crowd:
    """The server, seen from a test."""

    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def visits(self) -> list[Visit]:
        """Who came so far."""
        with urlopen(f"{self.url}/log", timeout=5) as answer:  # noqa: S310 - our own server
            return [Visit(**one) for one in json.load(answer)]

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """A server for a while."""
        with subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield cls(int(process.stdout.readline()))
            finally:
                process.kill()


class _Server:
    def __init__(self) -> None:
        self._connections = itertools.count()
        self._logins = itertools.count(1)
        self._visits: list[dict[str, object]] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - how the parent learns it
        await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._connections)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"\ncontent-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                await self._answer(number, head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, number: int, head: str, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.split("\r\n")
        path = first.split(" ")[1]
        if path == "/log":
            body = json.dumps(self._visits)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
            return
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        self._visits.append(
            {"connection": number, "path": path, "cookie": headers.get("cookie", ""), "headers": headers}
        )
        if path == "/slow":
            await asyncio.sleep(0.02)
        cookie = f"Set-Cookie: user={next(self._logins)}; Path=/\r\n" if path == "/login" else ""
        body = json.dumps({"connection": number, "path": path})
        writer.write(f"HTTP/1.1 200 OK\r\n{cookie}Content-Length: {len(body)}\r\n\r\n{body}".encode())


if __name__ == "__main__":
    asyncio.run(_Server().serve())
