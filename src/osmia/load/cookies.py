"""The cookies of one user (RFC 6265): what answers set, and what goes out with which request.

`header_for` is asked once per request, so its answers are remembered until anything in the jar changes or the next
cookie of it ends: per origin while all cookies are for `/`, per URL otherwise. A jar is bounded: 50 cookies per
domain, 300 in all, the oldest go.

Public suffixes: a cookie for a domain without a dot (`com`) or one of a few that registrars sell below (`co.uk`) is
refused unless that is the host itself. The real list has ten thousand entries and changes weekly; a load test needs
only that sites do not meet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from osmia.load.language.cookie import Cookie, parse_date, parse_set_cookie
from osmia.load.plan import CookieSetting

__all__ = ["Jar"]

MAX_PER_DOMAIN: Final = 50
MAX_COOKIES: Final = 300
_MAX_COOKIE_CHARACTERS = 8192
_MAX_ANSWERS = 256
_SCHEME_CHARACTERS = len("https://")
_FOREVER_S = float("inf")
_SET_COOKIE = re.compile(rb"\nset-cookie:[ \t]*([^\r\n]*)", re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")
_SECOND_LEVELS = frozenset(
    f"{second}.{top}"
    for top, seconds in {
        "uk": "co org me ltd plc net ac gov sch",
        "jp": "co ne or ac ad ed go gr lg",
        "au": "com net org edu gov id asn",
        "nz": "co net org govt ac school geek",
        "br": "com net org gov edu",
        "cn": "com net org gov edu ac",
        "in": "co net org gov ac firm gen ind",
        "kr": "co ne or go ac re pe",
        "za": "co net org gov ac web",
        "tr": "com net org gov edu bel k12",
        "tw": "com net org gov edu idv",
        "mx": "com net org gob edu",
        "il": "co net org gov ac muni",
    }.items()
    for second in seconds.split()
)


@dataclass(slots=True)
class _Kept:
    """A cookie in the jar, with its effective domain, path and end."""

    cookie: Cookie
    domain: str
    is_host_only: bool
    path: str
    ends_s: float
    number: int


class Jar:
    """One user's cookies. `now_s` is Unix time; `settings` are the cookies that he has from the start."""

    __slots__ = ("_answers", "_is_flat", "_kept", "_next_end_s", "_now_s", "_number")

    def __init__(self, settings: Iterable[CookieSetting] = (), *, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._answers: dict[str, str] = {}
        self._is_flat = True  # all cookies are for "/"
        self._next_end_s = _FOREVER_S
        self._number = 0
        for setting in settings:
            cookie = _from_setting(setting)
            if cookie is not None:
                self._put(cookie, cookie.domain, cookie.path or "/", is_host_only=not cookie.domain)

    def __len__(self) -> int:
        return len(self._kept)

    # ---- what goes out ----

    def header_for(self, url: str) -> str:
        """The value of the Cookie field of a request, "" for none."""
        key = url
        if self._is_flat and (end := url.find("/", _SCHEME_CHARACTERS)) > 0:
            key = url[:end]
        known = self._answers.get(key)
        if known is not None and (self._next_end_s == _FOREVER_S or self._now_s() < self._next_end_s):
            return known
        host, path, is_secure = _where(url)
        self._forget_ended()
        found = [one for one in self._kept.values() if _is_for(one, host, path, is_secure=is_secure)]
        found.sort(key=lambda one: (-len(one.path), one.number))
        value = "; ".join(f"{one.cookie.name}={one.cookie.value}" for one in found)
        if len(self._answers) >= _MAX_ANSWERS:
            self._answers.clear()
        self._answers[key] = value
        return value

    def find(self, name: str) -> Cookie | None:
        """The newest cookie of that name, wherever it belongs."""
        self._forget_ended()
        found = [one for one in self._kept.values() if one.cookie.name == name]
        return max(found, key=lambda one: one.number).cookie if found else None

    # ---- what comes in ----

    def store(self, head: bytes, url: str) -> None:
        """Take the cookies that an answer's head sets."""
        lines = _SET_COOKIE.findall(head)
        if lines:
            self.take([_text(line) for line in lines], url)

    def take(self, lines: Sequence[str], url: str) -> None:
        """Take the cookies of Set-Cookie values, as far as the host may set them."""
        host, path, is_secure = _where(url)
        for line in lines:
            cookie = parse_set_cookie(line) if len(line) <= _MAX_COOKIE_CHARACTERS else None
            if cookie is None or (cookie.is_secure and not is_secure):
                continue
            domain = cookie.domain
            if domain and domain != host and (not _is_within(host, domain) or _is_public(domain)):
                continue
            is_host_only = not domain or (domain == host and (_is_public(domain) or _is_address(host)))
            self._put(cookie, domain or host, cookie.path or _default_path(path), is_host_only=is_host_only)

    def _put(self, cookie: Cookie, domain: str, path: str, *, is_host_only: bool) -> None:
        """Set it in the place of an older one, or take that away if it ends in the past."""
        now_s = self._now_s()
        ends_s = _end_s(cookie, now_s)
        key = (domain, path, cookie.name)
        before = self._kept.get(key)
        if before and ends_s > now_s and _is_same(before, cookie, is_host_only=is_host_only):
            before.ends_s = ends_s  # a session that is set again with each answer changes nothing else
            self._next_end_s = min(self._next_end_s, ends_s)
            return
        self._kept.pop(key, None)
        self._answers.clear()
        if ends_s <= now_s:
            return
        self._number += 1
        number = before.number if before else self._number
        self._kept[key] = _Kept(cookie, domain, is_host_only, path, ends_s, number)
        self._next_end_s = min(self._next_end_s, ends_s)
        self._is_flat = self._is_flat and path == "/"
        self._make_room(domain)

    def _make_room(self, domain: str) -> None:
        of_domain = [key for key in self._kept if key[0] == domain]
        if len(of_domain) > MAX_PER_DOMAIN:
            del self._kept[of_domain[0]]
        if len(self._kept) > MAX_COOKIES:
            del self._kept[next(iter(self._kept))]

    def _forget_ended(self) -> None:
        if self._next_end_s == _FOREVER_S:
            return
        now_s = self._now_s()
        if now_s < self._next_end_s:
            return
        self._kept = {key: one for key, one in self._kept.items() if one.ends_s > now_s}
        self._next_end_s = min((one.ends_s for one in self._kept.values()), default=_FOREVER_S)
        self._answers.clear()


def _is_same(kept: _Kept, cookie: Cookie, *, is_host_only: bool) -> bool:
    """Whether the new cookie goes out as the old one does."""
    return (kept.cookie.value, kept.cookie.is_secure, kept.is_host_only) == (
        cookie.value,
        cookie.is_secure,
        is_host_only,
    )


def _text(line: bytes) -> str:
    try:
        return line.decode().rstrip(" \t")
    except UnicodeDecodeError:
        return line.decode("latin-1").rstrip(" \t")


def _where(url: str) -> tuple[str, str, bool]:
    """Host in lower case without port and brackets, path, whether the scheme is https."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.path or "/", parts.scheme.lower() == "https"


def _is_for(kept: _Kept, host: str, path: str, *, is_secure: bool) -> bool:
    if kept.cookie.is_secure and not is_secure:
        return False
    # A cookie of the plan without domain has no host either: it goes everywhere.
    is_host = not kept.domain or (host == kept.domain if kept.is_host_only else _is_within(host, kept.domain))
    return is_host and _is_below(path, kept.path)


def _is_within(host: str, domain: str) -> bool:
    """Domain matching, RFC 6265 §5.1.3."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_below(path: str, prefix: str) -> bool:
    """Path matching, RFC 6265 §5.1.4."""
    return path == prefix or (path.startswith(prefix) and (prefix.endswith("/") or path[len(prefix)] == "/"))


def _default_path(path: str) -> str:
    """RFC 6265 §5.1.4: up to, not including, the last slash."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def _is_public(domain: str) -> bool:
    return ("." not in domain and domain != "localhost") or domain in _SECOND_LEVELS


def _is_address(host: str) -> bool:
    return bool(_ADDRESS.fullmatch(host))


def _end_s(cookie: Cookie, now_s: float) -> float:
    """Max-Age comes before Expires; neither: until the user is gone."""
    if cookie.max_age_s is not None:
        return now_s + cookie.max_age_s if cookie.max_age_s > 0 else 0.0
    return _FOREVER_S if cookie.expires_s is None else float(cookie.expires_s)


def _from_setting(setting: CookieSetting) -> Cookie | None:
    """A cookie of the plan; `raw` says all by itself. `max_age` 0 is none, below it deletes."""
    if setting.raw:
        return parse_set_cookie(setting.raw)
    if not setting.name:
        return None
    return Cookie(
        setting.name,
        setting.value,
        setting.domain.removeprefix(".").lower(),
        setting.path if setting.path.startswith("/") else "",
        parse_date(setting.expires) if setting.expires else None,
        setting.expires,
        setting.max_age or None,
        setting.is_secure,
        setting.is_http_only,
    )
