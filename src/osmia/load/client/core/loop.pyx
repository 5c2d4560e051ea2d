# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The loop: one thread, one epoll, every connection and iteration of a worker.

An iteration goes through its steps: *placed* on a connection from the pool (or one that is opened for it), its request
sent, its answer read and counted, then the next step or, after the last, the next iteration of its user. While it has
no request it sleeps (an alarm), waits (no connection may be had) or is to be settled (its request failed or is to be
sent again). Failures are only noted where they happen and settled once a turn: whatever the target does, no function
calls itself through another, and a target that refuses everything cannot keep the loop from looking at its clock.

Sockets are registered once, edge-triggered: a request on a kept connection costs one send, one recv and its share of
an epoll_pwait2. Reading ends with the answer, since an answer is the last that may come; what comes after it makes an
event of its own. All bytes are read into one buffer of the loop. A connection that is closed keeps its struct until
the turn is over, so that no event of the turn finds another in its place.

Nothing takes the GIL but calls of the script, new blocks of arrivals and a look at signals ten times a second. It is
held from the first of these in a turn to the next wait.

This is one idea and therefore one file; what could be taken out of it is in `lists`, `counting`, `waiting`, `wire`
(inline), `http1`, `tls`, `http2`, `resolver`, `script` and `targets`.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport (
    EADDRNOTAVAIL,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    EINPROGRESS,
    EMFILE,
    ENETUNREACH,
    ENFILE,
    ETIMEDOUT,
    errno,
)
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from osmia.load.client.core.connection cimport (
    Answer,
    CONNECTION_BUSY,
    CONNECTION_CONNECTING,
    CONNECTION_FREE,
    CONNECTION_HANDSHAKING,
    CONNECTION_IDLE,
    CONNECTION_RESOLVING,
    CONNECTION_TUNNELLING,
    Connection,
    Http1,
    Iteration,
    Target,
    User,
    WIRE_DONE,
    WIRE_END,
    WIRE_FAILED,
    WIRE_WANTS_READ,
    WIRE_WANTS_WRITE,
    buffer_add,
    buffer_clear,
    sockaddr_storage,
    socklen_t,
)
from osmia.load.client.core.counting cimport count_answer, count_exchange, count_iteration, fill_sample
from osmia.load.client.core.http1 cimport HTTP1_MORE, HTTP1_WHOLE, http1_begin, http1_end, http1_feed
from osmia.load.client.core.http2 cimport (
    http2_cancel,
    http2_close,
    http2_flush,
    http2_is_over,
    http2_is_settled,
    http2_lost,
    http2_open,
    http2_receive,
    http2_submit,
)
from osmia.load.client.core.lists cimport (
    ALARM_CONNECTION,
    ALARM_ITERATION,
    ALARM_USER,
    Alarm,
    Alarms,
    Deadlines,
    Queue,
    alarms_add,
    alarms_free,
    alarms_take,
    attach,
    connections_push,
    connections_remove,
    deadlines_add,
    deadlines_remove,
    detach,
    queue_add,
    queue_remove,
    queue_take,
    shared_push,
    shared_remove,
)
from osmia.load.client.core.resolver cimport resolver_failure, resolver_start, resolver_take
from osmia.load.client.core.script cimport (
    Calls,
    SAID_ASSERTION_FAILED,
    SAID_ERROR,
    SAID_FINE,
    SAID_GIVE,
    SAID_REQUEST,
)
from osmia.load.client.core.tally cimport *
from osmia.load.client.core.targets cimport Targets
from osmia.load.client.core.tls cimport tls_close, tls_handshake, tls_open
from osmia.load.client.core.waiting cimport *
from osmia.load.client.core.wire cimport wire_read, wire_write

import numpy as np

from osmia.load.client.transport import Arrivals, Http, Pool, Shows
from osmia.load.tally import SAMPLE

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState
    PyThreadState *PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState *state)

cdef extern from "sys/socket.h" nogil:
    cdef struct sockaddr:
        pass
    int socket(int family, int kind, int protocol)
    int connect(int fd, sockaddr *address, socklen_t length)
    int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
    int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
    enum:
        SOCK_STREAM
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        SOL_SOCKET
        SO_ERROR

cdef extern from "netinet/in.h" nogil:
    enum:
        IPPROTO_TCP

cdef extern from "netinet/tcp.h" nogil:
    enum:
        TCP_NODELAY

cdef extern from "sys/eventfd.h" nogil:
    int eventfd(unsigned int value, int flags)
    enum:
        EFD_NONBLOCK
        EFD_CLOEXEC

cdef extern from "unistd.h" nogil:
    int close(int fd)
    ssize_t read(int fd, void *into, size_t room)
    int usleep(unsigned int microseconds)

cdef enum:
    INPUT_BYTES = 65536
    MOST_EVENTS = 256
    SLAB = 64  # structs that are allocated together
    MOST_LOOKUPS = 16  # threads at once
    MOST_TUNNEL_BYTES = 65536
    MOST_STREAMS_UNKNOWN = 100  # on an HTTP/2 connection whose server has not said yet (RFC 9113 section 6.5.2)
    MOST_REFUSALS = 3
    SAMPLES = 4096

ctypedef volatile uint64_t volatile_u64
ctypedef volatile uint32_t volatile_u32

cdef uint64_t TICK_NS = 100_000_000
cdef uint64_t FRESH_NS = 1_000_000_000  # for so long an address is not looked up again
cdef uint64_t NEXT_ADDRESS_NS = 300_000_000  # then the next one is tried (RFC 8305 has 250 ms)
cdef uint64_t NEVER = 0xFFFFFFFFFFFFFFFF

cdef enum IterationState:
    ITERATION_FREE = 0
    ITERATION_SLEEPING = 1  # between two steps
    ITERATION_WAITING = 2  # for a connection
    ITERATION_PLACED = 3
    ITERATION_SETTLING = 4  # failed, or to be sent again
    ITERATION_RESTING = 5  # of a virtual user, between two iterations

cdef enum PoolKind:
    POOL_SHARED = 0
    POOL_USER_NEW = 1
    POOL_USER_KEPT = 2

cdef enum ShowKind:
    SHOWS_NEVER = 0
    SHOWS_REDIRECTS = 1
    SHOWS_ALWAYS = 2

cdef struct Step:
    Target *target
    const uint8_t *request
    size_t request_bytes
    uint64_t timeout_ns
    uint64_t sleep_ns
    uint64_t sleep_more_ns
    Deadlines deadlines
    uint8_t shows
    uint8_t keeps_body
    uint8_t is_head
    uint8_t is_closed_after

cdef struct Block:
    # Arrivals as the shape gave them.
    Block *next
    size_t count
    int64_t at_ns[1]

cdef struct Change:
    uint64_t at_ns
    uint64_t users


