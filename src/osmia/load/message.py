"""HTTP requests as bytes: URLs, heads, bodies, redirects, and the decompression of what comes back; pure.

A request is one HTTP/1.1 message, whatever is spoken on the wire (`load.client.transport`). It is put together as

    METHOD SP target | header block | Content-Length | empty line | body

so that a scenario can prepare the parts that never change: `header_block` is everything between target and length.
What comes from variables is checked where it enters: a line break in a header or URL is refused, never sent.

References: RFC 3986 (URIs), RFC 9110 and 9112 (HTTP), RFC 7578 (forms), RFC 5891 (host names).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin

import brotli
import idna
import zstandard

from osmia import __version__
from osmia.model.errors import InputError

__all__ = [
    "MAX_REDIRECTS",
    "REDIRECTS",
    "USER_AGENT",
    "FormPart",
    "ProxyAddress",
    "Taken",
    "Url",
    "basic_authorization",
    "boundary_for",
    "checked_target",
    "content_encoding",
    "cookie_added",
    "decoded",
    "form_pieces",
    "has_connection_close",
    "header",
    "header_block",
    "header_line",
    "headers_of",
    "is_same_site",
    "message",
    "parse_proxy",
    "parse_url",
    "redirected",
    "redirection",
    "take_apart",
    "target_of",
    "with_cookie",
]

USER_AGENT = f"osmia/{__version__}"
MAX_REDIRECTS = 10
"""How many are followed; the next one is a failure."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
_MAX_PORT = 65535


# ---- URLs ----


@dataclass(frozen=True, slots=True)
class Url:
    """Where a request goes. `host` is ASCII, in lower case, without []; `target` is path and query as sent.

    `userinfo` is what stood before the @, decoded: "user:password".
    """

    scheme: str
    host: str
    port: int
    target: str
    userinfo: str = ""

    @property
    def authority(self) -> str:
        """As in the Host field: the port only if it is not the scheme's own, the zone of an address left out."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_tls(self) -> bool:
        """Whether the scheme is https."""
        return self.scheme == "https"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


_URL = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<authority>[^/?#]*)(?P<rest>(?:[/?].*)?)", re.DOTALL)
_HOST_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_.-])?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ILLEGAL = re.compile(r"[^!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")


def parse_url(text: str) -> Url:
    """An absolute http or https URL; without a scheme it is http. The fragment is left out.

    Raises:
        InputError: what is wrong with it.
    """
    parts = _URL.fullmatch(text.strip(" ").partition("#")[0])
    if parts is None or _CONTROL.search(text):
        raise InputError(f"the URL {text!r} has a line break or control character in it")
    scheme = (parts["scheme"] or "http").lower()
    if scheme not in _DEFAULT_PORTS:
        raise InputError(f"the URL {text!r} is neither http nor https")
    userinfo, _, location = parts["authority"].rpartition("@")
    host, port = _host_port(location, text)
    target = parts["rest"] if parts["rest"].startswith("/") else "/" + parts["rest"]
    return Url(scheme, host, port or _DEFAULT_PORTS[scheme], checked_target(target), unquote(userinfo))


def checked_target(target: str) -> str:
    """Path and query with all characters that may not stand there percent-encoded (as UTF-8).

    Raises:
        InputError: line breaks and other control characters, text that is no Unicode.
    """
    if _ILLEGAL.search(target) is None:
        return target
    if _CONTROL.search(target):
        raise InputError(f"the URL's path {target!r} has a line break or control character in it")
    try:
        return _ILLEGAL.sub(lambda found: quote(found[0], safe=""), target)
    except UnicodeEncodeError as exc:
        raise InputError(f"the URL's path {target!r} is no valid text") from exc


def _host_port(location: str, text: str) -> tuple[str, int]:
    """Host and port, 0 for none."""
    parts = _HOST_PORT.fullmatch(location)
    if parts is None:
        raise InputError(f"the URL {text!r} has no valid host and port", remedy="IPv6 addresses stand in []")
    port = int(parts["port"] or 0)
    if port > _MAX_PORT or (parts["port"] and not port):
        raise InputError(f"the URL {text!r} has the port {parts['port']}", remedy="ports are 1 to 65535")
    return _host(parts["host"], text), port


def _host(host: str, text: str) -> str:
    if host.startswith("["):
        address, _, zone = host[1:-1].partition("%")
        try:
            short = str(ipaddress.IPv6Address(address))
        except ValueError as exc:
            raise InputError(f"the URL {text!r} has no valid IPv6 address in its []") from exc
        return f"{short}%{zone.removeprefix('25')}" if zone else short
    name = unquote(host).lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError as exc:
            raise InputError(f"the URL {text!r} has no valid host name: {exc}") from exc
    if not _NAME.fullmatch(name):
        raise InputError(f"the URL {text!r} has no valid host name")
    return name


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A proxy as it was written: its scheme, where it is, and the credentials, decoded."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""


def parse_proxy(text: str) -> ProxyAddress:
    """`http://user:password@host:port` and the like; without a scheme it is http.

    Raises:
        InputError: what is wrong with it.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if scheme.lower() not in _PROXY_PORTS:
        raise InputError(f"the proxy {text!r} is none of {', '.join(_PROXY_PORTS)}")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    userinfo, _, location = authority.rpartition("@")
    host, port = _host_port(location, text)
    username, _, password = userinfo.partition(":")
    return ProxyAddress(
        scheme.lower(), host, port or _PROXY_PORTS[scheme.lower()], unquote(username), unquote(password)
    )


