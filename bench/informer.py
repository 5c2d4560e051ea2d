"""What it costs to know 10,000 pods: CPU and memory of our informer beside json and dicts, same server, same run.

Server and clients are processes of their own, so that each is measured alone: `python -m bench.informer <part>`.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import anyio

from bench.result import Bench, Result, at_least, at_most

__all__ = ["BENCHES"]

PODS, EVENTS, PAGE = 10_000, 2_000, 500
_MANAGED_FIELDS = 130  # bring a pod to about the 7.7 KB that real ones have
_DEADLINE_S = 120.0


@functools.cache
def _measured() -> dict[str, dict[str, float]]:
    """Figures of each client by name, measured once."""
    with ExitStack() as stack:
        server = _start(stack, "server")
        url = _line(server)
        results = {}
        for part in ("ours", "dicts"):
            client = _start(stack, part, url)
            results[part] = json.loads(_line(client))
            client.wait(_DEADLINE_S)
        return results


def _cpu() -> Result:
    value = _measured()["ours"]["cpu_s"]
    return at_most(value, 1.5, "s CPU", f"list of {PODS} pods into the cluster's indexes")


def _memory() -> Result:
    value = _measured()["ours"]["rss_mib"]
    return at_most(value, 48, "MiB", f"growth by {PODS} pods, indexes and export included")


def _cpu_ratio() -> Result:
    ours, dicts = _measured()["ours"]["cpu_s"], _measured()["dicts"]["cpu_s"]
    return at_least(dicts / ours, 4, "x", f"json and dicts without any index: {dicts:.2f} s CPU")


def _memory_ratio() -> Result:
    ours, dicts = _measured()["ours"]["rss_mib"], _measured()["dicts"]["rss_mib"]
    return at_least(dicts / ours, 8, "x", f"json and dicts: {dicts:.0f} MiB")


def _event() -> Result:
    return at_most(_measured()["ours"]["event_us"], 250, "us CPU/event", f"{EVENTS} pod updates, all-in")


BENCHES: dict[str, Bench] = {
    "list_cpu": _cpu,
    "list_memory": _memory,
    "list_cpu_ratio": _cpu_ratio,
    "list_memory_ratio": _memory_ratio,
    "event_cpu": _event,
}


def _start(stack: ExitStack, *arguments: str) -> Popen[str]:
    command = [sys.executable, "-m", "bench.informer", *arguments]
    process = Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=Path(__file__).parents[1])
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _line(process: Popen[str]) -> str:
    if process.stdout is None:
        raise RuntimeError("started without a pipe")
    return process.stdout.readline().strip()


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


async def _serve() -> None:
    """The API server with its pods; changes 2,000 of them whenever a watch begins."""
    from osmia.lab.apiserver import ApiServer, serve

    api = ApiServer(ring_size=2 * PODS)
    for number in range(PODS):
        ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        api.create("pods", _pod(number, ip))
    async with serve(api) as server:
        print(server.url, flush=True)
        await api.faults.wait_watches(1, "pods")
        for number in range(EVENTS):
            patch = {"metadata": {"labels": {"round": str(number)}}}
            api.patch("pods", "default", f"web-{number % PODS}", patch)
            if number % 20 == 0:
                await anyio.sleep(0.001)
        await anyio.sleep_forever()


def _pod(number: int, ip: str) -> dict[str, Any]:
    container = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}
    status = {"name": "main", "ready": True, "containerID": f"containerd://{number:064x}"}
    fields: dict[str, Any] = {
        f"f:field-{n}": {f'k:{{"name":"part-{n}"}}': {".": {}, "f:x": {}}} for n in range(_MANAGED_FIELDS)
    }
    managed = [{"manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}]
    return {
        "metadata": {"name": f"web-{number}", "labels": {"app": "web"}, "managedFields": managed},
        "spec": {"nodeName": f"node-{number % 100}", "containers": [container]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [status]},
    }


async def _ours(url: str) -> None:
    """List and follow with the agent's informer and cluster."""
    from osmia.agent.entities.client import Access, KubernetesClient
    from osmia.agent.entities.cluster import Cluster
    from osmia.agent.entities.informer import Informer, Source
    from osmia.agent.entities.objects import Pod

    cluster = Cluster(now_ns=time.time_ns)
    async with KubernetesClient(Access(url)) as client:
        before_mib, before_s = _rss_mib(), time.process_time()
        informer = Informer(client, Source("/api/v1/pods", "Pod", Pod), cluster.pod_changed)
        async with anyio.create_task_group() as group:
            group.start_soon(informer.run)
            await informer.wait_synced()
            listed_s = time.process_time()
            figures = {"cpu_s": listed_s - before_s, "rss_mib": _rss_mib() - before_mib}
            with anyio.fail_after(_DEADLINE_S):
                while informer.counters["events"] < EVENTS:  # noqa: ASYNC110 - a counter tells nobody
                    await anyio.sleep(0.01)
            figures["event_us"] = (time.process_time() - listed_s) / EVENTS * 1e6
            print(json.dumps(figures), flush=True)
            group.cancel_scope.cancel()


def _dicts(url: str) -> None:
    """List with the standard library and keep what it gives."""
    before_mib, before_s = _rss_mib(), time.process_time()
    kept: dict[str, Any] = {}
    token = ""
    while True:
        query = f"?limit={PAGE}" + (f"&continue={token}" if token else "")
        with urllib.request.urlopen(f"{url}/api/v1/pods{query}") as response:  # noqa: S310 - our own server
            page = json.load(response)
        kept.update((one["metadata"]["uid"], one) for one in page["items"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
    print(json.dumps({"cpu_s": time.process_time() - before_s, "rss_mib": _rss_mib() - before_mib}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        anyio.run(_serve)
    elif sys.argv[1] == "ours":
        anyio.run(_ours, sys.argv[2])
    else:
        _dicts(sys.argv[2])
