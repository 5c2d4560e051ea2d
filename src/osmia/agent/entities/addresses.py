"""Who had which address when: intervals of ownership per address, so that a late event finds its own time's owner.

Addresses of pods are reused within seconds, and news of the old pod's end may come after the new pod's beginning.
Therefore an address has a short list of (owner, from, to): a new claim ends the one before, an end counts only for
the owner that it names, and an ended interval is kept for a while for events that are still under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["RETENTION_NS", "AddressBook", "Interval"]

RETENTION_NS = 300_000_000_000
"""How long the past of an address is kept."""

_EARLY_NS = 10_000_000_000  # a pod talks before the API server tells its address
_LATE_NS = 2_000_000_000  # the end is told with the API server's clock, the event has ours
_PER_ADDRESS_MAX = 8
_OPEN = 1 << 63

T = TypeVar("T")


@dataclass(slots=True)
class Interval(Generic[T]):
    """`owner` had the address from `from_ns` to `to_ns` (Unix ns)."""

    uid: str
    owner: T
    from_ns: int
    to_ns: int = _OPEN

    @property
    def is_open(self) -> bool:
        """Whether the address still belongs to the owner."""
        return self.to_ns == _OPEN


class AddressBook(Generic[T]):
    """Address to owner over time; at most `limit` addresses, beyond which claims are refused and counted."""

    def __init__(self, *, limit: int = 200_000) -> None:
        self._limit = limit
        self._intervals: dict[str, list[Interval[T]]] = {}
        self.refused = 0

    def claim(self, ip: str, uid: str, owner: T, *, at_ns: int) -> None:
        """From now on `ip` belongs to the object `uid`; claiming again updates the owner's value."""
        intervals = self._intervals.get(ip)
        if intervals is None:
            if len(self._intervals) >= self._limit:
                self.refused += 1
                return
            intervals = self._intervals[ip] = []
        newest = intervals[-1] if intervals else None
        if newest is not None and newest.is_open:
            if newest.uid == uid:
                newest.owner = owner
                return
            newest.to_ns = at_ns
        intervals.append(Interval(uid, owner, at_ns))
        del intervals[:-_PER_ADDRESS_MAX]

    def release(self, ip: str, uid: str, *, at_ns: int) -> None:
        """`uid` no longer has `ip`; of no effect on whoever else has it by now."""
        for interval in self._intervals.get(ip, ()):
            if interval.uid == uid and interval.is_open:
                interval.to_ns = at_ns

    def owner(self, ip: str, *, at_ns: int) -> T | None:
        """Who had the address at that time, None if nobody.

        An owner is also found a little before its interval begins and after it ends, unless another had the address.
        """
        intervals = self._intervals.get(ip)
        if not intervals:
            return None
        for interval in reversed(intervals):
            if interval.from_ns <= at_ns:
                return interval.owner if at_ns <= interval.to_ns + _LATE_NS else self._early(intervals, at_ns)
        return self._early(intervals, at_ns)

    def expire(self, *, now_ns: int) -> None:
        """Forget what ended longer than the retention ago."""
        oldest = now_ns - RETENTION_NS
        for ip, intervals in list(self._intervals.items()):
            kept = [interval for interval in intervals if interval.to_ns >= oldest]
            if kept:
                self._intervals[ip] = kept
            else:
                del self._intervals[ip]

    def __len__(self) -> int:
        return len(self._intervals)

    @staticmethod
    def _early(intervals: list[Interval[T]], at_ns: int) -> T | None:
        after = next((one for one in intervals if one.from_ns > at_ns), None)
        return after.owner if after and after.from_ns - at_ns <= _EARLY_NS else None
