"""Who sends next: arrivals or users, the steps of an iteration, sleeps, limits, the script.

The order of a turn is: begin what is due, let libcurl send it, wait, take what was answered. A user of a plan with one
step, no script and no sleep begins anew right where its answer is taken, with the same easy handle.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pycurl
from pycurl import (
    APPCONNECT_TIME_T,
    CONNECT_TIME_T,
    HEADER_SIZE,
    NAMELOOKUP_TIME_T,
    NUM_CONNECTS,
    POSTTRANSFER_TIME_T,
    PRETRANSFER_TIME_T,
    QUEUE_TIME_T,
    REQUEST_SIZE,
    RESPONSE_CODE,
    SIZE_DOWNLOAD_T,
    STARTTRANSFER_TIME_T,
    TOTAL_TIME_T,
)

from osmia.load.client.curl.failures import Broken, classify
from osmia.load.client.curl.handles import Exchange, set_timeout
from osmia.load.client.curl.heads import final_head, is_cut
from osmia.load.client.curl.loop import Loop, inode_of
from osmia.load.client.curl.party import Parties, Party
from osmia.load.client.curl.records import CAPACITY, PACK, ROW_BYTES, Mark, Records
from osmia.load.client.curl.sources import ArrivalSource, UserSource
from osmia.load.client.curl.supply import Supply
from osmia.load.client.transport import Arrivals, Give, Http, Outgoing, Pool, Shows, Work
from osmia.load.tally import Failure, WorkerState

__all__ = ["Flow", "Iteration"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_COUNT_EVERY_NS = 50_000_000
_LONGEST_WAIT_S = 0.02
"""How late a stop is seen."""
_HTTP2 = 3  # what CURLINFO_HTTP_VERSION says for it
_NEVER = 1 << 62
_AT_ONCE = 32
"""Arrivals that are begun before answers are looked at again: each of those frees a connection for the next."""
_WHOLE = Mark.FIRST | Mark.LAST
_STOP_STARTING = 1
_GIVE_UP = 2


@dataclass(slots=True, eq=False)
class Iteration:
    """One pass through the steps."""

    number: int
    party: Party
    intended_ns: int
    """When the step at hand should have begun."""
    state: object = None
    step: int = 0
    service_ns: int = 0
    """Of the steps that are over."""
    before_ns: int = 0
    """Of the hops of the step at hand."""
    begun_ns: int = 0
    """When the step at hand was begun: the start of its first hop."""
    deadline_ns: int = 0
    """When the step at hand must be over; 0 is never."""
    hops: list[tuple[int, ...]] = field(default_factory=list)
    """Rows of the step at hand, to be written with its last one: their times count only if that is an answer."""
    marks: int = 0
    """ITERATION_FAILED and ITERATION_ASSERTION_FAILED."""


class Flow:
    """One worker's share of a run, on one loop."""

    def __init__(self, work: Work, loop: Loop, zero_ns: int) -> None:
        self._loop = loop
        self._steps = list(work.steps)
        self._last_step = len(self._steps) - 1
        self._script = work.script
        self._asks_begins = work.asks_ends or any(one.request is None or one.shows for one in self._steps)
        self._asks_ends = work.asks_ends
        self._arrivals = ArrivalSource(work.load, zero_ns) if isinstance(work.load, Arrivals) else None
        self._users = None if isinstance(work.load, Arrivals) else UserSource(work.load, zero_ns)
        self._supply = Supply(work, loop.on_opened)
        is_multiplexed = any(one.endpoint.http is not Http.ONE for one in self._steps)
        self._parties = Parties(work.pool, len(self._steps))
        self._hangs_up = work.pool is Pool.PER_USER_NEW
        self._records = Records(work.block, is_open=self._users is None, on_samples=work.on_samples)
        self._buffer, self._rows, self._count_ns = self._records.buffer, 0, 0
        self._stop = work.block[:4].cast("I")
        self._random = random.Random(work.seed)  # noqa: S311 - think times are no secrets
        self._busy_limit = _NEVER if is_multiplexed else work.max_connections
        self._flight_limit = work.max_in_flight or _NEVER
        only = self._steps[0]
        self._is_simple = not (self._last_step or self._asks_ends or self._hangs_up or any(only.sleep_ns))
        self._is_simple = self._is_simple and only.request is not None and only.shows is not Shows.ALWAYS
        self._started = [0] * len(self._steps)
        self._busy = self._begun = self._backlog = self._backlog_max = 0
        self._in_flight = self._in_flight_max = self._connections_max = 0
        self._goes_on = self._is_added = False
        self._ready: deque[Iteration] = deque()
        self._waiting: deque[Iteration] = deque()
        self._asleep: list[tuple[int, int, Iteration]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Until everything that has begun is over."""
        self._records.run["state"] = WorkerState.RUNNING
        self._count_ns = time.monotonic_ns() + _COUNT_EVERY_NS
        try:
            while self._turn():
                pass
        finally:
            self._give_up()
            self._count()
            self._loop.close()
            self._records.count_connections(0, self._connections_max)
            self._supply.close()

    # ---- a turn ----

    def _turn(self) -> bool:
        """Whether another one is needed."""
        now_ns = time.monotonic_ns()
        stop = self._stop[0]
        if stop >= _GIVE_UP:
            return False
        is_more = self._begin_arrivals(now_ns, stop) if self._arrivals else self._begin_users(now_ns, stop)
        self._wake(now_ns)
        for _ in range(len(self._ready)):
            self._send(self._ready.popleft())
        if self._is_added:
            self._is_added = False
            self._loop.kick()
        self._in_flight_max = max(self._in_flight_max, self._in_flight)
        if not is_more and not self._in_flight:
            return False
        self._loop.turn(self._next_ns(is_more=is_more), 0 if self._ready or self._is_added else _LONGEST_WAIT_S)
        self._settle()
        self._connections_max = max(self._connections_max, len(self._loop.open))
        if time.monotonic_ns() >= self._count_ns:
            self._count()
        return True

    def _next_ns(self, *, is_more: bool) -> int:
        """The next moment at which there is something to do but to wait for answers."""
        next_ns = self._count_ns
        if self._asleep:
            next_ns = min(next_ns, self._asleep[0][0])
        if is_more and self._users is not None:
            next_ns = min(next_ns, self._users.next_ns)
        if is_more and self._arrivals is not None and self._has_room():
            next_ns = min(next_ns, self._arrivals.next_ns)
        return next_ns

    def _begin_arrivals(self, now_ns: int, stop: int) -> bool:
        arrivals = self._arrivals
        self._backlog = 0
        if arrivals is None or stop >= _STOP_STARTING:
            return False
        most = self._begun + _AT_ONCE
        while 0 < arrivals.next_ns <= now_ns and self._begun < most and self._has_room():
            number, intended_ns = arrivals.take()
            self._begin(Iteration(number, self._parties.take(), intended_ns))
            if self._is_added:  # at once: what is sent together would all be late for the last of them
                self._is_added = False
                self._loop.kick()
        if 0 < arrivals.next_ns <= now_ns:
            self._backlog = arrivals.backlog(now_ns)
            self._backlog_max = max(self._backlog_max, self._backlog)
        return arrivals.next_ns > 0

    def _has_room(self) -> bool:
        return self._busy < self._busy_limit and self._in_flight < self._flight_limit and not self._waiting

    def _begin_users(self, now_ns: int, stop: int) -> bool:
        users = self._users
        if users is None:
            return False
        is_more = users.look(now_ns) and stop < _STOP_STARTING
        self._goes_on = is_more and users.active <= users.target
        while is_more and users.active < users.target and users.left > 0:
            users.active += 1
            self._begin(Iteration(users.take(), self._parties.take(), time.monotonic_ns()))
        return is_more

    def _wake(self, now_ns: int) -> None:
        """Iterations whose sleep is over: the next step, or the next iteration of a user."""
        asleep = self._asleep
        while asleep and asleep[0][0] <= now_ns:
            intended_ns, _, iteration = heapq.heappop(asleep)
            if iteration.step > self._last_step:
                self._begin_anew(iteration.party)
            else:
                iteration.intended_ns = intended_ns
                self._ready.append(iteration)

    # ---- an iteration ----

    def _begin(self, iteration: Iteration) -> None:
        self._begun += 1
        self._in_flight += 1
        if self._asks_begins and not self._is_simple:
            iteration.state = self._script.begin(iteration.number, iteration.party.number)
        self._send(iteration)

    def _send(self, iteration: Iteration) -> None:
        """Send the step at hand, or wait for a connection to be allowed."""
        if self._busy >= self._busy_limit:
            self._waiting.append(iteration)
            return
        step = iteration.step
        timeout_ns = self._steps[step].timeout_ns
        self._started[step] += 1
        if self._steps[step].request is not None:
            exchange = self._supply.fixed(iteration.party, step)
        else:
            given = self._script.render(iteration.state, step)
            if isinstance(given, Give):
                self._unsent(iteration, given.failure)
                return
            exchange = self._supply.rendered(iteration.party, step, given)
            if exchange is not None:
                set_timeout(exchange, timeout_ns)
        if exchange is None:
            self._unsent(iteration, Failure.REQUEST_INVALID)
            return
        self._start(exchange, iteration)
        iteration.begun_ns = exchange.started_ns
        iteration.deadline_ns = exchange.started_ns + timeout_ns if timeout_ns else 0
        if self._users is not None and not step:
            iteration.intended_ns = exchange.started_ns

    def _start(self, exchange: Exchange, iteration: Iteration) -> None:
        exchange.iteration = iteration
        exchange.started_ns = time.monotonic_ns()
        self._busy += 1
        self._loop.multi.add_handle(exchange.easy)
        self._is_added = True

    def _follow(self, step: int, iteration: Iteration, given: bytes | Outgoing) -> None:
        """Send what the script gave for an answer (a redirect)."""
        left_ns = iteration.deadline_ns - time.monotonic_ns() if iteration.deadline_ns else 0
        if left_ns < 0:
            self._unsent(iteration, Failure.READ_TIMEOUT)
            return
        exchange = self._supply.rendered(iteration.party, step, given)
        if exchange is None:
            self._unsent(iteration, Failure.REQUEST_INVALID)
            return
        set_timeout(exchange, left_ns)
        self._start(exchange, iteration)

    def _unsent(self, iteration: Iteration, failure: Failure) -> None:
        """A request that the script would not or could not give, or for which no time is left."""
        iteration.marks |= Mark.ITERATION_FAILED
        iteration.service_ns += iteration.before_ns
        if iteration.hops:
            self._pack_hops(iteration.hops, is_answered=False)
        self._pack(
            iteration.number, iteration.intended_ns, time.monotonic_ns(), 0, iteration.service_ns,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, iteration.step, iteration.marks | self._place(iteration), failure,
        )  # fmt: skip
        self._advance(iteration)

    def _advance(self, iteration: Iteration) -> None:
        """On to the next step, or to the iteration's end."""
        low_ns, high_ns = self._steps[iteration.step].sleep_ns
        iteration.step += 1
        iteration.before_ns = 0
        iteration.intended_ns = time.monotonic_ns()
        if iteration.step > self._last_step:
            self._end(iteration)
            if self._users is None or not self._goes_on:
                self._leave(iteration.party)
                return
        if high_ns:
            wake_ns = iteration.intended_ns + self._random.randint(low_ns, high_ns)
            heapq.heappush(self._asleep, (wake_ns, next(self._order), iteration))
        elif iteration.step > self._last_step:
            self._begin_anew(iteration.party)
        else:
            self._ready.append(iteration)

    def _end(self, iteration: Iteration) -> None:
        self._in_flight -= 1
        if self._hangs_up:
            self._parties.part(iteration.party)
        if self._asks_ends:
            self._script.end(iteration.state)

    def _begin_anew(self, party: Party) -> None:
        """A user's next iteration, if there is to be one."""
        users = self._users
        if users is None or users.left <= 0 or not self._goes_on or users.active > users.target:
            self._leave(party)
            return
        if self._hangs_up:
            self._parties.renew(party)
        iteration = Iteration(users.take(), party, time.monotonic_ns())
        self._begun += 1
        self._in_flight += 1
        if self._asks_begins and not self._is_simple:
            iteration.state = self._script.begin(iteration.number, party.number)
        self._ready.append(iteration)

    def _leave(self, party: Party) -> None:
        if self._users is not None:
            self._users.active -= 1
        self._parties.give_back(party)

    # ---- answers ----

    def _settle(self) -> None:
        """Take everything that libcurl has finished."""
        exchange_of = self._supply.of
        queued = 1
        while queued:
            queued, done, broken = self._loop.multi.info_read()
            if self._is_simple and self._goes_on:
                done = self._settle_simple(done)
            for easy in done:
                self._answered(exchange_of[easy])
            for easy, code, text in broken:
                self._broke(exchange_of[easy], code, text)
        while self._waiting and self._busy < self._busy_limit:
            self._send(self._waiting.popleft())

    def _answered(self, exchange: Exchange) -> None:
        easy = exchange.easy
        iteration = self._detach(exchange)
        status = easy.getinfo(RESPONSE_CODE)
        if not easy.getinfo(SIZE_DOWNLOAD_T) and is_cut(exchange):
            self._break_off(exchange, iteration, Failure.CONNECTION_CLOSED)
            return
        if exchange.shows:
            if exchange.shows == Shows.ALWAYS or status in _REDIRECTS:
                self._show(exchange, iteration, status)
                return
            exchange.chunks.clear()
        self._row(exchange, iteration, status, 0, 0)
        exchange.home.append(exchange)
        self._advance(iteration)

    def _settle_simple(self, done: list[Any]) -> list[Any]:
        """The shortest way from an answer to the next request; what is not simple is given back.

        A user of a plan with one step, without script and sleep, whose answer came over a kept connection. This is the
        hot path of this transport, at full speed nearly all of its Python: written out, with everything in locals.
        """
        users = self._users
        if users is None or users.left < len(done):
            return done
        remove, add, now = self._loop.multi.remove_handle, self._loop.multi.add_handle, time.monotonic_ns
        exchange_of, buffer, row = self._supply.of, self._buffer, self._rows
        number, stride = users.next_number, users.stride
        others = []
        for easy in done:
            exchange = exchange_of[easy]
            get = exchange.get
            status, body_bytes = get(RESPONSE_CODE), get(SIZE_DOWNLOAD_T)
            is_simple = body_bytes and exchange.is_simple and not get(NUM_CONNECTS)
            if not is_simple or row == CAPACITY or (status in _REDIRECTS and exchange.shows):
                others.append(easy)
                continue
            remove(easy)
            started_ns, total = exchange.started_ns, get(TOTAL_TIME_T)
            iteration: Iteration = exchange.iteration
            PACK(
                buffer, row * ROW_BYTES, iteration.number, started_ns, started_ns, 0, total * 1000,
                get(HEADER_SIZE) + body_bytes, exchange.sent_bytes, total, get(STARTTRANSFER_TIME_T),
                get(POSTTRANSFER_TIME_T), 0, 0, 0, 0, 0, status, 0, exchange.marks | _WHOLE, 0,
            )  # fmt: skip
            row += 1
            if exchange.hears:
                exchange.lines.clear()
            iteration.number = number
            iteration.intended_ns = iteration.begun_ns = exchange.started_ns = now()
            number += stride
            add(easy)
        begun = len(done) - len(others)
        users.take(begun)
        self._rows = row
        self._begun += begun
        self._started[0] += begun
        self._is_added = self._is_added or begun > 0
        if row == CAPACITY:
            self._count()
        return others

    def _detach(self, exchange: Exchange) -> Iteration:
        """Take a transfer that is over out of the multi; whose it was."""
        iteration: Iteration = exchange.iteration
        exchange.iteration = None
        if self._hangs_up and not exchange.is_closed_after:
            fd = exchange.easy.getinfo(pycurl.ACTIVESOCKET)  # libcurl knows it only as long as it is in the multi
            if inode := inode_of(fd):
                iteration.party.connections[fd] = inode
        self._loop.multi.remove_handle(exchange.easy)
        self._busy -= 1
        return iteration

    def _show(self, exchange: Exchange, iteration: Iteration, status: int) -> None:
        head, body = final_head(exchange.lines), b"".join(exchange.chunks)
        exchange.chunks.clear()
        if self._is_simple and not iteration.before_ns:  # begun for the first answer that is shown
            iteration.state = self._script.begin(iteration.number, iteration.party.number)
        service_ns = iteration.before_ns + exchange.easy.getinfo(TOTAL_TIME_T) * 1000
        verdict = self._script.inspect(iteration.state, exchange.step, status, head, body, service_ns)
        if verdict is True or verdict is False:
            marks = 0
            if not verdict:
                iteration.marks |= Mark.ITERATION_ASSERTION_FAILED
                marks = Mark.ASSERTION_FAILED
            self._row(exchange, iteration, status, 0, marks)
        elif isinstance(verdict, Give):
            self._fail(exchange, iteration, verdict.failure)
        else:
            self._row(exchange, iteration, status, 0, Mark.HOP)
            exchange.home.append(exchange)
            self._follow(exchange.step, iteration, verdict)
            return
        exchange.home.append(exchange)
        self._advance(iteration)

    def _broke(self, exchange: Exchange, code: int, text: str) -> None:
        easy, endpoint = exchange.easy, exchange.endpoint
        iteration = self._detach(exchange)
        failure = classify(
            Broken(
                easy,
                code,
                text,
                is_tls=endpoint.is_tls,
                has_proxy=endpoint.proxy is not None,
                is_tunnelled=exchange.is_tunnelled,
                is_named=bool(exchange.marks & Mark.NAMED),
                is_http2=endpoint.http is Http.TWO,
            )
        )
        self._break_off(exchange, iteration, failure)

    def _break_off(self, exchange: Exchange, iteration: Iteration, failure: Failure) -> None:
        """No answer, or none that is whole."""
        exchange.chunks.clear()
        self._fail(exchange, iteration, failure)
        if exchange.shows == Shows.ALWAYS:
            self._script.fail(iteration.state, exchange.step, failure)
        exchange.home.append(exchange)
        self._advance(iteration)

    def _fail(self, exchange: Exchange, iteration: Iteration, failure: Failure) -> None:
        iteration.marks |= Mark.ITERATION_FAILED
        self._row(exchange, iteration, 0, failure, 0)

    def _give_up(self) -> None:
        """The run was ended: what is still under way is cancelled."""
        for exchange in self._supply.of.values():
            if exchange.iteration is not None:
                iteration = self._detach(exchange)
                iteration.step = self._last_step
                self._fail(exchange, iteration, Failure.CANCELLED)
                self._end(iteration)
        for iteration in [*self._ready, *self._waiting, *(one for _, _, one in self._asleep)]:
            if iteration.step <= self._last_step:
                self._records.count_cancelled()
                self._end(iteration)

    # ---- the books ----

    def _place(self, iteration: Iteration) -> int:
        """Whether the step at hand is the first of its iteration, or the last."""
        if not self._last_step:
            return Mark.FIRST | Mark.LAST
        if iteration.step == 0:
            return Mark.FIRST
        return Mark.LAST if iteration.step == self._last_step else 0

    def _row(self, exchange: Exchange, iteration: Iteration, status: int, failure: int, flags: int) -> None:
        """Pack what libcurl measured."""
        get = exchange.easy.getinfo
        total = get(TOTAL_TIME_T)
        connects = get(NUM_CONNECTS)
        sent_bytes = exchange.sent_bytes
        secured = connected = resolved = 0
        flags |= exchange.marks
        if connects:
            secured, connected, resolved = get(APPCONNECT_TIME_T), get(CONNECT_TIME_T), get(NAMELOOKUP_TIME_T)
            if exchange.is_tunnelled and not secured:
                connected = get(PRETRANSFER_TIME_T)  # libcurl's ends before the proxy's answer
            if 2 * get(REQUEST_SIZE) > 3 * sent_bytes > 0:  # sent twice: the kept connection was closed meanwhile
                flags |= Mark.RETRIED
                sent_bytes *= 2
        queued = 0
        if exchange.is_multiplexed:
            # libcurl adds up its queue's time each time that a request is queued, all of it from the start.
            queued = min(get(QUEUE_TIME_T), resolved or connected) if connects else get(PRETRANSFER_TIME_T)
            if get(pycurl.INFO_HTTP_VERSION) == _HTTP2:
                flags |= Mark.HTTP2
        # libcurl counts a proxy's answer to CONNECT as header, too.
        head_bytes = sum(map(len, exchange.lines)) if exchange.is_tunnelled else get(HEADER_SIZE)
        received_bytes = head_bytes + get(SIZE_DOWNLOAD_T)
        exchange.lines.clear()
        before_ns, service_ns = iteration.before_ns, (total - queued) * 1000
        if not flags & Mark.HOP:
            iteration.service_ns += before_ns + service_ns
            flags |= iteration.marks | self._place(iteration)
        row = (
            iteration.number, iteration.intended_ns, iteration.begun_ns, before_ns, iteration.service_ns,
            received_bytes, sent_bytes, total, get(STARTTRANSFER_TIME_T), get(POSTTRANSFER_TIME_T),
            secured, connected, resolved, queued, connects, status, exchange.step, flags, failure,
        )  # fmt: skip
        if flags & Mark.HOP:
            iteration.before_ns += service_ns
            iteration.hops.append(row)
            return
        if iteration.hops:
            self._pack_hops(iteration.hops, is_answered=not failure)
        self._pack(*row)

    def _pack_hops(self, hops: list[tuple[int, ...]], *, is_answered: bool) -> None:
        """The hops of a chain stand right before its last row, in the same block of rows."""
        if self._rows + len(hops) >= CAPACITY:
            self._count()
        for *values, flags, failure in hops:
            self._pack(*values, flags if is_answered else flags | Mark.UNTIMED, failure)
        hops.clear()

    def _pack(self, *values: int) -> None:
        PACK(self._buffer, self._rows * ROW_BYTES, *values)
        self._rows += 1
        if self._rows == CAPACITY:
            self._count()

    def _count(self) -> None:
        """Bring the block up to date."""
        self._count_ns = time.monotonic_ns() + _COUNT_EVERY_NS
        for step, started in enumerate(self._started):
            self._records.steps[step]["started"] = started
        self._records.count_begun(self._begun, self._backlog, self._backlog_max)
        self._records.count_in_flight(self._in_flight, self._in_flight_max)
        self._records.count_connections(self._loop.look(), self._connections_max)
        rows, self._rows = self._rows, 0  # last: whoever reads meanwhile sees nothing answered that was not begun
        self._records.count(rows)
