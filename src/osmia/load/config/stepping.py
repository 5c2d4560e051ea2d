"""Steps: from their tables to `plan.Step`, with all that a table's kinds cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from osmia.load.config.cursor import Cursor, Found
from osmia.load.config.files import Files, is_there, is_url
from osmia.load.config.names import Scope
from osmia.load.config.nodes import Node
from osmia.load.config.rules import (
    SLOW_EXPRESSION,
    assertion_objection,
    capture_objection,
    is_slow_capture,
    is_slow_rule,
)
from osmia.load.message import header_line, parse_url
from osmia.load.plan import BasicAuth, Body, Capture, CaptureSource, Part, Sleep, Step, Tls
from osmia.load.templates import names_in
from osmia.model.errors import InputError

__all__ = ["Defaults", "StepReader", "captured_names"]

_MAX_SLEEP_MS = 90_000
_BODY_EXTRACTORS = ("json_path", "xpath", "xpath_html", "regexp")
_SOURCES = {
    "json_path": CaptureSource.BODY_JSON,
    "xpath": CaptureSource.BODY_XPATH,
    "xpath_html": CaptureSource.BODY_HTML,
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the whole test says and a step may say otherwise."""

    is_verified: bool
    is_http2: bool
    is_http3: bool


def captured_names(steps: list[Cursor]) -> dict[str, int]:
    """Every name that a step captures, to the first such step's number."""
    found: dict[str, int] = {}
    for index, step in enumerate(steps):
        for name, _ in step.names("capture_env"):
            found.setdefault(name, step.whole("id") or index + 1)
    return found


class StepReader:
    """Reads the steps in their order; `scope` grows with what they capture."""

    def __init__(self, files: Files, scope: Scope, defaults: Defaults) -> None:
        self._files = files
        self._scope = scope
        self._defaults = defaults

    def steps(self, cursors: list[Cursor]) -> tuple[Step, ...]:
        """All steps, in the order of their list."""
        found: list[Step] = []
        for index, cursor in enumerate(cursors):
            step = self._step(cursor, index)
            twin = next((one for one in found if one.id == step.id), None)
            if twin is not None:
                remedy = "each step has a number of its own, or leave out all of them"
                cursor.error("id", f"step {cursors[found.index(twin)].path} has the id {step.id}, too", remedy=remedy)
            found.append(step)
            self._scope.add(capture.name for capture in step.captures)
        return tuple(found)

    def _step(self, step: Cursor, index: int) -> Step:
        others, tls = step.table("others"), step.table("tls")
        is_http2, is_http3 = others.optional_flag("h2"), others.optional_flag("h3")
        headers = self._headers(step)
        if not others.flag("keep-alive"):
            headers = (*headers, ("Connection", "close"))
        return Step(
            id=step.whole("id") or index + 1,
            name=step.text("name"),
            method=step.choice("method"),
            url=self._url(step),
            headers=headers,
            body=self._body(step),
            timeout_s=step.number("timeout"),
            sleep=_sleep(step),
            auth=self._auth(step),
            tls=self._tls(step, tls, others),
            is_http2=self._defaults.is_http2 if is_http2 is None else is_http2,
            assumes_http2=is_http2 is not True,
            is_http3=self._defaults.is_http3 if is_http3 is None else is_http3,
            is_compressed=not others.flag("disable-compression"),
            follows_redirects=not others.flag("disable-redirect"),
            captures=_captures(step),
            assertions=_assertions(step),
        )

    def _url(self, step: Cursor) -> str:
        found = step.found("url")
        if found is None:
            return ""
        text = found.text.strip()
        self._scope.check(found, step.report)
        if not names_in(text):
            try:
                parse_url(text)
            except InputError as error:
                step.error("url", error.message, remedy=error.remedy or "write it whole: https://host/path")
        return text

    def _headers(self, step: Cursor) -> tuple[tuple[str, str], ...]:
        headers: list[tuple[str, str]] = []
        for name, found in step.names("headers"):
            self._scope.check(Found(found.path, Node(name, found.node.place, name)), step.report)
            self._scope.check(found, step.report)
            try:
                header_line("X" if names_in(name) else name, found.text)
            except InputError as error:
                step.report.error(found.path, found.node, error.message, remedy=error.remedy)
            headers.append((name, found.text))
        return tuple(headers)

    def _auth(self, step: Cursor) -> BasicAuth | None:
        if not step.has("auth"):
            return None
        auth = step.table("auth")
        for name in ("username", "password"):
            found = auth.found(name)
            if found is not None:
                self._scope.check(found, step.report)
        return BasicAuth(auth.text("username"), auth.text("password"))

    # ---- bodies ----

    def _body(self, step: Cursor) -> Body:
        given = [name for name in ("payload_multipart", "payload_file", "payload") if step.has(name)]
        for name in given[1:]:
            step.warn(name, f"not used: {given[0]} counts")
        if given and given[0] == "payload_multipart":
            return tuple(self._part(part) for part in step.tables("payload_multipart"))
        if given and given[0] == "payload_file":
            return self._payload_file(step)
        found = step.found("payload")
        if found is None:
            return ""
        self._scope.check(found, step.report)
        return found.text

    def _payload_file(self, step: Cursor) -> str | bytes:
        """Text, if it has variables in it; else the file's bytes as they are."""
        content = self._content(step, "payload_file")
        found = step.found("payload_file")
        if found is None or b"{{" not in content:
            return content
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content
        self._scope.check(found, step.report, file_text=text)
        return text

    def _part(self, part: Cursor) -> Part:
        name = part.text("name")
        if part.choice("type") == "text":
            found = part.found("value")
            if found is not None:
                self._scope.check(found, part.report)
            return Part(name, part.text("value"))
        where = part.text("value")
        if part.choice("src") == "remote" and where and not is_url(where):
            part.error("value", "src is remote, and this is no URL", remedy="write https://..., or src: local")
            return Part(name, b"")
        path = urlsplit(where).path if is_url(where) else where
        return Part(name, self._content(part, "value"), PurePosixPath(path).name or "file", "application/octet-stream")

    def _content(self, cursor: Cursor, name: str) -> bytes:
        where = cursor.text(name)
        if not where:
            return b""
        try:
            return self._files.content(where)
        except InputError as error:
            cursor.error(name, error.message, remedy=error.remedy)
            return b""

    # ---- TLS ----

    def _tls(self, step: Cursor, tls: Cursor, others: Cursor) -> Tls:
        is_verified = tls.optional_flag("verify")
        cert, key = self._certificate(step)
        return Tls(
            cert_path=cert,
            key_path=key,
            server_name=others.text("hostname"),
            is_verified=self._defaults.is_verified if is_verified is None else is_verified,
            is_resumed=tls.flag("resume"),
        )

    def _certificate(self, step: Cursor) -> tuple[str, str]:
        names = ("cert_path", "cert_key_path")
        given = [name for name in names if step.text(name)]
        if len(given) == 1:
            missing = names[1 - names.index(given[0])]
            step.warn(given[0], "not used: no client certificate is shown", remedy=f"{missing} is missing")
        if len(given) != len(names):
            return "", ""
        cert, key = (self._files.path(step.text(name)) for name in names)
        try:
            self._files.check_certificate(cert, key)
        except InputError as error:
            wrong = "cert_key_path" if is_there(cert) else "cert_path"
            step.error(wrong, error.message, remedy=error.remedy or "both are PEM files, the key without a password")
        return str(cert), str(key)