@cython.final
cdef class Loop:
    """A worker's share of a run. Everything that lives as long as the loop is freed with it."""

    # ---- the work ----
    cdef object _work
    cdef object _kept  # Python objects whose memory is used
    cdef Calls _calls
    cdef Targets _targets
    cdef const uint8_t[::1] _block_view
    cdef RunTally *run
    cdef StepTally *tallies
    cdef Step *steps
    cdef uint32_t step_count
    cdef uint8_t pool
    cdef bint calls_begin
    cdef bint calls_end
    cdef uint64_t max_connections
    cdef uint64_t max_in_flight
    cdef uint64_t max_body_bytes
    cdef uint32_t max_head_bytes
    cdef uint64_t random
    # ---- waiting ----
    cdef int epoll
    cdef int wake_fd
    cdef int timer_fd
    cdef PyThreadState *saved
    cdef uint8_t *input
    cdef epoll_event events[MOST_EVENTS]
    cdef Alarms alarms
    cdef uint64_t deadline_ns  # no deadline is earlier
    cdef uint64_t schedule_ns  # nothing of the schedule is earlier
    cdef uint64_t tick_ns
    cdef unsigned long slack
    # ---- connections, iterations, users ----
    cdef Connection **connections
    cdef uint32_t connection_slabs
    cdef Connection *free_connections
    cdef Connection *closed_connections  # their structs may be used again after this turn
    cdef Connection *dirty_connections  # HTTP/2: flushed at the end of the turn
    cdef uint64_t idle_count
    cdef uint32_t evict_at
    cdef uint32_t lookups
    cdef Iteration **iterations
    cdef uint32_t iteration_slabs
    cdef Iteration *free_iterations
    cdef Queue waiting
    cdef Queue settling
    cdef User *free_users
    cdef User **users_made
    cdef uint32_t user_count
    # ---- the schedule ----
    cdef bint is_open
    cdef object _blocks
    cdef Block *due_block  # where the next arrival is that is not due yet
    cdef size_t due_at
    cdef Block *start_block  # where the next one is that was not started
    cdef size_t start_at
    cdef bint is_exhausted
    cdef Change *changes
    cdef size_t change_count
    cdef size_t change_at
    cdef uint64_t users_wanted
    cdef uint64_t users_active
    cdef uint64_t ends_ns
    cdef uint64_t most_iterations
    cdef uint64_t begun
    cdef uint64_t first_number
    cdef uint64_t stride
    cdef uint64_t zero_ns
    cdef bint is_draining
    cdef bint is_ending  # at once
    # ---- samples ----
    cdef object _on_samples
    cdef object _samples
    cdef SampleRow *samples
    cdef uint32_t sample_count
    cdef uint64_t samples_ns

    def __cinit__(self):
        self.epoll = self.wake_fd = self.timer_fd = -1
        self.saved = NULL

    def __init__(self, work):
        self._work = work
        self._kept = []
        self._targets = Targets()
        self._calls = Calls(work.script, self._targets)
        self._block_view = work.block
        self.run = <RunTally *>&self._block_view[0]
        self.tallies = <StepTally *>(<uint8_t *>self.run + sizeof(RunTally))
        self._take_limits(work)
        self._take_steps(work)
        self._take_load(work.load)
        self._take_samples(work.on_samples)
        self._open_descriptors()

    def __dealloc__(self):
        self._close_everything()

    # ---- from the work's Python values ----

    def _take_limits(self, work):
        self.pool = int(work.pool)
        self.max_connections = max(1, work.max_connections)
        self.max_in_flight = work.max_in_flight
        self.max_body_bytes = work.max_body_bytes
        self.max_head_bytes = min(work.max_head_bytes, 1 << 30)
        self.calls_end = work.asks_ends
        self.random = (work.seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) & 0xFFFFFFFFFFFFFFFF or 1

    def _take_steps(self, work):
        cdef Step *step
        cdef const uint8_t[::1] request
        self.step_count = len(work.steps)
        self.steps = <Step *>calloc(max(1, self.step_count), sizeof(Step))
        if self.steps == NULL:
            raise MemoryError
        self.calls_begin = self.calls_end
        for number, wire in enumerate(work.steps):
            step = &self.steps[<uint32_t>number]
            step.target = self._targets.find(wire.endpoint)
            if wire.request is not None:
                request = wire.request
                self._kept.append(wire.request)
                step.request = &request[0]
                step.request_bytes = len(request)
            step.shows = int(wire.shows)
            step.keeps_body = wire.keeps_body and wire.shows != Shows.NEVER
            step.is_head = wire.is_head
            step.is_closed_after = wire.is_closed_after
            step.timeout_ns = wire.timeout_ns
            step.sleep_ns = wire.sleep_ns[0]
            step.sleep_more_ns = max(0, wire.sleep_ns[1] - wire.sleep_ns[0])
            if wire.request is None or wire.shows == Shows.ALWAYS:
                self.calls_begin = True

    def _take_load(self, load):
        self.first_number = load.first
        self.stride = load.stride
        self.is_open = isinstance(load, Arrivals)
        self.most_iterations = NEVER
        if self.is_open:
            self._blocks = iter(load.blocks)
            return
        self.change_count = len(load.changes)
        self.changes = <Change *>calloc(max(1, self.change_count), sizeof(Change))
        if self.changes == NULL:
            raise MemoryError
        for number, (at_ns, users) in enumerate(load.changes):
            self.changes[<size_t>number].at_ns = at_ns
            self.changes[<size_t>number].users = users
        self.ends_ns = load.duration_ns
        if load.count is not None:
            self.most_iterations = load.count

    def _take_samples(self, on_samples):
        cdef uint8_t[::1] memory
        self._on_samples = on_samples
        if on_samples is None:
            return
        self._samples = np.zeros(SAMPLES, dtype=SAMPLE)
        memory = self._samples.view(np.uint8)
        self.samples = <SampleRow *>&memory[0]

    def _open_descriptors(self):
        cdef epoll_event event
        self.input = <uint8_t *>malloc(INPUT_BYTES)
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.input == NULL or self.epoll < 0 or self.wake_fd < 0:
            raise OSError(errno, "epoll or eventfd cannot be had")
        event.events = EPOLLIN | EPOLLET
        event.data.ptr = &self.wake_fd
        epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.wake_fd, &event)

    cdef void _close_everything(self) noexcept:
        cdef uint32_t i
        cdef Block *block = self.start_block
        cdef Block *next_block
        if self.iterations != NULL:
            self._free_iterations()
        self._free_connections()
        for i in range(self.user_count):
            free(self.users_made[i])
        free(self.users_made)
        while block != NULL:
            next_block = block.next
            free(block)
            block = next_block
        alarms_free(&self.alarms)
        free(self.changes)
        free(self.steps)
        free(self.input)
        for fd in (self.epoll, self.wake_fd, self.timer_fd):
            if fd >= 0:
                close(fd)

    cdef void _free_iterations(self) noexcept:
        cdef uint32_t i
        cdef uint32_t j
        cdef Iteration *it
        for i in range(self.iteration_slabs):
            for j in range(SLAB):
                it = &self.iterations[i][j]
                self._calls.forget(it)
                buffer_clear(&it.answer.head, 0)
                buffer_clear(&it.answer.body, 0)
            free(self.iterations[i])
        free(self.iterations)

    cdef void _free_connections(self) noexcept:
        cdef uint32_t i
        cdef uint32_t j
        cdef Connection *c
        for i in range(self.connection_slabs):
            for j in range(SLAB):
                c = &self.connections[i][j]
                if c.state != CONNECTION_FREE:
                    self._hang_up(c)
                buffer_clear(&c.out, 0)
                buffer_clear(&c.tunnel, 0)
            free(self.connections[i])
        free(self.connections)

    # ---- the run ----

    def go(self):
        """Run the share to its end; raises what the script raised."""
        self.run.state = STATE_READY
        self.slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
        self.saved = PyEval_SaveThread()
        try:
            if self._await_zero():
                self._turns()
            self._cancel_everything(clock_ns())
            self._flush_samples()
        finally:
            self._hold()
            prctl(PR_SET_TIMERSLACK, self.slack, 0, 0, 0)
            self.run.cpu_ns = osmia_clock(CLOCK_PROCESS_CPUTIME_ID)
            self.run.in_flight = self.run.backlog = 0
            self._hang_up_all()
            self.run.state = STATE_DONE
        if self._calls.error is not None:
            raise self._calls.error

    cdef inline void _hold(self) noexcept nogil:
        """Take the GIL until the next wait."""
        if self.saved != NULL:
            PyEval_RestoreThread(self.saved)
            self.saved = NULL

    cdef inline void _let_go(self) noexcept nogil:
        if self.saved == NULL:
            self.saved = PyEval_SaveThread()

    cdef bint _await_zero(self) noexcept nogil:
        """Until the engine has set the beginning; False if it has changed its mind."""
        cdef uint64_t tick_ns = 0
        while (<volatile_u64 *>&self.run.zero_ns)[0] == 0:
            if (<volatile_u32 *>&self.run.stop)[0] or self.is_ending:
                return False
            if clock_ns() >= tick_ns:
                tick_ns = clock_ns() + TICK_NS
                self._hold()
                self._look_at_signals()
                self._let_go()
            usleep(200)
        self.zero_ns = self.run.zero_ns
        self.run.state = STATE_RUNNING
        self.schedule_ns = 0
        self.deadline_ns = NEVER
        if self.is_open:
            self._next_block()
        else:
            self.ends_ns += self.zero_ns
        return True

    cdef void _look_at_signals(self) noexcept with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as exc:  # noqa: BLE001 - raised by go()
            self._give_up(exc)

    cdef void _give_up(self, object exc) noexcept:
        """The run ends with this exception."""
        self._calls.set_error(exc)
        self.is_ending = True

    cdef void _turns(self) noexcept nogil:
        cdef uint64_t now_ns = clock_ns()
        cdef int got
        cdef int i
        while not self._is_over():
            self._let_go()
            got = wait_for_events(self.epoll, &self.timer_fd, self.events, MOST_EVENTS, self._wait_ns(now_ns))
            now_ns = clock_ns()
            if now_ns >= self.schedule_ns:
                self._schedule(now_ns)
            for i in range(got):
                now_ns = self._on_event(&self.events[i], now_ns)
                if now_ns >= self.schedule_ns:
                    self._schedule(now_ns)
            self._settle(now_ns)
            self._ring(now_ns)
            if now_ns >= self.deadline_ns:
                self._expire(now_ns)
            if now_ns >= self.tick_ns:
                self._tick(now_ns)
            self._flush_streams()
            self._reuse_closed()

    cdef inline bint _is_over(self) noexcept nogil:
        cdef uint32_t stop = (<volatile_u32 *>&self.run.stop)[0]
        if stop and not self.is_draining:
            self._drain()
        if stop > 1 or self.is_ending:
            return True
        if self.run.in_flight:
            return False
        if self.is_draining:
            return True
        return self.is_open and self.is_exhausted and self.run.backlog == 0

    cdef void _drain(self) noexcept nogil:
        """Start nothing new."""
        self.is_draining = True
        self.run.state = STATE_DRAINING
        self.run.backlog = 0
        self.schedule_ns = NEVER

    cdef inline uint64_t _wait_ns(self, uint64_t now_ns) noexcept nogil:
        cdef uint64_t at_ns = self.tick_ns
        if self.settling.first != NULL:
            return 0
        if self.schedule_ns < at_ns:
            at_ns = self.schedule_ns
        if self.deadline_ns < at_ns:
            at_ns = self.deadline_ns
        if self.alarms.count and self.alarms.heap[0].at_ns < at_ns:
            at_ns = self.alarms.heap[0].at_ns
        now_ns = clock_ns()
        return at_ns - now_ns if at_ns > now_ns else 0

    cdef void _tick(self, uint64_t now_ns) noexcept nogil:
        """Ten times a second: what nobody waits for."""
        self.tick_ns = now_ns + TICK_NS
        self.run.cpu_ns = osmia_clock(CLOCK_PROCESS_CPUTIME_ID)
        self._hold()
        self._look_at_signals()
        if now_ns >= self.samples_ns:
            self.samples_ns = now_ns + 10 * TICK_NS
            self._flush_samples()

    # ---- the schedule ----

    cdef void _schedule(self, uint64_t now_ns) noexcept nogil:
        """Arrivals and changes whose time has come."""
        if self.is_draining:
            self.schedule_ns = NEVER
        elif self.is_open:
            self._count_due(now_ns)
            self._begin_due(now_ns)
        else:
            self._change_users(now_ns)

    cdef void _count_due(self, uint64_t now_ns) noexcept nogil:
        cdef uint64_t at_ns
        while not self.is_exhausted:
            at_ns = self.zero_ns + <uint64_t>self.due_block.at_ns[self.due_at]
            if at_ns > now_ns:
                self.schedule_ns = at_ns
                break
            self.run.iterations_due += 1
            self.run.backlog += 1
            self.due_at += 1
            if self.due_at == self.due_block.count:
                self._next_block()
        if self.is_exhausted:
            self.schedule_ns = NEVER

    cdef void _next_block(self) noexcept nogil:
        self._hold()
        self._pull_block()
        if self.is_exhausted and self.due_block != NULL:
            self.due_at = self.due_block.count

    cdef void _pull_block(self) noexcept with gil:
        """The next arrivals; blocks behind the one that is being started are freed there."""
        cdef const int64_t[::1] values
        cdef Block *block
        try:
            while True:
                given = next(self._blocks, None)
                if given is None:
                    self.is_exhausted = True
                    return
                values = np.ascontiguousarray(given, dtype=np.int64)
                if values.shape[0]:
                    break
        except BaseException as exc:  # noqa: BLE001 - raised by go()
            self.is_exhausted = True
            self._give_up(exc)
            return
        block = <Block *>malloc(sizeof(Block) + values.shape[0] * sizeof(int64_t))
        if block == NULL:
            self.is_exhausted = True
            self._give_up(MemoryError())
            return
        block.next = NULL
        block.count = values.shape[0]
        memcpy(block.at_ns, &values[0], values.shape[0] * sizeof(int64_t))
        if self.due_block != NULL:
            self.due_block.next = block
        else:
            self.start_block = block
        self.due_block = block
        self.due_at = 0

    cdef void _begin_due(self, uint64_t now_ns) noexcept nogil:
        """Start what is due as far as the limits let."""
        cdef Iteration *it
        cdef Block *block
        cdef uint64_t intended_ns
        while self.run.backlog and not self.is_ending and self._may_begin():
            block = self.start_block
            if self.start_at == block.count:
                self.start_block = block.next
                self.start_at = 0
                free(block)
                block = self.start_block
            it = self._new_iteration()
            if it == NULL:
                return
            intended_ns = self.zero_ns + <uint64_t>block.at_ns[self.start_at]
            self.start_at += 1
            self.run.backlog -= 1
            self.run.lag[histogram_bucket(now_ns - intended_ns)] += 1
            if self.pool != POOL_SHARED:
                it.user = self._take_user()
            self._begin(it, intended_ns, now_ns)
            now_ns = clock_ns()
        if self.run.backlog > self.run.backlog_max:
            self.run.backlog_max = self.run.backlog

    cdef inline bint _may_begin(self) noexcept nogil:
        if self.max_in_flight and self.run.in_flight >= self.max_in_flight:
            return False
        if self.waiting.first != NULL or self.is_draining:
            return False
        return self._has_room(self.steps[0].target)

    cdef void _change_users(self, uint64_t now_ns) noexcept nogil:
        cdef Iteration *it
        if now_ns >= self.ends_ns:
            self._drain()
            return
        while self.change_at < self.change_count:
            if self.zero_ns + self.changes[self.change_at].at_ns > now_ns:
                break
            self.users_wanted = self.changes[self.change_at].users
            self.change_at += 1
        self.schedule_ns = self.ends_ns
        if self.change_at < self.change_count:
            self.schedule_ns = min(self.ends_ns, self.zero_ns + self.changes[self.change_at].at_ns)
        while self.users_active < self.users_wanted and self.begun < self.most_iterations:
            it = self._new_iteration()
            if it == NULL:
                return
            self.users_active += 1
            if self.pool != POOL_SHARED:
                it.user = self._take_user()
            self.run.iterations_due += 1
            now_ns = clock_ns()
            self._begin(it, now_ns, now_ns)
        if self.begun >= self.most_iterations and not self.is_draining:
            self._drain()

    # ---- iterations ----

    cdef void _begin(self, Iteration *it, uint64_t intended_ns, uint64_t now_ns) noexcept nogil:
        cdef RunTally *run = self.run
        it.number = self.first_number + self.begun * self.stride
        self.begun += 1
        it.step = 0
        it.has_failed = it.has_failed_assertion = False
        it.duration_ns = 0
        if run.first_ns == 0:
            run.first_ns = now_ns
        run.iterations_started += 1
        run.in_flight += 1
        if run.in_flight > run.in_flight_max:
            run.in_flight_max = run.in_flight
        if self.calls_begin:
            self._begin_script(it)
        self._start_step(it, intended_ns, now_ns)

    cdef void _begin_script(self, Iteration *it) noexcept nogil:
        """Ask the script for the iteration's state: at its start, or, where only redirects are shown, at the first."""
        self._hold()
        if self._calls.begin(it, it.user.number if self.pool == POOL_USER_KEPT else -1) == SAID_ERROR:
            self.is_ending = True

    cdef void _start_step(self, Iteration *it, uint64_t intended_ns, uint64_t now_ns) noexcept nogil:
        cdef Step *step = &self.steps[it.step]
        it.intended_ns = intended_ns
        it.started_ns = 0
        it.failure = NO_FAILURE
        it.flags = 0
        it.is_retry = False
        it.refusals = 0
        it.received_bytes = 0
        it.sent_bytes = 0
        it.target = step.target
        memset(it.phase_ns, 0, sizeof(it.phase_ns))
        it.answer.keeps_head = step.shows != SHOWS_NEVER
        it.answer.keeps_body = step.keeps_body
        it.answer.is_head = step.is_head
        http1_begin(&it.answer, &it.parser)
        self.tallies[it.step].started += 1
        if step.request != NULL:
            it.request = step.request
            it.request_bytes = step.request_bytes
        elif not self._render(it):
            self._start_clock(it, clock_ns())
            self._defer(it, it.failure)
            return
        else:
            now_ns = clock_ns()
        self._place(it, now_ns)

    cdef bint _render(self, Iteration *it) noexcept nogil:
        cdef int said
        self._hold()
        said = self._calls.render(it)
        if said == SAID_ERROR:
            self.is_ending = True
            it.failure = CANCELLED
        return said == SAID_REQUEST

    cdef inline void _start_clock(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        cdef Step *step = &self.steps[it.step]
        it.started_ns = it.hop_ns = now_ns
        if step.timeout_ns:
            deadlines_add(&step.deadlines, it, now_ns + step.timeout_ns)
            if it.deadline_ns < self.deadline_ns:
                self.deadline_ns = it.deadline_ns

    cdef void _advance(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        """The step has ended, with an answer or without: rest, then the next."""
        cdef Step *step = &self.steps[it.step]
        cdef uint64_t sleep_ns = step.sleep_ns
        if step.sleep_more_ns:
            sleep_ns += self._draw() % (step.sleep_more_ns + 1)
        it.step += 1
        if it.step == self.step_count:
            self._finish(it, sleep_ns, now_ns)
        elif sleep_ns:
            it.state = ITERATION_SLEEPING
            self._set_alarm(ALARM_ITERATION, it, it.generation, now_ns + sleep_ns)
        else:
            self._start_step(it, now_ns, now_ns)

    cdef inline uint64_t _draw(self) noexcept nogil:
        """xorshift64* (Marsaglia 2003, Vigna 2016)."""
        self.random ^= self.random >> 12
        self.random ^= self.random << 25
        self.random ^= self.random >> 27
        return self.random * <uint64_t>0x2545F4914F6CDD1D >> 8

    cdef void _finish(self, Iteration *it, uint64_t rest_ns, uint64_t now_ns) noexcept nogil:
        count_iteration(self.run, it, now_ns)
        self.run.in_flight -= 1
        if self.calls_end:
            self._hold()
            if self._calls.end(it) == SAID_ERROR:
                self.is_ending = True
        if it.script != NULL or it.rendered != NULL:
            self._hold()
            self._calls.forget(it)
        if self.pool == POOL_USER_NEW:
            self._close_user(it.user)
        if self.is_open:
            self._free_iteration(it)
            if self.run.backlog and self.waiting.first == NULL:
                self._begin_due(now_ns)
        elif self._goes_on(now_ns):
            if rest_ns:
                it.state = ITERATION_RESTING
                self._set_alarm(ALARM_USER, it, it.generation, now_ns + rest_ns)
            else:
                self.run.iterations_due += 1
                self._begin(it, now_ns, now_ns)
        else:
            self._retire(it)

    cdef inline bint _goes_on(self, uint64_t now_ns) noexcept nogil:
        """Whether a user of the closed model begins anew."""
        if self.begun >= self.most_iterations or now_ns >= self.ends_ns:
            if not self.is_draining:
                self._drain()
        return not self.is_draining and not self.is_ending and self.users_active <= self.users_wanted

    cdef void _retire(self, Iteration *it) noexcept nogil:
        self.users_active -= 1
        if it.user != NULL:
            self._close_user(it.user)
        self._free_iteration(it)

    cdef Iteration *_new_iteration(self) noexcept nogil:
        cdef Iteration *it
        if self.free_iterations == NULL and not self._add_iterations():
            self.is_ending = True
            return NULL
        it = self.free_iterations
        self.free_iterations = it.next
        it.next = NULL
        it.generation += 1
        it.answer.max_body_bytes = self.max_body_bytes
        it.answer.max_head_bytes = self.max_head_bytes
        return it

    cdef bint _add_iterations(self) noexcept nogil:
        cdef uint32_t j
        cdef Iteration **moved = <Iteration **>realloc(
            self.iterations, (self.iteration_slabs + 1) * sizeof(Iteration *))
        cdef Iteration *slab = <Iteration *>calloc(SLAB, sizeof(Iteration))
        if moved != NULL:
            self.iterations = moved
        if moved == NULL or slab == NULL:
            free(slab)
            return False
        self.iterations[self.iteration_slabs] = slab
        self.iteration_slabs += 1
        for j in range(SLAB):
            slab[j].next = self.free_iterations
            self.free_iterations = &slab[j]
        return True

    cdef inline void _free_iteration(self, Iteration *it) noexcept nogil:
        if it.user != NULL:
            it.user.next = self.free_users
            self.free_users = it.user
            it.user = NULL
        it.state = ITERATION_FREE
        it.generation += 1
        it.next = self.free_iterations
        self.free_iterations = it

    cdef User *_take_user(self) noexcept nogil:
        """One that is free, most recently used first, or a new one."""
        cdef User *user = self.free_users
        cdef User **moved
        if user != NULL:
            self.free_users = user.next
            user.next = NULL
            return user
        user = <User *>calloc(1, sizeof(User))
        moved = <User **>realloc(self.users_made, (self.user_count + 1) * sizeof(User *))
        if moved != NULL:
            self.users_made = moved
        if user == NULL or moved == NULL:
            free(user)
            self.is_ending = True
            return self.users_made[0]
        user.number = self.user_count
        self.users_made[self.user_count] = user
        self.user_count += 1
        return user

    cdef void _close_user(self, User *user) noexcept nogil:
        while user.idle != NULL:
            self._close(user.idle)

    # ---- alarms and deadlines ----

    cdef void _set_alarm(self, uint32_t kind, void *what, uint32_t generation, uint64_t at_ns) noexcept nogil:
        cdef Alarm alarm
        alarm.at_ns = at_ns
        alarm.kind = kind
        alarm.what = what
        alarm.generation = generation
        if alarms_add(&self.alarms, alarm) < 0:
            self.is_ending = True

    cdef void _ring(self, uint64_t now_ns) noexcept nogil:
        """What has slept long enough."""
        cdef Alarm alarm
        while self.alarms.count and self.alarms.heap[0].at_ns <= now_ns and not self.is_ending:
            alarm = alarms_take(&self.alarms)
            if alarm.kind == ALARM_CONNECTION:
                self._try_next_address(<Connection *>alarm.what, alarm.generation, now_ns)
                continue
            if (<Iteration *>alarm.what).generation != alarm.generation:
                continue
            now_ns = clock_ns()
            if alarm.kind == ALARM_ITERATION:
                self._start_step(<Iteration *>alarm.what, alarm.at_ns, now_ns)
            elif self._goes_on(now_ns):
                self.run.iterations_due += 1
                self._begin(<Iteration *>alarm.what, alarm.at_ns, now_ns)
            else:
                self._retire(<Iteration *>alarm.what)

    cdef void _expire(self, uint64_t now_ns) noexcept nogil:
        """Give up what has taken too long; only the head of each step's list can."""
        cdef uint32_t i
        cdef Iteration *it
        self.deadline_ns = NEVER
        for i in range(self.step_count):
            it = self.steps[i].deadlines.first
            while it != NULL and it.deadline_ns <= now_ns:
                self._give_up_request(it, self._timeout_failure(it), now_ns)
                it = self.steps[i].deadlines.first
            if it != NULL and it.deadline_ns < self.deadline_ns:
                self.deadline_ns = it.deadline_ns

    cdef int _timeout_failure(self, Iteration *it) noexcept nogil:
        cdef Connection *c = it.connection
        if it.state == ITERATION_WAITING:
            return CONNECTION_TIMEOUT
        if c == NULL:
            return READ_TIMEOUT
        if c.state == CONNECTION_RESOLVING:
            return DNS_TIMEOUT
        if c.state == CONNECTION_CONNECTING or c.state == CONNECTION_TUNNELLING:
            return PROXY_TIMEOUT if c.target.is_proxied else CONNECTION_TIMEOUT
        if c.state == CONNECTION_HANDSHAKING:
            return TLS_TIMEOUT
        return READ_TIMEOUT if it.written_ns else WRITE_TIMEOUT

    cdef void _give_up_request(self, Iteration *it, int failure, uint64_t now_ns) noexcept nogil:
        """Take a request from wherever it is; it is settled with this failure."""
        cdef Connection *c = it.connection
        if it.state == ITERATION_SETTLING:
            it.failure = failure
            deadlines_remove(&self.steps[it.step].deadlines, it)
            return
        if it.state == ITERATION_WAITING:
            queue_remove(&self.waiting, it)
        elif c != NULL:
            self._take_off(c, it)
        self._defer(it, failure)

    cdef void _take_off(self, Connection *c, Iteration *it) noexcept nogil:
        """A request is given up; others on the same connection are not."""
        if it.stream_spare != NULL:
            http2_cancel(c, it)
            self._make_dirty(c)
        elif c.unsubmitted:
            c.unsubmitted -= 1
        detach(it)
        if c.first != NULL:
            return
        if c.h2 != NULL and c.is_used:
            self._release(c)
        else:
            self._close(c)

    # ---- what could not be done at once ----

    cdef void _defer(self, Iteration *it, int failure) noexcept nogil:
        """Settle it at the end of this turn: as failed, or (NO_FAILURE) by sending it again."""
        it.failure = failure
        if failure != NO_FAILURE:
            deadlines_remove(&self.steps[it.step].deadlines, it)
        it.state = ITERATION_SETTLING
        queue_add(&self.settling, it)

    cdef void _settle(self, uint64_t now_ns) noexcept nogil:
        """What was deferred before, and those that wait for a connection."""
        cdef Iteration *last = self.settling.last
        cdef Iteration *it = NULL
        while last != NULL and it != last and not self.is_ending:
            it = queue_take(&self.settling)
            if it.failure == NO_FAILURE:
                self._place(it, clock_ns())
            else:
                self._fail(it, clock_ns())
        while self.waiting.first != NULL and self._has_room(self.waiting.first.target) and not self.is_ending:
            self._place(queue_take(&self.waiting), clock_ns())
        if self.run.backlog:
            self._begin_due(now_ns)

    cdef void _fail(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        """A step has got no answer."""
        self._count_failure(it, now_ns)
        if self.steps[it.step].shows == SHOWS_ALWAYS and not self.is_ending:
            self._hold()
            if self._calls.fail(it) == SAID_ERROR:
                self.is_ending = True
        self._advance(it, now_ns)

    cdef void _count_failure(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        cdef StepTally *tally = &self.tallies[it.step]
        if it.started_ns == 0:
            it.started_ns = now_ns
        it.has_failed = True
        it.received_bytes += it.answer.received_bytes
        tally.failed += 1
        tally.errors[it.failure] += 1
        tally.sent_bytes += it.sent_bytes
        tally.received_bytes += it.received_bytes
        tally.reused += it.flags & SAMPLE_REUSED
        it.duration_ns += now_ns - it.started_ns
        if self.samples != NULL:
            self._add_sample(it, now_ns)

    cdef void _cancel_everything(self, uint64_t now_ns) noexcept nogil:
        """Whatever is still in flight has been given up by the engine."""
        cdef uint32_t i
        cdef uint32_t j
        cdef Iteration *it
        for i in range(self.iteration_slabs):
            for j in range(SLAB):
                it = &self.iterations[i][j]
                if it.state == ITERATION_FREE or it.state == ITERATION_RESTING:
                    continue
                if it.state != ITERATION_SLEEPING:
                    it.failure = CANCELLED
                    self._count_failure(it, now_ns)
                it.has_failed = True
                it.state = ITERATION_FREE
                count_iteration(self.run, it, now_ns)
                self.run.in_flight -= 1

    # ---- connections ----

    cdef bint _has_room(self, Target *target) noexcept nogil:
        """Whether a request could be placed now."""
        if self.idle_count > 0 or self.run.connections < self.max_connections:
            return True
        return target.shared != NULL and self._shared_connection(target) != NULL

    cdef void _place(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        """Find a connection for a request, or let it wait for one."""
        cdef Connection *c = self._take_connection(it)
        if c == NULL:
            it.state = ITERATION_WAITING
            queue_add(&self.waiting, it)
            return
        if it.started_ns == 0:
            self._start_clock(it, now_ns)
        it.written_ns = 0
        it.state = ITERATION_PLACED
        attach(c, it)
        if c.state == CONNECTION_BUSY and (c.http == 1 or c.room or http2_is_settled(c)):
            self._transmit(c, it)
        elif c.state == CONNECTION_FREE:
            self._open(c, it, now_ns)
        if c.first != NULL and it.connection == c and c.is_shared and it.stream_spare == NULL:
            c.unsubmitted += 1

    cdef Connection *_take_connection(self, Iteration *it) noexcept nogil:
        """A kept one, most recently used first, or a new one; NULL where the limit forbids."""
        cdef Connection *c = NULL
        cdef bint is_multiplexed = it.user == NULL and it.target.http == 2 and not it.target.speaks_one
        if is_multiplexed:
            c = self._shared_connection(it.target)
        elif not it.is_retry:
            c = it.target.idle if it.user == NULL else it.user.idle
            while c != NULL and c.target != it.target:
                c = c.next
        if c != NULL:
            if c.state == CONNECTION_IDLE:
                self._leave_pool(c)
                c.state = CONNECTION_BUSY
            return c
        if self.run.connections >= self.max_connections and not self._evict():
            return NULL
        c = self._new_connection(it)
        if is_multiplexed and c != NULL:
            shared_push(&it.target.shared, c)
        return c

    cdef Connection *_shared_connection(self, Target *target) noexcept nogil:
        """One that takes another stream, or will when it is open."""
        cdef Connection *c = target.shared
        while c != NULL:
            if c.h2 != NULL and http2_is_settled(c):
                if c.room:
                    return c
            elif c.streams < MOST_STREAMS_UNKNOWN:
                return c
            c = c.next_shared
        return NULL

    cdef inline void _leave_pool(self, Connection *c) noexcept nogil:
        if not c.is_shared:
            connections_remove(&c.target.idle if c.user == NULL else &c.user.idle, c)
        self.idle_count -= 1

    cdef bint _evict(self) noexcept nogil:
        """Close any connection that nobody uses at this moment."""
        cdef Connection *c
        if self.idle_count == 0:
            return False
        while True:
            self.evict_at = (self.evict_at + 1) % (self.connection_slabs * SLAB)
            c = &self.connections[self.evict_at // SLAB][self.evict_at % SLAB]
            if c.state == CONNECTION_IDLE:
                self._close(c)
                return True

    cdef Connection *_new_connection(self, Iteration *it) noexcept nogil:
        cdef Connection *c
        if self.free_connections == NULL and not self._add_connections():
            self.is_ending = True
            return NULL
        c = self.free_connections
        self.free_connections = c.next
        c.next = NULL
        c.generation += 1
        c.fd = -1
        c.target = it.target
        c.user = it.user
        self.run.connections += 1
        if self.run.connections > self.run.connections_max:
            self.run.connections_max = self.run.connections
        return c

    cdef bint _add_connections(self) noexcept nogil:
        cdef uint32_t j
        cdef Connection **moved = <Connection **>realloc(
            self.connections, (self.connection_slabs + 1) * sizeof(Connection *))
        cdef Connection *slab = <Connection *>calloc(SLAB, sizeof(Connection))
        if moved != NULL:
            self.connections = moved
        if moved == NULL or slab == NULL:
            free(slab)
            return False
        self.connections[self.connection_slabs] = slab
        self.connection_slabs += 1
        for j in range(SLAB):
            slab[j].next = self.free_connections
            self.free_connections = &slab[j]
        return True

    cdef void _open(self, Connection *c, Iteration *it, uint64_t now_ns) noexcept nogil:
        """Begin a connection with the name of its host."""
        cdef Target *target = c.target
        c.is_used = c.is_resumed = c.is_ended = c.is_writing = False
        c.http = 1
        c.failure = c.address_tried = 0
        c.resolved_ns = c.connected_ns = c.ready_ns = 0
        c.unsubmitted = 0
        c.ended = c.ended_last = NULL
        c.dial_ns = now_ns
        if target.is_literal or (target.resolved_ns and now_ns - target.resolved_ns < FRESH_NS):
            c.resolved_ns = now_ns
            self._dial(c, now_ns)
            return
        c.state = CONNECTION_RESOLVING
        connections_push(&target.resolving, c)
        if target.lookup == NULL:
            self._look_up(target)

    cdef void _look_up(self, Target *target) noexcept nogil:
        if self.lookups >= MOST_LOOKUPS:
            return
        if resolver_start(target, self.wake_fd) < 0:
            while target.resolving != NULL:
                self._lose(target.resolving, DNS_FAILED)
            return
        self.lookups += 1

    cdef void _on_lookups(self, uint64_t now_ns) noexcept nogil:
        """A thread has found a name's addresses, or that there are none."""
        cdef uint64_t wakes
        cdef uint32_t i
        cdef Target *target
        cdef Connection *c
        read(self.wake_fd, &wakes, sizeof(wakes))
        for i in range(self._targets.count):
            target = self._targets.items[i]
            if not resolver_take(target):
                continue
            self.lookups -= 1
            target.resolved_ns = now_ns if target.lookup_error == 0 else 0
            while target.resolving != NULL:
                c = target.resolving
                if target.lookup_error:
                    self._lose(c, resolver_failure(target.lookup_error))
                    continue
                connections_remove(&target.resolving, c)
                c.resolved_ns = now_ns
                self._dial(c, now_ns)
        for i in range(self._targets.count):
            target = self._targets.items[i]
            if target.resolving != NULL and target.lookup == NULL:
                self._look_up(target)

    cdef void _dial(self, Connection *c, uint64_t now_ns) noexcept nogil:
        """Begin with the next address; the last one's failure is the connection's."""
        cdef Target *target = c.target
        cdef uint32_t at
        cdef epoll_event event
        c.state = CONNECTION_CONNECTING
        while c.address_tried < target.address_count:
            at = (target.address_first + c.address_tried) % target.address_count
            c.address_tried += 1
            c.fd = self._socket(c, &target.sockets[at], target.socket_bytes[at])
            if c.fd >= 0:
                event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
                event.data.ptr = c
                epoll_ctl(self.epoll, EPOLL_CTL_ADD, c.fd, &event)
                if c.address_tried < target.address_count:
                    self._set_alarm(ALARM_CONNECTION, c, c.generation, now_ns + NEXT_ADDRESS_NS)
                return
        if c.failure == NO_FAILURE:
            c.failure = DNS_NOT_FOUND
        self._lose(c, c.failure)

    cdef int _socket(self, Connection *c, sockaddr_storage *address, socklen_t length) noexcept nogil:
        cdef int one = 1
        cdef int fd = socket((<unsigned short *>address)[0], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        if fd < 0:
            c.failure = NO_DESCRIPTOR if errno == EMFILE or errno == ENFILE else UNKNOWN_FAILURE
            return -1
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
        if connect(fd, <sockaddr *>address, length) == 0 or errno == EINPROGRESS:
            return fd
        c.failure = self._connect_failure(c.target, errno)
        close(fd)
        return -1

    cdef int _connect_failure(self, Target *target, int error) noexcept nogil:
        if error == EADDRNOTAVAIL:
            return NO_LOCAL_PORT
        if target.is_proxied:
            if error == ECONNREFUSED:
                return PROXY_CONNECTION_REFUSED
            return PROXY_TIMEOUT if error == ETIMEDOUT else PROXY_FAILED
        if error == ECONNREFUSED:
            return CONNECTION_REFUSED
        if error == ETIMEDOUT:
            return CONNECTION_TIMEOUT
        if error == EHOSTUNREACH:
            return HOST_UNREACHABLE
        if error == ENETUNREACH:
            return NETWORK_UNREACHABLE
        return CONNECTION_RESET if error == ECONNRESET else UNKNOWN_FAILURE

    cdef void _try_next_address(self, Connection *c, uint32_t generation, uint64_t now_ns) noexcept nogil:
        """An address does not answer: go on with the next one."""
        if c.generation != generation or c.state != CONNECTION_CONNECTING:
            return
        if c.address_tried < c.target.address_count:
            close(c.fd)
            c.fd = -1
            self._dial(c, now_ns)

    cdef void _on_connecting(self, Connection *c, uint32_t events, uint64_t now_ns) noexcept nogil:
        cdef int error = 0
        cdef socklen_t length = sizeof(error)
        if not events & (EPOLLOUT | EPOLLERR | EPOLLHUP):
            return
        getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &length)
        if error:
            c.failure = self._connect_failure(c.target, error)
            close(c.fd)
            c.fd = -1
            self._dial(c, now_ns)
            return
        c.target.address_first = (c.target.address_first + c.address_tried - 1) % c.target.address_count
        self.run.connections_opened += 1
        if c.target.connect_head == NULL:
            self._connected(c, now_ns)
            return
        c.state = CONNECTION_TUNNELLING
        buffer_add(&c.out, <const uint8_t *>c.target.connect_head, c.target.connect_head_bytes)
        self._on_tunnelling(c, now_ns)

    cdef void _on_tunnelling(self, Connection *c, uint64_t now_ns) noexcept nogil:
        """The CONNECT request goes out, the proxy's answer comes in."""
        cdef ssize_t moved = 0
        while c.out.length and moved >= 0:
            moved = wire_write(c, <const uint8_t *>c.target.connect_head + c.target.connect_head_bytes - c.out.length, c.out.length)
            if moved > 0:
                c.out.length -= moved
        while moved >= 0 and c.state == CONNECTION_TUNNELLING:
            moved = wire_read(c, self.input, INPUT_BYTES)
            if moved > 0:
                if buffer_add(&c.tunnel, self.input, moved) < 0 or c.tunnel.length > MOST_TUNNEL_BYTES:
                    self._lose(c, PROXY_FAILED)
                    return
                self._on_proxy_answer(c, now_ns)
            elif moved == WIRE_END:
                self._lose(c, PROXY_FAILED)
                return
        if moved == WIRE_FAILED:
            self._lose(c, PROXY_FAILED)

    cdef void _on_proxy_answer(self, Connection *c, uint64_t now_ns) noexcept nogil:
        """Read anew from its beginning each time: it comes in one piece nearly always."""
        cdef Answer answer
        cdef Http1 parser
        cdef size_t used
        cdef int result
        memset(&answer, 0, sizeof(Answer))
        answer.is_head = True
        answer.max_head_bytes = MOST_TUNNEL_BYTES
        http1_begin(&answer, &parser)
        result = http1_feed(&answer, &parser, c.tunnel.data, c.tunnel.length, &used)
        buffer_clear(&answer.head, 0)
        if result == HTTP1_MORE:
            return
        if result == HTTP1_WHOLE and answer.status == 407:
            self._lose(c, PROXY_AUTHENTICATION)
        elif result < 0 or not 200 <= answer.status < 300 or used != c.tunnel.length:
            self._lose(c, PROXY_FAILED)
        else:
            buffer_clear(&c.tunnel, 0)
            self._connected(c, clock_ns())

    cdef void _connected(self, Connection *c, uint64_t now_ns) noexcept nogil:
        c.connected_ns = now_ns
        if not c.target.is_tls:
            self._ready(c, now_ns)
            return
        c.state = CONNECTION_HANDSHAKING
        if tls_open(c) != WIRE_DONE:
            self._lose(c, c.failure)
            return
        self._on_handshaking(c)

    cdef void _on_handshaking(self, Connection *c) noexcept nogil:
        cdef int result = tls_handshake(c)
        if result == WIRE_FAILED or result == WIRE_END:
            self._lose(c, c.failure if c.failure else TLS_FAILED)
        elif result == WIRE_DONE:
            self.run.handshakes += 1
            self.run.handshakes_resumed += c.is_resumed
            self._ready(c, clock_ns())

    cdef void _ready(self, Connection *c, uint64_t now_ns) noexcept nogil:
        """It can carry requests; who has waited for it gets on it."""
        c.ready_ns = now_ns
        c.state = CONNECTION_BUSY
        if c.target.http == 2 and not c.target.is_tls:
            c.http = 2
        if c.http == 2:
            if http2_open(c) != WIRE_DONE:
                self._lose(c, c.failure)
                return
            self._submit_waiting(c)
            self._make_dirty(c)
            return
        if c.is_shared:
            self._unshare(c)
        self._transmit(c, c.first)

    cdef void _unshare(self, Connection *c) noexcept nogil:
        """The server speaks only HTTP/1.1: one request each."""
        cdef Iteration *it
        c.target.speaks_one = True
        shared_remove(&c.target.shared, c)
        c.unsubmitted = 0
        while c.first.next_on != NULL:
            it = c.first
            detach(it)
            self._defer(it, NO_FAILURE)

    cdef void _release(self, Connection *c) noexcept nogil:
        """Into the pool."""
        c.state = CONNECTION_IDLE
        if not c.is_shared:
            connections_push(&c.target.idle if c.user == NULL else &c.user.idle, c)
        self.idle_count += 1

    cdef void _lose(self, Connection *c, int failure) noexcept nogil:
        """A connection is gone; its requests are settled: sent again, or failed.

        Sent again is, once, what was sent on a kept connection and got no byte: the server had closed it meanwhile.
        """
        cdef Iteration *it
        cdef bint is_stale = c.is_used and (
            failure == CONNECTION_CLOSED or failure == CONNECTION_RESET or failure == HTTP2_GOAWAY)
        while c.first != NULL:
            it = c.first
            detach(it)
            self._settle_later(it, failure, is_stale)
        self._close(c)

    cdef void _settle_later(self, Iteration *it, int failure, bint is_stale) noexcept nogil:
        it.stream_spare = NULL
        if is_stale and it.answer.first_ns == 0 and not it.is_retry:
            it.is_retry = True
            self._send_again(it)
        else:
            self._defer(it, failure)

    cdef void _settle_refused(self, Iteration *it) noexcept nogil:
        """A stream ended without an answer; one that the server has not looked at may be sent again without harm."""
        if (it.failure == HTTP2_REFUSED_STREAM or it.failure == HTTP2_GOAWAY) and it.refusals < MOST_REFUSALS:
            it.refusals += 1
            self._send_again(it)
        else:
            self._defer(it, it.failure)

    cdef void _send_again(self, Iteration *it) noexcept nogil:
        it.flags = SAMPLE_RETRIED
        self.tallies[it.step].retried += 1
        self._defer(it, NO_FAILURE)

    cdef void _close(self, Connection *c) noexcept nogil:
        """Out of every list; nobody has a request on it."""
        if c.state == CONNECTION_IDLE:
            self._leave_pool(c)
        elif c.state == CONNECTION_RESOLVING:
            connections_remove(&c.target.resolving, c)
        shared_remove(&c.target.shared, c)
        self._hang_up(c)
        self.run.connections -= 1
        c.next = self.closed_connections
        self.closed_connections = c

    cdef void _hang_up(self, Connection *c) noexcept nogil:
        if c.h2 != NULL:
            http2_close(c)
        if c.ssl != NULL:
            tls_close(c)
        if c.fd >= 0:
            close(c.fd)
        c.fd = -1
        c.state = CONNECTION_FREE
        c.generation += 1
        buffer_clear(&c.out, 0)
        buffer_clear(&c.tunnel, 0)

    cdef void _reuse_closed(self) noexcept nogil:
        cdef Connection *c
        while self.closed_connections != NULL:
            c = self.closed_connections
            self.closed_connections = c.next
            c.next = self.free_connections
            self.free_connections = c

    cdef void _hang_up_all(self) noexcept nogil:
        cdef uint32_t i
        cdef uint32_t j
        for i in range(self.connection_slabs):
            for j in range(SLAB):
                if self.connections[i][j].state != CONNECTION_FREE:
                    self._hang_up(&self.connections[i][j])
        self.run.connections = 0

    # ---- events ----

    cdef uint64_t _on_event(self, epoll_event *event, uint64_t now_ns) noexcept nogil:
        """What the kernel tells of one descriptor; gives the time at which it was dealt with."""
        cdef Connection *c = <Connection *>event.data.ptr
        if event.data.ptr == &self.wake_fd:
            self._on_lookups(now_ns)
        elif event.data.ptr == &self.timer_fd:
            pass
        elif c.h2 != NULL:
            return self._on_streams(c, event.events, now_ns)
        elif c.state == CONNECTION_BUSY:
            return self._on_exchange(c, event.events, now_ns)
        elif c.state == CONNECTION_IDLE:
            if event.events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
                self._on_idle(c)
        elif c.state == CONNECTION_CONNECTING:
            now_ns = clock_ns()
            self._on_connecting(c, event.events, now_ns)
        elif c.state == CONNECTION_HANDSHAKING:
            self._on_handshaking(c)
        elif c.state == CONNECTION_TUNNELLING:
            self._on_tunnelling(c, now_ns)
        return now_ns

    cdef void _on_idle(self, Connection *c) noexcept nogil:
        """Nobody asked: the server closes it, or says what nobody can use; or it was an event of the last answer."""
        cdef ssize_t got = wire_read(c, self.input, INPUT_BYTES)
        if got != WIRE_WANTS_READ and got != WIRE_WANTS_WRITE:
            self._close(c)

    cdef void _transmit(self, Connection *c, Iteration *it) noexcept nogil:
        """Send a request that was placed."""
        if c.is_used:
            it.flags |= SAMPLE_REUSED
        it.sent_bytes = 0
        http1_begin(&it.answer, &it.parser)
        if c.http == 2:
            self._submit(c, it)
        else:
            self._send(c, it)

    cdef void _send(self, Connection *c, Iteration *it) noexcept nogil:
        """Send what is left of a request."""
        cdef ssize_t sent
        while True:
            sent = wire_write(c, it.request + it.sent_bytes, it.request_bytes - it.sent_bytes)
            if sent < 0:
                break
            it.sent_bytes += sent
            if it.sent_bytes == it.request_bytes:
                c.is_writing = False
                it.written_ns = clock_ns()
                return
        if sent == WIRE_FAILED:
            self._lose(c, c.failure)
        else:
            c.is_writing = True

    cdef uint64_t _on_exchange(self, Connection *c, uint32_t events, uint64_t now_ns) noexcept nogil:
        """HTTP/1.1: the rest of a request can be sent, or there is something to read."""
        cdef Iteration *it = c.first
        cdef ssize_t got
        cdef size_t used
        cdef int result
        if c.is_writing and events & EPOLLOUT:
            self._send(c, it)
            if c.state != CONNECTION_BUSY:
                return now_ns
        if not events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
            return now_ns
        while True:
            got = wire_read(c, self.input, INPUT_BYTES)
            if got < 0:
                if got == WIRE_FAILED:
                    self._lose(c, c.failure)
                return now_ns
            now_ns = clock_ns()
            if it.answer.first_ns == 0 and got:
                it.answer.first_ns = now_ns
            if got == 0:
                result = http1_end(&it.parser)
                used = 0
            else:
                result = http1_feed(&it.answer, &it.parser, self.input, got, &used)
            if result == HTTP1_WHOLE and used == <size_t>got:
                return self._on_answer(c, it, events, now_ns)
            if result != HTTP1_MORE:
                self._lose(c, RESPONSE_MALFORMED if result == HTTP1_WHOLE else -result)
                return now_ns
            if got < INPUT_BYTES and c.ssl == NULL and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                return now_ns

    cdef uint64_t _on_answer(self, Connection *c, Iteration *it, uint32_t events, uint64_t now_ns) noexcept nogil:
        """An answer is whole: the connection is free, the iteration goes on."""
        cdef bint is_kept = it.parser.is_kept and not self.steps[it.step].is_closed_after
        count_exchange(it, c, now_ns)
        detach(it)
        c.is_used = True
        if is_kept and not c.is_writing and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            self._release(c)
        else:
            self._close(c)
        return self._answered(it, now_ns)

    cdef uint64_t _answered(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        """Show the answer if it is to be shown, count it, go on; gives the time then."""
        cdef StepTally *tally = &self.tallies[it.step]
        cdef Step *step = &self.steps[it.step]
        cdef uint64_t ended_ns = now_ns
        cdef int said = SAID_FINE
        it.received_bytes += it.answer.received_bytes
        it.answer.received_bytes = 0
        tally.sent_bytes += it.sent_bytes
        it.sent_bytes = 0
        if step.shows == SHOWS_ALWAYS or (step.shows == SHOWS_REDIRECTS and _is_redirect(it.answer.status)):
            if it.script == NULL:
                self._begin_script(it)
            self._hold()
            said = self._calls.inspect(it, now_ns - it.started_ns)
            now_ns = clock_ns()
            if said >= SAID_REQUEST:
                return self._go_on(it, said, ended_ns, now_ns)
        deadlines_remove(&step.deadlines, it)
        if said == SAID_ASSERTION_FAILED:
            it.has_failed_assertion = True
            it.flags |= SAMPLE_ASSERTION_FAILED
            tally.assertion_failed += 1
        count_answer(tally, it, ended_ns)
        tally.received_bytes += it.received_bytes
        tally.reused += it.flags & SAMPLE_REUSED
        it.duration_ns += ended_ns - it.started_ns
        if self.samples != NULL:
            self._add_sample(it, ended_ns)
        self._advance(it, now_ns)
        return now_ns

    cdef uint64_t _go_on(self, Iteration *it, int said, uint64_t ended_ns, uint64_t now_ns) noexcept nogil:
        """The script wants another request before the step is over, or gives it up."""
        if said == SAID_REQUEST:
            self.tallies[it.step].redirects += 1
            it.hop_ns = ended_ns
            it.is_retry = False
            it.flags = 0
            self._place(it, now_ns)
            return now_ns
        if said == SAID_ERROR:
            self.is_ending = True
            it.failure = CANCELLED
        deadlines_remove(&self.steps[it.step].deadlines, it)
        self._count_failure(it, ended_ns)
        if said != SAID_ERROR:
            self._advance(it, now_ns)
        else:
            it.state = ITERATION_SLEEPING
        return now_ns

    # ---- HTTP/2 ----

    cdef void _submit(self, Connection *c, Iteration *it) noexcept nogil:
        """Give a request to the session; it goes out at the end of the turn."""
        it.flags |= SAMPLE_HTTP2
        if http2_submit(c, it) == WIRE_DONE:
            self._make_dirty(c)
            return
        detach(it)
        it.stream_spare = NULL
        self._settle_refused(it)
        if c.first == NULL:
            self._release(c)

    cdef void _submit_waiting(self, Connection *c) noexcept nogil:
        """As many as it takes; once it has told how many those are, the others find another one."""
        cdef Iteration *it = c.first
        cdef Iteration *next_it
        cdef bint is_settled = http2_is_settled(c)
        c.unsubmitted = 0
        while it != NULL:
            next_it = it.next_on
            if it.stream_spare == NULL:
                if c.room:
                    self._transmit(c, it)
                elif is_settled:
                    detach(it)
                    self._defer(it, NO_FAILURE)
                else:
                    c.unsubmitted += 1
            it = next_it

    cdef inline void _make_dirty(self, Connection *c) noexcept nogil:
        if not c.is_dirty:
            c.is_dirty = True
            c.next_dirty = self.dirty_connections
            self.dirty_connections = c

    cdef void _flush_streams(self) noexcept nogil:
        """Send what the turn has produced, one write per connection."""
        cdef Connection *c
        while self.dirty_connections != NULL:
            c = self.dirty_connections
            self.dirty_connections = c.next_dirty
            c.is_dirty = False
            if c.h2 != NULL:
                self._flush(c)

    cdef void _flush(self, Connection *c) noexcept nogil:
        cdef int result = http2_flush(c)
        self._on_ended(c, clock_ns())
        if c.h2 == NULL:
            return
        if result == WIRE_FAILED:
            self._lose(c, http2_lost(c, c.failure))
        else:
            c.is_writing = result == WIRE_WANTS_WRITE

    cdef uint64_t _on_streams(self, Connection *c, uint32_t events, uint64_t now_ns) noexcept nogil:
        """Frames have come, or there is room to send more."""
        cdef ssize_t got
        cdef int result
        if c.is_writing and events & EPOLLOUT:
            self._make_dirty(c)
        if not events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
            return now_ns
        while True:
            got = wire_read(c, self.input, INPUT_BYTES)
            now_ns = clock_ns()
            if got == WIRE_WANTS_READ or got == WIRE_WANTS_WRITE:
                return now_ns
            if got <= 0:
                self._lose(c, http2_lost(c, CONNECTION_CLOSED if got == WIRE_END else c.failure))
                return now_ns
            self._make_dirty(c)
            result = http2_receive(c, self.input, got, now_ns)
            now_ns = self._on_ended(c, now_ns)
            if c.h2 == NULL:
                return now_ns
            if c.unsubmitted and http2_is_settled(c):
                self._submit_waiting(c)
            if result == WIRE_FAILED:
                self._lose(c, http2_lost(c, c.failure))
                return now_ns
            if not http2_is_settled(c):  # no HTTP/2 perhaps, which shows when the session wants to say goodbye
                self._flush(c)
                if c.h2 == NULL:
                    return now_ns
            if got < INPUT_BYTES and c.ssl == NULL and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                return now_ns

    cdef uint64_t _on_ended(self, Connection *c, uint64_t now_ns) noexcept nogil:
        """Streams that are over, with an answer or without; then perhaps the connection is."""
        cdef Iteration *it
        while c.ended != NULL:
            it = c.ended
            c.ended = it.next_ended
            if c.ended == NULL:
                c.ended_last = NULL
            if it.failure == NO_FAILURE:
                c.is_used = True
                count_exchange(it, c, now_ns)
                self._leave_stream(c, it)
                now_ns = self._answered(it, now_ns)
            else:
                self._leave_stream(c, it)
                self._settle_refused(it)
        if c.h2 != NULL and c.first == NULL and http2_is_over(c):
            self._close(c)
        return now_ns

    cdef inline void _leave_stream(self, Connection *c, Iteration *it) noexcept nogil:
        it.stream_spare = NULL
        detach(it)
        if c.first == NULL:
            self._release(c)

    # ---- samples ----

    cdef void _add_sample(self, Iteration *it, uint64_t now_ns) noexcept nogil:
        fill_sample(&self.samples[self.sample_count], it, now_ns)
        self.sample_count += 1
        if self.sample_count == SAMPLES:
            self._flush_samples()

    cdef void _flush_samples(self) noexcept nogil:
        if self.sample_count:
            self._hold()
            self._hand_over_samples()
            self.sample_count = 0

    cdef void _hand_over_samples(self) noexcept with gil:
        try:
            self._on_samples(self._samples[:self.sample_count])
        except BaseException as exc:  # noqa: BLE001 - raised by go()
            self._give_up(exc)


cdef inline bint _is_redirect(uint32_t status) noexcept nogil:
    return status == 301 or status == 302 or status == 303 or status == 307 or status == 308
