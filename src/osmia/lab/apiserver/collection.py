"""The objects of one resource with their history: versioned records, a bounded ring of events, pages of lists.

Nothing here knows what an object means. A collection is used from one thread (that of the event loop) and never
awaits while it changes; `wait` is how watchers sleep until something happened.
"""

from __future__ import annotations

import base64
import binascii
import bisect
from collections import OrderedDict, deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import anyio
import msgspec

from osmia.lab.apiserver.errors import bad_request, expired

__all__ = ["Collection", "Event", "Key", "Page", "PageQuery", "Record", "copied"]

Key = tuple[str, str]
"""Namespace (empty for cluster-wide objects) and name."""

_SNAPSHOTS = 32
_PRESENT = -1  # in a token: no snapshot, go on from what is there now


class Record:
    """One version of one object. The object is never changed in place: readers get copies by `copy`."""

    __slots__ = ("encoded", "key", "object", "version")

    def __init__(self, obj: dict[str, Any]) -> None:
        metadata = obj["metadata"]
        self.object = obj
        self.key: Key = (metadata.get("namespace", ""), metadata["name"])
        self.version = int(metadata["resourceVersion"])
        self.encoded = msgspec.json.encode(obj)

    def copy(self) -> dict[str, Any]:
        """A copy that the caller may change."""
        copy: dict[str, Any] = msgspec.json.decode(self.encoded)
        return copy


class Event(NamedTuple):
    """One change: `previous` is what `record` replaced (None for ADDED)."""

    type: str
    record: Record
    previous: Record | None


class PageQuery(NamedTuple):
    """Which part of a list is asked for; `tag` tells lists with different selectors apart."""

    version: int
    limit: int = 0
    token: str = ""
    tag: object = None


class Page(NamedTuple):
    """A part of a list: its records, the version of the whole, and how to go on (token empty at the end)."""

    records: list[Record]
    version: int
    continue_token: str
    remaining: int


class Collection:
    """All objects of one resource."""

    def __init__(self, ring_size: int) -> None:
        self.records: dict[Key, Record] = {}
        self.floor = 0
        self._ring: deque[Event] = deque(maxlen=ring_size)
        self._sorted: list[Record] | None = None
        self._snapshots: OrderedDict[tuple[int, object], list[Record]] = OrderedDict()
        self._waiters: set[anyio.Event] = set()

    def put(self, record: Record) -> None:
        """Store a new version of an object and tell the watchers."""
        previous = self.records.get(record.key)
        self.records[record.key] = record
        self._publish(Event("MODIFIED" if previous else "ADDED", record, previous))

    def remove(self, last: Record) -> None:
        """Take an object away; `last` is its final state, with the version of the deletion."""
        self._publish(Event("DELETED", last, self.records.pop(last.key)))

    def compact(self, version: int) -> None:
        """Forget history: every watch from before `version` and every unfinished list is too old from now on."""
        self._ring.clear()
        self._snapshots.clear()
        self.floor = version

    def sorted(self) -> list[Record]:
        """All records by namespace and name."""
        if self._sorted is None:
            self._sorted = [self.records[key] for key in sorted(self.records)]
        return self._sorted

    def since(self, version: int) -> list[Event]:
        """Events after `version`, oldest first.

        Raises:
            ApiError: 410, the ring no longer reaches back that far.
        """
        if version < self.floor:
            raise expired(f"too old resource version: {version} ({self.floor})")
        events: list[Event] = []
        for event in reversed(self._ring):
            if event.record.version <= version:
                break
            events.append(event)
        events.reverse()
        return events

    async def wait(self, version: int) -> None:
        """Return once there is an event after `version` or the history has been cut."""
        while version >= self.floor and not (self._ring and self._ring[-1].record.version > version):
            waiter = anyio.Event()
            self._waiters.add(waiter)
            try:
                await waiter.wait()
            finally:
                self._waiters.discard(waiter)

    def wake(self) -> None:
        """Make every waiting watcher look again."""
        for waiter in self._waiters:
            waiter.set()

    def page(self, matches: Callable[[Record], bool], query: PageQuery) -> Page:
        """The first or next page of the records that match.

        Pages of one list come from one snapshot. Once that is gone the token is refused with 410, and the refusal
        carries a token that goes on from the same place in the present ("inconsistent").

        Raises:
            ApiError: 400 for a token that is none, 410 for one that expired.
        """
        start, version = _read_token(query.token) if query.token else (None, _PRESENT)
        if version == _PRESENT:
            version = query.version
            found = [record for record in self.sorted() if matches(record)]
        elif (version, query.tag) in self._snapshots:
            found = self._snapshots[version, query.tag]
        else:
            problem = "The provided continue parameter is too old to display a consistent list result."
            raise expired(problem, continue_token=_write_token(start or ("", ""), _PRESENT))
        position = 0 if start is None else bisect.bisect_right(found, start, key=attrgetter("key"))
        part = found[position : position + query.limit] if query.limit else found[position:]
        remaining = len(found) - position - len(part)
        if not remaining:
            return Page(part, version, "", 0)
        self._snapshots[version, query.tag] = found
        if len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return Page(part, version, _write_token(part[-1].key, version), remaining)

    def _publish(self, event: Event) -> None:
        if len(self._ring) == self._ring.maxlen:
            self.floor = self._ring[0].record.version if self._ring else event.record.version
        self._ring.append(event)
        self._sorted = None
        self.wake()


def copied(obj: dict[str, Any]) -> dict[str, Any]:
    """A deep copy of a JSON object (five times as fast as copy.deepcopy)."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(obj))
    return copy


def _write_token(start: Key, version: int) -> str:
    return base64.urlsafe_b64encode(
        msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    ).decode()


def _read_token(token: str) -> tuple[Key, int]:
    try:
        content = msgspec.json.decode(base64.urlsafe_b64decode(token))
        namespace, name = content["start"]
        return (namespace, name), int(content["rv"])
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError) as exc:
        raise bad_request(f"continue key is not valid: {token!r}") from exc
