"""A real ClickHouse server for tests, from an npm package: no container, no root.

    npm install --prefix ~/.cache/osmia-clickhouse @chdb/lib-linux-x64-gnu@26.7.3-stable.1

libchdb of exactly that version can be told to listen (later ones cannot). It runs until the query that keeps it busy
ends or it is killed, without authentication, hence on loopback only. OSMIA_TEST_CLICKHOUSE_LIB may name another
libchdb.so.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

__all__ = ["ClickHouseServer", "find_library"]

_PLACES = (
    Path.home() / ".cache" / "osmia-clickhouse",
    Path("/tmp/osmia-clickhouse"),  # noqa: S108 - a place to look, not to write
)
_FILE = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"
_START_S = 60
_LIFE_S = 1_800


def find_library(explicit: str) -> Path | None:
    """The library, or None when it is not installed."""
    candidates = [Path(explicit)] if explicit else [place / _FILE for place in _PLACES]
    return next((path for path in candidates if path.is_file()), None)


@dataclass(frozen=True, slots=True)
class ClickHouseServer:
    """A running server and its store URL."""

    url: str

    @classmethod
    @contextmanager
    def start(cls, library: Path, directory: Path) -> Iterator[ClickHouseServer]:
        """Start on free ports of loopback and wait until it answers."""
        tcp_port, http_port = _free_port(), _free_port()
        command = [sys.executable, __file__, str(library), str(directory), str(tcp_port), str(http_port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(f"http://127.0.0.1:{http_port}/ping", process)
                yield cls(f"clickhouse://127.0.0.1:{http_port}/osmia")
            finally:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=1).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"ClickHouse did not answer at {url} (exit code {process.poll()})")


def _run(library: str, directory: str, tcp_port: str, http_port: str) -> None:
    chdb = ctypes.CDLL(library)
    query = (
        "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "  # noqa: S608 - a constant
        f"SELECT max(sleepEachRow(1)) FROM numbers({_LIFE_S}) "
        "SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=1000000000000"
    )
    arguments = [
        "clickhouse",
        f"--path={directory}",
        "--listen_host=127.0.0.1",
        f"--tcp_port={tcp_port}",
        f"--http_port={http_port}",
        f"--query={query}",
    ]
    encoded = [argument.encode() for argument in arguments]
    chdb.chdb_query_cmdline.restype = ctypes.c_void_p
    chdb.chdb_query_cmdline(len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))


if __name__ == "__main__":
    _run(*sys.argv[1:])
