# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""HTTP/2 on a connection: one nghttp2 client session, as many streams as the server allows.

Three structs hang on a connection. `Session` (c.h2_spare) is made by `http2_open` and freed by `http2_close`. A `Stream`
(it.stream_spare) lives from `http2_submit` until nghttp2 closes its stream, which may be later than its iteration: an
answer that ended before our body did, or a cancelled request, leaves a stream without iteration (`it` NULL), and
whatever still comes for it is dropped. A `Head` is the head of a request taken apart.

Requests arrive as HTTP/1.1 messages. The head of a static one (`it.rendered` NULL: the same bytes each time) is taken
apart once per connection and given to nghttp2 without copies; a rendered one is taken apart, copied by nghttp2, and
forgotten. Request line and Host become the pseudo headers, names become lower case, and what speaks about the
connection is left out (RFC 9113, 8.2.2).

Answers: nghttp2 checks them (content-length against the body, order of frames, windows); a stream that it rejects by
itself counts as RESPONSE_MALFORMED, one that the server resets as HTTP2_STREAM_RESET. Streams that the server has not
begun to process fail as HTTP2_REFUSED_STREAM or, if GOAWAY excluded them, as HTTP2_GOAWAY: of those in `c.ended` both
may be sent again without harm.

Until the server's SETTINGS have come, one stream is allowed. RFC 9113 would let us assume more, but a server that
allows ten refuses the others, and then its log and our counts are no longer the same.

Frames are collected and written together: one write for everything that a pass of the loop has produced.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from osmia.load.client.core.connection cimport (
    WIRE_DONE,
    WIRE_FAILED,
    WIRE_WANTS_WRITE,
    Connection,
    Iteration,
    buffer_add,
    nghttp2_session,
)
from osmia.load.client.core.tally cimport (
    HTTP2_GOAWAY,
    HTTP2_NOT_NEGOTIATED,
    HTTP2_PROTOCOL,
    HTTP2_REFUSED_STREAM,
    HTTP2_STREAM_RESET,
    REQUEST_INVALID,
    RESPONSE_MALFORMED,
    RESPONSE_TOO_LARGE,
    UNKNOWN_FAILURE,
)
from osmia.load.client.core.wire cimport wire_write

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *a, const char *b, size_t length)

