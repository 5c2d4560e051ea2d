# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""TLS on a non-blocking socket: OpenSSL itself writes to the descriptor and reads from it, no memory BIO in between.

One `SSL_CTX` per target, one `SSL` per connection. What is set, and why:

- SSL_MODE_RELEASE_BUFFERS: a connection at rest holds no record buffers, 34 KB that make 68 MB of 2,000 connections.
- Read-ahead: head and body of a record come with one read instead of two.
- Partial and moving writes: what the socket did not take may be offered again from elsewhere, and together with more.
- X25519 first: the cheapest key share of OpenSSL 3.0, and the only one that is sent unasked; a server without it asks
  for another one.
- Without verification no chain is built, no store loaded, and no key is too weak: whoever loads a staging host with a
  certificate of 2009 wants its answers.
- An end of the stream without close_notify is an end: many servers send none, and HTTP knows by itself whether the
  answer was whole.
- No session is kept unless asked for: a resumed handshake costs half as much, and a crowd of new users has none.

A refused client certificate shows late in TLS 1.3: the handshake is over for us before the server has read it, and the
alert comes with the first read. So alerts are classified in one place for handshake, reads and writes; a plain
`handshake_failure` or a closed connection counts as one about the client's certificate if the server had asked for one,
since TLS 1.2 has no alert of its own for a missing one.

