"""A real lab: pods as the kernel sees them, Services, names, restarts, volumes."""

# ruff: noqa: ASYNC240 - /proc and small files; nothing else waits for this loop

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from osmia.lab.client import LabClient
from osmia.lab.cluster import Cluster
from osmia.lab.host import cgroup_root
from osmia.model.errors import ConfigError, LabError

pytestmark = [pytest.mark.lab, pytest.mark.anyio, pytest.mark.timeout(60)]

Object = dict[str, Any]
Echo = Callable[..., Object]
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=3).read().decode())"
FETCH_MANY = (
    "import sys, urllib.request as u\nfor _ in range(40): print(u.urlopen(sys.argv[1], timeout=3).read().decode())"
)


async def until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait for a condition."""
    with anyio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions over the store
            await anyio.sleep(0.01)


def create_service(lab: Cluster, name: str, **spec: Any) -> None:  # noqa: ANN401 - manifest fields
    """A Service on port 80 before the echo servers of that name."""
    ports = [{"port": 80, "targetPort": "http"}]
    lab.api.create(
        "services", {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports, **spec}}
    )


def status_of(lab: Cluster, pod: Object) -> Object:
    """The newest containerStatus of a pod's only container."""
    found = lab.api.get("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
    statuses: list[Object] = found["status"].get("containerStatuses") or [{}]
    return statuses[0]


@pytest.fixture(scope="module")
async def web(lab: Cluster) -> list[Object]:
    """Two echo servers behind the Service `web`."""
    from tests.lab.conftest import echo_deployment

    lab.api.create("deployments", echo_deployment("web", replicas=2))
    create_service(lab, "web", type="NodePort")
    await lab.wait_ready(15)
    return lab.pods("default", "web")


async def test_pods_reach_each_other_by_service_name(lab: Cluster, web: list[Object], inside: Any) -> None:  # noqa: ANN401
    """Short and full names lead through the VIP to both replicas, a pod itself included."""
    said = ""
    for name in ("web", "web.default", "web.default.svc.cluster.local"):
        said += await inside(web[0], sys.executable, "-S", "-c", FETCH_MANY, f"http://{name}/")

    answered = {line.split()[0] for line in said.split("\n") if line}
    assert answered == {pod["metadata"]["name"] for pod in web}


async def test_a_server_sees_the_clients_pod_address_but_its_own_through_the_bridge(
    lab: Cluster,
    web: list[Object],
    inside: Any,  # noqa: ANN401
) -> None:
    """Through a VIP the peer is the client pod; a pod that meets itself is seen as the node's bridge."""
    said = await inside(web[0], sys.executable, "-S", "-c", FETCH_MANY, "http://web/")

    seen = dict(line.split() for line in said.split("\n") if line)
    assert seen[web[1]["metadata"]["name"]] == web[0]["status"]["podIP"]
    assert seen[web[0]["metadata"]["name"]] == str(lab.plan.gateway)


async def test_this_machine_reaches_pods_vips_and_node_ports(lab: Cluster, web: list[Object]) -> None:
    """Host processes use the uplink; pods see its address."""
    port = lab.api.get("services", "default", "web")["spec"]["ports"][0]["nodePort"]
    targets = [f"{web[0]['status']['podIP']}:8080", lab.address_of("default", "web"), f"{lab.plan.node}:{port}"]

    for target in targets:
        done = await anyio.run_process([sys.executable, "-S", "-c", FETCH, f"http://{target}/"])
        assert done.stdout.split()[1].decode() == str(lab.plan.host)


async def test_a_pod_reaches_this_machine_and_the_api_server(lab: Cluster, web: list[Object], inside: Any) -> None:  # noqa: ANN401
    """In-cluster configuration works: account files, environment, Service `kubernetes`."""
    script = (
        "import os, ssl, urllib.request as u\n"
        "base = '/var/run/secrets/kubernetes.io/serviceaccount/'\n"
        "url = 'https://' + os.environ['KUBERNETES_SERVICE_HOST'] + '/api/v1/namespaces/default/pods'\n"
        "request = u.Request(url, headers={'Authorization': 'Bearer ' + open(base + 'token').read()})\n"
        "trust = ssl.create_default_context(cafile=base + 'ca.crt')\n"
        "print(u.urlopen(request, context=trust, timeout=3).status)"
    )
    host = str(lab.plan.kubernetes)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    lab.api.create("roles", {"metadata": {"name": "lister"}, "rules": rules})
    account = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    role = {"kind": "Role", "name": "lister"}
    lab.api.create("rolebindings", {"metadata": {"name": "lister"}, "roleRef": role, "subjects": [account]})

    said = await inside(web[0], "env", f"KUBERNETES_SERVICE_HOST={host}", sys.executable, "-S", "-c", script)

    assert said.strip() == "200"


async def test_conntrack_of_the_node_shows_the_translation(lab: Cluster, web: list[Object], inside: Any) -> None:  # noqa: ANN401
    """From VIP to pod: what an agent needs to name the real peer."""
    vip = lab.address_of("default", "web")
    await inside(web[0], sys.executable, "-S", "-c", FETCH_MANY, f"http://{vip}/")

    table = (await anyio.run_process(["nsenter", f"--net={lab.namespace_path}", "conntrack", "-L", "-d", vip])).stdout

    client, server = web[0]["status"]["podIP"], web[1]["status"]["podIP"]
    assert re.search(rf"src={client} dst={vip} \S+ dport=80 src={server} dst={client} sport=8080", table.decode())


async def test_a_vip_without_endpoints_refuses_at_once(lab: Cluster, web: list[Object], inside: Any) -> None:  # noqa: ANN401
    """No endpoint: connection refused, not a time-out."""
    create_service(lab, "nobody")
    address = lab.address_of("default", "nobody")

    said = await inside(web[0], "sh", "-c", f"{sys.executable} -S -c '{FETCH}' http://{address}/ 2>&1 | tail -n 1")

    assert "refused" in said


async def test_processes_are_in_cgroups_as_on_a_real_node(lab: Cluster, web: list[Object]) -> None:
    """The path carries the pod's uid and the container id that the pod's status tells."""
    (pid,) = lab.process_ids(web[0]).values()
    path = Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()

    uid = web[0]["metadata"]["uid"].replace("-", "_")
    container_id = status_of(lab, web[0])["containerID"].removeprefix("containerd://")
    slices = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice"
    assert path == f"{slices}/cri-containerd-{container_id}.scope"
    assert len(list(cgroup_root().joinpath(slices[1:]).glob("cri-containerd-*.scope"))) == 2  # pause has its own


async def test_a_container_has_namespaces_of_its_own(lab: Cluster, web: list[Object], inside: Any) -> None:  # noqa: ANN401
    """Host name, processes, files and addresses are the pod's."""
    address = web[0]["status"]["podIP"]

    assert (await inside(web[0], "hostname")).strip() == web[0]["metadata"]["name"]
    assert f"{address}\t{web[0]['metadata']['name']}" in await inside(web[0], "cat", "/etc/hosts")
    assert "ndots:5" in await inside(web[0], "cat", "/etc/resolv.conf")
    assert (await inside(web[0], "cat", "/proc/1/comm")).strip().startswith("python")
    await inside(web[0], "touch", "/written-in-a-test")
    assert not Path("/written-in-a-test").exists()


async def test_only_ready_pods_are_endpoints(lab: Cluster, echo: Echo) -> None:
    """A pod whose probe fails runs, but no traffic is sent to it."""
    probe = {"exec": {"command": ["test", "-e", "/run/tmp/ready"]}, "periodSeconds": 1}
    lab.api.create("deployments", echo("gate", readinessProbe=probe))
    create_service(lab, "gate")
    await until(lambda: lab.pods("default", "gate") and status_of(lab, lab.pods("default", "gate")[0]).get("started"))
    (pod,) = lab.pods("default", "gate")

    def ready() -> list[bool]:
        slices = lab.api.list("endpointslices", "default", "kubernetes.io/service-name=gate")
        return [endpoint["conditions"]["ready"] for one in slices for endpoint in one["endpoints"]]

    await until(lambda: ready() == [False])
    (pid,) = lab.process_ids(pod).values()
    await until(Path(f"/proc/{pid}/root/run/tmp").exists)
    Path(f"/proc/{pid}/root/run/tmp/ready").touch()
    await until(lambda: ready() == [True])

    assert lab.api.get("pods", "default", pod["metadata"]["name"])["status"]["phase"] == "Running"


async def test_pods_go_through_the_phases_that_a_real_kubelet_shows(lab: Cluster, echo: Echo) -> None:
    """Pending without address, bound, Running with address and container id together, ready, ending, gone."""
    seen: list[tuple[str, str, bool, bool]] = []
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            async for event, pod in lab.api.subscribe("pods", labels="app=phases"):
                status = pod["status"]
                container = (status.get("containerStatuses") or [{}])[0]
                seen.append(
                    (
                        "Ending" if event == "MODIFIED" and "deletionTimestamp" in pod["metadata"] else event,
                        status["phase"],
                        bool(status.get("podIP")),
                        bool(container.get("containerID")),
                    )
                )

        tasks.start_soon(watch)
        lab.api.create("deployments", echo("phases"))
        await until(lambda: lab.progress().is_done)
        lab.api.delete("deployments", "default", "phases")
        await until(lambda: seen[-1][0] == "DELETED")
        tasks.cancel_scope.cancel()

    assert seen[0] == ("ADDED", "Pending", False, False)
    assert all(has_address == has_id == (phase == "Running") for _, phase, has_address, has_id in seen)
    assert ("Ending", "Running", True, True) in seen
    assert seen[-1] == ("DELETED", "Running", True, True)


async def test_a_crashed_container_is_restarted(lab: Cluster, echo: Echo) -> None:
    """Same pod, same address, a new container id, one more restart, and the reason in lastState."""
    lab.api.create("deployments", echo("crash"))
    await until(lambda: lab.progress().is_done)
    (pod,) = lab.pods("default", "crash")
    before = status_of(lab, pod)
    (pid,) = lab.process_ids(pod).values()

    await anyio.run_process(["kill", "-9", str(pid)])
    await until(lambda: status_of(lab, pod)["restartCount"] == 1 and status_of(lab, pod)["ready"])

    after = status_of(lab, pod)
    assert after["containerID"] != before["containerID"]
    assert after["lastState"]["terminated"]["exitCode"] == 137
    assert lab.pods("default", "crash")[0]["status"]["podIP"] == pod["status"]["podIP"]


async def test_a_container_that_fails_says_why(lab: Cluster, echo: Echo) -> None:
    """A crash loop is visible with the container's last words, and the log is kept."""
    lab.api.create("deployments", echo("loop", command=["sh", "-c", "echo no more honey; exit 3"]))

    await until(
        lambda: lab.pods("default", "loop") and status_of(lab, lab.pods("default", "loop")[0]).get("restartCount")
    )
    (pod,) = lab.pods("default", "loop")
    await until(lambda: status_of(lab, pod)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")
    message = status_of(lab, pod)["state"]["waiting"]["message"]
    words = lab.log_files(pod)[0].read_text()
    lab.api.delete("deployments", "default", "loop")

    assert "no more honey" in message
    assert words == "no more honey\n"


async def test_missing_secrets_and_images_hold_a_pod_back_with_the_reason(lab: Cluster, echo: Echo) -> None:
    """The pod waits, says for what, and starts when it is there."""
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "late", "key": "token"}}}
    lab.api.create("deployments", echo("held", env=[reference]))
    lab.api.create("deployments", echo("noimage", image="mysql:8", command=None))

    def message(name: str) -> str:
        pods = lab.pods("default", name)
        return str(pods and status_of(lab, pods[0]).get("state", {}).get("waiting", {}).get("message"))

    await until(lambda: '"late" not found' in message("held") and "no image 'mysql:8'" in message("noimage"))
    lab.api.delete("deployments", "default", "noimage")
    lab.api.create("secrets", {"metadata": {"name": "late"}, "stringData": {"token": "t0ken"}})
    await until(lambda: lab.progress().is_done)

    (pid,) = lab.process_ids(lab.pods("default", "held")[0]).values()
    assert b"TOKEN=t0ken" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


