"""Who had an address when: names the far end of a connection, which the near end's agent could not know.

An agent watches its own node, so a peer on another node reaches us as an External with a pod's address. The objects
of the cluster say whose address that was at the time; addresses are used again, hence the intervals.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from osmia.model.entity import EntityKind
from osmia.server.storage.store import Store

__all__ = ["AddressBook", "AddressBooks", "Named", "Owner", "Sighting", "name_peers", "sighting"]

_MAX_ADDRESSES = 200_000
_MAX_OWNERS_PER_ADDRESS = 32
_FOREVER_NS = 1 << 62
_OWNER_FIELDS = ("kind", "namespace", "name", "pod", "node")
_OVER = frozenset({"Succeeded", "Failed"})

# Agents report every object each minute: of several pods that claim an address, one not heard of since went unseen.
_STALE_NS = 150 * 10**9

# A deleted pod's last requests are reported up to a window later.
_LINGER_NS = 15 * 10**9

_OBJECTS = """
SELECT cluster, uid, kind, namespace, name, node, workload_kind, workload_name, phase, ips,
    seen_ns, created_ns, deleted_ns
FROM objects FINAL WHERE kind IN ('Pod', 'Node', 'Service') AND notEmpty(ips) ORDER BY seen_ns DESC LIMIT {limit:UInt32}
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """What an address stands for."""

    kind: str
    namespace: str
    name: str
    pod: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One object's claim on its addresses from `from_ns` until `to_ns`."""

    uid: str
    object_kind: str
    ips: tuple[str, ...]
    owner: Owner
    from_ns: int
    to_ns: int
    seen_ns: int


class AddressBook:
    """Addresses of one cluster's pods, nodes and Services over time; bounded, the longest unused address goes first."""

    def __init__(self) -> None:
        self._claims: OrderedDict[str, dict[str, Sighting]] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._claims)

    def note(self, sighting: Sighting) -> None:
        """Take in what an object says; an older statement of the same object is ignored."""
        for ip in sighting.ips:
            claims = self._claims.setdefault(ip, {})
            known = claims.get(sighting.uid)
            if known is not None and known.seen_ns > sighting.seen_ns:
                continue
            # What has ended stays ended: a finished pod is listed on, but its address may be given away.
            to_ns = min(sighting.to_ns, known.to_ns) if known else sighting.to_ns
            claims[sighting.uid] = replace(sighting, to_ns=to_ns)
            if len(claims) > _MAX_OWNERS_PER_ADDRESS:
                del claims[min(claims, key=lambda uid: claims[uid].to_ns)]
                self.dropped += 1
            self._claims.move_to_end(ip)
        while len(self._claims) > _MAX_ADDRESSES:
            self._claims.popitem(last=False)
            self.dropped += 1

    def owner_at(self, ip: str, *, time_ns: int) -> Owner | None:
        """The owner at that time, or None when nobody or more than one pod (host network) claims it."""
        claims = self._claims.get(ip)
        if not claims:
            return None
        current = [one for one in claims.values() if one.from_ns <= time_ns < one.to_ns + _LINGER_NS]
        for kind, choose in (("Node", _all), ("Pod", _current_pods), ("Service", _all)):
            matching = choose([one for one in current if one.object_kind == kind], time_ns)
            if len(matching) == 1:
                return matching[0].owner
        return None


def _all(claims: list[Sighting], _time_ns: int) -> list[Sighting]:
    return claims


def _current_pods(claims: list[Sighting], time_ns: int) -> list[Sighting]:
    """Of several pods with one address: those not yet deleted, or else the last; of these, those still reported."""
    if len(claims) < 2:  # noqa: PLR2004 - several
        return claims
    alive = [one for one in claims if time_ns < one.to_ns] or [max(claims, key=lambda one: one.from_ns)]
    reported = [one for one in alive if one.seen_ns + _STALE_NS >= time_ns]
    return reported or [max(alive, key=lambda one: one.seen_ns)]


class AddressBooks:
    """The address book of every cluster."""

    def __init__(self) -> None:
        self._books: dict[str, AddressBook] = {}

    @classmethod
    async def load(cls, store: Store) -> AddressBooks:
        """From the objects that the store holds."""
        books = cls()
        rows = await store.query(_OBJECTS, {"limit": _MAX_ADDRESSES})
        for row in reversed(rows):
            books.of(str(row["cluster"])).note(sighting(row))
        return books

    def of(self, cluster: str) -> AddressBook:
        """The book of one cluster."""
        return self._books.setdefault(cluster, AddressBook())

    def forget(self, cluster: str) -> None:
        """Drop a removed cluster."""
        self._books.pop(cluster, None)

    def entries(self) -> int:
        """Addresses known in all."""
        return sum(len(book) for book in self._books.values())


def sighting(row: Mapping[str, Any]) -> Sighting:
    """From a row of the `objects` table (wire or store)."""
    owner = Owner(row["kind"], row["namespace"], row["name"])
    to_ns = row["deleted_ns"] or _FOREVER_NS
    if row["kind"] == "Pod":
        kind, name = row["workload_kind"], row["workload_name"]
        owner = Owner(
            kind if name else EntityKind.POD.value, row["namespace"], name or row["name"], row["name"], row["node"]
        )
        if row["phase"] in _OVER:
            to_ns = min(to_ns, row["seen_ns"])
    return Sighting(row["uid"], row["kind"], tuple(row["ips"]), owner, row["created_ns"], to_ns, row["seen_ns"])


@dataclass(frozen=True, slots=True)
class Named:
    """Rows whose External ends the book has named where it could, and the addresses it could not name."""

    rows: pa.Table
    resolved: int
    unnamed: Mapping[str, tuple[int, int]]
    """Address to first and last time of its rows, Unix ns."""


def name_peers(rows: pa.Table, book: AddressBook, *, time_column: str) -> Named:
    """Replace every External end that the book knows by its owner at that time."""
    resolved = 0
    unnamed: dict[str, tuple[int, int]] = {}
    for end in ("source", "destination"):
        outside = pc.equal(rows.column(f"{end}_kind"), EntityKind.EXTERNAL.value)
        if not pc.any(outside).as_py():
            continue
        columns = {name: rows.column(f"{end}_{name}").to_pylist() for name in _OWNER_FIELDS}
        ips, times = rows.column(f"{end}_ip").to_pylist(), rows.column(time_column).to_pylist()
        for index in pc.indices_nonzero(outside).to_pylist():
            ip, time_ns = ips[index], times[index]
            owner = book.owner_at(ip, time_ns=time_ns)
            if owner is None:
                first, last = unnamed.get(ip, (time_ns, time_ns))
                unnamed[ip] = (min(first, time_ns), max(last, time_ns))
                continue
            resolved += 1
            for name, values in columns.items():
                values[index] = getattr(owner, name)
        for name, values in columns.items():
            column = f"{end}_{name}"
            rows = rows.set_column(rows.schema.get_field_index(column), column, pa.array(values, pa.string()))
    return Named(rows, resolved, unnamed)
