"""Runs a command as a container runtime would: with no new privileges and a seccomp filter of system calls refused.

`python confined.py NAME[,NAME...] COMMAND...`, x86-64 only. The names are of those calls that the default profiles of
containerd and Docker refuse to a container that lacks the capability they belong to.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

NUMBERS = {
    "add_key": 248,
    "clone3": 435,
    "io_uring_setup": 425,
    "kcmp": 312,
    "keyctl": 250,
    "mount": 165,
    "open_by_handle_at": 304,
    "pivot_root": 155,
    "process_vm_readv": 310,
    "ptrace": 101,
    "request_key": 249,
    "setns": 308,
    "umount2": 166,
    "unshare": 272,
    "userfaultfd": 323,
    "bpf": 321,
}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2


def filter_of(names: list[str]) -> bytes:
    """Classic BPF over struct seccomp_data: EPERM for each call (ENOSYS for clone3, as everywhere), else through."""
    program = struct.pack("HBBI", _LOAD, 0, 0, 0)
    for name in names:
        error = _ENOSYS if name == "clone3" else _EPERM
        program += struct.pack("HBBI", _EQUAL, 0, 1, NUMBERS[name])
        program += struct.pack("HBBI", _RETURN, 0, 0, _ERROR | error)
    return program + struct.pack("HBBI", _RETURN, 0, 0, _ALLOW)


def main() -> None:
    """Confine this process and become the command."""
    names = sys.argv[1].split(",")
    code = ctypes.create_string_buffer(filter_of(names))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 2 * len(names) + 2, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
