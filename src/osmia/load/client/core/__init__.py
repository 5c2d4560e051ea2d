"""The transport in C: Cython, epoll, OpenSSL, nghttp2."""
