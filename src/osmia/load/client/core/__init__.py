"""The transport in C: Cython, epoll, OpenSSL, nghttp2. Its essay is in `loop.pyx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.model.errors import UnavailableError

if TYPE_CHECKING:
    from osmia.load.client.transport import Work

__all__ = ["CoreTransport"]


class CoreTransport:
    """A `Transport`; HTTP/1.1 and HTTP/2, with and without TLS, direct or by an HTTP proxy.

    Raises:
        UnavailableError: the core was not compiled, or a library that it needs is missing.
    """

    name = "core"

    def __init__(self) -> None:
        try:
            from osmia.load.client.core.loop import Loop
        except ImportError as exc:
            raise UnavailableError(
                f"the load engine's core cannot be loaded ({exc})",
                remedy="build it (make setup, with gcc, libssl-dev and libnghttp2-dev) or use --transport curl",
            ) from exc
        self._loop = Loop

    def run(self, work: Work) -> None:
        """Run one worker's share, to its end.

        Raises:
            ConfigError: an endpoint asks for something that the core cannot do; found before the first request.
        """
        self._loop(work).go()
