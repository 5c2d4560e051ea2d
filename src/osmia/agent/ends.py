"""Who is at both ends of a connection, from what one end's event says. Pure; the time is passed in.

Whatever end of a connection a process on this machine was seen at is remembered, so that two ends on one host find
each other before any address is looked up: TCP by the address, AF_UNIX by the number of the socket. Where the far end
is not known *yet* there is no answer, and the event is to be asked for again a little later. Where sampling may have
left the far end's event out, it is taken for who was last seen there on the same edge.
"""

from __future__ import annotations

import functools
import typing
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from osmia.agent.events import EventFlag, RoleCode
from osmia.agent.requests import PROTOCOL_OF, Names, Pair
from osmia.model.entity import Entity, EntityKind
from osmia.model.request import UNCAPTURED, Address, Process, Protocol, Role
from osmia.model.window import EdgeKey

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ConnectionKey", "Ends", "EntityLookup", "Sighting"]

_ROLES = {int(RoleCode.CLIENT): Role.CLIENT, int(RoleCode.SERVER): Role.SERVER}
_UNKNOWN_END_HOLD_NS = 2_000_000_000  # Kubernetes tells a pod's address up to a second after its first request
_SAME_HOST_HOLD_NS = 200_000_000  # the two ends' events are at most a few drains apart
_PAIR_LIFE_NS = 10_000_000_000  # how long a connection's ends may be taken from the cache
_END_LIFE_NS = 60_000_000_000  # an end that is used again is seen again, at the latest when its pair is made anew
_ENDS_MAX = 32_768
_PAIRS_MAX = 16_384
_ADDRESSES_MAX = 8_192
_NAMES_MAX = 16_384
_SOMEWHERE_HERE = Address("127.0.0.1", 0)

ConnectionKey = tuple[int, int, int]
"""Connection, edge, and ports with pid: what stays the same as long as the ends do."""

_EndKey = tuple[int | str, ...]


