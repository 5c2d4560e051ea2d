# cython: language_level=3
"""HTTP/2 on a connection; results as `connection.pxd` says, reasons in `http2.pyx`."""

from libc.stdint cimport uint8_t, uint64_t

from osmia.load.client.core.connection cimport Connection, Iteration

cdef int http2_open(Connection *c) noexcept nogil
cdef int http2_submit(Connection *c, Iteration *it) noexcept nogil
cdef int http2_flush(Connection *c) noexcept nogil
cdef int http2_receive(Connection *c, const uint8_t *data, size_t length, uint64_t now_ns) noexcept nogil
cdef void http2_cancel(Connection *c, Iteration *it) noexcept nogil
cdef void http2_close(Connection *c) noexcept nogil

# Before the server's SETTINGS `room` is 1: who waits for more should wait for this connection, not open another.
cdef bint http2_is_settled(Connection *c) noexcept nogil
# The server said GOAWAY and nothing is left on it: to be closed.
cdef bint http2_is_over(Connection *c) noexcept nogil
# Its GOAWAY leaves streams to be answered: the server works, only not on this connection for much longer.
cdef bint http2_has_promised(Connection *c) noexcept nogil
# What those fail as that are still on it when the socket is lost: HTTP2_GOAWAY if that was announced, else `failure`.
cdef uint8_t http2_lost(Connection *c, uint8_t failure) noexcept nogil
