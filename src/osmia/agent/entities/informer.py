"""Keeping a copy of one resource: list in pages, watch, and list again and compare whenever the watch was lost.

What can go wrong and what is done:

- the watch ends cleanly (timeoutSeconds, a restart): watch on from the last version;
- the connection breaks, a line is cut, a 5xx: watch on, after a pause that doubles and that only data ends;
- 410, as HTTP code or as ERROR event in the stream: list again; whatever is gone meanwhile is reported as deleted,
  and an object with the name of an old one but another uid as deleted and added;
- 410 while paging: list again without pages, because the parts of an inconsistent list do not add up;
- 429 and 503 with Retry-After: wait as long as asked; 401: the client reads its token again;
- more events than `events_per_s`: take them more slowly, the connection holds the server back (and if that drops us,
  list again); more objects than `objects_max`: the rest is refused, counted, and named as a problem;
- objects of another kind than asked for, or that cannot be read: as a broken connection.
"""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import aiohttp
import anyio
import msgspec

from osmia.agent.entities.client import KubernetesClient, RefusedError
from osmia.agent.entities.objects import ListPage, Object, Status, WatchLine
from osmia.telemetry import get_logger

__all__ = ["ADAPTED", "Informer", "InformerTiming", "Source"]

ADAPTED = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1,application/json"
"""Accept header that asks for metadata only; `{list}` is "List" for lists and empty for watches."""

_log = get_logger("entities.informer")
_GONE_CODE, _BAD_SERVER = 410, 502
_GARBAGE = (msgspec.MsgspecError, UnicodeDecodeError)  # msgspec gives the latter for text that is not UTF-8
_DISCONNECTS = (aiohttp.ClientError, TimeoutError, OSError)

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Source(Generic[T]):
    """What to follow: the path of the resource, its kind, the struct to decode into, and a field selector."""

    path: str
    kind: str
    type: type[T]
    field_selector: str = ""
    is_metadata_only: bool = False
    page_size: int = 500


@dataclass(frozen=True, slots=True)
class InformerTiming:
    """Pauses in seconds; tests shorten them."""

    watch_s: tuple[float, float] = (240.0, 480.0)
    silence_grace_s: float = 30.0  # beyond the asked length of the watch, before the connection counts as dead
    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0
    longest_asked_s: float = 120.0  # of Retry-After
    short_watch_s: float = 5.0  # a watch that ends earlier without data counts as a failure
    events_per_s: float = 2_000.0  # of one watch; a pod takes 150 us
    objects_max: int = 100_000


class _BookmarkMetadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    resource_version: str


class _Bookmark(msgspec.Struct, frozen=True, gc=False):
    metadata: _BookmarkMetadata


_line_decoder = msgspec.json.Decoder(WatchLine)
_status_decoder = msgspec.json.Decoder(Status)
_bookmark_decoder = msgspec.json.Decoder(_Bookmark)


class _KindOnly(msgspec.Struct, frozen=True, gc=False):
    kind: str = ""


_kind_decoder = msgspec.json.Decoder(_KindOnly)


class _End(enum.Enum):
    """Why a watch is over."""

    CLEAN = "clean"
    GONE = "gone"
    BROKEN = "broken"


@dataclass(slots=True)
class _Backoff:
    timing: InformerTiming
    failures: int = 0

    def failed(self) -> float:
        """Seconds to wait now: doubling with each failure, half of it by chance."""
        pause_s = min(self.timing.first_pause_s * 2.0**self.failures, self.timing.longest_pause_s)
        self.failures = min(self.failures + 1, 32)
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter

    def succeeded(self) -> None:
        self.failures = 0


@dataclass(slots=True)
class _Pace:
    """Lets so many events a second through, and a second's worth at once."""

    per_s: float
    room: float = 0.0
    since_s: float = field(default_factory=anyio.current_time)

    async def step(self) -> None:
        """One event; waits when they come too fast."""
        self.room -= 1
        if self.room > 0:
            return
        now_s = anyio.current_time()
        self.room = min(self.room + (now_s - self.since_s) * self.per_s, self.per_s)
        self.since_s = now_s
        if self.room < 0:
            await anyio.sleep(-self.room / self.per_s + 0.05)


