"""What every converter makes: steps in the making, and a config document with what could not be carried over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote, quote_plus

from osmia.load.plan import JsonValue

__all__ = ["Conversion", "Document", "Draft", "Notes", "document_of", "joined_headers", "url_encoded", "with_query"]

Document: TypeAlias = dict[str, JsonValue]

MAX_SLEEP_MS = 90_000
_TEMPLATE = re.compile(r"(\{\{[^{}]*\}\})")


@dataclass(frozen=True, slots=True)
class Conversion:
    """A config, and what of the original it does not have."""

    document: Document
    warnings: tuple[str, ...]


class Notes:
    """Collects what could not be carried over, each thing once."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, text: str) -> None:
        """One more."""
        self._found[text] = None

    def all(self) -> tuple[str, ...]:
        """In the order in which they were found."""
        return tuple(self._found)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A step in the making; only what differs from the config's defaults is written."""

    name: str = ""
    method: str = "GET"
    url: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    payload: str = ""
    payload_file: str = ""
    parts: list[Document] = field(default_factory=list)
    auth: tuple[str, str] | None = None
    timeout_s: float | None = None
    sleep_ms: int = 0
    cert_path: str = ""
    cert_key_path: str = ""
    others: Document = field(default_factory=dict)
    tls: Document = field(default_factory=dict)

    def header(self, name: str) -> str:
        """A header's value, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def set_default_header(self, name: str, value: str) -> None:
        """Unless there is one already."""
        if not any(key.lower() == name.lower() for key, _ in self.headers):
            self.headers.append((name, value))

    def drop_header(self, name: str) -> None:
        """All of that name."""
        self.headers = [(key, value) for key, value in self.headers if key.lower() != name.lower()]

    def step(self, number: int) -> Document:
        """As it stands in a config."""
        step: Document = {"id": number}
        entries: Document = {
            "name": self.name,
            "url": self.url,
            "method": self.method if self.method != "GET" else "",
            "headers": joined_headers(self.headers),
            "auth": {"username": self.auth[0], "password": self.auth[1]} if self.auth else {},
            "payload_multipart": list(self.parts),
            "payload_file": self.payload_file,
            "payload": self.payload,
            "cert_path": self.cert_path,
            "cert_key_path": self.cert_key_path,
            "others": self.others,
            "tls": self.tls,
        }
        step.update({key: value for key, value in entries.items() if value})
        if self.timeout_s is not None:
            step["timeout"] = int(self.timeout_s) if self.timeout_s == int(self.timeout_s) else self.timeout_s
        if self.sleep_ms:
            step["sleep"] = str(min(self.sleep_ms, MAX_SLEEP_MS))
        return step


def joined_headers(headers: Iterable[tuple[str, str]]) -> Document:
    """Headers as a table; several of one name are one list, as RFC 9110 (5.3) has it; cookies have semicolons."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        known = found.get(name.lower())
        separator = "; " if name.lower() == "cookie" else ", "
        found[name.lower()] = (known[0], f"{known[1]}{separator}{value}") if known else (name, value)
    return dict(found.values())


def url_encoded(pairs: Iterable[tuple[str, str]], *, space: str = "+") -> str:
    """`a=1&b=2` with all percent-encoding that is needed; `{{variables}}` stay as they are."""
    return "&".join(f"{_encoded(key, space)}={_encoded(value, space)}" for key, value in pairs)


def _encoded(text: str, space: str) -> str:
    encode = quote_plus if space == "+" else _quote_all
    parts = _TEMPLATE.split(text)
    return "".join(part if index % 2 else encode(part, errors="replace") for index, part in enumerate(parts))


def _quote_all(text: str, *, errors: str) -> str:
    return quote(text, safe="", errors=errors)


def with_query(url: str, query: str) -> str:
    """The URL with more in its query."""
    if not query:
        return url
    base, hash_, fragment = url.partition("#")
    separator = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    return f"{base}{separator}{query}{hash_}{fragment}"


def document_of(drafts: Iterable[Draft], *, env: Mapping[str, JsonValue], more: Mapping[str, JsonValue]) -> Document:
    """A whole config: one short run of one iteration per second, to be made what is wanted."""
    document: Document = {"iteration_count": 10, "duration": 10, **more}
    if env:
        document["env"] = dict(env)
    document["steps"] = [draft.step(number) for number, draft in enumerate(drafts, start=1)]
    return document