cdef extern from "nghttp2/nghttp2.h" nogil:
    enum:
        NGHTTP2_DATA
        NGHTTP2_HEADERS
        NGHTTP2_RST_STREAM
        NGHTTP2_SETTINGS
        NGHTTP2_GOAWAY
        NGHTTP2_FLAG_NONE
        NGHTTP2_FLAG_ACK
        NGHTTP2_FLAG_END_STREAM
        NGHTTP2_NV_FLAG_NONE
        NGHTTP2_NV_FLAG_NO_COPY_NAME
        NGHTTP2_NV_FLAG_NO_COPY_VALUE
        NGHTTP2_DATA_FLAG_EOF
        NGHTTP2_REFUSED_STREAM
        NGHTTP2_CANCEL
        NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        NGHTTP2_ERR_CALLBACK_FAILURE
        NGHTTP2_ERR_NOMEM
        NGHTTP2_ERR_START_STREAM_NOT_ALLOWED
        NGHTTP2_ERR_SESSION_CLOSING
        NGHTTP2_SETTINGS_ENABLE_PUSH
        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
    ctypedef struct nghttp2_session_callbacks
    ctypedef struct nghttp2_option
    ctypedef struct nghttp2_frame_hd:
        size_t length
        int32_t stream_id
        uint8_t type
        uint8_t flags
    ctypedef struct nghttp2_goaway:
        int32_t last_stream_id
    ctypedef union nghttp2_frame:
        nghttp2_frame_hd hd
        nghttp2_goaway goaway
    ctypedef struct nghttp2_nv:
        uint8_t *name
        uint8_t *value
        size_t namelen
        size_t valuelen
        uint8_t flags
    ctypedef union nghttp2_data_source:
        void *ptr
    ctypedef ssize_t (*nghttp2_data_source_read_callback)(
        nghttp2_session *, int32_t, uint8_t *, size_t, uint32_t *, nghttp2_data_source *, void *
    ) noexcept nogil
    ctypedef struct nghttp2_data_provider:
        nghttp2_data_source source
        nghttp2_data_source_read_callback read_callback
    ctypedef struct nghttp2_settings_entry:
        int32_t settings_id
        uint32_t value

    int nghttp2_session_callbacks_new(nghttp2_session_callbacks **callbacks)
    void nghttp2_session_callbacks_set_on_begin_headers_callback(
        nghttp2_session_callbacks *, int (*)(nghttp2_session *, const nghttp2_frame *, void *) noexcept nogil
    )
    void nghttp2_session_callbacks_set_on_header_callback(
        nghttp2_session_callbacks *,
        int (*)(
            nghttp2_session *, const nghttp2_frame *, const uint8_t *, size_t, const uint8_t *, size_t, uint8_t, void *
        ) noexcept nogil,
    )
    void nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        nghttp2_session_callbacks *,
        int (*)(nghttp2_session *, uint8_t, int32_t, const uint8_t *, size_t, void *) noexcept nogil,
    )
    void nghttp2_session_callbacks_set_on_frame_recv_callback(
        nghttp2_session_callbacks *, int (*)(nghttp2_session *, const nghttp2_frame *, void *) noexcept nogil
    )
    void nghttp2_session_callbacks_set_on_frame_send_callback(
        nghttp2_session_callbacks *, int (*)(nghttp2_session *, const nghttp2_frame *, void *) noexcept nogil
    )
    void nghttp2_session_callbacks_set_on_frame_not_send_callback(
        nghttp2_session_callbacks *, int (*)(nghttp2_session *, const nghttp2_frame *, int, void *) noexcept nogil
    )
    void nghttp2_session_callbacks_set_on_stream_close_callback(
        nghttp2_session_callbacks *, int (*)(nghttp2_session *, int32_t, uint32_t, void *) noexcept nogil
    )
    int nghttp2_option_new(nghttp2_option **option)
    void nghttp2_option_set_max_send_header_block_length(nghttp2_option *option, size_t value)
    int nghttp2_session_client_new2(
        nghttp2_session **session, const nghttp2_session_callbacks *callbacks, void *user, const nghttp2_option *option
    )
    void nghttp2_session_del(nghttp2_session *session)
    int nghttp2_submit_settings(
        nghttp2_session *session, uint8_t flags, const nghttp2_settings_entry *entries, size_t count
    )
    int nghttp2_session_set_local_window_size(nghttp2_session *session, uint8_t flags, int32_t stream_id, int32_t size)
    uint32_t nghttp2_session_get_remote_settings(nghttp2_session *session, int id)
    void *nghttp2_session_get_stream_user_data(nghttp2_session *session, int32_t stream_id)
    int32_t nghttp2_submit_request(
        nghttp2_session *session,
        const void *priority,
        const nghttp2_nv *fields,
        size_t count,
        const nghttp2_data_provider *body,
        void *stream_user,
    )
    int nghttp2_submit_rst_stream(nghttp2_session *session, uint8_t flags, int32_t stream_id, uint32_t error_code)
    ssize_t nghttp2_session_mem_recv(nghttp2_session *session, const uint8_t *data, size_t length)
    ssize_t nghttp2_session_mem_send(nghttp2_session *session, const uint8_t **data)
    int nghttp2_check_header_name(const uint8_t *name, size_t length)
    int nghttp2_check_header_value(const uint8_t *value, size_t length)

cdef enum:
    STREAMS_PER_CHUNK = 16
    STREAMS_MAX = 1024  # on one connection, where the server sets no limit
    WINDOW_BYTES = 16 << 20  # bodies are taken in at once: windows need not hold anybody back
    COLLECTED_BYTES = 32 << 10  # two full records of TLS
    REQUEST_HEAD_MAX = 16 << 20

cdef struct Stream:
    Iteration *it  # NULL: it was cancelled, or has its answer
    Stream *next  # of the free ones, or of those that are being written
    uint32_t head_bytes
    uint16_t coming_status  # of the head that is being received
    uint16_t status  # of the final head, 0: not yet
    uint8_t is_sent  # its last byte was given to nghttp2's output
    uint8_t is_being_written  # and lies in the collected bytes
    uint8_t is_closed  # by nghttp2, while it was being written
    uint8_t was_reset  # by the server

cdef struct Chunk:
    Chunk *next
    Stream[STREAMS_PER_CHUNK] streams

cdef struct Head:
    Head *next
    const uint8_t *request
    size_t bytes  # the empty line included: the body follows
    size_t count
    nghttp2_nv *fields
    uint8_t *names

