# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A complete parser of HTTP/1.1 answers: bytes in any pieces go in, status, framing and the kept parts come out.

It looks at each byte of a head once by `memchr` for line ends, and at three header fields; bodies are skipped or
copied in blocks. A head that comes in one piece, as nearly all do, is parsed where it lies; one in pieces is gathered
in `Answer.head` first. A line counts as ended only when the byte after it is known, since a line that begins with a
blank continues the one before (obs-fold, RFC 9112 section 5.2).

Strict where a client and a server could disagree about where an answer ends (lengths that differ, chunk sizes that
are none), tolerant elsewhere (bare LF, missing reason, chunk extensions and trailers of any kind).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memset

from osmia.load.client.core.connection cimport Answer, Http1, buffer_add, buffer_clear
from osmia.load.client.core.http1 cimport HTTP1_MORE, HTTP1_WHOLE
from osmia.load.client.core.tally cimport (
    CONNECTION_CLOSED,
    RESPONSE_MALFORMED,
    RESPONSE_TOO_LARGE,
)

cdef enum ParserState:
    IN_HEAD = 0
    IN_LENGTH = 1  # body of known length
    IN_REST = 2  # body up to the end of the connection
    IN_SIZE = 3
    IN_EXTENSION = 4
    SIZE_RETURN = 5  # after the CR of a size line
    IN_CHUNK = 6
    AFTER_CHUNK = 7
    CHUNK_RETURN = 8
    AT_TRAILER = 9  # at the start of a line
    IN_TRAILER = 10
    AT_WHOLE = 11

cdef enum Framing:
    FRAMED_NOT = 0
    FRAMED_LENGTH = 1
    FRAMED_CHUNKS = 2
    FRAMED_OTHERWISE = 3  # a transfer coding whose end is that of the connection

cdef enum:
    KEPT_HEAD = 2048  # bytes of buffers that stay with an iteration: there may be thousands
    KEPT_BODY = 4096
    MALFORMED = -22
    TOO_LARGE = -23


cdef void http1_begin(Answer *answer, Http1 *parser) noexcept nogil:
    """Make both ready for the next answer."""
    answer.first_ns = 0
    answer.received_bytes = 0
    answer.status = 0
    buffer_clear(&answer.head, KEPT_HEAD)
    buffer_clear(&answer.body, KEPT_BODY)
    memset(parser, 0, sizeof(Http1))


cdef int http1_feed(
    Answer *answer, Http1 *parser, const uint8_t *data, size_t length, size_t *used
) noexcept nogil:
    """Take in a piece; HTTP1_MORE, HTTP1_WHOLE or minus a Failure. `used` bytes belong to this answer."""
    cdef size_t at = 0
    cdef ssize_t taken
    cdef int result = HTTP1_MORE
    while at < length or parser.state == AT_WHOLE:
        if parser.state == IN_HEAD:
            taken = _head(answer, parser, data + at, length - at)
        elif parser.state == IN_LENGTH or parser.state == IN_REST or parser.state == IN_CHUNK:
            taken = _body(answer, parser, data + at, length - at)
        elif parser.state == AT_WHOLE:
            result = HTTP1_WHOLE
            break
        else:
            taken = _control(answer, parser, data + at, length - at)
        if taken < 0:
            result = <int>taken
            break
        at += taken
    used[0] = at
    answer.received_bytes += at
    return result


cdef int http1_end(Http1 *parser) noexcept nogil:
    """The connection has ended: HTTP1_WHOLE where that ends the body, too, else minus CONNECTION_CLOSED."""
    parser.is_kept = False
    if parser.state == IN_REST or parser.state == AT_WHOLE:
        return HTTP1_WHOLE
    return -CONNECTION_CLOSED


# ---- head ----


