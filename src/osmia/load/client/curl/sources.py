"""When iterations begin: from a list of arrivals, or whenever a user is free. No clock of its own, no I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from osmia.load.client.transport import Arrivals, Users

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ArrivalSource", "UserSource"]

_NEVER = 1 << 62


class ArrivalSource:
    """The open model: each arrival is due at its moment, whatever became of those before it."""

    def __init__(self, arrivals: Arrivals, zero_ns: int) -> None:
        self.taken = 0
        self.next_ns = 0
        """When the next arrival is due; 0 when there are no more."""
        self._arrivals = arrivals
        self._zero_ns = zero_ns
        self._ahead: deque[NDArray[np.int64]] = deque()
        self._block: NDArray[np.int64]
        self._list: list[int] = []
        self._at = 0
        self._advance()

    def take(self) -> tuple[int, int]:
        """The number of the iteration that arrives next, and when it should have begun."""
        number = self._arrivals.first + self.taken * self._arrivals.stride
        intended_ns = self.next_ns
        self.taken += 1
        self._at += 1
        self._advance()
        return number, intended_ns

    def backlog(self, now_ns: int) -> int:
        """Arrivals that are due and were not taken."""
        if not self.next_ns or self.next_ns > now_ns:
            return 0
        due_ns = now_ns - self._zero_ns
        count = int(self._block.searchsorted(due_ns, side="right")) - self._at
        while not self._ahead or self._ahead[-1][-1] <= due_ns:
            block = self._read()
            if block is None:
                break
            self._ahead.append(block)
        return count + sum(int(block.searchsorted(due_ns, side="right")) for block in self._ahead)

    def _advance(self) -> None:
        while self._at >= len(self._list):
            block = self._ahead.popleft() if self._ahead else self._read()
            if block is None:
                self.next_ns = 0
                return
            self._block, self._list, self._at = block, block.tolist(), 0
        self.next_ns = self._zero_ns + self._list[self._at]

    def _read(self) -> NDArray[np.int64] | None:
        """The next block that is not empty."""
        for block in self._arrivals.blocks:
            if len(block):
                return block
        return None


class UserSource:
    """The closed model: so many users at each moment, each of which begins anew when it is done."""

    def __init__(self, users: Users, zero_ns: int) -> None:
        self.target = 0
        """How many users there should be now."""
        self.active = 0
        self.taken = 0
        self.left = _NEVER if users.count is None else users.count
        self.stride = users.stride
        self.end_ns = zero_ns + users.duration_ns
        self._users = users
        self._changes = deque((zero_ns + at_ns, count) for at_ns, count in sorted(users.changes))

    @property
    def next_ns(self) -> int:
        """When the number of users changes next, or the end."""
        return self._changes[0][0] if self._changes else self.end_ns

    def look(self, now_ns: int) -> bool:
        """Take the changes whose time has come; whether iterations may still begin."""
        while self._changes and self._changes[0][0] <= now_ns:
            self.target = self._changes.popleft()[1]
        return now_ns < self.end_ns and self.left > 0

    @property
    def next_number(self) -> int:
        """The number of the iteration that begins next."""
        return self._users.first + self.taken * self.stride

    def take(self, count: int = 1) -> int:
        """Some iterations begin; the first one's number."""
        number = self.next_number
        self.taken += count
        self.left -= count
        return number
