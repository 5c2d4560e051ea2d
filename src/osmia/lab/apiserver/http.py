"""The API server's HTTP side: reads, writes and the endpoints every client asks first. Watches are in `streaming`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import anyio
import msgspec
from aiohttp import web

from osmia.lab.apiserver import discovery
from osmia.lab.apiserver.access import Action, User
from osmia.lab.apiserver.collection import Page, PageQuery, Record
from osmia.lab.apiserver.deletion import DeletionOptions
from osmia.lab.apiserver.errors import ApiError, bad_request
from osmia.lab.apiserver.negotiation import Form, form_of, read_body
from osmia.lab.apiserver.patches import PatchKind
from osmia.lab.apiserver.routes import Target, parse
from osmia.lab.apiserver.selectors import Predicate, select
from osmia.lab.apiserver.server import ApiServer, Object
from osmia.lab.apiserver.streaming import stream_log, stream_watch
from osmia.lab.apiserver.tables import metadata_only, table
from osmia.telemetry import get_logger

__all__ = ["application"]

_log = get_logger("apiserver")
_MAX_BODY_BYTES = 16 << 20
_COMPRESS_FROM_BYTES = 128 << 10  # as the real one
_OPEN_PATHS = {"/healthz", "/livez", "/readyz", "/version"}


def application(api: ApiServer, *, tokens: Collection[str] = ()) -> web.Application:
    """The server as an aiohttp application.

    With `tokens`, requests need one of them as bearer token, which may do everything, or a service account's, which
    may do what RBAC says.
    """
    known = frozenset(tokens)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_guard(api, known)])
    app.router.add_route("*", "/{path:.*}", _Handler(api, known).handle)
    return app


def _guard(api: ApiServer, tokens: frozenset[str]) -> Any:  # noqa: ANN401 - aiohttp's middleware type
    """Faults, authentication, and refusals as Status objects."""

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            await _strike(api, request)
            if tokens and request.path not in _OPEN_PATHS:
                _authorize(api, request, _authenticate(api, request, tokens))
            return await handler(request)
        except ApiError as exc:
            return _refusal(exc)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            # Whatever the body or the query should have been, it was not.
            _log.warning("request not understood", method=request.method, path=request.path, exc_info=exc)
            return _refusal(bad_request(f"the request does not have the expected form: {type(exc).__name__}: {exc}"))

    return guard


async def _strike(api: ApiServer, request: web.Request) -> None:
    if api.faults.delay_s:
        await anyio.sleep(api.faults.delay_s)
    target = parse(request.path)
    failure = api.faults.next_failure(target.resource.plural if target else "")
    if failure:
        details = {"retryAfterSeconds": failure.retry_after_s} if failure.retry_after_s is not None else None
        raise ApiError(failure.code, "InjectedFault", f"ordered to fail with {failure.code}", details=details)


def _authenticate(api: ApiServer, request: web.Request, tokens: frozenset[str]) -> User | None:
    """The service account that asks; None for an administrator."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token in tokens:
        return None
    user = api.accounts.identify(token) if scheme.lower() == "bearer" else None
    if user is None:
        raise ApiError(401, "Unauthorized", "Unauthorized")
    return user


def _authorize(api: ApiServer, request: web.Request, user: User | None) -> None:
    """Anybody known may ask what there is and what they may do; the rest is for RBAC."""
    target = parse(request.path)
    if user is not None and target is not None:
        api.accounts.require(user, _action(request, target))


def _action(request: web.Request, target: Target) -> Action:
    verbs = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    verb = verbs.get(request.method, request.method.lower())
    if not target.name:
        is_watch = request.query.get("watch", "").lower() in {"1", "true"}
        verb = {"get": "watch" if is_watch else "list", "delete": "deletecollection"}.get(verb, verb)
    plural = f"{target.resource.plural}/{target.subresource}" if target.subresource else target.resource.plural
    return Action(verb, target.resource.group, plural, target.namespace or "", target.name)


def _not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def _refusal(error: ApiError) -> web.Response:
    headers = {}
    if error.details and "retryAfterSeconds" in error.details:
        headers["Retry-After"] = f"{error.details['retryAfterSeconds']:g}"
    return _json(error.status, status=error.code, headers=headers)


def _json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    response = web.Response(body=body, status=status, content_type="application/json", headers=headers)
    if len(body) >= _COMPRESS_FROM_BYTES:
        response.enable_compression()
    return response