cdef ssize_t _head(Answer *answer, Http1 *parser, const uint8_t *data, size_t length) noexcept nogil:
    """Bytes used, all of them if the head goes on after them."""
    cdef size_t before = answer.head.length
    cdef size_t room = answer.max_head_bytes + 1 - before
    cdef ssize_t ended
    if before == 0:
        ended = _lines(parser, answer, data, length)
        if ended > 0 and <size_t>ended > answer.max_head_bytes:
            return TOO_LARGE
        if ended > 0 and answer.keeps_head and buffer_add(&answer.head, data, ended) < 0:
            return TOO_LARGE
        if ended != 0:
            return _headed(answer, parser, ended)
    if buffer_add(&answer.head, data, length if length < room else room) < 0:
        return TOO_LARGE
    ended = 0
    if before > 0:
        ended = _lines(parser, answer, answer.head.data, answer.head.length)
    if ended == 0 and answer.head.length > answer.max_head_bytes:
        return TOO_LARGE
    if ended == 0:
        return length
    if ended > 0:
        answer.head.length = ended
        ended -= before
    return _headed(answer, parser, ended)


cdef ssize_t _headed(Answer *answer, Http1 *parser, ssize_t ended) noexcept nogil:
    """The head is whole: decide how the body ends (RFC 9112 section 6.3)."""
    cdef uint32_t status = answer.status
    if ended < 0:
        return ended
    if 100 <= status < 200 and status != 101:
        buffer_clear(&answer.head, KEPT_HEAD)
        memset(parser, 0, sizeof(Http1))
        return ended
    if not answer.keeps_head:
        buffer_clear(&answer.head, KEPT_HEAD)
    if answer.is_head or status == 204 or status == 304 or status == 101:
        parser.state = AT_WHOLE
        if status == 101:
            parser.is_kept = False
    elif parser.framing == FRAMED_CHUNKS:
        parser.state = IN_SIZE
        parser.left = 0
        parser.scanned = 0
    elif parser.framing == FRAMED_LENGTH:
        parser.state = IN_LENGTH if parser.left else AT_WHOLE
    else:
        parser.state = IN_REST
        parser.is_kept = False
    return ended


cdef ssize_t _lines(Http1 *parser, Answer *answer, const uint8_t *data, size_t length) noexcept nogil:
    """Parse whole lines from `parser.scanned` on: 0 if the head is not whole, else its length (or negative)."""
    cdef const uint8_t *found
    cdef size_t start = parser.scanned
    cdef size_t search = start
    cdef size_t end
    cdef ssize_t result
    while True:
        found = <const uint8_t *>memchr(data + search, c"\n", length - search)
        if found == NULL:
            break
        end = found - data
        if end == start or (end == start + 1 and data[start] == c"\r"):
            return <ssize_t>end + 1 if start else <ssize_t>MALFORMED
        if end + 1 == length:
            break
        search = end + 1
        if data[search] == c" " or data[search] == c"\t":
            continue
        if start == 0:
            result = _status_line(parser, answer, data, end)
        else:
            result = _field(parser, data + start, end - start)
        if result < 0:
            return result
        start = search
    parser.scanned = <uint32_t>start
    return 0


cdef ssize_t _status_line(Http1 *parser, Answer *answer, const uint8_t *line, size_t length) noexcept nogil:
    """`HTTP/1.1 200 OK`, the reason is optional."""
    cdef uint32_t status = 0
    cdef size_t i
    if length < 12 or line[0] != c"H" or line[1] != c"T" or line[2] != c"T" or line[3] != c"P":
        return MALFORMED
    if line[4] != c"/" or line[5] != c"1" or line[6] != c"." or line[8] != c" ":
        return MALFORMED
    if line[7] != c"0" and line[7] != c"1":
        return MALFORMED
    for i in range(9, 12):
        if not c"0" <= line[i] <= c"9":
            return MALFORMED
        status = status * 10 + line[i] - c"0"
    if status < 100 or (length > 12 and line[12] != c" " and line[12] != c"\r"):
        return MALFORMED
    answer.status = <unsigned short>status
    parser.is_kept = line[7] == c"1"
    return 0