cdef struct Session:
    uint64_t now_ns  # of what is being received
    Stream *heading  # whose head is being received
    Stream *being_written
    Stream *unused
    Chunk *chunks
    Head *heads
    uint32_t open  # streams
    uint32_t most  # streams that the server allows
    uint8_t is_settled  # its SETTINGS have come
    uint8_t is_going  # its GOAWAY has come
    uint8_t has_promised  # and it answers some streams
    uint8_t is_broken  # we ended the session because of what it sent

cdef nghttp2_session_callbacks *callbacks = NULL
cdef nghttp2_option *options = NULL


cdef int _make_callbacks() except -1:
    """Once, at import; they live as long as the process."""
    if nghttp2_session_callbacks_new(&callbacks) != 0 or nghttp2_option_new(&options) != 0:
        raise MemoryError("nghttp2")
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, _on_begin_headers)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _on_frame_received)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _on_frame_sent)
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, _on_frame_not_sent)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_stream_close)
    nghttp2_option_set_max_send_header_block_length(options, REQUEST_HEAD_MAX)
    return 0


_make_callbacks()


# ---- the session ----


cdef int http2_open(Connection *c) noexcept nogil:
    """A session that says nothing yet: preface and SETTINGS go with the first flush."""
    cdef nghttp2_settings_entry[2] settings
    cdef Session *session = <Session *>calloc(1, sizeof(Session))
    c.h2_spare = session
    if session == NULL or nghttp2_session_client_new2(&c.h2, callbacks, c, options) != 0:
        c.failure = UNKNOWN_FAILURE
        return WIRE_FAILED
    settings[0].settings_id = NGHTTP2_SETTINGS_ENABLE_PUSH
    settings[0].value = 0
    settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
    settings[1].value = WINDOW_BYTES
    nghttp2_submit_settings(c.h2, NGHTTP2_FLAG_NONE, settings, 2)
    nghttp2_session_set_local_window_size(c.h2, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES)
    session.most = 1
    _count_room(c, session)
    return WIRE_DONE


cdef void http2_close(Connection *c) noexcept nogil:
    """Free everything. Iterations that are still on it are the loop's."""
    cdef Session *session = <Session *>c.h2_spare
    if c.h2 != NULL:
        nghttp2_session_del(c.h2)  # before the heads, which it refers to
        c.h2 = NULL
    if session == NULL:
        return
    while session.chunks != NULL:
        chunk = session.chunks
        session.chunks = chunk.next
        free(chunk)
    while session.heads != NULL:
        head = session.heads
        session.heads = head.next
        free(head)
    free(session)
    c.h2_spare = NULL
    c.room = 0


cdef bint http2_is_settled(Connection *c) noexcept nogil:
    return (<Session *>c.h2_spare).is_settled


cdef bint http2_is_over(Connection *c) noexcept nogil:
    cdef Session *session = <Session *>c.h2_spare
    return session.is_going and session.open == 0


cdef bint http2_has_promised(Connection *c) noexcept nogil:
    return (<Session *>c.h2_spare).has_promised


cdef uint8_t http2_lost(Connection *c, uint8_t failure) noexcept nogil:
    return HTTP2_GOAWAY if (<Session *>c.h2_spare).is_going else failure


cdef inline void _count_room(Connection *c, Session *session) noexcept nogil:
    c.room = 0 if session.is_going or session.open >= session.most else session.most - session.open


# ---- requests ----


cdef int http2_submit(Connection *c, Iteration *it) noexcept nogil:
    """Give a request to the session; it goes with the next flush."""
    cdef Session *session = <Session *>c.h2_spare
    cdef Head *head = _head_of(session, c, it)
    cdef Stream *stream
    cdef nghttp2_data_provider body
    cdef bint has_body
    if head == NULL:
        it.failure = REQUEST_INVALID
        return WIRE_FAILED
    stream = _new_stream(session)
    if stream == NULL:
        _let_go(head, it)
        it.failure = UNKNOWN_FAILURE
        return WIRE_FAILED
    stream.it = it
    it.stream_spare = stream
    it.sent_bytes = head.bytes
    has_body = it.request_bytes > head.bytes
    body.source.ptr = stream
    body.read_callback = _read_body
    it.stream = nghttp2_submit_request(c.h2, NULL, head.fields, head.count, &body if has_body else NULL, stream)
    _let_go(head, it)
    if it.stream < 0:
        _free_stream(session, stream)
        it.failure = UNKNOWN_FAILURE if it.stream == NGHTTP2_ERR_NOMEM else HTTP2_GOAWAY  # no stream ids are left
        it.stream_spare = NULL
        session.is_going = session.has_promised = it.stream != NGHTTP2_ERR_NOMEM
        _count_room(c, session)
        return WIRE_FAILED
    session.open += 1
    _count_room(c, session)
    return WIRE_DONE