def _sleep(step: Cursor) -> Sleep | None:
    found = step.found("sleep")
    if found is None:
        return None
    low, _, high = found.text.replace(" ", "").partition("-")
    first, second = int(float(low)), int(float(high or low))
    if max(first, second) > _MAX_SLEEP_MS:
        step.error("sleep", f"must be at most {_MAX_SLEEP_MS} ms")
    return Sleep(min(first, second), max(first, second))


def _assertions(step: Cursor) -> tuple[str, ...]:
    for found in step.items("assertion"):
        if objection := assertion_objection(found.text):
            step.report.error(found.path, found.node, objection.problem, remedy=objection.remedy)
        elif is_slow_rule(found.text):
            step.report.warn(found.path, found.node, SLOW_EXPRESSION.problem, remedy=SLOW_EXPRESSION.remedy)
    return tuple(found.text for found in step.items("assertion"))


# ---- captures ----


def _captures(step: Cursor) -> tuple[Capture, ...]:
    captures = []
    for name, cursor in step.named_tables("capture_env"):
        capture = _capture(name, cursor)
        if capture is None:
            continue
        if objection := capture_objection(capture):
            cursor.report.error(cursor.path, cursor.node, objection.problem, remedy=objection.remedy)
        elif is_slow_capture(capture):
            cursor.report.warn(cursor.path, cursor.node, SLOW_EXPRESSION.problem, remedy=SLOW_EXPRESSION.remedy)
        captures.append(capture)
    return tuple(captures)


def _capture(name: str, cursor: Cursor) -> Capture | None:
    match cursor.choice("from"):
        case "header":
            return _header_capture(name, cursor)
        case "cookies":
            if not cursor.has("cookie_name"):
                cursor.error("cookie_name", "cookie_name is missing", remedy="the cookie whose value is wanted")
            return Capture(name, CaptureSource.COOKIE, cursor.text("cookie_name"))
        case "body":
            return _body_capture(name, cursor)
    return Capture(name, CaptureSource.COOKIE, "")  # `from` is reported already; the name counts for later steps


def _header_capture(name: str, cursor: Cursor) -> Capture:
    if not cursor.has("header_key"):
        cursor.error("header_key", "header_key is missing", remedy="the header whose value is wanted")
    header = cursor.text("header_key")
    if not cursor.has("regexp"):
        return Capture(name, CaptureSource.HEADER, header)
    regexp = cursor.table("regexp")
    return Capture(name, CaptureSource.HEADER_REGEXP, regexp.text("exp"), regexp.whole("matchNo"), header)


def _body_capture(name: str, cursor: Cursor) -> Capture:
    given = [one for one in _BODY_EXTRACTORS if cursor.has(one)]
    if not given:
        remedy = f"one of {', '.join(_BODY_EXTRACTORS)}"
        cursor.error("from", "nothing says which part of the body is wanted", remedy=remedy)
        return Capture(name, CaptureSource.BODY_JSON, "")
    for extra in given[1:]:
        cursor.warn(extra, f"not used: {given[0]} counts")
    if given[0] == "regexp":
        regexp = cursor.table("regexp")
        return Capture(name, CaptureSource.BODY_REGEXP, regexp.text("exp"), regexp.whole("matchNo"))
    return Capture(name, _SOURCES[given[0]], cursor.text(given[0]))
