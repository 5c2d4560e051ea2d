"""Events as the kernel would write them, and a world of two pods and a Service to name their ends."""

from __future__ import annotations

import ipaddress
import typing

import numpy as np

from osmia.agent.events import EDGE, EVENT, EventKind, ProtocolCode, RoleCode
from osmia.agent.uncaptured import Uncaptured
from osmia.model.entity import Entity, EntityKind
from osmia.model.request import Address

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

CLIENT_IP, SERVER_IP, VIRTUAL_IP = "10.244.0.5", "10.244.0.9", "10.96.0.20"
CLIENT_CGROUP, SERVER_CGROUP = 501, 901
WEB = Entity(EntityKind.DEPLOYMENT, "web", namespace="shop", pod="web-1")
DATABASE = Entity(EntityKind.STATEFUL_SET, "db", namespace="shop", pod="db-0")


class FakeEntities:
    """An `EntityLookup` over fixed facts; `late` addresses are not known until they are taken out of it."""

    def __init__(self) -> None:
        self.by_cgroup = {CLIENT_CGROUP: WEB, SERVER_CGROUP: DATABASE}
        self.by_ip = {CLIENT_IP: WEB, SERVER_IP: DATABASE}
        self.translations = {(CLIENT_IP, VIRTUAL_IP): SERVER_IP}
        self.hidden: dict[str, str] = {}
        self.late: set[str] = set()

    def local(self, cgroup_id: int, pid: int, command: str, *, at_ns: int) -> Entity:
        """By cgroup, else a process."""
        return self.by_cgroup.get(cgroup_id) or Entity(EntityKind.PROCESS, command)

    def remote(self, address: Address, *, at_ns: int, cgroup_id: int = 0) -> Entity | None:
        """By address; None while it is late."""
        if address.ip in self.late:
            return None
        if address.ip.startswith("127."):
            return Entity(EntityKind.NODE, "here")
        return self.by_ip.get(address.ip) or Entity(EntityKind.EXTERNAL, address.ip)

    def translate(self, client: Address, server: Address) -> Address | None:
        """Through the one Service."""
        ip = self.translations.get((client.ip, server.ip))
        return Address(ip, server.port) if ip else None

    def origin(self, client: Address, server: Address) -> Address | None:
        """Nothing is hidden behind another address here, unless `hidden` says so."""
        ip = self.hidden.get(client.ip)
        return Address(ip, client.port) if ip else None

    def service_of(self, server: Address) -> str:
        """The one Service."""
        return "db-service" if server.ip == VIRTUAL_IP else ""


def packed(ip: str) -> bytes:
    """16 network-order bytes, IPv4 mapped."""
    address = ipaddress.ip_address(ip)
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


def event(**values: object) -> dict[str, object]:
    """A plain HTTP exchange from web to the database's address, at the client; override what matters."""
    request = b"GET /orders/17?token=s3cret HTTP/1.1\r\nHost: db\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    return {
        "edge": 1,
        "connection": 0xFFFF_0001,
        "start_ns": 1_000_000,
        "end_ns": 3_000_000,
        "cgroup_id": CLIENT_CGROUP,
        "request_bytes": len(request),
        "response_bytes": len(response),
        "pid": 41,
        "sequence": 1,
        "weight": 1,
        "local": (CLIENT_IP, 40_000),
        "remote": (SERVER_IP, 8080),
        "kind": EventKind.REQUEST,
        "protocol": ProtocolCode.HTTP,
        "role": RoleCode.CLIENT,
        "command": b"python",
        "request": request,
        "response_head": response,
        "response_tail": b"",
        **values,
    }


def batch(*events: dict[str, object]) -> NDArray[np.void]:
    """Events as one drain of the ring would give them."""
    rows = np.zeros(len(events), dtype=EVENT)
    for row, values in zip(rows, events, strict=True):
        rest = dict(values)
        path = typing.cast("bytes", rest.pop("path", b""))
        for index, end in enumerate(("local", "remote")):
            ip, port = typing.cast("tuple[str, int]", rest.pop(end))
            address = path.ljust(32, b"\0")[16 * index :][:16] if path else packed(ip)
            row[f"{end}_ip"], row[f"{end}_port"] = np.void(address), 0 if path else port
        for name in ("request", "response_head", "response_tail"):
            data = typing.cast("bytes", rest.pop(name))
            row[f"{name}_length"] = len(data)
            row[name] = np.void(data.ljust(EVENT[name].itemsize, b"\0"))
        row["command"] = np.void(typing.cast("bytes", rest.pop("command")).ljust(16, b"\0"))
        for name, value in rest.items():
            row[name] = typing.cast("int", value)
    return rows


def counted(  # noqa: PLR0913 - the fields of what it makes
    count: int,
    *,
    errors: int = 0,
    latency_sum_ns: int = 0,
    request_bytes: int = 0,
    response_bytes: int = 0,
    histogram: dict[int, int] | None = None,
    error_histogram: dict[int, int] | None = None,
    key: int = 1,
    server_port: int = 8080,
    last_ns: int = 0,
) -> Uncaptured:
    """Requests of the edge of `event()` that the kernel only counted."""
    edge = np.zeros(1, dtype=EDGE)[0]
    edge["cgroup_id"], edge["role"], edge["protocol"] = CLIENT_CGROUP, RoleCode.CLIENT, ProtocolCode.HTTP
    edge["remote_ip"], edge["server_port"] = np.void(packed(SERVER_IP)), server_port
    edge["first_ns"], edge["last_ns"] = 0, last_ns
    return Uncaptured(
        key,
        edge,
        count,
        errors,
        latency_sum_ns,
        request_bytes,
        response_bytes,
        histogram or {},
        error_histogram or {},
    )
