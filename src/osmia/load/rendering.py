"""A step's request: what never changes is bytes made once, what varies is rendered into it; pure.

A `Renderer` is a function of an iteration. Most scenarios vary in path, query or body only, so these have short ways
of their own; whatever else holds variables (host, headers, credentials, parts of a form) goes the general way.

A variable whose value is the same in every iteration (a plain value of the environment that no capture sets) is as
good as text: it is filled in here, and a step that has no other variables is fixed.

The template language and its tables are imported by plans that have a variable; the others start without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osmia.load.client.transport import Endpoint, Http, Outgoing, Proxy, ProxyKind
from osmia.load.message import (
    FormPart,
    ProxyAddress,
    Url,
    basic_authorization,
    boundary_for,
    checked_target,
    cookie_added,
    form_pieces,
    has_connection_close,
    header_block,
    header_line,
    message,
    parse_proxy,
    parse_url,
    target_of,
    with_cookie,
)
from osmia.load.plan import JsonValue, Part, Plan, Step
from osmia.model.errors import ConfigError, InputError

if TYPE_CHECKING:
    from osmia.load.cookies import Jar
    from osmia.load.templates import Template
    from osmia.load.variables import Variables

__all__ = ["Endpoints", "Iteration", "Renderer", "Request", "Texts", "compile_request", "proxy_of"]

Scope = dict[str, JsonValue]


class Iteration:
    """One iteration under way: its variables, its user's cookies, the last request, how far redirects have led.

    No slots: the defaults stand in the class, and only what is used is ever set.
    """

    request: bytes | Outgoing = b""
    step: int = -1
    """Of the redirects that are being followed; -1: of none."""
    hops: int = 0
    url: Url | None = None
    began_ns: int = 0
    """Service time of the step up to the last redirect."""

    def __init__(self, scope: Scope, jar: Jar | None = None) -> None:
        self.scope = scope
        self.jar = jar


Renderer = Callable[[Iteration], "bytes | Outgoing"]


class Texts:
    """Texts of the plan, with what is constant in them already filled in.

    `environ` is the environment of the process, for `{{$NAME}}`.
    """

    def __init__(self, plan: Plan, *, seed: int, environ: Mapping[str, str]) -> None:
        captured = {capture.name for step in plan.steps for capture in step.captures}
        self._seed = seed
        self._environ = environ
        self._variables: Variables | None = None
        self.constants: Scope = {}
        self.plain: Scope = {}
        """What iterations begin with: the constants, and values that a capture replaces."""
        self.changing: dict[str, Callable[[Scope], JsonValue]] = {}
        """What is drawn anew for each iteration, in this order; each may use what stands above it."""
        for name, value in plan.environment.items():
            if isinstance(value, str) and not self.is_fixed(value):
                self.changing[name] = self._value(value)
                continue
            self.plain[name] = self.fixed(value) if isinstance(value, str) else value
            if name not in captured:
                self.constants[name] = self.plain[name]

    def is_fixed(self, text: str) -> bool:
        """Whether a text is the same in every iteration."""
        return all(
            name in self.constants or (name.startswith("$") and name[1:] in self._environ) for name in _names_in(text)
        )

    def template(self, text: str, *, is_json: bool = False, leaves_unset: bool = False) -> Template:
        """A function of a scope."""
        if "{{" not in text:
            return lambda _: text
        from osmia.load.templates import compile_template
        from osmia.load.variables import Variables

        self._variables = self._variables or Variables(self._seed)
        return compile_template(
            text, variables=self._variables, is_json=is_json, leaves_unset=leaves_unset, environ=self._environ
        )

    def _value(self, text: str) -> Callable[[Scope], JsonValue]:
        """A function of a scope for a value of the environment: a number stays a number."""
        from osmia.load.templates import compile_value
        from osmia.load.variables import Variables

        self._variables = self._variables or Variables(self._seed)
        return compile_value(text, variables=self._variables, environ=self._environ)

    def fixed(self, text: str, *, is_json: bool = False) -> str:
        """The text of one that is fixed."""
        return self.template(text, is_json=is_json)(self.constants)


def _names_in(text: str) -> Sequence[str]:
    if "{{" not in text:
        return ()
    from osmia.load.templates import names_in

    return names_in(text)


# ---- where requests go ----


def proxy_of(plan: Plan) -> Proxy | None:
    """The plan's proxy.

    Raises:
        ConfigError: it is none.
    """
    if not plan.proxy:
        return None
    try:
        address: ProxyAddress = parse_proxy(plan.proxy)
    except InputError as exc:
        raise ConfigError("proxy", plan.proxy, exc.message, remedy=exc.remedy) from exc
    authorization = basic_authorization(address.username, address.password) if address.username else ""
    return Proxy(
        kind=ProxyKind(address.scheme),
        host=address.host,
        port=address.port,
        authorization=authorization,
        username=address.username,
        password=address.password,
    )


class Endpoints:
    """The endpoints of a step, one for each place that its requests go to."""

    _MOST = 1024

    def __init__(self, step: Step, proxy: Proxy | None) -> None:
        self._step = step
        self._proxy = proxy
        self._known: dict[tuple[bool, str, int], Endpoint] = {}

    @property
    def proxy_authorization(self) -> str | None:
        """Of a plain HTTP proxy ("" without credentials); None where there is none."""
        is_plain = self._proxy is not None and self._proxy.kind is ProxyKind.HTTP
        return self._proxy.authorization if self._proxy is not None and is_plain else None

    def is_absolute(self, url: Url) -> bool:
        """Whether a request to a URL names it whole, because a plain HTTP proxy is asked."""
        return self.proxy_authorization is not None and not url.is_tls

    def of(self, url: Url, *, is_own: bool = True) -> Endpoint:
        """Where a URL is; `is_own` False: a redirect led there, so the step's server name is not meant."""
        key = (url.is_tls, url.host, url.port)
        endpoint = self._known.get(key)
        if endpoint is None:
            if len(self._known) >= self._MOST:  # a variable in the host: bounded, whatever it holds
                self._known.clear()
            endpoint = self._known[key] = self._made(url, self._step.tls.server_name if is_own else "")
        return endpoint

    def _made(self, url: Url, server_name: str) -> Endpoint:
        step = self._step
        is_http2 = step.is_http2 and (url.is_tls or step.assumes_http2)
        return Endpoint(
            host=url.host,
            port=url.port,
            is_tls=url.is_tls,
            server_name=server_name,
            http=Http.THREE if step.is_http3 else Http.TWO if is_http2 else Http.ONE,
            is_verified=step.tls.is_verified,
            is_resumed=step.tls.is_resumed,
            cert_path=step.tls.cert_path,
            key_path=step.tls.key_path,
            proxy=self._proxy,
        )


