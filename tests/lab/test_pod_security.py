"""What a manifest lets a pod do, use and see, as the kernel finds it: capabilities, limits, volumes, its account."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from osmia.lab.cluster import Cluster
from osmia.lab.config import LabConfig
from osmia.lab.host import cgroup_root
from osmia.lab.kubelet.security import limits_of, security_of, user_of
from osmia.lab.runtime.cgroup import Limits
from osmia.model.errors import LabError
from tests.lab.conftest import Inside
from tests.lab.test_cluster import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

Object = dict[str, Any]
TOKEN_LIFE_S = 3
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ASK = (
    "import os, ssl, sys, urllib.request as u, urllib.error as e\n"
    f"base = '{ACCOUNT}/'\n"
    "url = 'https://' + os.environ['KUBERNETES_SERVICE_HOST'] + sys.argv[1]\n"
    "request = u.Request(url, headers={'Authorization': 'Bearer ' + open(base + 'token').read()})\n"
    "try: print(u.urlopen(request, context=ssl.create_default_context(cafile=base + 'ca.crt'), timeout=3).status)\n"
    "except e.HTTPError as error: print(error.code, error.read().decode())\n"
)


@pytest.fixture(scope="module")
async def lab(lab_host: None) -> AsyncIterator[Cluster]:
    """A lab whose account tokens are good for a moment only."""
    async with Cluster.up(LabConfig(name="t-security", token_life_s=TOKEN_LIFE_S)) as cluster:
        cluster.api.create("secrets", {"metadata": {"name": "keys"}, "stringData": {"id": "m1", "key": "k1"}})
        cluster.api.create("serviceaccounts", {"metadata": {"name": "reader"}})
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
        cluster.api.create("clusterroles", {"metadata": {"name": "reader"}, "rules": rules})
        cluster.api.create(
            "clusterrolebindings",
            {
                "metadata": {"name": "reader"},
                "roleRef": {"kind": "ClusterRole", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
            },
        )
        yield cluster


async def start(lab: Cluster, name: str, container: Object, **spec: Any) -> Object:  # noqa: ANN401 - manifest fields
    """A running pod with one idle container."""
    full = {"name": "main", "image": "busybox", **container}
    lab.api.create("pods", {"metadata": {"name": name}, "spec": {"containers": [full], **spec}})
    await until(lambda: lab.api.get("pods", "default", name)["status"]["phase"] == "Running")
    found: Object = lab.api.get("pods", "default", name)
    return found


def status_of(lab: Cluster, pod: Object) -> dict[str, str]:
    """The lines of /proc/PID/status of a pod's container."""
    (pid,) = lab.process_ids(pod).values()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


async def program(lab: Cluster, pod: Object, name: str) -> dict[str, str]:
    """The status of the container's program, once the script that prepares its world has become it."""
    await until(lambda: status_of(lab, pod).get("Name") == name)
    return status_of(lab, pod)


