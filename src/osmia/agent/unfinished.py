"""Requests whose last byte has not been seen: held until the kernel says that they are over. Pure.

A request's event is sent when its response begins. Its size and the time to its last byte come later, as REMAINDER
events with growing totals. A request is reported when all that its heads declare has passed, when the kernel says that
no more will come (FINAL), or when nothing has come for a while; in any case after a minute. What comes after that is
added to the windows only.
"""

from __future__ import annotations

import typing
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from osmia.agent.events import EventFlag
from osmia.agent.requests import ROW, Group, Requests

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UNKNOWN_TOTAL", "MoreBytes", "Open", "OpenKey", "Unfinished"]

UNKNOWN_TOTAL = 1 << 62
"""Length of a response that does not declare it."""

_LIMIT_NS = 60_000_000_000
_OPEN_MAX = 20_000
_EARLY_MAX = 8_192
_LATE_MAX = 8_192
_NS_PER_MS = 1_000_000

OpenKey = tuple[int, int, int]
"""Connection, sequence and start: one request. The next connection at the same place in the kernel counts anew."""


@dataclass(slots=True)
class Open:
    """One such request; `row` is one of ROW, the totals are the bytes it will have."""

    group: Group
    row: NDArray[np.void]
    target: str
    request_total: int
    response_total: int
    quiet_ns: int = 0
    limit_ns: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether all that was declared has passed."""
        is_answered = int(self.row["response_bytes"]) >= self.response_total
        return is_answered and int(self.row["request_bytes"]) >= self.request_total

    @property
    def end_ns(self) -> int:
        """When the response began."""
        return int(self.row["time_ns"]) + int(self.row["latency_ns"])

    def take(self, remainder: NDArray[np.void]) -> None:
        """New totals; the time to the last byte is told only of a response that did not come at once."""
        row = self.row
        if int(remainder["response_bytes"]) > int(row["response_bytes"]):
            row["response_bytes"] = remainder["response_bytes"]
            row["transfer_ns"] = int(remainder["last_ms"]) * _NS_PER_MS
        row["request_bytes"] = max(int(row["request_bytes"]), int(remainder["request_bytes"]))


@dataclass(frozen=True, slots=True)
class MoreBytes:
    """What a request had that was reported without it."""

    group: Group
    end_ns: int
    request_bytes: int
    response_bytes: int


class Unfinished:
    """Holds them, a bounded number; the oldest give way, and are reported with what they have."""

    def __init__(self, *, quiet_ns: int) -> None:
        """`quiet_ns`: how long nothing may come; longer than the time between two sweeps of the kernel."""
        self._quiet_ns = quiet_ns
        self._open: OrderedDict[OpenKey, Open] = OrderedDict()  # in the order of their quiet_ns
        self._early: OrderedDict[OpenKey, NDArray[np.void]] = OrderedDict()
        self._late: OrderedDict[OpenKey, Open] = OrderedDict()
        self._finished: list[Open] = []
        self.given_up = 0
        """Requests that were reported although more of their response was to come."""

    def __len__(self) -> int:
        return len(self._open)

    def hold(self, key: OpenKey, one: Open, now_ns: int) -> None:
        """Wait for the rest of this one."""
        one.quiet_ns, one.limit_ns = now_ns + self._quiet_ns, now_ns + _LIMIT_NS
        early = self._early.pop(key, None)
        self._open[key] = one
        self._open.move_to_end(key)
        if early is not None:
            self.take(key, early, now_ns, may_be_early=False)

    def take(self, key: OpenKey, remainder: NDArray[np.void], now_ns: int, *, may_be_early: bool) -> MoreBytes | None:
        """New totals of a request; with `may_be_early` it may itself still be on its way here."""
        is_final = bool(int(remainder["flags"]) & EventFlag.FINAL)
        one = self._open.get(key)
        if one is not None:
            one.take(remainder)
            if is_final or one.is_complete:
                self._finished.append(self._open.pop(key))
            else:
                one.quiet_ns = now_ns + self._quiet_ns
                self._open.move_to_end(key)
        elif key in self._late:
            return self._take_late(key, remainder, is_final=is_final)
        elif may_be_early:
            self._early[key] = remainder.copy()
            _shrink(self._early, _EARLY_MAX)
        return None

    def finished(self, now_ns: int) -> Requests:
        """What is over, or has waited long enough."""
        while self._open:
            key, one = next(iter(self._open.items()))
            is_running = one.limit_ns <= now_ns or len(self._open) > _OPEN_MAX
            if one.quiet_ns > now_ns and not is_running:
                break
            self.given_up += is_running or one.response_total != UNKNOWN_TOTAL
            self._finished.append(self._open.pop(key))
            self._late[key] = one
            _shrink(self._late, _LATE_MAX)
        found, self._finished = self._finished, []
        return _requests(found)

    def _take_late(self, key: OpenKey, remainder: NDArray[np.void], *, is_final: bool) -> MoreBytes:
        one = self._late[key]
        before = one.row.copy()
        one.row = one.row.copy()  # the other one has been reported
        one.take(remainder)
        if is_final:
            del self._late[key]
        sent, received = (int(one.row[name]) - int(before[name]) for name in ("request_bytes", "response_bytes"))
        return MoreBytes(one.group, one.end_ns, sent, received)


def _requests(found: Iterable[Open]) -> Requests:
    kept = list(found)
    rows = np.zeros(len(kept), dtype=ROW)
    for index, one in enumerate(kept):
        rows[index] = one.row
        rows[index]["group"] = index
    return Requests([one.group for one in kept], rows, [one.target for one in kept])


def _shrink(cache: OrderedDict[typing.Any, typing.Any], limit: int) -> None:
    while len(cache) > limit:
        cache.popitem(last=False)
