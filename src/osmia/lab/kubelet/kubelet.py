"""The node's agent: registers the node, runs a worker per pod that is bound to it, keeps the logs within bounds."""

from __future__ import annotations

import os
import platform
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.abc

from osmia.lab.apiserver import ApiServer, LogQuery
from osmia.lab.kubelet.resolve import NodeFacts
from osmia.lab.kubelet.worker import PodWorker
from osmia.lab.network.node import NodeSockets
from osmia.lab.runtime.sandbox import Runtime
from osmia.telemetry import get_logger

__all__ = ["Kubelet"]

Object = dict[str, Any]

_LOG_LIMIT_BYTES = 32 << 20
_LOG_CHECK_S = 10.0
_LOG_CHUNK_BYTES = 64 << 10
_FOLLOW_S = 0.2
_VERSION = "v1.30.0-osmia"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

log = get_logger("lab.kubelet")


class Kubelet:
    """Runs the pods of one node."""

    def __init__(self, api: ApiServer, *, node: NodeFacts, runtime: Runtime, sockets: NodeSockets, pods: Path) -> None:
        self._api = api
        self._node = node
        self._runtime = runtime
        self._sockets = sockets
        self._pods = pods
        self._workers: dict[str, PodWorker] = {}

    def worker(self, uid: str) -> PodWorker | None:
        """The worker of a pod, or None if the pod does not run here."""
        return self._workers.get(uid)

    async def run(self) -> None:
        """Run the node's pods until cancelled; then take them down."""
        self._register()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._bound_logs)
            async for event, pod in self._api.subscribe("pods", fields=f"spec.nodeName={self._node.name}"):
                self._deliver(event, pod, tasks)

    def _deliver(self, event: str, pod: Object, tasks: anyio.abc.TaskGroup) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if event == "DELETED":
            if worker:
                worker.forget()
        elif worker:
            worker.update(pod)
        else:
            worker = PodWorker(pod, api=self._api, node=self._node, runtime=self._runtime, sockets=self._sockets)
            self._workers[uid] = worker
            tasks.start_soon(self._run_worker, uid, worker)

    async def _run_worker(self, uid: str, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            log.exception("pod worker failed", pod=worker.name)
        finally:
            del self._workers[uid]

    def _register(self) -> None:
        labels = {"hostname": self._node.name, "os": "linux", "arch": _ARCHITECTURES.get(platform.machine(), "")}
        self._api.put(
            "nodes",
            {
                "metadata": {
                    "name": self._node.name,
                    "labels": {f"kubernetes.io/{key}": value for key, value in labels.items()},
                },
                "spec": {"providerID": f"osmia-lab://{self._node.name}"},
                "status": _node_status(self._node, self._api.timestamp()),
            },
        )

    def log_files(self, uid: str, container: str) -> list[Path]:
        """The logs of a container's runs, oldest first."""
        directory = self._pods / uid / "logs" / container
        return sorted(directory.glob("[0-9]*.log"), key=lambda path: int(path.stem))

    async def logs(self, query: LogQuery) -> AsyncIterator[bytes]:
        """The log of a container, as `kubectl logs` asks for it."""
        pod = self._api.get("pods", query.namespace, query.pod)
        container = query.container or pod["spec"]["containers"][0]["name"]
        files = self.log_files(pod["metadata"]["uid"], container)
        if query.is_previous:
            files = files[:-1]
        if not files:
            return
        with files[-1].open("rb") as stream:
            if query.tail_lines is not None:
                yield b"".join(stream.readlines()[-query.tail_lines :] if query.tail_lines else [])
            while True:
                while chunk := stream.read(_LOG_CHUNK_BYTES):
                    yield chunk
                if not query.is_following or pod["metadata"]["uid"] not in self._workers:
                    return
                await anyio.sleep(_FOLLOW_S)

    async def _bound_logs(self) -> None:
        """Keep each log within two times the limit: the older half is moved to a `.old` file that the next replaces."""
        while True:
            await anyio.sleep(_LOG_CHECK_S)
            for path in self._pods.glob("*/logs/*/*.log"):
                if path.stat().st_size > _LOG_LIMIT_BYTES:
                    path.with_suffix(".old").write_bytes(path.read_bytes())
                    os.truncate(path, 0)
                    log.info("log was cut", path=str(path))


def _node_status(node: NodeFacts, now: str) -> Object:
    memory_kib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    resources = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory_kib}Ki", "pods": "250"}
    is_ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the lab's kubelet runs"}
    return {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in node.addresses),
            {"type": "Hostname", "address": node.name},
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": [{**is_ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
        "nodeInfo": {
            "architecture": _ARCHITECTURES.get(platform.machine(), ""),
            "bootID": "",
            "containerRuntimeVersion": "osmia-lab://1",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": _VERSION,
            "kubeletVersion": _VERSION,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "this machine",
            "systemUUID": "",
        },
    }
