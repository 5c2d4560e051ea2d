"""One request and its response, as one end of the connection saw them."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass

from osmia.model.entity import Entity

__all__ = ["UNCAPTURED", "Address", "Process", "Protocol", "Request", "Role"]

UNCAPTURED = "(not captured)"
"""Template of requests that were counted in the kernel but whose text was dropped or never seen."""


class Protocol(enum.StrEnum):
    """An application protocol Osmia parses."""

    HTTP = "http"
    POSTGRES = "postgres"


class Role(enum.StrEnum):
    """Which end of the connection made the observation."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and port; IPv4-mapped IPv6 is kept as IPv4."""

    ip: str
    port: int

    @classmethod
    def from_bytes(cls, ip: bytes, port: int) -> Address:
        """From 16 network-order bytes (IPv4 as ::ffff:a.b.c.d)."""
        address = ipaddress.IPv6Address(ip)
        return cls(str(address.ipv4_mapped or address), port)

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class Process:
    """A process on this machine, by its pid in the root namespace and its command name (at most 15 characters)."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request/response pair. Times are Unix ns; `latency_ns` runs to the first byte of the response
    (HTTP) or to ReadyForQuery (PostgreSQL).

    `client` and `server` are the addresses the observing end used (a Service's virtual address stays one); the
    processes are None where not on this machine or not seen. `target` is the raw path or statement and never
    leaves the node; `template` has its literals removed.
    `status` is the HTTP code as text, "ok", or the SQLSTATE. `server_port` is the port after address translation,
    `weight` how many requests this one stands for.
    """

    time_ns: int
    protocol: Protocol
    role: Role
    client: Address
    server: Address
    source: Entity
    destination: Entity
    client_process: Process | None
    server_process: Process | None
    method: str
    target: str
    template: str
    status: str
    is_error: bool
    is_tls: bool
    latency_ns: int
    request_bytes: int
    response_bytes: int
    server_port: int
    weight: int = 1
