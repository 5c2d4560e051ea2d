# cython: language_level=3
"""Calls of the script, for the loop."""

from libc.stdint cimport int64_t, uint64_t

from osmia.load.client.core.connection cimport Iteration
from osmia.load.client.core.targets cimport Targets

cdef enum Said:
    SAID_FINE = 0
    SAID_ASSERTION_FAILED = 1
    SAID_REQUEST = 2
    SAID_GIVE = 3  # it.failure is set
    SAID_ERROR = 4  # `Calls.error` is set: the run ends

cdef class Calls:
    cdef object _begin
    cdef object _render
    cdef object _inspect
    cdef object _fail
    cdef object _end
    cdef Targets _targets
    cdef readonly object error
    cdef void set_error(self, object exc) noexcept
    cdef object take_error(self)
    cdef int begin(self, Iteration *it, int64_t user) noexcept with gil
    cdef int render(self, Iteration *it) noexcept with gil
    cdef int inspect(self, Iteration *it, uint64_t service_ns) noexcept with gil
    cdef int fail(self, Iteration *it) noexcept with gil
    cdef int end(self, Iteration *it) noexcept with gil
    cdef void forget(self, Iteration *it) noexcept with gil
    cdef int _take(self, Iteration *it, object said) except -1
