# When iterations begin: arrivals whose time has come, users that come and go. Part of `loop.pyx`.


cdef void _schedule(Loop self, uint64_t now_ns) noexcept nogil:
    """Arrivals and changes whose time has come."""
    if self.is_draining:
        self.schedule_ns = NEVER
    elif self.is_open:
        _count_due(self, now_ns)
        _begin_due(self, now_ns)
    else:
        _change_users(self, now_ns)


cdef void _count_due(Loop self, uint64_t now_ns) noexcept nogil:
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
            _next_block(self)
    if self.is_exhausted:
        self.schedule_ns = NEVER


cdef void _next_block(Loop self) noexcept nogil:
    _hold(self)
    _pull_block(self)
    if self.is_exhausted and self.due_block != NULL:
        self.due_at = self.due_block.count


cdef void _pull_block(Loop self) noexcept with gil:
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
        _give_up(self, exc)
        return
    block = <Block *>malloc(sizeof(Block) + values.shape[0] * sizeof(int64_t))
    if block == NULL:
        self.is_exhausted = True
        _give_up(self, MemoryError())
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


cdef void _begin_due(Loop self, uint64_t now_ns) noexcept nogil:
    """Start what is due as far as the limits let."""
    cdef Iteration *it
    cdef Block *block
    cdef uint64_t intended_ns
    while self.run.backlog and not self.is_ending and _may_begin(self):
        block = self.start_block
        if self.start_at == block.count:
            self.start_block = block.next
            self.start_at = 0
            free(block)
            block = self.start_block
        it = _new_iteration(self)
        if it == NULL:
            return
        intended_ns = self.zero_ns + <uint64_t>block.at_ns[self.start_at]
        self.start_at += 1
        self.run.backlog -= 1
        self.run.lag[histogram_bucket(now_ns - intended_ns)] += 1
        if self.pool != POOL_SHARED:
            it.user = _take_user(self)
        _begin(self, it, intended_ns, now_ns)
        now_ns = clock_ns()
    if self.run.backlog > self.run.backlog_max:
        self.run.backlog_max = self.run.backlog


cdef inline bint _may_begin(Loop self) noexcept nogil:
    if self.max_in_flight and self.run.in_flight >= self.max_in_flight:
        return False
    if self.waiting.first != NULL or self.is_draining:
        return False
    return _has_room(self, self.steps[0].target)


cdef void _change_users(Loop self, uint64_t now_ns) noexcept nogil:
    cdef Iteration *it
    if now_ns >= self.ends_ns:
        _drain(self)
        return
    while self.change_at < self.change_count:
        if self.zero_ns + self.changes[self.change_at].at_ns > now_ns:
            break
        self.users_wanted = self.changes[self.change_at].users
        self.change_at += 1
    self.schedule_ns = self.ends_ns
    if self.change_at < self.change_count:
        self.schedule_ns = min(self.ends_ns, self.zero_ns + self.changes[self.change_at].at_ns)
    while self.users_active < self.users_wanted and self.begun < self.most_iterations and not self.is_ending:
        it = _new_iteration(self)
        if it == NULL:
            return
        self.users_active += 1
        if self.pool != POOL_SHARED:
            it.user = _take_user(self)
        self.run.iterations_due += 1
        now_ns = clock_ns()
        _begin(self, it, now_ns, now_ns)
    if self.begun >= self.most_iterations and not self.is_draining:
        _drain(self)
