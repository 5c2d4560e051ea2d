"""The world of the demo: a lab with the sample applications, a server, and an agent that watches the one for the other.

The server is the real program in a process of its own; the lab runs in this process; the agent is the DaemonSet of the
manifest that the server hands out, applied by kubectl as its page says. Leaving the block takes everything down, files
included.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import yaml

from osmia.demo.api import Api
from osmia.lab.cluster import Cluster
from osmia.lab.config import LabConfig
from osmia.model.errors import UnavailableError

__all__ = [
    "Agent",
    "Say",
    "Server",
    "World",
    "child",
    "cluster_named",
    "sample_manifest",
    "scratch",
    "start_server",
    "world",
]

Say = Callable[[str], None]
"""Tells the user what is happening, one step a line."""

_START_DEADLINE_S = 60.0
_READY_DEADLINE_S = 120.0
_END_DEADLINE_S = 10.0
_LISTENING = "osmia server listening on "
_KUBECTL_DEADLINE_S = 60.0
_LOOK_S = 0.05
_SCRATCH = "osmia-demo-"
_NAMESPACE = "osmia"
_AGENT = "osmia-agent"


@dataclass(frozen=True)
class Server:
    """A server process and the client of its API; `urls` are all its addresses, the client's first."""

    api: Api
    process: anyio.abc.Process
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Agent:
    """The agent's DaemonSet, whose one pod runs since `started_s`."""

    lab: Cluster
    started_s: float

    @property
    def pod(self) -> dict[str, Any]:
        """The pod as the API server has it."""
        (found,) = self.lab.pods(_NAMESPACE, _AGENT)
        return found

    def stop(self) -> None:
        """Delete the DaemonSet, and with it the pod."""
        self.lab.api.delete("daemonsets", _NAMESPACE, _AGENT)

    async def wait_ended(self) -> str:
        """Wait until the agent has ended by itself, though it is started again; what the kubelet says about it."""
        while True:
            for pod in self.lab.pods(_NAMESPACE, _AGENT):
                for status in pod["status"].get("containerStatuses", []):
                    if ended := status["lastState"].get("terminated"):
                        said = (status["state"].get("waiting") or {}).get("message", "")
                        return f"code {ended['exitCode']}: {said}"
            await anyio.sleep(_LOOK_S)

    async def wait_capturing(self) -> None:
        """Wait until its pod is ready.

        Raises:
            UnavailableError: it has ended instead.
            LabError: it is not ready within the time; says why.
        """

        async def watch() -> None:
            raise UnavailableError(f"the agent did not start: it ended with {await self.wait_ended()}")

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                await self.lab.wait_ready(_START_DEADLINE_S)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group


@dataclass
class World:
    """What is running, and where."""

    lab: Cluster
    server: Server
    cluster_id: str
    key: str
    directory: Path

    @property
    def api(self) -> Api:
        """The server's API."""
        return self.server.api

    @property
    def page(self) -> str:
        """Address of the service map."""
        return f"{self.api.url}/clusters/{self.cluster_id}/map"

    async def start_agent(self, server_url: str = "") -> Agent:
        """Apply the manifest that the server hands out, and wait until its pod captures.

        Raises:
            UnavailableError: it ended; carries its last words.
            LabError: it did not come up in time; says why.
        """
        reach = self.server.urls[-1]
        async with Api.connect(reach) as api:
            manifest = await api.text(f"/clusters/{self.cluster_id}/manifest.yaml")
        await _apply(self.lab, manifest.replace(reach, server_url or reach), self.directory / "osmia-agent.yaml")
        with anyio.fail_after(_START_DEADLINE_S):
            while not any(self.lab.process_ids(pod) for pod in self.lab.pods(_NAMESPACE, _AGENT)):  # noqa: ASYNC110
                await anyio.sleep(_LOOK_S)
        agent = Agent(self.lab, time.time())
        await agent.wait_capturing()
        return agent


