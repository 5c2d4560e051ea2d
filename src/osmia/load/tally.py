"""What a worker counts: one block of shared memory each, written by its transport, read by the engine at any time.

A block is one `RUN` row followed by one `STEP` row per step of the plan. Counters only grow, so the difference of two
readings is what happened in between; blocks of several workers add up (`merged`). The Cython core writes the same
bytes through the structs of `client/core/tally.pxd`; a test holds the offsets against each other.

Latencies lie in the project's histogram (`osmia.model.histogram`). *Service* time runs from the moment the request was
begun to its last byte, *response* time from the moment it should have been begun (Gil Tene, "How not to measure
latency"). Both count requests that were answered, whatever the status; failures are in `errors`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

import numpy as np

from osmia.model.histogram import BUCKETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RUN", "SAMPLE", "STATUSES", "STEP", "Failure", "Phase", "SampleFlag", "WorkerState", "block_bytes", "views"]

STATUSES = 1000
"""Length of the array of status codes; the code is the index."""

_FAILURES = 64
_PHASES = 8


class Phase(IntEnum):
    """Parts of a request's time, in order; those from DNS to RESPONSE_READ add up to TOTAL (the service time).

    DNS, CONNECT and TLS are counted only where they happened; a reused connection has none.
    """

    WAIT = 0  # from the intended to the actual start: no connection was free, or the generator was late
    DNS = 1
    CONNECT = 2  # includes the proxy's answer to CONNECT
    TLS = 3
    REQUEST_WRITE = 4
    SERVER_PROCESSING = 5  # last byte written -> first byte of the answer
    RESPONSE_READ = 6  # first byte -> last byte of the body
    TOTAL = 7


class Failure(IntEnum):
    """Why a request got no (whole) answer. The values are indices of `errors` and never change their meaning."""

    CONNECTION_REFUSED = 1
    CONNECTION_TIMEOUT = 2
    CONNECTION_RESET = 3
    CONNECTION_CLOSED = 4  # closed by the peer before the whole answer
    HOST_UNREACHABLE = 5
    NETWORK_UNREACHABLE = 6
    DNS_NOT_FOUND = 7
    DNS_TIMEOUT = 8
    DNS_FAILED = 9
    TLS_FAILED = 10
    TLS_CERTIFICATE_INVALID = 11
    TLS_CERTIFICATE_EXPIRED = 12
    TLS_HOSTNAME_MISMATCH = 13
    TLS_CLIENT_CERTIFICATE = 14  # ours is missing or was refused
    TLS_TIMEOUT = 15
    WRITE_TIMEOUT = 16
    READ_TIMEOUT = 17  # sent, not (wholly) answered in time
    PROXY_CONNECTION_REFUSED = 18
    PROXY_TIMEOUT = 19
    PROXY_AUTHENTICATION = 20
    PROXY_FAILED = 21
    RESPONSE_MALFORMED = 22
    RESPONSE_TOO_LARGE = 23
    HTTP2_PROTOCOL = 24
    HTTP2_REFUSED_STREAM = 25
    HTTP2_STREAM_RESET = 26
    HTTP2_GOAWAY = 27
    HTTP2_NOT_NEGOTIATED = 28
    TOO_MANY_REDIRECTS = 29
    REDIRECT_FORBIDDEN = 30
    REQUEST_INVALID = 31  # a variable was not set, or the rendered URL or header is no URL or header
    NO_LOCAL_PORT = 32
    NO_DESCRIPTOR = 33
    CANCELLED = 34  # the run was ended; not an error of the target
    UNKNOWN = 63


class SampleFlag(IntFlag):
    """What a row of `SAMPLE` says beside its numbers."""

    REUSED = 1  # the connection was used before
    ASSERTION_FAILED = 2
    RETRIED = 4  # sent a second time, because the kept connection had been closed
    HTTP2 = 8


class WorkerState(IntEnum):
    """How far a worker is."""

    STARTING = 0
    READY = 1
    RUNNING = 2
    DRAINING = 3  # starts nothing new
    DONE = 4


RUN = np.dtype(
    [
        ("stop", "<u4"),  # written by the engine: 1 start nothing new, 2 give up what is in flight, too
        ("state", "<u4"),  # WorkerState
        ("zero_ns", "<u8"),  # written by the engine: CLOCK_MONOTONIC at which the schedule begins; 0 = wait
        ("iterations_due", "<u8"),  # arrivals whose time has come (closed model: started)
        ("iterations_started", "<u8"),
        ("iterations_finished", "<u8"),
        ("iterations_succeeded", "<u8"),
        ("iterations_failed", "<u8"),  # a step got no answer
        ("iterations_assertion_failed", "<u8"),  # all answered, but an assertion failed
        ("succeeded_ns", "<u8"),  # sum of the durations of iterations that succeeded
        ("iteration_min_ns", "<u8"),
        ("iteration_max_ns", "<u8"),
        ("in_flight", "<u8"),  # iterations now
        ("in_flight_max", "<u8"),
        ("backlog", "<u8"),  # arrivals due and not started now
        ("backlog_max", "<u8"),
        ("connections", "<u8"),  # open now
        ("connections_max", "<u8"),
        ("connections_opened", "<u8"),
        ("handshakes", "<u8"),  # TLS
        ("handshakes_resumed", "<u8"),
        ("samples_dropped", "<u8"),
        ("cpu_ns", "<u8"),  # of this worker's process
        ("first_ns", "<u8"),  # CLOCK_MONOTONIC of the first start and of the last end
        ("last_ns", "<u8"),
        ("lag", "<u8", BUCKETS),  # actual - intended start of iterations (open model)
        ("iterations", "<u8", BUCKETS),  # duration of iterations: the sum of their steps' service times
    ]
)
"""One worker."""

STEP = np.dtype(
    [
        ("started", "<u8"),
        ("answered", "<u8"),
        ("failed", "<u8"),
        ("assertion_failed", "<u8"),  # of those answered
        ("retried", "<u8"),
        ("redirects", "<u8"),
        ("reused", "<u8"),  # requests on a connection that had been used before
        ("sent_bytes", "<u8"),  # as HTTP, before TLS
        ("received_bytes", "<u8"),
        ("service_min_ns", "<u8"),
        ("service_max_ns", "<u8"),
        ("response_max_ns", "<u8"),
        ("phase_ns", "<u8", _PHASES),
        ("phase_count", "<u8", _PHASES),
        ("errors", "<u8", _FAILURES),
        ("statuses", "<u8", STATUSES),
        ("service", "<u8", BUCKETS),
        ("response", "<u8", BUCKETS),
    ]
)
"""One step of one worker. Phases and times of answered requests only."""

SAMPLE = np.dtype(
    [
        ("iteration", "<u8"),
        ("intended_ns", "<u8"),  # CLOCK_MONOTONIC
        ("started_ns", "<u8"),
        ("ended_ns", "<u8"),
        ("phase_ns", "<u4", _PHASES),
        ("received_bytes", "<u4"),
        ("step", "<u2"),  # index into the plan's steps
        ("status", "<u2"),  # 0: no answer
        ("failure", "u1"),
        ("flags", "u1"),  # SampleFlag
        ("spare", "V2"),
    ]
)
"""One request, for those who want each of them (`--out samples.ndjson`)."""


def block_bytes(steps: int) -> int:
    """Size of a worker's block."""
    return RUN.itemsize + steps * STEP.itemsize


def views(block: memoryview | bytearray) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The same memory as a RUN array of shape (1,) and a STEP array of shape (steps,)."""
    run = np.frombuffer(block, dtype=RUN, count=1)
    steps = np.frombuffer(block, dtype=STEP, offset=RUN.itemsize)
    return run, steps
