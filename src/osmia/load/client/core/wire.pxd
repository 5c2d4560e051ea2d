# cython: language_level=3
"""Bytes in and out of a connection, whatever lies under them; results as `connection.pxd` says."""

from libc.errno cimport EAGAIN, ECONNRESET, EINTR, EPIPE, ETIMEDOUT, errno
from libc.stdint cimport uint8_t

from osmia.load.client.core.connection cimport (
    Connection,
    WIRE_END,
    WIRE_FAILED,
    WIRE_WANTS_READ,
    WIRE_WANTS_WRITE,
)
from osmia.load.client.core.tally cimport (
    CONNECTION_CLOSED,
    CONNECTION_RESET,
    CONNECTION_TIMEOUT,
    UNKNOWN_FAILURE,
)
from osmia.load.client.core.tls cimport tls_read, tls_write
from osmia.load.client.core.tls cimport tls_read, tls_write

cdef extern from "sys/socket.h" nogil:
    enum:
        MSG_NOSIGNAL
    ssize_t recv(int fd, void *into, size_t room, int flags)
    ssize_t send(int fd, const void *data, size_t length, int flags)

cdef inline int wire_failure(int error) noexcept nogil:
    """The Failure of a socket's errno once it was connected."""
    if error == ECONNRESET:
        return CONNECTION_RESET
    if error == EPIPE:
        return CONNECTION_CLOSED
    if error == ETIMEDOUT:
        return CONNECTION_TIMEOUT
    return UNKNOWN_FAILURE

cdef inline ssize_t socket_read(Connection *c, uint8_t *into, size_t room) noexcept nogil:
    cdef ssize_t got = recv(c.fd, into, room, 0)
    while got < 0 and errno == EINTR:
        got = recv(c.fd, into, room, 0)
    if got >= 0:
        return got
    if errno == EAGAIN:
        return WIRE_WANTS_READ
    c.failure = wire_failure(errno)
    return WIRE_FAILED

cdef inline ssize_t socket_write(Connection *c, const uint8_t *data, size_t length) noexcept nogil:
    cdef ssize_t sent = send(c.fd, data, length, MSG_NOSIGNAL)
    while sent < 0 and errno == EINTR:
        sent = send(c.fd, data, length, MSG_NOSIGNAL)
    if sent >= 0:
        return sent
    if errno == EAGAIN:
        return WIRE_WANTS_WRITE
    c.failure = wire_failure(errno)
    return WIRE_FAILED

cdef inline ssize_t wire_read(Connection *c, uint8_t *into, size_t room) noexcept nogil:
    """Read what is there."""
    if c.ssl != NULL:
        return tls_read(c, into, room)
    return socket_read(c, into, room)

cdef inline ssize_t wire_write(Connection *c, const uint8_t *data, size_t length) noexcept nogil:
    """Write what fits."""
    if c.ssl != NULL:
        return tls_write(c, data, length)
    return socket_write(c, data, length)