cdef void http2_cancel(Connection *c, Iteration *it) noexcept nogil:
    """The iteration gives up; its stream is reset with the next flush."""
    cdef Stream *stream = <Stream *>it.stream_spare
    if stream == NULL or c.h2 == NULL:
        return
    _part(stream)
    nghttp2_submit_rst_stream(c.h2, NGHTTP2_FLAG_NONE, it.stream, NGHTTP2_CANCEL)


cdef ssize_t _read_body(
    nghttp2_session *h2,
    int32_t stream_id,
    uint8_t *into,
    size_t room,
    uint32_t *flags,
    nghttp2_data_source *source,
    void *user,
) noexcept nogil:
    cdef Iteration *it = (<Stream *>source.ptr).it
    cdef size_t left
    if it == NULL:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
    left = it.request_bytes - it.sent_bytes
    if left <= room:
        flags[0] |= NGHTTP2_DATA_FLAG_EOF
    else:
        left = room
    memcpy(into, it.request + it.sent_bytes, left)
    it.sent_bytes += left
    return <ssize_t>left


cdef Stream *_new_stream(Session *session) noexcept nogil:
    cdef Chunk *chunk
    cdef Stream *stream
    cdef int i
    if session.unused == NULL:
        chunk = <Chunk *>malloc(sizeof(Chunk))
        if chunk == NULL:
            return NULL
        chunk.next = session.chunks
        session.chunks = chunk
        for i in range(STREAMS_PER_CHUNK):
            _free_stream(session, &chunk.streams[i])
    stream = session.unused
    session.unused = stream.next
    memset(stream, 0, sizeof(Stream))
    return stream


cdef inline void _free_stream(Session *session, Stream *stream) noexcept nogil:
    stream.it = NULL
    stream.next = session.unused
    session.unused = stream


cdef inline void _part(Stream *stream) noexcept nogil:
    """Iteration and stream go their own ways."""
    stream.it.stream_spare = NULL
    stream.it = NULL


# ---- heads of requests ----


cdef Head *_head_of(Session *session, Connection *c, Iteration *it) noexcept nogil:
    """The head of a request, taken apart; NULL if it is none. Those of static requests stay with the session."""
    cdef Head *head = session.heads
    if it.rendered != NULL:
        return _take_apart(it, c.target.is_tls, NGHTTP2_NV_FLAG_NONE)
    while head != NULL and head.request != it.request:
        head = head.next
    if head == NULL:
        head = _take_apart(it, c.target.is_tls, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)
        if head != NULL:
            head.next = session.heads
            session.heads = head
    return head


cdef inline void _let_go(Head *head, Iteration *it) noexcept nogil:
    if it.rendered != NULL:
        free(head)


cdef Head *_take_apart(Iteration *it, bint is_tls, uint8_t flags) noexcept nogil:
    """Fields that point into the request and into names of their own, all in one piece of memory."""
    cdef const uint8_t *end = _end_of_head(it.request, it.request_bytes)
    cdef size_t bytes, lines = 0, i
    cdef Head *head
    if end == NULL:
        return NULL
    bytes = end - it.request
    for i in range(bytes):
        lines += it.request[i] == b"\n"
    head = <Head *>malloc(sizeof(Head) + (lines + 4) * sizeof(nghttp2_nv) + bytes)
    if head == NULL:
        return NULL
    head.next = NULL
    head.request = it.request
    head.bytes = bytes
    head.fields = <nghttp2_nv *>(<uint8_t *>head + sizeof(Head))
    head.names = <uint8_t *>(head.fields + lines + 4)
    if not _fill(head, end - 2, is_tls, flags):
        free(head)
        return NULL
    return head


