"""TLS on a non-blocking socket; see tls.pyx."""

cdef extern from "openssl/ssl.h" nogil:
    ctypedef struct SSL
    ctypedef struct SSL_CTX
    ctypedef struct SSL_SESSION

cdef enum:
    TLS_CLOSED = 0  # the peer ended its side
    TLS_WANT_READ = -1
    TLS_WANT_WRITE = -2
    TLS_FAILED = -3  # *failure says why

cdef struct TlsContext:
    SSL_CTX *library
    SSL_SESSION *session  # the newest that a server gave; NULL: none, or none is wanted
    char *server_name  # for SNI and verification
    bint is_address  # server_name is an address: not sent as SNI
    bint is_resumed
    bint is_verified

cdef TlsContext *tls_context_new(
    str server_name, bint offers_http2, bint is_verified, bint is_resumed, str cert_path, str key_path
) except NULL
cdef void tls_context_free(TlsContext *context) noexcept nogil

cdef SSL *tls_open(TlsContext *context, int fd) noexcept nogil
cdef int tls_handshake(SSL *ssl, int *failure) noexcept nogil
cdef bint tls_was_resumed(SSL *ssl) noexcept nogil
cdef bint tls_agreed_http2(SSL *ssl) noexcept nogil
cdef ssize_t tls_read(SSL *ssl, char *into, size_t room, int *failure) noexcept nogil
cdef bint tls_has_pending(SSL *ssl) noexcept nogil
cdef ssize_t tls_write(SSL *ssl, const char *data, size_t length, int *failure) noexcept nogil
cdef void tls_close(SSL *ssl, bint says_goodbye) noexcept nogil