@dataclass(slots=True)
class Informer(Generic[T]):
    """A live copy of one resource.

    `changed(old, new)` is called for every change, in order: `old` is None for a new object, `new` for a deleted one.
    `objects` is the copy, by namespace and name; `is_synced` says that the first list is complete. `counters` has
    lists, events, relists, failures; `problem` is why it does not follow now, empty when it does.
    """

    client: KubernetesClient
    source: Source[T]
    changed: Callable[[T | None, T | None], None]
    timing: InformerTiming = field(default_factory=InformerTiming)
    objects: dict[tuple[str, str], T] = field(default_factory=dict)
    is_synced: bool = False
    problem: str = "not started"
    counters: Counter[str] = field(default_factory=Counter)
    _version: str = ""
    _synced: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Follow the resource until cancelled."""
        backoff = _Backoff(self.timing)
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch(backoff)
            except RefusedError as exc:
                if exc.is_gone:
                    self._version = ""
                self._note(str(exc))
                asked_s = min(exc.retry_after_s, self.timing.longest_asked_s)
                await anyio.sleep(max(asked_s, backoff.failed()))
            except _DISCONNECTS as exc:
                self._note(f"{type(exc).__name__}: {exc}")
                await anyio.sleep(backoff.failed())
            except _GARBAGE as exc:
                self._note(f"an answer that is not understood: {exc}")
                await anyio.sleep(backoff.failed())
            except Exception as exc:  # noqa: BLE001 - around a whole task; logged and counted
                # Whatever an object made of our own code must not end the agent; the copy begins anew.
                _log.exception("following failed", path=self.source.path)
                self._version = ""
                self._note(f"{type(exc).__name__}: {exc}")
                await anyio.sleep(backoff.failed())

    async def wait_synced(self) -> None:
        """Return once the first list is complete."""
        await self._synced.wait()

    async def _list(self) -> None:
        """Fetch everything, then report what differs from the copy."""
        self.counters["lists"] += 1
        try:
            found, version = await self._fetch(self.source.page_size)
        except RefusedError as exc:
            if not exc.is_gone:
                raise
            found, version = await self._fetch(0)
        for key in [key for key in self.objects if key not in found]:
            self._apply(key, None)
        for key, obj in found.items():
            self._apply(key, obj)
        self._version = version
        self.problem = ""
        if not self.is_synced:
            self.is_synced = True
            self._synced.set()

    async def _fetch(self, page_size: int) -> tuple[dict[tuple[str, str], T], str]:
        decoder = msgspec.json.Decoder(ListPage[self.source.type])  # type: ignore[name-defined]  # built at run time
        found: dict[tuple[str, str], T] = {}
        query = self._query()
        if page_size:
            query["limit"] = str(page_size)
        while True:
            body = await self.client.get(self.source.path, query, accept=self._accept("List"))
            page = decoder.decode(body)
            if page.kind and page.kind != f"{self._kind}List":
                raise RefusedError(_BAD_SERVER, f"a {page.kind} in place of a {self._kind}List")
            found.update((obj.key, obj) for obj in page.items)
            if not page.metadata.continue_ or len(found) > self.timing.objects_max:
                return found, page.metadata.resource_version
            if query.get("continue") == page.metadata.continue_:
                raise RefusedError(_BAD_SERVER, "a list whose pages do not end")
            query["continue"] = page.metadata.continue_
            self.counters["pages"] += 1

    async def _watch(self, backoff: _Backoff) -> None:
        length_s = random.uniform(*self.timing.watch_s)  # noqa: S311 - so that agents do not all return at once
        query = self._query() | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, round(length_s))),
        }
        started = anyio.current_time()
        self.problem = ""
        lines = self.client.lines(
            self.source.path,
            query,
            accept=self._accept(""),
            read_timeout_s=length_s + self.timing.silence_grace_s,
        )
        pace = _Pace(self.timing.events_per_s)
        async with aclosing(lines):
            async for line in lines:
                await pace.step()
                end = self._take(line)
                if end is _End.GONE:
                    self.counters["gone"] += 1
                    self._version = ""
                if end is not None:
                    raise RefusedError(_GONE_CODE if end is _End.GONE else 500, f"the watch ended: {end.value}")
                backoff.succeeded()
        self.counters["watches"] += 1
        if anyio.current_time() - started < self.timing.short_watch_s:
            await anyio.sleep(backoff.failed())

    def _take(self, line: bytes) -> _End | None:
        """Apply one line of the watch; says if it ends it."""
        if not line.strip():
            return None
        try:
            event = _line_decoder.decode(line)
            if event.type == "ERROR":
                return _End.GONE if _status_decoder.decode(event.object).code == _GONE_CODE else _End.BROKEN
            if event.type == "BOOKMARK":
                self._version = _bookmark_decoder.decode(event.object).metadata.resource_version
                return None
            kind = _kind_decoder.decode(event.object).kind
            if kind and kind != self._kind:
                self.counters["garbage"] += 1
                return _End.BROKEN
            obj = msgspec.json.decode(event.object, type=self.source.type)
        except _GARBAGE:
            self.counters["garbage"] += 1
            return _End.BROKEN
        self.counters["events"] += 1
        self._version = obj.metadata.resource_version
        self._apply(obj.key, None if event.type == "DELETED" else obj, deleted=obj)
        return None

    def _apply(self, key: tuple[str, str], new: T | None, *, deleted: T | None = None) -> None:
        """Change the copy and say so; nothing is said of what has not changed."""
        old = self.objects.get(key)
        if new is None:
            # A deletion that comes late must not take away the successor of the same name.
            if old is not None and (deleted is None or deleted.metadata.uid == old.metadata.uid):
                del self.objects[key]
                self.changed(old, None)
            return
        if old is not None and old.metadata.uid != new.metadata.uid:
            self.counters["replaced"] += 1
            self.changed(old, None)
            old = None
        if key not in self.objects and len(self.objects) >= self.timing.objects_max:
            self.counters["refused"] += 1
            self.problem = f"only the first {self.timing.objects_max} objects are held"
            return
        self.objects[key] = new
        if old is None or old.metadata.resource_version != new.metadata.resource_version:
            self.changed(old, new)

    @property
    def _kind(self) -> str:
        return "PartialObjectMetadata" if self.source.is_metadata_only else self.source.kind

    def _query(self) -> dict[str, str]:
        return {"fieldSelector": self.source.field_selector} if self.source.field_selector else {}

    def _accept(self, suffix: str) -> str:
        return ADAPTED.replace("{list}", suffix) if self.source.is_metadata_only else "application/json"

    def _note(self, problem: str) -> None:
        self.counters["failures"] += 1
        if problem != self.problem:
            _log.warning("not following", path=self.source.path, problem=problem)
        self.problem = problem

    def statistics(self) -> Mapping[str, int]:
        """Counters since start, and how many objects there are."""
        return {**self.counters, "objects": len(self.objects)}