class _Handler:
    """Answers one request at a time from the server in this process."""

    def __init__(self, api: ApiServer, tokens: frozenset[str]) -> None:
        self._api = api
        self._tokens = tokens

    async def handle(self, request: web.Request) -> web.StreamResponse:
        target = parse(request.path)
        if target is None:
            return await self._meta(request)
        if target.resource.plural == "pods" and target.subresource == "log":
            return await stream_log(self._api, request, target)
        handlers = {
            "GET": self._read,
            "HEAD": self._read,
            "POST": self._create,
            "PUT": self._replace,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        self._check_subresource(target)
        if request.method not in handlers:
            raise _not_allowed()
        return await handlers[request.method](request, target)

    def _check_subresource(self, target: Target) -> None:
        known = {"": True, "status": target.resource.has_status, "scale": target.resource.has_scale}
        if not known.get(target.subresource, False):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        if not target.name and query.get("watch", "").lower() in {"1", "true"}:
            return await stream_watch(self._api, request, target, self._matches(request, target))
        if not target.name:
            return self._list(request, target)
        if target.subresource == "scale":
            return _json(self._api.get(target.resource.plural, *target.key, "scale"))
        record = self._api.record(target.resource.plural, *target.key)
        form = form_of(request.headers.get("Accept", ""))
        return _json(record.encoded if form is Form.FULL else self._shown(request, target, record.object))

    def _list(self, request: web.Request, target: Target) -> web.Response:
        query = request.query
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        asked = PageQuery(
            version=_version(query.get("resourceVersion", "")),
            limit=_number(query.get("limit", ""), "limit"),
            token=query.get("continue", ""),
            tag=(target.namespace, labels, fields),
        )
        if query.get("resourceVersion") == "0":
            asked = asked._replace(limit=0)  # served from the watch cache, which knows no limit
        page = self._api.page(target.resource.plural, self._matches(request, target), asked)
        metadata: Object = {"resourceVersion": str(page.version)}
        if page.continue_token:
            metadata |= {"continue": page.continue_token, "remainingItemCount": page.remaining}
        form = form_of(request.headers.get("Accept", ""))
        if form is Form.TABLE:
            include = query.get("includeObject", "Metadata")
            objects = [record.object for record in page.records]
            return _json(table(target.resource.plural, objects, now=_now(), include=include, metadata=metadata))
        return _json(_list_body(target, page, metadata, form))

    def _matches(self, request: web.Request, target: Target) -> Predicate:
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        matches = select(target.resource, labels=labels, fields=fields)
        if target.namespace is None:
            return matches
        return lambda obj: obj["metadata"].get("namespace") == target.namespace and matches(obj)

    def _shown(self, request: web.Request, target: Target, obj: Object) -> Object:
        form = form_of(request.headers.get("Accept", ""))
        if form is Form.TABLE:
            include = request.query.get("includeObject", "Metadata")
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return table(target.resource.plural, [obj], now=_now(), include=include, metadata=metadata)
        return metadata_only(obj) if form is Form.METADATA else obj

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        obj = await self._body(request)
        if target.name:
            raise _not_allowed()
        namespace = obj.setdefault("metadata", {}).setdefault("namespace", target.namespace)
        if target.namespace is not None and namespace != target.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if target.resource.has_status:
            obj.pop("status", None)
        is_dry_run = "dryRun" in request.query
        created = self._api.create(target.resource.plural, obj, is_dry_run=is_dry_run)
        return _json(self._shown(request, target, created), status=201)

    async def _replace(self, request: web.Request, target: Target) -> web.Response:
        obj = await self._body(request)
        metadata = obj.setdefault("metadata", {})
        if metadata.setdefault("name", target.name) != target.name:
            raise bad_request("the name of the object does not match the name on the URL")
        if target.resource.is_namespaced:
            metadata["namespace"] = target.namespace
        written = self._api.replace(target.resource.plural, obj, target.subresource or None)
        return _json(written if target.subresource == "scale" else self._shown(request, target, written))

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        try:
            kind = PatchKind(request.content_type)
        except ValueError as exc:
            problem = f"unknown patch type {request.content_type} - send one of {', '.join(PatchKind)}"
            raise ApiError(415, "UnsupportedMediaType", problem) from exc
        patch = read_body(await request.read(), request.content_type)
        is_dry_run = "dryRun" in request.query
        if kind is PatchKind.APPLY:
            return await self._apply(request, target, patch)
        written = self._api.patch(
            target.resource.plural, *target.key, patch, target.subresource or None, kind=kind, is_dry_run=is_dry_run
        )
        return _json(written if target.subresource == "scale" else self._shown(request, target, written))

    async def _apply(self, request: web.Request, target: Target, patch: Object) -> web.Response:
        """Server-side apply: create, or merge and note the manager."""
        plural, is_dry_run = target.resource.plural, "dryRun" in request.query
        managed = {
            "manager": request.query.get("fieldManager", "unknown"),
            "operation": "Apply",
            "apiVersion": target.resource.api_version,
            "time": self._api.timestamp(),
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        }
        metadata = patch.setdefault("metadata", {})
        metadata.pop("managedFields", None)
        existing = self._api.collection(plural).records.get(target.key)
        if existing is None:
            place = {"namespace": target.namespace} if target.namespace else {}
            obj = {**patch, "metadata": {**metadata, **place, "name": target.name, "managedFields": [managed]}}
            return _json(self._shown(request, target, self._api.create(plural, obj, is_dry_run=is_dry_run)), status=201)
        others = [
            one
            for one in existing.object["metadata"].get("managedFields", [])
            if (one["manager"], one["operation"]) != (managed["manager"], "Apply")
        ]
        metadata["managedFields"] = [*others, managed]
        written = self._api.patch(
            plural, *target.key, patch, target.subresource or None, kind=PatchKind.APPLY, is_dry_run=is_dry_run
        )
        return _json(self._shown(request, target, written))

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        body = await request.read()
        options = _deletion_options(read_body(body, request.content_type) if body else {}, request.query)
        plural = target.resource.plural
        if not target.name:
            return self._delete_collection(request, target, options)
        if "dryRun" in request.query or (body and b'"dryRun":["All"]' in body):
            return _json(self._api.get(plural, *target.key))
        uid = self._api.record(plural, *target.key).object["metadata"]["uid"]
        last = self._api.delete(plural, *target.key, options)
        if "deletionTimestamp" in last["metadata"]:
            return _json(last)
        details = {"name": target.name, "kind": plural, "uid": uid}
        if target.resource.group:
            details["group"] = target.resource.group
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return _json(success)

    def _delete_collection(self, request: web.Request, target: Target, options: DeletionOptions) -> web.Response:
        matches, collection = self._matches(request, target), self._api.collection(target.resource.plural)
        doomed = [record for record in collection.sorted() if matches(record.object)]
        for record in doomed:
            if record.key in collection.records:
                self._api.delete(target.resource.plural, *record.key, options)
        page = Page(doomed, self._api.version, "", 0)
        return _json(_list_body(target, page, {"resourceVersion": str(page.version)}, Form.FULL))

    async def _body(self, request: web.Request) -> Object:
        body = read_body(await request.read(), request.content_type)
        if not isinstance(body, dict):
            raise bad_request("the body is not an object")
        return body

    async def _meta(self, request: web.Request) -> web.Response:
        """Everything that is not a resource: discovery, OpenAPI, version, health, access reviews."""
        path = request.path.rstrip("/")
        if path in {"/healthz", "/livez", "/readyz"}:
            return web.Response(text="ok")
        review = discovery.allowed_review(path)
        if review is not None and request.method == "POST":
            # Whatever an administrator asks (kubectl asks in protobuf), the answer is yes.
            user = _authenticate(self._api, request, self._tokens) if self._tokens else None
            return _json(review if user is None else await self._reviewed(request, user, review), status=201)
        answer = discovery.answer(path, host=request.host)
        if answer is None:
            raise ApiError(404, "NotFound", f"the server could not find the requested resource: {path}")
        return _json(answer)

    async def _reviewed(self, request: web.Request, user: User, review: Object) -> Object:
        """The review of one action, which must be asked in JSON."""
        body = read_body(await request.read(), request.content_type)
        asked = (body.get("spec") or {}).get("resourceAttributes")
        if review["kind"] != "SelfSubjectAccessReview" or asked is None:
            raise bad_request(f"{review['kind']}: only resourceAttributes of a SelfSubjectAccessReview are answered")
        plural = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource", ""))))
        place, name = asked.get("namespace", ""), asked.get("name", "")
        action = Action(asked.get("verb", ""), asked.get("group", ""), plural, place, name)
        return review | {"spec": body["spec"], "status": {"allowed": self._api.accounts.is_allowed(user, action)}}


def _list_body(target: Target, page: Page, metadata: Object, form: Form) -> bytes:
    """A List object around already encoded items, which like the real ones carry no kind of their own."""
    kind, api_version = f"{target.resource.kind}List", target.resource.api_version
    items = [_item(target, record) for record in page.records]
    if form is Form.METADATA:
        kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        items = [msgspec.json.encode(metadata_only(record.object)) for record in page.records]
    head = msgspec.json.encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    return b'%s,"items":[%s]}' % (head[:-1], b",".join(items))


def _item(target: Target, record: Record) -> bytes:
    head = msgspec.json.encode({"apiVersion": target.resource.api_version, "kind": target.resource.kind})[:-1] + b","
    return b"{" + record.encoded.removeprefix(head) if record.encoded.startswith(head) else record.encoded


def _deletion_options(body: Object, query: Any) -> DeletionOptions:  # noqa: ANN401 - aiohttp's multidict
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    is_orphaning = body.get("orphanDependents") is True
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    return DeletionOptions(
        grace_period_s=None if grace is None else int(grace),
        propagation="Orphan" if is_orphaning else str(propagation),
        uid=str((body.get("preconditions") or {}).get("uid") or ""),
    )


def _version(text: str) -> int:
    if text and not text.isdecimal():
        raise ApiError(500, "InternalError", f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text or 0)


def _number(text: str, name: str) -> int:
    if text and not text.isdecimal():
        raise bad_request(f"{name} = {text!r}: must be a whole number")
    return int(text or 0)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
