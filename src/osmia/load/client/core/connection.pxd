# cython: language_level=3
"""What the parts of the core share: targets, connections and iterations, as C structs without behaviour.

Who does what. `loop` owns every struct, all of epoll, the pool, timeouts and counting; it alone takes connections from
one state to the next. `http1` parses answers. `tls` and `http2` are called by the loop through the functions below;
they never call back, they leave what they found in the structs. Nothing here needs the GIL except `tls_prepare`.

Sockets are non-blocking and registered once, edge-triggered, for IN | OUT | RDHUP: after WIRE_WANTS_READ or
WIRE_WANTS_WRITE a function is simply called again at the next event. Reading goes on until WIRE_WANTS_READ, or until
the answer is whole.

    tls.pxd
        void tls_prepare(Target *, endpoint) except *       with the GIL, before the run: SSL_CTX from the Endpoint's
                                                             certificates and flags; raises ConfigError
        void tls_forget(Target *)                            frees context and session
        int tls_open(Connection *)                           SSL_new on c.fd (perhaps inside a CONNECT tunnel), SNI,
                                                             ALPN by target.http, session if target.is_resumed;
                                                             WIRE_DONE or WIRE_FAILED with c.failure
        int tls_handshake(Connection *)                      WIRE_DONE, WIRE_WANTS_READ, WIRE_WANTS_WRITE or
                                                             WIRE_FAILED with c.failure; when done c.http says what
                                                             ALPN chose (1 or 2) and c.is_resumed whether it was short
        ssize_t tls_read(Connection *, uint8_t *, size_t)    > 0 bytes, WIRE_END, WIRE_WANTS_*, WIRE_FAILED (c.failure)
        ssize_t tls_write(Connection *, const uint8_t *, size_t)    same
        void tls_close(Connection *)                         SSL_free; no waiting for the peer (the loop closes c.fd)
    http2.pxd
        int http2_open(Connection *)                         session and SETTINGS; c.room = streams it may be given
        int http2_submit(Connection *, Iteration *)          takes it.request[:it.request_bytes] (an HTTP/1.1 message)
                                                             apart; it.stream = its id; WIRE_DONE or WIRE_FAILED with
                                                             it.failure. Keeps c.room true (0 once GOAWAY was seen)
        int http2_flush(Connection *)                        sends all that is to be sent by wire_write, coalesced;
                                                             WIRE_DONE, WIRE_WANTS_WRITE (the rest is kept in c.out)
                                                             or WIRE_FAILED with c.failure. Sets it.written_ns when
                                                             the last byte of a request has gone
        int http2_receive(Connection *, const uint8_t *, size_t, uint64_t now_ns)
                                                             fills it.answer of its streams (first_ns, status, head
                                                             as HTTP/1.1 text if keeps_head, body if keeps_body,
                                                             received_bytes) and appends ended ones to c.ended by
                                                             it.next_ended, with it.failure if they were reset or
                                                             refused. WIRE_DONE or WIRE_FAILED with c.failure
        void http2_cancel(Connection *, Iteration *)         RST_STREAM CANCEL; no entry in c.ended follows
        void http2_close(Connection *)                       frees the session
    wire.pxd (CORE)
        ssize_t wire_read / wire_write(Connection *, ...)    tls_* or recv/send, results as above
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

cdef extern from "openssl/ssl.h" nogil:
    ctypedef struct SSL
    ctypedef struct SSL_CTX
    ctypedef struct SSL_SESSION

cdef extern from "nghttp2/nghttp2.h" nogil:
    ctypedef struct nghttp2_session

cdef extern from "sys/socket.h" nogil:
    cdef struct sockaddr_storage:
        pass
    ctypedef unsigned int socklen_t

cdef enum WireResult:
    WIRE_DONE = 1  # where no number of bytes is returned
    WIRE_END = 0  # the peer has ended the stream
    WIRE_WANTS_READ = -1
    WIRE_WANTS_WRITE = -2
    WIRE_FAILED = -3  # and c.failure says why

cdef struct Buffer:
    # Grows by doubling, keeps its memory from one use to the next.
    uint8_t *data
    size_t length
    size_t capacity

cdef inline int buffer_add(Buffer *buffer, const uint8_t *data, size_t length) noexcept nogil:
    """Append; -1 without memory."""
    cdef size_t capacity = buffer.capacity
    cdef uint8_t *moved
    if buffer.length + length > capacity:
        if capacity == 0:
            capacity = 512
        while capacity < buffer.length + length:
            capacity *= 2
        moved = <uint8_t *>realloc(buffer.data, capacity)
        if moved == NULL:
            return -1
        buffer.data = moved
        buffer.capacity = capacity
    memcpy(buffer.data + buffer.length, data, length)
    buffer.length += length
    return 0

cdef inline void buffer_clear(Buffer *buffer, size_t kept) noexcept nogil:
    """Empty it; memory beyond `kept` bytes is given back."""
    buffer.length = 0
    if buffer.capacity > kept:
        free(buffer.data)
        buffer.data = NULL
        buffer.capacity = 0

cdef struct Target:
    # An endpoint as the core knows it: one per distinct `Endpoint`.
    uint32_t index
    char *host  # a name or an address without []
    uint16_t port
    char *server_name  # for SNI and verification, never NULL
    uint8_t is_tls
    uint8_t is_verified
    uint8_t is_resumed
    uint8_t http  # 1, or 2 where the server agrees
    uint8_t speaks_one  # http == 2, but ALPN chose HTTP/1.1
    uint8_t is_proxied
    SSL_CTX *tls_context
    SSL_SESSION *tls_session  # the last one, for the next connection
    void *tls_spare  # tls's own
    # ---- dialling ----
    char *dial_host  # the proxy's or `host`
    uint16_t dial_port
    char *connect_head  # the CONNECT request for a tunnel, or NULL
    size_t connect_head_bytes
    void *lookup  # resolver's own, NULL while none is under way
    uint8_t is_literal
    int32_t lookup_error  # of getaddrinfo
    uint64_t resolved_ns  # when `addresses` were learnt, 0: never
    uint32_t address_count
    uint32_t address_first  # the one that answered last
    sockaddr_storage *sockets
    socklen_t *socket_bytes
    Connection *resolving  # connections that wait for the name
    # ---- pool ----
    Connection *idle  # most recently used first
    Connection *shared  # HTTP/2 connections that are open or opening

cdef enum ConnectionState:
    CONNECTION_FREE = 0
    CONNECTION_RESOLVING = 1
    CONNECTION_CONNECTING = 2
    CONNECTION_TUNNELLING = 3  # CONNECT was sent to the proxy
    CONNECTION_HANDSHAKING = 4
    CONNECTION_IDLE = 5
    CONNECTION_BUSY = 6  # HTTP/1.1: has a request; HTTP/2: open

cdef struct Connection:
    int32_t fd
    uint8_t state
    uint8_t http  # what is spoken: 1 or 2
    uint8_t failure  # why the last function failed
    uint8_t is_used  # it has carried an answer before
    uint8_t is_resumed  # TLS session was
    uint8_t is_ended  # the peer has ended its direction
    uint8_t is_writing  # something is left to be written at the next event
    uint8_t address_tried  # how many addresses were tried
    uint32_t generation  # grows with each reuse of the struct: timers and events of an earlier life are void
    Target *target
    Iteration *first  # those with a request on it (HTTP/1.1: at most one), by it.next_on / it.previous_on
    User *user  # whose it is, NULL: everybody's
    Connection *next  # in the pool, among those resolving, shared or free
    Connection *previous
    uint64_t dial_ns  # CLOCK_MONOTONIC of what happened, 0: not
    uint64_t resolved_ns
    uint64_t connected_ns  # the tunnel included
    uint64_t ready_ns  # TLS included
    uint64_t attempt_ns  # when the address in hand was tried
    uint64_t served  # requests that were begun on it
    Buffer out  # what could not be written yet
    Buffer tunnel  # the proxy's answer to CONNECT
    # ---- tls, http2 ----
    SSL *ssl
    void *tls_spare
    nghttp2_session *h2
    void *h2_spare
    uint32_t unsubmitted  # iterations that wait for it to open or for its SETTINGS
    uint8_t is_shared  # in `Target.shared`
    uint8_t is_dirty  # there may be something to flush
    Connection *next_dirty
    Connection *next_shared
    Connection *previous_shared
    uint32_t streams  # iterations on it
    uint32_t room  # how many more it can be given now
    Iteration *ended  # answers that are whole or failed, in order, by it.next_ended
    Iteration *ended_last

cdef struct Answer:
    # What has come of an answer.
    uint64_t first_ns  # its first byte, 0: none
    uint64_t received_bytes  # as HTTP, before TLS
    Buffer head  # "HTTP/1.1 200 OK\r\n...\r\n\r\n"; only the part in hand unless keeps_head
    Buffer body  # still compressed, without chunks; only if keeps_body
    uint64_t max_body_bytes
    uint32_t max_head_bytes
    uint16_t status  # of the final answer, 1xx are skipped
    uint8_t keeps_head
    uint8_t keeps_body
    uint8_t is_head  # to a HEAD request: has no body

cdef struct Http1:
    # Where the parser of HTTP/1.1 stands.
    uint64_t left  # of a body or chunk
    uint32_t scanned  # of `Answer.head`, or length of a line of control
    uint8_t state
    uint8_t is_kept  # the connection may be used again
    uint8_t digits  # of a chunk size
    uint8_t framing  # how the body ends, as far as the head has told

cdef struct User:
    uint32_t number
    Connection *idle  # most recently used first
    User *next

cdef struct Iteration:
    # One pass through the steps and its request in hand: at most one at a time.
    uint64_t number
    uint32_t step
    uint32_t generation
    uint8_t state
    uint8_t failure
    uint8_t is_retry
    uint8_t has_failed  # a step got no answer
    uint8_t has_failed_assertion
    uint8_t flags
    uint8_t refusals  # of its stream (HTTP/2), by a server that had not looked at it
    uint8_t is_reused
    Target *target
    Connection *connection
    User *user
    const uint8_t *request
    size_t request_bytes
    size_t sent_bytes  # of `request`
    void *rendered  # the Python object that holds `request`, or NULL
    void *script  # the script's state, or NULL
    Answer answer
    Http1 parser
    int32_t stream  # HTTP/2
    void *stream_spare  # http2's own while the request is on a connection
    uint64_t intended_ns
    uint64_t started_ns
    uint64_t hop_ns  # start of this exchange (redirects and retries have several)
    uint64_t written_ns
    uint64_t deadline_ns  # 0: none
    uint64_t duration_ns  # of the steps so far
    uint64_t received_bytes  # of earlier hops
    uint64_t phase_ns[8]
    Iteration *next_on  # of the same connection
    Iteration *previous_on
    Iteration *next_due  # of the same timeout
    Iteration *previous_due
    Iteration *next  # free, waiting for a connection, or failed
    Iteration *next_ended