cdef const uint8_t *_end_of_head(const uint8_t *text, size_t length) noexcept nogil:
    """Just behind the empty line."""
    cdef const uint8_t *end = text + length
    cdef const uint8_t *at = text
    while end - at >= 4:
        at = <const uint8_t *>memchr(at, b"\r", end - at - 3)
        if at == NULL:
            return NULL
        if at[1] == b"\n" and at[2] == b"\r" and at[3] == b"\n":
            return at + 4
        at += 1
    return NULL


cdef bint _fill(Head *head, const uint8_t *end, bint is_tls, uint8_t flags) noexcept nogil:
    """All fields: the pseudo ones first, then those of the lines up to `end`."""
    cdef const uint8_t *line_end = <const uint8_t *>memchr(head.request, b"\r", end - head.request)
    cdef const uint8_t *target = <const uint8_t *>memchr(head.request, b" ", line_end - head.request)
    cdef const uint8_t *target_end
    cdef const uint8_t *authority = NULL
    cdef size_t authority_bytes = 0
    cdef nghttp2_nv *host
    if target == NULL:
        return False
    target_end = <const uint8_t *>memchr(target + 1, b" ", line_end - target - 1)
    if target_end == NULL:
        return False
    head.count = 4
    if not _fill_lines(head, line_end + 2, end, flags, &authority, &authority_bytes):
        return False
    _set(&head.fields[0], b":method", 7, head.request, target - head.request, flags)
    _set(&head.fields[1], b":scheme", 7, b"https" if is_tls else b"http", 5 if is_tls else 4, flags)
    target = _path(target + 1, target_end)
    _set(&head.fields[2], b":path", 5, target, target_end - target, flags)
    host = &head.fields[3]
    if authority != NULL:
        _set(host, b":authority", 10, authority, authority_bytes, flags)
    else:
        head.count -= 1
        memmove(host, host + 1, (head.count - 3) * sizeof(nghttp2_nv))
    return True


cdef const uint8_t *_path(const uint8_t *target, const uint8_t *end) noexcept nogil:
    """Where the path of a request target begins: in the absolute form, behind scheme and authority."""
    cdef const uint8_t *slash
    if end - target < 8 or target[0] == b"/" or strncasecmp(<const char *>target, b"http", 4) != 0:
        return target
    slash = <const uint8_t *>memchr(target + 8, b"/", end - target - 8)
    return target if slash == NULL else slash


cdef bint _fill_lines(
    Head *head, const uint8_t *at, const uint8_t *end, uint8_t flags, const uint8_t **authority, size_t *authority_bytes
) noexcept nogil:
    """The header lines; Host is handed back."""
    cdef const uint8_t *line_end
    cdef const uint8_t *colon
    cdef const uint8_t *value
    cdef const uint8_t *value_end
    while at < end:
        line_end = <const uint8_t *>memchr(at, b"\r", end - at)
        if line_end == NULL or line_end[1] != b"\n":
            return False
        colon = <const uint8_t *>memchr(at, b":", line_end - at)
        if colon == NULL:
            return False
        value = colon + 1
        value_end = line_end
        while value < value_end and (value[0] == b" " or value[0] == b"\t"):
            value += 1
        while value_end > value and ((value_end - 1)[0] == b" " or (value_end - 1)[0] == b"\t"):
            value_end -= 1
        if colon - at == 4 and strncasecmp(<const char *>at, b"host", 4) == 0:
            authority[0] = value
            authority_bytes[0] = value_end - value
        elif not _is_about_connection(at, colon - at, value, value_end - value):
            if not _add(head, at, colon - at, value, value_end - value, flags):
                return False
        at = line_end + 2
    return True


cdef bint _is_about_connection(const uint8_t *name, size_t length, const uint8_t *value, size_t bytes) noexcept nogil:
    """What HTTP/2 has no use for (RFC 9113, 8.2.2)."""
    cdef const char *text = <const char *>name
    if length == 2:
        return strncasecmp(text, b"te", 2) == 0 and not (bytes == 8 and memcmp(value, b"trailers", 8) == 0)
    if length == 7:
        return strncasecmp(text, b"upgrade", 7) == 0
    if length == 10:
        return strncasecmp(text, b"connection", 10) == 0 or strncasecmp(text, b"keep-alive", 10) == 0
    if length == 14:
        return strncasecmp(text, b"http2-settings", 14) == 0
    if length == 16:
        return strncasecmp(text, b"proxy-connection", 16) == 0
    return length == 17 and strncasecmp(text, b"transfer-encoding", 17) == 0


