"""Where PostgreSQL's messages begin and end in one direction of a connection, whatever the pieces they come in.

Every message tells its length, so nothing of it has to be kept; bytes that were not copied are passed over where the
message under way covers them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BACKEND", "CANCEL", "ENCRYPTION", "FRONTEND", "STARTUP", "Cutter", "Part"]

FRONTEND = frozenset(b"QPBDECHSFdcfpX")
"""Types of the messages that a client sends."""

BACKEND = frozenset(b"123ACDEGHIKNRSTVWZcdnstv")
"""Types of the messages that a server sends."""

STARTUP, ENCRYPTION, CANCEL = 0, -1, -2
"""Stand for the type of the packets that open a connection (or ask for encryption, or cancel): they have none."""

_HEADER_BYTES = 5
_STARTUP_HEADER_BYTES = 8
_LENGTH_BYTES = 4
_MAX_DATA_BYTES = 1 << 30
_MAX_STARTUP_BYTES = 10_000
_MAX_SHORT_BYTES = 1 << 20  # of text that looks like a message, the "length" is far above: its first byte is not 0
_LONG = frozenset(b"DTVdQPBF")
_PROTOCOL_MAJOR = 3
_TLS = 0x16
_ASKING = {80877102: CANCEL, 80877103: ENCRYPTION, 80877104: ENCRYPTION}  # the last two: SSL, GSS


class Part(NamedTuple):
    """Bytes of one message: of type `kind`, begun at `began_ns`; whether they are its first, and its last.

    `skipped` bytes of the message that were not copied come before `data`.
    """

    kind: int
    data: bytes
    is_first: bool
    is_last: bool
    began_ns: int
    skipped: int = 0


class Cutter:
    """Cuts one direction into messages; `is_lost` from where its bytes cannot be messages, until `begin_anew`.

    `is_starting` as long as packets without a type may come; `is_tls` if a handshake came instead.
    """

    __slots__ = ("_began_ns", "_header", "_kind", "_kinds", "_left", "is_lost", "is_starting", "is_tls")

    def __init__(self, kinds: frozenset[int], *, is_starting: bool) -> None:
        self._kinds = kinds
        self.is_starting = is_starting
        self._header = b""
        self._left = 0
        self._kind = 0
        self._began_ns = 0
        self.is_lost = False
        self.is_tls = False

    @property
    def is_between(self) -> bool:
        """Whether the last byte was a message's last."""
        return not (self._left or self._header or self.is_lost)

    @property
    def held_bytes(self) -> int:
        """Bytes of a header that is not complete: no part has them yet."""
        return len(self._header)

    def begin_anew(self) -> None:
        """The next byte begins a message."""
        self._header = b""
        self._left = 0
        self.is_starting = False
        self.is_lost = False

    def lose(self) -> None:
        """Nobody knows where the next message begins."""
        self._header = b""
        self._left = 0
        self.is_lost = True

    def skip(self, count: int) -> Part | None:
        """Pass over bytes that were not copied; None (and lost) if a message may have ended in them unseen."""
        if not count <= self._left:
            self.lose()
            return None
        self._left -= count
        return Part(self._kind, b"", is_first=False, is_last=not self._left, began_ns=self._began_ns, skipped=count)

    def cut(self, data: bytes, time_ns: int) -> list[Part]:
        """The parts that `data` consists of, up to where it is lost; what stays of a header comes with the next."""
        parts: list[Part] = []
        position = 0
        while position < len(data) and not self.is_lost:
            if self._left:
                end = min(len(data), position + self._left)
                self._left -= end - position
                is_last = not self._left
                parts.append(Part(self._kind, data[position:end], False, is_last, self._began_ns))  # noqa: FBT003 - hot
                position = end
                continue
            position = self._begin(data, position, time_ns, parts)
        return parts

    def _begin(self, data: bytes, start: int, time_ns: int, parts: list[Part]) -> int:
        """Read a header; gives the position behind what of its message is in `data`."""
        if not self._header:
            self._began_ns = time_ns
        need = _STARTUP_HEADER_BYTES if self.is_starting and not (self._header or data[start:])[0] else _HEADER_BYTES
        kept = len(self._header)
        header = self._header + data[start : start + need - kept]
        self.is_tls = self.is_starting and header[0] == _TLS
        length = self._length(header) if len(header) == need else _LENGTH_BYTES
        if length < 0 or not (header[0] in self._kinds or need == _STARTUP_HEADER_BYTES):
            self.lose()
            return start
        if len(header) < need:
            self._header = header
            return len(data)
        self._header = b""
        end = min(len(data), start + length - kept)
        self._left = start + length - kept - end
        raw = header[:kept] + data[start:end]
        parts.append(Part(self._kind, raw, True, not self._left, self._began_ns))  # noqa: FBT003 - hot
        return end

    def _length(self, header: bytes) -> int:
        """Bytes of the whole message by its complete header; -1 if it is none."""
        if len(header) == _STARTUP_HEADER_BYTES:
            length, code = int.from_bytes(header[:4]), int.from_bytes(header[4:])
            is_startup = code >> 16 == _PROTOCOL_MAJOR
            self.is_starting = not is_startup
            self._kind = STARTUP if is_startup else _ASKING.get(code, STARTUP)
            is_known = is_startup or code in _ASKING
            return length if is_known and _STARTUP_HEADER_BYTES <= length <= _MAX_STARTUP_BYTES else -1
        self._kind = header[0]
        self.is_starting = False
        length = int.from_bytes(header[1:])
        longest = _MAX_DATA_BYTES if self._kind in _LONG else _MAX_SHORT_BYTES
        return 1 + length if _LENGTH_BYTES <= length <= longest else -1
