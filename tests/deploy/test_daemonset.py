"""The agent in the lab as its DaemonSet says: applied by kubectl, with its rights, capabilities and limits, no more."""

# ruff: noqa: ASYNC240 - /proc and small files; nothing else waits for this loop

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import shutil
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from osmia.demo.world import Agent, World, sample_manifest, world
from osmia.lab.host import require_host
from osmia.model.errors import LabError, UnavailableError
from tests.deploy.conftest import find, handed_out

pytestmark = [
    pytest.mark.ebpf,
    pytest.mark.lab,
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]

Object = dict[str, Any]
WAIT_S = 40.0
NAMES = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_NET_ADMIN": 12, "CAP_SYS_RESOURCE": 24}
_GET_PROGRAM = 13
USER = "system:serviceaccount:osmia:osmia-agent"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The lab's API server is aiohttp, which runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module")
async def running(anyio_backend: str) -> AsyncIterator[World]:
    """The sample applications in a lab, and a server."""
    try:
        require_host()
    except LabError as exc:
        pytest.skip(str(exc))
    manifest = sample_manifest(for_check=True)
    # pytest ends async generators in another task than it begins them in, which cancel scopes do not bear.
    ready, done = anyio.Event(), anyio.Event()
    made: list[World] = []

    async def live() -> None:
        async with world(name="t-deploy", listen="127.0.0.1:0", data=None, manifest=manifest, say=print) as one:
            made.append(one)
            ready.set()
            await done.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live)
        await ready.wait()
        yield made[0]
        done.set()


@pytest.fixture(scope="module")
async def agent(running: World) -> Agent:
    """The agent by the manifest of the server's page."""
    return await running.start_agent()


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    with anyio.fail_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - conditions over processes and the lab's store
            await anyio.sleep(0.02)


async def kubectl(running: World, *arguments: str) -> str:
    """What kubectl says; it must succeed."""
    command = ["kubectl", "--kubeconfig", str(running.lab.kubeconfig), "--namespace", "osmia", *arguments]
    done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def pid_of(running: World, agent: Agent) -> int:
    """The agent's process."""
    (pid,) = running.lab.process_ids(agent.pod).values()
    return pid


