"""A transport without wires: a function gives the answers, a heap of events is the clock.

It keeps every promise of the seam (arrivals, users, backlog, pools, sleeps, timeouts, redirects, samples, stop) in one
plain thread, so that scenarios, engine and reports can be tried without sockets. Time is virtual: a run of an hour
takes as long as its requests need to be counted. With `is_paced` events wait for the real clock, as in a real run.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from osmia.load.client.transport import Arrivals, Endpoint, Give, Outgoing, Pool, Shows, Users, WireStep, Work
from osmia.load.tally import SAMPLE, Failure, Phase, SampleFlag, WorkerState, views
from osmia.model.histogram import bucket_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FakeAnswer", "FakeTransport"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_POLL_S = 0.001
_NO_DEADLINE_NS = 1 << 62
_STOP, _GIVE_UP = 1, 2


class FakeAnswer(NamedTuple):
    """What the pretended server says, and how long it takes. `head` empty: a plain head with the status."""

    status: int = 200
    body: bytes = b""
    service_ns: int = 1_000_000
    head: bytes = b""


Answerer = Callable[[Endpoint, bytes], FakeAnswer | Failure]


@dataclass(slots=True)
class _Iteration:
    """One that is under way."""

    number: int
    intended_ns: int
    user: int
    state: object = None
    has_begun: bool = False
    step: int = 0
    duration_ns: int = 0
    has_failed: bool = False
    has_assertion_failed: bool = False
    connections: set[Endpoint] = field(default_factory=set)


class FakeTransport:
    """Asks `answer` for each request; give the class's constructor what the factory of a real one would close over."""

    name = "fake"

    def __init__(self, answer: Answerer, *, is_paced: bool = False) -> None:
        self._answer = answer
        self._is_paced = is_paced

    def run(self, work: Work) -> None:
        """See `Transport.run`."""
        _Run(work, self._answer, is_paced=self._is_paced).run()


