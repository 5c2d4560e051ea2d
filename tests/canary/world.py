"""A node with three pods full of secrets: real programs in cgroups as kubelet names them, the real agent and server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import psycopg

from osmia.lab.apiserver import ApiServer, serve
from osmia.lab.runtime.cgroup import container_cgroup, pod_cgroup, process_ids, remove_tree
from tests.agent.postgres import postgres_server
from tests.canary.canaries import CANARIES
from tests.server.process import Cluster, ServerProcess

__all__ = ["NAMESPACE", "Harvest", "World", "canary_world", "free_port", "until"]

NAMESPACE = "vault"
_NODE = "canary-node"
_CGROUPS = Path("/sys/fs/cgroup/unified")
_JOIN = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
_TRAFFIC = Path(__file__).parent / "traffic.py"
_WAIT_S = 60.0


async def until(condition: Callable[[], bool], what: str, *, wait_s: float = _WAIT_S) -> None:
    """Wait for something that tells nobody, by looking."""
    with anyio.move_on_after(wait_s):
        while not await anyio.to_thread.run_sync(condition):  # noqa: ASYNC110 - as told above
            await anyio.sleep(0.05)
        return
    raise AssertionError(f"{what}: not within {wait_s:.0f} s")


def free_port() -> int:
    """A port that nobody has now, for a server that comes back at its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Harvest:
    """Reads every file of some directories over and over, since some live for milliseconds only (the journal)."""

    def __init__(self, *directories: Path) -> None:
        self._directories = directories
        self._seen: dict[tuple[Path, int, int], bytes] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def contents(self) -> list[bytes]:
        """Every content that any of the files ever had, as far as it was seen."""
        return list(self._seen.values())

    def _run(self) -> None:
        while not self._end.wait(0.002):
            for directory in self._directories:
                for file in directory.rglob("*"):
                    self._read(file)

    def _read(self, file: Path) -> None:
        try:
            facts = file.stat()
            key = (file, facts.st_size, facts.st_mtime_ns)
            if file.is_file() and key not in self._seen:
                self._seen[key] = file.read_bytes()
        except OSError:
            return  # it was renamed or removed meanwhile; another name has it


@dataclass
class World:
    """What the tests act on."""

    directory: Path
    kubeconfig: Path
    client: subprocess.Popen[str]
    agent_log: Path
    listen: str
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def data(self) -> Path:
        """The server's directory."""
        return self.directory / "server"

    @property
    def spool(self) -> Path:
        """The agent's spool directory."""
        return self.directory / "spool"

    @contextmanager
    def server(self) -> Iterator[ServerProcess]:
        """The server at its address, talking as much as it can."""
        with ServerProcess.start(
            self.data, "--listen", self.listen, "--log-level", "debug", "--batch-ms", "20"
        ) as started:
            yield started

    @contextmanager
    def agent(self, cluster: Cluster, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """The agent of the node, talking as much as it can."""
        command = [sys.executable, "-m", "osmia", "agent", "run", "--server", f"http://{self.listen}"]
        command += ["--monitoring-id", cluster.id, "--key", cluster.key, "--node", _NODE]
        command += ["--kubeconfig", str(self.kubeconfig), "--scope", "kubernetes", "--log-level", "debug"]
        # The agent sees the whole machine: whatever else is busy on it must not take the room of these few requests.
        command += ["--cpu-budget-cores", "8", "--bpf-budget-cores", "8", "--memory-budget-mib", "4096"]
        command += ["--ring-kib", str(1 << 16)]
        command += ["--spool-dir", str(self.spool), *options]
        with self.agent_log.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + _WAIT_S
            while b"capturing" not in (said := self.agent_log.read_bytes())[begin:]:
                assert process.poll() is None, said.decode()
                assert time.monotonic() < deadline, said.decode()
                time.sleep(0.05)  # between two looks at its log
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_WAIT_S)
            finally:
                process.kill()
                process.wait()

    def send(self) -> None:
        """Every canary once through the wires of the node."""
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        self.client.stdin.write("go\n")
        self.client.stdin.flush()
        assert self.client.stdout.readline() == "done\n"


@asynccontextmanager
async def canary_world(directory: Path) -> AsyncIterator[World]:
    """The pods run, nothing watches them yet."""
    secrets = directory / "canaries.json"
    secrets.write_text(json.dumps({one.place: one.text for one in CANARIES.values()}))
    async with AsyncExitStack() as stack:
        api = ApiServer()
        api.create("namespaces", {"metadata": {"name": NAMESPACE}})
        served = await stack.enter_async_context(serve(api))
        kubeconfig = served.write_kubeconfig(directory / "kubeconfig")
        pods = [await stack.enter_async_context(_pod(api, name)) for name in ("api-0", "web-0", "db-0")]
        postgres_port = stack.enter_context(postgres_server())
        await anyio.to_thread.run_sync(_prepare_postgres, postgres_port, pods[2])
        server = stack.enter_context(_program(pods[0], "serve", str(secrets)))
        port = await anyio.to_thread.run_sync(_line, server)
        client = stack.enter_context(_program(pods[1], "ask", str(secrets), port, str(postgres_port)))
        assert await anyio.to_thread.run_sync(_line, client) == "ready"
        yield World(directory, kubeconfig, client, directory / "agent.log", f"127.0.0.1:{free_port()}")


@asynccontextmanager
async def _pod(api: ApiServer, name: str) -> AsyncIterator[Path]:
    """A pod as the API server tells it, and the cgroup of its container."""
    container = os.urandom(32).hex()
    made: dict[str, Any] = api.create(
        "pods",
        {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
            "spec": {"nodeName": _NODE, "hostNetwork": True, "containers": [{"name": "main", "image": "canary"}]},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {"name": "main", "ready": True, "restartCount": 0, "containerID": f"containerd://{container}"}
                ],
            },
        },
    )
    pod = pod_cgroup(_CGROUPS, made["metadata"]["uid"], "BestEffort")
    cgroup = container_cgroup(pod, container)
    cgroup.mkdir(parents=True)
    try:
        yield cgroup
    finally:
        with anyio.CancelScope(shield=True):
            for pid in process_ids(cgroup):
                (_CGROUPS / "cgroup.procs").write_text(str(pid))  # PostgreSQL's, which end in their own time
            await remove_tree(pod)


@contextmanager
def _program(cgroup: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = ["sh", "-c", _JOIN, str(cgroup), sys.executable, str(_TRAFFIC), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _prepare_postgres(port: int, cgroup: Path) -> None:
    """A database and a user who must give a password, and all of it in the pod."""
    user, database = CANARIES["user"].text, CANARIES["database"].text
    with psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.pgconn.exec_(f"CREATE ROLE {user} LOGIN PASSWORD '{CANARIES['login_password'].text}'".encode())
        connection.pgconn.exec_(f"CREATE DATABASE {database}".encode())
        (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        text = Path(rules).read_text()
        Path(rules).write_text(f"host all {user} 127.0.0.1/32 password\n{text}")
        connection.execute("SELECT pg_reload_conf()")
    postmaster = (Path(data) / "postmaster.pid").read_text().split()[0]
    (cgroup / "cgroup.procs").write_text(postmaster)