async def test_environment_and_volumes_come_from_the_manifest(lab: Cluster, echo: Echo, inside: Any) -> None:  # noqa: ANN401
    """Values, references, Secrets and ConfigMaps as variables and files, an empty directory, a claim."""
    lab.api.create("secrets", {"metadata": {"name": "keys"}, "stringData": {"user": "bee", "password": "s3cret"}})
    lab.api.create("configmaps", {"metadata": {"name": "conf"}, "data": {"app.ini": "[hive]\n", "SIZE": "7"}})
    lab.api.create("persistentvolumeclaims", {"metadata": {"name": "comb"}, "spec": {"accessModes": ["ReadWriteOnce"]}})
    manifest = echo(
        "full",
        env=[
            {"name": "USER_NAME", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "user"}}},
            {"name": "GREETING", "value": "hello $(USER_NAME) $$5 $(NOBODY)"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        ],
        envFrom=[{"configMapRef": {"name": "conf"}, "prefix": "CONF_"}],
        volumeMounts=[
            {"name": "keys", "mountPath": "/var/run/keys"},
            {"name": "conf", "mountPath": "/etc/hive"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "comb", "mountPath": "/var/lib/comb", "subPath": "cell"},
        ],
    )
    manifest["spec"]["template"]["spec"]["volumes"] = [
        {"name": "keys", "secret": {"secretName": "keys", "items": [{"key": "password", "path": "pw"}]}},
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "comb", "persistentVolumeClaim": {"claimName": "comb"}},
    ]
    lab.api.create("deployments", manifest)
    await until(lambda: lab.progress().is_done)
    (pod,) = lab.pods("default", "full")

    (pid,) = lab.process_ids(pod).values()
    variables = dict(one.split("=", 1) for one in Path(f"/proc/{pid}/environ").read_text().split("\0") if one)
    assert variables["GREETING"] == "hello bee $5 $(NOBODY)"
    assert variables["POD_IP"] == pod["status"]["podIP"]
    assert (variables["NODE"], variables["APP"], variables["CONF_SIZE"]) == (lab.state.node, "full", "7")
    assert await inside(pod, "cat", "/var/run/keys/pw") == "s3cret"
    assert await inside(pod, "cat", "/etc/hive/app.ini") == "[hive]\n"
    await inside(pod, "touch", "/scratch/a", "/var/lib/comb/honey")
    assert (lab.directory.claims / "default_comb/cell/honey").exists()
    assert not Path("/var/lib/comb").exists()


