"""The loop under every controller: changes make keys due, due keys are reconciled one by one, failures retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import anyio

from osmia.lab.apiserver import ApiServer
from osmia.model.errors import OsmiaError
from osmia.telemetry import get_logger

__all__ = ["Key", "KeysOf", "Reconciler", "everything", "own_key", "owner_key"]

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""
KeysOf = Callable[[Object], Iterable[Key]]
"""Which keys are due when an object changed."""

_RETRY_S = 0.25
_LONGEST_RETRY_S = 30.0

log = get_logger("lab.controllers")


class Reconciler:
    """Calls `reconcile(key)` for each key that a change in `sources` made due; many changes of a key become one call.

    The keys that wait are bounded by the objects there are. `reconcile` must tolerate keys whose object is gone.
    """

    def __init__(
        self, name: str, api: ApiServer, reconcile: Callable[[Key], Awaitable[None]], sources: Mapping[str, KeysOf]
    ) -> None:
        self._name = name
        self._api = api
        self._reconcile = reconcile
        self._sources = sources
        self._due: dict[Key, None] = {}
        self._failures: dict[Key, int] = {}
        self._wake = anyio.Event()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        async with anyio.create_task_group() as tasks:
            for resource, keys_of in self._sources.items():
                tasks.start_soon(self._feed, resource, keys_of)
            while True:
                await self._wake.wait()
                self._wake = anyio.Event()
                while self._due:
                    key = next(iter(self._due))
                    del self._due[key]
                    await self._attempt(key, tasks)

    async def _feed(self, resource: str, keys_of: KeysOf) -> None:
        async for _, obj in self._api.subscribe(resource):
            self._mark(keys_of(obj))

    def _mark(self, keys: Iterable[Key]) -> None:
        self._due |= dict.fromkeys(keys)
        if self._due:
            self._wake.set()

    async def _attempt(self, key: Key, tasks: anyio.abc.TaskGroup) -> None:
        try:
            await self._reconcile(key)
        except OsmiaError as exc:
            log.warning("will try again", controller=self._name, namespace=key[0], name=key[1], problem=str(exc))
        except Exception:  # an object of a form nobody thought of must not end the other controllers
            log.exception("controller failed", controller=self._name, namespace=key[0], name=key[1])
        else:
            self._failures.pop(key, None)
            return
        self._failures[key] = self._failures.get(key, 0) + 1
        tasks.start_soon(self._retry, key, min(_LONGEST_RETRY_S, _RETRY_S * 2 ** self._failures[key]))

    async def _retry(self, key: Key, delay_s: float) -> None:
        await anyio.sleep(delay_s)
        self._mark([key])


def own_key(obj: Object) -> Iterable[Key]:
    """The object's own key."""
    return [(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])]


def owner_key(kind: str) -> KeysOf:
    """The key of the controlling owner, if it is of that kind."""

    def keys_of(obj: Object) -> Iterable[Key]:
        for owner in obj["metadata"].get("ownerReferences") or []:
            if owner["kind"] == kind and owner.get("controller"):
                yield obj["metadata"]["namespace"], owner["name"]

    return keys_of


def everything(obj: Object) -> Iterable[Key]:
    """One key for all: for controllers that look at the whole."""
    del obj
    return [("", "")]