# ---- requests ----


@dataclass(frozen=True, slots=True)
class Request:
    """A step's request, compiled. `fixed` is its bytes if they are always the same, else `render` makes them.

    `url` is where it goes if that is always the same place (its target then is only a part of the truth).
    """

    endpoint: Endpoint
    url: Url | None
    fixed: bytes | None = None
    render: Renderer | None = None
    is_closed_after: bool = False


def compile_request(step: Step, texts: Texts, endpoints: Endpoints, *, has_cookies: bool) -> Request:
    """Compile a step's request.

    Raises:
        ConfigError: what is fixed in it cannot be sent.
    """
    try:
        return _compiled(step, texts, endpoints, has_cookies=has_cookies)
    except InputError as exc:
        raise ConfigError(f"step {step.id}", step.url, exc.message, remedy=exc.remedy) from exc


def _compiled(step: Step, texts: Texts, endpoints: Endpoints, *, has_cookies: bool) -> Request:
    origin, path = _split(step.url, texts)
    body = _Body(step, texts)
    headers = body.headers(step.headers)
    is_fixed_head = step.auth is None or texts.is_fixed(step.auth.username + step.auth.password)
    is_fixed_head &= all(texts.is_fixed(name) and texts.is_fixed(value) for name, value in headers)
    is_closed_after = has_connection_close(headers)
    if origin is None or not is_fixed_head:
        general = _General(step, texts, endpoints, headers, body, origin, path)
        some = parse_url(origin or "http://localhost")
        render: Renderer = general.with_cookies if has_cookies else general.render
        return Request(endpoints.of(some), some if origin else None, render=render, is_closed_after=is_closed_after)
    url = parse_url(origin)
    block = _block(step, url, endpoints, [(texts.fixed(n), texts.fixed(v)) for n, v in headers], _auth(step, texts))
    parts = _Parts(step, url if endpoints.is_absolute(url) else None, block, texts, path, body)
    endpoint = endpoints.of(url)
    if parts.target is not None and body.fixed is not None and not has_cookies:
        return Request(endpoint, url, fixed=parts.whole(), is_closed_after=is_closed_after)
    renderer = _with_cookies(parts.renderer(), url, block) if has_cookies else parts.renderer()
    return Request(endpoint, url, render=renderer, is_closed_after=is_closed_after)


_TEMPLATE = re.compile(r"\{\{.*?\}\}")


