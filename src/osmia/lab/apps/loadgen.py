"""A steady load of known rates, sent by `osmia load`: visitors come at an even pace whether or not others hang.

Each visitor opens a connection, asks for a few paths one after another and leaves; which paths is a table that repeats
itself, so that counts are exact. One JSON line per request with running totals, and a summary at the end, so that
checks know exactly what was sent: made of the engine's own samples, one for each request.
"""

from __future__ import annotations

import csv
import heapq
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from osmia.model.errors import ConfigError
from osmia.settings import options, read, setting

__all__ = ["LoadgenConfig", "Record", "Route", "Summary", "main", "parse_route", "schedule", "visits"]

_RETRY_S = 0.1
_PATHS_PER_VISIT = 4
_CYCLE = 20_000
"""Most requests before the table of visits begins anew, when no total is asked for."""
_FOR_EVER = "720h"
_INTERRUPTED = 130


class LoadgenConfig(msgspec.Struct, frozen=True):
    """Settings of loadgen."""

    url: str = setting("http://testserver-service.testserver.svc.cluster.local:8200", "What to load.")
    routes: tuple[str, ...] = setting(
        (
            *("/currencies/=20", "/exchange_rate/USD/EUR/=10", "/status/200/=0.7", "/status/404/=0.7"),
            *("/status/503/=0.6", "/slow_report/=1"),
        ),
        "PATH=REQUESTS_PER_SECOND, one per route.",
    )
    total: int = setting(0, "Stop after this many requests; 0 = go on until told to stop.")
    max_connections: int = setting(64, "Most connections at a time; visitors wait for one, and their lines say so.")
    timeout_s: float = setting(10.0, "When a request counts as failed, in seconds.")
    start_timeout_s: float = setting(60.0, "How long to wait until the target accepts connections, in seconds.")


@dataclass(frozen=True, slots=True)
class Route:
    """A path and how many requests per second it gets."""

    path: str
    rate: float


class Record(msgspec.Struct, frozen=True):
    """One request. `start` is Unix seconds of sending, `late_s` how much after its scheduled time that was."""

    path: str
    status: int
    start: float
    latency_s: float
    late_s: float
    error: str
    total: int
    path_total: int


class Summary(msgspec.Struct, frozen=True, tag="summary"):
    """Everything that was done, as the last line."""

    total: int
    failed: int
    seconds: float
    by_path: dict[str, int]
    by_status: dict[str, int]


class _Sample(msgspec.Struct):
    """What loadgen reads of a line of `osmia load --out samples.ndjson`."""

    iteration: int
    step: int
    status: int
    failure: str | None
    intended_s: float
    started_s: float
    ended_s: float
    began_at: float


def parse_route(text: str) -> Route:
    """A route from PATH=RATE.

    Raises:
        ConfigError: it has another form.
    """
    path, _, rate = text.rpartition("=")
    try:
        route = Route(path, float(rate))
    except ValueError:
        route = Route("", 0.0)
    if not route.path.startswith("/") or route.rate <= 0:
        raise ConfigError("routes", text, "not a route", remedy="write /path=REQUESTS_PER_SECOND")
    return route


def schedule(routes: Sequence[Route]) -> Iterator[tuple[float, str]]:
    """When to send what, in seconds from the start, for ever; the routes' first requests are spread over a period."""
    upcoming = [((number + 1) / (len(routes) * route.rate), number, 0) for number, route in enumerate(routes)]
    first = [moment for moment, _, _ in upcoming]
    heapq.heapify(upcoming)
    while True:
        moment, number, count = upcoming[0]
        yield moment, routes[number].path
        heapq.heapreplace(upcoming, (first[number] + (count + 1) / routes[number].rate, number, count + 1))


def visits(routes: Sequence[Route], total: int) -> list[tuple[str, ...]]:
    """The paths of each visitor, as the schedule has them in order; without a total, a table that may be repeated."""
    per_visit = _PATHS_PER_VISIT if total % _PATHS_PER_VISIT == 0 else 1
    paths = [path for _, path in itertools.islice(schedule(routes), total or _CYCLE)]
    return list(zip(*(paths[number::per_visit] for number in range(per_visit)), strict=True))


