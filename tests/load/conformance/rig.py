"""What the conformance suite stands on: odd servers, a script that watches, and a run with everything checked after it.

`exercise` runs a transport in a thread and gives it up when it hangs: that is the watchdog of every test. Whatever the
test is about, it also holds the tallies against each other and looks whether anything was left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from osmia.load.client.transport import (
    Arrivals,
    Endpoint,
    Give,
    Outgoing,
    Pool,
    Script,
    Transport,
    Users,
    WireStep,
    Work,
)
from osmia.load.tally import Failure, Phase, WorkerState, block_bytes, views

__all__ = ["Answers", "Link", "Outcome", "Peer", "Stage", "Witness", "exercise", "get", "ok", "wait_for"]

HANG_S = 12
_SECOND_NS = 1_000_000_000

_T = TypeVar("_T")
Handler = Callable[["Link"], Awaitable[None]]
Answers = bytes | Outgoing | Give | bool


def get(path: str = "/", *headers: str, host: str = "test") -> bytes:
    """A plain request."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ok(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    """A plain answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 5.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"did not come: {what}"
        time.sleep(0.002)


# ---- servers ----


class Link:
    """A connection as a server sees it."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request: head and body by its Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return head + await self.reader.readexactly(length)

    async def send(self, *parts: bytes, pause_s: float = 0.0) -> None:
        """Write parts, each on its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(pause_s)

    async def ended(self) -> None:
        """Wait until the client hangs up."""
        while await self.reader.read(65536):
            pass

    def reset(self) -> None:
        """Break the connection with RST."""
        one: socket.socket = self.writer.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass(slots=True)
class Peer:
    """A server on loopback."""

    host: str
    port: int
    links: int = 0
    """Connections that came."""
    open_links: int = 0
    requests: list[bytes] = field(default_factory=list)
    """What handlers noted."""

    def endpoint(self, **changes: Any) -> Endpoint:  # noqa: ANN401 - any field of Endpoint
        """Where it is."""
        here = Endpoint(host=self.host, port=self.port)
        return dataclasses.replace(here, **changes)


