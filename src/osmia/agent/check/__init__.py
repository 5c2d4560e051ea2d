"""`osmia agent check`: what the agent will do on this machine, what it will not, and what to do about that.

Features are tried, through the same code that the agent starts with; facts of the machine explain what was found. The
last word on capture is a real HTTP exchange over loopback that must come out of the ring at both ends.
"""

from __future__ import annotations

import http.server
import threading
import time
import urllib.request
from dataclasses import dataclass

import anyio

from osmia.agent.check.cluster import cluster_facts
from osmia.agent.check.machine import Fact, Machine, facts
from osmia.agent.check.server import reach_server
from osmia.agent.config import AgentConfig
from osmia.agent.entities.access import find_access
from osmia.agent.entities.index import Entities, EntityOptions
from osmia.agent.features import Feature, Features, State, Verdict, judge_capture, open_tcp, try_process
from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.agent.kernel.tcp import TcpOptions
from osmia.model.errors import ConfigError, OsmiaError, UnavailableError

__all__ = ["Report", "check_machine"]

_PROBE_DEADLINE_S = 5.0
_SMALL = CaptureOptions(ring_bytes=1 << 20, max_connections=1024, max_edges=256, max_buckets=1024)
_SMALL_TCP = TcpOptions(max_sockets=4096, max_edges=256, max_buckets=1024, max_listeners=512)


@dataclass(frozen=True, slots=True)
class Report:
    """What the check found: the machine's facts, the features, and what they come to."""

    facts: list[Fact]
    features: list[Feature]
    verdict: Verdict


async def check_machine(config: AgentConfig) -> Report:
    """Try every feature that an agent with these settings would use."""
    features = Features()
    await anyio.to_thread.run_sync(_try_kernel, features)
    cluster = await _try_entities(features, config)
    await _try_server(features, config)
    missing = [one.name for one in features.all() if one.state in {State.OFF, State.REDUCED}]
    machine = await anyio.to_thread.run_sync(Machine.read)
    return Report([*facts(machine, missing), *cluster], features.all(), features.verdict)


def _try_kernel(features: Features) -> None:
    features.attempt("capture", lambda: _probe_capture(features))
    tcp = features.attempt("tcp", lambda: open_tcp(features, _SMALL_TCP))
    if tcp is not None:
        tcp.close()
    try_process(features)


async def _try_entities(features: Features, config: AgentConfig) -> list[Fact]:
    """What naming the ends needs, as `Entities` finds it; then the facts of the cluster."""
    try:
        entities = Entities(_entity_options(config))
    except ConfigError as exc:
        features.put("kubernetes", State.OFF, exc.message, exc.remedy, is_core=True)
        return []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(entities.run)
        await entities.wait_ready(_PROBE_DEADLINE_S)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    features.put_entities(entities.features(), has_kubernetes=entities.has_kubernetes)
    access = find_access(config.kubeconfig)
    return await cluster_facts(access) if access else []


def _entity_options(config: AgentConfig) -> EntityOptions:
    return EntityOptions(
        node=config.node, kubeconfig=config.kubeconfig, watch=config.watch, node_netns=config.node_netns
    )


async def _try_server(features: Features, config: AgentConfig) -> None:
    if not config.server:
        features.put("server", State.UNUSED, "no --server is given")
        return
    try:
        await reach_server(config)
    except ConfigError as exc:
        features.put("server", State.OFF, exc.message, exc.remedy, is_core=True)
    except OsmiaError as exc:
        features.put("server", State.OFF, exc.message, exc.remedy)
    else:
        features.put("server", State.ON)


def _probe_capture(features: Features) -> None:
    """Load, attach, send one request over loopback and wait for both ends of it."""
    with Capture(_SMALL) as capture:
        judge_capture(features, capture)
        started = time.monotonic()
        port = _exchange()
        ends: set[int] = set()
        while time.monotonic() - started < _PROBE_DEADLINE_S and len(ends) < 2:  # noqa: PLR2004 - client and server
            for event in capture.drain():
                if port in (int(event["local_port"]), int(event["remote_port"])):
                    ends.add(int(event["role"]))
            time.sleep(0.001)  # until the events are there or the deadline has passed
    if len(ends) < 2:  # noqa: PLR2004 - as above
        raise UnavailableError(
            f"the programs are attached, but a request over loopback was seen at {len(ends)} of its 2 ends",
            remedy="is another security module filtering tracepoints? report this with `osmia agent check --json`",
        )


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
