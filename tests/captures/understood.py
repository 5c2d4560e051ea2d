"""What the parsers make of a capture, as lines that a person can read.

`python -m tests.captures.understood` writes them beside the captures.
An exchange is cut as the kernel cuts it: the first 512 bytes of a request; of the response up to ReadyForQuery
(PostgreSQL) or the next request (HTTP) the first 192 and the last 64 bytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from osmia.model.request import Protocol
from osmia.protocols.parser import ParsedRequest, ParsedResponse
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS
from tests.captures.recording import TAIL_BYTES, Capture, Turn, load

__all__ = ["Exchange", "captures", "exchanges", "understand"]

HERE = Path(__file__).parent
_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r\n")  # else it is more of the body
REQUEST_BYTES = 512
HEAD_BYTES = 192


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response, cut as the kernel cuts them; `length` is that of the whole response."""

    request: bytes
    head: bytes
    tail: bytes
    length: int


def captures(protocol: Protocol) -> list[Path]:
    """The captures of a protocol."""
    return sorted((HERE / protocol).glob("*.json"))


def exchanges(turns: list[Turn], protocol: Protocol) -> Iterator[Exchange]:
    """The requests of one connection with their responses, in order."""
    request: Turn | None = None
    response = Turn(is_client=False)
    for turn in turns:
        if turn.is_client and request is None:
            request, response = turn, Turn(is_client=False)
        elif turn.is_client and protocol is Protocol.HTTP and _REQUEST_LINE.match(turn.head):
            yield _cut(request, response)
            request, response = turn, Turn(is_client=False)
        elif not turn.is_client and request is not None:
            response = Turn(
                is_client=False,
                length=response.length + turn.length,
                head=response.head + turn.head,
                tail=(response.tail + turn.tail)[-TAIL_BYTES:],
            )
            if protocol is Protocol.POSTGRES and _is_over(request, response):
                yield _cut(request, response)
                request = None
    if request is not None:
        yield _cut(request, response)


def _is_over(request: Turn, response: Turn) -> bool:
    """Whether the server has answered: ReadyForQuery, or anything to a start-up packet or a password."""
    return response.tail[-6:-1] == b"Z\0\0\0\5" or request.head[:1] in (b"\0", b"p")


def _cut(request: Turn | None, response: Turn) -> Exchange:
    head = request.head[:REQUEST_BYTES] if request else b""
    beyond = max(0, response.length - HEAD_BYTES)  # as in the kernel, head and tail do not overlap
    tail = response.tail[-min(TAIL_BYTES, beyond) :] if beyond else b""
    return Exchange(head, response.head[:HEAD_BYTES], tail, response.length)


def understand(capture: Capture, protocol: Protocol) -> list[str]:
    """One line for each exchange, in the order of connections."""
    lines: list[str] = []
    for number, turns in enumerate(capture.connections, 1):
        lines.append(f"connection {number}: {capture.client} -> {capture.server}")
        memory = PostgresConnection()
        for exchange in exchanges(turns, protocol):
            if protocol is Protocol.POSTGRES:
                request = memory.feed_request(exchange.request)
            else:
                request = PROTOCOLS[protocol].request(exchange.request)
            lines.append(_line(request, PROTOCOLS[protocol].response(exchange.head, exchange.tail)))
    return lines


def _line(request: ParsedRequest, response: ParsedResponse) -> str:
    parts = ["session" if request.is_session else "", request.method, request.template, "->", response.status]
    parts += [f"rows={response.rows}" if response.rows is not None else ""]
    parts += [f"bytes={response.declared_length}" if response.declared_length is not None else ""]
    parts += [str(response.transaction) if response.transaction != "unknown" else ""]
    parts += [f"host={request.host}" if request.host else "", "ERROR" if response.is_error else ""]
    return "  " + " ".join(part for part in parts if part)


def main() -> None:
    """Write the lines of every capture beside it."""
    for protocol in Protocol:
        for path in captures(protocol):
            lines = understand(load(path), protocol)
            path.with_suffix(".txt").write_text("\n".join(lines) + "\n")
            sys.stdout.write(f"{path.stem}: {len(lines)} lines\n")


if __name__ == "__main__":
    main()