# ---- heads ----

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_BREAK = re.compile(r"[\r\n\x00]")
_OURS = frozenset({"host", "content-length", "transfer-encoding"})
"""Fields that only the message itself can know, and Host, which stands first."""


def header_line(name: str, value: str) -> bytes:
    """One field as bytes, with its line break.

    Raises:
        InputError: the name is no token, or the value would begin a new line.
    """
    if not _TOKEN.fullmatch(name):
        raise InputError(f"the header name {name!r} has a character that may not stand there")
    if _BREAK.search(value):
        raise InputError(f"the header {name} has a line break in its value {value!r}")
    try:
        return f"{name}: {value.strip(' ' + chr(9))}\r\n".encode()
    except UnicodeEncodeError as exc:
        raise InputError(f"the header {name} has no valid text in its value {value!r}") from exc


def basic_authorization(username: str, password: str) -> str:
    """The value of (Proxy-)Authorization for RFC 7617."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def header_block(
    authority: str, headers: Sequence[tuple[str, str]], *, method: str, is_compressed: bool = True
) -> list[tuple[str, str]]:
    """The fields of a request in the order in which they are sent: Host, User-Agent, the step's own, Accept-Encoding.

    The step's own Host and User-Agent win (an empty User-Agent sends none); its Content-Length and Transfer-Encoding
    are not the step's to say. gzip is asked for where Go's client would: not for HEAD, not for ranges.
    """
    given = {name.lower(): value for name, value in headers}
    block = [("Host", given.get("host", authority))]
    if "user-agent" not in given:
        block.append(("User-Agent", USER_AGENT))
    block += [
        (name, value)
        for name, value in headers
        if name.lower() not in _OURS and (value or name.lower() != "user-agent")
    ]
    if is_compressed and method != "HEAD" and not given.keys() & {"accept-encoding", "range"}:
        block.append(("Accept-Encoding", "gzip"))
    return block


_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def message(method: str, target: str, block: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A whole request. Methods that usually have a body say so when it is empty.

    Raises:
        InputError: a field cannot be sent as it is.
    """
    if not _TOKEN.fullmatch(method):
        raise InputError(f"the method {method!r} has a character that may not stand there")
    lines = [f"{method} {checked_target(target)} HTTP/1.1\r\n".encode(), *(header_line(*field) for field in block)]
    if body or method in _BODY_METHODS:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"".join([*lines, b"\r\n", body])