cdef bint _add(
    Head *head, const uint8_t *name, size_t length, const uint8_t *value, size_t bytes, uint8_t flags
) noexcept nogil:
    """One more field, its name in lower case; False if HTTP/2 has no such name or value."""
    cdef size_t i
    for i in range(length):
        head.names[i] = name[i] + 32 if b"A" <= name[i] <= b"Z" else name[i]
    if length == 0 or not nghttp2_check_header_name(head.names, length) or not nghttp2_check_header_value(value, bytes):
        return False
    _set(&head.fields[head.count], <const char *>head.names, length, value, bytes, flags)
    head.names += length
    head.count += 1
    return True


cdef inline void _set(
    nghttp2_nv *field, const char *name, size_t length, const uint8_t *value, size_t bytes, uint8_t flags
) noexcept nogil:
    field.name = <uint8_t *>name
    field.namelen = length
    field.value = <uint8_t *>value
    field.valuelen = bytes
    field.flags = flags


# ---- out ----


cdef int http2_flush(Connection *c) noexcept nogil:
    """Write everything that nghttp2 has to say. What the socket did not take is in `c.out`."""
    cdef Session *session = <Session *>c.h2_spare
    cdef uint8_t[COLLECTED_BYTES] collected
    cdef const uint8_t *frame = NULL
    cdef size_t length = 0
    cdef ssize_t bytes = 0
    cdef int result = _write_rest(c)
    while result == WIRE_DONE:
        bytes = nghttp2_session_mem_send(c.h2, &frame)
        if bytes <= 0:
            break
        if length + bytes > COLLECTED_BYTES:
            result = _write(c, collected, length)
            length = 0
        if bytes > COLLECTED_BYTES and result == WIRE_DONE:
            result = _write(c, frame, bytes)
        elif length + bytes <= COLLECTED_BYTES and result == WIRE_DONE:
            memcpy(&collected[length], frame, bytes)
            length += bytes
        elif buffer_add(&c.out, frame, bytes) != 0:
            c.failure = UNKNOWN_FAILURE
            return WIRE_FAILED
    if result == WIRE_DONE and bytes < 0:
        c.failure = HTTP2_PROTOCOL
        return WIRE_FAILED
    if length and result == WIRE_DONE:
        result = _write(c, collected, length)
    if result == WIRE_DONE:
        _stamp_written(session)
    if session.is_broken and result != WIRE_FAILED:
        c.failure = HTTP2_PROTOCOL if session.is_settled else HTTP2_NOT_NEGOTIATED
        return WIRE_FAILED
    return result


cdef int _write(Connection *c, const uint8_t *data, size_t length) noexcept nogil:
    """Write, or keep in `c.out` what cannot be written now."""
    cdef ssize_t sent
    while length:
        sent = wire_write(c, data, length)
        if sent < 0:
            break
        data += sent
        length -= sent
    if length == 0:
        return WIRE_DONE
    if sent == WIRE_FAILED or buffer_add(&c.out, data, length) != 0:
        return WIRE_FAILED
    return WIRE_WANTS_WRITE


cdef int _write_rest(Connection *c) noexcept nogil:
    """What an earlier flush has left in `c.out`."""
    cdef size_t done = 0
    cdef ssize_t sent = 0
    while done < c.out.length:
        sent = wire_write(c, c.out.data + done, c.out.length - done)
        if sent < 0:
            break
        done += sent
    if done:
        memmove(c.out.data, c.out.data + done, c.out.length - done)
        c.out.length -= done
    if c.out.length == 0:
        return WIRE_DONE
    return WIRE_FAILED if sent == WIRE_FAILED else WIRE_WANTS_WRITE


cdef void _stamp_written(Session *session) noexcept nogil:
    """Everything has gone: so have these requests."""
    cdef timespec now
    cdef Stream *stream = session.being_written
    cdef Stream *next_stream
    if stream == NULL:
        return
    clock_gettime(CLOCK_MONOTONIC, &now)
    session.being_written = NULL
    while stream != NULL:
        next_stream = stream.next
        stream.is_being_written = 0
        if stream.it != NULL:
            stream.it.written_ns = <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec
        if stream.is_closed:
            _free_stream(session, stream)
        stream = next_stream


