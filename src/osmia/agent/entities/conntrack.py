"""Which real address a connection to a virtual one went to, by the kernel's connection tracking of the node.

A client of a Service sees the Service's address; kube-proxy rewrites it after connect(). The node's network
namespace knows both. We keep the rewritten connections only: all of them at start (a dump), then each new one as the
kernel tells it (NEW and DESTROY events), and ask for a single one that was missed. When the kernel had to drop events
(ENOBUFS) that is counted and everything is dumped again.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio

from osmia.agent.entities.netlink import DESTROY_GROUP, NEW_GROUP, Flow, dump_request, get_request, parse
from osmia.model.errors import UnavailableError
from osmia.model.request import Address
from osmia.telemetry import get_logger

__all__ = ["Conntrack", "in_namespace", "open_netlink"]

_log = get_logger("entities.conntrack")
_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP = 12, 270, 1
_SO_RCVBUFFORCE, _SO_ATTACH_FILTER = 33, 26
_CLONE_NEWNET = 0x40000000
_RECEIVE_BYTES = 1 << 17
_EVENT_BUFFER_BYTES = 4 << 20
_DATAGRAMS_PER_TURN = 64
_AFTERLIFE_S = 10.0  # a request may be reported after its connection has gone
_MISS_S = 5.0
_DUMP_PAUSE_S = 1.0

# A socket filter (classic BPF) that lets only events of rewritten connections through, so that the rest, most of a
# busy node's connections, never wake us: CTA_STATUS & (IPS_SRC_NAT | IPS_DST_NAT), or no status at all.
_INSTRUCTION = struct.Struct("=HBBI")
_TRANSLATED_ONLY = b"".join(
    _INSTRUCTION.pack(*instruction)
    for instruction in (
        (0x00, 0, 0, 20),  # A = offset of the first attribute
        (0x01, 0, 0, 3),  # X = CTA_STATUS
        (0x20, 0, 0, 0xFFFFF000 + 12),  # A = offset of that attribute (SKF_AD_NLATTR), 0 if there is none
        (0x15, 3, 0, 0),  # none: accept
        (0x07, 0, 0, 0),  # X = A
        (0x40, 0, 0, 4),  # A = its value
        (0x45, 0, 1, 0x30),  # a bit of either translation: accept
        (0x06, 0, 0, 0xFFFFFFFF),  # accept
        (0x06, 0, 0, 0),  # drop
    )
)

_Key = tuple[bytes, int, bytes, int]
T = TypeVar("T")


class Conntrack:
    """The translated TCP connections of one network namespace. Open it with `with`, then `run()` it.

    Raises (on entering):
        UnavailableError: the namespace cannot be entered or connection tracking cannot be read, and why.
    """

    def __init__(
        self,
        namespace: Path = Path("/proc/1/ns/net"),
        *,
        limit: int = 65_536,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespace = namespace
        self._limit = limit
        self._now = now
        self._flows: OrderedDict[_Key, Address] = OrderedDict()
        self._origins: dict[_Key, Address] = {}
        self._misses: OrderedDict[_Key, float] = OrderedDict()
        self._ended: deque[tuple[float, _Key, Flow]] = deque()
        self._sequence = 0
        self._close = ExitStack()
        self.counters: Counter[str] = Counter()

    def __enter__(self) -> Self:
        try:
            self._events, self._requests = in_namespace(self._namespace, _open_pair)
        except OSError as exc:
            problem = f"connection tracking of {self._namespace} cannot be read: {exc.strerror}"
            raise UnavailableError(problem, remedy="run as root in the host's pid namespace") from exc
        self._close.enter_context(self._events)
        self._close.enter_context(self._requests)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close.close()

    async def run(self) -> None:
        """Follow the kernel's events until cancelled; dumps first, and again whenever events were lost."""
        while True:
            await self.dump()
            try:
                await self._follow()
            except OSError as exc:
                if exc.errno != errno.ENOBUFS:
                    raise
                self.counters["overruns"] += 1
                _log.warning("the kernel dropped connection tracking events", overruns=self.counters["overruns"])
                await anyio.sleep(_DUMP_PAUSE_S)

    async def dump(self) -> None:
        """Take over every translated connection there is now."""
        flows = await anyio.to_thread.run_sync(in_namespace, self._namespace, _dump_all)
        self.counters["dumps"] += 1
        for flow in flows:
            self._learn(flow)

    def translate(self, client: Address, server: Address) -> Address | None:
        """Where a connection from `client` to `server` really goes; None if it is not rewritten or not tracked.

        Asks the kernel (about 15 us) the first time it does not know.
        """
        key = _key(client, server)
        if key is None:
            return None
        found = self._flows.get(key)
        if found is None and not self._is_known_miss(key):
            self._ask(key)
            found = self._flows.get(key)
        return found

    def origin(self, client: Address, server: Address) -> Address | None:
        """Who a connection is really from that the server sees coming from `client`; None if that is the truth.

        Both addresses are as the server sees them. Only what dump and events told is known.
        """
        key = _key(client, server)
        return None if key is None else self._origins.get(key)

    def statistics(self) -> Mapping[str, int]:
        """Counters since start: events, dumps, overruns, asked, dropped; and how many connections are kept."""
        return {**self.counters, "flows": len(self._flows)}

    async def _follow(self) -> None:
        while True:
            await anyio.wait_readable(self._events)
            for _ in range(_DATAGRAMS_PER_TURN):
                try:
                    data = self._events.recv(_RECEIVE_BYTES)
                except BlockingIOError:
                    break
                self._take(data)
            self._bury()

    def _take(self, data: bytes) -> None:
        for message in parse(data):
            self.counters["events"] += 1
            flow = message.flow
            if flow is None or flow.protocol != socket.IPPROTO_TCP or not flow.is_translated:
                continue
            if message.kind.is_destroy:
                self._ended.append((self._now() + _AFTERLIFE_S, _original(flow), flow))
            else:
                self._learn(flow)

    def _learn(self, flow: Flow) -> None:
        key = _original(flow)
        self._flows[key] = _address(flow.reply_source, flow.reply_source_port)
        self._flows.move_to_end(key)
        self._misses.pop(key, None)
        if (flow.source, flow.source_port) != (flow.reply_destination, flow.reply_destination_port):
            self._origins[_as_server_sees(flow)] = _address(flow.source, flow.source_port)
        while len(self._flows) > self._limit:
            self._flows.popitem(last=False)
            self.counters["dropped"] += 1
        while len(self._origins) > self._limit:
            self._origins.pop(next(iter(self._origins)))

    def _bury(self) -> None:
        """Forget connections that ended a while ago (unless the same addresses met again)."""
        now = self._now()
        while self._ended and (self._ended[0][0] <= now or len(self._ended) > self._limit):
            _, key, flow = self._ended.popleft()
            if self._flows.get(key) == _address(flow.reply_source, flow.reply_source_port):
                del self._flows[key]
            self._origins.pop(_as_server_sees(flow), None)

    def _is_known_miss(self, key: _Key) -> bool:
        expires = self._misses.get(key)
        return expires is not None and expires > self._now()

    def _ask(self, key: _Key) -> None:
        """One GET; the kernel has answered before send returns."""
        self.counters["asked"] += 1
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        try:
            self._requests.send(get_request(socket.IPPROTO_TCP, *key, sequence=self._sequence))
            flow = self._answer()
        except OSError:
            self.counters["failed"] += 1
            return
        if flow is not None and flow.is_translated:
            self._learn(flow)
            return
        self._misses[key] = self._now() + _MISS_S
        if len(self._misses) > self._limit:
            self._misses.popitem(last=False)

    def _answer(self) -> Flow | None:
        while True:
            for message in parse(self._requests.recv(_RECEIVE_BYTES)):
                if message.sequence == self._sequence:
                    return message.flow


