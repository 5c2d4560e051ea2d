"""How objects end: grace for pods, finalizers, the collection of what an owner leaves behind, the end of namespaces.

Garbage is collected at once, within the call that made it. Dependents whose owner never existed are left alone (a
real cluster would delete them), so that tests can make a pod without its whole chain.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osmia.lab.apiserver.collection import Key, Record
from osmia.lab.apiserver.errors import conflict
from osmia.lab.apiserver.resources import RESOURCES, Resource

if TYPE_CHECKING:
    from osmia.lab.apiserver.server import ApiServer

__all__ = ["Deletion", "DeletionOptions"]

_FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class DeletionOptions:
    """How to delete: grace of pods (None = what the pod says), what happens to dependents, which uid it must be."""

    grace_period_s: int | None = None
    propagation: str = "Background"  # or Foreground, Orphan
    uid: str = ""


class Deletion:
    """The part of an API server that ends objects."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._dependents: dict[str, set[tuple[str, Key]]] = defaultdict(set)

    def delete(self, kind: Resource, record: Record, options: DeletionOptions) -> Record:
        """Delete one object, or mark it as ending; returns its newest state.

        Raises:
            ApiError: 409, it is not the object with the uid asked for.
        """
        uid = record.object["metadata"]["uid"]
        if options.uid and options.uid != uid:
            raise conflict(kind, record.key[1], f"UID in precondition: {options.uid}, UID in object meta: {uid}")
        if options.propagation == "Orphan":
            self._orphan(uid)
        if kind.plural == "namespaces":
            return self._delete_namespace(kind, record)
        if options.propagation == "Foreground" and self._dependents.get(uid):
            return self._delete_foreground(kind, record)
        grace_s = _grace_s(kind, record.object, options)
        if grace_s > 0 or record.object["metadata"].get("finalizers"):
            return self._mark(kind, record, grace_s)
        return self._finish(kind, record)

    def owned(self, kind: Resource, record: Record, previous: Record | None) -> None:
        """Keep track of who depends on whom, after a write."""
        here = (kind.plural, record.key)
        for uid in _owners(previous) - _owners(record):
            self._forget(uid, here)
        for uid in _owners(record):
            self._dependents[uid].add(here)

    def updated(self, kind: Resource, record: Record) -> None:
        """After an update: an ending object that lost its last finalizer goes."""
        metadata = record.object["metadata"]
        if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
            return
        if kind.plural == "namespaces":
            self._finish_namespace(record.key[1])
        elif kind.plural != "pods" or metadata.get("deletionGracePeriodSeconds") == 0:
            self._finish(kind, record)

    def _mark(self, kind: Resource, record: Record, grace_s: int, finalizer: str = "") -> Record:
        """Set deletionTimestamp; asking again may only shorten the grace."""
        obj = record.copy()
        metadata = obj["metadata"]
        if finalizer and finalizer not in metadata.get("finalizers", []):
            metadata["finalizers"] = [*metadata.get("finalizers", []), finalizer]
        elif "deletionTimestamp" in metadata and grace_s >= metadata.get("deletionGracePeriodSeconds", 0):
            return record
        metadata["deletionTimestamp"] = self._server.timestamp(grace_s)
        metadata["deletionGracePeriodSeconds"] = grace_s
        return self._server.commit(kind, obj)

    def _finish(self, kind: Resource, record: Record) -> Record:
        final = self._server.drop(kind, record)
        for uid in _owners(record):
            self._forget(uid, (kind.plural, record.key))
            self._release_owner(uid, record)
        self._collect(record.object["metadata"]["uid"])
        if kind.is_namespaced:
            self._finish_namespace(record.key[0])
        return final

    def _collect(self, uid: str) -> None:
        """Delete what depended on a gone owner, unless another owner is left."""
        for plural, key in sorted(self._dependents.pop(uid, ())):
            record = self._server.collection(plural).records.get(key)
            if record is None:
                continue
            others = [one for one in record.object["metadata"]["ownerReferences"] if one["uid"] != uid]
            if others:
                self._set_owners(plural, record, others)
            else:
                self.delete(RESOURCES[plural], record, DeletionOptions())

    def _orphan(self, uid: str) -> None:
        for plural, key in sorted(self._dependents.pop(uid, ())):
            record = self._server.collection(plural).records[key]
            others = [one for one in record.object["metadata"]["ownerReferences"] if one["uid"] != uid]
            self._set_owners(plural, record, others)

    def _set_owners(self, plural: str, record: Record, owners: list[dict[str, Any]]) -> None:
        obj = record.copy()
        obj["metadata"]["ownerReferences"] = owners
        if not owners:
            del obj["metadata"]["ownerReferences"]
        self._server.commit(RESOURCES[plural], obj)

    def _delete_foreground(self, kind: Resource, record: Record) -> Record:
        marked = self._mark(kind, record, 0, finalizer=_FOREGROUND)
        for plural, key in sorted(self._dependents[record.object["metadata"]["uid"]]):
            if dependent := self._server.collection(plural).records.get(key):
                self.delete(RESOURCES[plural], dependent, DeletionOptions(propagation="Foreground"))
        return marked

    def _release_owner(self, uid: str, dependent: Record) -> None:
        """Let an owner that was deleted in the foreground go when its last dependent has gone."""
        if self._dependents.get(uid):
            return
        for reference in dependent.object["metadata"]["ownerReferences"]:
            if reference["uid"] != uid:
                continue
            plural = next((one.plural for one in RESOURCES.values() if one.kind == reference["kind"]), "")
            key = (dependent.key[0] if plural and RESOURCES[plural].is_namespaced else "", reference["name"])
            owner = self._server.collection(plural).records.get(key) if plural else None
            if owner and _FOREGROUND in owner.object["metadata"].get("finalizers", []):
                obj = owner.copy()
                obj["metadata"]["finalizers"].remove(_FOREGROUND)
                self.updated(RESOURCES[plural], self._server.commit(RESOURCES[plural], obj))

    def _delete_namespace(self, kind: Resource, record: Record) -> Record:
        if "deletionTimestamp" not in record.object["metadata"]:
            obj = record.copy()
            obj["metadata"]["deletionTimestamp"] = self._server.timestamp()
            obj.setdefault("status", {})["phase"] = "Terminating"
            record = self._server.commit(kind, obj)
        for one in RESOURCES.values():
            content = [held for held in self._server.collection(one.plural).sorted() if held.key[0] == record.key[1]]
            for held in content:
                if self._server.collection(one.plural).records.get(held.key) is held:
                    self.delete(one, held, DeletionOptions())
        self._finish_namespace(record.key[1])
        return record

    def _finish_namespace(self, name: str) -> None:
        record = self._server.collection("namespaces").records.get(("", name))
        if record is None or "deletionTimestamp" not in record.object["metadata"]:
            return
        is_empty = not any(
            key[0] == name for one in RESOURCES for key in self._server.collection(one).records if key[0]
        )
        if is_empty and not record.object["metadata"].get("finalizers"):
            self._server.drop(RESOURCES["namespaces"], record)

    def _forget(self, uid: str, dependent: tuple[str, Key]) -> None:
        held = self._dependents.get(uid)
        if held is not None:
            held.discard(dependent)
            if not held:
                del self._dependents[uid]


def _owners(record: Record | None) -> set[str]:
    references = record.object["metadata"].get("ownerReferences") or [] if record else []
    return {reference["uid"] for reference in references}


def _grace_s(kind: Resource, obj: dict[str, Any], options: DeletionOptions) -> int:
    """Seconds a pod gets to end; 0 for everything else and for pods that no kubelet runs."""
    if kind.plural != "pods" or not obj.get("spec", {}).get("nodeName"):
        return 0
    if obj.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    if options.grace_period_s is not None:
        return options.grace_period_s
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30))
