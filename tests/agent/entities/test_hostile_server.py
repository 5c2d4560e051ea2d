"""An API server that lies, floods or never ends: the agent goes on, within its memory, and says what is wrong."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import web

from osmia.agent.entities.client import Access, KubernetesClient
from osmia.agent.entities.cluster import Cluster
from osmia.agent.entities.informer import Informer, InformerTiming, Source
from osmia.agent.entities.objects import Node, Pod, Workload, unix_ns
from tests.agent.entities.waiting import until

pytestmark = pytest.mark.anyio
_FAST = InformerTiming(first_pause_s=0.01, longest_pause_s=0.05)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _pod(name: str, version: int = 2, **metadata: object) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": str(version), **metadata},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }


def _list(*items: dict[str, Any], kind: str = "PodList", **metadata: object) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"resourceVersion": "1", **metadata}, "items": list(items)}


def _event(obj: object, kind: str = "ADDED") -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


@dataclass
class _Server:
    """Answers lists and watches as it is told."""

    lists: list[object] = field(default_factory=list)
    watches: list[list[bytes]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The next list or watch of the script; its last one again and again."""
        self.asked.append(dict(request.query))
        if "watch" not in request.query:
            body = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            return web.Response(body=body if isinstance(body, bytes) else json.dumps(body).encode())
        response = web.StreamResponse()
        await response.prepare(request)
        for line in self.watches.pop(0) if self.watches else []:
            await response.write(line)
        await anyio.sleep_forever()
        return response


@asynccontextmanager
async def _serving(answer: Answer) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _following(
    answer: Answer,
    changed: Callable[[Pod | None, Pod | None], None] = lambda _old, _new: None,
    timing: InformerTiming = _FAST,
) -> AsyncIterator[Informer[Pod]]:
    async with _serving(answer) as url, KubernetesClient(Access(url)) as client:
        informer = Informer(client, Source("/api/v1/pods", "Pod", Pod), changed, timing)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(informer.run)
            yield informer
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>not an API server</html>", "not understood"),
        (b'{"kind":"PodList","metadata":{},"items":[{"meta', "not understood"),
        ({"kind": "Status", "code": 200, "metadata": {}}, "not understood"),
        (_list(kind="SecretList"), "a SecretList in place of a PodList"),
        (_list({"metadata": {"name": 5}}), "not understood"),
        (b"\xff\xfe\x00", "not understood"),
    ],
)
async def test_a_list_that_is_none_is_a_problem_with_a_name(body: object, problem: str) -> None:
    """Whatever comes in place of a list is said, asked for again, and forgotten when a list comes."""
    server = _Server(lists=[body, body, _list(_pod("a"))])

    async with _following(server.answer) as informer:
        await until(lambda: problem in informer.problem)
        await until(lambda: informer.is_synced)
        await until(lambda: informer.problem == "")

    assert set(informer.objects) == {("n", "a")}


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b'{"type":"ADDED"}\n',
        _event({"kind": "Service", "metadata": {"name": "a"}}),
        _event({"kind": "Pod", "metadata": {}}),
        _event({"kind": "Pod", "metadata": {"name": "a"}, "status": {"podIPs": "10.0.0.1"}}),
        _event({}, "BOOKMARK"),
        _event("nothing", "ERROR"),
        b"\n\n\n" + _event({"kind": "Pod"}, "MODIFIED"),
    ],
)
async def test_a_line_that_is_no_event_begins_the_watch_anew(line: bytes) -> None:
    """What cannot be understood is counted, and what comes on the next watch is taken."""
    server = _Server(lists=[_list()], watches=[[line], [_event(_pod("b"))]])

    async with _following(server.answer) as informer:
        await until(lambda: ("n", "b") in informer.objects)

    assert informer.counters["failures"] == 1


async def test_uid_that_changes_is_another_object() -> None:
    """An object that keeps its name and version but not its uid is taken as gone and come."""
    said: list[tuple[str, str]] = []
    server = _Server(lists=[_list(_pod("a"))], watches=[[_event(_pod("a", uid="other"), "MODIFIED")]])

    def changed(old: Pod | None, new: Pod | None) -> None:
        said.append((old.metadata.uid if old else "", new.metadata.uid if new else ""))

    async with _following(server.answer, changed):
        await until(lambda: len(said) == 3)

    assert said == [("", "a"), ("a", ""), ("", "other")]