async def test_a_host_network_pod_lives_in_the_nodes_namespaces(lab: Cluster, echo: Echo, inside: Any) -> None:  # noqa: ANN401
    """As an agent's DaemonSet does: the node's address, all processes of the machine, Services in reach."""
    manifest = echo("hostnet", command=["sleep", "infinity"], readinessProbe=None)
    manifest["spec"]["template"]["spec"] |= {"hostNetwork": True, "hostPID": True}
    lab.api.create("deployments", manifest)
    await until(lambda: lab.progress().is_done)
    (pod,) = lab.pods("default", "hostnet")

    (pid,) = lab.process_ids(pod).values()
    await until(lambda: Path(f"/proc/{pid}/root/proc/{pid}/comm").read_text() == "sleep\n")
    said = await inside(pod, sys.executable, "-S", "-c", FETCH, f"http://{lab.address_of('default', 'web')}/")

    assert pod["status"]["podIP"] == str(lab.plan.node)
    assert Path(f"/proc/{pid}/ns/net").stat().st_ino == lab.namespace_path.stat().st_ino
    assert said.split()[1] == str(lab.plan.node)


async def test_a_pod_that_is_done_has_succeeded(lab: Cluster) -> None:
    """Without restarts the phase tells the outcome, the processes are gone, the log stays."""
    spec = {
        "restartPolicy": "Never",
        "containers": [{"name": "once", "image": "busybox", "command": ["sh", "-c", "echo done; exit $CODE"]}],
    }
    for name, code in (("fine", "0"), ("bad", "4")):
        container = {**spec["containers"][0], "env": [{"name": "CODE", "value": code}]}  # type: ignore[dict-item]
        lab.api.create("pods", {"metadata": {"name": name}, "spec": {**spec, "containers": [container]}})

    def phases() -> list[str]:
        return [lab.api.get("pods", "default", name)["status"]["phase"] for name in ("fine", "bad")]

    await until(lambda: phases() == ["Succeeded", "Failed"])
    pod = lab.api.get("pods", "default", "bad")

    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
    assert (await lab.read_log(pod)) == "done\n"
    assert lab.process_ids(pod) == {}


