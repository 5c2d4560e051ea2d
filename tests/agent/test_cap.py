"""More requests than can be listed, on the real agent: the list is thinned out, the counts are exact."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.model.wire import Table
from tests.agent.running import Sink, running_agent, wait_for

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(90)]

ROUND = 1_000
FAILING = 20  # one in so many
ROUTES = (b"/orders/17", b"/orders/17", b"/items?id=4")


def _answer(listener: socket.socket) -> None:
    """Answer every request of one connection: 503 where it says so."""
    connection, _ = listener.accept()
    with connection:
        while asked := connection.recv(4096):
            status = b"503 No" if b"fail" in asked else b"200 OK"
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")


def _exchange(listener: socket.socket, is_enough: Callable[[], bool]) -> int:
    """Ask and answer one after the other, a thousand at least, until it is enough; gives how many."""
    thread = threading.Thread(target=_answer, args=(listener,))
    thread.start()
    number = 0
    with socket.create_connection(listener.getsockname()) as client:
        while number % ROUND or not number or not is_enough():
            route = b"/fail" if number % FAILING == 0 else ROUTES[number % len(ROUTES)]
            client.sendall(b"GET " + route + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(4096)
            number += 1
    thread.join()
    return number


def _sums(rows: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Requests, errors, and values in histograms."""
    return (
        sum(row["count"] for row in rows),
        sum(row["errors"] for row in rows),
        sum(sum(row["bucket_counts"]) for row in rows),
    )


def test_counts_are_exact_above_the_cap(tmp_path: Path) -> None:
    """With 50 events a second, windows hold every request and error at both ends, by route; rows have weights."""
    sink = Sink()
    sink.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        with running_agent(tmp_path, sink.port, "--max-events-per-s", "50"):
            requests = _exchange(listener, lambda: any(row["sampled"] > ROUND for row in sink.all(Table.LEDGER)))
            wait_for(lambda: all(sink.counted(port, role) >= requests for role in ("client", "server")), "all counted")
    sink.stop()

    windows = [row for row in sink.all(Table.WINDOWS) if row["server_port"] == port]
    listed = [row for row in sink.all(Table.REQUESTS) if row["server_port"] == port]
    for role in ("client", "server"):
        assert _sums([row for row in windows if row["role"] == role]) == (requests, requests // FAILING, requests)
    assert {row["template"] for row in windows} == {"/orders/{id}", "/items?id", "/fail"}
    assert {row["errors"] for row in windows if row["status"] == "200"} == {0}
    assert len(listed) < 2 * requests
    assert max(row["weight"] for row in listed) > 1
