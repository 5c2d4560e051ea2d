"""Long answers: watches (with bookmarks, time limits, faults on order) and logs."""

from __future__ import annotations

import contextlib
import datetime as dt
import random

import anyio
import msgspec
from aiohttp import web

from osmia.lab.apiserver.collection import Record
from osmia.lab.apiserver.errors import ApiError, bad_request, expired
from osmia.lab.apiserver.faults import WatchFault
from osmia.lab.apiserver.negotiation import Form, form_of
from osmia.lab.apiserver.routes import Target
from osmia.lab.apiserver.selectors import Predicate
from osmia.lab.apiserver.server import ApiServer, LogQuery, Object
from osmia.lab.apiserver.tables import metadata_only, table
from osmia.lab.apiserver.watching import Change

__all__ = ["stream_log", "stream_watch"]

_BOOKMARK_EVERY_S = 60.0
_DEFAULT_TIMEOUT_S = (1800.0, 3600.0)
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


async def stream_watch(api: ApiServer, request: web.Request, target: Target, matches: Predicate) -> web.StreamResponse:
    """Answer a watch request until its time is over, the client leaves or a fault strikes."""
    watch = _Watch(api, request, target, matches)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    wake = anyio.Event()
    orders = api.faults.watch_started(wake, target.resource.plural)
    try:
        await watch.run(response, wake, orders)
    except ConnectionError:
        pass  # the client has left
    finally:
        api.faults.watch_ended(wake)
    return response


class _Watch:
    """One running watch."""

    def __init__(self, api: ApiServer, request: web.Request, target: Target, matches: Predicate) -> None:
        query = request.query
        self._api, self._target, self._matches, self._request = api, target, matches, request
        self._form = form_of(request.headers.get("Accept", ""))
        self._include = query.get("includeObject", "Metadata")
        self._is_bookmarking = query.get("allowWatchBookmarks", "").lower() in {"1", "true"}
        self._timeout_s = float(query.get("timeoutSeconds") or random.uniform(*_DEFAULT_TIMEOUT_S))  # noqa: S311
        version = query.get("resourceVersion", "")
        if version and not version.isdecimal():
            raise ApiError(500, "InternalError", f'strconv.ParseUint: parsing "{version}": invalid syntax')
        self._has_initial_list = query.get("sendInitialEvents", "").lower() in {"1", "true"}
        self._has_initial = self._has_initial_list or version in {"", "0"}
        self._version = None if self._has_initial else int(version)

    async def run(self, response: web.StreamResponse, wake: anyio.Event, orders: list[WatchFault]) -> None:
        """Write events until the end."""
        watcher = self._api.watcher(self._target.resource.plural, self._matches, self._version)
        if self._has_initial:
            await self._write_initial(response)
        ends_at = anyio.current_time() + self._timeout_s
        while anyio.current_time() < ends_at:
            if orders:
                await self._strike(orders.pop(0), response)
                return
            try:
                changes = watcher.drain()
            except ApiError as exc:
                await response.write(_line("ERROR", exc.status))
                return
            if changes:
                await response.write(b"".join(self._encoded(change) for change in changes))
            pause_s = min(ends_at - anyio.current_time(), _BOOKMARK_EVERY_S)
            with anyio.move_on_after(pause_s) as pause:
                await _either(watcher.wait, wake.wait)
            if pause.cancelled_caught and self._is_bookmarking and anyio.current_time() < ends_at:
                await response.write(self._bookmark(self._api.version))

    async def _write_initial(self, response: web.StreamResponse) -> None:
        records = self._api.collection(self._target.resource.plural).sorted()
        changes = [Change("ADDED", record) for record in records if self._matches(record.object)]
        lines = [self._encoded(change) for change in changes]
        if self._has_initial_list and self._is_bookmarking:
            lines.append(self._bookmark(self._api.version, _INITIAL_END))
        if lines:
            await response.write(b"".join(lines))

    def _encoded(self, change: Change) -> bytes:
        if self._form is Form.FULL:
            return b'{"type":"%s","object":%s}\n' % (change.type.encode(), change.record.encoded)
        return _line(change.type, self._shown(change.record))

    def _shown(self, record: Record) -> Object:
        if self._form is Form.METADATA:
            return metadata_only(record.object)
        metadata = {"resourceVersion": str(record.version)}
        now = dt.datetime.now(dt.UTC)
        return table(self._target.resource.plural, [record.object], now=now, include=self._include, metadata=metadata)

    def _bookmark(self, version: int, annotations: dict[str, str] | None = None) -> bytes:
        resource = self._target.resource
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        obj: Object = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self._form is Form.TABLE:
            rows = [{"cells": [], "object": metadata_only(obj)}]
            where = {"resourceVersion": str(version)}
            obj = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": where, "rows": rows}
            obj["columnDefinitions"] = []
        return _line("BOOKMARK", obj)

    async def _strike(self, fault: WatchFault, response: web.StreamResponse) -> None:
        self._api.faults.struck[f"watch {fault}"] += 1
        if fault is WatchFault.GONE:
            await response.write(_line("ERROR", expired("too old resource version (ordered)").status))
        elif fault is WatchFault.GARBAGE:
            await response.write(b'{"type":"MODIFIED","object":{"metadata":{"na')
        elif fault is WatchFault.DROP and self._request.transport is not None:
            self._request.transport.abort()
        elif fault is WatchFault.HANG:
            await anyio.sleep_forever()


async def stream_log(api: ApiServer, request: web.Request, target: Target) -> web.StreamResponse:
    """Answer GET pods/<name>/log from the server's log source."""
    query = request.query
    pod = api.get("pods", *target.key)
    containers = [one["name"] for one in pod["spec"].get("containers", [])]
    container = query.get("container") or (containers[0] if len(containers) == 1 else "")
    if not container:
        choices = ", ".join(containers)
        raise bad_request(f"a container name must be specified for pod {target.name}, choose one of: [{choices}]")
    if container not in containers:
        raise bad_request(f"container {container} is not valid for pod {target.name}")
    if api.log_source is None:
        raise bad_request("this API server has no logs: no lab runs its pods")
    asked = LogQuery(
        target.key[0],
        target.name,
        container,
        is_following=query.get("follow", "").lower() in {"1", "true"},
        tail_lines=int(query["tailLines"]) if "tailLines" in query else None,
        since_s=int(query["sinceSeconds"]) if "sinceSeconds" in query else None,
        is_previous=query.get("previous", "").lower() in {"1", "true"},
    )
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        async for chunk in api.log_source(asked):
            await response.write(chunk)
    return response


async def _either(*waits: object) -> None:
    """Return when the first of several waits does."""
    async with anyio.create_task_group() as group:

        async def first(wait: object) -> None:
            await wait()  # type: ignore[operator]
            group.cancel_scope.cancel()

        for wait in waits:
            group.start_soon(first, wait)


def _line(kind: str, obj: Object) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), msgspec.json.encode(obj))