class Stage:
    """An event loop in a thread of its own, for the servers of a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def call(self, coroutine: Coroutine[object, object, _T]) -> _T:
        """Run something on the servers' loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    def on_close(self, closer: Callable[[], object]) -> None:
        """Call this on the loop at the end."""
        self._closers.append(closer)

    def serve(self, handler: Handler, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Peer:
        """A server that runs `handler` for each connection."""
        return self.call(self._serve(handler, host, tls))

    def answer(self, *answers: bytes, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Peer:
        """A server that answers the requests of each connection in turn, the last answer for ever."""

        async def each(link: Link) -> None:
            at = 0
            while True:
                peer.requests.append(await link.request())
                await link.send(answers[min(at, len(answers) - 1)])
                at += 1

        peer = self.serve(each, tls=tls, host=host)
        return peer

    def once(self, *parts: bytes, pause_s: float = 0.0, tls: ssl.SSLContext | None = None) -> Peer:
        """A server that answers one request in parts and closes."""

        async def each(link: Link) -> None:
            peer.requests.append(await link.request())
            await link.send(*parts, pause_s=pause_s)

        peer = self.serve(each, tls=tls)
        return peer

    async def _serve(self, handler: Handler, host: str, tls: ssl.SSLContext | None) -> Peer:
        peer = Peer(host, 0)

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            peer.links += 1
            peer.open_links += 1
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
                    await handler(Link(peer.links, reader, writer))
            finally:
                peer.open_links -= 1
                writer.close()
                try:
                    await asyncio.wait_for(writer.wait_closed(), 1)
                except (OSError, ssl.SSLError, asyncio.CancelledError):
                    writer.transport.abort()

        server = await asyncio.start_server(accepted, host, 0, ssl=tls, limit=1 << 22, backlog=512)
        peer.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        return peer

    async def _close(self) -> None:
        for closer in self._closers:
            closer()
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(5):  # what was aborted says goodbye in the turns after
            await asyncio.sleep(0)


# ---- the script's side ----


@dataclass(slots=True)
class Shown:
    """What `inspect` was called with."""

    state: object
    step: int
    status: int
    head: bytes
    body: bytes
    service_ns: int


class Witness:
    """A script that notes what it is asked and answers as it was told."""

    def __init__(
        self,
        renders: Callable[[object, int], bytes | Outgoing | Give] | None = None,
        answers: Callable[[Shown], Answers] | None = None,
    ) -> None:
        self._renders = renders
        self._answers = answers
        self.begun: list[tuple[int, int]] = []
        self.shown: list[Shown] = []
        self.failed: list[tuple[int, Failure]] = []
        self.ended: list[object] = []

    def begin(self, iteration: int, user: int) -> object:
        """The state is the iteration's number."""
        self.begun.append((iteration, user))
        return iteration

    def render(self, state: object, step: int) -> bytes | Outgoing | Give:
        """As told."""
        assert self._renders is not None
        return self._renders(state, step)

    def inspect(  # noqa: D102, PLR0913, PLR0917
        self, state: object, step: int, status: int, head: bytes, body: bytes, service_ns: int
    ) -> Answers:
        shown = Shown(state, step, status, bytes(head), bytes(body), service_ns)
        self.shown.append(shown)
        return self._answers(shown) if self._answers else True

    def fail(self, state: object, step: int, failure: Failure) -> None:
        """Noted."""
        self.failed.append((step, failure))

    def end(self, state: object) -> None:
        """Noted."""
        self.ended.append(state)


# ---- a run ----


@dataclass(slots=True)
class Outcome:
    """What a run left in its block."""

    run: np.void
    steps: NDArray[np.void]
    samples: NDArray[np.void] | None
    seconds: float

    def statuses(self, step: int = 0) -> dict[int, int]:
        """How many answers of each status."""
        counts = self.steps[step]["statuses"]
        return {int(status): int(counts[status]) for status in counts.nonzero()[0]}

    def failures(self, step: int = 0) -> dict[Failure, int]:
        """How many requests got no answer, by class."""
        counts = self.steps[step]["errors"]
        return {Failure(int(index)): int(counts[index]) for index in counts.nonzero()[0]}

    def phase_s(self, phase: Phase, step: int = 0) -> float:
        """Sum of a phase."""
        return float(self.steps[step]["phase_ns"][phase]) / _SECOND_NS

    def phase_count(self, phase: Phase, step: int = 0) -> int:
        """How often it happened."""
        return int(self.steps[step]["phase_count"][phase])


def exercise(  # noqa: PLR0913 - a plan has many sides, each with its default
    transport: Transport,
    *steps: WireStep,
    script: Script | None = None,
    load: Arrivals | Users | None = None,
    count: int = 1,
    users: int = 1,
    pool: Pool = Pool.SHARED,
    peers: Sequence[Peer] = (),
    has_samples: bool = False,
    stop: Callable[[], int] | None = None,
    **limits: Any,  # noqa: ANN401 - further fields of Work
) -> Outcome:
    """Run it to its end, check what must always hold, and give what was counted.

    `stop` is asked again and again while it runs, for the value of the block's `stop`.
    """
    block = memoryview(bytearray(block_bytes(len(steps))))
    run, rows = views(block)
    samples: list[NDArray[np.void]] = []
    work = Work(
        steps=list(steps),
        load=load or Users(changes=[(0, users)], duration_ns=60 * _SECOND_NS, count=count),
        script=script or Witness(),
        block=block,
        pool=pool,
        on_samples=(lambda some: samples.append(some.copy())) if has_samples else None,
        **limits,
    )
    before = _descriptors()
    run[0]["zero_ns"] = time.monotonic_ns() + 3_000_000
    began = time.monotonic()
    raised = _watch(transport, work, run, stop)
    seconds = time.monotonic() - began
    if raised is not None:
        raise raised
    outcome = Outcome(run[0], rows, np.concatenate(samples) if samples else None, seconds)
    _check_books(outcome)
    wait_for(lambda: not any(peer.open_links for peer in peers), "the end of all connections")
    wait_for(lambda: _descriptors() <= before, "the closing of everything that waits")
    return outcome


def _watch(
    transport: Transport, work: Work, run: NDArray[np.void], stop: Callable[[], int] | None
) -> BaseException | None:
    """Run in a thread; given up when it hangs."""
    raised: list[BaseException] = []

    def body() -> None:
        try:
            transport.run(work)
        except BaseException as exc:  # noqa: BLE001 - handed to the test
            raised.append(exc)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    deadline = time.monotonic() + HANG_S
    while thread.is_alive() and time.monotonic() < deadline:
        if stop is not None:
            run[0]["stop"] = stop()
        thread.join(0.005)
    if thread.is_alive():
        run[0]["stop"] = 2
        thread.join(2)
        raise AssertionError(f"{transport.name} hung; state {WorkerState(int(run[0]['state'])).name}")
    return raised[0] if raised else None


def _check_books(outcome: Outcome) -> None:
    """What holds after every run."""
    run = outcome.run
    assert run["state"] == WorkerState.DONE
    assert run["in_flight"] == run["backlog"] == run["connections"] == 0
    assert run["iterations_started"] == run["iterations_finished"]
    parts = ("iterations_succeeded", "iterations_failed", "iterations_assertion_failed")
    assert sum(int(run[part]) for part in parts) == run["iterations_finished"]
    assert int(run["iterations"].sum()) <= run["iterations_finished"]
    for step in outcome.steps:
        assert step["started"] == step["answered"] + step["failed"]
        assert int(step["errors"].sum()) == step["failed"]
        for histogram in ("statuses", "service", "response"):
            assert int(step[histogram].sum()) == step["answered"]
        parts_ns = int(step["phase_ns"][Phase.DNS : Phase.TOTAL].sum())
        total_ns = int(step["phase_ns"][Phase.TOTAL])
        assert abs(parts_ns - total_ns) <= total_ns * 0.02 + 100_000 * int(step["redirects"])


def _descriptors() -> int:
    """Epolls and timers of this process: a transport closes its own."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()) in ("anon_inode:[eventpoll]", "anon_inode:[timerfd]")
    return count


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose listener takes no more connections: SYNs get no answer."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = held.enter_context(socket.socket())
            one.setblocking(False)  # noqa: FBT003 - positional in the library
            one.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
