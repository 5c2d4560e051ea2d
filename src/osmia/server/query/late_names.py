"""Names that came after the traffic: addresses stored as External whose owner the cluster told us only later.

Agents report traffic and objects independently, and a new pod's address may be seen by its callers first. The rows
stay as they were stored; questions read them under the owner's name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LateName", "LateNames"]

_MAX_UNNAMED = 20_000
_MAX_NAMED = 5_000


@dataclass(frozen=True, slots=True)
class LateName:
    """One address, whose it was, and from when to when (Unix ns) it was stored without a name."""

    ip: str
    kind: str
    namespace: str
    name: str
    first_ns: int
    last_ns: int


class LateNames:
    """Unnamed addresses and late names of every cluster; bounded, the oldest go first."""

    def __init__(self) -> None:
        self._unnamed: dict[str, OrderedDict[str, tuple[int, int]]] = {}
        self._named: dict[str, OrderedDict[str, LateName]] = {}

    def note_unnamed(self, cluster: str, ip: str, *, first_ns: int, last_ns: int) -> None:
        """Rows between these times were stored with an address that nobody claims."""
        seen = self._unnamed.setdefault(cluster, OrderedDict())
        known_first, known_last = seen.get(ip, (first_ns, last_ns))
        seen[ip] = (min(first_ns, known_first), max(last_ns, known_last))
        seen.move_to_end(ip)
        if len(seen) > _MAX_UNNAMED:
            seen.popitem(last=False)

    def unnamed(self, cluster: str, ip: str) -> tuple[int, int] | None:
        """First and last time (Unix ns) of the rows that carry this address without a name."""
        return self._unnamed.get(cluster, OrderedDict()).get(ip)

    def note_named(self, cluster: str, name: LateName) -> None:
        """The owner of an unnamed address is known now."""
        self._unnamed.get(cluster, OrderedDict()).pop(name.ip, None)
        named = self._named.setdefault(cluster, OrderedDict())
        named[name.ip] = name
        named.move_to_end(name.ip)
        if len(named) > _MAX_NAMED:
            named.popitem(last=False)

    def between(self, cluster: str, *, from_ns: int, to_ns: int) -> Sequence[LateName]:
        """Late names of rows in a time range."""
        return [
            one
            for one in self._named.get(cluster, OrderedDict()).values()
            if one.first_ns < to_ns and one.last_ns >= from_ns
        ]

    def forget(self, cluster: str) -> None:
        """Drop a removed cluster."""
        self._unnamed.pop(cluster, None)
        self._named.pop(cluster, None)
