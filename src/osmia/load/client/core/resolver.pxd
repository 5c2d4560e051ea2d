# cython: language_level=3
"""Names to addresses off the hot path, for the loop."""

from osmia.load.client.core.connection cimport Target

cdef bint resolver_literal(Target *target) noexcept nogil
cdef int resolver_start(Target *target, int wake_fd) noexcept nogil
cdef bint resolver_take(Target *target) noexcept nogil
cdef void resolver_abandon(Target *target) noexcept nogil
cdef int resolver_failure(int error) noexcept nogil
