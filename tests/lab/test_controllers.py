"""Controllers against an API server, with pods that become ready as soon as they are bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.lab.apiserver import ApiError, ApiServer, DeletionOptions
from osmia.lab.controllers.deployments import Deployments, next_sizes
from osmia.lab.controllers.loop import Key, Reconciler, own_key
from osmia.lab.controllers.replicasets import ReplicaSets
from osmia.lab.controllers.scheduler import Scheduler
from osmia.lab.controllers.services import Claims, Services
from osmia.lab.controllers.sets import DaemonSets, StatefulSets
from osmia.lab.readiness import WORKLOADS, progress_of

pytestmark = pytest.mark.anyio

Object = dict[str, Any]
Echo = Callable[..., Object]


async def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait for a condition."""
    with anyio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions over the store
            await anyio.sleep(0.005)


def pods(api: ApiServer, selector: str = "") -> list[Object]:
    """The pods that are not on their way out."""
    return [pod for pod in api.list("pods", "default", selector) if "deletionTimestamp" not in pod["metadata"]]


def is_ready(api: ApiServer) -> bool:
    """Whether all workloads are."""
    return progress_of({resource: api.list(resource) for resource in WORKLOADS}, api.list("pods")).is_done


@asynccontextmanager
async def running(api: ApiServer, *, nodes: int = 1) -> AsyncIterator[None]:
    """All controllers, nodes, and a kubelet that only pretends."""
    for number in range(nodes):
        api.create("nodes", {"metadata": {"name": f"node-{number}", "labels": {"zone": f"z{number}"}}})
    async with anyio.create_task_group() as tasks:
        for controller in (Deployments, ReplicaSets, StatefulSets, DaemonSets, Scheduler, Claims):
            tasks.start_soon(controller(api).run)
        tasks.start_soon(Services(api, IPv4Network("10.96.0.0/16")).run)
        tasks.start_soon(_pretend, api)
        yield
        tasks.cancel_scope.cancel()


async def _pretend(api: ApiServer) -> None:
    number = 0
    async for event, pod in api.subscribe("pods"):
        if event == "DELETED" or not pod["spec"].get("nodeName"):
            continue
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        try:
            if "deletionTimestamp" in pod["metadata"]:
                api.delete("pods", *key, DeletionOptions(grace_period_s=0))
            elif pod["status"].get("phase") == "Pending":
                number += 1
                ready = "False" if "broken" in str(pod["spec"]["containers"][0].get("env")) else "True"
                conditions = [{"type": "Ready", "status": ready}]
                status = {"phase": "Running", "podIP": f"10.244.0.{number}", "conditions": conditions}
                api.patch("pods", *key, {"status": status}, "status")
        except ApiError:
            continue


async def test_a_deployment_gets_its_pods(api: ApiServer, echo: Echo) -> None:
    """A Deployment makes a ReplicaSet, which makes bound pods that lead back to it."""
    async with running(api):
        api.create("deployments", echo("web", replicas=3))
        await until(lambda: is_ready(api))

        (replica_set,) = api.list("replicasets")
        owners = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods(api)}
        deployment = api.get("deployments", "default", "web")

    assert len(pods(api)) == 3
    assert owners == {replica_set["metadata"]["uid"]}
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    assert deployment["status"]["conditions"][0]["status"] == "True"


@pytest.mark.parametrize("replicas", [0, 1, 4])
async def test_scaling_keeps_what_can_be_kept(api: ApiServer, echo: Echo, replicas: int) -> None:
    """Scaling up keeps all pods, scaling down only removes."""
    async with running(api):
        api.create("deployments", echo("web", replicas=2))
        await until(lambda: is_ready(api))
        before = {pod["metadata"]["name"] for pod in pods(api)}

        api.patch("deployments", "default", "web", {"spec": {"replicas": replicas}})
        await until(lambda: is_ready(api) and len(pods(api)) == replicas)
        after = {pod["metadata"]["name"] for pod in pods(api)}

    assert before <= after or after <= before


