"""Watches over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import anyio
import pytest

from osmia.lab.apiserver import ApiServer, WatchFault
from tests.lab.apiserver.world import pod

pytestmark = pytest.mark.anyio
_PODS = "/api/v1/pods"


class _Watch:
    """A running watch of pods, read line by line."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any]:
        with anyio.fail_after(5):
            event: dict[str, Any] = json.loads(await self.response.content.readline())
        return event

    async def events(self, count: int) -> list[tuple[str, str]]:
        found = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in found]


Open = Callable[..., Awaitable[_Watch]]


@pytest.fixture
async def watch_pods(http: aiohttp.ClientSession) -> AsyncIterator[Open]:
    """Open watches of pods that are closed in the end; `accept` is the form asked for."""
    async with AsyncExitStack() as opened:

        async def watch(*, accept: str = "application/json", **query: str) -> _Watch:
            request = http.get(_PODS, params={"watch": "1", **query}, headers={"Accept": accept})
            return _Watch(await opened.enter_async_context(request))

        yield watch


async def test_watch_goes_on_from_a_version(api: ApiServer, watch_pods: Open) -> None:
    """Events after the version come once and in order, also those from before the watch began."""
    api.create("pods", pod("a-1"))
    version = str(api.version)
    api.create("pods", pod("b-1"))

    watch = await watch_pods(resourceVersion=version)
    api.delete("pods", "default", "b-1")
    api.create("pods", pod("c-1"))

    assert await watch.events(3) == [("ADDED", "b-1"), ("MODIFIED", "b-1"), ("ADDED", "c-1")]


@pytest.mark.parametrize("version", ["", "0"])
async def test_watch_without_a_version_begins_with_everything(api: ApiServer, watch_pods: Open, version: str) -> None:
    """No version or 0: what is there comes as ADDED."""
    api.create("pods", pod("a-1"))

    watch = await watch_pods(**({"resourceVersion": version} if version else {}))

    assert await watch.events(1) == [("ADDED", "a-1")]


async def test_capital_true_is_accepted(http: aiohttp.ClientSession) -> None:
    """Python clients say watch=True."""
    async with http.get(_PODS, params={"watch": "True", "timeoutSeconds": "1"}) as response:
        assert await response.read() == b""


async def test_initial_events_end_with_a_bookmark(api: ApiServer, watch_pods: Open) -> None:
    """SendInitialEvents: the list as ADDED, then a bookmark that says so."""
    api.create("pods", pod("a-1"))

    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    watch = await watch_pods(**query)

    assert await watch.events(1) == [("ADDED", "a-1")]
    bookmark = await watch.next()
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert bookmark["object"]["metadata"]["resourceVersion"] == str(api.version)


async def test_selector_turns_changes_into_arrivals_and_departures(api: ApiServer, watch_pods: Open) -> None:
    """An object that begins to match is ADDED, one that no longer does DELETED with the version of the change."""
    api.create("pods", pod("a-1", node=""))
    watch = await watch_pods(resourceVersion=str(api.version), fieldSelector="spec.nodeName=n1")

    api.patch("pods", "default", "a-1", {"spec": {"nodeName": "n1"}})
    first = await watch.next()
    api.put("pods", pod("b-1", node="n2"))
    labelled = await watch_pods(resourceVersion=str(api.version), labelSelector="color=red")
    for color in ("red", "red", "blue"):
        api.patch("pods", "default", "b-1", {"metadata": {"labels": {"color": color, "n": color * 2}}})
    api.patch("pods", "default", "b-1", {"metadata": {"labels": {"color": "red"}}})

    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a-1")
    assert [kind for kind, _ in await labelled.events(3)] == ["ADDED", "DELETED", "ADDED"]


async def test_too_old_version_is_an_error_in_the_stream(api: ApiServer, watch_pods: Open) -> None:
    """HTTP 200, one ERROR line with a Status of 410, then the end."""
    api.create("pods", pod())
    api.compact()

    watch = await watch_pods(resourceVersion="2")
    error = await watch.next()

    assert watch.response.status == 200
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert await watch.response.content.read() == b""


async def test_bounded_history_overflows_into_410(api: ApiServer, watch_pods: Open) -> None:
    """A version that the ring no longer reaches is too old."""
    api.create("pods", pod())
    version = str(api.version)
    for number in range(200):
        api.patch("pods", "default", "web-1", {"metadata": {"labels": {"n": str(number)}}})

    watch = await watch_pods(resourceVersion=version)

    assert (await watch.next())["type"] == "ERROR"


async def test_version_from_the_future_is_silence(api: ApiServer, watch_pods: Open) -> None:
    """No error and no event until the time is over."""
    watch = await watch_pods(resourceVersion="99999", timeoutSeconds="1")
    api.create("pods", pod())

    assert await watch.response.content.read() == b""


async def test_time_limit_is_a_clean_end(api: ApiServer, watch_pods: Open) -> None:
    """TimeoutSeconds ends the stream without a last event."""
    watch = await watch_pods(resourceVersion=str(api.version), timeoutSeconds="1")

    assert await watch.response.content.read() == b""


async def test_table_form_of_a_watch(api: ApiServer, watch_pods: Open) -> None:
    """Asked for Tables, each event is a Table of one row."""
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    watch = await watch_pods(accept=accept, resourceVersion=str(api.version))
    api.create("pods", pod("a-1"))

    event = await watch.next()

    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][0] == "a-1"


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        (WatchFault.END, b""),
        (WatchFault.GARBAGE, b'{"type":"MODIFIED","object":{"metadata":{"na'),
        (WatchFault.GONE, b'{"type":"ERROR","object":{"kind":"Status"'),
    ],
)
async def test_ordered_end_of_a_watch(api: ApiServer, watch_pods: Open, fault: WatchFault, ending: bytes) -> None:
    """A fault on order ends the watch in its way, once."""
    watch = await watch_pods(resourceVersion=str(api.version))

    broken = api.faults.break_watches(fault, resource="pods")

    rest = await watch.response.content.read()
    assert (broken, api.faults.struck[f"watch {fault}"]) == (1, 1)
    assert rest.startswith(ending)
    assert bool(rest) == bool(ending)


async def test_ordered_drop_resets_the_connection(api: ApiServer, watch_pods: Open) -> None:
    """The drop fault breaks the stream without an end."""
    watch = await watch_pods(resourceVersion=str(api.version))

    api.faults.break_watches(WatchFault.DROP)

    with pytest.raises(aiohttp.ClientError):
        await watch.response.content.read()


async def test_watches_are_counted(api: ApiServer, watch_pods: Open) -> None:
    """A watch counts as running until its client has gone."""
    watch = await watch_pods(resourceVersion=str(api.version))
    running = api.faults.watches("pods")
    watch.response.close()
    api.create("pods", pod())

    with anyio.fail_after(5):
        await api.faults.wait_watches(0)
    assert running == 1
