"""Followed connections: pieces of both directions of one connection in, matched requests and responses out.

The kernel matches requests of connections that take turns. Where a client pipelines it copies the bytes instead
(`Chunk`), and a `Stream` of the protocol finds the messages in them, sans I/O. A stream never raises and holds a
bounded amount, whatever it is fed. What it cannot match for certain it does not match: it counts it as dropped.

Two things can be missing. A *hole* is the rest of a long system call that was not copied; its length is known, so a
message whose own length covers it is followed exactly. A *gap* is a chunk that was lost; it shows in `position`.
Where either may have hidden a whole message, nothing says which response belongs to which request any more. The
requests before it keep their responses; what follows is dropped until the connection has surely been at rest
(`Silence`): then both directions begin anew.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass

__all__ = [
    "MAX_HEAD_BYTES",
    "MAX_REQUEST_BYTES",
    "MAX_TAIL_BYTES",
    "Chunk",
    "Direction",
    "Exchange",
    "Piece",
    "Silence",
    "Stream",
    "StreamStatistics",
]

MAX_REQUEST_BYTES = 512
"""Bytes of a request that an exchange carries, as the kernel copies them for a request it matched itself."""

MAX_HEAD_BYTES = 192
"""First bytes of a response that an exchange carries."""

MAX_TAIL_BYTES = 64
"""Bytes of a response's end that an exchange carries."""

_WRAP = 1 << 32
_FURTHEST_BACK = 1 << 24
_MIN_REST_NS = 100_000_000
_MAX_REST_NS = 5_000_000_000
_REST_PER_WAIT = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """One copied piece of a system call: client to server if `is_request`.

    `position` is the place of its first byte in its direction, modulo 2^32. `total` counts its bytes together with
    those right behind it that were not copied, so it exceeds `len(data)` where the piece was cut.
    """

    is_request: bool
    time_ns: int
    position: int
    data: bytes
    total: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response; the raw bytes go through the protocol's parser as any other request's do.

    `end_ns` is when the first byte of the (final) response passed; in PostgreSQL, when the statement's
    CommandComplete or the ReadyForQuery right behind it did. `last_ns` is when the response's last byte passed. An
    unanswered request ends when its connection did, and has no response bytes.
    """

    request: bytes
    response_head: bytes
    response_tail: bytes
    start_ns: int
    end_ns: int
    last_ns: int
    request_bytes: int
    response_bytes: int
    is_unanswered: bool = False


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """What one stream could not do.

    `gaps` counts chunks that were missing, `resynchronised` how often matching began anew, `dropped` requests that
    were seen, or whose responses were, and not matched, and `aborted` statements that PostgreSQL skipped after an
    error in their pipeline. `is_ignored` says that the rest of the connection is a tunnel or ciphertext.
    """

    gaps: int = 0
    resynchronised: int = 0
    dropped: int = 0
    aborted: int = 0
    is_ignored: bool = False


class Stream(typing.Protocol):
    """One followed connection of one protocol; no method ever raises, whatever the bytes."""

    def feed(self, chunk: Chunk) -> list[Exchange]:
        """Take the next piece of either direction; gives the exchanges that it completes."""
        ...

    def close(self, time_ns: int) -> list[Exchange]:
        """The connection ended at `time_ns`: gives what was under way, unanswered where no response had begun."""
        ...

    def statistics(self) -> StreamStatistics:
        """What was lost so far."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What a chunk adds to its direction: `missing` unknown bytes, then `data`, then `beyond` unknown bytes.

    `is_gap` says that a chunk was lost (else what is missing was left out on purpose).
    """

    missing: int
    data: bytes
    beyond: int
    is_gap: bool


class Direction:
    """Where one direction of a connection has arrived: finds what is missing before a chunk, and what came before.

    With `is_tail_copied`, the last bytes of a long call come as a chunk of their own behind the hole; so a hole is
    told with the next chunk, as missing. Else it is told at once, as beyond.
    """

    __slots__ = ("_hole", "_is_tail_copied", "_next", "gaps")

    def __init__(self, *, is_tail_copied: bool) -> None:
        self._is_tail_copied = is_tail_copied
        self._next: int | None = None
        self._hole = 0
        self.gaps = 0

    def place(self, chunk: Chunk) -> Piece:
        """Bring `chunk` into its place; bytes that came before are left out."""
        data, beyond = chunk.data, max(0, chunk.total - len(chunk.data))
        ahead = 0 if self._next is None else (chunk.position - self._next) % _WRAP
        behind = _WRAP - ahead
        if ahead and behind <= _FURTHEST_BACK:
            old = min(behind, len(data))
            data, beyond = data[old:], max(0, beyond - (behind - old))
            ahead = 0
            if not data and not beyond:
                return Piece(0, b"", 0, is_gap=False)
        is_gap = ahead > self._hole
        self.gaps += is_gap
        self._hole = beyond if self._is_tail_copied else 0
        end = chunk.position + len(chunk.data) + (0 if self._is_tail_copied else max(0, chunk.total - len(chunk.data)))
        self._next = end % _WRAP
        return Piece(ahead, data, 0 if self._is_tail_copied else beyond, is_gap)


class Silence:
    """Tells when a connection has surely been at rest: no request waits for its response.

    Nobody can see that a request was lost and is still being worked on. It is taken for excluded where a request comes
    after a silence in both directions of four times the longest wait for a response that this connection has shown,
    at least 0.1 s, at most 5 s.
    """

    __slots__ = ("_asked_ns", "_last_ns", "_longest_ns")

    def __init__(self) -> None:
        self._asked_ns: int | None = None
        self._last_ns: int | None = None
        self._longest_ns = 0

    def ends_with(self, chunk: Chunk) -> bool:
        """Whether `chunk` is a request's and ends a long silence; each chunk is to be told once, in order."""
        quiet_ns = _MAX_REST_NS if self._last_ns is None else chunk.time_ns - self._last_ns
        is_over = chunk.is_request and quiet_ns >= min(
            _MAX_REST_NS, max(_MIN_REST_NS, _REST_PER_WAIT * self._longest_ns)
        )
        if chunk.is_request:
            self._asked_ns = chunk.time_ns
        elif self._asked_ns is not None:
            self._longest_ns = max(self._longest_ns, chunk.time_ns - self._asked_ns)
            self._asked_ns = None
        self._last_ns = chunk.time_ns
        return is_over
