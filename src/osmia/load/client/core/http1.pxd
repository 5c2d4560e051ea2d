# cython: language_level=3
"""The parser of HTTP/1.1 answers, for the loop."""

from libc.stdint cimport uint8_t

from osmia.load.client.core.connection cimport Answer, Http1

cdef enum Http1Result:
    HTTP1_MORE = 0
    HTTP1_WHOLE = 1  # negative: minus a Failure

cdef void http1_begin(Answer *answer, Http1 *parser) noexcept nogil
cdef int http1_feed(
    Answer *answer, Http1 *parser, const uint8_t *data, size_t length, size_t *used
) noexcept nogil
cdef int http1_end(Http1 *parser) noexcept nogil
