"""What the connections of one edge did in one ten-second window, whatever was spoken over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from osmia.model.entity import Entity
from osmia.model.request import Role

__all__ = ["ConnectionKey", "ConnectionWindow", "ListenerWindow"]


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """One edge and port, seen from one end. `server_port` is the port after address translation."""

    role: Role
    source: Entity
    destination: Entity
    server_port: int


@dataclass(frozen=True, slots=True)
class ConnectionWindow:
    """Sums of one key within the window that starts at `start_s` (Unix seconds).

    Additive: the same key and start may arrive in several parts, whose sum is the truth. `active_ms` is the time that
    connections were open, so that divided by a duration it is how many were open on average. Failures are connects of
    the client's end that never came to be; a connect given up before the first SYN could be answered is `cancelled`,
    no failure. Bytes are payload and named by who sent them; `segments` (with payload, repeated ones included) and
    `retransmits` are those of the observing end. Round trips are the kernel's smoothed ones.
    """

    start_s: int
    key: ConnectionKey
    opened: int = 0
    closed: int = 0
    refused: int = 0
    timed_out: int = 0
    unreachable: int = 0
    failed_otherwise: int = 0
    cancelled: int = 0
    active_ms: int = 0
    client_bytes: int = 0
    server_bytes: int = 0
    segments: int = 0
    retransmits: int = 0
    client_resets: int = 0
    server_resets: int = 0
    connect_sum_ns: int = 0
    rtt_sum_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0
    connect_histogram: Mapping[int, int] = field(default_factory=dict)
    rtt_histogram: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListenerWindow:
    """A workload's listening port in one window: connections dropped for want of room, the longest queue, its limit."""

    start_s: int
    entity: Entity
    port: int
    dropped: int
    waiting: int
    waiting_max: int