Errors are told from "not now" by what OpenSSL wants and the BIO's retry flags, not by `SSL_get_error`: that reads the
thread's queue of errors, in which scripts (hashlib, ssl) may have left theirs.
"""

import ipaddress

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uintptr_t

from osmia.load.client.core.connection cimport (
    SSL,
    SSL_CTX,
    SSL_SESSION,
    WIRE_DONE,
    WIRE_END,
    WIRE_FAILED,
    WIRE_WANTS_READ,
    WIRE_WANTS_WRITE,
    Connection,
    Target,
)
from osmia.load.client.core.tally cimport (
    CONNECTION_CLOSED,
    TLS_CERTIFICATE_EXPIRED,
    TLS_CERTIFICATE_INVALID,
    TLS_CLIENT_CERTIFICATE,
    TLS_FAILED,
    TLS_HOSTNAME_MISMATCH,
)
from osmia.load.client.core.wire cimport wire_failure

from osmia.model.errors import ConfigError

cdef extern from "openssl/ssl.h" nogil:
    ctypedef struct BIO
    ctypedef struct SSL_METHOD
    ctypedef struct X509_STORE_CTX
    ctypedef struct X509_VERIFY_PARAM
    enum:
        SSL_FILETYPE_PEM
        TLS1_2_VERSION
        SSL_VERIFY_NONE
        SSL_VERIFY_PEER
        SSL_MODE_RELEASE_BUFFERS
        SSL_MODE_ENABLE_PARTIAL_WRITE
        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        SSL_OP_IGNORE_UNEXPECTED_EOF
        SSL_OP_NO_RENEGOTIATION
        SSL_SESS_CACHE_OFF
        SSL_SESS_CACHE_CLIENT
        SSL_SESS_CACHE_NO_INTERNAL
        SSL_READING
        SSL_WRITING
        SSL_SENT_SHUTDOWN
        SSL_RECEIVED_SHUTDOWN

    const SSL_METHOD *TLS_client_method()
    SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
    void SSL_CTX_free(SSL_CTX *context)
    int SSL_CTX_set_min_proto_version(SSL_CTX *context, int version)
    unsigned long SSL_CTX_set_options(SSL_CTX *context, unsigned long options)
    long SSL_CTX_set_mode(SSL_CTX *context, long mode)
    void SSL_CTX_set_read_ahead(SSL_CTX *context, int yes)
    int SSL_CTX_set1_groups_list(SSL_CTX *context, const char *groups)
    void SSL_CTX_set_security_level(SSL_CTX *context, int level)
    int SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char *protocols, unsigned int length)
    void SSL_CTX_set_verify(SSL_CTX *context, int mode, void *callback)
    void SSL_CTX_set_cert_verify_callback(
        SSL_CTX *context, int (*callback)(X509_STORE_CTX *, void *) noexcept nogil, void *argument
    )
    int SSL_CTX_set_default_verify_paths(SSL_CTX *context)
    int SSL_CTX_use_certificate_chain_file(SSL_CTX *context, const char *path)
    int SSL_CTX_use_PrivateKey_file(SSL_CTX *context, const char *path, int kind)
    int SSL_CTX_check_private_key(SSL_CTX *context)
    void SSL_CTX_set_cert_cb(SSL_CTX *context, int (*callback)(SSL *, void *) noexcept nogil, void *argument)
    long SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode)
    void SSL_CTX_sess_set_new_cb(SSL_CTX *context, int (*callback)(SSL *, SSL_SESSION *) noexcept nogil)
    int SSL_CTX_set_app_data(SSL_CTX *context, void *data)
    void *SSL_CTX_get_app_data(SSL_CTX *context)

    SSL *SSL_new(SSL_CTX *context)
    void SSL_free(SSL *ssl)
    SSL_CTX *SSL_get_SSL_CTX(SSL *ssl)
    int SSL_set_app_data(SSL *ssl, void *data)
    void *SSL_get_app_data(SSL *ssl)
    int SSL_set_fd(SSL *ssl, int fd)
    int SSL_set_tlsext_host_name(SSL *ssl, const char *name)
    int SSL_set1_host(SSL *ssl, const char *name)
    X509_VERIFY_PARAM *SSL_get0_param(SSL *ssl)
    int SSL_set_session(SSL *ssl, SSL_SESSION *session)
    void SSL_SESSION_free(SSL_SESSION *session)
    int SSL_session_reused(SSL *ssl)
    void SSL_set_connect_state(SSL *ssl)
    int SSL_do_handshake(SSL *ssl)
    int SSL_is_init_finished(SSL *ssl)
    void SSL_get0_alpn_selected(SSL *ssl, const unsigned char **protocol, unsigned int *length)
    int SSL_read(SSL *ssl, void *into, int room)
    int SSL_write(SSL *ssl, const void *data, int length)
    int SSL_want(SSL *ssl)
    BIO *SSL_get_rbio(SSL *ssl)
    BIO *SSL_get_wbio(SSL *ssl)
    int BIO_should_read(BIO *bio)
    int BIO_should_write(BIO *bio)
    long SSL_get_verify_result(SSL *ssl)
    int SSL_get_shutdown(SSL *ssl)
    int SSL_shutdown(SSL *ssl)

cdef extern from "openssl/x509_vfy.h" nogil:
    enum:
        X509_V_OK
        X509_V_ERR_CERT_HAS_EXPIRED
        X509_V_ERR_CERT_NOT_YET_VALID
        X509_V_ERR_HOSTNAME_MISMATCH
        X509_V_ERR_IP_ADDRESS_MISMATCH
    int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *parameters, const char *address)

cdef extern from "openssl/err.h" nogil:
    unsigned long ERR_peek_last_error()
    void ERR_clear_error()
    int ERR_GET_REASON(unsigned long error)
    const char *ERR_reason_error_string(unsigned long error)
    enum:
        SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE
        SSL_R_SSLV3_ALERT_BAD_CERTIFICATE
        SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE
        SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED
        SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED
        SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN
        SSL_R_TLSV1_ALERT_UNKNOWN_CA
        SSL_R_TLSV1_ALERT_ACCESS_DENIED
        SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED

cdef const char *GROUPS = b"X25519:P-256:P-384:P-521"
cdef bytes ONE = b"\x08http/1.1"
cdef bytes TWO_OR_ONE = b"\x02h2\x08http/1.1"
cdef size_t RECORD_MAX = 1 << 30  # lengths are ints in OpenSSL


# ---- per target, with the GIL ----


cdef int tls_prepare(Target *target, object endpoint) except -1:
    """Make the target's context.

    Raises:
        ConfigError: certificate or key cannot be read, or do not belong together.
    """
    ERR_clear_error()
    cdef SSL_CTX *context = SSL_CTX_new(TLS_client_method())
    if context == NULL:
        raise MemoryError("SSL_CTX_new")
    try:
        _set_options(context, target)
        _set_certificate(context, endpoint.cert_path, endpoint.key_path)
    except BaseException:
        SSL_CTX_free(context)
        raise
    target.tls_context = context
    target.tls_spare = <void *><uintptr_t>_is_address(target.server_name.decode())
    return 0


cdef void tls_forget(Target *target) noexcept nogil:
    """Free context and session, after the last connection."""
    if target.tls_session != NULL:
        SSL_SESSION_free(target.tls_session)
        target.tls_session = NULL
    if target.tls_context != NULL:
        SSL_CTX_free(target.tls_context)
        target.tls_context = NULL


cdef int _set_options(SSL_CTX *context, Target *target) except -1:
    cdef bytes protocols = TWO_OR_ONE if target.http == 2 else ONE
    SSL_CTX_set_app_data(context, target)
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION)
    SSL_CTX_set_mode(
        context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
    )
    SSL_CTX_set_read_ahead(context, 1)
    SSL_CTX_set1_groups_list(context, GROUPS)
    SSL_CTX_set_alpn_protos(context, protocols, <unsigned int>len(protocols))
    SSL_CTX_set_cert_cb(context, _on_certificate_asked, NULL)
    if target.is_verified:
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL)
        SSL_CTX_set_default_verify_paths(context)
    else:
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL)
        SSL_CTX_set_cert_verify_callback(context, _accept_any, NULL)
        SSL_CTX_set_security_level(context, 0)
    if target.is_resumed:
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL)
        SSL_CTX_sess_set_new_cb(context, _on_session)
    else:
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF)
    return 0


cdef int _set_certificate(SSL_CTX *context, str cert_path, str key_path) except -1:
    cdef bytes cert = cert_path.encode()
    cdef bytes key = (key_path or cert_path).encode()
    if not cert_path:
        return 0
    if SSL_CTX_use_certificate_chain_file(context, cert) != 1:
        raise ConfigError(
            "cert_path",
            cert_path,
            f"is no certificate that can be read ({_reason()})",
            remedy="give a PEM file, the client's certificate first",
        )
    if SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 or SSL_CTX_check_private_key(context) != 1:
        raise ConfigError(
            "cert_key_path",
            key_path or cert_path,
            f"is no key of this certificate ({_reason()})",
            remedy="give the PEM file of its private key, without a passphrase",
        )
    return 0


cdef str _reason():
    """Why OpenSSL said no; empties its queue."""
    cdef const char *text = ERR_reason_error_string(ERR_peek_last_error())
    ERR_clear_error()
    return "unknown" if text == NULL else text.decode()


cdef bint _is_address(str name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


cdef int _accept_any(X509_STORE_CTX *store, void *argument) noexcept nogil:
    return 1


cdef int _on_certificate_asked(SSL *ssl, void *argument) noexcept nogil:
    """The server asked for a client certificate: remembered on the connection. 1: go on with what is configured."""
    SSL_set_app_data(ssl, <void *>1)
    return 1


cdef int _on_session(SSL *ssl, SSL_SESSION *session) noexcept nogil:
    """A session that may be resumed: the newest is kept. 1: the reference is ours now."""
    cdef Target *target = <Target *>SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl))
    if target.tls_session != NULL:
        SSL_SESSION_free(target.tls_session)
    target.tls_session = session
    return 1


# ---- per connection ----


cdef int tls_open(Connection *c) noexcept nogil:
    """A client on `c.fd`; WIRE_DONE or WIRE_FAILED."""
    cdef Target *target = c.target
    c.ssl = SSL_new(target.tls_context)
    if c.ssl == NULL or SSL_set_fd(c.ssl, c.fd) != 1 or not _name(c.ssl, target):
        ERR_clear_error()
        c.failure = TLS_FAILED
        return WIRE_FAILED
    if target.tls_session != NULL:
        SSL_set_session(c.ssl, target.tls_session)
    SSL_set_connect_state(c.ssl)
    return WIRE_DONE


cdef bint _name(SSL *ssl, Target *target) noexcept nogil:
    """Say whom we want to talk to; RFC 6066 has no addresses in SNI."""
    if target.tls_spare == NULL and SSL_set_tlsext_host_name(ssl, target.server_name) != 1:
        return False
    if not target.is_verified:
        return True
    if target.tls_spare != NULL:
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), target.server_name) == 1
    return SSL_set1_host(ssl, target.server_name) == 1


cdef int tls_handshake(Connection *c) noexcept nogil:
    """Go on with the handshake; when it is done `c.http` and `c.is_resumed` are set."""
    cdef const unsigned char *protocol = NULL
    cdef unsigned int length = 0
    cdef int result
    ERR_clear_error()
    result = SSL_do_handshake(c.ssl)
    if result == 1:
        SSL_get0_alpn_selected(c.ssl, &protocol, &length)
        c.http = 2 if length == 2 and protocol[0] == b"h" and protocol[1] == b"2" else 1
        c.is_resumed = SSL_session_reused(c.ssl) != 0
        return WIRE_DONE
    result = <int>_outcome(c)
    if result == WIRE_END:
        c.failure = CONNECTION_CLOSED if SSL_get_app_data(c.ssl) == NULL else TLS_CLIENT_CERTIFICATE
        return WIRE_FAILED
    return result


cdef ssize_t tls_read(Connection *c, uint8_t *into, size_t room) noexcept nogil:
    """At most one record at a time."""
    cdef int got = SSL_read(c.ssl, into, <int>min(room, RECORD_MAX))
    if got > 0:
        return got
    return _outcome(c)


cdef ssize_t tls_write(Connection *c, const uint8_t *data, size_t length) noexcept nogil:
    """What was not taken must be offered again, with or without more behind it."""
    cdef int sent = SSL_write(c.ssl, data, <int>min(length, RECORD_MAX))
    if sent > 0:
        return sent
    return _outcome(c)


cdef void tls_close(Connection *c) noexcept nogil:
    """Say goodbye if that can be said at once, and free. Never waits; the loop closes the descriptor."""
    if c.ssl == NULL:
        return
    if c.failure == 0 and SSL_is_init_finished(c.ssl) and not SSL_get_shutdown(c.ssl) & SSL_SENT_SHUTDOWN:
        SSL_shutdown(c.ssl)
        ERR_clear_error()
    SSL_free(c.ssl)
    c.ssl = NULL


cdef ssize_t _outcome(Connection *c) noexcept nogil:
    """Why OpenSSL did not do it: not yet, the end, or a failure that is put down in `c.failure`."""
    cdef int error = errno
    cdef int wanted = SSL_want(c.ssl)
    if wanted == SSL_READING and BIO_should_read(SSL_get_rbio(c.ssl)):
        return WIRE_WANTS_READ
    if wanted == SSL_WRITING and BIO_should_write(SSL_get_wbio(c.ssl)):
        return WIRE_WANTS_WRITE
    if SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN and ERR_peek_last_error() == 0:
        return WIRE_END
    c.failure = _classified(c.ssl, error)
    ERR_clear_error()
    return WIRE_FAILED


cdef uint8_t _classified(SSL *ssl, int error) noexcept nogil:
    """The Failure behind OpenSSL's error, its verification's verdict, or the socket's errno."""
    cdef long verdict = SSL_get_verify_result(ssl)
    cdef unsigned long code = ERR_peek_last_error()
    if verdict == X509_V_ERR_CERT_HAS_EXPIRED or verdict == X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_CERTIFICATE_EXPIRED
    if verdict == X509_V_ERR_HOSTNAME_MISMATCH or verdict == X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_HOSTNAME_MISMATCH
    if verdict != X509_V_OK:
        return TLS_CERTIFICATE_INVALID
    if code == 0:
        return wire_failure(error)
    if _is_about_client(ERR_GET_REASON(code), SSL_get_app_data(ssl) != NULL):
        return TLS_CLIENT_CERTIFICATE
    return TLS_FAILED


cdef bint _is_about_client(int reason, bint was_asked) noexcept nogil:
    """Whether an alert is about our certificate, or that we have none."""
    if reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return was_asked
    return (
        reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED
        or reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE
        or reason == SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE
        or reason == SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED
        or reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED
        or reason == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN
        or reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA
        or reason == SSL_R_TLSV1_ALERT_ACCESS_DENIED
    )