def _masked(text: str) -> str:
    """The text with its variables blotted out, so that what is in them separates nothing."""
    return _TEMPLATE.sub(lambda found: "x" * len(found[0]), text)


def _authority_end(text: str) -> int:
    """Where path, query or fragment begin."""
    masked = _masked(text)
    start = masked.find("://")
    found = re.search(r"[/?#]", masked[start + 3 if start >= 0 else 0 :])
    return found.start() + (start + 3 if start >= 0 else 0) if found else len(text)


def _split(text: str, texts: Texts) -> tuple[str | None, str]:
    """(scheme, host and port, if they are fixed; path and query as a template). The fragment is left out."""
    text = text.strip()
    fragment = _masked(text).find("#")
    text = text if fragment < 0 else text[:fragment]
    end = _authority_end(text)
    if not texts.is_fixed(text[:end]):
        return None, text
    # A variable may hold a piece of the path as well: http://host/api.
    before = texts.fixed(text[:end])
    cut = _authority_end(before)
    path = before[cut:] + text[end:]
    return before[:cut], path if path.startswith("/") else "/" + path


def _auth(step: Step, texts: Texts) -> str:
    if step.auth is None:
        return ""
    return basic_authorization(texts.fixed(step.auth.username), texts.fixed(step.auth.password))


def _block(
    step: Step, url: Url, endpoints: Endpoints, headers: Sequence[tuple[str, str]], authorization: str
) -> list[tuple[str, str]]:
    """All fields but those of the body and the cookies."""
    if not authorization and url.userinfo and not any(name.lower() == "authorization" for name, _ in headers):
        username, _, password = url.userinfo.partition(":")
        authorization = basic_authorization(username, password)
    if authorization:
        headers = [
            *((name, value) for name, value in headers if name.lower() != "authorization"),
            ("Authorization", authorization),
        ]
    block = header_block(url.authority, headers, method=step.method, is_compressed=step.is_compressed)
    if endpoints.is_absolute(url) and endpoints.proxy_authorization:
        block.append(("Proxy-Authorization", endpoints.proxy_authorization))
    return block


