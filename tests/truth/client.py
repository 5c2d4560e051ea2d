"""A client that keeps its own books: `python -m tests.truth.client BOOK REQUESTS CONNECTIONS SEED PORT...`.

asyncio, one thread, as in `server.py`. Each connection takes the ports' shares of the requests in turn; status and
delay of each are drawn from a seeded generator, so every run asks the same.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from pathlib import Path

__all__: list[str] = []

_STATUSES = (200,) * 90 + (404,) * 6 + (500,) * 4


def _targets(random_: random.Random, port_index: int, count: int) -> list[str]:
    """Paths of one port: a delay of its own, one in ten four times as long."""
    base_us = 3_000 + 1_000 * (port_index % 5)
    return [f"/{random_.choice(_STATUSES)}/{base_us * (4 if random_.random() < 0.1 else 1)}" for _ in range(count)]


class _Asker(asyncio.Protocol):
    """One connection that asks for its targets in turn; done when all are answered."""

    def __init__(self, targets: list[str], book: list[tuple[int, int]]) -> None:
        self._targets = iter(targets)
        self._book = book
        self._began = 0
        self._got = b""
        self._transport: asyncio.Transport | None = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        target = next(self._targets, None)
        if target is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._got = b""
        self._began = time.monotonic_ns()
        self._transport.write(f"GET {target} HTTP/1.1\r\nHost: truth\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Right behind the read: the clock first."""
        now = time.monotonic_ns()
        self._got += data
        if self._got.endswith(b"ok"):
            self._book.append((int(self._got[9:12]), now - self._began))
            self._next()


async def _ask(port: int, targets: list[str], book: list[tuple[int, int]]) -> None:
    loop = asyncio.get_running_loop()
    _, asker = await loop.create_connection(lambda: _Asker(targets, book), "127.0.0.1", port)
    await asker.done


async def _run(requests: int, connections: int, seed: int, ports: list[int]) -> dict[int, list[tuple[int, int]]]:
    books: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    async with asyncio.TaskGroup() as tasks:
        for index, port in enumerate(ports):
            share = requests // len(ports) + (index < requests % len(ports))
            targets = _targets(random.Random(seed * 1000 + index), index, share)  # noqa: S311 - not a secret
            for number in range(connections):
                tasks.create_task(_ask(port, targets[number::connections], books[port]))
    return books


if __name__ == "__main__":
    _book, *_numbers = sys.argv[1:]
    _requests, _connections, _seed, *_ports = map(int, _numbers)
    Path(_book).write_text(json.dumps(asyncio.run(_run(_requests, _connections, _seed, _ports))))
