"""Requests as columns: what they share stands once per group, what differs is one numpy row each.

Thousands of requests per second differ in nothing but their numbers. A group holds what they have in common (the two
ends, method, template, status); a row holds its number of the group and the numbers of one request. `Request` objects
are made only for whoever asks for them one by one (`osmia agent tail`, tests).
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from osmia.agent.events import ProtocolCode
from osmia.model.request import Address, Process, Protocol, Request, Role
from osmia.model.window import EdgeKey

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PROTOCOL_OF", "ROW", "Endpoint", "Group", "Names", "Pair", "Requests"]

_ENDPOINTS_MAX = 2_000

PROTOCOL_OF = {int(ProtocolCode.HTTP): Protocol.HTTP, int(ProtocolCode.POSTGRES): Protocol.POSTGRES}
"""Protocols of the model by the kernel's numbers."""

ROW = np.dtype(
    [
        ("group", "<i8"),
        ("time_ns", "<u8"),
        ("latency_ns", "<u8"),
        ("transfer_ns", "<u8"),
        ("request_bytes", "<u8"),
        ("response_bytes", "<u8"),
        ("weight", "<u8"),
    ]
)
"""One request: index of its group, and its numbers as `model.request.Request` names them."""


@dataclass(slots=True, eq=False)
class Endpoint:
    """One row of the windows: an endpoint and status of an edge. The same object for the same key, mostly."""

    key: EdgeKey
    is_error: bool


@dataclass(slots=True, eq=False)
class Names:
    """Both ends by name: an edge as people see it. The same object for the same ends, mostly.

    `key` has no method, template and status; `service` is the id of the workload that answers.
    """

    key: EdgeKey
    service: str
    _endpoints: dict[tuple[str, str, str, bool], Endpoint] = field(default_factory=dict)

    def endpoint(self, method: str, template: str, status: str, *, is_error: bool) -> Endpoint:
        """The row of the windows for these."""
        name = (method, template, status, is_error)
        found = self._endpoints.get(name)
        if found is None:
            if len(self._endpoints) >= _ENDPOINTS_MAX:
                self._endpoints.clear()
            key = replace(self.key, method=method, template=template, status=status)
            found = self._endpoints[name] = Endpoint(key, is_error)
        return found


@dataclass(slots=True, eq=False)
class Pair:
    """Both ends of one connection, as its client or its server saw them; `edge` is the kernel's key of the edge."""

    edge: int
    names: Names
    client_process: Process | None
    server_process: Process | None
    client: Address
    server: Address
    in_scope: bool
    made_ns: int

    @property
    def near_process(self) -> Process | None:
        """The process that was watched."""
        return self.client_process if self.names.key.role is Role.CLIENT else self.server_process


@dataclass(slots=True, eq=False)
class Group:
    """What a run of requests has in common."""

    pair: Pair
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Some requests: `rows` of ROW, and the raw path or statement of each, which never leaves the node."""

    groups: Sequence[Group]
    rows: NDArray[np.void]
    targets: Sequence[str]

    @classmethod
    def joined(cls, parts: Iterable[Requests]) -> Requests:
        """All of them, in order."""
        kept = [part for part in parts if len(part)]
        if len(kept) == 1:
            return kept[0]
        groups: list[Group] = []
        targets: list[str] = []
        rows = []
        for part in kept:
            moved = part.rows.copy()
            moved["group"] += len(groups)
            groups.extend(part.groups)
            targets.extend(part.targets)
            rows.append(moved)
        return cls(groups, np.concatenate(rows) if rows else np.zeros(0, dtype=ROW), targets)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Requests:
        return Requests(self.groups, self.rows[part], self.targets[part])

    def __iter__(self) -> Iterator[Request]:
        """One by one, as the model has them."""
        for values, target in zip(self.rows.tolist(), self.targets, strict=True):
            group, time_ns, latency_ns, transfer_ns, request_bytes, response_bytes, weight = values
            pair, endpoint = self.groups[group].pair, self.groups[group].endpoint
            key = endpoint.key
            yield Request(
                time_ns=time_ns,
                protocol=key.protocol,
                role=key.role,
                client=pair.client,
                server=pair.server,
                source=key.source,
                destination=key.destination,
                client_process=pair.client_process,
                server_process=pair.server_process,
                method=key.method,
                target=target,
                template=key.template,
                status=key.status,
                is_error=endpoint.is_error,
                is_tls=key.is_tls,
                latency_ns=latency_ns,
                request_bytes=request_bytes,
                response_bytes=response_bytes,
                server_port=key.server_port,
                transfer_ns=transfer_ns,
                weight=weight,
            )