cdef int _on_frame_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *user) noexcept nogil:
    cdef Session *session = <Session *>(<Connection *>user).h2_spare
    cdef Stream *stream
    if frame.hd.type == NGHTTP2_GOAWAY:
        session.is_broken = 1  # we never say it of our own accord
    elif frame.hd.type <= NGHTTP2_HEADERS and frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
        stream = <Stream *>nghttp2_session_get_stream_user_data(h2, frame.hd.stream_id)
        if stream != NULL and not stream.is_sent:
            stream.is_sent = 1
            stream.is_being_written = 1
            stream.next = session.being_written
            session.being_written = stream
    return 0


cdef int _on_frame_not_sent(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *user) noexcept nogil:
    """A request that nghttp2 would not send: too late, or too large."""
    cdef Stream *stream
    if frame.hd.type != NGHTTP2_HEADERS:
        return 0
    stream = <Stream *>nghttp2_session_get_stream_user_data(h2, frame.hd.stream_id)
    if stream != NULL and stream.it != NULL:
        if error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED or error == NGHTTP2_ERR_SESSION_CLOSING:
            _end(<Connection *>user, stream, HTTP2_GOAWAY)
        else:
            _end(<Connection *>user, stream, REQUEST_INVALID)
    return 0


# ---- in ----


cdef int http2_receive(Connection *c, const uint8_t *data, size_t length, uint64_t now_ns) noexcept nogil:
    """Understand what has come; ended answers are in `c.ended`."""
    cdef Session *session = <Session *>c.h2_spare
    cdef ssize_t used
    session.now_ns = now_ns
    used = nghttp2_session_mem_recv(c.h2, data, length)
    if used == <ssize_t>length:
        return WIRE_DONE
    if used == NGHTTP2_ERR_NOMEM or used == NGHTTP2_ERR_CALLBACK_FAILURE:
        c.failure = UNKNOWN_FAILURE
    else:
        c.failure = HTTP2_PROTOCOL if session.is_settled else HTTP2_NOT_NEGOTIATED
    return WIRE_FAILED


cdef void _end(Connection *c, Stream *stream, uint8_t failure) noexcept nogil:
    """The iteration has its answer, or a reason why it has none."""
    cdef Iteration *it = stream.it
    _part(stream)
    it.failure = failure
    it.next_ended = NULL
    if c.ended == NULL:
        c.ended = it
    else:
        c.ended_last.next_ended = it
    c.ended_last = it


cdef inline int _reject(Connection *c, Stream *stream, int32_t stream_id, uint8_t failure) noexcept nogil:
    """We do not want the rest of this answer."""
    _end(c, stream, failure)
    nghttp2_submit_rst_stream(c.h2, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL)
    return 0


cdef int _on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user) noexcept nogil:
    cdef Session *session = <Session *>(<Connection *>user).h2_spare
    cdef Stream *stream = <Stream *>nghttp2_session_get_stream_user_data(h2, frame.hd.stream_id)
    session.heading = stream
    if stream == NULL or stream.it == NULL:
        return 0
    stream.coming_status = 0
    stream.head_bytes = 0
    if stream.it.answer.first_ns == 0:
        stream.it.answer.first_ns = session.now_ns
    return 0


cdef int _on_header(
    nghttp2_session *h2,
    const nghttp2_frame *frame,
    const uint8_t *name,
    size_t length,
    const uint8_t *value,
    size_t bytes,
    uint8_t flags,
    void *user,
) noexcept nogil:
    cdef Connection *c = <Connection *>user
    cdef Stream *stream = (<Session *>c.h2_spare).heading
    cdef Iteration *it
    if stream == NULL or stream.it == NULL:
        return 0
    it = stream.it
    stream.head_bytes += <uint32_t>(length + bytes + 4)
    if stream.head_bytes > it.answer.max_head_bytes:
        return _reject(c, stream, frame.hd.stream_id, RESPONSE_TOO_LARGE)
    if stream.status:
        return 0  # trailers are counted, not kept
    if length == 7 and name[0] == b":":
        stream.coming_status = (value[0] - 48) * 100 + (value[1] - 48) * 10 + value[2] - 48  # nghttp2 has seen digits
        return _keep_status(it, value) if it.answer.keeps_head else 0
    return _keep(it, name, length, value, bytes) if it.answer.keeps_head else 0


cdef int _keep_status(Iteration *it, const uint8_t *digits) noexcept nogil:
    it.answer.head.length = 0
    if (
        buffer_add(&it.answer.head, b"HTTP/2 ", 7) != 0
        or buffer_add(&it.answer.head, digits, 3) != 0
        or buffer_add(&it.answer.head, b"\r\n", 2) != 0
    ):
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return 0


