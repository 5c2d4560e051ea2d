"""The world of the demo: a lab with the sample applications, a server, and an agent that watches the one for the other.

Server and agent are the real programs in processes of their own; the lab runs in this process. Leaving the block takes
everything down, files included.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
    "AgentProcess",
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
_CAPTURING = "capturing"
_KUBECTL_DEADLINE_S = 60.0
_SCRATCH = "osmia-demo-"


@dataclass(frozen=True)
class Server:
    """A server process and the client of its API."""

    api: Api
    process: anyio.abc.Process


@dataclass
class AgentProcess:
    """The agent of the lab's node, which may be stopped on purpose."""

    process: anyio.abc.Process
    log: Path
    started_s: float = field(default_factory=time.time)


@dataclass
class World:
    """What is running, and where."""

    lab: Cluster
    server: Server
    cluster_id: str
    key: str
    directory: Path
    agent: AgentProcess | None = None

    @property
    def api(self) -> Api:
        """The server's API."""
        return self.server.api

    @property
    def page(self) -> str:
        """Address of the service map."""
        return f"{self.api.url}/clusters/{self.cluster_id}/map"

    async def start_agent(self, stack: contextlib.AsyncExitStack, server_url: str = "") -> AgentProcess:
        """Start the agent on the lab's node and wait until it captures; it ends with the stack.

        Raises:
            UnavailableError: it ended, or did not come up in time.
        """
        log = self.directory / "agent.log"
        command = ["agent", "run", "--server", server_url or self.api.url]
        command += ["--monitoring-id", self.cluster_id, "--key", self.key]
        command += ["--node", self.lab.state.node, "--kubeconfig", str(self.lab.kubeconfig)]
        command += ["--node-netns", str(self.lab.namespace_path), "--scope", "kubernetes"]
        process = await stack.enter_async_context(child(command, log))
        self.agent = AgentProcess(process, log)
        await _wait_for_words(log, process, _CAPTURING)
        return self.agent


@asynccontextmanager
async def world(*, name: str, listen: str, data: Path | None, manifest: str, say: Say) -> AsyncIterator[World]:
    """Lab, sample applications and server, ready; the agent is started by `World.start_agent`.

    Raises:
        LabError: this machine cannot carry a lab.
        UnavailableError: the server did not start; the text carries its last words.
    """
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(scratch())
        say("starting the server")
        server = await stack.enter_async_context(start_server(listen, data or directory / "store", directory))
        say("bringing up a small Kubernetes")
        lab = await stack.enter_async_context(Cluster.up(LabConfig(name=name)))
        await _apply(lab, manifest, directory)
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
async def start_server(listen: str, data: Path, directory: Path, *, notice: str = "") -> AsyncIterator[Server]:
    """A server process that answers; `notice` stands above its pages.

    Raises:
        UnavailableError: it did not start.
    """
    log = directory / "server.log"
    async with child(["server", "--listen", listen, "--data", str(data), "--notice", notice], log) as process:
        line = await _wait_for_words(log, process, _LISTENING)
        url = line.partition(_LISTENING)[2].strip()
        async with Api.connect(url) as api:
            yield Server(api, process)


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


async def _apply(lab: Cluster, manifest: str, directory: Path) -> None:
    """By kubectl, as a person would; by ourselves where there is none."""
    if shutil.which("kubectl") is None:
        lab.apply(manifest)
        return
    path = directory / "sample_apps.yaml"
    await anyio.Path(path).write_text(manifest, encoding="utf-8")
    command = ["kubectl", "--kubeconfig", str(lab.kubeconfig), "apply", "-f", str(path)]
    with anyio.fail_after(_KUBECTL_DEADLINE_S):
        result = await anyio.run_process(command, check=False)
    if result.returncode:
        raise UnavailableError(f"kubectl apply failed: {result.stderr.decode(errors='replace').strip()}")


async def _wait_for_words(log: Path, process: anyio.abc.Process, words: str) -> str:
    """The first line of a process's log that holds `words`.

    Raises:
        UnavailableError: the process ended, or said nothing of the kind in time.
    """
    with anyio.move_on_after(_START_DEADLINE_S):
        while process.returncode is None:
            text = await anyio.Path(log).read_text(encoding="utf-8", errors="replace")
            found = next((line for line in text.splitlines() if words in line), None)
            if found is not None:
                return found
            await anyio.sleep(0.05)
    text = await anyio.Path(log).read_text(encoding="utf-8", errors="replace")
    raise UnavailableError(f"{log.stem} did not start: {' | '.join(text.strip().splitlines()[-5:])}")