cdef ssize_t _field(Http1 *parser, const uint8_t *line, size_t length) noexcept nogil:
    """One header field; only those that say where the answer or the connection ends are read."""
    cdef const uint8_t *colon = <const uint8_t *>memchr(line, c":", length)
    cdef size_t name
    if colon == NULL or colon == line:
        return MALFORMED
    name = colon - line
    if line[name - 1] == c" " or line[name - 1] == c"\t":
        return MALFORMED
    if name == 14 and _is(line, b"content-length", 14):
        return _content_length(parser, colon + 1, length - name - 1)
    if name == 17 and _is(line, b"transfer-encoding", 17):
        _tokens(parser, colon + 1, length - name - 1, True)
    elif name == 10 and _is(line, b"connection", 10):
        _tokens(parser, colon + 1, length - name - 1, False)
    return 0


cdef inline bint _is(const uint8_t *text, const char *lower, size_t length) noexcept nogil:
    cdef size_t i
    for i in range(length):
        if (text[i] | 0x20) != <uint8_t>lower[i]:
            return False
    return True


cdef inline bint _is_blank(uint8_t byte) noexcept nogil:
    return byte == c" " or byte == c"\t" or byte == c"\r" or byte == c"\n"


cdef ssize_t _content_length(Http1 *parser, const uint8_t *value, size_t length) noexcept nogil:
    """A number; several are fine if they are the same (`5, 5`). Transfer-Encoding overrules it."""
    cdef uint64_t number
    cdef size_t i = 0
    cdef bint has_digits
    while True:
        number = 0
        has_digits = False
        while i < length and _is_blank(value[i]):
            i += 1
        while i < length and c"0" <= value[i] <= c"9":
            if number >> 58:
                return MALFORMED
            number = number * 10 + value[i] - c"0"
            has_digits = True
            i += 1
        while i < length and _is_blank(value[i]):
            i += 1
        if not has_digits or (parser.framing == FRAMED_LENGTH and parser.left != number):
            return MALFORMED
        if parser.framing == FRAMED_NOT:
            parser.framing = FRAMED_LENGTH
            parser.left = number
        if i == length:
            return 0
        if value[i] != c",":
            return MALFORMED
        i += 1


cdef void _tokens(Http1 *parser, const uint8_t *value, size_t length, bint is_coding) noexcept nogil:
    """Each word of a list: of transfer codings the last one counts, of connection options each."""
    cdef size_t i = 0
    cdef size_t start
    cdef size_t end
    while i < length:
        while i < length and (_is_blank(value[i]) or value[i] == c","):
            i += 1
        start = i
        while i < length and value[i] != c",":
            i += 1
        end = i
        while end > start and _is_blank(value[end - 1]):
            end -= 1
        if end == start:
            continue
        if is_coding:
            parser.framing = FRAMED_CHUNKS if end - start == 7 and _is(
                value + start, b"chunked", 7) else FRAMED_OTHERWISE
            parser.left = 0
        elif end - start == 5 and _is(value + start, b"close", 5):
            parser.is_kept = False
        elif end - start == 10 and _is(value + start, b"keep-alive", 10):
            parser.is_kept = True


# ---- body ----


cdef ssize_t _body(Answer *answer, Http1 *parser, const uint8_t *data, size_t length) noexcept nogil:
    if parser.state != IN_REST and parser.left < length:
        length = parser.left
    if answer.keeps_body:
        if answer.body.length + length > answer.max_body_bytes or buffer_add(&answer.body, data, length) < 0:
            return TOO_LARGE
    if parser.state == IN_REST:
        return length
    parser.left -= length
    if parser.left == 0:
        if parser.state == IN_LENGTH:
            parser.state = AT_WHOLE
        else:
            parser.state = AFTER_CHUNK
            parser.scanned = 0
    return length


cdef inline int _hexadecimal(uint8_t byte) noexcept nogil:
    if c"0" <= byte <= c"9":
        return byte - c"0"
    byte |= 0x20
    if c"a" <= byte <= c"f":
        return byte - c"a" + 10
    return -1


