"""The one object the agent asks: local and remote ends against a cluster, and without one."""

from __future__ import annotations

import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import dns.message
import dns.rrset
import pytest

from osmia.agent.entities import Entities, EntityOptions
from osmia.agent.entities.informer import InformerTiming
from osmia.lab.apiserver import ApiServer, serve
from osmia.model.entity import Entity, EntityKind
from osmia.model.request import Address
from tests.agent.entities.waiting import until
from tests.lab.apiserver.world import deployment, owned_by, pod, service

pytestmark = pytest.mark.anyio
_S = 1_000_000_000
_CONTAINER = "ab" * 32
_UID = "7c8e3e2f-9d1c-4b0a-8f6e-1234567890ab"
_FAST = InformerTiming(first_pause_s=0.01)


class _Clock:
    """Unix time that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000 * _S

    def __call__(self) -> int:
        return self.now_ns


@asynccontextmanager
async def _running(api: ApiServer, tmp_path: Path, clock: _Clock, *, watch: str = "node") -> AsyncIterator[Entities]:
    """Entities of node-a that know the cluster; /proc is an empty directory, so nothing real gets in."""
    async with serve(api) as server:
        config = server.write_kubeconfig(tmp_path / "config")
        options = EntityOptions("node-a", str(config), watch, node_netns="", proc=tmp_path / "proc")
        entities = Entities(options, timing=_FAST, now_ns=clock)
        async with anyio.create_task_group() as group:
            group.start_soon(entities.run)
            assert await entities.wait_ready(10)
            yield entities
            group.cancel_scope.cancel()


def _process(tmp_path: Path, pid: int, *, cgroup: str, cmdline: str) -> None:
    directory = tmp_path / "proc" / str(pid)
    directory.mkdir(parents=True)
    (directory / "cgroup").write_text(f"0::{cgroup}\n")
    (directory / "cmdline").write_bytes(cmdline.replace(" ", "\0").encode() + b"\0")
    (directory / "stat").write_text(f"{pid} (x y) S " + " ".join(["0"] * 18) + " 4711 0 0\n")


@pytest.fixture
def clock() -> _Clock:
    """A clock at a fixed time."""
    return _Clock()


def _web(api: ApiServer) -> str:
    """Deployment, ReplicaSet, a pod on node-a and one on node-b, and their Service; gives the first pod's uid."""
    api.create("nodes", {"metadata": {"name": "node-a"}, "status": _address("192.168.1.1")})
    api.create("nodes", {"metadata": {"name": "node-b"}, "status": _address("192.168.1.2")})
    owner = api.create("deployments", deployment(replicas=2))
    replica_set = deployment() | {"metadata": {"name": "web-6d4cf", "ownerReferences": owned_by(owner)}}
    held = api.create("replicasets", replica_set)
    mine = pod("web-6d4cf-x2x5k", ip="10.244.0.9", ownerReferences=owned_by(held))
    uid = api.create("pods", _with_container(mine))["metadata"]["uid"]
    theirs = api.create("pods", pod("web-6d4cf-b4b5c", node="node-b", ip="10.244.1.9", ownerReferences=owned_by(held)))
    api.create("services", service(clusterIP="10.96.0.5", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    target = {"kind": "Pod", "name": theirs["metadata"]["name"], "namespace": "default"}
    endpoint = {"addresses": ["10.244.1.9"], "nodeName": "node-b", "targetRef": target}
    metadata = {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}
    api.create("endpointslices", {"metadata": metadata, "addressType": "IPv4", "endpoints": [endpoint]})
    return str(uid)


def _with_container(one: dict[str, Any]) -> dict[str, Any]:
    one["status"]["containerStatuses"][0]["containerID"] = f"containerd://{_CONTAINER}"
    return one


def _address(ip: str) -> dict[str, list[dict[str, str]]]:
    return {"addresses": [{"type": "InternalIP", "address": ip}]}


_WEB = Entity(EntityKind.DEPLOYMENT, "web", "default", "web-6d4cf-x2x5k", "main", "node-a", ip="10.244.0.9")


async def test_local_process_in_a_pod(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """A process whose cgroup names a container is that pod's workload, also where only /proc knows the cgroup."""
    uid = _web(api)
    _process(tmp_path, 77, cgroup=f"/kubepods/pod{uid}/{_CONTAINER}", cmdline="/usr/bin/nginx")

    async with _running(api, tmp_path, clock) as entities:
        found = entities.local(12345, 77, "nginx", at_ns=clock.now_ns)

    assert found == _WEB


async def test_container_that_is_not_known_yet(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """Before the container's status is told the pod's uid is enough; the container follows half a second later."""
    uid = _web(api)
    api.patch("pods", "default", _WEB.pod, {"status": {"containerStatuses": []}}, "status")
    _process(tmp_path, 77, cgroup=f"/kubepods/pod{uid}/{_CONTAINER}", cmdline="/usr/bin/nginx")

    async with _running(api, tmp_path, clock) as entities:
        before = entities.local(12345, 77, "nginx", at_ns=clock.now_ns)
        assert before is not None
        status = {"name": "main", "containerID": f"containerd://{_CONTAINER}"}
        api.patch("pods", "default", _WEB.pod, {"status": {"containerStatuses": [status]}}, "status")
        await until(lambda: entities.local(12345, 77, "nginx", at_ns=clock.now_ns) == _WEB)

    assert (before.id, before.container) == (_WEB.id, "")


async def test_pod_that_is_not_known_yet(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """A container that the API server has not told of is undecided, until it is told or two seconds have passed."""
    _process(tmp_path, 77, cgroup=f"/kubepods/pod{_UID}/{_CONTAINER}", cmdline="/usr/bin/nginx")
    _process(tmp_path, 78, cgroup=f"/kubepods/pod{_UID.replace('7', '8')}/{'cd' * 32}", cmdline="/usr/bin/nginx")

    async with _running(api, tmp_path, clock) as entities:
        first = [entities.local(0, pid, "nginx", at_ns=clock.now_ns) for pid in (77, 78)]
        api.create("pods", _with_container(pod("late-1")))
        await until(lambda: entities.local(0, 77, "nginx", at_ns=clock.now_ns) is not None)
        told = entities.local(0, 77, "nginx", at_ns=clock.now_ns)
        clock.now_ns += 3 * _S
        never_told = entities.local(0, 78, "nginx", at_ns=clock.now_ns)

    assert first == [None, None]
    assert told is not None
    assert told.id == "Pod/default/late-1"
    assert never_told == Entity(EntityKind.CONTAINER, "cd" * 6, container="cd" * 32, node="node-a")


async def test_job_whose_owner_is_not_known_yet(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """A pod may be told before its Job, and only the Job says whose CronJob it is: undecided, never two names."""
    _process(tmp_path, 77, cgroup=f"/kubepods/besteffort/pod{_UID}/{_CONTAINER}", cmdline="/bin/backup")
    job = {"metadata": {"name": "backup-28", "uid": "j1"}, "kind": "Job", "apiVersion": "batch/v1"}
    cron = {"metadata": {"name": "backup", "uid": "c1"}, "kind": "CronJob", "apiVersion": "batch/v1"}

    async with _running(api, tmp_path, clock) as entities:
        api.create("pods", _with_container(pod("backup-28-x2x5k", ownerReferences=owned_by(job))))
        await until(lambda: entities.statistics()["pods"] == 1)
        before = entities.local(0, 77, "backup", at_ns=clock.now_ns)
        template = deployment()["spec"]["template"]
        metadata = {"name": "backup-28", "ownerReferences": owned_by(cron)}
        api.create("jobs", {"metadata": metadata, "spec": {"template": template}})
        await until(lambda: entities.local(0, 77, "backup", at_ns=clock.now_ns) is not None)
        after = entities.local(0, 77, "backup", at_ns=clock.now_ns)

    assert before is None
    assert after is not None
    assert after.id == "CronJob/default/backup"


async def test_remote_addresses(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """Own pod, remote pod by its endpoint, Service, node port, node, own loopback and a stranger."""
    _web(api)
    async with _running(api, tmp_path, clock) as entities:

        def owner(ip: str, port: int = 80) -> str:
            found = entities.remote(Address(ip, port), at_ns=clock.now_ns)
            return found.id if found else "undecided"

        assert owner("10.244.0.9") == "Deployment/default/web"
        assert owner("10.244.1.9") == "Deployment/default/web"
        assert owner("10.96.0.5") == "Service/default/web"
        assert owner("192.168.1.2", 30080) == "Service/default/web"
        assert owner("192.168.1.2", 22) == "Node//node-b"
        assert owner("127.0.0.1", 22) == "Node//node-a"
        assert owner("1.1.1.1", 443) == "External//1.1.1.1"


async def test_service_of_an_address(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """The Service's name by virtual address and by node port; a pod's own address has none."""
    _web(api)
    async with _running(api, tmp_path, clock) as entities:
        at = [("10.96.0.5", 80), ("192.168.1.1", 30080), ("10.244.0.9", 80), ("10.96.0.5", 81)]
        names = [entities.service_of(Address(ip, port)) for ip, port in at]

    assert names == ["web", "web", "", ""]


async def test_only_own_pods_are_watched(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """By default the agent holds its node's pods, with `cluster` all of them."""
    _web(api)
    counts = []
    for watch in ("node", "cluster"):
        async with _running(api, tmp_path, clock, watch=watch) as entities:
            counts.append(entities.statistics()["pods"])

    assert counts == [1, 2]


async def test_unknown_private_address_is_undecided_for_a_while(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """It may be a pod that is just being told of; after two seconds it is external, until somebody claims it."""
    _web(api)
    stranger = Address("10.244.7.7", 80)
    async with _running(api, tmp_path, clock) as entities:
        first = entities.remote(stranger, at_ns=clock.now_ns)
        clock.now_ns += 3 * _S
        later = entities.remote(stranger, at_ns=clock.now_ns)
        api.create("pods", pod("late-1", ip="10.244.7.7"))
        await until(lambda: entities.remote(stranger, at_ns=clock.now_ns) != later)

    assert first is None
    assert later == Entity(EntityKind.EXTERNAL, "10.244.7.7", ip="10.244.7.7")


async def test_address_with_a_name_outside_is_decided(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """A private address that DNS gave a name of the company's is no pod: no need to wait for the API server."""
    reply = dns.message.make_response(dns.message.make_query("db.corp.example", "A"))
    reply.answer.append(dns.rrset.from_text("db.corp.example.", 60, "IN", "A", "10.1.2.3"))
    async with _running(api, tmp_path, clock) as entities:
        entities.on_dns(reply.to_wire(), 77, 5, clock.now_ns)
        asked = entities.remote(Address("10.1.2.3", 5432), at_ns=clock.now_ns, cgroup_id=5)
        as_client = entities.remote(Address("10.1.2.3", 5432), at_ns=clock.now_ns)

    assert asked == Entity(EntityKind.EXTERNAL, "db.corp.example", ip="10.1.2.3")
    assert as_client is None


async def test_nothing_is_external_before_the_cluster_is_known(tmp_path: Path, clock: _Clock, api: ApiServer) -> None:
    """While the first lists are under way every unknown address is undecided, but not for ever."""
    async with serve(api) as server:
        config = server.write_kubeconfig(tmp_path / "config")
        entities = Entities(EntityOptions("node-a", str(config), node_netns=""), now_ns=clock)
        before = entities.remote(Address("1.1.1.1", 443), at_ns=clock.now_ns)
        clock.now_ns += 16 * _S
        after = entities.remote(Address("1.1.1.1", 443), at_ns=clock.now_ns)

    assert before is None
    assert after is not None


async def test_export_of_objects(api: ApiServer, tmp_path: Path, clock: _Clock) -> None:
    """The agent reports pods with their workload, Services, workloads with replicas, nodes; then only changes."""
    _web(api)
    api.patch("deployments", "default", "web", {"status": {"readyReplicas": 1}}, "status")
    async with _running(api, tmp_path, clock) as entities:
        first = {(one.kind, one.name): one for one in entities.objects_changed()}
        again = entities.objects_changed()
        whole = entities.snapshot()

    assert again == []
    assert len(whole) == len(first)
    assert {kind for kind, _ in first} == {"Pod", "Service", "Deployment", "Node"}
    web, one_pod = first["Deployment", "web"], first["Pod", _WEB.pod]
    assert (web.replicas_desired, web.replicas_ready) == (2, 1)
    assert (one_pod.workload_kind, one_pod.workload_name, one_pod.replicas_ready) == ("Deployment", "web", 1)


async def test_host_without_kubernetes(tmp_path: Path, clock: _Clock) -> None:
    """Without a cluster processes are units, containers or themselves, addresses external at once; and it says why."""
    _process(tmp_path, 1, cgroup="/system.slice/nginx.service", cmdline="nginx")
    _process(tmp_path, 2, cgroup=f"/docker/{_CONTAINER}", cmdline="redis-server")
    _process(tmp_path, 3, cgroup="/user.slice/session-1.scope", cmdline="/usr/bin/python3 /srv/rates.py")
    options = EntityOptions("host-1", node_netns="", proc=tmp_path / "proc")
    entities = Entities(options, now_ns=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(entities.run)
        ready = await entities.wait_ready(5)
        found = [entities.local(0, pid, "python3", at_ns=clock.now_ns) for pid in (1, 2, 3, 4)]
        group.cancel_scope.cancel()

    outside = entities.remote(Address("10.1.2.3", 80), at_ns=clock.now_ns)
    assert ready
    assert [one and one.id for one in found] == [
        "Unit//nginx",
        f"Container//{_CONTAINER[:12]}",
        "Process//rates.py",
        "Process//python3",
    ]
    assert outside == Entity(EntityKind.EXTERNAL, "10.1.2.3", ip="10.1.2.3")
    kubernetes = next(one for one in entities.features() if one.name == "kubernetes")
    assert (kubernetes.is_working, "not in a cluster" in kubernetes.reason) == (False, True)


async def test_unreachable_cluster_is_a_feature_with_a_reason(tmp_path: Path, clock: _Clock) -> None:
    """A cluster that cannot be reached is named as the problem, and lookups go on."""
    async with serve(ApiServer()) as server:
        config = server.write_kubeconfig(tmp_path / "config")
    entities = Entities(EntityOptions("n", str(config), node_netns="", proc=tmp_path), timing=_FAST, now_ns=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(entities.run)
        await until(lambda: "Cannot connect" in entities.features()[0].reason)
        local = entities.local(0, 999_999, "curl", at_ns=clock.now_ns)
        group.cancel_scope.cancel()

    assert local == Entity(EntityKind.PROCESS, "curl", node="n")


async def test_lookups_of_the_same_process_are_cached(tmp_path: Path, clock: _Clock) -> None:
    """A process is looked at once, and again when its answer is old."""
    entities = Entities(EntityOptions("n", node_netns="", proc=tmp_path), now_ns=clock)
    for _ in range(100):
        entities.local(0, 5, "x", at_ns=clock.now_ns)
    early = entities.statistics()["local_lookups"]
    clock.now_ns += 31 * _S
    entities.local(0, 5, "x", at_ns=clock.now_ns)

    assert (early, entities.statistics()["local_lookups"]) == (1, 2)


def test_this_very_machine(clock: _Clock) -> None:
    """With the real /proc and cgroup tree the test's own process is named something."""
    entities = Entities(now_ns=clock)

    found = entities.local(0, os.getpid(), "pytest", at_ns=clock.now_ns)

    assert found is not None
    assert found.name
    assert found.node == platform.node()
