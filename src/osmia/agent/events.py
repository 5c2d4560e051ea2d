"""The records of `bpf/events.h` as numpy sees them: same names, same order, same sizes (a test compares both)."""

from __future__ import annotations

import enum

import numpy as np

__all__ = [
    "BUCKET",
    "CONTROL",
    "EDGE",
    "EVENT",
    "LEDGER_CAUSES",
    "LEDGER_FIELDS",
    "EventFlag",
    "EventKind",
    "Feature",
    "ProtocolCode",
    "RoleCode",
    "Unseen",
]


class ProtocolCode(enum.IntEnum):
    """`enum osmia_protocol`."""

    HTTP = 1
    POSTGRES = 2
    DNS = 3


class RoleCode(enum.IntEnum):
    """`enum osmia_role`."""

    CLIENT = 1
    SERVER = 2


class EventKind(enum.IntEnum):
    """`enum osmia_event_kind`."""

    REQUEST = 1
    REMAINDER = 2
    CHUNK = 3
    DNS = 4
    CLOSED = 5


class EventFlag(enum.IntFlag):
    """`enum osmia_flag`."""

    ERROR = 1
    UNANSWERED = 2
    UNIX = 4
    SENT = 8
    CUT = 16
    FINAL = 32
    NOTABLE = 64


class Feature(enum.IntFlag):
    """`enum osmia_feature`."""

    HTTP = 1
    POSTGRES = 2
    STREAMS = 4
    DNS = 8


class Unseen(enum.IntFlag):
    """`enum osmia_unseen`: why the traffic of a process is not (fully) seen."""

    IO_URING = 1
    BATCHES = 2


EVENT = np.dtype(
    [
        ("edge", "<u8"),
        ("connection", "<u8"),
        ("peer", "<u8"),
        ("start_ns", "<u8"),
        ("end_ns", "<u8"),
        ("cgroup_id", "<u8"),
        ("task_start_ns", "<u8"),
        ("request_bytes", "<u8"),
        ("response_bytes", "<u8"),
        ("pid", "<u4"),
        ("netns", "<u4"),
        ("sequence", "<u4"),
        ("weight", "<u4"),
        ("position", "<u4"),
        ("last_ms", "<u4"),
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
        ("reserved", "V2"),
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
        ("first_ns", "<u8"),
        ("last_ns", "<u8"),
        ("skipped", "<u4", (2,)),
        ("pid", "<u4"),
        ("flags", "u1"),
        ("reserved", "V3"),
    ]
)
"""`struct osmia_edge`, its key first."""

BUCKET = np.dtype([("edge", "<u8"), ("bucket", "<u2"), ("is_error", "<u2"), ("reserved", "<u4")])
"""`struct osmia_bucket`."""

CONTROL = np.dtype(
    [
        ("slow_ns", "<u8"),
        ("sample_every", "<u4"),
        ("sample_notable_every", "<u4"),
        ("payload_bytes", "<u4"),
        ("features", "<u4"),
        ("jiffy_ns", "<u4"),
        ("reserved", "<u4"),
    ],
    align=True,
)
"""`struct osmia_control`."""

LEDGER_FIELDS = (
    "seen",
    "sampled",
    "ring_full",
    "connections_full",
    "edges_full",
    "histogram_full",
    "unreadable",
    "chunks_lost",
    "abandoned",
    "followed",
    "unmatched",
    "dns_lost",
    "io_uring",
)
"""`struct osmia_ledger`, as 64-bit words."""

LEDGER_CAUSES = (
    "ring_full",
    "connections_full",
    "edges_full",
    "histogram_full",
    "unreadable",
    "chunks_lost",
    "unmatched",
    "dns_lost",
)
"""Those fields that mean something was lost."""
