"""The informer's copy becomes equal to the server's objects, whatever happens to the connection."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from osmia.agent.entities.client import Access, KubernetesClient
from osmia.agent.entities.informer import Informer, InformerTiming, Source
from osmia.agent.entities.objects import MetadataOnly, Pod
from osmia.lab.apiserver import ApiServer, WatchFault, serve
from tests.lab.apiserver.world import deployment, pod

pytestmark = pytest.mark.anyio
_FAST = InformerTiming(first_pause_s=0.01, longest_pause_s=0.2, silence_grace_s=0.2)
_PODS = Source("/api/v1/pods", "Pod", Pod, page_size=3)


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class _Follower:
    """An informer, and a model kept from nothing but what it reported."""

    def __init__(self, client: KubernetesClient, source: Source[Pod] = _PODS, timing: InformerTiming = _FAST) -> None:
        self.informer = Informer(client, source, self._changed, timing)
        self.model: dict[str, Pod] = {}
        self.said: list[tuple[str, str]] = []
        self._news = anyio.Event()

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            assert self.model.pop(old.metadata.uid) == old
        if new is not None:
            assert new.metadata.uid not in self.model
            self.model[new.metadata.uid] = new
        kind = "DELETED" if new is None else "MODIFIED" if old else "ADDED"
        self.said.append((kind, (new or old).metadata.name))  # type: ignore[union-attr]  # one of them is there
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the model holds."""
        with anyio.fail_after(10):
            while not condition():
                self._news = anyio.Event()
                await self._news.wait()

    async def until_equal(self, api: ApiServer) -> None:
        """Wait until the model is what the server has."""
        await self.until(lambda: self.versions() == _versions(api))

    def versions(self) -> set[tuple[str, str]]:
        return {(one.metadata.uid, one.metadata.resource_version) for one in self.model.values()}


def _versions(api: ApiServer) -> set[tuple[str, str]]:
    return {(one["metadata"]["uid"], one["metadata"]["resourceVersion"]) for one in api.list("pods")}


@asynccontextmanager
async def _following(api: ApiServer, follower: _Follower) -> AsyncIterator[_Follower]:
    """The informer runs and watches."""
    async with anyio.create_task_group() as group:
        group.start_soon(follower.informer.run)
        with anyio.fail_after(10):
            await api.faults.wait_watches(1)
        yield follower
        group.cancel_scope.cancel()


def _populate(api: ApiServer, count: int = 10) -> None:
    for number in range(count):
        api.create("pods", pod(f"web-{number}", node=""))


def _change_everything(api: ApiServer) -> None:
    """One change of every kind."""
    api.delete("pods", "default", "web-1")
    api.create("pods", pod("late-1", node=""))
    api.patch("pods", "default", "web-2", {"status": {"phase": "Failed"}}, "status")
    api.delete("pods", "default", "web-3")
    api.create("pods", pod("web-3", node=""))


async def test_copies_in_pages_and_follows(api: ApiServer, client: KubernetesClient) -> None:
    """A list longer than a page is copied whole, then every change is reported once."""
    _populate(api)
    async with _following(api, _Follower(client)) as follower:
        listed = len(follower.model)

        _change_everything(api)

        await follower.until_equal(api)
        assert listed == 10
        assert follower.said[10:] == [
            ("DELETED", "web-1"),
            ("ADDED", "late-1"),
            ("MODIFIED", "web-2"),
            ("DELETED", "web-3"),
            ("ADDED", "web-3"),
        ]
        assert follower.informer.counters["pages"] == 3
        assert follower.informer.problem == ""


@pytest.mark.parametrize("fault", [WatchFault.DROP, WatchFault.END, WatchFault.GARBAGE, WatchFault.GONE])
async def test_converges_after_a_broken_watch(api: ApiServer, client: KubernetesClient, fault: WatchFault) -> None:
    """However the watch ends, what happened meanwhile arrives."""
    _populate(api)
    async with _following(api, _Follower(client)) as follower:
        api.faults.break_watches(fault)
        _change_everything(api)

        await follower.until_equal(api)
        assert api.faults.struck[f"watch {fault}"] == 1


@pytest.mark.parametrize(("code", "retry_after_s"), [(500, None), (401, None), (429, 0.1), (503, 0.1), (410, None)])
async def test_converges_after_refusals(
    api: ApiServer, client: KubernetesClient, code: int, retry_after_s: float | None
) -> None:
    """Three answers of an error code in a row, then all is well."""
    _populate(api)
    async with _following(api, _Follower(client)) as follower:
        api.faults.fail(code, times=3, resource="pods", retry_after_s=retry_after_s)
        api.faults.break_watches(WatchFault.DROP)
        _change_everything(api)

        await follower.until_equal(api)
        assert api.faults.struck[f"http {code}"] == 3


async def test_first_list_survives_refusals(api: ApiServer, client: KubernetesClient) -> None:
    """A server that is not ready yet only delays the beginning."""
    _populate(api)
    api.faults.fail(500, times=2)

    async with _following(api, _Follower(client)) as follower:
        await follower.until_equal(api)


async def test_relist_reports_what_went_meanwhile(api: ApiServer, client: KubernetesClient) -> None:
    """After a restart of the server (history gone) deletions are found by comparing."""
    _populate(api)
    async with _following(api, _Follower(client)) as follower:
        api.faults.fail(500, times=3)
        api.faults.break_watches(WatchFault.DROP)
        _change_everything(api)
        api.compact()

        await follower.until_equal(api)
        assert ("DELETED", "web-1") in follower.said
        assert follower.informer.counters["lists"] == 2
        assert follower.informer.counters["gone"] == 1


