# cython: language_level=3
"""The endpoints of a run as C structs, for the loop and for scripts' own requests."""

from libc.stdint cimport uint32_t

from osmia.load.client.core.connection cimport Target

cdef class Targets:
    cdef Target **items
    cdef uint32_t count
    cdef uint32_t capacity
    cdef dict _known
    cdef object _last
    cdef Target *_last_target
    cdef Target *find(self, object endpoint) except NULL
    cdef Target *_add(self, object endpoint) except NULL