class _Load:
    """One run of `osmia load`, and the book that is kept of it."""

    def __init__(self, config: LoadgenConfig, folder: Path) -> None:
        self._config = config
        self._routes = [parse_route(text) for text in config.routes]
        self._visits = visits(self._routes, config.total)
        self._folder = folder
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(_Sample)
        self._by_path: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._failed = 0

    def run(self) -> None:
        """Send until the total is reached or the process is told to stop, and wait for the last answers."""
        began = time.monotonic()
        samples = self._folder / "samples.ndjson"
        os.mkfifo(samples)
        fd = os.open(samples, os.O_RDONLY | os.O_NONBLOCK)
        # In a session of its own, so that it is told once to end: by us.
        with subprocess.Popen(self._command(samples), start_new_session=True, stdout=subprocess.DEVNULL) as process:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: _tell(process))
            for line in _lines(fd, process):
                self._note(self._decoder.decode(line))
            code = process.wait()
        if code not in {0, _INTERRUPTED}:
            sys.exit(f"loadgen: osmia load ended with {code}")
        self._write(self._summary(time.monotonic() - began))

    def _command(self, samples: Path) -> list[str]:
        """Visitors come at the routes' rate, each with a connection of its own."""
        per_visit = len(self._visits[0])
        rows = self._folder / "visits.csv"
        with rows.open("w", newline="", encoding="utf-8") as table:
            csv.writer(table).writerows(self._visits)
        tags = [f"path{number}" for number in range(per_visit)]
        scenario = {
            "engine_mode": "distinct-user",
            "data": {
                "visits": {
                    "path": str(rows),
                    "order": "sequential",
                    "vars": {str(number): {"tag": tag} for number, tag in enumerate(tags)},
                }
            },
            "steps": [
                {
                    "id": number + 1,
                    "url": f"{self._config.url}{{{{data.visits.{tag}}}}}",
                    "headers": {"User-Agent": "osmia-loadgen"},
                    "timeout": self._config.timeout_s,
                }
                for number, tag in enumerate(tags)
            ],
        }
        file = self._folder / "scenario.json"
        file.write_bytes(msgspec.json.encode(scenario))
        per_s = sum(route.rate for route in self._routes) / per_visit
        return [
            *(sys.executable, "-m", "osmia", "load", "--config", str(file), "--rate", f"{per_s:.6f}"),
            *(("-n", str(len(self._visits))) if self._config.total else ("-d", _FOR_EVER)),
            *("--workers", "1", "--max-connections", str(self._config.max_connections), "--out", str(samples)),
            *("--quiet", "--yes", "-o", "stdout-json"),
        ]

    def _note(self, sample: _Sample) -> None:
        path = self._visits[sample.iteration % len(self._visits)][sample.step - 1]
        self._by_path[path] += 1
        self._by_status[str(sample.status)] += 1
        self._failed += sample.failure is not None
        self._write(
            Record(
                path=path,
                status=sample.status,
                start=sample.began_at,
                latency_s=round(sample.ended_s - sample.started_s, 6),
                late_s=round(sample.started_s - sample.intended_s, 6),
                error=sample.failure or "",
                total=self._by_path.total(),
                path_total=self._by_path[path],
            )
        )

    def _summary(self, seconds: float) -> Summary:
        return Summary(
            total=self._by_path.total(),
            failed=self._failed,
            seconds=round(seconds, 3),
            by_path=dict(self._by_path),
            by_status=dict(self._by_status),
        )

    def _write(self, line: Record | Summary) -> None:
        os.write(sys.stdout.fileno(), self._encoder.encode(line) + b"\n")


def _tell(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()


def _lines(fd: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Lines from a FIFO, until its writer has closed it or has ended without ever opening it."""
    ended = os.pidfd_open(process.pid)
    rest = b""
    try:
        while True:
            ready, _, _ = select.select([fd, ended], [], [])
            data = os.read(fd, 1 << 16) if fd in ready else b""
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if not data:
                return
    finally:
        os.close(ended)
        os.close(fd)


def _wait_for_target(config: LoadgenConfig) -> None:
    """Return once the target accepts a connection; sends nothing on it."""
    target = urlsplit(config.url)
    deadline = time.monotonic() + config.start_timeout_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((target.hostname or "", target.port or 80), timeout=_RETRY_S * 10).close()
        except OSError:
            time.sleep(_RETRY_S)
        else:
            return
    sys.exit(f"loadgen: {config.url} accepts no connection")


@click.command()
@options(LoadgenConfig, "loadgen")
def main(**given: object) -> None:
    """Send a steady load and log every request."""
    config = read("loadgen", LoadgenConfig, given)
    with tempfile.TemporaryDirectory(prefix="osmia-loadgen-") as folder:
        load = _Load(config, Path(folder))
        _wait_for_target(config)
        load.run()


if __name__ == "__main__":
    main()
