"""Postman collections (format 2.0 and 2.1), with an environment or without, to a config."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass

from osmia.load.convert.draft import Conversion, Document, Draft, Notes, document_of, url_encoded, with_query
from osmia.load.convert.lookup import flag_at, list_at, table_at, tables_at, text_at, text_of
from osmia.load.convert.names import NameTable
from osmia.load.plan import JsonValue
from osmia.model.errors import InputError

__all__ = ["convert_postman", "is_postman"]

_MAX_FOLDERS = 50
_PATH_VARIABLE = re.compile(r"(?<=/):([A-Za-z0-9_.-]+)")
_LANGUAGES = {
    "json": "application/json",
    "xml": "application/xml",
    "html": "text/html",
    "javascript": "application/javascript",
    "text": "text/plain",
}


def is_postman(document: JsonValue) -> bool:
    """Whether it looks like a collection."""
    return "item" in document and "info" in document if isinstance(document, dict) else False


def convert_postman(
    document: JsonValue, *, dynamic: Container[str], environment: JsonValue = None, folder: str = ""
) -> Conversion:
    """The collection's requests, in its order, as steps; folders become part of their names.

    Args:
        document: the collection.
        dynamic: the names that may stand behind `{{_`.
        environment: an exported environment; its values win over the collection's.
        folder: only requests of the folder with this name.

    Raises:
        InputError: it is no collection, or has no requests.
    """
    if isinstance(document, dict) and isinstance(document.get("collection"), dict):
        document = document["collection"]  # as Postman's own API gives it
    if not is_postman(document):
        raise InputError("this is no Postman collection", remedy="export it as Collection v2.1")
    converter = _Converter(dynamic, folder)
    return converter.convert(document, environment)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the tree a request is: its folders' names, and the authentication that they hand down."""

    names: tuple[str, ...] = ()
    auth: JsonValue = None


