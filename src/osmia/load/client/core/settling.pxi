# What ends at a time of its own, and what could not be done at once: alarms, deadlines, failures. Part of `loop.pyx`.


cdef void _set_alarm(Loop self, uint32_t kind, void *what, uint32_t generation, uint64_t at_ns) noexcept nogil:
    cdef Alarm alarm
    alarm.at_ns = at_ns
    alarm.kind = kind
    alarm.what = what
    alarm.generation = generation
    if alarms_add(&self.alarms, alarm) < 0:
        self.is_ending = True


cdef void _ring(Loop self, uint64_t now_ns) noexcept nogil:
    """What has slept long enough."""
    cdef Alarm alarm
    while self.alarms.count and self.alarms.heap[0].at_ns <= now_ns and not self.is_ending:
        alarm = alarms_take(&self.alarms)
        if alarm.kind == ALARM_CONNECTION:
            _try_next_address(self, <Connection *>alarm.what, alarm.generation, now_ns)
            continue
        if (<Iteration *>alarm.what).generation != alarm.generation:
            continue
        now_ns = clock_ns()
        if alarm.kind == ALARM_ITERATION:
            _start_step(self, <Iteration *>alarm.what, alarm.at_ns, now_ns)
        elif _goes_on(self, now_ns):
            self.run.iterations_due += 1
            _begin(self, <Iteration *>alarm.what, alarm.at_ns, now_ns)
        else:
            _retire(self, <Iteration *>alarm.what)


cdef void _expire(Loop self, uint64_t now_ns) noexcept nogil:
    """Give up what has taken too long; only the head of each step's list can."""
    cdef uint32_t i
    cdef Iteration *it
    self.deadline_ns = NEVER
    for i in range(self.step_count):
        it = self.steps[i].deadlines.first
        while it != NULL and it.deadline_ns <= now_ns:
            _give_up_request(self, it, _timeout_failure(self, it), now_ns)
            it = self.steps[i].deadlines.first
        if it != NULL and it.deadline_ns < self.deadline_ns:
            self.deadline_ns = it.deadline_ns


cdef int _timeout_failure(Loop self, Iteration *it) noexcept nogil:
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


cdef void _give_up_request(Loop self, Iteration *it, int failure, uint64_t now_ns) noexcept nogil:
    """Take a request from wherever it is; it is settled with this failure."""
    cdef Connection *c = it.connection
    if it.state == ITERATION_SETTLING:
        it.failure = failure
        deadlines_remove(&self.steps[it.step].deadlines, it)
        return
    if it.state == ITERATION_WAITING:
        queue_remove(&self.waiting, it)
    elif c != NULL:
        _take_off(self, c, it)
    _defer(self, it, failure)


cdef void _take_off(Loop self, Connection *c, Iteration *it) noexcept nogil:
    """A request is given up; others on the same connection are not."""
    if it.stream_spare != NULL:
        http2_cancel(c, it)
        _make_dirty(self, c)
    elif c.unsubmitted:
        c.unsubmitted -= 1
    detach(it)
    if c.first != NULL:
        return
    if c.h2 != NULL and c.is_used:
        _release(self, c)
    else:
        _close(self, c)


cdef void _defer(Loop self, Iteration *it, int failure) noexcept nogil:
    """Settle it at the end of this turn: as failed, or (NO_FAILURE) by sending it again."""
    it.failure = failure
    if failure != NO_FAILURE:
        deadlines_remove(&self.steps[it.step].deadlines, it)
    it.state = ITERATION_SETTLING
    queue_add(&self.settling, it)


cdef void _settle(Loop self, uint64_t now_ns) noexcept nogil:
    """What was deferred before, and those that wait for a connection."""
    cdef Iteration *last = self.settling.last
    cdef Iteration *it = NULL
    while last != NULL and it != last and not self.is_ending:
        it = queue_take(&self.settling)
        if it.failure == NO_FAILURE:
            _place(self, it, clock_ns())
        else:
            _fail(self, it, clock_ns())
    while self.waiting.first != NULL and _has_room(self, self.waiting.first.target) and not self.is_ending:
        _place(self, queue_take(&self.waiting), clock_ns())
    if self.run.backlog:
        _begin_due(self, now_ns)


cdef void _fail(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
    """A step has got no answer."""
    _count_failure(self, it, now_ns)
    if self.steps[it.step].shows == SHOWS_ALWAYS and not self.is_ending:
        _hold(self)
        if self._calls.fail(it) == SAID_ERROR:
            self.is_ending = True
    _advance(self, it, now_ns)


cdef void _count_failure(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
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
        _add_sample(self, it, now_ns)


cdef void _cancel_everything(Loop self, uint64_t now_ns) noexcept nogil:
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
                _count_failure(self, it, now_ns)
            it.has_failed = True
            it.state = ITERATION_FREE
            count_iteration(self.run, it, now_ns)
            self.run.in_flight -= 1


cdef void _settle_later(Loop self, Iteration *it, int failure, bint is_stale) noexcept nogil:
    it.stream_spare = NULL
    if is_stale and it.answer.first_ns == 0 and not it.is_retry:
        it.is_retry = True
        _send_again(self, it)
    else:
        _defer(self, it, failure)


cdef void _settle_refused(Loop self, Connection *c, Iteration *it) noexcept nogil:
    """A stream ended without an answer; one that the server has not looked at may be sent again without harm.

    Not for ever, but a goodbye after work done is not counted: with fewer requests per connection than streams at
    once (nginx: keepalive_requests), some are turned away by connection after connection, and each answers others.
    """
    if it.failure == HTTP2_GOAWAY and http2_has_promised(c):
        _send_again(self, it)
    elif (it.failure == HTTP2_REFUSED_STREAM or it.failure == HTTP2_GOAWAY) and it.refusals < MOST_REFUSALS:
        it.refusals += 1
        _send_again(self, it)
    else:
        _defer(self, it, it.failure)


cdef void _send_again(Loop self, Iteration *it) noexcept nogil:
    it.flags = SAMPLE_RETRIED
    self.tallies[it.step].retried += 1
    _defer(self, it, NO_FAILURE)