async def test_a_deleted_pod_is_replaced(api: ApiServer, echo: Echo) -> None:
    """The number of pods is restored by a new pod."""
    async with running(api):
        api.create("deployments", echo("web", replicas=1))
        await until(lambda: is_ready(api))
        (first,) = pods(api)

        api.delete("pods", "default", first["metadata"]["name"])
        await until(
            lambda: is_ready(api) and first["metadata"]["uid"] not in {one["metadata"]["uid"] for one in pods(api)}
        )
        await until(lambda: pods(api))

        (second,) = pods(api)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_changed_template_rolls_over_without_a_gap(api: ApiServer, echo: Echo) -> None:
    """Old pods go only as new ones are ready; in the end all are new and the revision counts up."""
    fewest = 99
    async with running(api):
        api.create("deployments", echo("web", replicas=3))
        await until(lambda: is_ready(api))

        api.patch("deployments", "default", "web", {"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}})

        def is_over() -> bool:
            nonlocal fewest
            fewest = min(fewest, sum(pod["status"].get("phase") == "Running" for pod in pods(api)))
            return is_ready(api) and len(pods(api, "v=2")) == 3 == len(pods(api))

        await until(is_over)
        deployment = api.get("deployments", "default", "web")

    assert fewest >= 3
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_a_template_that_never_gets_ready_leaves_the_old_pods(api: ApiServer, echo: Echo) -> None:
    """A broken roll-out stops after the surge; the old pods go on serving."""
    async with running(api):
        api.create("deployments", echo("web", replicas=2))
        await until(lambda: is_ready(api))
        broken = echo("web", replicas=2, env=[{"name": "broken", "value": "1"}])["spec"]["template"]
        broken["metadata"]["labels"]["v"] = "2"

        api.patch("deployments", "default", "web", {"spec": {"template": broken}})
        await until(lambda: pods(api, "v=2"))
        await until(lambda: api.get("deployments", "default", "web")["status"].get("updatedReplicas") == 1)

        old = [pod for pod in pods(api) if "v" not in pod["metadata"]["labels"]]
    assert len(old) == 2
    assert not is_ready(api)


async def test_deleting_a_deployment_deletes_its_pods(api: ApiServer, echo: Echo) -> None:
    """Nothing of it stays."""
    async with running(api):
        api.create("deployments", echo("web", replicas=2))
        await until(lambda: is_ready(api))

        api.delete("deployments", "default", "web")
        await until(lambda: not api.list("pods") and not api.list("replicasets"))

    assert api.list("deployments") == []


async def test_a_service_lists_its_pods_and_who_is_ready(api: ApiServer, echo: Echo) -> None:
    """The slice holds each pod that the selector finds, with its readiness and a reference to it."""
    async with running(api):
        api.create("deployments", echo("good"))
        api.create("deployments", echo("bad", env=[{"name": "broken", "value": "1"}]))
        for pod in ("good", "bad"):
            template = {"spec": {"template": {"metadata": {"labels": {"tier": "web"}}}}}
            api.patch("deployments", "default", pod, template)
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        api.create("services", {"metadata": {"name": "web"}, "spec": {"selector": {"tier": "web"}, "ports": ports}})

        def readiness() -> set[tuple[str, bool]]:
            slices = api.list("endpointslices", "default")
            listed = [endpoint for one in slices for endpoint in one["endpoints"]]
            return {(one["targetRef"]["name"].split("-")[0], one["conditions"]["ready"]) for one in listed}

        await until(lambda: readiness() == {("good", True), ("bad", False)})
        (found,) = api.list("endpointslices", "default")

    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


async def test_a_load_balancer_gets_an_address_of_its_own(api: ApiServer) -> None:
    """Two LoadBalancers have two addresses at the end of the Service network."""
    async with running(api):
        for name in ("a", "b"):
            spec = {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}]}
            api.create("services", {"metadata": {"name": name}, "spec": spec})

        def addresses() -> set[str]:
            balanced = [one.get("status", {}).get("loadBalancer", {}).get("ingress") for one in api.list("services")]
            return {ingress[0]["ip"] for ingress in balanced if ingress}

        await until(lambda: len(addresses()) == 2)

    assert addresses() == {"10.96.255.1", "10.96.255.2"}