class EntityLookup(typing.Protocol):
    """Who owns what; `agent.entities.Entities` is the real one."""

    def local(self, cgroup_id: int, pid: int, command: str, *, at_ns: int) -> Entity | None:
        """The entity a process of this machine belongs to, None if that is not known yet."""
        ...

    def remote(self, address: Address, *, at_ns: int, cgroup_id: int = 0) -> Entity | None:
        """The owner of an address, EXTERNAL if nobody here owns it, None if that is not known yet.

        An EXTERNAL may be called by the name that DNS gave the control group of its client.
        """
        ...

    def translate(self, client: Address, server: Address) -> Address | None:
        """Where a connection to `server` really went after address translation; None if not translated or unknown."""
        ...

    def origin(self, client: Address, server: Address) -> Address | None:
        """Who really opened a connection that the server sees coming from `client`; None if that is the truth."""
        ...

    def service_of(self, server: Address) -> str:
        """Name of the Service that has this virtual address, or empty."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """A process seen at one end of a connection, from one event; `at_ns` is Unix ns."""

    edge: int
    connection: int
    peer: int
    cgroup_id: int
    pid: int
    netns: int
    protocol: Protocol
    role: Role
    local: Address
    remote: Address
    command: str
    is_sampled: bool
    at_ns: int

    @classmethod
    def of(cls, event: NDArray[np.void], wall_offset_ns: int) -> Sighting:
        """From one row of EVENT."""
        local, remote = _addresses(event)
        return cls(
            edge=int(event["edge"]),
            connection=int(event["connection"]),
            peer=int(event["peer"]),
            cgroup_id=int(event["cgroup_id"]),
            pid=int(event["pid"]),
            netns=int(event["netns"]),
            protocol=PROTOCOL_OF[int(event["protocol"])],
            role=_ROLES[int(event["role"])],
            local=local,
            remote=remote,
            command=_text(event["command"]),
            is_sampled=int(event["weight"]) > 1,
            at_ns=int(event["end_ns"]) + wall_offset_ns,
        )


@dataclass(frozen=True, slots=True)
class _End:
    """A process on this machine at one end of a connection; `local` and `remote` as it saw them."""

    entity: Entity
    process: Process
    role: Role
    local: Address
    remote: Address
    made_ns: int


class Ends:
    """Remembers the ends of connections, and pairs them."""

    def __init__(self, entities: EntityLookup, *, only_kubernetes: bool) -> None:
        """With `only_kubernetes`, pairs of which neither end is a pod or a node are out of scope."""
        self._entities = entities
        self._only_kubernetes = only_kubernetes
        self._ends: OrderedDict[_EndKey, _End] = OrderedDict()
        self._pairs: OrderedDict[ConnectionKey, Pair] = OrderedDict()
        self._names: dict[EdgeKey, Names] = {}
        self._usual: OrderedDict[int, Entity] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs) + len(self._ends)

    def known(self, keys: Iterable[ConnectionKey]) -> list[Pair | None]:
        """The pair of each connection that has been made already."""
        return list(map(self._pairs.get, keys))

    def remember(self, seen: Sighting) -> _End | None:
        """A process is at this end; None if it is not known yet whose.

        Of those that share a server's port, the one of this connection is found first.
        """
        entity = self._near_entity(seen)
        if entity is None:
            return None
        end = _end_of(seen, entity)
        near = _near_key(seen)
        for key in (near, (*near, seen.remote.ip, seen.remote.port)) if seen.role is Role.SERVER else (near,):
            self._ends[key] = end
            self._ends.move_to_end(key)
        _shrink(self._ends, _ENDS_MAX)
        return end

    def pair(self, key: ConnectionKey, seen: Sighting, *, is_last_try: bool) -> Pair | None:
        """Name both ends; None if one of them may be known better in a while."""
        pair = self._make(seen, is_last_try=is_last_try)
        if pair is not None:
            self._pairs[key] = pair
            self._pairs.move_to_end(key)
            _shrink(self._pairs, _PAIRS_MAX)
        return pair

    def patience_ns(self, seen: Sighting) -> int:
        """How long an event whose ends are not known yet is worth waiting for."""
        if self._near_entity(seen) is None:
            return _UNKNOWN_END_HOLD_NS
        if seen.remote.is_unix:
            return _SAME_HOST_HOLD_NS
        far = self._entities.remote(seen.remote, at_ns=seen.at_ns)
        return _UNKNOWN_END_HOLD_NS if far is None else _SAME_HOST_HOLD_NS

    def forget(self, now_ns: int) -> None:
        """Drop what is too old to be used again, so that memory follows the traffic of now, not of all time."""
        _drop_old(self._ends, now_ns - _END_LIFE_NS)
        _drop_old(self._pairs, now_ns - _PAIR_LIFE_NS)

    def key_of_edge(self, edge: NDArray[np.void], now_ns: int) -> EdgeKey | None:
        """The ends of an edge of which the kernel's counters are all that was ever seen; None if out of scope."""
        role = _ROLES[int(edge["role"])]
        command = _text(edge["command"])
        near = self._entities.local(int(edge["cgroup_id"]), int(edge["pid"]), command, at_ns=now_ns)
        near = near or Entity(EntityKind.PROCESS, command or "unknown")
        _, remote = _addresses(edge)
        far_address = Address(remote.ip, int(edge["server_port"]))
        client = int(edge["cgroup_id"]) if role is Role.CLIENT else 0
        far = self._far_entity(far_address, now_ns, client) or Entity(EntityKind.EXTERNAL, far_address.ip)
        if role is Role.CLIENT and not far_address.is_unix:
            far = replace(far, service=self._entities.service_of(far_address) or far.service)
        if not self._is_in_scope(near, far):
            return None
        source, destination = (near, far) if role is Role.CLIENT else (far, near)
        protocol = PROTOCOL_OF[int(edge["protocol"])]
        port = int(edge["server_port"])
        return EdgeKey(role, protocol, False, source, destination, port, "", UNCAPTURED, "")  # noqa: FBT003 - no TLS

    def _make(self, seen: Sighting, *, is_last_try: bool) -> Pair | None:
        near = self.remember(seen)
        if near is None:
            if not is_last_try:
                return None
            unnamed = Entity(EntityKind.PROCESS, seen.command or "unknown")
            near = _end_of(seen, unnamed)
        service, far_address = self._far_address(seen)
        far_key = _far_key(seen, far_address)
        end = self._ends.get((*far_key, seen.local.ip, seen.local.port)) or self._ends.get(far_key)
        end = end if end is not None and self._is_other_end(end, seen) else None
        usual = self._usual.get(seen.edge) if end is None and seen.is_sampled else None
        client = seen.cgroup_id if seen.role is Role.CLIENT else 0
        far = end.entity if end else usual or self._far_entity(far_address, seen.at_ns, client)
        if not is_last_try and usual is None and (far is None or (end is None and far.kind in _HOST_KINDS)):
            return None
        if end is not None:
            self._usual[seen.edge] = end.entity
            self._usual.move_to_end(seen.edge)
            _shrink(self._usual, _NAMES_MAX)
        far = far or Entity(EntityKind.EXTERNAL, far_address.ip)
        near_entity = replace(near.entity, ip=seen.local.ip)
        far_entity = replace(far, ip=far_address.ip, service=service or far.service)
        far_process = end.process if end else None
        is_client = seen.role is Role.CLIENT
        return Pair(
            edge=seen.edge,
            names=self._names_of(seen, near_entity, far_entity, far_address.port if is_client else seen.local.port),
            client_process=near.process if is_client else far_process,
            server_process=far_process if is_client else near.process,
            client=seen.local if is_client else seen.remote,
            server=seen.remote if is_client else seen.local,
            in_scope=self._is_in_scope(near_entity, far_entity),
            made_ns=seen.at_ns,
        )

    def _is_other_end(self, end: _End, seen: Sighting) -> bool:
        """Whether a remembered end is that of this connection, and not of one that had its port before.

        A client's port is soon another's; what its client called must be this server, or lead to it.
        """
        if end.role is seen.role:
            return False
        if seen.role is Role.CLIENT or seen.local.is_unix or end.remote == seen.local:
            return True
        leads_to = self._entities.translate(end.local, end.remote)
        return leads_to == seen.local or (leads_to is None and bool(self._entities.service_of(end.remote)))

    def _near_entity(self, seen: Sighting) -> Entity | None:
        """Whose process it is; where that says nothing (it is gone already), the pod that had its address."""
        entity = self._entities.local(seen.cgroup_id, seen.pid, seen.command, at_ns=seen.at_ns)
        if entity is None or entity.kind is not EntityKind.PROCESS or seen.local.is_unix:
            return entity
        owner = self._entities.remote(seen.local, at_ns=seen.at_ns)
        return owner if owner is not None and owner.pod else entity

    def _far_address(self, seen: Sighting) -> tuple[str, Address]:
        """Name of the Service in between, and the address behind all translation."""
        if seen.remote.is_unix:
            return "", seen.remote
        if seen.role is Role.CLIENT:
            service = self._entities.service_of(seen.remote)
            return service, self._entities.translate(seen.local, seen.remote) or seen.remote
        return "", self._entities.origin(seen.remote, seen.local) or seen.remote

    def _far_entity(self, address: Address, at_ns: int, cgroup_id: int) -> Entity | None:
        """The other end of an AF_UNIX connection is surely on this machine."""
        return self._entities.remote(_SOMEWHERE_HERE if address.is_unix else address, at_ns=at_ns, cgroup_id=cgroup_id)

    def _names_of(self, seen: Sighting, near: Entity, far: Entity, server_port: int) -> Names:
        source, destination = (near, far) if seen.role is Role.CLIENT else (far, near)
        key = EdgeKey(seen.role, seen.protocol, False, source, destination, server_port, "", "", "")  # noqa: FBT003 - no TLS
        names = self._names.get(key)
        if names is None:
            if len(self._names) >= _NAMES_MAX:
                self._names.clear()
            names = self._names[key] = Names(key, destination.id)
        return names

    def _is_in_scope(self, near: Entity, far: Entity) -> bool:
        return not self._only_kubernetes or near.kind in _KUBERNETES_KINDS or far.kind in _KUBERNETES_KINDS


