"""Following one resource: what happened since a version, as seen through a selector."""

from __future__ import annotations

from typing import NamedTuple

from osmia.lab.apiserver.collection import Collection, Event, Record
from osmia.lab.apiserver.selectors import Predicate

__all__ = ["Change", "Watcher"]


class Change(NamedTuple):
    """What a watcher is told: ADDED, MODIFIED or DELETED, and the object with the version of the change."""

    type: str
    record: Record


class Watcher:
    """A cursor over the events of a collection. It buffers nothing: one that is too slow gets 410 from `drain`."""

    def __init__(self, collection: Collection, matches: Predicate, version: int) -> None:
        self.version = version
        self._collection = collection
        self._matches = matches

    def drain(self) -> list[Change]:
        """Everything that happened since the last call, possibly nothing.

        Raises:
            ApiError: 410, history no longer reaches back to where this watcher stands.
        """
        events = self._collection.since(self.version)
        if not events:
            return []
        self.version = events[-1].record.version
        return [change for event in events if (change := self._seen(event))]

    async def wait(self) -> None:
        """Sleep until `drain` has something to say (which may still be nothing that matches)."""
        await self._collection.wait(self.version)

    def _seen(self, event: Event) -> Change | None:
        """The event through the selector: falling out of it is DELETED, coming into it ADDED."""
        matched = event.previous is not None and self._matches(event.previous.object)
        if event.type == "DELETED":
            return Change("DELETED", event.record) if matched else None
        if self._matches(event.record.object):
            return Change("MODIFIED" if matched else "ADDED", event.record)
        if matched and event.previous is not None:
            return Change("DELETED", _at_version(event.previous, event.record.version))
        return None


def _at_version(record: Record, version: int) -> Record:
    obj = record.object
    return Record({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}})