async def test_same_name_with_another_uid_is_another_object(api: ApiServer, client: KubernetesClient) -> None:
    """A relist that finds a successor reports the old one as deleted before the new one as added."""
    _populate(api, 1)
    async with _following(api, _Follower(client)) as follower:
        api.faults.fail(500, times=2)
        api.faults.break_watches(WatchFault.DROP)
        api.delete("pods", "default", "web-0")
        api.create("pods", pod("web-0", node=""))
        api.compact()

        await follower.until_equal(api)
        assert follower.said == [("ADDED", "web-0"), ("DELETED", "web-0"), ("ADDED", "web-0")]
        assert follower.informer.counters["replaced"] == 1


async def test_more_changes_than_the_history_holds(api: ApiServer, client: KubernetesClient) -> None:
    """A watch that resumes behind the ring lists again."""
    _populate(api)
    async with _following(api, _Follower(client)) as follower:
        api.faults.fail(500, times=2)
        api.faults.break_watches(WatchFault.DROP)
        for number in range(300):
            api.patch("pods", "default", "web-2", {"metadata": {"labels": {"n": str(number)}}})

        await follower.until_equal(api)
        assert follower.informer.counters["gone"] == 1


async def test_expired_page_token_lists_at_once(api: ApiServer, client: KubernetesClient) -> None:
    """A list whose history goes between two pages is fetched again as a whole."""
    _populate(api)
    follower = _Follower(client)
    get, doomed = client.get, ["web-0"]

    async def forgetful_get(path: str, query: dict[str, str], *, accept: str = "") -> bytes:
        if "continue" in query:
            for name in doomed:
                api.delete("pods", "default", name)
            doomed.clear()
            api.compact()
        return await get(path, query, accept=accept)

    client.get = forgetful_get  # type: ignore[method-assign,assignment]  # a server that compacts at the worst moment
    async with _following(api, follower):
        await follower.until_equal(api)

    assert ("ADDED", "web-0") not in follower.said


async def test_silent_connection_is_given_up(api: ApiServer, client: KubernetesClient) -> None:
    """A connection on which nothing comes any more, not even the end, is replaced."""
    _populate(api)
    timing = InformerTiming(watch_s=(1.0, 1.0), first_pause_s=0.01, silence_grace_s=0.1)
    async with _following(api, _Follower(client, timing=timing)) as follower:
        api.faults.break_watches(WatchFault.HANG)
        _change_everything(api)

        await follower.until_equal(api)
        assert follower.informer.counters["failures"] >= 1


async def test_pauses_grow_until_data_comes(api: ApiServer, client: KubernetesClient) -> None:
    """A server that accepts watches and ends them at once is asked less and less often."""
    _populate(api, 1)
    async with _following(api, _Follower(client)) as follower:
        api.faults.fail(500, times=1000)
        api.faults.break_watches(WatchFault.END)
        with anyio.move_on_after(1.0):
            await anyio.sleep_forever()

        assert 3 <= follower.informer.counters["failures"] <= 16


async def test_only_the_selected_pods_are_held(api: ApiServer, client: KubernetesClient) -> None:
    """With a field selector a pod appears when it is scheduled here and stays away otherwise."""
    source = Source("/api/v1/pods", "Pod", Pod, "spec.nodeName=node-a")
    async with _following(api, _Follower(client, source)) as follower:
        api.create("pods", pod("mine-1", node=""))
        api.create("pods", pod("other-1", node="node-b"))
        api.patch("pods", "default", "mine-1", {"spec": {"nodeName": "node-a"}})

        await follower.until(lambda: len(follower.model) == 1)
        assert follower.said == [("ADDED", "mine-1")]


async def test_metadata_is_enough_for_owners(api: ApiServer, client: KubernetesClient) -> None:
    """ReplicaSets are asked for as metadata only and keep their owners."""
    owner = api.create("deployments", deployment())
    reference = {"kind": "Deployment", "name": "web", "uid": owner["metadata"]["uid"], "controller": True}
    api.create("replicasets", deployment() | {"metadata": {"name": "web-abc", "ownerReferences": [reference]}})
    source = Source("/apis/apps/v1/replicasets", "ReplicaSet", MetadataOnly, is_metadata_only=True)
    informer = Informer(client, source, lambda _old, _new: None, _FAST)

    async with anyio.create_task_group() as group:
        group.start_soon(informer.run)
        with anyio.fail_after(5):
            await informer.wait_synced()
        group.cancel_scope.cancel()

    controller = informer.objects["default", "web-abc"].metadata.controller
    assert controller is not None
    assert (controller.kind, controller.name) == ("Deployment", "web")


async def test_unreachable_server_is_a_problem_with_a_name(free_port: int) -> None:
    """While the server cannot be reached the informer says why and goes on trying."""
    async with KubernetesClient(Access(f"http://127.0.0.1:{free_port}")) as client:
        follower = _Follower(client)
        async with anyio.create_task_group() as group:
            group.start_soon(follower.informer.run)
            with anyio.move_on_after(0.3):
                await anyio.sleep_forever()
            problem = follower.informer.problem
            api = ApiServer()
            api.create("pods", pod(node=""))
            async with serve(api, port=free_port):
                await follower.until_equal(api)
            group.cancel_scope.cancel()

    assert "Cannot connect" in problem


async def test_new_token_is_read_after_a_401(api: ApiServer) -> None:
    """When the token no longer works it is read again, long before its time."""
    current = ["old"]
    async with serve(api, tokens=["new"]) as server:
        access = Access(server.url, token=lambda: current.pop() if len(current) > 1 else current[0])
        async with KubernetesClient(access) as client:
            follower = _Follower(client)
            current[:] = ["new", "old"]
            api.create("pods", pod(node=""))
            async with _following(api, follower):
                await follower.until_equal(api)

    assert follower.informer.counters["failures"] == 1
