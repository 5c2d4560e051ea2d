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

The functions of the loop are in `schedule`, `iterations`, `settling`, `pool`, `dialling`, `exchanges` and `streams`
(.pxi): one compilation, so that gcc sees them all. What needs no loop is in `lists`, `counting`, `waiting`, `wire`
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
    http2_has_promised,
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
from osmia.model.errors import ConfigError

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
        if not work.steps:
            raise ConfigError("steps", 0, "there is nothing to send")
        self._take_limits(work)
        self._take_steps(work)
        self._take_load(work.load)
        self._take_samples(work.on_samples)
        self._open_descriptors()

    def __dealloc__(self):
        _close_everything(self)

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

    def go(self):
        """Run the share to its end; raises what the script raised."""
        self.run.state = STATE_READY
        self.slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
        self.saved = PyEval_SaveThread()
        try:
            if _await_zero(self):
                _turns(self)
            _cancel_everything(self, clock_ns())
            _flush_samples(self)
        finally:
            _hold(self)
            prctl(PR_SET_TIMERSLACK, self.slack, 0, 0, 0)
            self.run.cpu_ns = osmia_clock(CLOCK_PROCESS_CPUTIME_ID)
            self.run.in_flight = self.run.backlog = 0
            _hang_up_all(self)
            _forget_scripts(self)
            self.run.state = STATE_DONE
        if self._calls.error is not None:
            raise self._calls.take_error()

    def wait_by_timer(self):
        """Wait as on Linux before 5.11, by a timerfd; for tests."""
        open_timer(self.epoll, &self.timer_fd)


# ---- turns ----


cdef void _close_everything(Loop self) noexcept:
    cdef uint32_t i
    cdef Block *block = self.start_block
    cdef Block *next_block
    if self.iterations != NULL:
        _free_iterations(self)
    _free_connections(self)
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


cdef void _free_iterations(Loop self) noexcept:
    cdef uint32_t i
    cdef uint32_t j
    cdef Iteration *it
    for i in range(self.iteration_slabs):
        for j in range(SLAB):
            it = &self.iterations[i][j]
            buffer_clear(&it.answer.head, 0)
            buffer_clear(&it.answer.body, 0)
        free(self.iterations[i])
    free(self.iterations)


cdef void _forget_scripts(Loop self) noexcept:
    """Here and not when the loop is freed, since the collector may have taken its Python values by then."""
    cdef uint32_t i
    cdef uint32_t j
    for i in range(self.iteration_slabs):
        for j in range(SLAB):
            self._calls.forget(&self.iterations[i][j])


cdef inline void _hold(Loop self) noexcept nogil:
    """Take the GIL until the next wait."""
    if self.saved != NULL:
        PyEval_RestoreThread(self.saved)
        self.saved = NULL


cdef inline void _let_go(Loop self) noexcept nogil:
    if self.saved == NULL:
        self.saved = PyEval_SaveThread()


cdef bint _await_zero(Loop self) noexcept nogil:
    """Until the engine has set the beginning; False if it has changed its mind."""
    cdef uint64_t tick_ns = 0
    while (<volatile_u64 *>&self.run.zero_ns)[0] == 0:
        if (<volatile_u32 *>&self.run.stop)[0] or self.is_ending:
            return False
        if clock_ns() >= tick_ns:
            tick_ns = clock_ns() + TICK_NS
            _hold(self)
            _look_at_signals(self)
            _let_go(self)
        usleep(200)
    self.zero_ns = self.run.zero_ns
    self.run.state = STATE_RUNNING
    self.schedule_ns = 0
    self.deadline_ns = NEVER
    if self.is_open:
        _next_block(self)
    else:
        self.ends_ns += self.zero_ns
    return True


cdef void _look_at_signals(Loop self) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as exc:  # noqa: BLE001 - raised by go()
        _give_up(self, exc)


cdef void _give_up(Loop self, object exc) noexcept:
    """The run ends with this exception."""
    self._calls.set_error(exc)
    self.is_ending = True


cdef void _turns(Loop self) noexcept nogil:
    cdef uint64_t now_ns = clock_ns()
    cdef int got
    cdef int i
    while not _is_over(self):
        _let_go(self)
        got = wait_for_events(self.epoll, &self.timer_fd, self.events, MOST_EVENTS, _wait_ns(self, now_ns))
        now_ns = clock_ns()
        if now_ns >= self.schedule_ns:
            _schedule(self, now_ns)
        for i in range(got):
            now_ns = _on_event(self, &self.events[i], now_ns)
            if now_ns >= self.schedule_ns:
                _schedule(self, now_ns)
        _settle(self, now_ns)
        _ring(self, now_ns)
        if now_ns >= self.deadline_ns:
            _expire(self, now_ns)
        if now_ns >= self.tick_ns:
            _tick(self, now_ns)
        _flush_streams(self)
        _reuse_closed(self)


cdef inline bint _is_over(Loop self) noexcept nogil:
    cdef uint32_t stop = (<volatile_u32 *>&self.run.stop)[0]
    if stop and not self.is_draining:
        _drain(self)
    if stop > 1 or self.is_ending:
        return True
    if self.run.in_flight:
        return False
    if self.is_draining:
        return True
    return self.is_open and self.is_exhausted and self.run.backlog == 0


cdef void _drain(Loop self) noexcept nogil:
    """Start nothing new."""
    self.is_draining = True
    self.run.state = STATE_DRAINING
    self.run.backlog = 0
    self.schedule_ns = NEVER


cdef inline uint64_t _wait_ns(Loop self, uint64_t now_ns) noexcept nogil:
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


cdef void _tick(Loop self, uint64_t now_ns) noexcept nogil:
    """Ten times a second: what nobody waits for."""
    self.tick_ns = now_ns + TICK_NS
    self.run.cpu_ns = osmia_clock(CLOCK_PROCESS_CPUTIME_ID)
    _hold(self)
    _look_at_signals(self)
    if now_ns >= self.samples_ns:
        self.samples_ns = now_ns + 10 * TICK_NS
        _flush_samples(self)


include "schedule.pxi"
include "iterations.pxi"
include "settling.pxi"
include "pool.pxi"
include "dialling.pxi"
include "exchanges.pxi"
include "streams.pxi"