class _Body:
    """A step's body: fixed bytes, or what renders them, and the Content-Type of a form."""

    def __init__(self, step: Step, texts: Texts) -> None:
        self._content_type = ""
        self.fixed: bytes | None = None
        self.render: Callable[[Scope], bytes] | None = None
        if isinstance(step.body, tuple):
            self._form(step.body, texts)
        elif isinstance(step.body, bytes):
            self.fixed = step.body
        else:
            is_json = _is_json(step.body)
            if texts.is_fixed(step.body):
                self.fixed = texts.fixed(step.body, is_json=is_json).encode()
            else:
                template = texts.template(step.body, is_json=is_json, leaves_unset=True)
                self.render = lambda scope: template(scope).encode()

    def headers(self, given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The step's fields; a form knows best what it is."""
        if not self._content_type:
            return list(given)
        kept = [(name, value) for name, value in given if name.lower() != "content-type"]
        return [*kept, ("Content-Type", self._content_type)]

    def _form(self, parts: tuple[Part, ...], texts: Texts) -> None:
        contents = [one.content.encode() if isinstance(one.content, str) else one.content for one in parts]
        boundary = boundary_for(contents)
        self._content_type = f"multipart/form-data; boundary={boundary}"
        between = form_pieces(boundary, [FormPart(one.name, one.file_name, one.content_type) for one in parts])
        pieces: list[Callable[[Scope], bytes]] = []
        is_fixed = True
        for piece, part in zip(between, parts, strict=False):
            pieces.append(_filler(piece, texts))
            pieces.append(_filler(part.content, texts))
            is_fixed &= texts.is_fixed(piece) and (isinstance(part.content, bytes) or texts.is_fixed(part.content))
        pieces.append(_filler(between[-1], texts))
        if is_fixed:
            self.fixed = b"".join(piece(texts.constants) for piece in pieces)
        else:
            self.render = lambda scope: b"".join([piece(scope) for piece in pieces])


def _filler(text: str | bytes, texts: Texts) -> Callable[[Scope], bytes]:
    """What gives a piece of a form."""
    if isinstance(text, bytes):
        return lambda _: text
    if texts.is_fixed(text):
        fixed = texts.fixed(text).encode()
        return lambda _: fixed
    template = texts.template(text, leaves_unset=True)
    return lambda scope: template(scope).encode()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Parts:
    """A request whose head is fixed but for its target, in the pieces that a renderer puts together."""

    def __init__(  # noqa: PLR0913, PLR0917 - only ever called in one place
        self, step: Step, absolute: Url | None, block: list[tuple[str, str]], texts: Texts, path: str, body: _Body
    ) -> None:
        message(step.method, "/", block)  # raises what would be refused for every request
        origin = f"{absolute.scheme}://{absolute.authority}" if absolute else ""
        self._prefix = f"{step.method} {origin}".encode()
        self._block = b" HTTP/1.1\r\n" + b"".join(header_line(*one) for one in block)
        self._says_length = message(step.method, "/", []).find(b"Content-Length") > 0
        self.target = checked_target(texts.fixed(path)) if texts.is_fixed(path) else None
        self._path = texts.template(path)
        self._body = body

    def whole(self) -> bytes:
        """The request that is always the same."""
        return self._prefix + (self.target or "").encode() + self._tail()

    def _tail(self) -> bytes:
        """What follows the target when the body is fixed."""
        body = self._body.fixed or b""
        length = b"Content-Length: %d\r\n" % len(body) if body or self._says_length else b""
        return self._block + length + b"\r\n" + body

    def renderer(self) -> Renderer:
        """The shortest way for what varies."""
        prefix, block, path, body = self._prefix, self._block, self._path, self._body.render
        if body is None:
            if self.target is not None:
                whole = self.whole()
                return lambda _: whole
            tail = self._tail()

            def with_target(iteration: Iteration) -> bytes:
                return prefix + checked_target(path(iteration.scope)).encode() + tail

            return with_target
        fixed_target = self.target
        rendered_body = body

        def with_body(iteration: Iteration) -> bytes:
            scope = iteration.scope
            target = checked_target(path(scope)) if fixed_target is None else fixed_target
            content = rendered_body(scope)
            return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (prefix, target.encode(), block, len(content), content)

        return with_body


class _General:
    """Anything may vary: the request is put together anew each time."""

    def __init__(  # noqa: PLR0913, PLR0917 - only ever called in one place
        self,
        step: Step,
        texts: Texts,
        endpoints: Endpoints,
        headers: list[tuple[str, str]],
        body: _Body,
        origin: str | None,
        path: str,
    ) -> None:
        self._step = step
        self._endpoints = endpoints
        self._headers = [(texts.template(name), texts.template(value)) for name, value in headers]
        self._auth = (texts.template(step.auth.username), texts.template(step.auth.password)) if step.auth else None
        self._body = body
        self._url = texts.template(path if origin is None else origin + path)
        self._is_elsewhere = origin is None

    def render(self, iteration: Iteration) -> bytes | Outgoing:
        url, request = self._rendered(iteration.scope)
        return self._sent(iteration, url, request)

    def with_cookies(self, iteration: Iteration) -> bytes | Outgoing:
        """The same with the user's cookies."""
        url, request = self._rendered(iteration.scope)
        value = iteration.jar.header_for(str(url)) if iteration.jar else ""
        return self._sent(iteration, url, with_cookie(request, value) if value else request)

    def _sent(self, iteration: Iteration, url: Url, request: bytes) -> bytes | Outgoing:
        if not self._is_elsewhere:
            return request
        iteration.url = url
        return Outgoing(self._endpoints.of(url), request)

    def _rendered(self, scope: Scope) -> tuple[Url, bytes]:
        url = parse_url(self._url(scope))
        headers = [(name(scope), value(scope)) for name, value in self._headers]
        authorization = basic_authorization(self._auth[0](scope), self._auth[1](scope)) if self._auth else ""
        block = _block(self._step, url, self._endpoints, headers, authorization)
        body = self._body.render(scope) if self._body.render else self._body.fixed or b""
        target = f"{url.scheme}://{url.authority}{url.target}" if self._endpoints.is_absolute(url) else url.target
        return url, message(self._step.method, target, block, body)


def _with_cookies(render: Renderer, url: Url, block: Sequence[tuple[str, str]]) -> Renderer:
    """A renderer that adds the user's cookies for a fixed host."""
    added = with_cookie if any(name.lower() == "cookie" for name, _ in block) else cookie_added

    def rendered(iteration: Iteration) -> bytes | Outgoing:
        request = render(iteration)
        if iteration.jar is None or isinstance(request, Outgoing):
            return request
        value = iteration.jar.header_for(_full(url, request))
        return added(request, value) if value else request

    return rendered


def _full(url: Url, request: bytes) -> str:
    """The URL of a request to a fixed host, without its query, which means nothing to cookies and often varies."""
    target = target_of(request).partition("?")[0]
    return target if "://" in target[:8] else f"{url.scheme}://{url.authority}{target}"