async def test_a_stateful_set_has_named_pods_with_claims(api: ApiServer, echo: Echo) -> None:
    """Pods are numbered, made in order, and each has its own claim, which is bound."""
    stateful_set = echo("db", replicas=2) | {"kind": "StatefulSet"}
    stateful_set["spec"] |= {
        "serviceName": "db",
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
    }
    async with running(api):
        api.create("statefulsets", stateful_set)
        await until(lambda: is_ready(api))
        await until(lambda: all(one["status"]["phase"] == "Bound" for one in api.list("persistentvolumeclaims")))

        names = [pod["metadata"]["name"] for pod in pods(api)]
        claims = [one["metadata"]["name"] for one in api.list("persistentvolumeclaims")]
        api.patch("statefulsets", "default", "db", {"spec": {"replicas": 1}})
        await until(lambda: [pod["metadata"]["name"] for pod in api.list("pods")] == ["db-0"])

    assert names == ["db-0", "db-1"]
    assert claims == ["data-db-0", "data-db-1"]


async def test_a_daemon_set_has_one_pod_per_matching_node(api: ApiServer, echo: Echo) -> None:
    """Every node that the selector allows has one pod, a node that comes later too."""
    daemon_set = echo("agent") | {"kind": "DaemonSet"}
    del daemon_set["spec"]["replicas"]
    async with running(api, nodes=2):
        api.create("daemonsets", daemon_set)
        await until(lambda: is_ready(api) and len(pods(api)) == 2)

        api.create("nodes", {"metadata": {"name": "node-9"}})
        await until(lambda: len(pods(api)) == 3)

        nodes = {pod["spec"]["nodeName"] for pod in pods(api)}
    assert nodes == {"node-0", "node-1", "node-9"}


async def test_pods_spread_over_nodes(api: ApiServer, echo: Echo) -> None:
    """The emptiest node gets the next pod; a node selector is obeyed."""
    async with running(api, nodes=2):
        api.create("deployments", echo("web", replicas=4))
        await until(lambda: is_ready(api))
        spread = sorted(pod["spec"]["nodeName"] for pod in pods(api))
        pinned = echo("pinned", replicas=2)
        pinned["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "z1"}
        api.create("deployments", pinned)
        await until(lambda: is_ready(api))

        where = {pod["spec"]["nodeName"] for pod in pods(api, "app=pinned")}
    assert spread == ["node-0", "node-0", "node-1", "node-1"]
    assert where == {"node-1"}


@given(
    replicas=st.integers(0, 12),
    before=st.integers(0, 12),
    surge=st.integers(0, 5),
    unavailable=st.integers(0, 5),
)
async def test_every_roll_out_ends_and_keeps_its_limits(
    replicas: int, before: int, surge: int, unavailable: int
) -> None:
    """Whatever the limits, a roll-out reaches its end, never exceeds the surge, never goes below what must stay."""
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    spec = {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    sizes, ready = {"old": before, "new": 0}, {"old": before, "new": 0}
    floor = min(before, replicas - (unavailable if surge or unavailable else 1))
    for _ in range(60):
        sizes = next_sizes(spec, "new", sizes, ready)
        ready = {name: min(ready[name], size) for name, size in sizes.items()}
        assert sum(sizes.values()) <= max(before, replicas + surge)
        assert sum(ready.values()) >= floor
        behind = [name for name in sizes if ready[name] < sizes[name]]
        if behind:
            ready[behind[0]] += 1  # one more pod got ready
        elif sizes == {"old": 0, "new": replicas}:
            break

    assert sizes == {"old": 0, "new": replicas}


async def test_an_object_that_breaks_a_controller_does_not_stop_it(api: ApiServer) -> None:
    """The key that fails is tried again; all others are served meanwhile."""
    tried: list[str] = []

    async def reconcile(key: Key) -> None:
        tried.append(key[1])
        if key[1] == "odd":
            raise KeyError("spec")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Reconciler("test", api, reconcile, {"configmaps": own_key}).run)
        for name in ("odd", "even"):
            api.create("configmaps", {"metadata": {"name": name}})
        await until(lambda: tried.count("odd") >= 2 and "even" in tried)
        tasks.cancel_scope.cancel()

    assert tried.count("even") == 1
