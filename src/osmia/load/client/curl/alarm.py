"""Waking up on time: a timerfd for the epoll, and the thread's timer slack taken away.

`epoll_wait` counts whole milliseconds and the kernel lets a normal thread sleep 50 us longer than it asked. A timerfd
with a slack of 1 ns wakes within some microseconds. Python has neither call before 3.13, so they are made by ctypes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Self

__all__ = ["Alarm", "precise_timers"]

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000
_TFD_TIMER_ABSTIME = 1
_PR_SET_TIMERSLACK = 29
_PR_GET_TIMERSLACK = 30
_NS_PER_S = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """A descriptor that becomes readable at a moment of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._armed_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def set(self, at_ns: int) -> None:
        """Ring at that moment and no other; 0 is never. A ring that was not looked at is forgotten."""
        if at_ns == self._armed_ns:
            return
        self._armed_ns = at_ns
        seconds, ns = divmod(at_ns, _NS_PER_S)
        spec = _Itimerspec(0, 0, seconds, ns)
        _libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)

    def silence(self) -> None:
        """It rang: be quiet until it is set again."""
        self._armed_ns = 0
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)


@contextlib.contextmanager
def precise_timers() -> Iterator[None]:
    """This thread's timers without slack, until the context ends."""
    before = _libc.prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    try:
        yield
    finally:
        _libc.prctl(_PR_SET_TIMERSLACK, max(before, 1), 0, 0, 0)
