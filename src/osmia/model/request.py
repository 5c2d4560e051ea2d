"""One request and its response, as one end of the connection saw them."""

from __future__ import annotations

import enum
import hashlib
import ipaddress
from dataclasses import dataclass

from osmia.model.entity import Entity

__all__ = ["NO_RESPONSE", "UNCAPTURED", "Address", "Process", "Protocol", "Request", "Role", "fingerprint"]

UNCAPTURED = "(not captured)"
"""Template of requests that were counted in the kernel but whose text was dropped or never seen."""

NO_RESPONSE = "no response"
"""Status of a request whose connection ended before any response."""

_UNIX = "unix:"


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
    """An IP address and port; IPv4-mapped IPv6 is kept as IPv4. Of an AF_UNIX socket: "unix:" and path, port 0."""

    ip: str
    port: int

    @classmethod
    def from_bytes(cls, ip: bytes, port: int) -> Address:
        """From 16 network-order bytes (IPv4 as ::ffff:a.b.c.d)."""
        address = ipaddress.IPv6Address(ip)
        return cls(str(address.ipv4_mapped or address), port)

    @classmethod
    def of_unix(cls, path: bytes) -> Address:
        """From the last bytes of a server's socket path, padded with NUL; an abstract name gets its usual @."""
        name = path.rstrip(b"\0")
        is_cut = bool(name) and not name.startswith((b"/", b"\0"))
        text = name.decode("utf-8", "replace").replace("\0", "@")
        text = "".join(one if one.isprintable() else "\ufffd" for one in text)
        return cls(f"{_UNIX}{'…' if is_cut else ''}{text}", 0)

    @property
    def is_unix(self) -> bool:
        """Whether this is an AF_UNIX socket of this machine."""
        return self.ip.startswith(_UNIX)

    def __str__(self) -> str:
        if self.is_unix:
            return self.ip
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
    `status` is the HTTP code as text, "ok", the SQLSTATE, or `NO_RESPONSE`, whose latency runs to the end of the
    connection. `server_port` is the port after address translation, `transfer_ns` the time from the first to the last
    byte of the response (0: not known, or all at once), `weight` how many requests this one stands for.
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
    transfer_ns: int = 0
    weight: int = 1


def fingerprint(template: str) -> str:
    """A short stable name of a template, for links: twelve hexadecimal digits, the same on every machine."""
    return hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()[:12]