class _Run:
    """One worker's share."""

    def __init__(self, work: Work, answer: Answerer, *, is_paced: bool) -> None:
        self.work = work
        self.answer = answer
        self.is_paced = is_paced
        run, self.tallies = views(work.block)
        self.tally = run[0]
        self.random = random.Random(work.seed)  # noqa: S311 - sleeps, not secrets
        self.now_ns = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.sequence = itertools.count()
        self.waiting: deque[tuple[int, int]] = deque()
        self.free_users: list[int] = []
        self.users_seen = 0
        self.kept: dict[object, set[Endpoint]] = {}
        self.wanted_users = 0
        self.has_script = work.asks_ends or any(s.request is None or s.shows is Shows.ALWAYS for s in work.steps)
        limit = work.max_connections
        self.most = min(limit, work.max_in_flight) if work.max_in_flight else limit

    # ---- time ----

    def run(self) -> None:
        """From READY to DONE."""
        self.tally["state"] = WorkerState.READY
        while not self.tally["zero_ns"] and not self.tally["stop"]:
            time.sleep(_POLL_S)
        zero_ns = int(self.tally["zero_ns"])
        self.now_ns = zero_ns
        self.tally["state"] = WorkerState.RUNNING
        if isinstance(self.work.load, Arrivals):
            self.arrive(self.numbered(self.work.load), zero_ns)
        else:
            self.change_users(self.work.load, zero_ns)
        while self.events and self.tally["stop"] != _GIVE_UP:
            at_ns, _, action = heapq.heappop(self.events)
            self.wait_until(at_ns)
            self.now_ns = max(self.now_ns, at_ns)
            action()
        self.tally["in_flight"] = 0
        self.tally["state"] = WorkerState.DONE

    def wait_until(self, at_ns: int) -> None:
        """In real time, if there is one; the stop word is seen in between."""
        while self.is_paced and (left_ns := at_ns - time.monotonic_ns()) > 0 and self.tally["stop"] != _GIVE_UP:
            time.sleep(min(left_ns / 1e9, 0.01))

    def at(self, at_ns: int, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self.events, (at_ns, next(self.sequence), action))

    # ---- who comes when ----

    @staticmethod
    def numbered(load: Arrivals) -> Iterator[tuple[int, int]]:
        """(iteration, ns after zero)."""
        times = itertools.chain.from_iterable(block.tolist() for block in load.blocks)
        return ((load.first + n * load.stride, at_ns) for n, at_ns in enumerate(times))

    def arrive(self, arrivals: Iterator[tuple[int, int]], zero_ns: int) -> None:
        """The next arrival becomes an event, whose action brings the one after it."""
        following = next(arrivals, None)
        if following is None or self.tally["stop"]:
            self.tally["state"] = WorkerState.DRAINING
            return
        number, after_ns = following

        def action() -> None:
            if self.tally["stop"]:
                return
            self.tally["iterations_due"] += 1
            self.waiting.append((number, zero_ns + after_ns))
            self.start_waiting()
            self.arrive(arrivals, zero_ns)

        self.at(zero_ns + after_ns, action)

    def start_waiting(self) -> None:
        """As many as may run; the rest is backlog."""
        while self.waiting and self.tally["in_flight"] < self.most and not self.tally["stop"]:
            number, intended_ns = self.waiting.popleft()
            user = -1
            if self.work.pool is Pool.PER_USER_KEPT:
                user = self.free_users.pop() if self.free_users else self.users_seen
                self.users_seen = max(self.users_seen, user + 1)
            self.tally["lag"][bucket_of(self.now_ns - intended_ns)] += 1
            self.start(_Iteration(number, intended_ns, user))
        self.tally["backlog"] = len(self.waiting)
        self.tally["backlog_max"] = max(self.tally["backlog_max"], len(self.waiting))

    def change_users(self, load: Users, zero_ns: int) -> None:
        """Users come with the changes and begin again until they are too many or time is up."""
        active: set[int] = set()
        numbers = itertools.count() if load.count is None else iter(range(load.count))
        ends_ns = zero_ns + load.duration_ns

        def begin(user: int) -> None:
            number = next(numbers, None)
            if user >= self.wanted_users or number is None or self.now_ns >= ends_ns or self.tally["stop"]:
                active.discard(user)
                return
            self.tally["iterations_due"] += 1
            iteration = _Iteration(load.first + number * load.stride, self.now_ns, user)
            iteration.connections = self.kept.setdefault(user, set())
            self.start(iteration, lambda: begin(user))

        def change(users: int) -> None:
            self.wanted_users = users
            for user in range(users):
                if user not in active:
                    active.add(user)
                    begin(user)

        for after_ns, users in load.changes:
            self.at(zero_ns + after_ns, lambda users=users: change(users))  # type: ignore[misc]  # bound now, not later

    # ---- an iteration ----

    def start(self, iteration: _Iteration, afterwards: Callable[[], None] | None = None) -> None:
        """Its first step."""
        self.tally["iterations_started"] += 1
        self.tally["in_flight"] += 1
        self.tally["in_flight_max"] = max(self.tally["in_flight_max"], self.tally["in_flight"])
        self.tally["first_ns"] = self.tally["first_ns"] or self.now_ns
        if self.has_script:
            self.begin(iteration)
        if self.work.pool is Pool.PER_USER_KEPT:
            iteration.connections = self.kept.setdefault(iteration.user, set())
        elif self.work.pool is Pool.SHARED:
            iteration.connections = self.kept.setdefault("all", set())
        self.step(iteration, afterwards)

    def begin(self, iteration: _Iteration) -> None:
        """Ask for its state, once."""
        if not iteration.has_begun:
            user = iteration.user if self.work.pool is Pool.PER_USER_KEPT or isinstance(self.work.load, Users) else -1
            iteration.state = self.work.script.begin(iteration.number, user)
            iteration.has_begun = True

    def step(self, iteration: _Iteration, afterwards: Callable[[], None] | None) -> None:
        """Render and send, or end the iteration."""
        if iteration.step >= len(self.work.steps):
            self.finish(iteration, afterwards)
            return
        step = self.work.steps[iteration.step]
        tally = self.tallies[iteration.step]
        tally["started"] += 1
        request: bytes | Outgoing | Give = step.request if step.request is not None else self.rendered(iteration)
        exchange = _Exchange(self, iteration, step, afterwards)
        exchange.go(request)

    def rendered(self, iteration: _Iteration) -> bytes | Outgoing | Give:
        """The script's request for a step."""
        return self.work.script.render(iteration.state, iteration.step)

    def finish(self, iteration: _Iteration, afterwards: Callable[[], None] | None) -> None:
        """Count it and let the next one in."""
        tally = self.tally
        tally["in_flight"] -= 1
        tally["iterations_finished"] += 1
        tally["last_ns"] = self.now_ns
        tally["iterations"][bucket_of(iteration.duration_ns)] += 1
        least = tally["iteration_min_ns"] or iteration.duration_ns
        tally["iteration_min_ns"] = min(least, iteration.duration_ns)
        tally["iteration_max_ns"] = max(tally["iteration_max_ns"], iteration.duration_ns)
        if iteration.has_failed:
            tally["iterations_failed"] += 1
        elif iteration.has_assertion_failed:
            tally["iterations_assertion_failed"] += 1
        else:
            tally["iterations_succeeded"] += 1
            tally["succeeded_ns"] += iteration.duration_ns
        if self.work.asks_ends:
            self.work.script.end(iteration.state)
        if iteration.user >= 0 and isinstance(self.work.load, Arrivals):
            self.free_users.append(iteration.user)
        if afterwards is not None:
            afterwards()
        self.start_waiting()


