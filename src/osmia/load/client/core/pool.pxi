# Connections between requests: found, made, shared, put back, lost, closed. Part of `loop.pyx`.


cdef bint _has_room(Loop self, Target *target) noexcept nogil:
    """Whether a request could be placed now."""
    if self.idle_count > 0 or self.run.connections < self.max_connections:
        return True
    return target.shared != NULL and _shared_connection(self, target) != NULL


cdef void _place(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
    """Find a connection for a request, or let it wait for one."""
    cdef Connection *c = _take_connection(self, it)
    if c == NULL:
        it.state = ITERATION_WAITING
        queue_add(&self.waiting, it)
        return
    if it.started_ns == 0:
        _start_clock(self, it, now_ns)
    it.written_ns = 0
    it.state = ITERATION_PLACED
    attach(c, it)
    if c.state == CONNECTION_BUSY and (c.http == 1 or c.room or http2_is_settled(c)):
        _transmit(self, c, it)
    elif c.state == CONNECTION_FREE:
        _open(self, c, it, now_ns)
    if c.first != NULL and it.connection == c and c.is_shared and it.stream_spare == NULL:
        c.unsubmitted += 1


cdef Connection *_take_connection(Loop self, Iteration *it) noexcept nogil:
    """A kept one, most recently used first, or a new one; NULL where the limit forbids."""
    cdef Connection *c = NULL
    cdef bint is_multiplexed = it.user == NULL and it.target.http == 2 and not it.target.speaks_one
    if is_multiplexed:
        c = _shared_connection(self, it.target)
    elif not it.is_retry:
        c = it.target.idle if it.user == NULL else it.user.idle
        while c != NULL and c.target != it.target:
            c = c.next
    if c != NULL:
        if c.state == CONNECTION_IDLE:
            _leave_pool(self, c)
            c.state = CONNECTION_BUSY
        return c
    if self.run.connections >= self.max_connections and not _evict(self):
        return NULL
    c = _new_connection(self, it)
    if is_multiplexed and c != NULL:
        shared_push(&it.target.shared, c)
    return c


cdef Connection *_shared_connection(Loop self, Target *target) noexcept nogil:
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


cdef inline void _leave_pool(Loop self, Connection *c) noexcept nogil:
    if not c.is_shared:
        connections_remove(&c.target.idle if c.user == NULL else &c.user.idle, c)
    self.idle_count -= 1


cdef bint _evict(Loop self) noexcept nogil:
    """Close any connection that nobody uses at this moment."""
    cdef Connection *c
    if self.idle_count == 0:
        return False
    while True:
        self.evict_at = (self.evict_at + 1) % (self.connection_slabs * SLAB)
        c = &self.connections[self.evict_at // SLAB][self.evict_at % SLAB]
        if c.state == CONNECTION_IDLE:
            _close(self, c)
            return True


cdef Connection *_new_connection(Loop self, Iteration *it) noexcept nogil:
    cdef Connection *c
    if self.free_connections == NULL and not _add_connections(self):
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


cdef bint _add_connections(Loop self) noexcept nogil:
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


cdef void _unshare(Loop self, Connection *c) noexcept nogil:
    """The server speaks only HTTP/1.1: one request each."""
    cdef Iteration *it
    c.target.speaks_one = True
    shared_remove(&c.target.shared, c)
    c.unsubmitted = 0
    while c.first.next_on != NULL:
        it = c.first
        detach(it)
        _defer(self, it, NO_FAILURE)


cdef void _release(Loop self, Connection *c) noexcept nogil:
    """Into the pool."""
    c.state = CONNECTION_IDLE
    if not c.is_shared:
        connections_push(&c.target.idle if c.user == NULL else &c.user.idle, c)
    self.idle_count += 1


cdef void _lose(Loop self, Connection *c, int failure) noexcept nogil:
    """A connection is gone; its requests are settled: sent again, or failed.

    Sent again is, once, what was sent on a kept connection and got no byte: the server had closed it meanwhile.
    """
    cdef Iteration *it
    cdef bint is_stale = c.is_used and (
        failure == CONNECTION_CLOSED or failure == CONNECTION_RESET or failure == HTTP2_GOAWAY)
    while c.first != NULL:
        it = c.first
        detach(it)
        _settle_later(self, it, failure, is_stale)
    _close(self, c)


cdef void _close(Loop self, Connection *c) noexcept nogil:
    """Out of every list; nobody has a request on it."""
    if c.state == CONNECTION_IDLE:
        _leave_pool(self, c)
    elif c.state == CONNECTION_RESOLVING:
        connections_remove(&c.target.resolving, c)
    shared_remove(&c.target.shared, c)
    _hang_up(self, c)
    self.run.connections -= 1
    c.next = self.closed_connections
    self.closed_connections = c


cdef void _hang_up(Loop self, Connection *c) noexcept nogil:
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


cdef void _reuse_closed(Loop self) noexcept nogil:
    cdef Connection *c
    while self.closed_connections != NULL:
        c = self.closed_connections
        self.closed_connections = c.next
        c.next = self.free_connections
        self.free_connections = c


cdef void _hang_up_all(Loop self) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t j
    for i in range(self.connection_slabs):
        for j in range(SLAB):
            if self.connections[i][j].state != CONNECTION_FREE:
                _hang_up(self, &self.connections[i][j])
    self.run.connections = 0


cdef void _free_connections(Loop self) noexcept:
    cdef uint32_t i
    cdef uint32_t j
    cdef Connection *c
    for i in range(self.connection_slabs):
        for j in range(SLAB):
            c = &self.connections[i][j]
            if c.state != CONNECTION_FREE:
                _hang_up(self, c)
            buffer_clear(&c.out, 0)
            buffer_clear(&c.tunnel, 0)
        free(self.connections[i])
    free(self.connections)
