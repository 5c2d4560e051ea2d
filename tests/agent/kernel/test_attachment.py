"""Letting go of the kernel and taking it up again: nothing stays meanwhile, and counters go on."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from osmia.agent.events import EventKind
from osmia.agent.governor import LIMITS, Level
from osmia.agent.kernel.attachment import Attachment
from osmia.agent.kernel.capture import CaptureOptions
from osmia.agent.kernel.run_time import program_times
from osmia.agent.plan import control_for

pytestmark = pytest.mark.ebpf

SMALL = CaptureOptions(ring_bytes=1 << 20, max_connections=1024, max_edges=1024, max_buckets=1024)


@contextmanager
def http_server() -> Iterator[int]:
    """The port of a server in this process."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def ask(port: int, count: int) -> None:
    """Requests over one connection."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(count):
        client.request("GET", "/x")
        client.getresponse().read()
    client.close()


def drained(attachment: Attachment, port: int) -> int:
    """Request events at the server's end of a port."""
    events = attachment.drain().copy()
    mine = (events["local_port"] == port) & (events["kind"] == EventKind.REQUEST)
    return int(np.count_nonzero(mine))


def test_detached_nothing_is_in_the_kernel_and_attached_again_all_is() -> None:
    """Requests before and after are events, those in between are not; the ledger never goes back."""
    before = set(program_times())
    with http_server() as port, Attachment(SMALL, control_for(LIMITS[Level.FULL])) as attachment:
        ask(port, 5)
        first = drained(attachment, port)
        seen = attachment.ledger()["seen"]

        attachment.detach()
        ask(port, 7)
        in_between = (set(program_times()) - before, drained(attachment, port), attachment.ledger()["seen"])

        attachment.attach()
        ask(port, 3)
        last = drained(attachment, port)
        in_the_end = attachment.ledger()["seen"]

    assert (first, last) == (5, 3)
    assert in_between[:2] == (set(), 0)
    assert in_between[2] >= seen >= 10
    assert in_the_end >= in_between[2] + 6


@pytest.mark.parametrize(("level", "events"), [(Level.FULL, 50), (Level.EVENTS, 1), (Level.COUNTERS, 0)])
def test_each_level_asks_the_kernel_for_its_share(level: Level, events: int) -> None:
    """All, at most one in a hundred after the first, none; what is not an event is counted, to the last one."""
    with http_server() as port, Attachment(SMALL, control_for(LIMITS[level])) as attachment:
        ask(port, 50)

        found = drained(attachment, port)
        totals = attachment.edges()
        mine = totals.values["server_port"] == port
        counted = int(totals.values["count"][mine & (totals.values["role"] == 2)].sum())
    assert found <= events
    assert found + counted == 50
