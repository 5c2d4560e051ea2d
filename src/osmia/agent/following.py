"""Connections that the kernel copies byte by byte instead of matching: their requests are found here. Pure.

A connection is followed from the moment it pipelines to its end (`bpf/requests/README.md`). Its pieces go through the
`Stream` of its protocol; what that matches becomes rows of EVENT again, as if the kernel had matched them, and takes
the way of all other requests from there. The number of streams is bounded; the one used longest ago gives way.
"""

from __future__ import annotations

import typing
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from osmia.agent.events import EVENT, EventFlag, EventKind, RoleCode
from osmia.agent.requests import PROTOCOL_OF
from osmia.model.request import Protocol
from osmia.protocols.streams import Chunk

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from osmia.protocols.streams import Exchange, Stream, StreamStatistics

__all__ = ["Following", "FollowingStatistics"]

_STREAMS_MAX = 2_048
_IDLE_NS = 600_000_000_000
_KEPT_FLAGS = EventFlag.UNIX
_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class FollowingStatistics:
    """Streams now, and counters since start: what could not be matched, by cause (`StreamStatistics`)."""

    streams: int = 0
    evicted: int = 0
    gaps: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Followed:
    """One connection; `near` is its newest piece's row, `received_to` where what arrived has come to."""

    stream: Stream
    near: NDArray[np.void]
    used_ns: int
    received_to: int | None = None

    def chunk(self, event: NDArray[np.void]) -> Chunk:
        """The next piece.

        The end of the stream takes a place of its own in TCP's positions. Bytes that are read together with it seem to
        lie one further than they do.
        """
        chunk = _chunk(event)
        if not int(event["flags"]) & EventFlag.SENT:
            if self.received_to is not None and chunk.position == (self.received_to + 1) % _WRAP:
                chunk = replace(chunk, position=self.received_to)
            self.received_to = (chunk.position + chunk.total) % _WRAP
        return chunk


class Following:
    """Feeds the pieces of followed connections to their streams."""

    def __init__(self, streams: Mapping[Protocol, Callable[[], Stream]]) -> None:
        self._make = streams
        self._followed: OrderedDict[tuple[int, int, int], _Followed] = OrderedDict()
        self._statistics = FollowingStatistics()

    def statistics(self) -> FollowingStatistics:
        """Counters up to now, those of the streams that are still open included."""
        open_ones = [one.stream.statistics() for one in self._followed.values()]
        return _added(replace(self._statistics, streams=len(open_ones)), open_ones)

    def feed(self, events: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """Take CHUNK and CLOSED rows in their order.

        Gives REQUEST rows and how long each response took from its first to its last byte, in ns.
        """
        found: list[tuple[NDArray[np.void], Exchange]] = []
        for event in events:
            if PROTOCOL_OF.get(int(event["protocol"])) not in self._make:
                continue
            key = (int(event["connection"]), int(event["local_port"]), int(event["remote_port"]))
            if int(event["kind"]) == EventKind.CLOSED:
                followed = self._followed.pop(key, None)
                if followed is not None:
                    found += self._end(followed, int(event["end_ns"]))
                continue
            followed = self._of(key, event, found)
            found += [(followed.near, one) for one in followed.stream.feed(followed.chunk(event))]
        return _rows(found)

    def forget(self, before_ns: int) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """End what brought nothing since `before_ns` (the ring's clock): the kernel may have lost its end."""
        found: list[tuple[NDArray[np.void], Exchange]] = []
        while self._followed and next(iter(self._followed.values())).used_ns < before_ns - _IDLE_NS:
            _, followed = self._followed.popitem(last=False)
            found += self._end(followed, followed.used_ns)
        return _rows(found)

    def _of(
        self, key: tuple[int, int, int], event: NDArray[np.void], found: list[tuple[NDArray[np.void], Exchange]]
    ) -> _Followed:
        followed = self._followed.get(key)
        if followed is None:
            if len(self._followed) >= _STREAMS_MAX:
                _, oldest = self._followed.popitem(last=False)
                found += self._end(oldest, oldest.used_ns)
                self._statistics = replace(self._statistics, evicted=self._statistics.evicted + 1)
            stream = self._make[PROTOCOL_OF[int(event["protocol"])]]()
            followed = self._followed[key] = _Followed(stream, event, 0)
        followed.near = event.copy()
        followed.used_ns = int(event["end_ns"])
        self._followed.move_to_end(key)
        return followed

    def _end(self, followed: _Followed, time_ns: int) -> list[tuple[NDArray[np.void], Exchange]]:
        last = followed.stream.close(time_ns)
        self._statistics = _added(self._statistics, [followed.stream.statistics()])
        return [(followed.near, one) for one in last]


def _added(statistics: FollowingStatistics, streams: Sequence[StreamStatistics]) -> FollowingStatistics:
    return replace(
        statistics,
        gaps=statistics.gaps + sum(one.gaps for one in streams),
        dropped=statistics.dropped + sum(one.dropped for one in streams),
    )


def _chunk(event: NDArray[np.void]) -> Chunk:
    flags, length = int(event["flags"]), int(event["request_length"])
    is_client = int(event["role"]) == RoleCode.CLIENT
    return Chunk(
        is_request=is_client == bool(flags & EventFlag.SENT),
        time_ns=int(event["end_ns"]),
        position=int(event["position"]),
        data=event["request"].tobytes()[:length],
        total=int(event["request_bytes"]) if flags & EventFlag.CUT else length,
    )


def _rows(found: Sequence[tuple[NDArray[np.void], Exchange]]) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
    rows = np.zeros(len(found), dtype=EVENT)
    transfers = np.zeros(len(found), dtype=np.uint64)
    for index, (near, one) in enumerate(found):
        rows[index] = near
        row = rows[index]
        row["kind"], row["sequence"], row["weight"] = EventKind.REQUEST, 0, 1
        row["flags"] = int(near["flags"]) & _KEPT_FLAGS | EventFlag.FINAL
        if one.is_unanswered:
            row["flags"] |= EventFlag.UNANSWERED
        row["start_ns"], row["end_ns"] = one.start_ns, max(one.start_ns, one.end_ns)
        row["request_bytes"], row["response_bytes"] = one.request_bytes, one.response_bytes
        for name in ("request", "response_head", "response_tail"):
            _put(row, name, getattr(one, name))
        transfers[index] = max(0, one.last_ns - one.end_ns)
    return rows, transfers


def _put(row: NDArray[np.void], name: str, data: bytes) -> None:
    size = EVENT[name].itemsize
    row[name] = np.void(data[:size].ljust(size, b"\0"))
    row[f"{name}_length"] = min(len(data), size)
