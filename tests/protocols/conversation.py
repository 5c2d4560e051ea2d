"""One connection told as who said what, when; fed to a stream whole, or cut in other places."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from osmia.protocols.streams import Chunk, Exchange, Stream

__all__ = ["Conversation", "Say", "ask", "recut", "reply", "told"]

MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes of one call; `total` counts those that are not copied as well, `is_lost` ones never reach the stream."""

    is_request: bool
    data: bytes
    ms: int
    total: int = 0
    is_lost: bool = False


def ask(data: bytes, ms: int, *, hidden: int = 0, is_lost: bool = False) -> Say:
    """The client sends; `hidden` further bytes are not copied."""
    return Say(is_request=True, data=data, ms=ms, total=len(data) + hidden, is_lost=is_lost)


def reply(data: bytes, ms: int, *, hidden: int = 0, is_lost: bool = False) -> Say:
    """The server sends; `hidden` further bytes are not copied."""
    return Say(is_request=False, data=data, ms=ms, total=len(data) + hidden, is_lost=is_lost)


@dataclass(slots=True)
class Conversation:
    """Feeds a stream and keeps what it gives."""

    stream: Stream
    positions: dict[bool, int] = field(default_factory=lambda: {True: (1 << 32) - 37, False: 1000})
    exchanges: list[Exchange] = field(default_factory=list)

    def say(self, what: Say) -> list[Exchange]:
        """One call; gives what it completed."""
        position = self.positions[what.is_request]
        self.positions[what.is_request] = (position + what.total) % (1 << 32)
        if what.is_lost:
            return []
        found = self.stream.feed(Chunk(what.is_request, what.ms * MS, position, what.data, what.total))
        self.exchanges += found
        return found

    def close(self, ms: int) -> list[Exchange]:
        """The end; gives every exchange of the conversation."""
        self.exchanges += self.stream.close(ms * MS)
        return self.exchanges


def told(stream: Stream, calls: Sequence[Say], *, closed_ms: int = 100_000) -> list[Exchange]:
    """Everything that a stream makes of a whole connection."""
    conversation = Conversation(stream)
    for call in calls:
        conversation.say(call)
    return conversation.close(closed_ms)


def recut(calls: Sequence[Say], dice: random.Random) -> list[Say]:
    """The same bytes at the same times, joined where neighbours may be and cut at random places."""
    cut: list[Say] = []
    for call in calls:
        data = call.data
        while len(data) > 1 and dice.random() < 0.85:
            size = min(len(data) - 1, dice.choice((1, 2, 3, 512, dice.randint(1, len(data) - 1))))
            cut.append(Say(call.is_request, data[:size], call.ms, size))
            data = data[size:]
        cut.append(Say(call.is_request, data, call.ms, len(data) + call.total - len(call.data), call.is_lost))
    return cut
