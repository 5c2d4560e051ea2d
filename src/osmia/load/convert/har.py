"""HAR 1.2, what browsers and proxies record, to a config."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from osmia.load.convert.draft import MAX_SLEEP_MS, Conversion, Document, Draft, Notes, document_of, url_encoded
from osmia.load.convert.lookup import table_at, tables_at, text_at
from osmia.load.plan import JsonValue
from osmia.model.errors import InputError

__all__ = ["HarOptions", "convert_har", "is_har"]

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})
_OWN_HEADERS = frozenset({"host", "content-length", "connection", "cookie", "transfer-encoding", "proxy-connection"})
_STATIC_ENDINGS = re.compile(
    r"\.(avif|bmp|css|eot|gif|ico|jpe?g|m?js|map|mp[34]|og[gv]|otf|png|svg|ttf|wasm|wav|web[mp]|woff2?)", re.IGNORECASE
)
_STATIC_TYPES = ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript")
_STATIC_RESOURCES = frozenset({"image", "font", "stylesheet", "script", "media", "texttrack", "manifest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HarOptions:
    """What of a recording is wanted."""

    has_sleeps: bool = False
    """Between two requests the time that the user took."""
    has_static: bool = True
    """Images, styles, scripts, fonts."""
    hosts: tuple[str, ...] = ()
    """Only requests to these hosts and what is below them; all, if there are none."""


def is_har(document: JsonValue) -> bool:
    """Whether it looks like a HAR."""
    return "entries" in table_at(document, "log")


def convert_har(document: JsonValue, options: HarOptions | None = None) -> Conversion:
    """The recorded requests as steps, in the order in which they were sent.

    Raises:
        InputError: it is no HAR, or nothing of it is left.
    """
    if not is_har(document):
        raise InputError("this is no HAR", remedy='it would have "log" with "entries"')
    return _Converter(options or HarOptions()).convert(tables_at(table_at(document, "log"), "entries"))


class _Converter:
    def __init__(self, options: HarOptions) -> None:
        self._options = options
        self._notes = Notes()
        self._left_out: dict[str, int] = {}
        self._jar: dict[tuple[str, str], Document] = {}
        self._given: set[str] = set()

    def convert(self, entries: list[Document]) -> Conversion:
        entries = sorted((one for one in entries if self._is_wanted(one)), key=_start_ms)
        if not entries:
            raise InputError("no request is left", remedy=", ".join(self._left_out) or "the recording is empty")
        drafts = [self._draft(entry) for entry in entries]
        if self._options.has_sleeps:
            for draft, entry, following in zip(drafts, entries, entries[1:], strict=False):
                draft.sleep_ms = self._pause_ms(draft, entry, following)
        for reason, count in self._left_out.items():
            self._notes.add(f"requests left out because {reason}: {count}")
        more: Document = {}
        if self._jar or self._given:
            jar: Document = {"enabled": True}
            if self._jar:
                jar["cookies"] = list(self._jar.values())
            more = {"engine_mode": "distinct-user", "cookie_jar": jar}
        return Conversion(document_of(drafts, env={}, more=more), self._notes.all())

    def _is_wanted(self, entry: Document) -> bool:
        request = table_at(entry, "request")
        reason = self._reason_against(entry, text_at(request, "url"), text_at(request, "method").upper())
        if reason:
            self._left_out[reason] = self._left_out.get(reason, 0) + 1
        return not reason

    def _reason_against(self, entry: Document, url: str, method: str) -> str:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return "their URL is none"
        if parts.scheme not in {"http", "https"} or not host:
            return f"they are {parts.scheme or 'no'} URLs"
        if method not in _METHODS:
            return f"their method is {method or 'missing'}"
        if self._options.hosts and not any(host == one or host.endswith(f".{one}") for one in self._options.hosts):
            return "they go to other hosts"
        return "" if self._options.has_static or not _is_static(entry, parts.path) else "they are static files"

    def _draft(self, entry: Document) -> Draft:
        request = table_at(entry, "request")
        url = text_at(request, "url").partition("#")[0]
        parts = urlsplit(url)
        draft = Draft(name=(parts.path or "/")[:80], method=text_at(request, "method").upper(), url=url)
        for header in tables_at(request, "headers"):
            name = text_at(header, "name")
            if name and not name.startswith(":") and name.lower() not in _OWN_HEADERS:
                draft.headers.append((name, text_at(header, "value")))
        self._cookies(entry, request, parts.hostname or "")
        self._body(draft, table_at(request, "postData"))
        self._protocol(draft, text_at(request, "httpVersion").lower())
        draft.others["disable-redirect"] = True  # what was redirected to is a request of its own in the recording
        if "{{" in url:
            self._notes.add(f"{draft.name}: the URL has {{{{ in it, which begins a variable here")
        return draft

    def _protocol(self, draft: Draft, version: str) -> None:
        if version in {"h2", "http/2.0", "http/2", "h3", "http/3.0", "http/3"}:
            draft.others["h2"] = True
        if version in {"h3", "http/3.0", "http/3"}:
            self._notes.add("requests that were sent with HTTP/3 use HTTP/2 (others.h3 asks for HTTP/3)")

    def _pause_ms(self, draft: Draft, entry: Document, following: Document) -> int:
        """From the answer's end to the next request; requests that ran at the same time have none."""
        took = entry.get("time")
        took_ms = float(took) if isinstance(took, int | float) else 0.0
        pause = round(_start_ms(following) - _start_ms(entry) - max(took_ms, 0.0))
        if pause > MAX_SLEEP_MS:
            self._notes.add(f"{draft.name}: the pause of {pause / 1000:.0f} s after it is cut to 90 s")
        return min(max(pause, 0), MAX_SLEEP_MS)

    # ---- cookies ----

    def _cookies(self, entry: Document, request: Document, host: str) -> None:
        """Cookies that no earlier answer has set were there from the start; answers set the rest again."""
        for cookie in _sent_cookies(request):
            name = text_at(cookie, "name")
            if name and name not in self._given:
                self._jar.setdefault(
                    (host, name), {"name": name, "value": text_at(cookie, "value"), "domain": host, "path": "/"}
                )
        response = table_at(entry, "response")
        self._given.update(text_at(one, "name") for one in tables_at(response, "cookies"))
        for header in tables_at(response, "headers"):
            if text_at(header, "name").lower() == "set-cookie":
                lines = text_at(header, "value").splitlines()
                self._given.update(line.partition("=")[0].strip() for line in lines)

    # ---- bodies ----

    def _body(self, draft: Draft, body: Document) -> None:
        if not body:
            return
        kind = text_at(body, "mimeType")
        if text_at(body, "encoding") == "base64":
            self._notes.add(f"{draft.name}: its body is binary and is left out; save it and name it in payload_file")
        elif text := text_at(body, "text"):
            draft.payload = text
            if kind.startswith("multipart/"):
                self._notes.add(
                    f"{draft.name}: browsers leave files out of the forms that they record; look at payload"
                )
            if "{{" in text:
                self._notes.add(f"{draft.name}: the body has {{{{ in it, which begins a variable here")
        elif kind.startswith("multipart/"):
            self._parts(draft, tables_at(body, "params"))
            return
        elif parameters := tables_at(body, "params"):
            draft.payload = url_encoded((text_at(one, "name"), text_at(one, "value")) for one in parameters)
        if kind and draft.payload:
            draft.set_default_header("Content-Type", kind)

    def _parts(self, draft: Draft, parameters: list[Document]) -> None:
        for one in parameters:
            name, file = text_at(one, "name"), text_at(one, "fileName")
            if file:
                self._notes.add(
                    f"{draft.name}: the form's file {file} is not in the recording; put it beside the config"
                )
                draft.parts.append({"name": name, "value": file, "type": "file"})
            else:
                draft.parts.append({"name": name, "value": text_at(one, "value")})
        draft.drop_header("Content-Type")


def _sent_cookies(request: Document) -> list[Document]:
    cookies = tables_at(request, "cookies")
    if cookies:
        return cookies
    found: list[Document] = []
    for header in tables_at(request, "headers"):
        if text_at(header, "name").lower() == "cookie":
            pairs = (part.strip().partition("=") for part in text_at(header, "value").split(";"))
            found += [{"name": name, "value": value} for name, equals, value in pairs if equals]
    return found


def _is_static(entry: Document, path: str) -> bool:
    if text_at(entry, "_resourceType") in _STATIC_RESOURCES:
        return True
    kind = text_at(table_at(table_at(entry, "response"), "content"), "mimeType").lower()
    return kind.startswith(_STATIC_TYPES) or _STATIC_ENDINGS.fullmatch(PurePosixPath(path).suffix) is not None


def _start_ms(entry: Document) -> float:
    try:
        return datetime.fromisoformat(text_at(entry, "startedDateTime")).timestamp() * 1000
    except (ValueError, OverflowError, OSError):
        return 0.0
