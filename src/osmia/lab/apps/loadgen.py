"""A steady, open-model load of known rates: every request has its time from the schedule, whether or not others hang.

One JSON line per request with running totals, and a summary at the end, so that checks know exactly what was sent.
"""

from __future__ import annotations

import heapq
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.abc
import click
import msgspec

from osmia.model.errors import ConfigError
from osmia.settings import options, read, setting

__all__ = ["LoadgenConfig", "Record", "Route", "Summary", "main", "parse_route", "schedule"]

_RETRY_S = 0.1


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
    connections: int = setting(8, "Keep-alive connections that take turns; more are opened while all are busy.")
    max_connections: int = setting(64, "Most connections at a time; requests wait for one, and their lines say so.")
    requests_per_connection: int = setting(100, "Requests after which a connection is replaced.")
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


class _Connections:
    """Sessions of one connection each, taken in turn, so that the load spreads over a Service's endpoints."""

    def __init__(self, config: LoadgenConfig) -> None:
        self._config = config
        self._idle: deque[tuple[aiohttp.ClientSession, int]] = deque(
            (self._open(), 0) for _ in range(config.connections)
        )
        self._limiter = anyio.Semaphore(config.max_connections)

    async def get(self, path: str) -> int:
        """The status of a GET; raises what aiohttp raises."""
        async with self._limiter:
            session, used = self._idle.popleft() if self._idle else (self._open(), 0)
            is_good = False
            try:
                async with session.get(f"{self._config.url}{path}") as response:
                    await response.read()
                    is_good = True
                    return response.status
            finally:
                await self._give_back(session, used + 1, is_good=is_good)

    async def close(self) -> None:
        """Close all connections."""
        for session, _ in self._idle:
            await session.close()

    async def _give_back(self, session: aiohttp.ClientSession, used: int, *, is_good: bool) -> None:
        if is_good and used < self._config.requests_per_connection:
            self._idle.append((session, used))
            return
        with anyio.CancelScope(shield=True):
            await session.close()
        if len(self._idle) < self._config.connections:
            self._idle.append((self._open(), 0))

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=60, ttl_dns_cache=10)
        timeout = aiohttp.ClientTimeout(total=self._config.timeout_s)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, headers={"User-Agent": "osmia-loadgen"})


class _Load:
    """One run."""

    def __init__(self, config: LoadgenConfig) -> None:
        self._config = config
        self._routes = [parse_route(text) for text in config.routes]
        self._encoder = msgspec.json.Encoder()
        self._by_path: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._failed = 0

    async def run(self) -> Summary:
        """Send until the total is reached or the process is told to stop, and wait for the last answers."""
        await _wait_for_target(self._config)
        connections = _Connections(self._config)
        began = anyio.current_time()
        async with anyio.create_task_group() as requests, anyio.create_task_group() as pacing:
            pacing.start_soon(self._stop_on_signal, pacing.cancel_scope)
            await self._pace(began, connections, requests)
            pacing.cancel_scope.cancel()
        await connections.close()
        summary = Summary(
            total=self._by_path.total(),
            failed=self._failed,
            seconds=round(anyio.current_time() - began, 3),
            by_path=dict(self._by_path),
            by_status=dict(self._by_status),
        )
        self._write(summary)
        return summary

    async def _stop_on_signal(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()

    async def _pace(self, began: float, connections: _Connections, requests: anyio.abc.TaskGroup) -> None:
        for sent, (moment, path) in enumerate(schedule(self._routes)):
            if self._config.total and sent >= self._config.total:
                return
            await anyio.sleep_until(began + moment)
            requests.start_soon(self._send, connections, path, began + moment)

    async def _send(self, connections: _Connections, path: str, due: float) -> None:
        start, clock = time.time(), anyio.current_time()
        status, error = 0, ""
        try:
            status = await connections.get(path)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            error = f"{type(exc).__name__}: {exc}"
            self._failed += 1
        self._by_path[path] += 1
        self._by_status[str(status)] += 1
        self._write(
            Record(
                path=path,
                status=status,
                start=start,
                latency_s=round(anyio.current_time() - clock, 6),
                late_s=round(clock - due, 6),
                error=error,
                total=self._by_path.total(),
                path_total=self._by_path[path],
            )
        )

    def _write(self, line: Record | Summary) -> None:
        os.write(sys.stdout.fileno(), self._encoder.encode(line) + b"\n")


async def _wait_for_target(config: LoadgenConfig) -> None:
    """Return once the target accepts a connection; sends nothing on it."""
    target = urlsplit(config.url)
    with anyio.move_on_after(config.start_timeout_s):
        while True:
            try:
                stream = await anyio.connect_tcp(target.hostname or "", target.port or 80)
            except OSError:
                await anyio.sleep(_RETRY_S)
            else:
                await stream.aclose()
                return
    sys.exit(f"loadgen: {config.url} accepts no connection")


@click.command()
@options(LoadgenConfig, "loadgen")
def main(**given: object) -> None:
    """Send a steady load and log every request."""
    config = read("loadgen", LoadgenConfig, given)
    anyio.run(_Load(config).run)


if __name__ == "__main__":
    main()
