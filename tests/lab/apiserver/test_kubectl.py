"""The real kubectl, unmodified, against the API server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from osmia.lab.apiserver import ApiServer, DeletionOptions, LogQuery
from tests.lab.apiserver.world import deployment, pod, service

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
Kubectl = Callable[..., Awaitable[str]]

_MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: nginx:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


async def test_get_prints_the_columns(api: ApiServer, kubectl: Kubectl) -> None:
    """`get pods -A` and `-o wide` print what a real cluster would."""
    api.create("pods", pod())

    plain, wide = await kubectl("get", "pods", "-A"), await kubectl("get", "pods", "-o", "wide")

    assert _rows(plain)[0] == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert _rows(plain)[1][:4] == ["default", "web-1", "1/1", "Running"]
    assert _rows(wide)[1][5:7] == ["10.244.0.9", "node-a"]


async def test_get_all_prints_every_kind(api: ApiServer, kubectl: Kubectl) -> None:
    """`get all` lists pods, Services and workloads."""
    api.create("pods", pod())
    api.create("services", service())
    api.create("deployments", deployment())

    text = await kubectl("get", "all", "-A")

    assert {"pod/web-1", "service/web", "deployment.apps/web"} <= {row[1] for row in _rows(text) if len(row) > 1}


_SHORT_NAMES = (
    *("nodes", "services", "deploy", "rs", "sts", "ds", "jobs", "cj", "ns", "ep", "endpointslices", "events"),
    *("secrets", "cm", "pvc", "sa", "leases", "pc"),
)


@pytest.mark.parametrize("resource", _SHORT_NAMES)
async def test_every_resource_can_be_listed(kubectl: Kubectl, resource: str) -> None:
    """`get` knows each resource by its short name and finds it readable."""
    text = await kubectl("get", resource, "-A", "-o", "wide")

    assert text == "" or text.startswith(("NAME", "LAST"))


async def test_get_in_pages(api: ApiServer, kubectl: Kubectl) -> None:
    """`--chunk-size` pages through the list."""
    for number in range(7):
        api.create("pods", pod(f"web-{number}"))

    text = await kubectl("get", "pods", "--chunk-size=2", "--no-headers")

    assert [row[0] for row in _rows(text)] == [f"web-{number}" for number in range(7)]


async def test_get_as_yaml_and_json(api: ApiServer, kubectl: Kubectl) -> None:
    """`-o yaml` and `-o json` print the whole object."""
    api.create("pods", pod())

    yaml, parsed = await kubectl("get", "pod", "web-1", "-o", "yaml"), await kubectl("get", "pods", "-o", "json")

    assert "kind: Pod" in yaml
    assert json.loads(parsed)["items"][0]["spec"]["nodeName"] == "node-a"


async def test_get_watch_prints_changes(api: ApiServer, kubectl: Kubectl) -> None:
    """`get -w` prints the list, then each change, until the request's time is over."""
    api.create("pods", pod())
    text = ""

    async with anyio.create_task_group() as group:

        async def follow() -> None:
            nonlocal text
            text = await kubectl("get", "pods", "-w", "--request-timeout=2s")

        group.start_soon(follow)
        with anyio.fail_after(10):
            await api.faults.wait_watches(1)
        api.patch("pods", "default", "web-1", {"status": {"phase": "Failed", "reason": "Evicted"}}, "status")
        api.delete("pods", "default", "web-1")

    assert [row[2] for row in _rows(text)] == ["STATUS", "Running", "Evicted", "Evicted"]


async def test_apply_creates_updates_and_removes(api: ApiServer, kubectl: Kubectl) -> None:
    """`apply -f` creates everything, changes only what differs, and takes out what left the manifest."""
    created = await kubectl("apply", "-f", "-", stdin=_MANIFEST)
    changed = await kubectl("apply", "-f", "-", stdin=_MANIFEST.replace("nginx:1", "nginx:2").replace(
        '{name: A, value: "1"}, ', ""))  # fmt: skip

    container = api.get("deployments", "shop", "web")["spec"]["template"]["spec"]["containers"][0]
    assert [line.split()[-1] for line in created.splitlines()] == ["created"] * 3
    assert [line.split()[-1] for line in changed.splitlines()] == ["unchanged", "configured", "unchanged"]
    assert (container["image"], container["env"]) == ("nginx:2", [{"name": "B", "value": "2"}])


async def test_apply_on_the_server(api: ApiServer, kubectl: Kubectl) -> None:
    """`apply --server-side` works as well."""
    await kubectl("apply", "--server-side", "-f", "-", stdin=_MANIFEST)

    assert api.get("services", "shop", "web")["metadata"]["managedFields"][0]["manager"] == "kubectl"


async def test_diff_of_a_manifest(kubectl: Kubectl) -> None:
    """`apply --dry-run=server` says what would happen and does nothing."""
    text = await kubectl(
        "apply", "--dry-run=server", "-f", "-", stdin="kind: Namespace\napiVersion: v1\nmetadata: {name: x}"
    )

    assert text == "namespace/x created (server dry run)\n"


