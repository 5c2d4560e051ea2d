"""The records of `bpf/events.h` as numpy sees them: same names, same order, same sizes (a test compares both)."""

from __future__ import annotations

import enum

import numpy as np

__all__ = [
    "BUCKET",
    "EDGE",
    "EVENT",
    "LEDGER_CAUSES",
    "LEDGER_FIELDS",
    "LEDGER_UNANSWERED",
    "EventKind",
    "ProtocolCode",
    "RoleCode",
]


class ProtocolCode(enum.IntEnum):
    """`enum osmia_protocol`."""

    HTTP = 1
    POSTGRES = 2


class RoleCode(enum.IntEnum):
    """`enum osmia_role`."""

    CLIENT = 1
    SERVER = 2


class EventKind(enum.IntEnum):
    """`enum osmia_event_kind`."""

    REQUEST = 1
    REMAINDER = 2


EVENT = np.dtype(
    [
        ("edge", "<u8"),
        ("connection", "<u8"),
        ("start_ns", "<u8"),
        ("end_ns", "<u8"),
        ("cgroup_id", "<u8"),
        ("task_start_ns", "<u8"),
        ("request_bytes", "<u8"),
        ("response_bytes", "<u8"),
        ("pid", "<u4"),
        ("netns", "<u4"),
        ("sequence", "<u4"),
        ("local_port", "<u2"),
        ("remote_port", "<u2"),
        ("local_ip", "V16"),
        ("remote_ip", "V16"),
        ("kind", "u1"),
        ("protocol", "u1"),
        ("role", "u1"),
        ("flags", "u1"),
        ("request_length", "<u2"),
        ("response_head_length", "<u2"),
        ("response_tail_length", "<u2"),
        ("reserved", "V6"),
        ("command", "V16"),
        ("response_head", "V192"),
        ("response_tail", "V64"),
        ("request", "V512"),
    ]
)
"""`struct osmia_event`."""

EDGE = np.dtype(
    [
        ("cgroup_id", "<u8"),
        ("netns", "<u4"),
        ("server_port", "<u2"),
        ("protocol", "u1"),
        ("role", "u1"),
        ("local_ip", "V16"),
        ("remote_ip", "V16"),
        ("command", "V16"),
        ("count", "<u8"),
        ("errors", "<u8"),
        ("latency_ns", "<u8"),
        ("request_bytes", "<u8"),
        ("response_bytes", "<u8"),
        ("unsent", "<u8"),
        ("unsent_errors", "<u8"),
        ("unsent_latency_ns", "<u8"),
        ("unsent_request_bytes", "<u8"),
        ("unsent_response_bytes", "<u8"),
        ("first_ns", "<u8"),
        ("last_ns", "<u8"),
        ("pid", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""`struct osmia_edge`, its key first."""

BUCKET = np.dtype([("edge", "<u8"), ("bucket", "<u2"), ("is_unsent", "<u2"), ("reserved", "<u4")])
"""`struct osmia_bucket`."""

LEDGER_FIELDS = (
    "seen",
    "ring_full",
    "connections_full",
    "edges_full",
    "histogram_full",
    "unreadable",
    "unanswered",
    "abandoned",
)
"""`struct osmia_ledger`, as 64-bit words."""

LEDGER_CAUSES = ("ring_full", "connections_full", "edges_full", "histogram_full", "unreadable")
"""Those fields that mean something was lost."""

LEDGER_UNANSWERED = ("unanswered", "abandoned")
"""Those fields that describe requests without an answer: followed by another one, or cut off with the connection."""
