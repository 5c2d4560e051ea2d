# A connection from a name to its first request: addresses, connect, the tunnel of a proxy, TLS. Part of `loop.pyx`.


cdef void _open(Loop self, Connection *c, Iteration *it, uint64_t now_ns) noexcept nogil:
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
        _dial(self, c, now_ns)
        return
    c.state = CONNECTION_RESOLVING
    connections_push(&target.resolving, c)
    if target.lookup == NULL:
        _look_up(self, target)


cdef void _look_up(Loop self, Target *target) noexcept nogil:
    if self.lookups >= MOST_LOOKUPS:
        return
    if resolver_start(target, self.wake_fd) < 0:
        while target.resolving != NULL:
            _lose(self, target.resolving, DNS_FAILED)
        return
    self.lookups += 1


cdef void _on_lookups(Loop self, uint64_t now_ns) noexcept nogil:
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
                _lose(self, c, resolver_failure(target.lookup_error))
                continue
            connections_remove(&target.resolving, c)
            c.resolved_ns = now_ns
            _dial(self, c, now_ns)
    for i in range(self._targets.count):
        target = self._targets.items[i]
        if target.resolving != NULL and target.lookup == NULL:
            _look_up(self, target)


cdef void _dial(Loop self, Connection *c, uint64_t now_ns) noexcept nogil:
    """Begin with the next address; the last one's failure is the connection's."""
    cdef Target *target = c.target
    cdef uint32_t at
    cdef epoll_event event
    c.state = CONNECTION_CONNECTING
    while c.address_tried < target.address_count:
        at = (target.address_first + c.address_tried) % target.address_count
        c.address_tried += 1
        c.fd = _socket(self, c, &target.sockets[at], target.socket_bytes[at])
        if c.fd >= 0:
            event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
            event.data.ptr = c
            epoll_ctl(self.epoll, EPOLL_CTL_ADD, c.fd, &event)
            if c.address_tried < target.address_count:
                _set_alarm(self, ALARM_CONNECTION, c, c.generation, now_ns + NEXT_ADDRESS_NS)
            return
    if c.failure == NO_FAILURE:
        c.failure = DNS_NOT_FOUND
    _lose(self, c, c.failure)


cdef int _socket(Loop self, Connection *c, sockaddr_storage *address, socklen_t length) noexcept nogil:
    cdef int one = 1
    cdef int fd = socket((<unsigned short *>address)[0], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        c.failure = NO_DESCRIPTOR if errno == EMFILE or errno == ENFILE else UNKNOWN_FAILURE
        return -1
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
    if connect(fd, <sockaddr *>address, length) == 0 or errno == EINPROGRESS:
        return fd
    c.failure = _connect_failure(self, c.target, errno)
    close(fd)
    return -1


cdef int _connect_failure(Loop self, Target *target, int error) noexcept nogil:
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


cdef void _try_next_address(Loop self, Connection *c, uint32_t generation, uint64_t now_ns) noexcept nogil:
    """An address does not answer: go on with the next one."""
    if c.generation != generation or c.state != CONNECTION_CONNECTING:
        return
    if c.address_tried < c.target.address_count:
        close(c.fd)
        c.fd = -1
        _dial(self, c, now_ns)


cdef void _on_connecting(Loop self, Connection *c, uint32_t events, uint64_t now_ns) noexcept nogil:
    cdef int error = 0
    cdef socklen_t length = sizeof(error)
    if not events & (EPOLLOUT | EPOLLERR | EPOLLHUP):
        return
    getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &length)
    if error:
        c.failure = _connect_failure(self, c.target, error)
        close(c.fd)
        c.fd = -1
        _dial(self, c, now_ns)
        return
    c.target.address_first = (c.target.address_first + c.address_tried - 1) % c.target.address_count
    self.run.connections_opened += 1
    if c.target.connect_head == NULL:
        _connected(self, c, now_ns)
        return
    c.state = CONNECTION_TUNNELLING
    buffer_add(&c.out, <const uint8_t *>c.target.connect_head, c.target.connect_head_bytes)
    _on_tunnelling(self, c, now_ns)


cdef void _on_tunnelling(Loop self, Connection *c, uint64_t now_ns) noexcept nogil:
    """The CONNECT request goes out, the proxy's answer comes in."""
    cdef ssize_t moved = 0
    cdef size_t sent = c.target.connect_head_bytes - c.out.length
    while c.out.length and moved >= 0:
        moved = wire_write(c, <const uint8_t *>c.target.connect_head + sent, c.out.length)
        if moved > 0:
            c.out.length -= moved
            sent += moved
    while moved >= 0 and c.state == CONNECTION_TUNNELLING:
        moved = wire_read(c, self.input, INPUT_BYTES)
        if moved > 0:
            if buffer_add(&c.tunnel, self.input, moved) < 0 or c.tunnel.length > MOST_TUNNEL_BYTES:
                _lose(self, c, PROXY_FAILED)
                return
            _on_proxy_answer(self, c, now_ns)
        elif moved == WIRE_END:
            _lose(self, c, PROXY_FAILED)
            return
    if moved == WIRE_FAILED:
        _lose(self, c, PROXY_FAILED)


cdef void _on_proxy_answer(Loop self, Connection *c, uint64_t now_ns) noexcept nogil:
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
        _lose(self, c, PROXY_AUTHENTICATION)
    elif result < 0 or not 200 <= answer.status < 300 or used != c.tunnel.length:
        _lose(self, c, PROXY_FAILED)
    else:
        buffer_clear(&c.tunnel, 0)
        _connected(self, c, clock_ns())


cdef void _connected(Loop self, Connection *c, uint64_t now_ns) noexcept nogil:
    c.connected_ns = now_ns
    if not c.target.is_tls:
        _ready(self, c, now_ns)
        return
    c.state = CONNECTION_HANDSHAKING
    if tls_open(c) != WIRE_DONE:
        _lose(self, c, c.failure)
        return
    _on_handshaking(self, c)


cdef void _on_handshaking(Loop self, Connection *c) noexcept nogil:
    cdef int result = tls_handshake(c)
    if result == WIRE_FAILED or result == WIRE_END:
        _lose(self, c, c.failure if c.failure else TLS_FAILED)
    elif result == WIRE_DONE:
        self.run.handshakes += 1
        self.run.handshakes_resumed += c.is_resumed
        _ready(self, c, clock_ns())


cdef void _ready(Loop self, Connection *c, uint64_t now_ns) noexcept nogil:
    """It can carry requests; who has waited for it gets on it."""
    c.ready_ns = now_ns
    c.state = CONNECTION_BUSY
    if c.target.http == 2 and not c.target.is_tls:
        c.http = 2
    if c.http == 2:
        if http2_open(c) != WIRE_DONE:
            _lose(self, c, c.failure)
            return
        _submit_waiting(self, c)
        _make_dirty(self, c)
        return
    if c.is_shared:
        _unshare(self, c)
    _transmit(self, c, c.first)
