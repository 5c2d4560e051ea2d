# cython: language_level=3
"""What is counted when a request or an iteration has ended, straight into the shared block."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from osmia.load.client.core.connection cimport Connection, Iteration
from osmia.load.client.core.tally cimport (
    PHASE_CONNECT,
    PHASE_DNS,
    PHASE_REQUEST_WRITE,
    PHASE_RESPONSE_READ,
    PHASE_SERVER_PROCESSING,
    PHASE_TLS,
    PHASE_TOTAL,
    PHASE_WAIT,
    RunTally,
    SampleRow,
    StepTally,
    histogram_bucket,
)


cdef inline uint64_t _span(uint64_t start, uint64_t end, uint64_t since) noexcept nogil:
    """Length of the part of start..end that lies after `since`."""
    if start < since:
        start = since
    return end - start if end > start else 0


cdef inline void count_exchange(Iteration *it, Connection *c, uint64_t now_ns) noexcept nogil:
    """Add the phases of a whole answer; those of the connection only if it was made for it.

    What is left of the time before the last byte was written, waiting for a connection after a redirect included, is
    REQUEST_WRITE, so that the sum is the whole.
    """
    cdef uint64_t since = it.hop_ns
    cdef uint64_t first_ns = it.answer.first_ns
    cdef uint64_t written_ns = it.written_ns
    cdef uint64_t used = 0
    cdef uint64_t span
    if written_ns == 0 or written_ns > first_ns:  # answered before all was sent
        written_ns = first_ns
    if c.ready_ns > since:
        span = _span(c.dial_ns, c.resolved_ns, since)
        it.phase_ns[<int>PHASE_DNS] += span
        used += span
        span = _span(c.resolved_ns, c.connected_ns, since)
        it.phase_ns[<int>PHASE_CONNECT] += span
        used += span
        span = _span(c.connected_ns, c.ready_ns, since)
        it.phase_ns[<int>PHASE_TLS] += span
        used += span
    it.phase_ns[<int>PHASE_REQUEST_WRITE] += written_ns - since - used
    it.phase_ns[<int>PHASE_SERVER_PROCESSING] += first_ns - written_ns
    it.phase_ns[<int>PHASE_RESPONSE_READ] += now_ns - first_ns


cdef inline void count_answer(StepTally *tally, Iteration *it, uint64_t now_ns) noexcept nogil:
    """A request of a step was answered, redirects followed."""
    cdef uint64_t service_ns = now_ns - it.started_ns
    cdef uint64_t response_ns = now_ns - it.intended_ns
    cdef int phase
    it.phase_ns[<int>PHASE_WAIT] = it.started_ns - it.intended_ns
    it.phase_ns[<int>PHASE_TOTAL] = service_ns
    for phase in range(8):
        tally.phase_ns[phase] += it.phase_ns[phase]
        if it.phase_ns[phase] or phase < PHASE_DNS or phase > PHASE_TLS:
            tally.phase_count[phase] += 1
    if tally.answered == 0 or service_ns < tally.service_min_ns:
        tally.service_min_ns = service_ns
    if service_ns > tally.service_max_ns:
        tally.service_max_ns = service_ns
    if response_ns > tally.response_max_ns:
        tally.response_max_ns = response_ns
    tally.service[histogram_bucket(service_ns)] += 1
    tally.response[histogram_bucket(response_ns)] += 1
    tally.statuses[it.answer.status] += 1
    tally.answered += 1


cdef inline void count_iteration(RunTally *run, Iteration *it, uint64_t now_ns) noexcept nogil:
    """An iteration has ended; its duration is the sum of its steps', failures included."""
    cdef uint64_t duration_ns = it.duration_ns
    run.iterations[histogram_bucket(duration_ns)] += 1
    if run.iterations_finished == 0 or duration_ns < run.iteration_min_ns:
        run.iteration_min_ns = duration_ns
    if duration_ns > run.iteration_max_ns:
        run.iteration_max_ns = duration_ns
    if it.has_failed:
        run.iterations_failed += 1
    elif it.has_failed_assertion:
        run.iterations_assertion_failed += 1
    else:
        run.iterations_succeeded += 1
        run.succeeded_ns += duration_ns
    run.iterations_finished += 1
    run.last_ns = now_ns


cdef inline uint32_t _within(uint64_t value) noexcept nogil:
    return <uint32_t>value if not value >> 32 else <uint32_t>-1


cdef inline void fill_sample(SampleRow *row, Iteration *it, uint64_t now_ns) noexcept nogil:
    """One request as a row; without an answer only WAIT and TOTAL are known."""
    cdef int phase
    memset(row, 0, sizeof(SampleRow))
    row.iteration = it.number
    row.intended_ns = it.intended_ns
    row.started_ns = it.started_ns
    row.ended_ns = now_ns
    row.received_bytes = _within(it.received_bytes)
    row.step = <unsigned short>it.step
    row.failure = it.failure
    row.flags = it.flags
    if it.failure == 0:
        row.status = it.answer.status
        for phase in range(8):
            row.phase_ns[phase] = _within(it.phase_ns[phase])
    else:
        row.phase_ns[<int>PHASE_WAIT] = _within(it.started_ns - it.intended_ns)
        row.phase_ns[<int>PHASE_TOTAL] = _within(now_ns - it.started_ns)
