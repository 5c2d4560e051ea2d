"""curl commands to a config: one step for each URL, with the differences between curl's habits and ours spelled out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from urllib.parse import quote_plus, urlsplit, urlunsplit

from osmia.load.convert.curl_flags import Fate, Given, options_of
from osmia.load.convert.draft import Conversion, Document, Draft, Notes, document_of, with_query
from osmia.load.convert.shell import commands_of
from osmia.model.errors import InputError

__all__ = ["convert_curl", "is_curl"]

_FORM = "application/x-www-form-urlencoded"
_GLOB = re.compile(r"(?<!\{)\{[^{}]*,[^{}]*\}|\[[0-9a-z]+-[0-9a-z]+(?::[0-9]+)?\]")
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})


def is_curl(text: str) -> bool:
    """Whether a command in it is curl."""
    return re.search(r"(?:^|[\s;&|$])curl(?:\.exe)?\s", f"{text} ") is not None


def convert_curl(text: str) -> Conversion:
    """The steps that the curl commands in a piece of shell make, in their order.

    Raises:
        InputError: there is no curl command, or none with a URL.
    """
    notes = Notes()
    drafts: list[Draft] = []
    proxies: list[str] = []
    for words in commands_of(text):
        name = PurePath(words[0]).name if words[0] != "$" else PurePath((words[1:2] or [""])[0]).name
        if name in {"curl", "curl.exe"}:
            start = 2 if words[0] == "$" else 1
            for group in _groups(options_of(words[start:])):
                command = _Command(notes)
                command.take(group)
                drafts += command.drafts()
                proxies += [command.proxy] if command.proxy else []
        else:
            notes.add(f"`{words[0]}` is no curl command and is left out")
    if not drafts:
        raise InputError("no curl command with a URL was found", remedy="for instance: curl https://example.com/")
    more: Document = {"proxy": proxies[0]} if proxies else {}
    if len(set(proxies)) > 1:
        notes.add(f"a test has one proxy; of several, {proxies[0]} is taken")
    return Conversion(document_of(drafts, env={}, more=more), notes.all())


def _groups(given: Iterable[Given]) -> Iterable[list[Given]]:
    """`--next` begins anew within one command."""
    group: list[Given] = []
    for one in given:
        if one.option is not None and one.option.name == "next":
            yield group
            group = []
        else:
            group.append(one)
    yield group


@dataclass(slots=True)
class _Command:
    """What one command asks for."""

    notes: Notes
    proxy: str = ""
    _proxy_user: str = ""
    _urls: list[str] = field(default_factory=list)
    _method: str = ""
    _headers: list[tuple[str, str]] = field(default_factory=list)
    _removed: set[str] = field(default_factory=set)
    _data: list[str] = field(default_factory=list)
    _query: list[str] = field(default_factory=list)
    _payload_file: str = ""
    _content_type: str = ""
    _parts: list[Document] = field(default_factory=list)
    _auth: tuple[str, str] | None = None
    _switches: set[str] = field(default_factory=set)
    _timeout_s: float | None = None
    _cert: str = ""
    _key: str = ""
    _places: list[tuple[str, str, str]] = field(default_factory=list)

    def take(self, group: Iterable[Given]) -> None:
        """Everything that is written."""
        for one in group:
            if one.is_word:
                self._urls.append(one.value)
            elif one.option is None:
                self.notes.add(f"the curl option {one.written} is not known here and is left out")
            elif one.option.fate is Fate.CARRIED:
                self._carry(one.option.name, one.value)
            elif one.option.fate is Fate.LOST:
                self.notes.add(f"the curl option {one.written} has no counterpart here and is left out")
            else:
                self.notes.add(f"the curl option {one.written} is about curl's output only and is left out")
        if self.proxy and self._proxy_user:
            scheme, _, rest = self.proxy.rpartition("://")
            self.proxy = f"{scheme or 'http'}://{self._proxy_user}@{rest}"

    def drafts(self) -> list[Draft]:
        """One for each URL."""
        return [self._draft(url) for url in self._urls]

    # ---- options ----

    def _carry(self, name: str, value: str) -> None:
        action = _ACTIONS.get(name)
        if action is None:
            self._switches.add(name)
        else:
            action(self, value)

    def take_header(self, text: str) -> None:
        if text.startswith("@"):
            self.notes.add(f"-H {text} reads headers from a file; write them into the config")
            return
        name, colon, value = text.partition(":")
        if colon and not value.strip():
            self._removed.add(name.strip().lower())
        elif colon:
            self._headers.append((name.strip(), value.strip()))
        elif text.endswith(";"):
            self._headers.append((text[:-1].strip(), ""))

    def take_data(self, text: str) -> None:
        if text.startswith("@"):
            self._take_file(text[1:], "-d also removes its line breaks")
        else:
            self._data.append(text)

    def take_raw(self, text: str) -> None:
        self._data.append(text)

    def take_binary(self, text: str) -> None:
        if text.startswith("@"):
            self._take_file(text[1:], "")
        else:
            self._data.append(text)

    def _take_file(self, path: str, note: str) -> None:
        if path == "-":
            self.notes.add("the body comes from stdin; save it and name it in payload_file")
        elif self._payload_file:
            self.notes.add(f"a body is one file; {path} is left out")
        else:
            self._payload_file = path
            if note:
                self.notes.add(f"payload_file {path} is sent as it is; curl's {note}")

    def take_encoded(self, text: str) -> None:
        name, sign, content = _encodable(text)
        if sign == "@":
            self.notes.add(f"--data-urlencode {text} reads a file; write its content into payload")
            return
        self._data.append(f"{name}={quote_plus(content)}" if name else quote_plus(content))

    def take_json(self, text: str) -> None:
        self.take_binary(text)
        self._content_type = "application/json"
        if not any(name.lower() == "accept" for name, _ in self._headers):
            self._headers.append(("Accept", "application/json"))

    def take_form(self, text: str) -> None:
        name, _, value = text.partition("=")
        if not value.startswith(("@", "<")):
            self._parts.append({"name": name, "value": value.partition(";type=")[0].strip('"')})
            self._note_about_part(name, value)
            return
        path = value[1:].partition(";")[0].strip('"')
        self._parts.append({"name": name, "value": path, "type": "file"})
        self._note_about_part(name, value)
        if value.startswith("<"):
            self.notes.add(f"the form's field {name} is sent as a file; curl sends the content of {path} as text")

    def _note_about_part(self, name: str, value: str) -> None:
        for detail in value.split(";")[1:]:
            if detail.strip().startswith(("type=", "filename=", "headers=", "encoder=")):
                self.notes.add(f"the form's field {name}: {detail.strip()} is not carried over")

    def take_form_string(self, text: str) -> None:
        name, _, value = text.partition("=")
        self._parts.append({"name": name, "value": value})

    def take_user(self, text: str) -> None:
        username, colon, password = text.partition(":")
        if not colon:
            self.notes.add(f"-u {username} has no password; write it into auth.password")
        self._auth = (username, password)

    def take_cookie(self, text: str) -> None:
        if "=" in text:
            self._headers.append(("Cookie", text.strip().rstrip(";")))
        else:
            self.notes.add(f"-b {text or '(empty)'} reads cookies from a file; cookie_jar.cookies holds them here")

    def take_resolve(self, text: str) -> None:
        host, _, rest = text.lstrip("+-").partition(":")
        port, _, addresses = rest.partition(":")
        if addresses:
            self._places.append((host, port, addresses.split(",")[0]))

    def take_connect_to(self, text: str) -> None:
        found = re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]*):(\[[^\]]*\]|[^:]*):([0-9]*)", text)
        if found and found[3]:
            self._places.append((found[1], found[2], f"{found[3]}:{found[4]}" if found[4] else found[3]))
        else:
            self.notes.add(f"--connect-to {text} is not carried over")

    def take_certificate(self, text: str) -> None:
        path, colon, _ = text.partition(":")
        self._cert = path
        if colon:
            self.notes.add("the certificate's key has a password; save the key without one (openssl pkey)")

    def take_upload(self, path: str) -> None:
        self._take_file(path, "")
        self._method = self._method or "PUT"

    def take_timeout(self, text: str) -> None:
        try:
            self._timeout_s = float(text)
        except ValueError:
            self.notes.add(f"-m {text} is no number of seconds")

    def set(self, name: str, value: str) -> None:
        """An option that is a value of its own."""
        setattr(self, name, value)

    def add_header(self, name: str, value: str) -> None:
        """An option that is a header."""
        self._headers.append((name, value))

    def add_url(self, url: str) -> None:
        """`--url`."""
        self._urls.append(url)

    def add_query(self, text: str) -> None:
        """`--url-query`."""
        name, sign, content = _encodable(text)
        if text.startswith("+") or sign == "@":
            self._query.append(text.lstrip("+"))
        else:
            self._query.append(f"{name}={quote_plus(content)}" if name else quote_plus(content))

    # ---- the step ----

    def _draft(self, url: str) -> Draft:
        draft = Draft(url=_whole(url), auth=self._auth, timeout_s=self._timeout_s)
        draft.headers = [pair for pair in self._headers if pair[0].lower() not in self._removed]
        draft.cert_path, draft.cert_key_path = self._cert, self._key or self._cert
        if not self._cert:
            draft.cert_key_path = ""
        draft.url = with_query(draft.url, "&".join(self._query))
        self._body(draft)
        draft.method = self._chosen_method(draft)
        self._place(draft)
        self._habits(draft)
        if _GLOB.search(url) and "globoff" not in self._switches:
            self.notes.add(f"{url}: curl makes several URLs of it; here it is one")
        return draft

    def _body(self, draft: Draft) -> None:
        draft.payload = "" if self._payload_file else "&".join(self._data)
        draft.payload_file = self._payload_file
        draft.parts = list(self._parts)
        if self._payload_file and self._data:
            self.notes.add("a body is a file or text; the text is left out")
        if "get" in self._switches:
            draft.url = with_query(draft.url, draft.payload)
            draft.payload = ""
        elif (self._data or self._payload_file) and "content-type" not in self._removed:
            is_upload = not self._data and self._method == "PUT" and not self._content_type
            if not is_upload:
                draft.set_default_header("Content-Type", self._content_type or _FORM)
        if self._parts:
            draft.drop_header("Content-Type")

    def _chosen_method(self, draft: Draft) -> str:
        has_data = bool(self._data) and "get" not in self._switches
        has_body = has_data or bool(draft.payload_file or draft.parts)
        default = "HEAD" if "head" in self._switches else "POST" if has_body else "GET"
        method = (self._method or default).upper()
        if method not in _METHODS:
            self.notes.add(f"the method {method} does not exist here; {default} stands in its place")
            return default
        return method

    def _place(self, draft: Draft) -> None:
        """`--resolve` and `--connect-to`: the address goes into the URL, the name into Host and TLS."""
        for host, port, address in self._places:
            parts = urlsplit(draft.url)
            here = str(parts.port or (443 if parts.scheme == "https" else 80))
            if host not in {parts.hostname, "*", "", f"[{parts.hostname}]"} or port not in {here, "*", ""}:
                continue
            is_bare_v6 = address.count(":") > 1 and not address.startswith("[")
            where = f"[{address}]" if is_bare_v6 else address
            has_port = re.search(r"[^:\]]:[0-9]+$|\]:[0-9]+$", where) is not None
            target = where if has_port else f"{where}:{here}"
            draft.set_default_header("Host", parts.netloc.rpartition("@")[2])
            if parts.scheme == "https":
                draft.others["hostname"] = parts.hostname or ""
            draft.url = urlunsplit(parts._replace(netloc=target))
            return

    def _habits(self, draft: Draft) -> None:
        """What curl does without being told and we do not."""
        switches = self._switches
        if not switches & {"location", "location-trusted"}:
            draft.others["disable-redirect"] = True
        if "compressed" not in switches:
            draft.others["disable-compression"] = True
        if switches & {"http2", "http2-prior-knowledge"}:
            draft.others["h2"] = True
        if switches & {"http3", "http3-only"}:
            draft.others["h3"] = True
        if "http1.0" in switches:
            draft.others["keep-alive"] = False
            self.notes.add("HTTP/1.0 is not spoken here; HTTP/1.1 with a connection per request is nearest")
        if draft.url.startswith("https") and "insecure" not in switches:
            draft.tls["verify"] = True


_ACTIONS: dict[str, Callable[[_Command, str], None]] = {
    "request": lambda command, value: command.set("_method", value),
    "header": _Command.take_header,
    "data": _Command.take_data,
    "data-ascii": _Command.take_data,
    "data-raw": _Command.take_raw,
    "data-binary": _Command.take_binary,
    "data-urlencode": _Command.take_encoded,
    "json": _Command.take_json,
    "form": _Command.take_form,
    "form-string": _Command.take_form_string,
    "user": _Command.take_user,
    "cookie": _Command.take_cookie,
    "proxy": lambda command, value: command.set("proxy", value),
    "socks5": lambda command, value: command.set("proxy", f"socks5://{value}"),
    "socks5-hostname": lambda command, value: command.set("proxy", f"socks5h://{value}"),
    "socks4": lambda command, value: command.set("proxy", f"socks4://{value}"),
    "socks4a": lambda command, value: command.set("proxy", f"socks4://{value}"),
    "proxy-user": lambda command, value: command.set("_proxy_user", value),
    "user-agent": lambda command, value: command.add_header("User-Agent", value),
    "referer": lambda command, value: command.add_header("Referer", value.partition(";auto")[0]),
    "oauth2-bearer": lambda command, value: command.add_header("Authorization", f"Bearer {value}"),
    "range": lambda command, value: command.add_header("Range", f"bytes={value}"),
    "max-time": _Command.take_timeout,
    "url": _Command.add_url,
    "url-query": _Command.add_query,
    "cert": _Command.take_certificate,
    "key": lambda command, value: command.set("_key", value),
    "resolve": _Command.take_resolve,
    "connect-to": _Command.take_connect_to,
    "upload-file": _Command.take_upload,
}


def _encodable(text: str) -> tuple[str, str, str]:
    """`--data-urlencode`: name, = or @, content."""
    found = re.match(r"([^=@]*)([=@])(.*)", text, re.DOTALL)
    return (found[1], found[2], found[3]) if found else ("", "=", text)


def _whole(url: str) -> str:
    return url if "://" in url or url.startswith("{{") else f"http://{url}"