async def test_termination_is_graceful_then_forced(lab: Cluster, echo: Echo) -> None:
    """A container may finish on SIGTERM; one that will not is killed when the grace is over."""
    shell = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    patient = echo("polite", command=["sh", "-c", shell], readinessProbe=None)
    patient["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 30
    lab.api.create("deployments", patient)
    stubborn = echo("stubborn", command=["sh", "-c", "trap '' TERM; echo up; sleep infinity"], readinessProbe=None)
    lab.api.create("deployments", stubborn)
    await until(lambda: lab.progress().is_done)
    (polite,), (deaf,) = lab.pods("default", "polite"), lab.pods("default", "stubborn")
    await until(lambda: all(lab.log_files(pod)[0].read_text() == "up\n" for pod in (polite, deaf)))

    with lab.log_files(polite)[0].open() as log:
        began = anyio.current_time()
        for name in ("polite", "stubborn"):
            lab.api.delete("deployments", "default", name)
        await until(lambda: not lab.pods("default", "polite"))
        gone_politely_s = anyio.current_time() - began
        await until(lambda: not lab.pods("default", "stubborn"))
        said = log.read()

    assert said == "up\nbye\n"
    assert gone_politely_s < 10
    assert anyio.current_time() - began >= 1.0


async def test_kubectl_reads_the_log_of_a_pod(lab: Cluster, web: list[Object]) -> None:
    """`kubectl logs` gives what the container wrote."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed here")
    name = web[0]["metadata"]["name"]
    await anyio.run_process([sys.executable, "-S", "-c", FETCH, f"http://{web[0]['status']['podIP']}:8080/from-a-test"])

    done = await anyio.run_process(["kubectl", "--kubeconfig", str(lab.kubeconfig), "logs", name, "--tail=5"])

    assert "GET /from-a-test" in done.stdout.decode()


async def test_without_kubectl_the_labs_own_client_applies(lab: Cluster) -> None:
    """Objects are created, then configured; a refusal is an error with the server's words."""
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {honey: %s}\n"

    async with LabClient.connect(lab.state) as client:
        first = await client.apply(manifest % "acacia")
        second = await client.apply(manifest % "heather")
        with pytest.raises(LabError, match=r"spec\.ports"):
            await client.apply("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {selector: {app: x}}\n")

    assert (first, second) == (["configmaps/applied created"], ["configmaps/applied configured"])
    assert lab.api.get("configmaps", "default", "applied")["data"] == {"honey": "heather"}


async def test_an_unknown_kind_in_a_manifest_is_named(lab: Cluster) -> None:
    """The error says which kind the lab lacks."""
    with pytest.raises(ConfigError, match=r"example\.org/v1 Hive"):
        lab.apply("apiVersion: example.org/v1\nkind: Hive\nmetadata: {name: x}\n")
