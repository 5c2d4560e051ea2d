"""A TCP proxy between real programs that feeds a stream with what passes, in order and with its time."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from osmia.protocols.streams import Chunk, Exchange, Stream, StreamStatistics

__all__ = ["Tap", "tapped"]

RECORD_BYTES = 512
READ_BYTES = 1 << 16


@dataclass(slots=True)
class Tap:
    """What the streams of all connections through one proxy gave; complete when the proxy has ended."""

    make: Callable[[], Stream]
    copied_bytes: int
    is_tail_copied: bool
    exchanges: list[Exchange] = field(default_factory=list)
    statistics: list[StreamStatistics] = field(default_factory=list)

    def chunks(self, data: bytes, position: int, *, is_request: bool) -> Iterator[Chunk]:
        """One call as the kernel copies it: records of 512 bytes up to a limit, perhaps its end."""
        now_ns = time.monotonic_ns()
        copied = data[: self.copied_bytes]
        tail = data[self.copied_bytes :][-64:] if self.is_tail_copied else b""
        for start in range(0, len(copied), RECORD_BYTES):
            piece = copied[start : start + RECORD_BYTES]
            is_cut = start + len(piece) == len(copied) and len(data) > len(copied)
            total = len(data) - start if is_cut else len(piece)
            yield Chunk(is_request, now_ns, (position + start) % (1 << 32), piece, total)
        if tail:
            yield Chunk(is_request, now_ns, (position + len(data) - len(tail)) % (1 << 32), tail, len(tail))


@contextlib.contextmanager
def tapped(
    upstream_port: int, make: Callable[[], Stream], *, copied_bytes: int = 4096, is_tail_copied: bool = False
) -> Iterator[tuple[int, Tap]]:
    """Relay a loopback port to `upstream_port`; yields the port to connect to and what will have been seen."""
    tap = Tap(make, copied_bytes, is_tail_copied)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, upstream_port, tap, threads))
        accepting.start()
        try:
            yield listener.getsockname()[1], tap
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the accept call; closing the socket would not
            accepting.join()
            for thread in threads:
                thread.join()


def _accept(listener: socket.socket, port: int, tap: Tap, threads: list[threading.Thread]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=_relay, args=(client, server, tap))
        thread.start()
        threads.append(thread)


def _relay(client: socket.socket, server: socket.socket, tap: Tap) -> None:
    """Copy both ways until one side is done, or gives up."""
    stream = tap.make()
    positions = {True: 7, False: (1 << 32) - 1000}
    with client, server, contextlib.suppress(ConnectionError):
        is_open = True
        while is_open:
            for source in select.select([client, server], [], [])[0]:
                is_request = source is client
                data = source.recv(READ_BYTES)
                if not data:
                    is_open = False
                    break
                # Before it is passed on: an answer cannot come before its request.
                for chunk in tap.chunks(data, positions[is_request], is_request=is_request):
                    tap.exchanges += stream.feed(chunk)
                positions[is_request] = (positions[is_request] + len(data)) % (1 << 32)
                (server if is_request else client).sendall(data)
    tap.exchanges += stream.close(time.monotonic_ns())
    tap.statistics.append(stream.statistics())
