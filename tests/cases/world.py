"""A lab with actors: pods that do what a test tells them, the real agent beside them, and what the agent reported."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any, cast

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from osmia.lab.cluster import Cluster
from osmia.lab.config import LabConfig
from tests.cases.receiver import Receiver, receiver

__all__ = [
    "CGROUPS",
    "JOIN",
    "PROGRAMS",
    "Actor",
    "Agent",
    "Object",
    "World",
    "actor",
    "agent",
    "lab_world",
    "pod_template",
    "require",
    "room_for_five",
]

PROGRAMS = Path(__file__).parent / "programs"
CGROUPS = Path("/sys/fs/cgroup/unified") if Path("/sys/fs/cgroup/unified").exists() else Path("/sys/fs/cgroup")
"""Where cgroup v2 is mounted."""

JOIN = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
_LONGEST_LINE = 65_536
_WAIT_S = 20.0

Object = dict[str, Any]


@dataclass
class Actor:
    """A running program that answers lines."""

    process: anyio.abc.Process
    _lines: BufferedByteReceiveStream

    async def ask(self, line: str = "") -> str:
        """Send a line, if any, and give the line that comes back."""
        with anyio.fail_after(_WAIT_S):
            if line and self.process.stdin:
                await self.process.stdin.send(f"{line}\n".encode())
            answer = (await self._lines.receive_until(b"\n", _LONGEST_LINE)).decode()
        assert not answer.startswith("failed"), f"{line}: {answer}"
        return answer


@asynccontextmanager
async def actor(argv: list[str], *, is_silent: bool = False) -> AsyncIterator[Actor]:
    """A program that says a first line when it is up; killed in the end, with all that it started."""
    process = await anyio.open_process(argv, stdin=PIPE, stdout=PIPE, stderr=None, start_new_session=True)
    made = Actor(process, BufferedByteReceiveStream(cast("anyio.abc.ByteReceiveStream", process.stdout)))
    try:
        if not is_silent:
            await made.ask()
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):  # its workers too
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await process.aclose()


@dataclass
class Agent:
    """The real agent as a process."""

    process: anyio.abc.Process
    log: Path

    async def end(self, *, by_force: bool = False) -> None:
        """Stop it, or kill it."""
        if self.process.returncode is None:
            (self.process.kill if by_force else self.process.terminate)()
        with anyio.fail_after(_WAIT_S):
            await self.process.wait()


@asynccontextmanager
async def agent(server: str, log: Path, *options: str) -> AsyncIterator[Agent]:
    """`osmia agent run` from the moment it captures."""
    command = [sys.executable, "-m", "osmia", "agent", "run", "--server", server, "--monitoring-id", "m", "--key", "k"]
    tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        begin = output.tell()
        process = await anyio.open_process(
            [*tied, *command, "--flush-s", "0.3", *options], stdout=output, stderr=output, start_new_session=True
        )
    made = Agent(process, log)
    try:
        with anyio.fail_after(_WAIT_S):
            while b"capturing" not in (said := await anyio.Path(log).read_bytes())[begin:]:
                assert process.returncode is None, said.decode()
                await anyio.sleep(0.02)
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.end()


@dataclass
class World:
    """A lab, an agent on its node, and what it reported."""

    lab: Cluster
    receiver: Receiver
    stack: AsyncExitStack
    directory: Path
    agents: list[Agent] = field(default_factory=list)

    async def start_agent(self, *options: str) -> Agent:
        """The agent of the lab's node."""
        given = ["--node", self.lab.state.node, "--kubeconfig", str(self.lab.kubeconfig)]
        given += ["--node-netns", str(self.lab.namespace_path), "--scope", "kubernetes", *options]
        started = await self.stack.enter_async_context(agent(self.receiver.url, self.directory / "agent.log", *given))
        self.agents.append(started)
        return started

    async def deploy(self, name: str, *, namespace: str = "default", **pod: Any) -> Object:  # noqa: ANN401 - of a manifest
        """A Deployment of one pod that sleeps until it is told something; gives the pod."""
        labels = {"app": name}
        if not any(one["metadata"]["name"] == namespace for one in self.lab.api.list("namespaces")):
            self.lab.api.create("namespaces", {"metadata": {"name": namespace}})
        self.lab.api.create(
            "deployments",
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod_template(**pod)},
                },
            },
        )
        return await self.running(name, namespace=namespace)

    async def running(self, prefix: str, *, namespace: str = "default") -> Object:
        """The pod whose name begins so, once it runs and the API server says where."""
        with anyio.fail_after(_WAIT_S):
            while True:
                for pod in self.lab.pods(namespace, prefix):
                    pids = self.lab.process_ids(pod).values()
                    if pod.get("status", {}).get("podIP") and pids and all(map(_is_itself, pids)):
                        return pod
                await anyio.sleep(0.02)

    def expose(self, name: str, *, port: int = 80, target: int = 8080, namespace: str = "default", **spec: Any) -> None:  # noqa: ANN401
        """A Service in front of a Deployment of `deploy`."""
        ports = [{"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}]
        if "node_port" in spec:
            ports[0]["nodePort"] = spec.pop("node_port")
        service = {"selector": {"app": name}, "ports": ports, **spec}
        self.lab.api.create("services", {"metadata": {"name": name, "namespace": namespace}, "spec": service})

    async def service(self, name: str, namespace: str = "default") -> str:
        """The address of a Service, once the node leads there."""
        await self.lab.wait_ready(_WAIT_S)
        return self.lab.address_of(namespace, name)

    async def listening(self, pod: Object, port: int) -> None:
        """Wait until something in the pod listens on a port."""
        (pid, *_) = self.lab.process_ids(pod).values()
        wanted = f":{port:04X}"
        with anyio.fail_after(_WAIT_S):
            while not any(_is_listening(line, wanted) for line in _sockets(pid)):  # noqa: ASYNC110 - tells nobody
                await anyio.sleep(0.02)

    async def run_job(self, name: str, command: list[str], *, namespace: str = "default", **spec: Any) -> Object:  # noqa: ANN401
        """A Job with one pod that runs one command; returns the pod when it has ended."""
        job = self.lab.api.create(
            "jobs", {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": {}}}
        )
        owner = {
            "kind": "Job",
            "name": name,
            "uid": job["metadata"]["uid"],
            "apiVersion": "batch/v1",
            "controller": True,
        }
        container = {"name": "main", "image": "osmia/host", "command": command}
        template = pod_template(containers=(), extra=(container,), restartPolicy="Never", **spec)
        pod_name = f"{name}-x7k2p"
        metadata = {"name": pod_name, "namespace": namespace, "ownerReferences": [owner]}
        self.lab.api.create("pods", {"metadata": metadata, "spec": template})
        with anyio.fail_after(_WAIT_S):
            while True:
                pod: Object = self.lab.api.get("pods", namespace, pod_name)
                if (phase := pod.get("status", {}).get("phase")) in {"Succeeded", "Failed"}:
                    assert phase == "Succeeded", await self.lab.read_log(pod)
                    return pod
                await anyio.sleep(0.02)

    async def resolve(self, user: Actor, name: str) -> str:
        """The address of a name, once the cluster's name server has it."""
        with anyio.fail_after(_WAIT_S):
            while True:
                try:
                    return (await user.ask(f"resolve {name}")).split()[0]
                except AssertionError:
                    await anyio.sleep(0.05)

    async def play(self, pod: Object, program: str, *arguments: str, container: str = "") -> Actor:
        """Run one of `programs` in a pod, until the world ends."""
        return await self.start(pod, sys.executable, "-S", str(PROGRAMS / program), *arguments, container=container)

    async def start(self, pod: Object, *argv: str, container: str = "", is_silent: bool = False) -> Actor:
        """Run any program in a pod, until the world ends."""
        command = self.inside(pod, *argv, container=container)
        return await self.stack.enter_async_context(actor(command, is_silent=is_silent))

    def inside(self, pod: Object, *argv: str, container: str = "") -> list[str]:
        """The command that runs a program in a pod's container, its cgroup included, as `kubectl exec` would."""
        pids = self.lab.process_ids(pod)
        pid = pids[container] if container else next(iter(pids.values()))
        cgroup = f"{CGROUPS}{_cgroup_of(pid)}"
        return ["sh", "-ec", JOIN, cgroup, "nsenter", f"--target={pid}", "--all", "--", *argv]


def _sockets(pid: int) -> list[str]:
    return [line for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()]


def _is_listening(line: str, port: str) -> bool:
    words = line.split()
    return words[1].endswith(port) and words[3] == "0A"


def _is_itself(pid: int) -> bool:
    """A container's first process is a shell that puts itself into its cgroup and makes its files, at first."""
    return Path(f"/proc/{pid}/comm").read_text().strip() in {"sleep", "postgres"}


def _cgroup_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


def pod_template(
    *,
    containers: tuple[str, ...] = ("main",),
    extra: tuple[Object, ...] = (),
    **spec: Any,  # noqa: ANN401 - of a manifest
) -> Object:
    """The spec of a pod whose `containers` do nothing by themselves; `extra` ones are given whole."""
    idle = {"image": "osmia/host", "command": ["sleep", "infinity"]}
    return {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [*({"name": name, **idle} for name in containers), *extra],
        **spec,
    }


@asynccontextmanager
async def lab_world(name: str, directory: Path, **config: Any) -> AsyncIterator[World]:  # noqa: ANN401 - of a LabConfig
    """A world without an agent yet; the lab's name is made unique."""
    async with AsyncExitStack() as stack:
        got = await stack.enter_async_context(receiver())
        lab = await stack.enter_async_context(Cluster.up(LabConfig(name=f"{name}-{os.getpid()}", **config)))
        inner = await stack.enter_async_context(AsyncExitStack())
        yield World(lab, got, inner, directory)


def room_for_five() -> str:
    """A network for five pods, so that an address is soon used again; another one for each process that asks."""
    number = os.getpid() % (1 << 13)
    return f"10.251.{number >> 5}.{number % 32 * 8}/29"


def require(program: str) -> None:
    """Skip the test where a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
