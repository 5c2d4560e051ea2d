# cython: language_level=3
"""The endpoints of a run as C structs: equal endpoints are one target and share its connections."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport strdup

from osmia.load.client.core.connection cimport Target
from osmia.load.client.core.resolver cimport resolver_abandon, resolver_literal
from osmia.load.client.core.tls cimport tls_forget, tls_prepare

from osmia.load.client.transport import Http, ProxyKind
from osmia.model.errors import ConfigError


cdef class Targets:
    """Made as they are first asked for; freed together."""

    def __cinit__(self):
        self._known = {}
        self._last = None

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.count):
            _forget(self.items[i])
        free(self.items)

    cdef Target *find(self, object endpoint) except NULL:
        """The target of an endpoint.

        Raises:
            ConfigError: this transport cannot do what the endpoint asks for.
        """
        cdef Target *target
        if endpoint is self._last:
            return self._last_target
        index = self._known.get(endpoint)
        if index is None:
            target = self._add(endpoint)
        else:
            target = self.items[<uint32_t>index]
        self._last = endpoint
        self._last_target = target
        return target

    cdef Target *_add(self, object endpoint) except NULL:
        cdef Target *target
        cdef Target **moved
        _check(endpoint)
        if self.count == self.capacity:
            moved = <Target **>realloc(self.items, (self.capacity * 2 + 8) * sizeof(Target *))
            if moved == NULL:
                raise MemoryError
            self.items = moved
            self.capacity = self.capacity * 2 + 8
        target = <Target *>calloc(1, sizeof(Target))
        if target == NULL:
            raise MemoryError
        try:
            _fill(target, endpoint)
        except BaseException:
            _forget(target)
            raise
        target.index = self.count
        self.items[self.count] = target
        self._known[endpoint] = self.count
        self.count += 1
        return target


def _check(endpoint):
    if endpoint.http == Http.THREE:
        raise ConfigError("http", 3, "the core does not speak HTTP/3", remedy="use --transport curl")
    proxy = endpoint.proxy
    if proxy is not None and proxy.kind != ProxyKind.HTTP:
        raise ConfigError("proxy", str(proxy.kind), "the core knows only HTTP proxies", remedy="use --transport curl")


cdef char *_text(str text) except NULL:
    cdef bytes encoded = text.encode("idna" if not text.isascii() else "ascii")
    cdef char *copy = strdup(encoded)
    if copy == NULL:
        raise MemoryError
    return copy


cdef int _fill(Target *target, object endpoint) except -1:
    proxy = endpoint.proxy
    target.host = _text(endpoint.host)
    target.port = endpoint.port
    target.server_name = _text(endpoint.server_name or endpoint.host)
    target.is_tls = endpoint.is_tls
    target.is_verified = endpoint.is_verified
    target.is_resumed = endpoint.is_resumed
    target.http = int(endpoint.http)
    target.is_proxied = proxy is not None
    target.dial_host = _text(proxy.host if proxy is not None else endpoint.host)
    target.dial_port = proxy.port if proxy is not None else endpoint.port
    if proxy is not None and (target.is_tls or target.http == 2):
        head = _connect_head(endpoint)
        target.connect_head = strdup(head)
        target.connect_head_bytes = len(head)
    target.is_literal = resolver_literal(target)
    if target.is_tls:
        tls_prepare(target, endpoint)
    return 0


def _connect_head(endpoint):
    """The request for a tunnel (RFC 9110 section 9.3.6)."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    authority = f"{host}:{endpoint.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if endpoint.proxy.authorization:
        lines.append(f"Proxy-Authorization: {endpoint.proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("idna" if not authority.isascii() else "latin-1")


cdef void _forget(Target *target) noexcept:
    resolver_abandon(target)
    tls_forget(target)
    free(target.host)
    free(target.server_name)
    free(target.dial_host)
    free(target.connect_head)
    free(target.sockets)
    free(target.socket_bytes)
    free(target)
