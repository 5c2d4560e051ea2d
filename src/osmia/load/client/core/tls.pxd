# cython: language_level=3
"""TLS on a non-blocking socket; results as `connection.pxd` says, reasons in `tls.pyx`."""

from libc.stdint cimport uint8_t

from osmia.load.client.core.connection cimport Connection, Target

cdef int tls_prepare(Target *target, object endpoint) except -1
cdef void tls_forget(Target *target) noexcept nogil
cdef int tls_open(Connection *c) noexcept nogil
cdef int tls_handshake(Connection *c) noexcept nogil
cdef ssize_t tls_read(Connection *c, uint8_t *into, size_t room) noexcept nogil
cdef ssize_t tls_write(Connection *c, const uint8_t *data, size_t length) noexcept nogil
cdef void tls_close(Connection *c) noexcept nogil