class _Exchange:
    """One request of a step and the redirects that follow it."""

    def __init__(self, run: _Run, iteration: _Iteration, step: WireStep, afterwards: Callable[[], None] | None) -> None:
        self.run = run
        self.iteration = iteration
        self.step = step
        self.afterwards = afterwards
        self.index = iteration.step
        self.tally: np.void = run.tallies[self.index]
        self.begun_ns = run.now_ns
        self.ends_ns = run.now_ns + step.timeout_ns if step.timeout_ns else _NO_DEADLINE_NS
        self.is_reused = False

    def go(self, request: bytes | Outgoing | Give) -> None:
        """Send, or fail as the script says."""
        if isinstance(request, Give):
            self.fail(request.failure)
            return
        endpoint, wire = (
            (request.endpoint, request.request) if isinstance(request, Outgoing) else (self.step.endpoint, request)
        )
        self.connect(endpoint)
        self.tally["sent_bytes"] += len(wire)
        answer = self.run.answer(endpoint, wire)
        if isinstance(answer, Failure):
            self.run.at(self.run.now_ns, lambda: self.fail(answer))
        elif self.run.now_ns + answer.service_ns > self.ends_ns:
            self.run.at(self.ends_ns, lambda: self.fail(Failure.READ_TIMEOUT))
        else:
            self.run.at(self.run.now_ns + answer.service_ns, lambda: self.answered(answer))

    def connect(self, endpoint: Endpoint) -> None:
        """Note a connection that was not there."""
        self.is_reused = endpoint in self.iteration.connections
        self.tally["reused"] += self.is_reused
        if not self.is_reused:
            self.run.tally["connections_opened"] += 1
        if not self.step.is_closed_after:
            self.iteration.connections.add(endpoint)

    def answered(self, answer: FakeAnswer) -> None:
        """Show it, if it is to be shown."""
        service_ns = self.run.now_ns - self.begun_ns
        holds = True
        if self.step.shows is Shows.ALWAYS or (self.step.shows is Shows.REDIRECTS and answer.status in _REDIRECTS):
            self.run.begin(self.iteration)
            head = answer.head or b"HTTP/1.1 %d Fine\r\nContent-Length: %d\r\n\r\n" % (answer.status, len(answer.body))
            body = answer.body if self.step.keeps_body else b""
            verdict = self.run.work.script.inspect(
                self.iteration.state, self.index, answer.status, head, body, service_ns
            )
            if not isinstance(verdict, bool):
                self.tally["redirects"] += not isinstance(verdict, Give)
                self.go(verdict)
                return
            holds = verdict
        self.count(answer, service_ns, holds=holds)
        self.rest()

    def count(self, answer: FakeAnswer, service_ns: int, *, holds: bool) -> None:
        """All that is counted of an answer."""
        tally, iteration = self.tally, self.iteration
        intended_ns = iteration.intended_ns if self.index == 0 else self.begun_ns
        response_ns = self.run.now_ns - intended_ns
        tally["answered"] += 1
        tally["assertion_failed"] += not holds
        tally["statuses"][answer.status] += 1
        tally["received_bytes"] += len(answer.body)
        tally["service"][bucket_of(service_ns)] += 1
        tally["response"][bucket_of(response_ns)] += 1
        tally["service_min_ns"] = min(tally["service_min_ns"] or service_ns, service_ns)
        tally["service_max_ns"] = max(tally["service_max_ns"], service_ns)
        tally["response_max_ns"] = max(tally["response_max_ns"], response_ns)
        for phase, ns in (
            (Phase.WAIT, self.begun_ns - intended_ns),
            (Phase.SERVER_PROCESSING, service_ns),
            (Phase.TOTAL, service_ns),
        ):
            tally["phase_ns"][phase] += ns
            tally["phase_count"][phase] += 1
        iteration.duration_ns += service_ns
        iteration.has_assertion_failed |= not holds
        self.sample(answer.status, None, intended_ns, holds=holds)

    def fail(self, failure: Failure) -> None:
        """No answer."""
        self.tally["failed"] += 1
        self.tally["errors"][failure] += 1
        self.iteration.has_failed = True
        self.iteration.duration_ns += self.run.now_ns - self.begun_ns
        self.iteration.connections.discard(self.step.endpoint)
        self.sample(0, failure, self.begun_ns, holds=True)
        if self.step.shows is Shows.ALWAYS:
            self.run.begin(self.iteration)
            self.run.work.script.fail(self.iteration.state, self.index, failure)
        self.rest()

    def rest(self) -> None:
        """Sleep, then the next step."""
        least, most = self.step.sleep_ns
        self.iteration.step += 1
        rest_ns = self.run.random.randint(least, most)
        self.run.at(self.run.now_ns + rest_ns, lambda: self.run.step(self.iteration, self.afterwards))

    def sample(self, status: int, failure: Failure | None, intended_ns: int, *, holds: bool) -> None:
        """One row for those who want each request."""
        if self.run.work.on_samples is None:
            return
        row: NDArray[np.void] = np.zeros(1, dtype=SAMPLE)
        row["iteration"] = self.iteration.number
        row["intended_ns"] = intended_ns
        row["started_ns"] = self.begun_ns
        row["ended_ns"] = self.run.now_ns
        row["step"] = self.index
        row["status"] = status
        row["failure"] = failure or 0
        row["flags"] = (SampleFlag.REUSED if self.is_reused else 0) | (0 if holds else SampleFlag.ASSERTION_FAILED)
        self.run.work.on_samples(row)