def status_of(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def programs_of(pid: int) -> set[int]:
    """The BPF programs that a process holds, by the kernel's numbers."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        found |= {int(number) for number in re.findall(r"^prog_id:\s+(\d+)", path.read_text(), re.MULTILINE)}
    return found


def are_loaded(programs: set[int]) -> bool:
    """Whether the kernel still has one of the programs."""
    return any(_is_loaded(one) for one in programs)


def _is_loaded(program: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(struct.pack("I", program), 128)
    number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
    descriptor: int = libc.syscall(number, _GET_PROGRAM, attributes, len(attributes))
    if descriptor < 0:
        assert ctypes.get_errno() == errno.ENOENT
        return False
    os.close(descriptor)
    return True


async def edges(running: World, began_s: float) -> list[Object]:
    """The edges of the map since a time."""
    now_ms = int(time.time() * 1000) + 10_000
    answer = await running.api.get(
        f"/clusters/{running.cluster_id}/map", **{"from": int(began_s * 1000) - 10_000, "to": now_ms}
    )
    found: list[Object] = answer["edges"]
    return found


@asynccontextmanager
async def load(running: World) -> AsyncIterator[dict[str, int]]:
    """Requests without a pause to the sample applications, over connections that stay; counts good and failed ones."""
    base = f"http://{running.lab.address_of('testserver', 'testserver-service')}:8200"
    counts = {"good": 0, "failed": 0}

    async def ask(session: aiohttp.ClientSession, path: str) -> None:
        while True:
            try:
                async with session.get(base + path) as response:
                    await response.read()
                    counts["good" if response.status == 200 else "failed"] += 1
            except aiohttp.ClientError:
                counts["failed"] += 1

    async with aiohttp.ClientSession() as session, anyio.create_task_group() as tasks:
        for path in ("/currencies/", "/exchange_rate/USD/EUR/"):
            tasks.start_soon(ask, session, path)
        yield counts
        tasks.cancel_scope.cancel()


async def test_rollout_status_says_that_it_is_out(running: World, agent: Agent) -> None:
    """As a person would ask after `kubectl apply`."""
    said = await kubectl(running, "rollout", "status", "daemonset/osmia-agent", "--timeout=30s")

    assert "successfully rolled out" in said
    assert agent.pod["spec"]["nodeName"] == running.lab.state.node


async def test_the_process_has_the_capabilities_of_the_manifest_and_no_others(running: World, agent: Agent) -> None:
    """Those added that this machine's root has itself; no way to gain more; a root that cannot be written."""
    pid = pid_of(running, agent)
    added = find(handed_out(), "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    ours = int(status_of(os.getpid())["CapPrm"], 16)

    status = status_of(pid)

    allowed = sum(1 << NAMES[f"CAP_{name}"] for name in added["capabilities"]["add"])
    assert [int(status[key], 16) for key in ("CapPrm", "CapEff")] == [allowed & ours] * 2
    assert int(status["CapBnd"], 16) == allowed & int(status_of(os.getpid())["CapBnd"], 16)
    assert status["NoNewPrivs"] == "1"
    root = next(line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/")
    assert "ro" in root.split()[5].split(",")


async def test_the_map_has_the_right_owners(running: World, agent: Agent) -> None:
    """The agent is connected under its node's name, and the sample applications' edges lead between workloads."""
    wanted = {
        ("Deployment/testserver/testserver", "Deployment/testserver/currencies", "http"),
        ("Deployment/testserver/testserver", "Deployment/testserver/postgres", "postgres"),
    }

    seen: set[tuple[str, str, str]] = set()
    async with load(running) as counts:
        with anyio.move_on_after(WAIT_S):
            while not wanted <= seen:
                found = await edges(running, agent.started_s)
                seen = {(one["source"], one["target"], one["protocol"]) for one in found}
                await anyio.sleep(0.3)

    assert wanted <= seen
    cluster = await running.api.get(f"/clusters/{running.cluster_id}")
    assert (cluster["state"], cluster["agents"]) == ("connected", 1)
    assert counts["failed"] == 0


async def test_the_agent_uses_exactly_the_rights_it_asks_for(running: World, agent: Agent) -> None:
    """Every rule of the ClusterRole was used, and nothing was asked for that it lacks."""
    rules = find(handed_out(), "ClusterRole")["rules"]
    granted = running.lab.api.accounts.granted

    wanted = {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    await until(lambda: granted.get(USER) == wanted)
    log = await kubectl(running, "logs", "daemonset/osmia-agent")
    assert "forbidden" not in log
    assert agent.pod["spec"]["serviceAccountName"] == "osmia-agent"


async def test_what_it_announces_is_what_the_manifest_gives(running: World, agent: Agent) -> None:
    """`osmia agent check` inside the pod: all works but what the manifest leaves out on purpose."""
    said = await kubectl(running, "logs", "daemonset/osmia-agent")

    missing = set(re.findall(r"feature='([^']+)'", said))
    assert missing <= {"bpf run time"}
    assert await _is_counted(running, agent)


async def _is_counted(running: World, agent: Agent) -> bool:
    (status,) = agent.pod["status"]["containerStatuses"]
    return bool(status["ready"]) and status["restartCount"] == 0


async def test_a_killed_agent_comes_back_and_no_application_notices(running: World, agent: Agent) -> None:
    """After kill -9 in mid-load programs go with it, the kubelet starts it again, and no request fails."""
    old = pid_of(running, agent)
    programs = programs_of(old)
    pinned = sorted(Path("/sys/fs/bpf").rglob("*")) if Path("/sys/fs/bpf").exists() else []

    async with load(running) as counts:
        await until(lambda: counts["good"] > 50)
        os.kill(old, 9)
        await until(lambda: not are_loaded(programs))
        at_end = counts["good"]
        await until(lambda: agent.pod["status"]["containerStatuses"][0]["restartCount"] >= 1)
        await until(lambda: agent.pod["status"]["containerStatuses"][0]["ready"])
        await until(lambda: counts["good"] > at_end + 50)

    assert programs
    assert counts["failed"] == 0
    assert pid_of(running, agent) != old
    assert are_loaded(programs_of(pid_of(running, agent)))
    assert agent.pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert (sorted(Path("/sys/fs/bpf").rglob("*")) if Path("/sys/fs/bpf").exists() else []) == pinned


async def test_a_missing_right_is_named_and_stops_only_what_needs_it(running: World, agent: Agent) -> None:
    """Without the right to list Services the API server refuses with 403; the agent says so and goes on."""
    role = running.lab.api.get("clusterroles", "", "osmia-agent")
    weaker = [{**rule, "resources": [one for one in rule["resources"] if one != "services"]} for rule in role["rules"]]
    running.lab.api.patch("clusterroles", "", "osmia-agent", {"rules": weaker})
    await kubectl(running, "rollout", "restart", "daemonset/osmia-agent")
    await until(lambda: _has_new_pod(running, agent, {role["metadata"]["uid"]}))

    log = ""
    with anyio.fail_after(WAIT_S):
        while "cannot list resource" not in log:
            log = await running.lab.read_log(agent.pod)
            await anyio.sleep(0.1)
    running.lab.api.patch("clusterroles", "", "osmia-agent", {"rules": role["rules"]})

    assert 'resource "services"' in log.replace("\\", "")
    await until(lambda: agent.pod["status"]["containerStatuses"][0]["ready"])


def _has_new_pod(running: World, agent: Agent, _: set[str]) -> bool:
    pods = [one for one in running.lab.pods("osmia", "osmia-agent") if "deletionTimestamp" not in one["metadata"]]
    return len(pods) == len(running.lab.pods("osmia", "osmia-agent")) == 1 and bool(running.lab.process_ids(pods[0]))


async def test_a_deleted_daemonset_leaves_nothing_behind(running: World, agent: Agent) -> None:
    """`kubectl delete`: pod, process, control groups and BPF programs are gone."""
    pod, pid = agent.pod, pid_of(running, agent)
    await until(lambda: programs_of(pid))
    programs = programs_of(pid)

    await kubectl(running, "delete", "daemonset", "osmia-agent", "--timeout=30s")
    await until(lambda: not running.lab.pods("osmia", "osmia-agent"))

    assert not Path(f"/proc/{pid}").exists()
    await until(lambda: not are_loaded(programs))  # the kernel frees them a moment after their last holder has ended
    uid = pod["metadata"]["uid"].replace("-", "_")
    assert not list(Path("/sys/fs/cgroup").rglob(f"*{uid}*"))


async def test_an_agent_that_cannot_start_is_told_in_its_own_words(running: World) -> None:
    """With an address that is none it ends; whoever waits hears at once what it said."""
    with pytest.raises(UnavailableError, match=r"ended with code 2: .*ftp://nowhere.*begin it with http"):
        await running.start_agent("ftp://nowhere")

    await kubectl(running, "delete", "daemonset", "osmia-agent", "--timeout=30s")
    await until(lambda: not running.lab.pods("osmia", "osmia-agent"))