async def test_values_that_cannot_be_do_not_end_anything() -> None:
    """Times that are none, a million million replicas, addresses that are words: taken as unknown or bounded."""
    cluster = Cluster(now_ns=time.time_ns)
    odd = _pod("a", creationTimestamp="yesterday", ownerReferences=[{"kind": "X" * 5000, "name": ""}])
    odd["status"] |= {"podIP": "not an address", "podIPs": [{"ip": ""}, {}], "hostIP": "?"}
    server = _Server(lists=[_list(odd)])

    async with _following(server.answer, cluster.pod_changed) as informer:
        await until(lambda: informer.is_synced)

    (exported,) = cluster.snapshot()
    assert (exported.created_ns, informer.problem) == (0, "")
    assert [unix_ns(one) for one in ("0001-01-01T00:00:00Z", "9" * 40, "", None)] == [0, 0, 0, 0]
    replicas = msgspec.convert(
        {"metadata": {"name": "a"}, "spec": {"replicas": 10**12}, "status": {"readyReplicas": -5}}, Workload
    )
    assert (replicas.desired, replicas.ready) == (2**31 - 1, 0)


async def test_our_own_mistake_over_an_object_does_not_end_the_agent() -> None:
    """Should taking an object over fail, that is a problem with a name, and the copy begins anew."""
    server = _Server(lists=[_list(_pod("a")), _list(_pod("b"))])

    def changed(_old: Pod | None, new: Pod | None) -> None:
        if new is not None and new.metadata.name == "a":
            raise ZeroDivisionError("a mistake")

    async with _following(server.answer, changed) as informer:
        await until(lambda: ("n", "b") in informer.objects)

    assert informer.counters["failures"] == 1


async def test_huge_object_is_refused_and_the_rest_goes_on() -> None:
    """A line of more than 8 MiB is never gathered in memory; the watch begins anew behind it."""
    server = _Server(lists=[_list()], watches=[[b"x" * (1 << 20)] * 9, [_event(_pod("b"))]])

    async with _following(server.answer) as informer:
        await until(lambda: "a watch line of more than" in informer.problem or ("n", "b") in informer.objects)
        await until(lambda: ("n", "b") in informer.objects)

    assert informer.counters["failures"] == 1


async def test_pages_without_end_are_given_up() -> None:
    """A list that names the same next page for ever is refused."""
    server = _Server(lists=[_list(_pod("a"), **{"continue": "again"})])

    async with _following(server.answer) as informer:
        await until(lambda: "pages do not end" in informer.problem)

    assert not informer.is_synced


async def test_more_objects_than_there_is_room_for() -> None:
    """Beyond the limit objects are refused and counted, and the problem says so."""
    server = _Server(
        lists=[_list(*(_pod(f"p{number}") for number in range(8)))],
        watches=[[_event(_pod(f"q{number}")) for number in range(50)]],
    )

    async with _following(server.answer, timing=InformerTiming(objects_max=10)) as informer:
        await until(lambda: informer.counters["refused"] == 48)

    assert (len(informer.objects), informer.problem) == (10, "only the first 10 objects are held")


async def test_flood_is_taken_at_our_pace() -> None:
    """A server that sends as fast as it can is held back by the connection; other tasks go on meanwhile."""
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        if "watch" not in request.query:
            return web.json_response(_list())
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(_event(_pod("a", sent, annotations={"x": "y" * 2_000}), "MODIFIED"))
                sent += 1
        return response

    turns = 0
    async with _following(flood, timing=InformerTiming(events_per_s=500)) as informer:
        await until(lambda: informer.counters["events"] > 100)
        begun_s, events = anyio.current_time(), informer.counters["events"]
        while anyio.current_time() < begun_s + 2:
            await anyio.sleep(0.01)
            turns += 1
        taken = informer.counters["events"] - events

    assert taken < 2 * 2 * 500
    assert turns > 40
    assert len(informer.objects) == 1


async def test_retry_after_that_is_no_number_is_ignored() -> None:
    """A header that says nothing of use leaves the pause to us."""
    answers = iter(["soon", "²", "-5", "nan", ""])

    async def refuse(request: web.Request) -> web.StreamResponse:
        if (said := next(answers, None)) is None:
            return web.json_response(_list(_pod("a"))) if "watch" not in request.query else web.Response(status=500)
        return web.Response(status=429, headers={"Retry-After": said})

    async with _following(refuse) as informer:
        await until(lambda: informer.is_synced)

    assert informer.counters["failures"] >= 5


def test_node_without_anything_is_a_node() -> None:
    """Every field that the agent reads may be missing."""
    node = msgspec.convert({"metadata": {"name": "a"}}, Node)

    assert (node.ips, node.is_ready) == ((), False)
