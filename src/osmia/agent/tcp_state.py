"""What the TCP programs know, as arrays: the mirror of bpf/tcp/tcp.h."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LISTENER",
    "TCP_BUCKET",
    "TCP_EDGE",
    "TCP_KEY",
    "TCP_LEDGER_FIELDS",
    "TCP_SOCKET",
    "TCP_SUMS",
    "Measure",
    "SocketFlag",
    "TcpState",
]


class SocketFlag(enum.IntFlag):
    """What is known of a socket."""

    OWNED = 1
    JOINED = 2
    ENDED = 4


class Measure(enum.IntEnum):
    """What a histogram is of."""

    CONNECT = 0
    RTT = 1


TCP_KEY = np.dtype(
    [
        ("cgroup_id", "<u8"),
        ("netns", "<u4"),
        ("server_port", "<u2"),
        ("role", "u1"),
        ("reserved", "u1"),
        ("local_ip", "V16"),
        ("remote_ip", "V16"),
        ("command", "V16"),
    ]
)
TCP_SUMS = (
    "opened",
    "closed",
    "refused",
    "timed_out",
    "unreachable",
    "failed_otherwise",
    "cancelled",
    "connect_ns",
    "rtt_ns",
    "sent_bytes",
    "received_bytes",
    "segments",
    "retransmits",
    "resets_sent",
    "resets_received",
)
"""What adds up over an edge's time."""

TCP_EDGE = np.dtype(
    [
        ("key", TCP_KEY),
        *((name, "<u8") for name in (*TCP_SUMS, "first_ns", "last_ns")),
        ("pid", "<u4"),
        ("local_port", "<u2"),
        ("remote_port", "<u2"),
    ]
)
TCP_SOCKET = np.dtype(
    [
        ("key", TCP_KEY),
        ("edge", "<u8"),
        ("start_ns", "<u8"),
        ("established_ns", "<u8"),
        ("sent_bytes", "<u8"),
        ("received_bytes", "<u8"),
        ("base_sent_bytes", "<u8"),
        ("base_received_bytes", "<u8"),
        ("segments", "<u4"),
        ("retransmits", "<u4"),
        ("base_segments", "<u4"),
        ("base_retransmits", "<u4"),
        ("resets_sent", "<u4"),
        ("resets_received", "<u4"),
        ("rtt_us", "<u4"),
        ("pid", "<u4"),
        ("local_port", "<u2"),
        ("remote_port", "<u2"),
        ("flags", "u1"),
        ("reserved", "V3"),
    ]
)
TCP_BUCKET = np.dtype([("edge", "<u8"), ("bucket", "<u2"), ("measure", "<u2"), ("reserved", "<u4")])
LISTENER = np.dtype(
    [
        ("cgroup_id", "<u8"),
        ("seen_ns", "<u8"),
        ("pid", "<u4"),
        ("netns", "<u4"),
        ("waiting", "<u4"),
        ("waiting_max", "<u4"),
        ("dropped", "<u4"),
        ("port", "<u2"),
        ("reserved", "<u2"),
        ("local_ip", "V16"),
        ("command", "V16"),
    ]
)
TCP_LEDGER_FIELDS = ("seen", "sockets_full", "edges_full", "histogram_full", "listeners_full", "unowned")


@dataclass(frozen=True, slots=True)
class TcpState:
    """One reading of the maps, edges before sockets: keys (n,) and values (n,) of each."""

    edge_keys: NDArray[np.uint64]
    edges: NDArray[np.void]
    socket_keys: NDArray[np.uint64]
    sockets: NDArray[np.void]
    buckets: NDArray[np.void]
    bucket_counts: NDArray[np.uint64]
    listener_keys: NDArray[np.uint64]
    listeners: NDArray[np.void]
