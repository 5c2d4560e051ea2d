"""A server in a process of its own, and a client for one of its clusters."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx

from osmia.model.wire import CONTENT_ENCODING, CONTENT_TYPE, Table
from tests.server.rows import Row, body

__all__ = ["Cluster", "ServerProcess"]

_START_S = 60
_STOP_S = 20


class Cluster:
    """One cluster of a running server, with its key."""

    def __init__(self, http: httpx.Client, answer: dict[str, Any]) -> None:
        self.http = http
        self.id: str = answer["id"]
        self.key: str = answer["install"]["key"]
        self._sequence = itertools.count(1)

    def headers(self, *, agent: str = "agent-1", sequence: int | None = None) -> dict[str, str]:
        """Headers of an honest agent."""
        return {
            "Authorization": f"Bearer {self.key}",
            "Osmia-Cluster": self.id,
            "Osmia-Agent": agent,
            "Osmia-Sequence": str(next(self._sequence) if sequence is None else sequence),
            "Content-Type": CONTENT_TYPE,
            "Content-Encoding": CONTENT_ENCODING,
        }

    def try_post(
        self, table: Table, rows: Sequence[Row], *, agent: str = "agent-1", sequence: int | None = None
    ) -> httpx.Response:
        """Post one batch, whatever the answer."""
        headers = self.headers(agent=agent, sequence=sequence)
        return self.http.post(f"/api/v1/ingest/{table}", content=body(table, rows), headers=headers)

    def post(self, table: Table, rows: Sequence[Row], *, agent: str = "agent-1", sequence: int | None = None) -> int:
        """Post one batch that must be accepted; returns the rows accepted."""
        answer = self.try_post(table, rows, agent=agent, sequence=sequence)
        assert answer.status_code == 200, answer.text
        accepted: int = answer.json()["accepted"]
        return accepted

    def try_get(self, path: str, **query: object) -> httpx.Response:
        """Ask something about the cluster, whatever the answer; `from_` is `from`."""
        named = {name.rstrip("_"): str(value) for name, value in query.items()}
        return self.http.get(f"/api/v1/clusters/{self.id}/{path}", params=named)

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        """Ask something about the cluster that must be answered."""
        answer = self.try_get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()


class ServerProcess:
    """A running `osmia server`."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self.process = process
        self.data = data
        self.lines: list[str] = []
        self._arrived: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._wait_for_url()
        self.http = httpx.Client(base_url=self.url, timeout=20)

    @classmethod
    @contextmanager
    def start(cls, data: Path, *arguments: str) -> Iterator[ServerProcess]:
        """Start on a free port; killed at the end if the test has not stopped it."""
        command = [sys.executable, "-c", "from osmia.cli import main; main()", "server"]
        command += ["--listen", "127.0.0.1:0", "--data", str(data), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                running = cls(process, data)
                try:
                    yield running
                    running.stop()
                finally:
                    running.http.close()
            finally:
                process.kill()
                process.wait()

    @contextmanager
    def add_cluster(self, name: str) -> Iterator[Cluster]:
        """A new cluster, removed at the end if the server still runs."""
        answer = self.http.post("/api/v1/clusters", json={"name": name})
        assert answer.status_code == 201, answer.text
        yield Cluster(self.http, answer.json())

    def stop(self) -> int:
        """End it as a supervisor does; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(_STOP_S)

    def metric(self, name: str, **labels: str) -> float:
        """One of the server's own metrics, 0 when it never moved."""
        wanted = ",".join(f'{key}="{value}"' for key, value in labels.items())
        prefix = f"osmia_server_{name}" + (f"{{{wanted}}}" if wanted else "") + " "
        for line in self.http.get("/metrics").text.splitlines():
            if line.startswith(prefix):
                return float(line.removeprefix(prefix))
        return 0.0

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            self._arrived.put(line)

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                line = self._arrived.get(timeout=0.2)
            except Empty:
                if self.process.poll() is not None:
                    break
                continue
            match = re.search(r"osmia server listening on (http://\S+)", line)
            if match:
                return match[1]
        raise AssertionError("the server did not start:\n" + "\n".join(self.lines))