async def test_label_and_annotate(api: ApiServer, kubectl: Kubectl) -> None:
    """`label` and `annotate` set and remove."""
    api.create("pods", pod())

    await kubectl("label", "pod", "web-1", "color=red", "app-")
    await kubectl("annotate", "pod", "web-1", "note=hello")

    metadata = api.get("pods", "default", "web-1")["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"color": "red"}, {"note": "hello"})


async def test_scale_and_rollout_status(api: ApiServer, kubectl: Kubectl) -> None:
    """`scale` sets replicas; `rollout status` waits until the status says done."""
    api.create("deployments", deployment())

    await kubectl("scale", "deployment/web", "--replicas=3")
    done = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
    api.patch("deployments", "default", "web", {"status": done}, "status")
    text = await kubectl("rollout", "status", "deployment/web", "--timeout=5s")

    assert api.get("deployments", "default", "web")["spec"]["replicas"] == 3
    assert text == 'deployment "web" successfully rolled out\n'


async def test_rollout_restart(api: ApiServer, kubectl: Kubectl) -> None:
    """`rollout restart` and `set image` change the template."""
    api.create("deployments", deployment())

    await kubectl("rollout", "restart", "deployment/web")
    await kubectl("set", "image", "deployment/web", "main=nginx:9")

    template = api.get("deployments", "default", "web")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert template["spec"]["containers"][0]["image"] == "nginx:9"


async def test_wait_for_a_condition(api: ApiServer, kubectl: Kubectl) -> None:
    """`wait` returns when the condition holds, and fails when it does not in time."""
    api.create("pods", pod("a-1"))
    api.create("pods", pod("b-1") | {"status": {"phase": "Pending"}})

    met = await kubectl("wait", "--for=condition=Ready", "pod/a-1", "--timeout=5s")
    unmet = await kubectl("wait", "--for=condition=Ready", "pod/b-1", "--timeout=1s", fails=True)

    assert met == "pod/a-1 condition met\n"
    assert "timed out waiting for the condition" in unmet


async def test_delete_waits_for_the_kubelet(api: ApiServer, kubectl: Kubectl) -> None:
    """`delete pod` returns when the pod is gone, which the kubelet decides."""
    api.create("pods", pod())
    text = ""

    async with anyio.create_task_group() as group:

        async def delete() -> None:
            nonlocal text
            text = await kubectl("delete", "pod", "web-1")

        group.start_soon(delete)
        with anyio.fail_after(10):
            async for _, obj in api.subscribe("pods"):
                if "deletionTimestamp" in obj["metadata"]:
                    break
        api.delete("pods", "default", "web-1", DeletionOptions(grace_period_s=0))

    assert text == 'pod "web-1" deleted\n'


async def test_delete_of_what_is_not_there_fails(kubectl: Kubectl) -> None:
    """`delete` passes the 404 on."""
    text = await kubectl("delete", "pod", "ghost", fails=True)

    assert text == 'Error from server (NotFound): pods "ghost" not found\n'


async def test_delete_of_a_namespace(api: ApiServer, kubectl: Kubectl) -> None:
    """`delete namespace` takes everything in it along."""
    await kubectl("apply", "-f", "-", stdin=_MANIFEST)

    await kubectl("delete", "namespace", "shop")

    assert api.list("deployments") == []
    assert api.list("services") == []


async def test_describe(api: ApiServer, kubectl: Kubectl) -> None:
    """`describe` of a pod shows its events; of Deployment, Service and node it works."""
    made = api.create("pods", pod())
    api.create("deployments", deployment())
    api.create("services", service())
    api.create("nodes", {"metadata": {"name": "node-a"}})
    involved = {"kind": "Pod", "namespace": "default", "name": "web-1", "uid": made["metadata"]["uid"]}
    event = {"metadata": {"name": "e"}, "involvedObject": involved, "reason": "Pulled", "message": "image is there"}
    api.create("events", event | {"type": "Normal", "source": {"component": "kubelet"}, "count": 1})

    texts = [await kubectl("describe", what) for what in ("pod/web-1", "deployment/web", "service/web", "node/node-a")]

    assert "image is there" in texts[0]
    assert all(text.startswith("Name:") for text in texts)


async def test_logs(api: ApiServer, kubectl: Kubectl) -> None:
    """`logs` prints what the log source gives for pod and container."""
    asked: list[LogQuery] = []

    async def source(query: LogQuery) -> AsyncIterator[bytes]:
        asked.append(query)
        yield b"first line\n"
        yield b"second line\n"

    api.log_source = source
    api.create("pods", pod())

    text = await kubectl("logs", "web-1", "--tail=2")

    assert text == "first line\nsecond line\n"
    assert asked == [LogQuery("default", "web-1", "main", tail_lines=2)]


async def test_api_resources_and_version(kubectl: Kubectl) -> None:
    """`api-resources`, `api-versions`, `version`, `auth can-i` and `cluster-info` work."""
    resources = await kubectl("api-resources", "--no-headers")
    version = json.loads(await kubectl("version", "-o", "json"))
    allowed = await kubectl("auth", "can-i", "create", "pods")

    assert {"pods", "endpointslices", "priorityclasses", "cronjobs"} <= {row[0] for row in _rows(resources)}
    assert version["serverVersion"]["minor"] == "32"
    assert allowed == "yes\n"
    assert "apps/v1" in await kubectl("api-versions")


async def test_selectors_on_the_command_line(api: ApiServer, kubectl: Kubectl) -> None:
    """`-l` and `--field-selector` narrow the list."""
    api.create("pods", pod("a-1"))
    api.create("pods", pod("b-1", node="node-b"))

    by_label = await kubectl("get", "pods", "-l", "app in (a)", "-o", "name")
    by_field = await kubectl("get", "pods", "--field-selector=spec.nodeName=node-b", "-o", "name")

    assert (by_label, by_field) == ("pod/a-1\n", "pod/b-1\n")
