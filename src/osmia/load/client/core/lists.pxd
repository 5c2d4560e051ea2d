# cython: language_level=3
"""The lists that the structs are on, all of them intrusive: nothing is allocated per request."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from osmia.load.client.core.connection cimport Connection, Iteration


# ---- connections: most recently used first ----


cdef inline void connections_push(Connection **first, Connection *c) noexcept nogil:
    c.next = first[0]
    c.previous = NULL
    if c.next != NULL:
        c.next.previous = c
    first[0] = c


cdef inline void connections_remove(Connection **first, Connection *c) noexcept nogil:
    if c.next != NULL:
        c.next.previous = c.previous
    if c.previous != NULL:
        c.previous.next = c.next
    elif first[0] == c:
        first[0] = c.next
    c.next = c.previous = NULL


cdef inline void shared_push(Connection **first, Connection *c) noexcept nogil:
    c.is_shared = True
    c.previous_shared = NULL
    c.next_shared = first[0]
    if c.next_shared != NULL:
        c.next_shared.previous_shared = c
    first[0] = c


cdef inline void shared_remove(Connection **first, Connection *c) noexcept nogil:
    if not c.is_shared:
        return
    c.is_shared = False
    if c.next_shared != NULL:
        c.next_shared.previous_shared = c.previous_shared
    if c.previous_shared != NULL:
        c.previous_shared.next_shared = c.next_shared
    else:
        first[0] = c.next_shared
    c.next_shared = c.previous_shared = NULL


# ---- iterations with a request on a connection ----


cdef inline void attach(Connection *c, Iteration *it) noexcept nogil:
    it.connection = c
    c.streams += 1
    it.previous_on = NULL
    it.next_on = c.first
    if c.first != NULL:
        c.first.previous_on = it
    c.first = it


cdef inline void detach(Iteration *it) noexcept nogil:
    it.connection.streams -= 1
    if it.next_on != NULL:
        it.next_on.previous_on = it.previous_on
    if it.previous_on != NULL:
        it.previous_on.next_on = it.next_on
    else:
        it.connection.first = it.next_on
    it.next_on = it.previous_on = NULL
    it.connection = NULL


# ---- iterations in the order in which they came: waiting for a connection, to be settled ----


cdef struct Queue:
    Iteration *first
    Iteration *last


cdef inline void queue_add(Queue *queue, Iteration *it) noexcept nogil:
    it.next = NULL
    if queue.last != NULL:
        queue.last.next = it
    else:
        queue.first = it
    queue.last = it


cdef inline Iteration *queue_take(Queue *queue) noexcept nogil:
    cdef Iteration *it = queue.first
    if it != NULL:
        queue.first = it.next
        if queue.first == NULL:
            queue.last = NULL
        it.next = NULL
    return it


cdef inline bint queue_remove(Queue *queue, Iteration *it) noexcept nogil:
    """Takes as long as the queue is; only for what is given up while it waits."""
    cdef Iteration *before = NULL
    cdef Iteration *at = queue.first
    while at != NULL and at != it:
        before = at
        at = at.next
    if at == NULL:
        return False
    if before != NULL:
        before.next = it.next
    else:
        queue.first = it.next
    if queue.last == it:
        queue.last = before
    it.next = NULL
    return True


# ---- deadlines: all of a step have the same timeout, so that the first that began is the first that is due ----


cdef struct Deadlines:
    Iteration *first
    Iteration *last


cdef inline void deadlines_add(Deadlines *list, Iteration *it, uint64_t deadline_ns) noexcept nogil:
    it.deadline_ns = deadline_ns
    it.next_due = NULL
    it.previous_due = list.last
    if list.last != NULL:
        list.last.next_due = it
    else:
        list.first = it
    list.last = it


cdef inline void deadlines_remove(Deadlines *list, Iteration *it) noexcept nogil:
    if it.deadline_ns == 0:
        return
    if it.next_due != NULL:
        it.next_due.previous_due = it.previous_due
    else:
        list.last = it.previous_due
    if it.previous_due != NULL:
        it.previous_due.next_due = it.next_due
    else:
        list.first = it.next_due
    it.next_due = it.previous_due = NULL
    it.deadline_ns = 0


# ---- alarms: a heap, for what ends at times of its own ----


cdef enum AlarmKind:
    ALARM_ITERATION = 0  # it has slept
    ALARM_USER = 1  # it has rested between two iterations
    ALARM_CONNECTION = 2  # the next address may be tried


cdef struct Alarm:
    uint64_t at_ns
    void *what
    uint32_t generation
    uint32_t kind


cdef struct Alarms:
    Alarm *heap
    size_t count
    size_t capacity


cdef inline int alarms_add(Alarms *alarms, Alarm alarm) noexcept nogil:
    """-1 without memory."""
    cdef size_t i = alarms.count
    cdef size_t parent
    cdef Alarm *moved
    if i == alarms.capacity:
        moved = <Alarm *>realloc(alarms.heap, sizeof(Alarm) * (alarms.capacity * 2 + 64))
        if moved == NULL:
            return -1
        alarms.heap = moved
        alarms.capacity = alarms.capacity * 2 + 64
    alarms.count += 1
    while i > 0:
        parent = (i - 1) >> 1
        if alarms.heap[parent].at_ns <= alarm.at_ns:
            break
        alarms.heap[i] = alarms.heap[parent]
        i = parent
    alarms.heap[i] = alarm
    return 0


cdef inline Alarm alarms_take(Alarms *alarms) noexcept nogil:
    """The earliest; there must be one."""
    cdef Alarm earliest = alarms.heap[0]
    cdef Alarm last
    cdef size_t i = 0
    cdef size_t child
    alarms.count -= 1
    last = alarms.heap[alarms.count]
    while True:
        child = 2 * i + 1
        if child >= alarms.count:
            break
        if child + 1 < alarms.count and alarms.heap[child + 1].at_ns < alarms.heap[child].at_ns:
            child += 1
        if last.at_ns <= alarms.heap[child].at_ns:
            break
        alarms.heap[i] = alarms.heap[child]
        i = child
    alarms.heap[i] = last
    return earliest


cdef inline void alarms_free(Alarms *alarms) noexcept nogil:
    free(alarms.heap)
    alarms.heap = NULL
    alarms.count = alarms.capacity = 0