@pytest.mark.lab
async def test_a_program_has_the_capabilities_of_its_manifest(lab: Cluster) -> None:
    """Everything dropped and two added: two, and no way to more."""
    capabilities = {"drop": ["ALL"], "add": ["BPF", "CAP_PERFMON"]}
    context = {"capabilities": capabilities, "allowPrivilegeEscalation": False}

    pod = await start(lab, "few", {"securityContext": context})

    status = await program(lab, pod, "sleep")
    expected = 1 << 38 | 1 << 39
    assert [int(status[key], 16) for key in ("CapPrm", "CapEff", "CapBnd")] == [expected] * 3
    assert int(status["CapInh"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.lab
async def test_a_read_only_root_is_read_only_but_for_volumes(lab: Cluster, inside: Inside) -> None:
    """Nothing of the root, of this machine's file systems and of a volume lent read-only can be written."""
    volumes = [
        {"name": "own", "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": "lent", "hostPath": {"path": "/sys/fs/cgroup", "type": "Directory"}},
    ]
    mounts = [{"name": "own", "mountPath": "/own"}, {"name": "lent", "mountPath": "/lent", "readOnly": True}]
    container = {"securityContext": {"readOnlyRootFilesystem": True}, "volumeMounts": mounts}

    pod = await start(lab, "frozen", container, volumes=volumes)
    await program(lab, pod, "sleep")

    tried = "for at in / /etc /run /tmp /lent /own; do touch $at/x 2> /dev/null && echo $at || :; done"
    assert (await inside(pod, "sh", "-c", tried)).split() == ["/own"]
    assert "cgroup" in await inside(pod, "sh", "-c", "ls /lent; echo cgroup")


@pytest.mark.lab
async def test_limits_are_limits_of_the_kernel(lab: Cluster) -> None:
    """CPU and memory end where the manifest says, in whichever version of control groups has the controller."""
    limits = {"cpu": "500m", "memory": "64Mi"}

    pod = await start(lab, "small", {"resources": {"limits": limits, "requests": {"cpu": "10m"}}})
    await program(lab, pod, "sleep")
    _require_controllers()

    (pid,) = lab.process_ids(pod).values()
    assert _limit_of(pid, "cpu", "cpu.max", "cpu.cfs_quota_us").split()[0] == "50000"
    assert _limit_of(pid, "memory", "memory.max", "memory.limit_in_bytes") == str(64 << 20)


@pytest.mark.lab
async def test_a_container_that_outgrows_its_memory_is_killed_and_started_again(lab: Cluster) -> None:
    """The limit holds: exit code 137, and nothing of it stays behind in any control group."""
    _require_controllers()
    greedy = [sys.executable, "-S", "-c", "import time; time.sleep(0.2); x = bytearray(200 << 20); time.sleep(60)"]
    container = {"image": "osmia/host", "command": greedy, "resources": {"limits": {"memory": "32Mi"}}}

    pod = await start(lab, "greedy", container)
    await until(lambda: _container_status(lab, pod)["restartCount"] >= 1)

    assert _container_status(lab, pod)["lastState"]["terminated"]["exitCode"] == 137
    uid = pod["metadata"]["uid"].replace("-", "_")
    lab.api.delete("pods", "default", "greedy")
    await until(lambda: not lab.pods("default", "greedy"))
    assert not [one for tree in _trees() for one in tree.rglob(f"*{uid}*")]


@pytest.mark.lab
async def test_the_account_may_do_what_rbac_says(lab: Cluster, inside: Inside) -> None:
    """With the pod's own token: a list that is allowed, a right that is missing, and the account that has none."""
    pod = await start(lab, "asking", {}, serviceAccountName="reader")
    other = await start(lab, "nobody", {})
    host = f"KUBERNETES_SERVICE_HOST={lab.plan.kubernetes}"

    async def ask(pod: Object, path: str) -> str:
        return await inside(pod, "env", host, sys.executable, "-S", "-c", ASK, path)

    assert (await ask(pod, "/api/v1/pods")).strip() == "200"
    assert 'cannot list resource \\"secrets\\"' in await ask(pod, "/api/v1/secrets")
    assert (await ask(other, "/api/v1/pods")).startswith("403")


@pytest.mark.lab
async def test_tokens_are_replaced_before_they_end(lab: Cluster, inside: Inside) -> None:
    """Both the account's own and a projected one: after their time a new one lies in the file and works."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_LIFE_S}},
        {"secret": {"name": "keys", "items": [{"key": "id", "path": "monitoring-id"}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    mounts = [{"name": "all", "mountPath": "/all"}]
    pod = await start(
        lab,
        "renewed",
        {"volumeMounts": mounts},
        serviceAccountName="reader",
        volumes=[{"name": "all", "projected": {"sources": sources}}],
    )
    await program(lab, pod, "sleep")
    (pid,) = lab.process_ids(pod).values()
    # /var/run is a link to /run, which from here would lead out of the pod.
    files = [Path(f"/proc/{pid}/root{place}/token") for place in (ACCOUNT.removeprefix("/var"), "/all")]
    first = [file.read_text() for file in files]

    await until(lambda: all(file.read_text() != old for file, old in zip(files, first, strict=True)))
    await until(lambda: lab.api.accounts.identify(first[0]) is None)

    assert [lab.api.accounts.identify(file.read_text()) for file in files] != [None, None]
    assert (await inside(pod, "cat", "/all/monitoring-id", "/all/name")) == "m1renewed"
    host = f"KUBERNETES_SERVICE_HOST={lab.plan.kubernetes}"
    assert (await inside(pod, "env", host, sys.executable, "-S", "-c", ASK, "/api/v1/pods")).strip() == "200"


@pytest.mark.lab
async def test_a_pod_without_its_account_waits_and_says_why(lab: Cluster) -> None:
    """As where the API server refuses such a pod: nothing starts."""
    container = {"name": "main", "image": "busybox"}
    spec = {"containers": [container], "serviceAccountName": "missing"}
    pod = lab.api.create("pods", {"metadata": {"name": "orphan"}, "spec": spec})

    await until(lambda: "message" in str(_container_status(lab, pod)))

    assert _container_status(lab, pod)["state"]["waiting"]["message"] == 'serviceaccounts "missing" not found'


@pytest.mark.lab
async def test_readiness_waits_for_the_startup_probe(lab: Cluster, inside: Inside) -> None:
    """Running but neither started nor ready until the file is there."""
    probe = {"exec": {"command": ["test", "-e", "/run/up"]}, "periodSeconds": 1, "failureThreshold": 60}

    pod = await start(lab, "slow", {"startupProbe": probe})
    await program(lab, pod, "sleep")
    before = _container_status(lab, pod)["ready"]
    await inside(pod, "touch", "/run/up")
    await until(lambda: _container_status(lab, pod)["ready"])

    assert before is False


def test_capabilities_begin_with_the_usual_ones() -> None:
    """Dropping or adding one leaves the others of the runtime's default set; none mentioned means all."""
    plain, privileged = security_of({}), security_of({"securityContext": {"privileged": True, "capabilities": {}}})
    changed = security_of({"securityContext": {"capabilities": {"drop": ["NET_RAW"], "add": ["SYS_TIME"]}}})

    assert plain.capabilities is None
    assert privileged.capabilities is None
    assert changed.capabilities is not None
    assert {"sys_time", "chown"} <= set(changed.capabilities)
    assert "net_raw" not in changed.capabilities


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [("1", "1Gi", Limits(1.0, 1 << 30)), ("100m", "128M", Limits(0.1, 128_000_000)), (0.5, 1024, Limits(0.5, 1024))],
)
def test_quantities_are_read(cpu: Any, memory: Any, expected: Limits) -> None:  # noqa: ANN401 - YAML values
    """Cores and bytes, with any suffix."""
    assert limits_of({"resources": {"limits": {"cpu": cpu, "memory": memory}}}) == expected


def test_a_quantity_that_is_none_is_named() -> None:
    """With the field and what to write."""
    with pytest.raises(LabError, match="memory 'lots' is no quantity"):
        limits_of({"resources": {"limits": {"memory": "lots"}}})


def test_the_containers_user_comes_before_the_pods() -> None:
    """The nearer securityContext wins; without any, the image's own user."""
    pod = {"spec": {"securityContext": {"runAsUser": 1000}}}

    assert user_of(pod, {"securityContext": {"runAsUser": 0}}, "nginx") == "0"
    assert user_of(pod, {}, "nginx") == "1000"
    assert user_of({"spec": {}}, {}, "nginx") == "nginx"


def _container_status(lab: Cluster, pod: Object) -> Object:
    found = lab.api.get("pods", "default", pod["metadata"]["name"])
    statuses: list[Object] = found["status"].get("containerStatuses") or [{"restartCount": 0}]
    return statuses[0]


def _require_controllers() -> None:
    """Skip where neither version of control groups hands CPU and memory down (some containers)."""
    in_version_2 = (cgroup_root() / "cgroup.subtree_control").read_text().split()
    if len(_trees()) == 1 and not {"cpu", "memory"} <= set(in_version_2):
        pytest.skip("this machine hands the controllers of CPU and memory to nobody")


def _trees() -> list[Path]:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    old = [
        Path(point)
        for _, point, kind, options, *_ in mounts
        if kind == "cgroup" and {"cpu", "memory"} & set(options.split(","))
    ]
    return [cgroup_root(), *old]


def _limit_of(pid: int, controller: str, file: str, old_file: str) -> str:
    """The limit that holds for a process, wherever its controller is."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            tree = next(one for one in _trees()[1:] if (one / path.lstrip("/") / old_file).exists())
            return (tree / path.lstrip("/") / old_file).read_text().strip()
        if not controllers:
            unified = cgroup_root() / path.lstrip("/") / file
    return unified.read_text().strip()