cdef ssize_t _control(Answer *answer, Http1 *parser, const uint8_t *data, size_t length) noexcept nogil:
    """Chunk sizes, extensions and trailers, up to the next byte of a body."""
    cdef size_t i = 0
    cdef bint is_right
    while i < length and parser.state != IN_CHUNK and parser.state != AT_WHOLE:
        parser.scanned += 1
        if parser.scanned > answer.max_head_bytes:
            return TOO_LARGE
        if parser.state == IN_SIZE:
            is_right = _in_size(parser, data[i])
        elif parser.state == IN_TRAILER or parser.state == AT_TRAILER:
            is_right = _in_trailer(parser, data[i])
        else:
            is_right = _in_line(parser, data[i])
        if not is_right:
            return MALFORMED
        i += 1
    return i


cdef inline bint _in_size(Http1 *parser, uint8_t byte) noexcept nogil:
    cdef int digit = _hexadecimal(byte)
    if digit >= 0:
        parser.digits += 1
        parser.left = parser.left << 4 | <uint64_t>digit
        return parser.digits <= 15
    if parser.digits == 0:
        return False
    if byte == c"\n":
        _chunk_begins(parser)
    elif byte == c"\r":
        parser.state = SIZE_RETURN
    elif byte == c";" or byte == c" " or byte == c"\t":
        parser.state = IN_EXTENSION
    else:
        return False
    return True


cdef inline bint _in_line(Http1 *parser, uint8_t byte) noexcept nogil:
    """Extensions, and the ends of size lines and chunks: a CR must be followed by LF."""
    if parser.state == IN_EXTENSION:
        if byte == c"\n":
            _chunk_begins(parser)
        elif byte == c"\r":
            parser.state = SIZE_RETURN
    elif byte == c"\n":
        if parser.state == SIZE_RETURN:
            _chunk_begins(parser)
        else:
            parser.state = IN_SIZE
            parser.left = parser.digits = 0
            parser.scanned = 0
    elif byte == c"\r" and parser.state == AFTER_CHUNK:
        parser.state = CHUNK_RETURN
    else:
        return False
    return True


cdef inline bint _in_trailer(Http1 *parser, uint8_t byte) noexcept nogil:
    """Trailers are skipped; an empty line is the end."""
    if byte == c"\n":
        parser.state = AT_WHOLE if parser.state == AT_TRAILER else AT_TRAILER
    elif byte != c"\r":
        parser.state = IN_TRAILER
    return True


cdef inline void _chunk_begins(Http1 *parser) noexcept nogil:
    parser.scanned = 0
    parser.state = IN_CHUNK if parser.left else AT_TRAILER


# ---- for tests ----


cdef class Reader:
    """The parser by itself, fed from Python."""

    cdef Answer answer
    cdef Http1 parser
    cdef readonly int result

    def __cinit__(self, *, bint is_head=False, bint keeps=True, max_head_bytes=1 << 20, max_body_bytes=64 << 20):
        memset(&self.answer, 0, sizeof(Answer))
        self.answer.is_head = is_head
        self.answer.keeps_head = self.answer.keeps_body = keeps
        self.answer.max_head_bytes = max_head_bytes
        self.answer.max_body_bytes = max_body_bytes
        http1_begin(&self.answer, &self.parser)
        self.result = HTTP1_MORE

    def __dealloc__(self):
        buffer_clear(&self.answer.head, 0)
        buffer_clear(&self.answer.body, 0)

    def feed(self, bytes data):
        """Bytes of `data` that belong to this answer."""
        cdef size_t used = 0
        self.result = http1_feed(&self.answer, &self.parser, data, len(data), &used)
        return used

    def end(self):
        """The connection ends."""
        self.result = http1_end(&self.parser)

    @property
    def status(self):
        return self.answer.status

    @property
    def head(self):
        return (<char *>self.answer.head.data)[:self.answer.head.length] if self.answer.head.length else b""

    @property
    def body(self):
        return (<char *>self.answer.body.data)[:self.answer.body.length] if self.answer.body.length else b""

    @property
    def received_bytes(self):
        return self.answer.received_bytes

    @property
    def is_kept(self):
        return bool(self.parser.is_kept)
