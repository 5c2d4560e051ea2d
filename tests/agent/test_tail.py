"""`osmia agent tail` as a person meets it: real clients, real servers, real output."""

from __future__ import annotations

import collections
import contextlib
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agent.postgres import postgres_server

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(60)]

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=2000", "--dump-dom"),
)
PAGE = b"<html><body><img src='/status/404/picture'><script src='/status/200/script'></script>hello</body></html>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /status/<code>/... with that code, anything else with a page that asks for two more."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer by path."""
        parts = self.path.split("/")
        status, body = (int(parts[2]), b"") if parts[1] == "status" else (200, PAGE)
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if body else "text/javascript")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """The server on a free port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


class Tail:
    """A running `osmia agent tail --json`; `finish()` ends it and gives what it said."""

    def __init__(self, port: int, *options: str) -> None:
        command = [sys.executable, "-m", "osmia", "agent", "tail", "--json", "--port", str(port), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        assert "watching" in self._process.stderr.readline()

    def finish(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Requests and the closing statistics."""
        self._process.terminate()
        out, err = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, err
        *requests, last = [json.loads(line) for line in out.splitlines()]
        return requests, last["statistics"]


def seen(requests: list[dict[str, Any]]) -> collections.Counter[tuple[str, str, int | str]]:
    """How often each (role, target, status) was printed."""
    return collections.Counter((one["role"], one["target"], one["status"]) for one in requests)


def test_curl_is_printed_once_per_end() -> None:
    """Every request of curl appears at both ends with the right status, processes and sizes."""
    with serving() as port:
        tail = Tail(port)
        urls = [f"http://127.0.0.1:{port}/status/{code}/x?q=1" for code in (200, 404, 503)]
        curl = subprocess.Popen(["curl", "-s", *urls], stdout=subprocess.DEVNULL)
        curl.wait()
        requests, statistics = tail.finish()

    expected = {(role, f"/status/{code}/x?q=1", code): 1 for role in ("client", "server") for code in (200, 404, 503)}
    assert seen(requests) == expected
    assert {one["client"]["pid"] for one in requests} == {curl.pid}
    assert {one["client"]["command"] for one in requests} == {"curl"}
    assert all(one["latency_ns"] > 0 and one["request_bytes"] > 0 for one in requests)
    assert sum(statistics["lost"].values()) == 0


def test_redacted_it_prints_what_a_server_would_get() -> None:
    """With --redact no value of a path or query is printed, so that the output may be shown to others."""
    with serving() as port:
        tail = Tail(port, "--redact")
        subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/status/200/swordfish42?q=swordfish"], check=True)
        requests, _ = tail.finish()

    assert seen(requests) == {(role, "/status/{id}/swordfish{id}?q", 200): 1 for role in ("client", "server")}


def test_psql_is_printed_with_its_errors() -> None:
    """Statements, SQLSTATEs and the backend's process are right."""
    with postgres_server() as port:
        tail = Tail(port)
        where = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres"]
        subprocess.run(
            ["psql", *where, "-c", "SELECT 'a' AS b", "-c", "SELECT * FROM missing"], capture_output=True, check=False
        )
        requests, _ = tail.finish()

    expected = {
        (role, target, status): 1
        for role in ("client", "server")
        for target, status in (("SELECT 'a' AS b", "ok"), ("SELECT * FROM missing", "42P01"))
    }
    assert seen(requests) == expected
    assert {(one["client"]["command"], one["server"]["command"]) for one in requests} == {("psql", "postgres")}


@pytest.mark.browser
@pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason="Chromium is not installed (apt-get install chromium)")
def test_a_browser_is_printed_once_per_end() -> None:
    """Page, script and missing picture of a real browser, each once at each end."""
    with serving() as port, tempfile.TemporaryDirectory() as profile:
        tail = Tail(port)
        subprocess.run(
            [CHROMIUM, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", f"http://127.0.0.1:{port}/"],
            capture_output=True,
            check=True,
            timeout=40,
        )
        requests, _ = tail.finish()

    counted = seen([one for one in requests if one["target"] != "/favicon.ico"])
    expected = {
        (role, target, status): 1
        for role in ("client", "server")
        for target, status in (("/", 200), ("/status/404/picture", 404), ("/status/200/script", 200))
    }
    assert counted == expected
    assert {one["client"]["command"] for one in requests} == {"chromium"}
