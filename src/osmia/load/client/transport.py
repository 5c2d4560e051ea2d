"""The seam between scenarios and wires: a transport runs iterations against endpoints and counts what happens.

A transport owns everything that is hot: the pacer, connections, parsing, timeouts, counters. It calls the `Script`
(with the GIL, in its only thread) no more than it must: a step with `request` bytes is sent without asking, an answer
is shown only as `Shows` says. Two exist: `client.core` (Cython: epoll, OpenSSL, nghttp2) and `client.curl` (libcurl);
the same conformance suite runs on both.

Requests are HTTP/1.1 messages in bytes, head and body in one, whatever is spoken on the wire: for HTTP/2 the transport
takes the head apart again (and leaves out Connection, Host and the like), for a plain HTTP proxy the target is already
in absolute form and `Proxy-Authorization` in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from osmia.load.tally import Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Arrivals",
    "Endpoint",
    "Give",
    "Http",
    "Outgoing",
    "Pool",
    "Proxy",
    "ProxyKind",
    "Script",
    "Shows",
    "State",
    "Transport",
    "Users",
    "WireStep",
    "Work",
]


class Http(IntEnum):
    """What is spoken: HTTP/1.1 only, HTTP/2 if the server agrees (ALPN; prior knowledge without TLS), HTTP/3."""

    ONE = 1
    TWO = 2
    THREE = 3


class ProxyKind(StrEnum):
    """What a proxy speaks. Only HTTP is in the core; the others need libcurl."""

    HTTP = "http"
    HTTPS = "https"
    SOCKS4 = "socks4"
    SOCKS5 = "socks5"
    SOCKS5H = "socks5h"  # the proxy resolves the name


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy is; `authorization` is the value of Proxy-Authorization or empty, the other two for SOCKS."""

    kind: ProxyKind
    host: str
    port: int
    authorization: str = ""
    username: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how connections go; equal endpoints share connections. `host` is a name or an address without []."""

    host: str
    port: int
    is_tls: bool = False
    server_name: str = ""
    """For SNI and verification; empty: `host`."""
    http: Http = Http.ONE
    is_verified: bool = False
    is_resumed: bool = False
    cert_path: str = ""
    key_path: str = ""
    proxy: Proxy | None = None


class Shows(IntEnum):
    """Which answers of a step the script wants to see."""

    NEVER = 0
    REDIRECTS = 1  # 301, 302, 303, 307, 308
    ALWAYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStep:
    """A step as the transport needs it. `request` None: the script renders each; then `endpoint` is where most go."""

    endpoint: Endpoint
    request: bytes | None
    shows: Shows = Shows.NEVER
    keeps_body: bool = False
    """Whether the body is shown, too (`b""` otherwise); at most `Work.max_body_bytes`."""
    is_head: bool = False
    """HEAD: the answer has no body (a rendered request of another method never comes from this step)."""
    timeout_ns: int = 5_000_000_000
    """Over everything from start to last byte, redirects included; 0 is none."""
    sleep_ns: tuple[int, int] = (0, 0)
    """How long to rest after the step, drawn evenly from both ends; also after the last (think time)."""
    is_closed_after: bool = False
    """The connection is not kept (`Connection: close`)."""


class Pool(IntEnum):
    """Who shares connections."""

    SHARED = 0
    PER_USER_NEW = 1  # an iteration has its own, closed at its end
    PER_USER_KEPT = 2  # a user keeps them from one iteration to the next; as many users as run at once


class Outgoing(NamedTuple):
    """A rendered request that goes elsewhere than its step says: after a redirect, or with a variable in its host."""

    endpoint: Endpoint
    request: bytes


class Give(NamedTuple):
    """The script cannot or will not go on with this request; counted as this failure."""

    failure: Failure


State: TypeAlias = Any
"""An object of the script's own, which the transport hands back as it came."""


class Script(Protocol):
    """What a transport asks. States are the script's own objects; None is fine where nothing is to be known."""

    def begin(self, iteration: int, user: int) -> State:
        """An iteration starts; its state. Called only if a step is rendered or shown ALWAYS, or `Work.asks_ends`.

        Where REDIRECTS are all that may be shown, it is called when the first is: plain requests stay out of Python.

        `user` numbers the users of Pool.PER_USER_KEPT from 0 (in the closed model: virtual users), else it is -1.
        """

    def render(self, state: State, step: int) -> bytes | Outgoing | Give:
        """The request of a step without fixed bytes."""

    def inspect(  # noqa: PLR0913, PLR0917 - called once per request: an object for these would cost more than they do
        self, state: State, step: int, status: int, head: bytes, body: bytes, service_ns: int
    ) -> bytes | Outgoing | Give | bool:
        r"""An answer. True: fine; False: an assertion failed; a request: send that and show me its answer (redirect).

        `head` is the status line and the header lines as received up to and including the empty line (HTTP/2: in
        the form of HTTP/1.1, `HTTP/2 200\r\n`, names in lower case). The body is still compressed.
        """

    def fail(self, state: State, step: int, failure: Failure) -> None:
        """A request of a step that is shown ALWAYS got no answer."""

    def end(self, state: State) -> None:
        """The iteration is over. Called only if `Work.asks_ends`."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Open model: `blocks` gives arrays of int64 ns after the run's zero, ascending, until it ends.

    Iteration numbers are `first + n * stride` for the n-th arrival (several workers share a run).
    """

    blocks: Iterator[NDArray[np.int64]]
    first: int = 0
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Users:
    """Closed model: at each (ns after zero, users) the number of users becomes that; a user ends after its iteration.

    The run ends `duration_ns` after zero (iterations that have begun are finished), or after `count` iterations.
    Users that start together are started at once.
    """

    changes: Sequence[tuple[int, int]]
    duration_ns: int
    count: int | None = None
    first: int = 0
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything that a transport needs for one worker's share of a run."""

    steps: Sequence[WireStep]
    load: Arrivals | Users
    script: Script
    block: memoryview
    """`tally.block_bytes(len(steps))` bytes of shared memory, zeroed; `stop` and `zero_ns` are obeyed."""
    pool: Pool = Pool.SHARED
    max_connections: int = 10_000
    max_in_flight: int = 0
    """Iterations at once, 0: no limit. Arrivals beyond either limit wait and are counted as backlog, never dropped."""
    max_head_bytes: int = 1 << 20
    max_body_bytes: int = 64 << 20
    """Of bodies that are kept; others are only counted, whatever their size."""
    seed: int = 0
    asks_ends: bool = False
    on_samples: Callable[[NDArray[np.void]], None] | None = None
    """Gets arrays of `tally.SAMPLE` (the memory is reused after the call); None: samples are not made."""


class Transport(Protocol):
    """Runs one worker's share, to its end.

    Sets `state` to READY, waits until `zero_ns` is set and come, runs, drains, and returns with state DONE and nothing
    open. Errors of targets are counted, never raised.
    """

    name: str

    def run(self, work: Work) -> None:
        """Block until the share is done.

        Raises:
            ConfigError: an endpoint asks for something that this transport cannot do (a certificate that cannot be
                read, HTTP/3); found before the first request.
        """
