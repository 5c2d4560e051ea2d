"""One answer, as captures and assertions see it: everything that is not asked for is not made."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from osmia.load.language.cookie import Cookie, CookieSource, parse_set_cookie
from osmia.load.plan import JsonValue

__all__ = ["NOTHING", "Answer", "Needs", "header_finder"]

_SET_COOKIE = re.compile(rb"\nset-cookie:[ \t]*([^\r\n]*)", re.IGNORECASE)
_LINE = re.compile(rb"\n([!-9;-~]+):[ \t]*([^\r\n]*)")
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be kept of an answer for a rule or a capture; a step that needs nothing of it never enters Python."""

    has_head: bool = False
    has_body: bool = False

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.has_head or other.has_head, self.has_body or other.has_body)


NOTHING = Needs()


class Answer:
    """One response of one user.

    `head` is the status line and header lines as received, with the empty line; `body` is decoded of its transfer and
    content encodings; `service_ns` how long it took; `scope` the variables of the iteration; `jar` the cookies of the
    user, where he keeps any.
    """

    __slots__ = ("_cookies", "_headers", "_text", "body", "head", "jar", "scope", "service_ns", "status")

    def __init__(  # noqa: PLR0913, PLR0917 - made once per answer, so by position
        self,
        status: int,
        head: bytes,
        body: bytes,
        service_ns: int,
        scope: dict[str, JsonValue],
        jar: CookieSource | None = None,
    ) -> None:
        self.status = status
        self.head = head
        self.body = body
        self.service_ns = service_ns
        self.scope = scope
        self.jar = jar
        self._text: str | None = None
        self._headers: list[tuple[str, str]] | None = None
        self._cookies: dict[str, Cookie] | None = None

    @property
    def text(self) -> str:
        """The body as text: UTF-8, or what Content-Type says if it is not; what cannot be read is U+FFFD."""
        if self._text is None:
            try:
                self._text = self.body.decode()
            except UnicodeDecodeError:
                self._text = self._decoded()
        return self._text

    def _decoded(self) -> str:
        found = _CHARSET.search(header_finder("content-type")(self.head) or "")
        try:
            return self.body.decode(found[1] if found else "utf-8", "replace")
        except (LookupError, ValueError):
            return self.body.decode("utf-8", "replace")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers in their order, with names as received."""
        if self._headers is None:
            found = _LINE.findall(self.head)
            self._headers = [(name.decode("latin-1"), _value(value)) for name, value in found]
        return self._headers

    @property
    def cookies(self) -> dict[str, Cookie]:
        """What this answer sets, by name; of two with one name the last."""
        if self._cookies is None:
            lines = [parse_set_cookie(_value(one)) for one in _SET_COOKIE.findall(self.head)]
            self._cookies = {one.name: one for one in lines if one}
        return self._cookies

    def cookie(self, name: str) -> Cookie | None:
        """A cookie that this answer sets, or else one that its user has."""
        found = self.cookies.get(name)
        return self.jar.find(name) if found is None and self.jar is not None else found


@functools.lru_cache(maxsize=1024)
def header_finder(name: str) -> Callable[[bytes], str | None]:
    """A function that finds the first header of a name in a head, whatever its case."""
    search = re.compile(
        rb"\n" + re.escape(name.encode("latin-1", "replace")) + rb":[ \t]*([^\r\n]*)", re.IGNORECASE
    ).search

    def find(head: bytes) -> str | None:
        found = search(head)
        return _value(found[1]) if found else None

    return find


def _value(value: bytes) -> str:
    try:
        return value.decode().rstrip(" \t")
    except UnicodeDecodeError:
        return value.decode("latin-1").rstrip(" \t")
