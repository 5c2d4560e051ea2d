"""What one edge did in one ten-second window, per endpoint and status: the unit of export and storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from osmia.model.entity import Entity
from osmia.model.request import Protocol, Role

__all__ = ["WINDOW_S", "EdgeKey", "Window"]

WINDOW_S = 10
"""Length of a window in seconds; windows start at multiples of it in Unix time."""


@dataclass(frozen=True, slots=True)
class EdgeKey:
    """One endpoint of one edge, seen from one end."""

    role: Role
    protocol: Protocol
    is_tls: bool
    source: Entity
    destination: Entity
    server_port: int
    method: str
    template: str
    status: str


@dataclass(frozen=True, slots=True)
class Window:
    """Counts of one key within the window that starts at `start_s` (Unix seconds).

    Additive: the same key and start may arrive in several parts, whose sum is the truth. `first_ns` and
    `last_ns` are the Unix ns of its first and last request.
    """

    start_s: int
    key: EdgeKey
    count: int
    errors: int
    latency_sum_ns: int
    latency_max_ns: int
    request_bytes: int
    response_bytes: int
    first_ns: int
    last_ns: int
    histogram: Mapping[int, int]
