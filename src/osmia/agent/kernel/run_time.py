"""What our programs cost in the kernel: its own measure of their run time, switched on for a moment at a time.

While run-time statistics are on, the kernel reads the clock twice around every run of every BPF program of the machine
(about 50 ns a run); so they are on for a tenth of a second and the figure is scaled. The file descriptors of this
process say which programs are ours, whichever part of the agent loaded them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from osmia.model.errors import UnavailableError

__all__ = ["ProgramTime", "program_times", "statistics_on"]

_SYSCALL_BPF = {"x86_64": 321, "aarch64": 280}
_OBJ_GET_INFO_BY_FD = 15
_ENABLE_STATS = 32
_PROGRAM_LINK = "anon_inode:bpf-prog"
# Places in `struct bpf_prog_info` (include/uapi/linux/bpf.h, kernel 5.8).
_INFO_BYTES = 208
_ID, _NAME, _RUN_TIME = 4, 64, 192

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ProgramTime:
    """Totals of one program since it was loaded, of the time that statistics were on."""

    name: str
    run_time_ns: int
    runs: int


@contextmanager
def statistics_on() -> Iterator[None]:
    """Have the kernel measure run times for the length of the context.

    Raises:
        UnavailableError: this process may not (CAP_SYS_ADMIN), or the kernel cannot (before 5.8).
    """
    descriptor = _bpf(_ENABLE_STATS, bytearray(4))
    if descriptor < 0 and _is_always_on():
        yield
        return
    if descriptor < 0:
        reason = os.strerror(ctypes.get_errno())
        remedy = "set sysctl kernel.bpf_stats_enabled=1 on the node, or grant CAP_SYS_ADMIN"
        raise UnavailableError(f"the kernel does not measure the run time of programs: {reason}", remedy=remedy)
    try:
        yield
    finally:
        os.close(descriptor)


def _is_always_on() -> bool:
    try:
        return Path("/proc/sys/kernel/bpf_stats_enabled").read_text("ascii").strip() == "1"
    except OSError:
        return False


def program_times() -> dict[int, ProgramTime]:
    """Run times of all programs that this process holds, by their id in the kernel."""
    found = {}
    for descriptor in _descriptors():
        info = _information(descriptor)
        if info is None:
            continue
        (number,) = struct.unpack_from("<I", info, _ID)
        run_time_ns, runs = struct.unpack_from("<QQ", info, _RUN_TIME)
        name = bytes(info[_NAME : _NAME + 16]).split(b"\0", 1)[0].decode("ascii", "replace")
        found[number] = ProgramTime(name, run_time_ns, runs)
    return found


def _descriptors() -> Iterator[int]:
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            try:
                target = os.readlink(entry.path)  # noqa: PTH115 - once a second for some hundred files
            except OSError:
                continue  # closed meanwhile
            if target == _PROGRAM_LINK:
                yield int(entry.name)


def _information(descriptor: int) -> bytearray | None:
    info = (ctypes.c_char * _INFO_BYTES)()
    attribute = bytearray(struct.pack("<IIQ", descriptor, _INFO_BYTES, ctypes.addressof(info)))
    return bytearray(info) if _bpf(_OBJ_GET_INFO_BY_FD, attribute) == 0 else None


def _bpf(command: int, attribute: bytearray) -> int:
    number = _SYSCALL_BPF.get(platform.machine())
    if number is None:
        ctypes.set_errno(38)  # ENOSYS
        return -1
    buffer = (ctypes.c_char * len(attribute)).from_buffer(attribute)
    result: int = _libc.syscall(number, command, ctypes.byref(buffer), len(attribute))
    return result