def in_namespace(path: Path, action: Callable[[], T]) -> T:
    """The result of `action` run inside the network namespace at `path`, on a thread of its own that ends with it.

    Raises:
        OSError: the namespace cannot be entered; and whatever `action` raises.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def enter() -> None:
        try:
            _set_namespace(path)
            result.append(action())
        except BaseException as exc:  # noqa: BLE001 - handed over to the caller's thread
            failure.append(exc)

    thread = threading.Thread(target=enter, name="in-namespace")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def open_netlink(protocol: int, groups: Iterator[int] | tuple[int, ...] = ()) -> socket.socket:
    """A netlink socket of this thread's network namespace, joined to multicast groups.

    Raises:
        OSError: not permitted, or the kernel has no such protocol.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    # Unbound, a socket has port 0 like the kernel itself and gets no events.
    opened.bind((0, 0))
    for group in groups:
        opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    return opened


def _set_namespace(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Being there already needs no privilege; entering, even one's own, needs CAP_SYS_ADMIN.
        if os.path.samestat(os.fstat(descriptor), Path("/proc/thread-self/ns/net").stat()):
            return
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


def _open_pair() -> tuple[socket.socket, socket.socket]:
    events = open_netlink(_NETFILTER, (NEW_GROUP, DESTROY_GROUP))
    try:
        events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _EVENT_BUFFER_BYTES)
    except OSError:
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _EVENT_BUFFER_BYTES)
    with contextlib.suppress(OSError):  # without the filter there is only more to read
        program = ctypes.create_string_buffer(_TRANSLATED_ONLY)
        count = len(_TRANSLATED_ONLY) // _INSTRUCTION.size
        events.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", count, ctypes.addressof(program)))
    events.settimeout(0)
    requests = open_netlink(_NETFILTER)
    requests.settimeout(0)
    return events, requests


def _dump_all() -> list[Flow]:
    """Every translated TCP connection, both families; blocks."""
    flows: list[Flow] = []
    for sequence, family in enumerate((socket.AF_INET, socket.AF_INET6), 1):
        with open_netlink(_NETFILTER) as dumping:
            dumping.settimeout(10.0)
            dumping.send(dump_request(family, sequence=sequence))
            while True:
                messages = list(parse(dumping.recv(_RECEIVE_BYTES)))
                found = (message.flow for message in messages if message.flow)
                flows += [one for one in found if one.protocol == socket.IPPROTO_TCP and one.is_translated]
                if any(message.kind.is_done or message.kind.is_error for message in messages):
                    break
    return flows


def _original(flow: Flow) -> _Key:
    return (flow.source, flow.source_port, flow.destination, flow.destination_port)


def _as_server_sees(flow: Flow) -> _Key:
    return (flow.reply_destination, flow.reply_destination_port, flow.reply_source, flow.reply_source_port)


def _key(client: Address, server: Address) -> _Key | None:
    source, destination = _packed(client.ip), _packed(server.ip)
    return (source, client.port, destination, server.port) if len(source) == len(destination) > 0 else None


def _packed(ip: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip)
    except OSError:
        return b""


def _address(packed: bytes, port: int) -> Address:
    family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET  # noqa: PLR2004 - bytes of an IPv6 address
    return Address(socket.inet_ntop(family, packed), port)
