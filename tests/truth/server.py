"""An HTTP server that keeps its own books: `python -m tests.truth.server BOOK PORT...`.

asyncio, one thread: its clock is read right behind the read that brought a request and right before the write that
answers it, so that its latencies are those of the system calls. The path says what to do: /<status>/<delay in us>.
"""

from __future__ import annotations

import asyncio
import functools
import json
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

__all__: list[str] = []

_REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error"}


class _Connection(asyncio.Protocol):
    """One client's connection; requests are without body and come in turns."""

    def __init__(self, book: list[tuple[int, int]]) -> None:
        self._book = book
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """One whole request."""
        began = time.monotonic_ns()
        status, delay_us = map(int, data.split(b" ", 2)[1].strip(b"/").split(b"/"))
        if delay_us:
            asyncio.get_running_loop().call_later(delay_us / 1e6, self._answer, began, status)
        else:
            self._answer(began, status)

    def _answer(self, began: int, status: int) -> None:
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Length: 2\r\n\r\nok"
        self._book.append((status, time.monotonic_ns() - began))
        assert self._transport is not None
        self._transport.write(head.encode())


async def _serve(ports: list[int]) -> dict[int, list[tuple[int, int]]]:
    books: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    for port in ports:
        await loop.create_server(functools.partial(_Connection, books[port]), "127.0.0.1", port)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    await ended.wait()
    return books


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asyncio.run(_serve([int(port) for port in sys.argv[2:]]))))
