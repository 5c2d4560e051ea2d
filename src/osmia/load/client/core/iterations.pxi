# An iteration from its begin through its steps to its end, and the samples of its requests. Part of `loop.pyx`.


cdef void _begin(Loop self, Iteration *it, uint64_t intended_ns, uint64_t now_ns) noexcept nogil:
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
        _begin_script(self, it)
    _start_step(self, it, intended_ns, now_ns)


cdef void _begin_script(Loop self, Iteration *it) noexcept nogil:
    """Ask the script for the iteration's state: at its start, or, where only redirects are shown, at the first."""
    _hold(self)
    if self._calls.begin(it, it.user.number if self.pool == POOL_USER_KEPT else -1) == SAID_ERROR:
        self.is_ending = True


cdef void _start_step(Loop self, Iteration *it, uint64_t intended_ns, uint64_t now_ns) noexcept nogil:
    cdef Step *step = &self.steps[it.step]
    if self.is_ending:
        it.state = ITERATION_SLEEPING
        return
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
    elif not _render(self, it):
        _start_clock(self, it, clock_ns())
        _defer(self, it, it.failure)
        return
    else:
        now_ns = clock_ns()
    _place(self, it, now_ns)


cdef bint _render(Loop self, Iteration *it) noexcept nogil:
    cdef int said
    _hold(self)
    said = self._calls.render(it)
    if said == SAID_ERROR:
        self.is_ending = True
        it.failure = CANCELLED
    return said == SAID_REQUEST


cdef inline void _start_clock(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
    cdef Step *step = &self.steps[it.step]
    it.started_ns = it.hop_ns = now_ns
    if step.timeout_ns:
        deadlines_add(&step.deadlines, it, now_ns + step.timeout_ns)
        if it.deadline_ns < self.deadline_ns:
            self.deadline_ns = it.deadline_ns


cdef void _advance(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
    """The step has ended, with an answer or without: rest, then the next."""
    cdef Step *step = &self.steps[it.step]
    cdef uint64_t sleep_ns = step.sleep_ns
    if step.sleep_more_ns:
        sleep_ns += _draw(self) % (step.sleep_more_ns + 1)
    it.step += 1
    if it.step == self.step_count:
        _finish(self, it, sleep_ns, now_ns)
    elif sleep_ns:
        it.state = ITERATION_SLEEPING
        _set_alarm(self, ALARM_ITERATION, it, it.generation, now_ns + sleep_ns)
    else:
        _start_step(self, it, now_ns, now_ns)


cdef inline uint64_t _draw(Loop self) noexcept nogil:
    """xorshift64* (Marsaglia 2003, Vigna 2016)."""
    self.random ^= self.random >> 12
    self.random ^= self.random << 25
    self.random ^= self.random >> 27
    return self.random * <uint64_t>0x2545F4914F6CDD1D >> 8


cdef void _finish(Loop self, Iteration *it, uint64_t rest_ns, uint64_t now_ns) noexcept nogil:
    count_iteration(self.run, it, now_ns)
    self.run.in_flight -= 1
    if self.calls_end:
        _hold(self)
        if self._calls.end(it) == SAID_ERROR:
            self.is_ending = True
    if it.script != NULL or it.rendered != NULL:
        _hold(self)
        self._calls.forget(it)
    if self.pool == POOL_USER_NEW:
        _close_user(self, it.user)
    if self.is_open:
        _free_iteration(self, it)
        if self.run.backlog and self.waiting.first == NULL:
            _begin_due(self, now_ns)
    elif _goes_on(self, now_ns):
        if rest_ns:
            it.state = ITERATION_RESTING
            _set_alarm(self, ALARM_USER, it, it.generation, now_ns + rest_ns)
        else:
            self.run.iterations_due += 1
            _begin(self, it, now_ns, now_ns)
    else:
        _retire(self, it)


cdef inline bint _goes_on(Loop self, uint64_t now_ns) noexcept nogil:
    """Whether a user of the closed model begins anew."""
    if self.begun >= self.most_iterations or now_ns >= self.ends_ns:
        if not self.is_draining:
            _drain(self)
    return not self.is_draining and not self.is_ending and self.users_active <= self.users_wanted


cdef void _retire(Loop self, Iteration *it) noexcept nogil:
    self.users_active -= 1
    if it.user != NULL:
        _close_user(self, it.user)
    _free_iteration(self, it)


cdef Iteration *_new_iteration(Loop self) noexcept nogil:
    cdef Iteration *it
    if self.free_iterations == NULL and not _add_iterations(self):
        self.is_ending = True
        return NULL
    it = self.free_iterations
    self.free_iterations = it.next
    it.next = NULL
    it.generation += 1
    it.answer.max_body_bytes = self.max_body_bytes
    it.answer.max_head_bytes = self.max_head_bytes
    return it


cdef bint _add_iterations(Loop self) noexcept nogil:
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


cdef inline void _free_iteration(Loop self, Iteration *it) noexcept nogil:
    if it.user != NULL:
        it.user.next = self.free_users
        self.free_users = it.user
        it.user = NULL
    it.state = ITERATION_FREE
    it.generation += 1
    it.next = self.free_iterations
    self.free_iterations = it


cdef User *_take_user(Loop self) noexcept nogil:
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


cdef void _close_user(Loop self, User *user) noexcept nogil:
    while user.idle != NULL:
        _close(self, user.idle)


cdef void _add_sample(Loop self, Iteration *it, uint64_t now_ns) noexcept nogil:
    fill_sample(&self.samples[self.sample_count], it, now_ns)
    self.sample_count += 1
    if self.sample_count == SAMPLES:
        _flush_samples(self)


cdef void _flush_samples(Loop self) noexcept nogil:
    if self.sample_count:
        _hold(self)
        _hand_over_samples(self)
        self.sample_count = 0


cdef void _hand_over_samples(Loop self) noexcept with gil:
    try:
        self._on_samples(self._samples[:self.sample_count])
    except BaseException as exc:  # noqa: BLE001 - raised by go()
        _give_up(self, exc)