class _Converter:
    def __init__(self, dynamic: Container[str], folder: str) -> None:
        self._notes = Notes()
        self._names = NameTable(dynamic, self._notes)
        self._drafts: list[Draft] = []
        self._folder = folder
        self._answers = 0

    def convert(self, document: JsonValue, environment: JsonValue) -> Conversion:
        self._define(tables_at(document, "variable"))
        self._define(tables_at(environment, "values"))
        auth = document.get("auth") if isinstance(document, dict) else None
        self._scripts(document, text_at(table_at(document, "info"), "name") or "the collection")
        self._walk(tables_at(document, "item"), _Place(auth=auth))
        if not self._drafts:
            what = f"no request in a folder {self._folder!r}" if self._folder else "no request"
            raise InputError(f"the collection has {what}")
        if self._answers:
            self._notes.add(f"{self._answers} saved example answers are not used")
        has_cookies = any(draft.header("cookie") for draft in self._drafts)
        more: Document = {} if has_cookies else {"engine_mode": "distinct-user", "cookie_jar": {"enabled": True}}
        found = document_of(self._drafts, env=self._names.environment(), more=more)
        return Conversion(found, self._notes.all())

    def _define(self, variables: list[Document]) -> None:
        for variable in variables:
            name = text_at(variable, "key") or text_at(variable, "id")
            if name and not flag_at(variable, "disabled") and variable.get("enabled") is not False:
                self._names.define(name, text_at(variable, "value"))

    def _walk(self, items: list[Document], place: _Place) -> None:
        for item in items:
            name = text_at(item, "name")
            inner = _Place((*place.names, name), item.get("auth") or place.auth)
            self._scripts(item, " / ".join(inner.names))
            if "item" in item:
                if len(inner.names) > _MAX_FOLDERS:
                    raise InputError(f"more than {_MAX_FOLDERS} folders inside each other")
                self._walk(tables_at(item, "item"), inner)
            elif not self._folder or self._folder in place.names:
                self._answers += len(list_at(item, "response"))
                self._request(item, inner)

    def _scripts(self, item: JsonValue, name: str) -> None:
        for event in tables_at(item, "event"):
            script = table_at(event, "script").get("exec")
            lines = script if isinstance(script, list) else [script]
            if not flag_at(event, "disabled") and any(text_of(line).strip() for line in lines):
                kind = "test" if text_at(event, "listen") == "test" else "pre-request"
                self._notes.add(f"{name}: its {kind} script is not run; capture_env and assertion do such things here")

    # ---- one request ----

    def _request(self, item: Document, place: _Place) -> None:
        request = item.get("request")
        name = " / ".join(place.names)
        if isinstance(request, str):
            request = {"url": request}
        draft = Draft(name=name, method=(text_at(request, "method") or "GET").upper(), url=self._url(request, name))
        self._headers(draft, request)
        self._body(draft, table_at(request, "body"))
        own = request.get("auth") if isinstance(request, dict) else None
        self._auth(draft, own or place.auth)
        behaviour = table_at(item, "protocolProfileBehavior")
        if behaviour.get("followRedirects") is False:
            draft.others["disable-redirect"] = True
        if behaviour.get("strictSSL") is True:
            draft.tls["verify"] = True
        self._refuse_method(draft)
        self._drafts.append(draft)

    def _refuse_method(self, draft: Draft) -> None:
        if draft.method not in {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}:
            self._notes.add(f"{draft.name}: the method {draft.method} does not exist here, GET stands in its place")
            draft.method = "GET"

    def _url(self, request: JsonValue, name: str) -> str:
        url = request.get("url") if isinstance(request, dict) else None
        text = text_of(url) or text_at(url, "raw") or _composed(url)
        values = {
            text_at(one, "key") or text_at(one, "id"): text_at(one, "value") for one in tables_at(url, "variable")
        }
        base, mark, query = text.partition("?")
        base = _PATH_VARIABLE.sub(lambda found: values.get(found[1]) or found[0], base)
        if left := _PATH_VARIABLE.search(base):
            self._notes.add(f"{name}: the path variable :{left[1]} has no value")
        found = self._names.text(base + mark + query)
        if found and "://" not in found and not found.startswith("{{"):
            found = f"http://{found}"
        if not found:
            self._notes.add(f"{name}: it has no URL")
            found = "http://localhost/"
        return found

    def _headers(self, draft: Draft, request: JsonValue) -> None:
        headers = request.get("header") if isinstance(request, dict) else None
        if isinstance(headers, str):  # format 2.0 has one text with a line for each
            pairs = [line.partition(":")[::2] for line in headers.splitlines() if line.strip()]
        else:
            tables = [one for one in tables_at(request, "header") if not flag_at(one, "disabled")]
            pairs = [(text_at(one, "key"), text_at(one, "value")) for one in tables]
        for key, value in pairs:
            if key.strip():
                draft.headers.append((self._names.text(key.strip()), self._names.text(value.strip())))

    def _auth(self, draft: Draft, auth: JsonValue) -> None:
        kind = text_at(auth, "type")
        given = {key: self._names.text(value) for key, value in _auth_values(auth, kind).items()}
        match kind:
            case "" | "noauth":
                return
            case "basic":
                draft.auth = (given.get("username", ""), given.get("password", ""))
            case "bearer":
                draft.set_default_header("Authorization", f"Bearer {given.get('token', '')}")
            case "apikey" if given.get("in") == "query":
                draft.url = with_query(draft.url, url_encoded([(given.get("key", ""), given.get("value", ""))]))
            case "apikey":
                draft.set_default_header(given.get("key") or "X-API-Key", given.get("value", ""))
            case "oauth2" if given.get("accessToken"):
                prefix = given.get("headerPrefix") or "Bearer"
                draft.set_default_header("Authorization", f"{prefix.strip()} {given['accessToken']}")
            case _:
                self._notes.add(f"{draft.name}: authentication of the kind {kind} is not carried over")

    # ---- bodies ----

    def _body(self, draft: Draft, body: Document) -> None:
        if not body or flag_at(body, "disabled"):
            return
        match text_at(body, "mode"):
            case "raw":
                draft.payload = self._names.text(text_at(body, "raw"))
                language = text_at(table_at(table_at(body, "options"), "raw"), "language")
                if draft.payload and language in _LANGUAGES:
                    draft.set_default_header("Content-Type", _LANGUAGES[language])
            case "urlencoded":
                self._form(draft, body.get("urlencoded"))
            case "formdata":
                self._multipart(draft, tables_at(body, "formdata"))
            case "graphql":
                self._graphql(draft, table_at(body, "graphql"))
            case "file":
                self._file(draft, table_at(body, "file"))
            case "" | "none":
                return
            case mode:
                self._notes.add(f"{draft.name}: a body of the kind {mode} is not carried over")

    def _form(self, draft: Draft, fields: JsonValue) -> None:
        if isinstance(fields, str):  # format 2.0
            draft.payload = self._names.text(fields)
        else:
            tables = [one for one in tables_at({"fields": fields}, "fields") if not flag_at(one, "disabled")]
            pairs = [(self._names.text(text_at(one, "key")), self._names.text(text_at(one, "value"))) for one in tables]
            draft.payload = url_encoded(pairs)
        draft.set_default_header("Content-Type", "application/x-www-form-urlencoded")

    def _multipart(self, draft: Draft, fields: list[Document]) -> None:
        for one in fields:
            if flag_at(one, "disabled"):
                continue
            name = self._names.text(text_at(one, "key"))
            if text_at(one, "type") != "file":
                draft.parts.append({"name": name, "value": self._names.text(text_at(one, "value"))})
                continue
            sources = list_at(one, "src") or [one.get("src")]
            for source in sources:
                where = text_of(source)
                if not where:
                    self._notes.add(f"{draft.name}: the form's field {name} names no file")
                    continue
                draft.parts.append({"name": name, "value": where, "type": "file"})
        draft.drop_header("Content-Type")

    def _graphql(self, draft: Draft, query: Document) -> None:
        variables = text_at(query, "variables").strip()
        try:
            parsed: JsonValue = json.loads(variables) if variables else {}
        except ValueError:
            self._notes.add(f"{draft.name}: the GraphQL variables are no JSON and are left out")
            parsed = {}
        payload: Document = {"query": text_at(query, "query"), "variables": parsed}
        if operation := text_at(query, "operationName"):
            payload["operationName"] = operation
        draft.payload = json.dumps(self._names.value(payload), ensure_ascii=False)
        draft.set_default_header("Content-Type", "application/json")

    def _file(self, draft: Draft, file: Document) -> None:
        if content := text_at(file, "content"):
            draft.payload = self._names.text(content)
        elif source := text_at(file, "src"):
            draft.payload_file = source
        else:
            self._notes.add(f"{draft.name}: the body is a file that the collection does not name")


def _composed(url: JsonValue) -> str:
    """A URL from its parts, for collections that leave out `raw`."""
    host = url.get("host") if isinstance(url, dict) else None
    path = url.get("path") if isinstance(url, dict) else None
    text = ".".join(map(text_of, host)) if isinstance(host, list) else text_of(host)
    if protocol := text_at(url, "protocol"):
        text = f"{protocol}://{text}"
    if port := text_at(url, "port"):
        text = f"{text}:{port}"
    steps = path if isinstance(path, list) else [path] if path else []
    text += "".join(f"/{text_at(step, 'value') or text_of(step)}" for step in steps)
    query = [one for one in tables_at(url, "query") if not flag_at(one, "disabled")]
    pairs = "&".join(f"{text_at(one, 'key')}={text_at(one, 'value')}" for one in query)
    return f"{text}?{pairs}" if pairs else text


def _auth_values(auth: JsonValue, kind: str) -> dict[str, str]:
    """Format 2.1 has a list of key and value, 2.0 a table."""
    values = tables_at(auth, kind)
    if values:
        return {text_at(one, "key"): text_at(one, "value") for one in values}
    return {key: text_of(value) for key, value in table_at(auth, kind).items()}