@asynccontextmanager
async def world(*, name: str, listen: str, data: Path | None, manifest: str, say: Say) -> AsyncIterator[World]:
    """Lab, sample applications and server, ready; the agent is started by `World.start_agent`.

    Raises:
        LabError: this machine cannot carry a lab.
        UnavailableError: the server did not start; the text carries its last words.
    """
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(scratch())
        say("bringing up a small Kubernetes")
        lab = await stack.enter_async_context(Cluster.up(LabConfig(name=name)))
        await _apply(lab, manifest, directory / "sample_apps.yaml")
        say("starting the server")
        # The second address is the one that pods reach this machine by.
        addresses = [listen, f"{lab.plan.host}:0"]
        server = await stack.enter_async_context(start_server(addresses, data or directory / "store", directory))
        say("waiting for testserver, currencies and PostgreSQL to be ready")
        await lab.wait_ready(_READY_DEADLINE_S)
        cluster_id, key = await cluster_named(server.api, name)
        yield World(lab, server, cluster_id, key, directory)
        say("taking everything down")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory of our own that goes with us; those of demos that were killed go now."""
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        owner = left.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


async def cluster_named(api: Api, name: str) -> tuple[str, str]:
    """Id and ingest key of the cluster of this name, which is added if there is none (kept data may have it)."""
    known = next((one["id"] for one in (await api.get("/clusters"))["items"] if one["name"] == name), None)
    cluster = await (api.get(f"/clusters/{known}") if known else api.post("/clusters", {"name": name}))
    return cluster["id"], cluster["install"]["key"]


@asynccontextmanager
async def start_server(
    listen: Sequence[str], data: Path, directory: Path, *, notice: str = ""
) -> AsyncIterator[Server]:
    """A server process that answers on each address; `notice` stands above its pages.

    Raises:
        UnavailableError: it did not start.
    """
    log = directory / "server.log"
    where = [part for address in listen for part in ("--listen", address)]
    async with child(["server", *where, "--data", str(data), "--notice", notice], log) as process:
        lines = await _wait_for_words(log, process, _LISTENING, len(listen))
        urls = tuple(line.partition(_LISTENING)[2].strip() for line in lines)
        async with Api.connect(urls[0]) as api:
            yield Server(api, process, urls)


@asynccontextmanager
async def child(arguments: list[str], log: Path) -> AsyncIterator[anyio.abc.Process]:
    """`osmia <arguments>` as a process whose output goes to a file; ended by SIGTERM, then by force.

    It also gets SIGTERM from the kernel if we are killed.
    """
    tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = await anyio.open_process(
            [*tied, sys.executable, "-m", "osmia", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _end(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_END_DEADLINE_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def sample_manifest(*, for_check: bool = False) -> str:
    """The sample applications as the lab ships them.

    For the check, loadgen has no pods (the check sends a load of its own) and PostgreSQL logs every statement.
    """
    text = resources.files("osmia.lab").joinpath("manifests/sample_apps.yaml").read_text(encoding="utf-8")
    if not for_check:
        return text
    documents: list[dict[str, Any]] = [document for document in yaml.safe_load_all(text) if document]
    for document in documents:
        if document["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        if document["metadata"]["name"] == "loadgen":
            document["spec"]["replicas"] = 0
        if document["metadata"]["name"] == "postgres":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            container["args"] = ["-c", "log_min_duration_statement=0"]
    return yaml.safe_dump_all(documents)


async def _apply(lab: Cluster, manifest: str, path: Path) -> None:
    """By kubectl, as a person would; by ourselves where there is none."""
    if shutil.which("kubectl") is None:
        lab.apply(manifest)
        return
    await anyio.Path(path).write_text(manifest, encoding="utf-8")
    command = ["kubectl", "--kubeconfig", str(lab.kubeconfig), "apply", "-f", str(path)]
    with anyio.fail_after(_KUBECTL_DEADLINE_S):
        result = await anyio.run_process(command, check=False)
    if result.returncode:
        raise UnavailableError(f"kubectl apply failed: {result.stderr.decode(errors='replace').strip()}")


async def _wait_for_words(log: Path, process: anyio.abc.Process, words: str, count: int) -> list[str]:
    """The first lines of a process's log that hold `words`.

    Raises:
        UnavailableError: the process ended, or said nothing of the kind in time.
    """
    with anyio.move_on_after(_START_DEADLINE_S):
        while process.returncode is None:
            text = await anyio.Path(log).read_text(encoding="utf-8", errors="replace")
            found = [line for line in text.splitlines(keepends=True) if words in line and line.endswith("\n")]
            if len(found) >= count:
                return found[:count]
            await anyio.sleep(_LOOK_S)
    text = await anyio.Path(log).read_text(encoding="utf-8", errors="replace")
    raise UnavailableError(f"{log.stem} did not start: {' | '.join(text.strip().splitlines()[-5:])}")
