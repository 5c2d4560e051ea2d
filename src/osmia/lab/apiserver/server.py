"""The API server without its wire: objects with the life that a real one gives them, called directly.

Versions, generations, defaults, conflicts, subresources, finalizers, owner references, graceful deletion of pods and
the end of namespaces are as in Kubernetes. What controllers do there (replicas, endpoints, scheduling) is not here:
the lab does that through these same methods. Use it from the event loop's thread only.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from osmia.lab.apiserver import defaults
from osmia.lab.apiserver.access import Accounts
from osmia.lab.apiserver.allocation import ServiceAddresses
from osmia.lab.apiserver.collection import Collection, Page, PageQuery, Record, copied
from osmia.lab.apiserver.deletion import Deletion, DeletionOptions
from osmia.lab.apiserver.errors import (
    already_exists,
    bad_request,
    conflict,
    forbidden,
    not_found,
    too_large_version,
)
from osmia.lab.apiserver.faults import Faults
from osmia.lab.apiserver.patches import PatchKind, patched
from osmia.lab.apiserver.resources import RESOURCES, Resource
from osmia.lab.apiserver.scale import scale_of, with_scale
from osmia.lab.apiserver.selectors import Predicate, select
from osmia.lab.apiserver.watching import Watcher

__all__ = ["ApiServer", "LogQuery", "LogSource", "Object"]

Object = dict[str, Any]

_SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What `kubectl logs` asks for; `tail_lines` and `since_s` are None for everything."""

    namespace: str
    pod: str
    container: str
    is_following: bool = False
    tail_lines: int | None = None
    since_s: int | None = None
    is_previous: bool = False


LogSource = Callable[[LogQuery], AsyncIterator[bytes]]
"""Gives the bytes of a container's log; goes on for as long as the caller iterates when following."""


