"""A TCP proxy that writes down what passes, and the form in which captures are kept.

A capture is one tool's connections, each a list of turns: what one side said before the other side answered. Of a
long turn only the first and last bytes are kept, with its length, as the kernel would.
"""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Capture", "Turn", "load", "record", "save"]

HEAD_BYTES = 1024
TAIL_BYTES = 64


@dataclass(slots=True)
class Turn:
    """What one side said; `head` and `tail` overlap if it was short."""

    is_client: bool
    length: int = 0
    head: bytes = b""
    tail: bytes = b""

    def add(self, data: bytes) -> None:
        """More bytes of the same side."""
        self.length += len(data)
        self.head = (self.head + data)[:HEAD_BYTES]
        self.tail = (self.tail + data)[-TAIL_BYTES:]


@dataclass(slots=True)
class Capture:
    """One tool's talk with one server."""

    client: str
    server: str
    connections: list[list[Turn]] = field(default_factory=list)


@contextlib.contextmanager
def record(capture: Capture, upstream_port: int) -> Iterator[int]:
    """Relay a loopback port to `upstream_port` while the block runs; yields the port to connect to."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, upstream_port, capture, threads))
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Wakes the accept call; closing the socket would not.
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def _accept(listener: socket.socket, port: int, capture: Capture, threads: list[threading.Thread]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        turns: list[Turn] = []
        capture.connections.append(turns)
        thread = threading.Thread(target=_relay, args=(client, socket.create_connection(("127.0.0.1", port)), turns))
        thread.start()
        threads.append(thread)


def _relay(client: socket.socket, server: socket.socket, turns: list[Turn]) -> None:
    """Copy both ways until one side is done, or gives up."""
    with client, server, contextlib.suppress(ConnectionError):
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for source in readable:
                data = source.recv(1 << 16)
                if not data:
                    return
                if not turns or turns[-1].is_client != (source is client):
                    turns.append(Turn(source is client))
                turns[-1].add(data)
                (server if source is client else client).sendall(data)


def save(capture: Capture, path: Path) -> None:
    """Write as JSON, one turn a line."""
    lines = []
    for turns in capture.connections:
        rows = [
            json.dumps(
                {
                    "from": "client" if turn.is_client else "server",
                    "length": turn.length,
                    "head": base64.b64encode(turn.head).decode(),
                    "tail": base64.b64encode(turn.tail).decode() if turn.length > HEAD_BYTES else "",
                }
            )
            for turn in turns
        ]
        lines.append("  [\n   " + ",\n   ".join(rows) + "\n  ]")
    head = f' "client": {json.dumps(capture.client)},\n "server": {json.dumps(capture.server)}'
    path.write_text(f'{{\n{head},\n "connections": [\n' + ",\n".join(lines) + "\n ]\n}\n")


def load(path: Path) -> Capture:
    """Read what `save` wrote."""
    data = json.loads(path.read_text())
    capture = Capture(data["client"], data["server"])
    for rows in data["connections"]:
        turns = []
        for row in rows:
            head = base64.b64decode(row["head"])
            tail = base64.b64decode(row["tail"]) or head[-TAIL_BYTES:]
            turns.append(Turn(row["from"] == "client", row["length"], head, tail))
        capture.connections.append(turns)
    return capture
