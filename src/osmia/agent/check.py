"""`osmia agent check`: what this machine can do, feature by feature, found out by doing it.

Versions are printed but never judged: a feature works if trying it works. The last word on capture is a real HTTP
exchange over loopback that must come out of the ring.
"""

from __future__ import annotations

import enum
import http.server
import os
import platform
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from osmia.agent.entities.index import Entities, EntityOptions
from osmia.agent.kernel.capture import Capture, CaptureOptions, binding, object_path
from osmia.model.errors import OsmiaError

__all__ = ["Feature", "Importance", "check_machine"]

_BTF = Path("/sys/kernel/btf/vmlinux")
_CAPABILITIES = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}
_PROBE_DEADLINE_S = 5.0
_RING_BUFFER = 27


class Importance(enum.StrEnum):
    """Whether the agent can work without a feature."""

    CORE = "core"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of the table: does it work, what was found, and what to do if it does not."""

    name: str
    importance: Importance
    works: bool
    detail: str
    remedy: str = ""


async def check_machine(*, kubeconfig: str = "") -> list[Feature]:
    """Every feature, in the order in which they depend on each other."""
    core = await anyio.to_thread.run_sync(lambda: list(_core_features()))
    return [*core, *await _optional_features(kubeconfig)]


def _core_features() -> Iterator[Feature]:
    yield Feature("kernel", Importance.CORE, platform.system() == "Linux", f"{platform.system()} {platform.release()}")
    yield Feature(
        "BTF",
        Importance.CORE,
        _BTF.exists(),
        str(_BTF) if _BTF.exists() else f"{_BTF} is missing",
        "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (5.8 or later; every current distribution has it)",
    )
    yield _privileges()
    yield _attempt("libbpf binding", lambda: f"{binding().__name__.rpartition('.')[2]} loaded")
    yield _attempt("BPF object", lambda: object_path("requests").name)
    yield _attempt("ring buffer", _probe_ring)
    yield _attempt("capture", _probe_capture)


async def _optional_features(kubeconfig: str) -> list[Feature]:
    """What naming the ends needs, as `Entities` finds it."""
    entities = Entities(EntityOptions(kubeconfig=kubeconfig))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(entities.run)
        await entities.wait_ready(_PROBE_DEADLINE_S)
        tasks.cancel_scope.cancel()
    return [
        Feature(one.name, Importance.OPTIONAL, one.is_working, one.reason or "works", _REMEDIES.get(one.name, ""))
        for one in entities.features()
    ]


_REMEDIES = {
    "kubernetes": "give --kubeconfig, or run as a pod with a service account",
    "conntrack": "load nf_conntrack and grant CAP_NET_ADMIN; Services are then shown without the pod behind them",
    "cgroup ids": "mount cgroup v2 (the unified hierarchy); short-lived processes may stay without a container",
}


def _privileges() -> Feature:
    held = _effective_capabilities()
    missing = [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    needed = [name for name in missing if name in {"CAP_BPF", "CAP_PERFMON"} and "CAP_SYS_ADMIN" in missing]
    detail = f"uid {os.geteuid()}, " + (f"missing {', '.join(missing)}" if missing else "all capabilities we use")
    return Feature("privileges", Importance.CORE, not needed, detail, "run as root, or grant CAP_BPF and CAP_PERFMON")


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _attempt(name: str, probe: Callable[[], str]) -> Feature:
    try:
        return Feature(name, Importance.CORE, works=True, detail=probe())
    except OsmiaError as exc:
        return Feature(name, Importance.CORE, works=False, detail=exc.message, remedy=exc.remedy)


def _probe_ring() -> str:
    if binding().lib.osmia_probe_map_type(_RING_BUFFER) != 1:
        raise OsmiaError(
            "the kernel does not give us a ring buffer map", remedy="grant the privileges above; needs kernel 5.8"
        )
    return "given by the kernel"


def _probe_capture() -> str:
    """Load, attach, send one request over loopback and wait for both ends of it."""
    with Capture(CaptureOptions(ring_bytes=1 << 20, max_connections=256, max_edges=256, max_buckets=1024)) as capture:
        started = time.monotonic()
        port = _exchange()
        ends: set[int] = set()
        while time.monotonic() - started < _PROBE_DEADLINE_S and len(ends) < 2:  # noqa: PLR2004 - client and server
            for event in capture.drain():
                if port in (int(event["local_port"]), int(event["remote_port"])):
                    ends.add(int(event["role"]))
            time.sleep(0.001)  # until the events are there or the deadline has passed
    if len(ends) < 2:  # noqa: PLR2004 - as above
        raise OsmiaError(
            f"a request over loopback was seen at {len(ends)} of its 2 ends",
            remedy="is another security module filtering tracepoints? report this with `osmia agent check --json`",
        )
    return "a request over loopback was seen at both ends"


def _exchange() -> int:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{server.server_port}/osmia-agent-check", timeout=_PROBE_DEADLINE_S):
            pass
        thread.join(_PROBE_DEADLINE_S)
        return server.server_port
