"""One send through io_uring, by the bare system calls (io_uring(7)): what a program does that never calls send()."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct

__all__ = ["send"]

_SETUP, _ENTER = 425, 426
_OP_SEND = 26
_GET_EVENTS = 1
_OFFSET_SQES = 0x10000000
_SQE = struct.Struct("<BBHiQQII")  # opcode, flags, ioprio, fd, offset, address, length, message flags; 64 bytes in all
_PARAMETERS = 120
_SQ_TAIL, _SQ_MASK, _SQ_ARRAY = 11, 12, 16  # words of struct io_uring_params

_libc = ctypes.CDLL(None, use_errno=True)


def send(end: socket.socket, data: bytes) -> None:
    """Send all of `data` and wait until that is done.

    Raises:
        OSError: this machine has no io_uring.
    """
    parameters = ctypes.create_string_buffer(_PARAMETERS)
    ring = _libc.syscall(_SETUP, 1, parameters)
    if ring < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    words = struct.unpack("<30I", parameters.raw)
    tail, array = words[_SQ_TAIL], words[_SQ_ARRAY]
    buffer = ctypes.create_string_buffer(data, len(data))
    try:
        with mmap.mmap(ring, array + 4) as queue, mmap.mmap(ring, 64, offset=_OFFSET_SQES) as entries:
            _SQE.pack_into(entries, 0, _OP_SEND, 0, 0, end.fileno(), 0, ctypes.addressof(buffer), len(data), 0)
            struct.pack_into("<I", queue, array, 0)
            struct.pack_into("<I", queue, tail, 1)
            submitted = _libc.syscall(_ENTER, ring, 1, 1, _GET_EVENTS, None, 0)
        if submitted != 1:
            raise OSError(ctypes.get_errno(), "io_uring took nothing")
    finally:
        os.close(ring)
