# Requests and answers of HTTP/2: many at once on a connection, written together each turn. Part of `loop.pyx`.


cdef void _submit(Loop self, Connection *c, Iteration *it) noexcept nogil:
    """Give a request to the session; it goes out at the end of the turn."""
    it.flags |= SAMPLE_HTTP2
    if http2_submit(c, it) == WIRE_DONE:
        _make_dirty(self, c)
        return
    detach(it)
    it.stream_spare = NULL
    _settle_refused(self, c, it)
    if c.first == NULL:
        _release(self, c)


cdef void _submit_waiting(Loop self, Connection *c) noexcept nogil:
    """As many as it takes; once it has told how many those are, the others find another one."""
    cdef Iteration *it = c.first
    cdef Iteration *next_it
    cdef bint is_settled = http2_is_settled(c)
    c.unsubmitted = 0
    while it != NULL:
        next_it = it.next_on
        if it.stream_spare == NULL:
            if c.room:
                _transmit(self, c, it)
            elif is_settled:
                detach(it)
                _defer(self, it, NO_FAILURE)
            else:
                c.unsubmitted += 1
        it = next_it


cdef inline void _make_dirty(Loop self, Connection *c) noexcept nogil:
    if not c.is_dirty:
        c.is_dirty = True
        c.next_dirty = self.dirty_connections
        self.dirty_connections = c


cdef void _flush_streams(Loop self) noexcept nogil:
    """Send what the turn has produced, one write per connection."""
    cdef Connection *c
    while self.dirty_connections != NULL:
        c = self.dirty_connections
        self.dirty_connections = c.next_dirty
        c.is_dirty = False
        if c.h2 != NULL:
            _flush(self, c)


cdef void _flush(Loop self, Connection *c) noexcept nogil:
    cdef int result = http2_flush(c)
    _on_ended(self, c, clock_ns())
    if c.h2 == NULL:
        return
    if result == WIRE_FAILED:
        _lose(self, c, http2_lost(c, c.failure))
    else:
        c.is_writing = result == WIRE_WANTS_WRITE


cdef uint64_t _on_streams(Loop self, Connection *c, uint32_t events, uint64_t now_ns) noexcept nogil:
    """Frames have come, or there is room to send more."""
    cdef ssize_t got
    cdef int result
    if c.is_writing and events & EPOLLOUT:
        _make_dirty(self, c)
    if not events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
        return now_ns
    while True:
        got = wire_read(c, self.input, INPUT_BYTES)
        now_ns = clock_ns()
        if got == WIRE_WANTS_READ or got == WIRE_WANTS_WRITE:
            return now_ns
        if got <= 0:
            _lose(self, c, http2_lost(c, CONNECTION_CLOSED if got == WIRE_END else c.failure))
            return now_ns
        _make_dirty(self, c)
        result = http2_receive(c, self.input, got, now_ns)
        now_ns = _on_ended(self, c, now_ns)
        if c.h2 == NULL:
            return now_ns
        if c.unsubmitted and http2_is_settled(c):
            _submit_waiting(self, c)
        if result == WIRE_FAILED:
            _lose(self, c, http2_lost(c, c.failure))
            return now_ns
        if not http2_is_settled(c):  # no HTTP/2 perhaps, which shows when the session wants to say goodbye
            _flush(self, c)
            if c.h2 == NULL:
                return now_ns
        if got < INPUT_BYTES and c.ssl == NULL and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            return now_ns


cdef uint64_t _on_ended(Loop self, Connection *c, uint64_t now_ns) noexcept nogil:
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
            _leave_stream(self, c, it)
            now_ns = _answered(self, it, now_ns)
        else:
            _leave_stream(self, c, it)
            _settle_refused(self, c, it)
    if c.h2 != NULL and c.first == NULL and http2_is_over(c):
        _close(self, c)
    return now_ns


cdef inline void _leave_stream(Loop self, Connection *c, Iteration *it) noexcept nogil:
    it.stream_spare = NULL
    detach(it)
    if c.first == NULL:
        _release(self, c)
