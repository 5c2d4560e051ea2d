"""OpenAPI 3.x to a config: each operation with the values that the document itself shows."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urljoin

from osmia.load.convert.draft import Conversion, Document, Draft, Notes, document_of, url_encoded, with_query
from osmia.load.convert.lookup import flag_at, list_at, table_at, tables_at, text_at, text_of
from osmia.load.convert.samples import Samples
from osmia.load.plan import JsonValue
from osmia.model.errors import InputError

__all__ = ["convert_openapi", "is_openapi"]

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\b")


def is_openapi(document: JsonValue) -> bool:
    """Whether it looks like OpenAPI, or its ancestor Swagger."""
    return isinstance(document, dict) and ("openapi" in document or "swagger" in document)


def convert_openapi(document: JsonValue, *, server: str = "", tag: str = "") -> Conversion:
    """All operations as steps, in the document's order.

    Args:
        document: the API's description.
        server: where it is, instead of the document's first server; relative ones begin there.
        tag: only operations with it.

    Raises:
        InputError: it is not OpenAPI 3, or has no operations.
    """
    if not isinstance(document, dict) or not is_openapi(document):
        raise InputError("this is no OpenAPI document", remedy='it would have "openapi": "3..."')
    version = text_at(document, "openapi")
    if not version.startswith("3."):
        what = f"OpenAPI {version}" if version else f"Swagger {text_at(document, 'swagger')}"
        raise InputError(f"{what} is not understood", remedy="convert it to OpenAPI 3 first (editor.swagger.io does)")
    return _Converter(document, server, tag).convert()


class _Converter:
    def __init__(self, document: Document, server: str, tag: str) -> None:
        self._document = document
        self._notes = Notes()
        self._samples = Samples(document, self._notes)
        self._server = server
        self._tag = tag
        self._env: Document = {}

    def convert(self) -> Conversion:
        drafts: list[Draft] = []
        for path, item in table_at(self._document, "paths").items():
            resolved = self._samples.resolved(item)
            for method in resolved:
                operation = table_at(resolved, method)
                if method.lower() == "trace":
                    self._notes.add(f"TRACE {path} is left out: there is no such method here")
                if method.lower() in _METHODS and self._is_wanted(operation):
                    drafts.append(self._draft(path, method.upper(), resolved, operation))
        if not drafts:
            raise InputError(
                f"no operation has the tag {self._tag!r}" if self._tag else "the document has no operation"
            )
        if table_at(self._document, "webhooks"):
            self._notes.add("webhooks are requests of the server, and are left out")
        return Conversion(document_of(drafts, env=self._env, more={}), self._notes.all())

    def _is_wanted(self, operation: Document) -> bool:
        return not self._tag or self._tag in list_at(operation, "tags")

    def _draft(self, path: str, method: str, item: Document, operation: Document) -> Draft:
        name = text_at(operation, "operationId") or text_at(operation, "summary") or f"{method} {path}"
        draft = Draft(name=name, method=method)
        parameters = self._parameters(item, operation)
        for key in ("cookie", "header"):
            pairs = [(one["name"], value) for one, value in parameters if one["in"] == key]
            self._add_headers(draft, key, [(text_of(name), _plain(value)) for name, value in pairs])
        for one, value in parameters:
            if one["in"] == "path":
                written = quote(_plain(value), safe="{}") if "{{" not in _plain(value) else _plain(value)
                path = path.replace(f"{{{one['name']}}}", written)
        if left := re.search(r"(?<!\{)\{([^{}]+)\}(?!\})", path):
            self._notes.add(f"{name}: the path parameter {left[1]} is not described; {left[0]} stands in the URL")
        draft.url = self._base(item, operation) + path
        query = [pair for one, value in parameters if one["in"] == "query" for pair in _query(one, value)]
        draft.url = with_query(draft.url, url_encoded(query, space="%20"))
        self._body(draft, self._samples.resolved(operation.get("requestBody")))
        self._security(draft, operation)
        return draft

    def _base(self, item: Document, operation: Document) -> str:
        servers = tables_at(operation, "servers") or tables_at(item, "servers") or tables_at(self._document, "servers")
        first = servers[0] if servers else {}
        url = text_at(first, "url")
        for name, variable in table_at(first, "variables").items():
            url = url.replace(f"{{{name}}}", text_at(variable, "default"))
        if self._server:
            return (self._server if "://" in url or not url else urljoin(self._server, url)).rstrip("/")
        if "://" not in url:
            self._notes.add("the document does not say where its server is: write it into env.base_url")
            self._env.setdefault("base_url", "http://localhost:8080")
            return "{{base_url}}" + url.rstrip("/")
        return url.rstrip("/")

    # ---- parameters ----

    def _parameters(self, item: Document, operation: Document) -> list[tuple[Document, JsonValue]]:
        """Those that are needed or that the document shows a value for; the operation's win over the path's."""
        found: dict[tuple[str, str], tuple[Document, JsonValue]] = {}
        for raw in [*list_at(item, "parameters"), *list_at(operation, "parameters")]:
            one = self._samples.resolved(raw)
            key = (text_at(one, "in"), text_at(one, "name"))
            if all(key) and (flag_at(one, "required") or key[0] == "path" or self._shows(one)):
                found[key] = (one, self._parameter_value(one))
        return list(found.values())

    def _shows(self, parameter: Document) -> bool:
        schema = self._samples.resolved(parameter.get("schema"))
        return any(key in parameter for key in ("example", "examples")) or any(
            key in schema for key in ("example", "examples", "default")
        )

    def _parameter_value(self, parameter: Document) -> JsonValue:
        for kind, media in table_at(parameter, "content").items():
            value = self._samples.example(self._samples.resolved(media))
            return json.dumps(value) if _JSON.match(kind) else value
        return self._samples.example(parameter)

    def _add_headers(self, draft: Draft, key: str, pairs: list[tuple[str, str]]) -> None:
        if key == "cookie" and pairs:
            draft.headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in pairs)))
        elif key == "header":
            draft.headers += [
                pair for pair in pairs if pair[0].lower() not in {"accept", "content-type", "authorization"}
            ]

    # ---- bodies ----

    def _body(self, draft: Draft, body: Document) -> None:
        content = table_at(body, "content")
        if not content:
            return
        kind = next((one for one in content if _JSON.match(one)), next(iter(content)))
        media = self._samples.resolved(content[kind])
        value = self._samples.example(media)
        if _JSON.match(kind):
            draft.payload = _json_text(value)
        elif kind == "application/x-www-form-urlencoded" and isinstance(value, dict):
            draft.payload = url_encoded((key, _plain(one)) for key, one in value.items())
        elif kind == "multipart/form-data" and isinstance(value, dict):
            self._parts(draft, value, media)
            return
        elif isinstance(value, str):
            draft.payload = value
        else:
            draft.payload = json.dumps(value, ensure_ascii=False)
            self._notes.add(f"{draft.name}: no example of {kind} is shown; payload is only a guess")
        draft.set_default_header("Content-Type", kind if "*" not in kind else "application/octet-stream")

    def _parts(self, draft: Draft, value: Document, media: Document) -> None:
        properties = table_at(self._samples.resolved(media.get("schema")), "properties")
        for name, one in value.items():
            schema = self._samples.resolved(properties.get(name))
            if text_at(schema, "format") == "binary" or "contentMediaType" in schema:
                self._notes.add(f"{draft.name}: the form's field {name} is a file; put one at {name}.bin")
                draft.parts.append({"name": name, "value": f"{name}.bin", "type": "file"})
            else:
                draft.parts.append({"name": name, "value": _plain(one)})

    # ---- who asks ----

    def _security(self, draft: Draft, operation: Document) -> None:
        """The first of the ways that are allowed, with variables for what is secret."""
        wanted = operation.get("security", self._document.get("security"))
        ways = [one for one in wanted if isinstance(one, dict)] if isinstance(wanted, list) else []
        if not ways or any(not way for way in ways):
            return
        schemes = table_at(table_at(self._document, "components"), "securitySchemes")
        for name in ways[0]:
            self._secure(draft, name, self._samples.resolved(schemes.get(name)))

    def _secure(self, draft: Draft, name: str, scheme: Document) -> None:
        match text_at(scheme, "type"), text_at(scheme, "scheme").lower():
            case "http", "basic":
                draft.auth = (self._secret("username"), self._secret("password"))
            case ("http", "bearer") | ("oauth2", _) | ("openIdConnect", _):
                draft.set_default_header("Authorization", f"Bearer {self._secret('token')}")
            case "apiKey", _:
                self._api_key(draft, scheme)
            case kind, detail:
                self._notes.add(f"{draft.name}: security {name} ({kind} {detail}) is not carried over")

    def _api_key(self, draft: Draft, scheme: Document) -> None:
        key, value = text_at(scheme, "name"), self._secret("api_key")
        match text_at(scheme, "in"):
            case "query":
                draft.url = with_query(draft.url, url_encoded([(key, value)]))
            case "cookie":
                draft.headers.append(("Cookie", f"{key}={value}"))
            case _:
                draft.set_default_header(key, value)

    def _secret(self, name: str) -> str:
        if name not in self._env:
            self._env[name] = ""
            self._notes.add(f"the document has no secrets: write yours into env.{name}")
        return f"{{{{{name}}}}}"


def _plain(value: JsonValue) -> str:
    """As it stands in a path, header or form: lists with commas, tables as JSON."""
    if isinstance(value, list):
        return ",".join(map(_plain, value))
    return json.dumps(value) if isinstance(value, dict) else text_of(value)


def _query(parameter: Document, value: JsonValue) -> list[tuple[str, str]]:
    """OpenAPI's style `form`: lists repeat the name unless `explode` is false; tables are `deepObject` or spread."""
    name = text_at(parameter, "name")
    if isinstance(value, list) and parameter.get("explode") is not False:
        return [(name, _plain(one)) for one in value]
    if isinstance(value, dict):
        is_deep = text_at(parameter, "style") == "deepObject"
        return [(f"{name}[{key}]" if is_deep else key, _plain(one)) for key, one in value.items()]
    return [(name, _plain(value))]


def _json_text(value: JsonValue) -> str:
    """A value as JSON; an example may be JSON that someone wrote as text."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            json.loads(value)
        except ValueError:
            return json.dumps(value, ensure_ascii=False)
        return value
    return json.dumps(value, ensure_ascii=False)
