"""Bytes of a fuzzer as the pieces of a followed connection, and what must hold for every stream.

A piece is a byte of flags, two of length, then its data. So a mutation moves cuts, swaps directions, or makes holes
and gaps; recorded connections in this form are the seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from osmia.protocols.streams import Chunk, Exchange, Stream, StreamStatistics

__all__ = ["Fed", "check_stream", "chunks_of", "pack"]

_IS_REQUEST, _HAS_HOLE, _HAS_GAP, _IS_LATER, _IS_REST = 1, 2, 4, 8, 16
_MAX_CHUNKS = 200
_MAX_PIECE = 4096
_MS = 1_000_000
_LONGEST_GAP = 256


@dataclass(frozen=True, slots=True)
class Fed:
    """What a stream made of a connection."""

    exchanges: list[Exchange]
    statistics: StreamStatistics


def pack(pieces: Sequence[tuple[bool, bytes, int]]) -> bytes:
    """Pieces as bytes: whether the client sent it, its data, how many bytes behind it were not copied."""
    packed = bytearray()
    for is_request, data, hidden in pieces:
        for start in range(0, max(1, len(data)), _MAX_PIECE):
            part = data[start : start + _MAX_PIECE]
            flags = (_IS_REQUEST if is_request else 0) | _IS_LATER
            packed += bytes([flags]) + len(part).to_bytes(2) + part
        if hidden:
            packed += bytes([flags | _HAS_HOLE]) + min(hidden, _MAX_PIECE).to_bytes(2)
    return bytes(packed)


def chunks_of(data: bytes) -> list[Chunk]:
    """The pieces that the bytes stand for; any bytes stand for some."""
    chunks: list[Chunk] = []
    positions = {True: 0xFFFF_FF00, False: 0}
    now_ns = position = 0
    while position < len(data) and len(chunks) < _MAX_CHUNKS:
        flags, length = data[position], int.from_bytes(data[position + 1 : position + 3]) % (_MAX_PIECE + 1)
        is_request = bool(flags & _IS_REQUEST)
        piece = b"" if flags & _HAS_HOLE else data[position + 3 : position + 3 + length]
        total = length if flags & _HAS_HOLE else len(piece)
        position += 3 + len(piece)
        now_ns += (_MS if flags & _IS_LATER else 0) + (10_000 * _MS if flags & _IS_REST else 0)
        if flags & _HAS_GAP:
            positions[is_request] += 1 + flags
        chunks.append(Chunk(is_request, now_ns, positions[is_request] % (1 << 32), piece, total))
        positions[is_request] += total
    return chunks


def check_stream(make: Callable[[], Stream], data: bytes) -> Fed:
    """Feed a stream in any way: exchanges are bounded and, where nothing was lost, the same in any cuts."""
    chunks = chunks_of(data)
    fed = _feed(make, chunks)
    for one in fed.exchanges:
        _check_exchange(one, sum(chunk.total + _LONGEST_GAP for chunk in chunks))
    statistics = fed.statistics
    is_certain = not (statistics.gaps or statistics.dropped or statistics.resynchronised)
    if is_certain and not any(chunk.total > len(chunk.data) for chunk in chunks):
        again = _feed(make, _recut(chunks))
        if again.exchanges != fed.exchanges:
            raise AssertionError(f"other cuts, other exchanges: {chunks!r}")
    return fed


def _feed(make: Callable[[], Stream], chunks: Sequence[Chunk]) -> Fed:
    stream = make()
    exchanges: list[Exchange] = []
    for chunk in chunks:
        exchanges += stream.feed(chunk)
    exchanges += stream.close(chunks[-1].time_ns + _MS if chunks else 0)
    return Fed(exchanges, stream.statistics())


def _check_exchange(one: Exchange, most: int) -> None:
    if len(one.request) > 512 or len(one.response_head) > 192 or len(one.response_tail) > 64:
        raise AssertionError(f"an exchange that does not fit its record: {one!r}")
    if not 0 <= one.start_ns <= one.end_ns <= one.last_ns:
        raise AssertionError(f"times out of order: {one!r}")
    if not (0 <= one.request_bytes <= most and 0 <= one.response_bytes <= most):
        raise AssertionError(f"more bytes than there were: {one!r}")
    if one.is_unanswered and (one.response_bytes or one.response_head):
        raise AssertionError(f"a response that is none: {one!r}")


def _recut(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The same bytes at the same times, cut in other places."""
    dice = random.Random(len(chunks))  # noqa: S311 - a fuzzer
    cut: list[Chunk] = []
    for chunk in chunks:
        data, position = chunk.data, chunk.position
        if not data:
            cut.append(chunk)
        while data:
            size = min(len(data), dice.choice((1, 2, 5, 40, 512)))
            cut.append(replace(chunk, position=position % (1 << 32), data=data[:size], total=size))
            data, position = data[size:], position + size
    return cut
