"""Where one HTTP/1.x message ends (RFC 9112 section 6), followed through bytes that come in any pieces.

A `Framing` takes the bytes of one message and, by length only, those that were not copied. It keeps the header section
(of a huge one: what decides about the body) and nothing of the body.
"""

from __future__ import annotations

import enum
import re

__all__ = ["Framing"]

_MAX_HEADER_BYTES = 1 << 16
_MAX_LINE_BYTES = 4096
_BLANK_LINE = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"\n(?:content-length|transfer-encoding):[^\r\n]*(?=\r?\n)", re.IGNORECASE)
_LENGTH = re.compile(rb"\ncontent-length:([^\r\n]*)(?=\r?\n)", re.IGNORECASE)
_CODING = re.compile(rb"\ntransfer-encoding:([^\r\n]*)(?=\r?\n)", re.IGNORECASE)
_NUMBER = re.compile(rb"[ \t]*(\d{1,18})[ \t]*")
_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_NEXT_SIZE = re.compile(rb"(?:\r\n)?(?=[0-9A-Fa-f]{1,15}(?:;[^\r\n]*)?\r\n)")
_LAST_CHUNK = b"0\r\n\r\n"
_LINE_BREAK_BYTES = 2


class _Part(enum.Enum):
    HEADER = enum.auto()
    UNDECIDED = enum.auto()
    LENGTH = enum.auto()
    UNTIL_CLOSE = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK = enum.auto()
    TRAILER = enum.auto()
    LOST = enum.auto()
    OVER = enum.auto()


class Framing:
    """Follows one message: header section, then a decision about the body, then the body, until `is_over`.

    `header` is the header section so far; `is_compacted` says that it was too long to be kept whole.
    """

    __slots__ = ("_broken", "_left", "_line", "_part", "header", "is_compacted")

    def __init__(self) -> None:
        self.header = bytearray()
        self._part = _Part.HEADER
        self._left = 0
        self._line = bytearray()
        self._broken = _Part.LOST  # what a malformed body is taken for
        self.is_compacted = False

    @property
    def is_in_header(self) -> bool:
        """Whether the blank line has not come yet."""
        return self._part is _Part.HEADER

    @property
    def is_over(self) -> bool:
        """Whether the message has ended."""
        return self._part is _Part.OVER

    @property
    def is_lost(self) -> bool:
        """Whether its end cannot be told from what was seen."""
        return self._part is _Part.LOST

    def eat_header(self, data: bytes, start: int) -> int:
        """Take bytes of the header section; gives the position behind them (behind the blank line if it came)."""
        kept = len(self.header)
        self.header += data[start:]
        blank = _BLANK_LINE.search(self.header, max(0, kept - 2))
        if blank is None:
            if len(self.header) > _MAX_HEADER_BYTES:
                self._compact()
            return len(data)
        end = start + blank.end() - kept
        del self.header[blank.end() :]
        self._part = _Part.UNDECIDED
        return end

    def end_without_body(self) -> None:
        """The message ends with its header section, whatever its fields say."""
        self._part = _Part.OVER

    def begin_body(self, *, is_response: bool) -> None:
        """Read from the complete header section how the body ends.

        Where its fields contradict each other, or the body's chunks are malformed, both sides can only give up: a
        response then lasts as long as the connection, the end of a request is lost.
        """
        self._broken = _Part.UNTIL_CLOSE if is_response else _Part.LOST
        codings = _CODING.findall(self.header)
        if codings:
            is_chunked = codings[-1].rpartition(b",")[2].strip().lower() == b"chunked"
            self._part = _Part.CHUNK_SIZE if is_chunked else self._broken
            return
        lengths = {part for value in _LENGTH.findall(self.header) for part in value.split(b",")}
        if not lengths:
            self._part = _Part.UNTIL_CLOSE if is_response else _Part.OVER
            return
        numbers = [_NUMBER.fullmatch(one) for one in lengths]
        sizes = {int(one[1]) for one in numbers if one}
        if None in numbers or len(sizes) != 1:
            self._part = self._broken
            return
        self._left = sizes.pop()
        self._part = _Part.LENGTH if self._left else _Part.OVER

    def eat_body(self, data: bytes, start: int) -> int:
        """Take bytes of the body; gives the position behind them."""
        if self._part is _Part.LOST:
            start = self._look_for_end(data, start)
        while start < len(data) and self._part is not _Part.OVER:
            if self._part is _Part.UNTIL_CLOSE:
                return len(data)
            if self._part is _Part.LOST:
                return start
            if self._part in (_Part.CHUNK_SIZE, _Part.TRAILER):
                start = self._eat_line(data, start)
                continue
            step = min(self._left, len(data) - start)
            self._take(step)
            start += step
        return start

    def skip(self, count: int) -> int:
        """Pass over bytes that were not copied; gives how many of them the message is not known to reach over."""
        if self._part is _Part.UNTIL_CLOSE or not count:
            return 0
        if self._part is _Part.LENGTH or (self._part is _Part.CHUNK and count <= self._left):
            step = min(self._left, count)
            self._take(step)
            return count - step
        if self._part is not _Part.OVER:
            self._part = _Part.LOST
            self._line.clear()
        return count

    def _take(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self._part = _Part.OVER if self._part is _Part.LENGTH else _Part.CHUNK_SIZE

    def _eat_line(self, data: bytes, start: int) -> int:
        """A chunk's size or a trailer field, up to the end of its line."""
        end = data.find(b"\n", start) + 1 or len(data)
        end = min(end, start + _MAX_LINE_BYTES - len(self._line))
        self._line += data[start:end]
        if not self._line.endswith(b"\n"):
            if len(self._line) == _MAX_LINE_BYTES:
                self._part = self._broken
                self._line.clear()
            return end
        line = bytes(self._line)
        self._line.clear()
        if self._part is _Part.TRAILER:
            self._part = _Part.TRAILER if line.strip(b"\r\n") else _Part.OVER
            return end
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            self._part = self._broken
            return end
        self._left = int(size[1], 16) + _LINE_BREAK_BYTES
        self._part = _Part.CHUNK if self._left > _LINE_BREAK_BYTES else _Part.TRAILER
        return end

    def _look_for_end(self, data: bytes, start: int) -> int:
        """In a body whose chunks were lost: a piece that begins with a chunk's size, or ends with the last chunk."""
        size = _NEXT_SIZE.match(data, start)
        if size:
            self._part = _Part.CHUNK_SIZE
            return size.end()
        if data.endswith(_LAST_CHUNK):
            self._part = _Part.OVER
        return len(data)

    def _compact(self) -> None:
        """Of a huge header section keep its beginning, the fields that tell the length, and the line under way."""
        self.is_compacted = True
        end = self.header.rfind(b"\n")
        line = self.header[max(0, end) :]
        if len(line) > _MAX_LINE_BYTES:
            line = line[:256] + line[-4:]
        fields = b"".join(list(dict.fromkeys(_FIELD.findall(self.header)))[:4])
        self.header = self.header[:512] + fields + line
