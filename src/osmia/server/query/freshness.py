"""The newest telemetry of each cluster: what rates are averaged up to, and what wakes live pages."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from osmia.server.storage.store import Store

__all__ = ["Freshness"]

_MAX_AHEAD_NS = 60 * 10**9


class Freshness:
    """Newest request time per cluster in Unix ns, kept by ingest, read by questions and live pages.

    Entries exist for known clusters only, so the table is as bounded as the list of clusters.
    """

    def __init__(self, newest_ns: Mapping[str, int] | None = None) -> None:
        self._newest_ns = dict(newest_ns or {})
        self._versions: dict[str, int] = {}
        self._waiting: dict[str, anyio.Event] = {}
        self._closed = anyio.Event()

    @classmethod
    async def load(cls, store: Store) -> Freshness:
        """From what the store holds."""
        rows = await store.query("SELECT cluster, max(last_ns) AS newest FROM edge_1h GROUP BY cluster")
        return cls({str(row["cluster"]): int(str(row["newest"])) for row in rows})

    def newest_ns(self, cluster: str) -> int:
        """Unix ns of the newest request, 0 when there is none."""
        return self._newest_ns.get(cluster, 0)

    def newest_of_all_ns(self) -> int:
        """The same over every cluster."""
        return max(self._newest_ns.values(), default=0)

    @property
    def is_closed(self) -> bool:
        """Whether the server is shutting down, so that nobody should wait any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Wake everybody who waits, for good."""
        self._closed.set()
        for event in self._waiting.values():
            event.set()

    async def wait_closed(self) -> None:
        """Return when the server shuts down."""
        await self._closed.wait()

    def version(self, cluster: str) -> int:
        """A number that grows with every arrival."""
        return self._versions.get(cluster, 0)

    def arrived(self, cluster: str, *, newest_ns: int, now_ns: int) -> None:
        """Note an arrival. A clock far ahead of ours must not stretch every rate, so it is clipped."""
        newest_ns = min(newest_ns, now_ns + _MAX_AHEAD_NS)
        self._newest_ns[cluster] = max(self._newest_ns.get(cluster, 0), newest_ns)
        self._versions[cluster] = self.version(cluster) + 1
        event = self._waiting.pop(cluster, None)
        if event is not None:
            event.set()

    async def wait(self, cluster: str, *, after_version: int) -> int:
        """The cluster's version as soon as it is above `after_version`, or at once when closed."""
        while self.version(cluster) <= after_version and not self.is_closed:
            event = self._waiting.setdefault(cluster, anyio.Event())
            await event.wait()
        return self.version(cluster)

    def forget(self, cluster: str) -> None:
        """Drop a removed cluster."""
        self._newest_ns.pop(cluster, None)
        self._versions.pop(cluster, None)
        event = self._waiting.pop(cluster, None)
        if event is not None:
            event.set()