cdef int _keep(Iteration *it, const uint8_t *name, size_t length, const uint8_t *value, size_t bytes) noexcept nogil:
    if (
        buffer_add(&it.answer.head, name, length) != 0
        or buffer_add(&it.answer.head, b": ", 2) != 0
        or buffer_add(&it.answer.head, value, bytes) != 0
        or buffer_add(&it.answer.head, b"\r\n", 2) != 0
    ):
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return 0


cdef int _on_data(
    nghttp2_session *h2, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t length, void *user
) noexcept nogil:
    cdef Stream *stream = <Stream *>nghttp2_session_get_stream_user_data(h2, stream_id)
    cdef Iteration *it
    if stream == NULL or stream.it == NULL or not stream.it.answer.keeps_body:
        return 0
    it = stream.it
    if it.answer.body.length + length > it.answer.max_body_bytes:
        return _reject(<Connection *>user, stream, stream_id, RESPONSE_TOO_LARGE)
    return NGHTTP2_ERR_CALLBACK_FAILURE if buffer_add(&it.answer.body, data, length) != 0 else 0


cdef int _on_frame_received(nghttp2_session *h2, const nghttp2_frame *frame, void *user) noexcept nogil:
    cdef Connection *c = <Connection *>user
    cdef Session *session = <Session *>c.h2_spare
    cdef Stream *stream
    if frame.hd.stream_id == 0:
        _on_connection_frame(c, session, frame)
        return 0
    stream = <Stream *>nghttp2_session_get_stream_user_data(h2, frame.hd.stream_id)
    if stream == NULL or stream.it == NULL:
        return 0
    stream.it.answer.received_bytes += frame.hd.length + 9
    if frame.hd.type == NGHTTP2_RST_STREAM:
        stream.was_reset = 1
        return 0
    if frame.hd.type == NGHTTP2_HEADERS and stream.status == 0 and stream.coming_status >= 200:
        stream.status = stream.coming_status
        stream.it.answer.status = stream.coming_status
        if stream.it.answer.keeps_head and buffer_add(&stream.it.answer.head, b"\r\n", 2) != 0:
            return NGHTTP2_ERR_CALLBACK_FAILURE
    if frame.hd.type <= NGHTTP2_HEADERS and frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
        _end(c, stream, 0)
        if not stream.is_sent:  # the server answered without waiting for our body
            nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_CANCEL)
    return 0


cdef void _on_connection_frame(Connection *c, Session *session, const nghttp2_frame *frame) noexcept nogil:
    """SETTINGS say how many streams, GOAWAY that no more."""
    if frame.hd.type == NGHTTP2_SETTINGS and not frame.hd.flags & NGHTTP2_FLAG_ACK:
        session.is_settled = 1
        session.most = nghttp2_session_get_remote_settings(c.h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
        if session.most > STREAMS_MAX:
            session.most = STREAMS_MAX
    elif frame.hd.type == NGHTTP2_GOAWAY:
        session.is_going = 1
        session.has_promised = frame.goaway.last_stream_id > 0
    _count_room(c, session)


cdef int _on_stream_close(nghttp2_session *h2, int32_t stream_id, uint32_t error_code, void *user) noexcept nogil:
    cdef Connection *c = <Connection *>user
    cdef Session *session = <Session *>c.h2_spare
    cdef Stream *stream = <Stream *>nghttp2_session_get_stream_user_data(h2, stream_id)
    if stream == NULL:
        return 0
    if stream.it != NULL:
        _end(c, stream, _why_closed(session, stream, error_code))
    if session.heading == stream:
        session.heading = NULL
    if stream.is_being_written:
        stream.is_closed = 1
    else:
        _free_stream(session, stream)
    session.open -= 1
    _count_room(c, session)
    return 0


cdef uint8_t _why_closed(Session *session, Stream *stream, uint32_t error_code) noexcept nogil:
    """Closed before its end: by GOAWAY, by the server's reset, or by nghttp2, which did not like the answer."""
    if error_code == NGHTTP2_REFUSED_STREAM:
        return HTTP2_REFUSED_STREAM if stream.was_reset else HTTP2_GOAWAY
    return HTTP2_STREAM_RESET if stream.was_reset else RESPONSE_MALFORMED
