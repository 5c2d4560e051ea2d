# What happens on sockets, and requests and answers of HTTP/1.1. Part of `loop.pyx`.


cdef uint64_t _on_event(Loop self, epoll_event *event, uint64_t now_ns) noexcept nogil:
    """What the kernel tells of one descriptor; gives the time at which it was dealt with."""
    cdef Connection *c = <Connection *>event.data.ptr
    if event.data.ptr == &self.wake_fd:
        _on_lookups(self, now_ns)
    elif event.data.ptr == &self.timer_fd:
        pass
    elif c.h2 != NULL:
        return _on_streams(self, c, event.events, now_ns)
    elif c.state == CONNECTION_BUSY:
        return _on_exchange(self, c, event.events, now_ns)
    elif c.state == CONNECTION_IDLE:
        if event.events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
            _on_idle(self, c)
    elif c.state == CONNECTION_CONNECTING:
        now_ns = clock_ns()
        _on_connecting(self, c, event.events, now_ns)
    elif c.state == CONNECTION_HANDSHAKING:
        _on_handshaking(self, c)
    elif c.state == CONNECTION_TUNNELLING:
        _on_tunnelling(self, c, now_ns)
    return now_ns


cdef void _on_idle(Loop self, Connection *c) noexcept nogil:
    """Nobody asked: the server closes it, or says what nobody can use; or it was an event of the last answer."""
    cdef ssize_t got = wire_read(c, self.input, INPUT_BYTES)
    if got != WIRE_WANTS_READ and got != WIRE_WANTS_WRITE:
        _close(self, c)


cdef void _transmit(Loop self, Connection *c, Iteration *it) noexcept nogil:
    """Send a request that was placed."""
    if c.is_used:
        it.flags |= SAMPLE_REUSED
    it.sent_bytes = 0
    http1_begin(&it.answer, &it.parser)
    if c.http == 2:
        _submit(self, c, it)
    else:
        _send(self, c, it)


cdef void _send(Loop self, Connection *c, Iteration *it) noexcept nogil:
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
        _lose(self, c, c.failure)
    else:
        c.is_writing = True


cdef uint64_t _on_exchange(Loop self, Connection *c, uint32_t events, uint64_t now_ns) noexcept nogil:
    """HTTP/1.1: the rest of a request can be sent, or there is something to read."""
    cdef Iteration *it = c.first
    cdef ssize_t got
    cdef size_t used
    cdef int result
    if c.is_writing and events & EPOLLOUT:
        _send(self, c, it)
        if c.state != CONNECTION_BUSY:
            return now_ns
    if not events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
        return now_ns
    while True:
        got = wire_read(c, self.input, INPUT_BYTES)
        if got < 0:
            if got == WIRE_FAILED:
                _lose(self, c, c.failure)
            return now_ns
        now_ns = clock_ns()
        if it.answer.first_ns == 0 and got:
            it.answer.first_ns = now_ns
        if got == 0:
            result = http1_end(&it.parser)
            used = 0
        else:
            result = http1_feed(&it.answer, &it.parser, self.input, got, &used)
        if result == HTTP1_WHOLE:
            if used < <size_t>got:
                it.parser.is_kept = False  # what lies behind the answer nobody asked for: it must not begin the next
            return _on_answer(self, c, it, events, now_ns)
        if result != HTTP1_MORE:
            _lose(self, c, -result)
            return now_ns
        if got < INPUT_BYTES and c.ssl == NULL and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            return now_ns


cdef uint64_t _on_answer(Loop self, Connection *c, Iteration *it, uint32_t events, uint64_t now_ns) noexcept nogil:
    """An answer is whole: the connection is free, the iteration goes on."""
    cdef bint is_kept = it.parser.is_kept and not self.steps[it.step].is_closed_after
    count_exchange(it, c, now_ns)
    detach(it)
    c.is_used = True
    if is_kept and not c.is_writing and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
        _release(self, c)
    else:
        _close(self, c)
    return _answered(self, it, now_ns)


cdef uint64_t _answered(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
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
            _begin_script(self, it)
        _hold(self)
        said = self._calls.inspect(it, now_ns - it.started_ns)
        now_ns = clock_ns()
        if said >= SAID_REQUEST:
            return _go_on(self, it, said, ended_ns, now_ns)
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
        _add_sample(self, it, ended_ns)
    _advance(self, it, now_ns)
    return now_ns


cdef uint64_t _go_on(Loop self, Iteration *it, int said, uint64_t ended_ns, uint64_t now_ns) noexcept nogil:
    """The script wants another request before the step is over, or gives it up."""
    if said == SAID_REQUEST:
        self.tallies[it.step].redirects += 1
        it.hop_ns = ended_ns
        it.is_retry = False
        it.flags = 0
        _place(self, it, now_ns)
        return now_ns
    if said == SAID_ERROR:
        self.is_ending = True
        it.failure = CANCELLED
    deadlines_remove(&self.steps[it.step].deadlines, it)
    _count_failure(self, it, ended_ns)
    if said != SAID_ERROR:
        _advance(self, it, now_ns)
    else:
        it.state = ITERATION_SLEEPING
    return now_ns


cdef inline bint _is_redirect(uint32_t status) noexcept nogil:
    return status == 301 or status == 302 or status == 303 or status == 307 or status == 308
