"""The agent's memory with 500 pods and 5,000 edges: its own objects, fed with synthetic events.

Run as a process of its own, `python -m bench.footprint <url of an API server>`, it prints the resident memory in MiB
after each of many reports. The kernel's side is played by `_Kernel`; all behind it is the agent itself, its programs in
the kernel and its connection to the API server included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from osmia.agent.config import AgentConfig
from osmia.agent.daemon import _Agent
from osmia.agent.entities.index import Entities, EntityOptions
from osmia.agent.events import BUCKET, EDGE, EVENT, LEDGER_FIELDS, EventKind, ProtocolCode, RoleCode, Unseen
from osmia.agent.export import Exporter
from osmia.agent.features import Features
from osmia.agent.kernel.attachment import Attachment
from osmia.agent.kernel.capture import CaptureOptions, Control, EdgeTotals
from osmia.agent.post import Answer
from osmia.model import wire
from osmia.telemetry import configure_logging

PODS, EDGES = 500, 5_000
_TEMPLATES = 6
_EVENTS_PER_DRAIN = 400
_DRAINS_PER_FLUSH = 10


class _Kernel(Attachment):
    """The real capture, which sees nothing it is asked for, and synthetic traffic beside it."""

    def __init__(self) -> None:
        super().__init__(CaptureOptions(), Control(sample_every=0, sample_notable_every=0))
        self._random = np.random.default_rng(5)
        self._slots = np.zeros(_EVENTS_PER_DRAIN, dtype=EVENT)
        self._given = True
        self._totals = np.zeros(EDGES, dtype=EDGE)
        self._describe(self._totals, np.arange(EDGES))
        self._totals["server_port"] = 8080
        self._totals["first_ns"] = time.monotonic_ns()

    def ask(self) -> None:
        """Have one more drain of events."""
        self._given = False

    def drain(self) -> NDArray[np.void]:
        """Events of edges by chance, once per `ask`."""
        super().drain()
        if self._given:
            return self._slots[:0]
        self._given = True
        chosen = self._random.integers(0, EDGES, _EVENTS_PER_DRAIN)
        rows = self._slots
        self._describe(rows, chosen)
        rows["edge"], rows["connection"] = chosen + 1, chosen + 0xFFFF_0000
        rows["end_ns"] = time.monotonic_ns()
        rows["start_ns"] = rows["end_ns"] - self._random.integers(100_000, 50_000_000, len(rows)).astype(np.uint64)
        rows["kind"], rows["weight"], rows["sequence"] = EventKind.REQUEST, 5, 1
        rows["local_port"], rows["remote_port"] = 30_000 + chosen % 20_000, 8080
        for index, number in enumerate(chosen.tolist()):
            kind = number % _TEMPLATES
            _put(
                rows[index],
                "request",
                b"GET /shop-%d/item-%d/%d HTTP/1.1\r\nHost: x\r\n\r\n" % (number % 40, kind, index),
            )
            _put(rows[index], "response_head", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Id: %d\r\n\r\n" % index)
        rows["request_bytes"], rows["response_bytes"] = 100, 200
        return rows

    def edges(self) -> EdgeTotals:
        """Counters that grow everywhere."""
        self._totals["count"] += 40
        self._totals["latency_ns"] += 40_000_000
        self._totals["last_ns"] = time.monotonic_ns()
        return EdgeTotals(np.arange(1, EDGES + 1, dtype=np.uint64), self._totals)

    def histogram(self) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """Eight buckets per edge."""
        keys = np.zeros(EDGES * 8, dtype=BUCKET)
        keys["edge"], keys["bucket"] = np.repeat(np.arange(1, EDGES + 1), 8), np.tile(np.arange(300, 308), EDGES)
        return keys, np.repeat(self._totals["count"] // 8, 8)

    def ledger(self) -> dict[str, int]:
        """Nothing was lost."""
        return dict.fromkeys(LEDGER_FIELDS, 0)

    def unseen(self) -> dict[int, Unseen]:
        """Everything is seen."""
        return {}

    @staticmethod
    def _describe(rows: NDArray[np.void], chosen: NDArray[np.int64]) -> None:
        """Client ends of calls between pods."""
        rows["cgroup_id"], rows["protocol"], rows["role"] = 1, ProtocolCode.HTTP, RoleCode.CLIENT
        rows["pid"] = 1
        rows["local_ip"] = _addresses(chosen % PODS)
        rows["remote_ip"] = _addresses((chosen * 7 + chosen // PODS) % PODS)
        rows["command"] = np.void(b"app".ljust(16, b"\0"))


def _addresses(numbers: NDArray[np.int64]) -> NDArray[np.void]:
    raw = np.zeros((len(numbers), 16), dtype=np.uint8)
    raw[:, 10:12], raw[:, 12], raw[:, 13] = 255, 10, 244
    raw[:, 14], raw[:, 15] = numbers // 250, numbers % 250 + 1
    return raw.view("V16").reshape(-1)


def _put(row: NDArray[np.void], name: str, data: bytes) -> None:
    row[name] = np.void(data.ljust(EVENT[name].itemsize, b"\0"))
    row[f"{name}_length"] = len(data)


async def _serve() -> None:
    """An API server with the pods; prints its address."""
    from osmia.lab.apiserver import ApiServer, serve

    api = ApiServer()
    for number in range(PODS):
        api.create("pods", _pod(number))
    async with serve(api) as server:
        print(server.url, flush=True)
        await anyio.sleep_forever()


def _pod(number: int) -> dict[str, Any]:
    ip = f"10.244.{number // 250}.{number % 250 + 1}"
    container = {"name": "main", "image": "app", "ports": [{"containerPort": 8080}]}
    status = {"name": "main", "ready": True, "containerID": f"containerd://{number:064x}"}
    return {
        "metadata": {"name": f"shop-{number}", "labels": {"app": f"shop-{number % 40}"}},
        "spec": {"nodeName": "node-1", "containers": [container]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [status]},
    }


async def _accept(table: wire.Table, sequence: int, payload: bytes) -> Answer:
    del table, sequence, payload
    await anyio.lowlevel.checkpoint()
    return Answer(200)


async def _feed(url: str, reports: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        kubeconfig = Path(home) / "kubeconfig"
        kubeconfig.write_text(_KUBECONFIG.format(url=url))
        config = AgentConfig(server="http://x", monitoring_id="x", key="x", node="node-1", kubeconfig=str(kubeconfig))
        entities = Entities(EntityOptions(node="node-1", kubeconfig=str(kubeconfig)))
        exporter = Exporter(_accept, first_sequence=1, max_bytes=64 << 20)
        with _Kernel() as kernel:
            agent = _Agent(config, Features(), capture=kernel, entities=entities, exporter=exporter)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(entities.run)
                tasks.start_soon(exporter.run)
                await entities.wait_ready(30)
                for _ in range(reports):
                    for _ in range(_DRAINS_PER_FLUSH):
                        kernel.ask()
                        agent.drain()
                        await anyio.lowlevel.checkpoint()
                    agent.flush()
                    await anyio.sleep(0.01)
                    print(_rss_mib(), flush=True)
                print(json.dumps(dataclasses.asdict(agent.assembler.statistics())), file=sys.stderr)
                tasks.cancel_scope.cancel()


def _rss_mib() -> float:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / (1 << 20)


_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: bench
clusters: [{{name: bench, cluster: {{server: "{url}"}}}}]
contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]
users: [{{name: bench, user: {{token: bench}}}}]
"""


def main() -> None:
    """Serve, or feed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="'serve' to be the API server, else its address")
    parser.add_argument("--reports", type=int, default=60)
    given = parser.parse_args()
    if given.url == "serve":
        anyio.run(_serve)
    else:
        configure_logging(level="error")
        anyio.run(_feed, given.url, given.reports)


if __name__ == "__main__":
    main()
