"""epoll under libcurl's multi interface, as lazily as libcurl allows.

libcurl takes a descriptor away when a transfer ends and gives it back when the next one begins, on each request. Here
it stays registered: two system calls less per request, a fifth of the CPU time (`reference/load.md` A9). The price:

- A descriptor that nobody wants may become readable (the server closed a kept connection): it is then taken out for
  good, or level triggering would spin. libcurl sees the end by itself when it looks at the connection again.
- libcurl closes descriptors without a word. (It has CLOSESOCKETFUNCTION, but pycurl can call back only through the
  easy handle that opened the connection, and only while that one is at work.) The kernel takes a closed descriptor
  out of the epoll; SOCKOPTFUNCTION tells that a number is a new connection; how many are open is seen by looking, a
  few at a time.
- A descriptor that SOCKOPTFUNCTION has not announced is not a connection (the resolver's pipe): it is never kept.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self

import pycurl

from osmia.load.client.curl.alarm import Alarm

__all__ = ["Loop", "inode_of"]

_MASKS = (0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT)
_SELECTED = {select.EPOLLIN: pycurl.CSELECT_IN}
_MS_NS = 1_000_000
_UNREGISTERED = -1
_LOOKS = 64
"""How many connections are looked at each time: 64 cost 50 us."""


class Loop:
    """A multi handle, its descriptors and its timer."""

    def __init__(self, max_connections: int) -> None:
        self.multi: Any = pycurl.CurlMulti()
        self.open: dict[int, int] = {}
        """What each connection's descriptor is registered for."""
        self._inodes: dict[int, int] = {}
        self._unlooked: list[int] = []
        self._idle: set[int] = set()
        self._foreign: set[int] = set()
        self._epoll = select.epoll()
        self._alarm = Alarm()
        self._timer_ns = 0
        self._timers: deque[int] = deque(maxlen=1)
        self._epoll.register(self._alarm.fd, select.EPOLLIN)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._socket_function())
        # Called more than twice per request, of which only the last before a wait counts: no Python code.
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._timers.append)
        self.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self.multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self.multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._epoll.close()
        self._alarm.__exit__()

    def close(self) -> None:
        """Close all connections, once all easy handles are out of the multi and while they exist; again is no harm."""
        if not self.multi.closed:
            self.multi.close()

    def on_opened(self, fd: int, _purpose: int) -> int:
        """For SOCKOPTFUNCTION of every easy handle."""
        self.open[fd] = _UNREGISTERED
        self._inodes[fd] = os.fstat(fd).st_ino
        self._idle.discard(fd)
        return int(pycurl.SOCKOPT_OK)

    def look(self) -> int:
        """How many connections are open, as far as was looked: some at each call, in turn."""
        if not self._unlooked:
            self._unlooked = list(self.open)
        for fd in self._unlooked[-_LOOKS:]:
            if inode_of(fd) != self._inodes.get(fd):
                self.open.pop(fd, None)
                self._inodes.pop(fd, None)
                self._idle.discard(fd)
        del self._unlooked[-_LOOKS:]
        return len(self.open)

    def kick(self) -> None:
        """Let what was added to the multi begin."""
        self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def turn(self, until_ns: int, longest_s: float) -> None:
        """Wait for descriptors until `until_ns` (0: never), `longest_s` or libcurl's timer, and let libcurl act."""
        if self._timers:
            timeout_ms = self._timers.pop()
            self._timer_ns = 0 if timeout_ms < 0 else time.monotonic_ns() + timeout_ms * _MS_NS
        timer_ns = self._timer_ns
        if 0 < timer_ns <= time.monotonic_ns():
            longest_s = 0
        wake_ns = min(until_ns, timer_ns) if until_ns and timer_ns else until_ns or timer_ns
        if longest_s:
            self._alarm.set(wake_ns)
        act = self.multi.socket_action
        idle, alarm = self._idle, self._alarm.fd
        for fd, event in self._epoll.poll(longest_s, 1024):
            if fd in idle:
                self._forget(fd)
            elif fd == alarm:
                self._alarm.silence()
            else:
                act(fd, _SELECTED.get(event) or _selected(event))
        if 0 < self._timer_ns <= time.monotonic_ns():
            self._timer_ns = 0
            self.kick()

    def _socket_function(self) -> Callable[[int, int, object, object], None]:
        """For M_SOCKETFUNCTION, which is called twice per request: a closure, and first the cases that are common."""
        registered, keep, want = self.open.get, self._idle.add, self._idle.discard

        def on_socket(what: int, fd: int, _multi: object, _data: object) -> None:
            known = registered(fd)
            if known is None:
                self._on_foreign(what, fd)
            elif what == pycurl.POLL_REMOVE:
                keep(fd)
            else:
                want(fd)
                if known != _MASKS[what]:
                    self._register(fd, known, _MASKS[what])

        return on_socket

    def _register(self, fd: int, known: int, mask: int) -> None:
        self.open[fd] = mask
        if known == _UNREGISTERED:
            self._epoll.register(fd, mask)
        else:
            self._epoll.modify(fd, mask)

    def _on_foreign(self, what: int, fd: int) -> None:
        """A descriptor that is not a connection."""
        if what == pycurl.POLL_REMOVE:
            self._foreign.discard(fd)
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)
        elif fd in self._foreign:
            self._epoll.modify(fd, _MASKS[what])
        else:
            self._epoll.register(fd, _MASKS[what])
            self._foreign.add(fd)

    def _forget(self, fd: int) -> None:
        """A descriptor that nobody wants has something to say: the connection's end."""
        self._idle.discard(fd)
        self.open[fd] = _UNREGISTERED
        with contextlib.suppress(OSError):  # libcurl may have closed it since the events were read
            self._epoll.unregister(fd)


def _selected(event: int) -> int:
    selected = 0
    if event & (select.EPOLLIN | select.EPOLLHUP):
        selected |= pycurl.CSELECT_IN
    if event & select.EPOLLOUT:
        selected |= pycurl.CSELECT_OUT
    if event & select.EPOLLERR:
        selected |= pycurl.CSELECT_ERR
    return selected


def inode_of(fd: int) -> int:
    """What a descriptor is, to tell it from a later one of the same number; 0 if it is closed."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0
