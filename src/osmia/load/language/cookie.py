"""One Set-Cookie line as a value (RFC 6265 §5.2 and §5.1.1: the algorithm for user agents, which forgives a lot)."""

from __future__ import annotations

import calendar
import functools
import re
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Cookie", "CookieSource", "parse_date", "parse_set_cookie"]


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie as a server set it. `expires_s` is Unix time; None where the line does not say, or says no date.

    `max_age_s` None: not said. `domain` is without leading dot and in lower case; empty: only for the host that set it.
    """

    name: str
    value: str
    domain: str = ""
    path: str = ""
    expires_s: int | None = None
    raw_expires: str = ""
    max_age_s: int | None = None
    is_secure: bool = False
    is_http_only: bool = False
    raw: str = ""


class CookieSource(Protocol):
    """Where cookies are found that an answer did not set itself: the jar of its user."""

    def find(self, name: str) -> Cookie | None:
        """The cookie of that name, or None."""


_MAX_AGE = re.compile(r"-?[0-9]+")
_FOREVER_S = 1 << 40
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?!\d)")
_DAY = re.compile(r"(\d{1,2})(?!\d)")
_YEAR = re.compile(r"(\d{2,4})(?!\d)")


@functools.lru_cache(maxsize=256)
def parse_set_cookie(line: str) -> Cookie | None:
    """The cookie of a Set-Cookie header's value, or None if it has no name."""
    first, *rest = line.split(";")
    name, equals, value = first.partition("=")
    name = name.strip(" \t")
    if not equals or not name:
        return None
    attributes: dict[str, str] = {}
    for one in rest:
        key, _, content = one.partition("=")
        attributes[key.strip(" \t").lower()] = content.strip(" \t")
    age = attributes.get("max-age", "")
    path = attributes.get("path", "")
    raw_expires = attributes.get("expires", "")
    return Cookie(
        name,
        value.strip(" \t"),
        attributes.get("domain", "").removeprefix(".").lower(),
        path if path.startswith("/") else "",
        parse_date(raw_expires) if raw_expires else None,
        raw_expires,
        _seconds(age),
        "secure" in attributes,
        "httponly" in attributes,
        line,
    )


def _seconds(age: str) -> int | None:
    if not _MAX_AGE.fullmatch(age):
        return None
    digits = 15
    value = int(age[:digits])
    return max(-_FOREVER_S, min(_FOREVER_S, value))


@functools.lru_cache(maxsize=256)
def parse_date(text: str) -> int | None:
    """Unix time of a date in any of the forms that servers have written, or None (RFC 6265 §5.1.1)."""
    time: tuple[int, ...] | None = None
    day = month = year = None
    for part in _DELIMITERS.split(text):
        if time is None and (found := _TIME.match(part)):
            time = tuple(map(int, found.groups()))
        elif day is None and (found := _DAY.match(part)):
            day = int(found[1])
        elif month is None and part[:3].lower() in _MONTHS:
            month = _MONTHS.index(part[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(part)):
            year = _whole_year(int(found[1]))
    if time is None or day is None or month is None or year is None:
        return None
    return _unix_time(year, month, day, time)


def _whole_year(year: int) -> int:
    first_of_1900s, last_of_1900s = 70, 99
    if first_of_1900s <= year <= last_of_1900s:
        return year + 1900
    return year + 2000 if year < first_of_1900s else year


def _unix_time(year: int, month: int, day: int, time: tuple[int, ...]) -> int | None:
    hour, minute, second = time
    first_year, hours, sixty = 1601, 23, 59
    if year < first_year or hour > hours or minute > sixty or second > sixty:
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))