_HOST_KINDS = frozenset({EntityKind.NODE, EntityKind.PROCESS})
"""Kinds that an address of this machine gets while the process behind it has not been seen."""

_KUBERNETES_KINDS = frozenset(EntityKind) - {
    EntityKind.EXTERNAL,
    EntityKind.PROCESS,
    EntityKind.UNIT,
    EntityKind.CONTAINER,
    EntityKind.NODE,
}


def _end_of(seen: Sighting, entity: Entity) -> _End:
    return _End(entity, Process(seen.pid, seen.command), seen.role, seen.local, seen.remote, seen.at_ns)


def _near_key(seen: Sighting) -> _EndKey:
    return (seen.connection, "unix", 0) if seen.local.is_unix else _end_key(seen.netns, seen.local)


def _far_key(seen: Sighting, far: Address) -> _EndKey:
    return (seen.peer, "unix", 0) if far.is_unix else _end_key(seen.netns, far)


def _end_key(netns: int, address: Address) -> _EndKey:
    """Loopback addresses mean something only within their network namespace."""
    is_loopback = address.ip.startswith("127.") or address.ip == "::1"
    return (netns if is_loopback else 0, address.ip, address.port)


def _addresses(row: NDArray[np.void]) -> tuple[Address, Address]:
    """Local and remote address of a row of EVENT or EDGE; the latter has no ports."""
    local, remote = row["local_ip"].tobytes(), row["remote_ip"].tobytes()
    if int(row["flags"]) & EventFlag.UNIX:
        address = _unix_address(local + remote)
        return address, address
    names = row.dtype.names or ()
    local_port, remote_port = (int(row[name]) if name in names else 0 for name in ("local_port", "remote_port"))
    return _address(local, local_port), _address(remote, remote_port)


@functools.lru_cache(maxsize=_ADDRESSES_MAX)
def _address(ip: bytes, port: int) -> Address:
    """Addresses repeat; making one costs 3 us."""
    return Address.from_bytes(ip, port)


@functools.lru_cache(maxsize=_ADDRESSES_MAX)
def _unix_address(path: bytes) -> Address:
    return Address.of_unix(path)


def _text(raw: NDArray[np.void]) -> str:
    return bytes(raw.tobytes()).split(b"\0", 1)[0].decode("utf-8", "replace")


def _shrink(cache: OrderedDict[typing.Any, typing.Any], limit: int) -> None:
    while len(cache) > limit:
        cache.popitem(last=False)


def _drop_old(cache: OrderedDict[typing.Any, typing.Any], before_ns: int) -> None:
    """Entries are in the order of their `made_ns`, as good as."""
    while cache and next(iter(cache.values())).made_ns < before_ns:
        cache.popitem(last=False)
