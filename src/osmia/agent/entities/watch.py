"""News of control groups: each new directory below a mount is told once, as soon as somebody looks.

A job of a few milliseconds has its container's cgroup made and removed between two walks of the tree. The kernel
queues every mkdir for us (inotify works on cgroupfs, and only VFS calls make cgroups), so it is enough to read that
queue while the cgroup is there, which a container runtime's own work gives time for. A directory made below a new one
before that one is watched is found by listing it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from osmia.model.errors import UnavailableError

__all__ = ["CgroupWatch"]

_CREATE, _OVERFLOW, _IGNORED, _IS_DIRECTORY = 0x100, 0x4000, 0x8000, 0x40000000
_ONLY_DIRECTORIES = 0x01000000
_EVENT = struct.Struct("=iIII")
_READ_BYTES = 1 << 16


class CgroupWatch:
    """Calls `made(inode, path)` for every cgroup below `mount`, those there are and those to come.

    Open it with `with`, then `look()` at any time, or let `run()` do so. At most `limit` directories are watched;
    what is made below others goes unseen and is counted.

    Raises (on entering):
        UnavailableError: the kernel has no inotify for us, and why.
    """

    def __init__(self, mount: Path, made: Callable[[int, str], None], *, limit: int = 8_192) -> None:
        self._mount = str(mount)
        self._made = made
        self._limit = limit
        self._paths: dict[int, str] = {}
        self._descriptor = -1
        self.counters: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            problem = f"new cgroups cannot be watched: {os.strerror(ctypes.get_errno())}"
            raise UnavailableError(problem, remedy="raise fs.inotify.max_user_instances")
        self._enter("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    async def run(self) -> None:
        """Look whenever there is news, until cancelled."""
        while True:
            await anyio.wait_readable(self._descriptor)
            self.look()

    def look(self) -> None:
        """Tell what was made since the last look."""
        while True:
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        offset = 0
        while offset < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, offset)
            name = data[offset + _EVENT.size : offset + _EVENT.size + length].rstrip(b"\0").decode(errors="replace")
            offset += _EVENT.size + length
            if mask & _OVERFLOW:
                self.counters["overruns"] += 1
                self._enter("")
            elif mask & _IGNORED:
                self._paths.pop(number, None)
            elif mask & _CREATE and mask & _IS_DIRECTORY and number in self._paths:
                self._meet(f"{self._paths[number]}/{name}")

    def _meet(self, path: str) -> None:
        try:
            inode = Path(self._mount + path).stat().st_ino
        except OSError:
            self.counters["gone"] += 1
            return
        self._made(inode, path)
        self._enter(path)

    def _enter(self, top: str) -> None:
        """Watch a directory and all below it, and tell those below; first watched, then listed, so none is missed."""
        stack = [top]
        while stack:
            path = stack.pop()
            self._watch(path)
            with suppress(OSError), os.scandir(self._mount + (path or "/")) as entries:
                found = [(one.inode(), f"{path}/{one.name}") for one in entries if one.is_dir(follow_symlinks=False)]
                for inode, below in found:
                    self._made(inode, below)
                stack += [below for _, below in found]

    def _watch(self, path: str) -> None:
        if len(self._paths) >= self._limit:
            self.counters["unwatched"] += 1
            return
        name = (self._mount + (path or "/")).encode()
        number = self._libc.inotify_add_watch(self._descriptor, name, _CREATE | _ONLY_DIRECTORIES)
        if number >= 0:
            self._paths[number] = path
        elif ctypes.get_errno() != errno.ENOENT:
            self.counters["unwatched"] += 1