class ApiServer:
    """An API server in this process.

    Args:
        ring_size: how many past changes of each resource watches can go back to.
        service_network: where cluster IPs come from.
        second_ip: gives the cluster IP of the other family to Services that ask for it; None: there is one family.
        log_source: serves `kubectl logs`; may be set later.
        now: clock in Unix seconds.
    """

    def __init__(
        self,
        *,
        ring_size: int = 1_000,
        service_network: str = "10.96.0.0/16",
        second_ip: Callable[[str], str] | None = None,
        log_source: LogSource | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.faults = Faults()
        self.log_source = log_source
        self.version = 1
        self._now = now
        self._collections = {plural: Collection(ring_size) for plural in RESOURCES}
        self._addresses = ServiceAddresses(service_network, second_ip)
        self._deletion = Deletion(self)
        self.accounts = Accounts(self, now=now)
        for name in _SYSTEM_NAMESPACES:
            self.create("namespaces", {"metadata": {"name": name}})

    def get(self, resource: str, namespace: str, name: str, subresource: str | None = None) -> Object:
        """A copy of one object (namespace "" for cluster-wide resources), or its Scale.

        Raises:
            ApiError: 404.
        """
        record = self.record(resource, namespace, name)
        return scale_of(record.object) if subresource == "scale" else record.copy()

    def list(self, resource: str, namespace: str | None = None, selector: str | None = None) -> list[Object]:
        """Copies of all objects, or those of a namespace, that a label selector ("app=web") selects."""
        matches = self._in_namespace(namespace, select(RESOURCES[resource], labels=selector or ""))
        return [record.copy() for record in self.collection(resource).sorted() if matches(record.object)]

    def create(self, resource: str, obj: Object, *, is_dry_run: bool = False) -> Object:
        """Create an object and return it as stored. A status that comes with it is kept.

        Raises:
            ApiError: 404 (its namespace), 409 AlreadyExists, 422 Invalid.
        """
        kind = RESOURCES[resource]
        new = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}, **copied(obj)}
        self._identify(kind, new)
        defaults.fill(kind, new)
        defaults.check(kind, new)
        name = new["metadata"]["name"]
        if (new["metadata"].get("namespace", ""), name) in self.collection(resource).records:
            raise already_exists(kind, name)
        if resource == "services":
            self._addresses.claim(new)
        if is_dry_run:
            if resource == "services":
                self._addresses.release(new)
            return new
        return self.commit(kind, new).copy()

    def replace(self, resource: str, obj: Object, subresource: str | None = None) -> Object:
        """Write a changed object back; with a resourceVersion in it only if nobody else wrote meanwhile.

        As in Kubernetes the status is kept unless `subresource` is "status", and then only the status is written.

        Raises:
            ApiError: 404, 409 Conflict, 422 Invalid.
        """
        metadata = obj.get("metadata", {})
        kind = RESOURCES[resource]
        record = self.record(resource, _namespace_of(kind, obj), metadata.get("name", ""))
        if subresource == "scale":
            return scale_of(self._update(kind, record, with_scale(record.copy(), obj), None))
        return self._update(kind, record, copied(_named(obj, record)), subresource)

    def patch(  # noqa: PLR0913 - as many as the request has
        self,
        resource: str,
        namespace: str,
        name: str,
        patch: Any,  # noqa: ANN401 - a JSON patch is a list, every other an object
        subresource: str | None = None,
        *,
        kind: PatchKind = PatchKind.MERGE,
        is_dry_run: bool = False,
    ) -> Object:
        """Change parts of an object (or of its status or scale) and return it whole.

        Raises:
            ApiError: 400 for a patch that does not fit, 404, 409 Conflict, 422 Invalid.
        """
        record = self.record(resource, namespace, name)
        if subresource == "scale":
            new = with_scale(record.copy(), patched(scale_of(record.object), patch, kind))
            return scale_of(self._update(RESOURCES[resource], record, new, None, is_dry_run=is_dry_run))
        new = patched(record.copy(), patch, kind)
        return self._update(RESOURCES[resource], record, new, subresource, is_dry_run=is_dry_run)

    def put(self, resource: str, obj: Object) -> Object:
        """Create an object, or overwrite all of it, its status included: for lab and tests, Kubernetes has no such.

        Raises:
            ApiError: 404 (its namespace), 422 Invalid.
        """
        kind, name = RESOURCES[resource], obj.get("metadata", {}).get("name", "")
        record = self.collection(resource).records.get((_namespace_of(kind, obj), name))
        if record is None:
            return self.create(resource, obj)
        stored = self._update(kind, record, _named(copied(obj), record), None)
        if "status" not in obj or not kind.has_status:
            return stored
        return self.patch(
            resource,
            *record.key,
            [{"op": "add", "path": "/status", "value": obj["status"]}],
            "status",
            kind=PatchKind.JSON,
        )

    def delete(self, resource: str, namespace: str, name: str, options: DeletionOptions | None = None) -> Object:
        """Delete an object; returns its last state, which has a deletionTimestamp if it is still ending.

        A pod on a node ends only when its kubelet confirms: it deletes again with `grace_period_s=0`.

        Raises:
            ApiError: 404, 409 Conflict (uid in the options).
        """
        kind, record = RESOURCES[resource], self.record(resource, namespace, name)
        return self._deletion.delete(kind, record, options or DeletionOptions()).copy()

    async def subscribe(
        self, resource: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes of a resource for ever, as ("ADDED" | "MODIFIED" | "DELETED", copy of the object).

        Begins with an ADDED for each object there is. A subscriber that falls behind the ring gets 410.

        Raises:
            ApiError: 410 Expired.
        """
        matches = self._in_namespace(namespace, select(RESOURCES[resource], labels=labels, fields=fields))
        watcher = self.watcher(resource, matches, None)
        for record in [one for one in self.collection(resource).sorted() if matches(one.object)]:
            yield "ADDED", record.copy()
        while True:
            for change in watcher.drain():
                yield change.type, change.record.copy()
            await watcher.wait()

    def compact(self) -> None:
        """Forget all history, as a restart of a real one does: watches from older versions get 410."""
        for collection in self._collections.values():
            collection.compact(self.version)

    # What follows is for the HTTP side and for `Deletion`.

    def collection(self, resource: str) -> Collection:
        """The objects of a resource by its plural name."""
        return self._collections[resource]

    def record(self, resource: str, namespace: str, name: str) -> Record:
        """The stored version of one object.

        Raises:
            ApiError: 404.
        """
        record = self.collection(resource).records.get((namespace, name))
        if record is None:
            raise not_found(RESOURCES[resource], name)
        return record

    def page(self, resource: str, matches: Predicate, query: PageQuery) -> Page:
        """A page of a list; `query.version` is the least it must show.

        Raises:
            ApiError: 400, 410 Expired, 504 (version from the future).
        """
        if query.version > self.version:
            raise too_large_version(query.version, self.version)
        now = query._replace(version=self.version)
        return self.collection(resource).page(lambda record: matches(record.object), now)

    def watcher(self, resource: str, matches: Predicate, version: int | None) -> Watcher:
        """A cursor at `version`, or at now."""
        return Watcher(self.collection(resource), matches, self.version if version is None else version)

    def commit(self, kind: Resource, obj: Object) -> Record:
        """Store a finished object under a new version."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        record = Record(obj)
        previous = self.collection(kind.plural).records.get(record.key)
        self.collection(kind.plural).put(record)
        self._deletion.owned(kind, record, previous)
        return record

    def drop(self, kind: Resource, record: Record) -> Record:
        """Take an object out of the store for good."""
        self.version += 1
        last = record.copy()
        last["metadata"]["resourceVersion"] = str(self.version)
        final = Record(last)
        self.collection(kind.plural).remove(final)
        if kind.plural == "services":
            self._addresses.release(last)
        return final

    def timestamp(self, in_s: float = 0.0) -> str:
        """Now (plus some seconds) as Kubernetes writes it."""
        moment = dt.datetime.fromtimestamp(self._now() + in_s, dt.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _update(
        self, kind: Resource, record: Record, new: Object, subresource: str | None, *, is_dry_run: bool = False
    ) -> Object:
        old = record.copy()
        _check_preconditions(kind, old, new)
        if subresource == "status":
            new = {**copied(old), "status": new.get("status", {})}
        elif kind.has_status:
            new["status"] = old.get("status", {})
        for field in _SERVER_OWNED:
            new["metadata"].pop(field, None)
            if field in old["metadata"]:
                new["metadata"][field] = old["metadata"][field]
        defaults.fill(kind, new)
        defaults.check(kind, new)
        defaults.check_unchanged(kind, old, new)
        if kind.plural == "services":
            self._addresses.claim(new, old)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new == old or is_dry_run:
            return new
        if kind.has_generation and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        stored = self.commit(kind, new)
        self._deletion.updated(kind, stored)
        return stored.copy()

    def _identify(self, kind: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        metadata.setdefault("name", "")
        for field in _SERVER_OWNED:
            metadata.pop(field, None)
        if not metadata["name"] and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        if kind.is_namespaced:
            metadata["namespace"] = _namespace_of(kind, obj)
            namespace = self.record("namespaces", "", metadata["namespace"]).object
            if "deletionTimestamp" in namespace["metadata"]:
                problem = (
                    f"unable to create new content in namespace {metadata['namespace']} because it is being terminated"
                )
                raise forbidden(kind, metadata["name"], problem)
        else:
            metadata.pop("namespace", None)
        obj["apiVersion"], obj["kind"] = kind.api_version, kind.kind
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = self.timestamp()
        if kind.has_generation:
            metadata["generation"] = 1

    def _in_namespace(self, namespace: str | None, matches: Predicate) -> Predicate:
        if namespace is None:
            return matches
        return lambda obj: obj["metadata"].get("namespace", "") == namespace and matches(obj)


def _namespace_of(kind: Resource, obj: Object) -> str:
    return str(obj.get("metadata", {}).get("namespace") or "default") if kind.is_namespaced else ""


def _named(obj: Object, record: Record) -> Object:
    """The object with what it may leave out: its namespace and type."""
    known = {"apiVersion": record.object["apiVersion"], "kind": record.object["kind"]}
    place = {"namespace": record.key[0]} if record.key[0] else {}
    return {**known, **obj, "metadata": {**obj.get("metadata", {}), **place}}


def _check_preconditions(kind: Resource, old: Object, new: Object) -> None:
    name = old["metadata"]["name"]
    asked = new["metadata"].get("resourceVersion")
    if asked and asked != old["metadata"]["resourceVersion"]:
        problem = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(kind, name, problem)
    uid = new["metadata"].get("uid")
    if uid and uid != old["metadata"]["uid"]:
        problem = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise conflict(kind, name, problem)
    if new["metadata"].get("name") != name:
        raise bad_request(f"the name of the object ({new['metadata'].get('name')}) does not match {name}")