def with_cookie(request: bytes, value: str, *, replaces: bool = False) -> bytes:
    """The request with cookies: added to those that its own Cookie field has, or in their place (none if empty).

    Raises:
        InputError: the value cannot be sent as it is.
    """
    taken = take_apart(request)
    own = [] if replaces else [one for name, one in taken.headers if name.lower() == "cookie"]
    fields = [(name, one) for name, one in taken.headers if name.lower() not in {"cookie", "content-length"}]
    if value or own:
        fields.append(("Cookie", "; ".join([*own, value] if value else own)))
    return message(taken.method, taken.target, fields, taken.body)


def cookie_added(request: bytes, value: str) -> bytes:
    """`with_cookie` for a request that has no Cookie field: quick, for it is done once per request of a user.

    Raises:
        InputError: the value cannot be sent as it is.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    return b"%b\r\n%b\r\n%b" % (head, header_line("Cookie", value), body)


def target_of(request: bytes) -> str:
    """The target in the first line of a request that was made here."""
    return request.split(b" ", 2)[1].decode()


class Taken(NamedTuple):
    """A request taken apart again."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def take_apart(request: bytes) -> Taken:
    """Method, target, fields and body of a request that was made here."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode(errors="surrogateescape").split("\r\n")
    method, target, _ = first.split(" ", 2)
    return Taken(method, target, tuple(_field(line) for line in lines), body)


def headers_of(head: bytes) -> tuple[tuple[str, str], ...]:
    """The fields of a response's head, in order, one character per byte; lines that are none are left out."""
    lines = head.decode("latin-1").split("\n")[1:]
    return tuple(_field(line) for line in lines if ":" in line)


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def header(head: bytes, name: str) -> bytes | None:
    """The first value of a field of a response's head (as received), or None."""
    found = re.search(rb"\n" + re.escape(name.encode()) + rb"[ \t]*:[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return found[1].rstrip() if found else None


def has_connection_close(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the request itself asks for its connection to be closed."""
    return any(
        name.lower() == "connection" and "close" in (one.strip().lower() for one in value.split(","))
        for name, value in headers
    )


# ---- forms ----


class FormPart(NamedTuple):
    """One part of a form; what is text may be several texts to fill in later, so contents are not in here."""

    name: str
    file_name: str = ""
    content_type: str = ""


_QUOTED = {'"': "%22", "\r": "%0D", "\n": "%0A"}


def boundary_for(contents: Iterable[bytes]) -> str:
    """A boundary that none of the contents has in it; the same contents get the same one."""
    digest = hashlib.sha256()
    kept = list(contents)
    for content in kept:
        digest.update(content)
    while any(digest.hexdigest()[:32].encode() in content for content in kept):
        digest.update(b"-")
    return digest.hexdigest()[:32]


def form_pieces(boundary: str, parts: Sequence[FormPart]) -> list[str]:
    """What stands before the content of each part, and, last, what ends the form."""
    pieces: list[str] = []
    for number, part in enumerate(parts):
        disposition = f'form-data; name="{_quoted(part.name)}"'
        if part.file_name:
            disposition += f'; filename="{_quoted(part.file_name)}"'
        content_type = part.content_type or ("application/octet-stream" if part.file_name else "")
        lines = [f"{'' if number == 0 else chr(13) + chr(10)}--{boundary}", f"Content-Disposition: {disposition}"]
        if content_type:
            lines.append(f"Content-Type: {_BREAK.sub(' ', content_type)}")
        pieces.append("\r\n".join([*lines, "", ""]))
    pieces.append(f"\r\n--{boundary}--\r\n")
    return pieces


def _quoted(text: str) -> str:
    return "".join(_QUOTED.get(one, one) for one in text)


# ---- redirects ----

_TO_GET = frozenset({301, 302, 303})
_SENSITIVE = frozenset({"authorization", "cookie", "www-authenticate", "proxy-authorization"})
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})


def redirection(url: Url, location: bytes) -> Url:
    """Where a Location leads from a URL.

    Raises:
        InputError: it is no http or https URL.
    """
    try:
        text = location.decode()
    except UnicodeDecodeError:
        text = location.decode("latin-1")
    try:
        joined = urljoin(str(url), text)
    except ValueError as exc:
        raise InputError(f"the redirect to {text!r} leads nowhere") from exc
    if not joined.lower().startswith(("http://", "https://")):
        raise InputError(f"the redirect to {text!r} is neither http nor https")
    return parse_url(joined)


def is_same_site(to: Url, of: Url) -> bool:
    """Whether credentials for one URL may go to another: the same host, or a host below it (as Go's client does)."""
    return to.host == of.host or to.host.endswith("." + of.host)


def redirected(request: bytes, came: Url, to: Url, *, status: int, proxy_authorization: str | None = None) -> bytes:
    """The request that follows a redirect from one URL to another.

    301, 302 and 303 become GET (HEAD stays HEAD) without a body, 307 and 308 repeat it whole. Another site gets no
    credentials and no cookies. `proxy_authorization` other than None: a plain HTTP proxy is asked, in absolute form.
    """
    taken = take_apart(request)
    keeps = status not in _TO_GET
    method = taken.method if keeps or taken.method == "HEAD" else "GET"
    dropped = {"host", "content-length", "referer", "proxy-authorization"}
    dropped |= frozenset() if keeps else _OF_THE_BODY
    dropped |= frozenset() if is_same_site(to, came) else _SENSITIVE
    fields = [("Host", to.authority), *(one for one in taken.headers if one[0].lower() not in dropped)]
    if to.is_tls or not came.is_tls:
        fields.append(("Referer", str(came)))
    if to.userinfo and not any(name.lower() == "authorization" for name, _ in fields):
        username, _, password = to.userinfo.partition(":")
        fields.append(("Authorization", basic_authorization(username, password)))
    is_absolute = proxy_authorization is not None and not to.is_tls
    if is_absolute and proxy_authorization:
        fields.append(("Proxy-Authorization", proxy_authorization))
    target = str(replace(to, userinfo="")) if is_absolute else to.target
    return message(method, target, fields, taken.body if keeps else b"")


# ---- bodies that come back ----


def content_encoding(head: bytes) -> str:
    """The value of Content-Encoding in a response's head, or nothing; quick where there is none."""
    if b"ncoding" not in head and b"NCODING" not in head:
        return ""
    return (header(head, "content-encoding") or b"").decode("latin-1")


def decoded(body: bytes, encodings: str, *, max_bytes: int = 64 << 20) -> bytes:
    """The body without its encodings, as far as it can be read; one that is unknown or broken stays as it is.

    At most `max_bytes` come out, whatever the body claims to hold.
    """
    for encoding in reversed(encodings.lower().split(",")):
        decode = _DECODERS.get(encoding.strip())
        if decode is None:
            return body
        body = decode(body, max_bytes)
    return body


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    out, rest = b"", body
    while rest and len(out) < max_bytes:
        stream = zlib.decompressobj(wbits=31)
        try:
            out += stream.decompress(rest, max_bytes - len(out))
        except zlib.error:
            break
        rest = stream.unused_data
        if not stream.eof:
            break
    return out or body


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """With zlib's frame, as the RFC says, or without, as some servers send it."""
    for wbits in (15, -15):
        try:
            return zlib.decompressobj(wbits=wbits).decompress(body, max_bytes)
        except zlib.error:
            continue
    return body


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    stream, out, given = brotli.Decompressor(), [], body
    size = 0
    try:
        while size < max_bytes and not stream.is_finished():
            piece = stream.process(given, output_buffer_limit=min(1 << 20, max_bytes - size))
            given = b""
            if not piece and stream.can_accept_more_data():
                break
            size += len(piece)
            out.append(piece)
    except brotli.error:
        return b"".join(out) or body
    return b"".join(out)[:max_bytes]


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    out = b""
    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as stream:
            while len(out) < max_bytes and (piece := stream.read(min(1 << 20, max_bytes - len(out)))):
                out += piece
    except zstandard.ZstdError:
        return out or body
    return out


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "": lambda body, _: body,
    "identity": lambda body, _: body,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
