"""Which agents of which cluster were heard of, and when: what the list of clusters shows."""

from __future__ import annotations

from collections import OrderedDict

from osmia.server.storage.store import Store

__all__ = ["Presence"]

_MAX_AGENTS = 10_000


class Presence:
    """Last sign of life per agent, in Unix ms; at most 10,000 agents per cluster, the longest silent goes first."""

    def __init__(self) -> None:
        self._seen_ms: dict[str, OrderedDict[str, int]] = {}

    @classmethod
    async def load(cls, store: Store) -> Presence:
        """From the ledger that the store holds."""
        presence = cls()
        rows = await store.query(
            "SELECT cluster, agent, intDiv(max(time_ns), 1000000) AS seen_ms FROM ledger"
            " GROUP BY cluster, agent ORDER BY seen_ms"
        )
        for row in rows:
            presence.note(str(row["cluster"]), str(row["agent"]), now_ms=int(str(row["seen_ms"])))
        return presence

    def note(self, cluster: str, agent: str, *, now_ms: int) -> None:
        """The agent has just been heard of."""
        agents = self._seen_ms.setdefault(cluster, OrderedDict())
        agents[agent] = now_ms
        agents.move_to_end(agent)
        if len(agents) > _MAX_AGENTS:
            agents.popitem(last=False)

    def last_seen_ms(self, cluster: str) -> int | None:
        """When any agent of the cluster was heard of last."""
        return max(self._seen_ms.get(cluster, {}).values(), default=None)

    def connected(self, cluster: str, *, since_ms: int) -> int:
        """How many agents were heard of since then."""
        return sum(1 for seen in self._seen_ms.get(cluster, {}).values() if seen >= since_ms)

    def forget(self, cluster: str) -> None:
        """Drop a removed cluster."""
        self._seen_ms.pop(cluster, None)
