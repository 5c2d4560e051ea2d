"""Giving a late name to addresses that were stored before anybody claimed them."""

from __future__ import annotations

from osmia.server.ingest.peers import AddressBook, AddressBooks
from osmia.server.query.late_names import LateName, LateNames
from osmia.server.storage.store import Store

__all__ = ["load_late_names", "name_late"]

_LOOK_BACK_DAYS = 3
_MAX_ADDRESSES = 20_000

_UNNAMED = """
SELECT cluster, ip, min(first) AS first_ns, max(last) AS last_ns
FROM (
    SELECT cluster, source_name AS ip, first_ns AS first, last_ns AS last FROM edge_1m
    WHERE source_kind = 'External' AND t > now() - toIntervalDay({days:UInt32})
    UNION ALL
    SELECT cluster, destination_name, first_ns, last_ns FROM edge_1m
    WHERE destination_kind = 'External' AND t > now() - toIntervalDay({days:UInt32})
) GROUP BY cluster, ip ORDER BY last_ns LIMIT {limit:UInt32}
"""


async def load_late_names(store: Store, books: AddressBooks) -> LateNames:
    """From the addresses that the store holds without a name, and the books."""
    late_names = LateNames()
    rows = await store.query(_UNNAMED, {"days": _LOOK_BACK_DAYS, "limit": _MAX_ADDRESSES})
    for row in rows:
        cluster, ip = str(row["cluster"]), str(row["ip"])
        first_ns, last_ns = int(str(row["first_ns"])), int(str(row["last_ns"]))
        late_names.note_unnamed(cluster, ip, first_ns=first_ns, last_ns=last_ns)
        name_late(cluster, ip, book=books.of(cluster), late_names=late_names)
    return late_names


def name_late(cluster: str, ip: str, *, book: AddressBook, late_names: LateNames) -> None:
    """Name an address that was stored without a name, if the book knows now whose it was at that time."""
    times = late_names.unnamed(cluster, ip)
    if times is None:
        return
    first_ns, last_ns = times
    owner = book.owner_at(ip, time_ns=last_ns)
    if owner is not None:
        late_names.note_named(cluster, LateName(ip, owner.kind, owner.namespace, owner.name, first_ns, last_ns))
