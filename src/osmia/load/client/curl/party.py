"""Who shares connections, and the easy handles that go with them."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field

from osmia.load.client.curl.handles import Exchange
from osmia.load.client.curl.loop import inode_of
from osmia.load.client.transport import Pool

__all__ = ["Parties", "Party"]

_KEYS = 65_535


@dataclass(slots=True, eq=False)
class Party:
    """One user, or the crowd. `key` is the port that stands for it in URLs, 0 for the crowd."""

    number: int
    key: int
    fixed: list[list[Exchange]]
    """Idle handles with a step's fixed request, by step."""
    rendered: list[list[Exchange]]
    """Idle handles whose request is set each time, by step, for the step's own endpoint."""
    elsewhere: list[list[Exchange]]
    """The same for other endpoints, and for requests in absolute form; the oldest first."""
    connections: dict[int, int] = field(default_factory=dict)
    """PER_USER_NEW: descriptor and inode of each connection to close at the iteration's end."""


class Parties:
    """Gives every iteration the party that it belongs to."""

    def __init__(self, pool: Pool, steps: int) -> None:
        self._pool = pool
        self._steps = steps
        self._idle: list[Party] = []
        self._made = 0
        self._given = 0
        self._crowd = self._party(-1, 0)

    def take(self) -> Party:
        """The party of an iteration (closed model: of a user) that begins."""
        if self._pool is Pool.SHARED:
            return self._crowd
        party = self._idle.pop() if self._idle else self._make()
        if self._pool is Pool.PER_USER_NEW:
            self.renew(party)
        return party

    def renew(self, party: Party) -> None:
        """The next iteration of a user that is a new one each time: no connection of before is found again."""
        self._given += 1
        party.key = 1 + self._given % _KEYS

    def give_back(self, party: Party) -> None:
        """The iteration (closed model: the user) is gone."""
        if party is not self._crowd:
            self._idle.append(party)

    def part(self, party: Party) -> None:
        """Hang up. libcurl has no call for that: the sockets are shut down, and it closes what it finds dead."""
        for fd, inode in party.connections.items():
            if inode_of(fd) != inode:
                continue  # libcurl was faster
            one = socket.socket(fileno=fd)
            with contextlib.suppress(OSError):  # the peer was faster
                one.shutdown(socket.SHUT_RDWR)
            one.detach()
        party.connections.clear()

    def _make(self) -> Party:
        number = self._made
        self._made += 1
        is_kept = self._pool is Pool.PER_USER_KEPT
        return self._party(number if is_kept else -1, 1 + number % _KEYS)

    def _party(self, number: int, key: int) -> Party:
        steps = range(self._steps)
        return Party(
            number, key, fixed=[[] for _ in steps], rendered=[[] for _ in steps], elsewhere=[[] for _ in steps]
        )
