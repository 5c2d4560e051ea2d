"""A window that no agent measured, to prove that the check notices."""

from __future__ import annotations

import time

from osmia.demo.world import World
from osmia.model import wire
from osmia.model.window import WINDOW_S

__all__ = ["forged_window"]


async def forged_window(world: World, *, source: str, destination: str, count: int) -> None:
    """Tell the server of `count` requests between two workloads (ids as in Entity.id) that never were."""
    now_ns = time.time_ns()
    row: dict[str, object] = {
        name: 0 if kind in _NUMBERS else [] if "list" in kind.value else "" if kind is wire.Kind.STRING else False
        for name, kind in wire.TABLES[wire.Table.WINDOWS].items()
    }
    for end, entity in (("source", source), ("destination", destination)):
        row[f"{end}_kind"], row[f"{end}_namespace"], row[f"{end}_name"] = entity.split("/")
    row |= {"start_s": now_ns // 10**9 // WINDOW_S * WINDOW_S, "first_ns": now_ns, "last_ns": now_ns}
    row |= {"role": "server", "protocol": "http", "method": "GET", "template": "/forged", "status": "200"}
    row |= {"count": count, "server_port": 8200, "buckets": [500], "bucket_counts": [count]}
    payload = wire.compress(wire.encode(wire.Table.WINDOWS, {name: [value] for name, value in row.items()}))
    headers = wire.ingest_headers(cluster=world.cluster_id, key=world.key, agent="forger")
    headers["Osmia-Sequence"] = str(now_ns // 1000)
    await world.api.send(f"/ingest/{wire.Table.WINDOWS}", payload, headers)


_NUMBERS = frozenset({wire.Kind.UINT16, wire.Kind.UINT32, wire.Kind.UINT64})
