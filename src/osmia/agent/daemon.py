"""The agent as a whole: what `osmia agent run` puts together and keeps running.

    kernel ──drain──▶ assembly ──flush──▶ export ──▶ server
                          ▲ entities

Two loops in one thread: `drain_loop` empties the ring some fifty times a second and keeps the rate of events below its
cap (`sampling.py`), `flush_loop` turns what has gathered into batches every two seconds. The request list between two
flushes is bounded; windows are exact regardless.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import platform
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import anyio
import anyio.abc
import numpy as np
from numpy.typing import NDArray

from osmia.agent.assembly import Assembler
from osmia.agent.clock import Clock, Moment
from osmia.agent.config import AgentConfig, Scope
from osmia.agent.connections import ConnectionReporter
from osmia.agent.entities.index import Entities, EntityOptions
from osmia.agent.events import EVENT, LEDGER_CAUSES, EventFlag, EventKind, Feature
from osmia.agent.export import Exporter, first_sequence, object_columns, request_columns, window_columns
from osmia.agent.features import Features, judge_capture, open_tcp, try_process
from osmia.agent.governor import LIMITS, Budgets, Level
from osmia.agent.health import Condition, Health, command_of
from osmia.agent.kernel.attachment import Attachment
from osmia.agent.kernel.capture import CaptureOptions, Control
from osmia.agent.kernel.tcp import TcpOptions
from osmia.agent.plan import control_for
from osmia.agent.post import IngestKey, sender
from osmia.agent.redaction import Redaction
from osmia.agent.requests import Requests
from osmia.agent.sampling import Observed, Sampler, pause_s
from osmia.agent.spool import Spool, spool_directory
from osmia.agent.uncaptured import UncapturedTracker, idle_edges
from osmia.model import wire
from osmia.model.errors import CaptureUnavailableError, ConfigError
from osmia.telemetry import get_logger

__all__ = ["run_agent"]

_log = get_logger("agent")

_REQUESTS_MAX = 50_000
_REQUESTS_PER_BATCH = 10_000
_ALL_OBJECTS_EVERY_S = 60.0
_POST_TIMEOUT_S = 10.0
_FAREWELL_S = 3.0
_NAMES_WITHIN_S = 5.0
_EMPTY_RING = 4096
_QUIET_DRAIN_S = 0.05  # 200,000 requests/s out of nothing still fit into a ring of 8 MiB until it is emptied
_FIRST_FLUSH_S = 0.5
_SWEEP_S = 2.0
_SWEEP_SLACK_S = 0.5
_NOTABLE = int(EventFlag.NOTABLE)
_BPF_CORES_LEAST = 0.5
_BPF_SHARE = 0.1


class _Agent:
    """State of one running agent; made complete by its constructor."""

    def __init__(
        self,
        config: AgentConfig,
        features: Features,
        *,
        capture: Attachment,
        entities: Entities,
        exporter: Exporter,
    ) -> None:
        self.config = config
        self.features = features
        self.capture = capture
        self.entities = entities
        self.exporter = exporter
        is_kubernetes = config.scope == Scope.KUBERNETES or (config.scope == Scope.AUTO and entities.has_kubernetes)
        self.redaction = Redaction(raw_namespaces=config.raw_namespaces, templates_max=config.templates_max)
        self.assembler = Assembler(
            entities,
            only_kubernetes=is_kubernetes,
            redaction=self.redaction,
            quiet_ns=int((_SWEEP_S + _SWEEP_SLACK_S) * 1e9),
            on_dns=entities.on_dns,
        )
        tcp_options = TcpOptions(ignored_pid=os.getpid(), max_edges=config.max_edges)
        self.connections = ConnectionReporter(
            functools.partial(open_tcp, features, tcp_options),
            entities,
            only_kubernetes=is_kubernetes,
            max_edges=config.max_edges,
        )
        self.open_connections()
        self.sampler = Sampler(config.max_events_per_s)
        self.node = config.node or platform.node()
        self.started_ns = time.time_ns()
        self.health = Health(
            _budgets(config),
            calm_s=config.calm_s,
            seen=lambda: self.capture.ledger()["seen"],
        )
        self._tracker = UncapturedTracker()
        self._requests: list[Requests] = []
        self._listed_requests = 0
        self._lost_requests = 0
        self._seen = 0
        self._sweep_due_s = 0.0
        self._lag_ns = 0
        self._events = 0
        self._attach_error = ""
        self._clock = Clock()
        self._all_objects_due_s = 0.0

    async def drain_loop(self) -> None:
        """Empty the ring, for ever: often while much comes, else less so."""
        least_s = self.config.drain_ms / 1000
        most_s = max(least_s, _QUIET_DRAIN_S) if self.config.max_events_per_s else least_s
        then_s = time.monotonic()
        while True:
            before = self._events
            self.drain()
            now_s = time.monotonic()
            rate = (self._events - before) / max(now_s - then_s, least_s)
            then_s = now_s
            await anyio.sleep(pause_s(rate, least_s=least_s, most_s=most_s))

    async def flush_loop(self) -> None:
        """Report, for ever; the first time soon, so that a new agent is seen."""
        await anyio.sleep(min(_FIRST_FLUSH_S, self.config.flush_s))
        while True:
            self.flush()
            await anyio.sleep(self.config.flush_s)

    async def health_loop(self) -> None:
        """Watch what this costs and give up or take back detail, for ever."""
        while True:
            await self.health.tick()
            self.apply()

    def apply(self) -> None:
        """Ask the kernel for what sampling wants and the governor allows."""
        limits = self.health.governor.limits
        self._ask()
        if limits.is_attached and not self.capture.is_attached:
            self._attach()
        elif self.capture.is_attached and not limits.is_attached:
            self.capture.control(Control(features=Feature(0)))
            self.flush()
            self.capture.detach()
            self.connections.close()

    def _ask(self) -> None:
        sampling = self.sampler.sampling
        self.capture.control(
            control_for(
                self.health.governor.limits,
                sample_every=sampling.every,
                sample_notable_every=sampling.notable_every,
            )
        )

    def _attach(self) -> None:
        try:
            self.capture.attach()
        except CaptureUnavailableError as exc:
            if str(exc) != self._attach_error:
                _log.error("cannot attach again, trying every second", error=str(exc))
            self._attach_error = str(exc)
        else:
            self._attach_error = ""
            self.open_connections()

    def open_connections(self) -> None:
        """Watch connections too, where the kernel lets us; without them requests are seen all the same."""
        self.features.attempt("tcp", self.connections.open)

    def drain(self) -> None:
        """Everything that waits in the ring, through assembly; then a look at how much that was."""
        if time.monotonic() >= self._sweep_due_s:
            self._sweep_due_s = time.monotonic() + _SWEEP_S
            self.capture.sweep()
        notable = 0
        while True:
            events = self.capture.drain()
            moment = self._clock.look()
            if moment.step_ns:
                self._settle(moment)
            now_ns, offset_ns = moment.now_ns, moment.offset_ns
            self._events += len(events)
            if len(events):
                self._lag_ns = max(self._lag_ns, now_ns - offset_ns - int(events["end_ns"][0]))
                notable += _notable(events)
            self._keep(self.assembler.add(events, wall_offset_ns=offset_ns, now_ns=now_ns))
            if len(events) < _EMPTY_RING:
                break
        self._look(notable)

    def _settle(self, moment: Moment) -> None:
        """The clock was set: what waits for a time of the old one is due now, or a step back would hold it for long."""
        _log.warning("the clock was set", by_s=round(moment.step_ns / 1e9, 1))
        nothing = np.zeros(0, dtype=EVENT)
        self._keep(self.assembler.add(nothing, wall_offset_ns=moment.offset_before_ns, now_ns=moment.settling_ns))

    def _look(self, notable: int) -> None:
        """Keep the rate of events below its cap."""
        seen, self._seen = self._seen, self.capture.ledger()["seen"]
        before = self.sampler.sampling
        if self.sampler.look(Observed(max(0, self._seen - seen), notable), time.monotonic()) != before:
            self._ask()

    def flush(self, *, is_last: bool = False) -> None:
        """One report: windows, requests, objects when due, and the ledger; the last one holds nothing back."""
        self.drain()
        now_ns = time.time_ns()
        totals = self.capture.edges()
        lost = self._tracker.advance(totals.keys, totals.values, self.capture.histogram)
        offset_ns = now_ns - time.monotonic_ns()
        self.assembler.add_uncaptured(lost, wall_offset_ns=offset_ns, now_ns=now_ns)
        if is_last:
            self._keep(self.assembler.finish(wall_offset_ns=offset_ns, now_ns=now_ns))
        stale = idle_edges(totals.keys, totals.values, now_ns=time.monotonic_ns(), capacity=self.config.max_edges)
        if len(stale):
            self.capture.forget_edges(stale)
            self._tracker.forget(stale)
        self._submit_objects(now_ns)  # first, so that the server knows the names when the windows arrive
        self.exporter.submit(wire.Table.WINDOWS, window_columns(self.assembler.flush()))
        for table, columns in self.connections.flush(now_ns=now_ns, monotonic_ns=now_ns - offset_ns):
            self.exporter.submit(table, columns)
        requests = Requests.joined(self._requests)
        self._requests, self._listed_requests = [], 0
        for start in range(0, len(requests), _REQUESTS_PER_BATCH):
            if start:
                self.drain()  # a long list takes time to write, and the ring fills meanwhile
            part = requests[start : start + _REQUESTS_PER_BATCH]
            self.exporter.submit(wire.Table.REQUESTS, request_columns(part, self.redaction))
        self.exporter.submit(wire.Table.LEDGER, self.health.ledger_columns(self._condition(), now_ns=now_ns))
        self._lag_ns = 0
        self.beat()

    def beat(self) -> None:
        """Tell whoever probes us that we are alive; a disk that is full does not stop the work."""
        if not self.config.heartbeat:
            return
        try:
            Path(self.config.heartbeat).write_text(str(os.getpid()), encoding="ascii")
        except OSError as exc:
            _log.warning("heartbeat not written", file=self.config.heartbeat, problem=str(exc))

    def _keep(self, requests: Requests) -> None:
        kept = requests[: _REQUESTS_MAX - self._listed_requests]
        self._lost_requests += len(requests) - len(kept)
        if len(kept):
            self._requests.append(kept)
            self._listed_requests += len(kept)

    def _submit_objects(self, now_ns: int) -> None:
        """What changed; now and then everything, so that a server that forgot knows again."""
        objects = self.entities.objects_changed()
        if time.monotonic() >= self._all_objects_due_s:
            self._all_objects_due_s = time.monotonic() + _ALL_OBJECTS_EVERY_S
            gone = [one for one in objects if one.deleted_ns]
            objects = [*self.entities.snapshot(), *gone]
        self.exporter.submit(wire.Table.OBJECTS, object_columns(objects, seen_ns=now_ns))

    def lost(self, kernel: Mapping[str, int]) -> dict[str, int]:
        """Everything that was seen and is missing somewhere, by cause; `kernel` is the capture's ledger."""
        assembly = self.assembler.statistics()
        export = self.exporter.statistics()
        merged = self.redaction.statistics()
        return {cause: kernel[cause] for cause in LEDGER_CAUSES} | {
            "held_full": assembly.lost_held_full,
            "windows_full": assembly.lost_windows_full,
            "unparsed_http": assembly.unparsed_http,
            "unparsed_postgres": assembly.unparsed_postgres,
            "truncated": assembly.truncated,
            "joined_late": assembly.joined_late,
            "stream_gaps": assembly.gaps,
            "unmatched": assembly.unmatched,
            "templates_merged": merged.merged + merged.other,
            "request_list_full": self._lost_requests,
            "queue_full": export.lost_queue_full,
            "spool_evicted": export.spool.evicted_requests,
            "spool_torn": export.spool.torn_requests,
            "refused": export.lost_refused,
            "list_rows": export.lost_list_rows + export.spool.evicted_rows + export.spool.torn_rows,
            **self.connections.lost(),
        }

    def _condition(self) -> Condition:
        kernel = self.capture.ledger()
        export = self.exporter.statistics()
        self.features.put_entities(self.entities.features(), has_kubernetes=self.entities.has_kubernetes)
        return Condition(
            node=self.node,
            started_ns=self.started_ns,
            seen=kernel["seen"],
            sampled=kernel["sampled"],
            events=self._events,
            exported=export.exported_rows,
            lost=self.lost(kernel),
            lag_ns=self._lag_ns,
            sample_every=self.health.governor.limits.sampling(self.sampler.sampling.every),
            queue_bytes=export.queued_bytes,
            spool_bytes=export.spool.size_bytes,
            export_error=export.spool_error or export.last_error,
            features=self.features.rows(),
            unseen=Counter(filter(None, map(command_of, self.capture.unseen()))),
        )


async def run_agent(config: AgentConfig) -> None:
    """Capture, assemble and export until SIGINT or SIGTERM.

    Raises:
        ConfigError: no server, id or key, or one that cannot be right.
        CaptureUnavailableError: this machine cannot capture.
    """
    _require(config)
    options = CaptureOptions(
        ignored_pid=os.getpid(),
        ring_bytes=config.ring_kib * 1024,
        max_connections=config.max_connections,
        max_edges=config.max_edges,
    )
    key = IngestKey.read(config.key, config.key_file)
    _stop_beating(config)
    timeout = aiohttp.ClientTimeout(total=_POST_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with Attachment(options, control_for(LIMITS[Level.FULL])) as capture:
            features = Features()
            judge_capture(features, capture)
            try_process(features)
            entities = Entities(_entity_options(config, features))
            exporter = _exporter(session, config, key)
            await _run(_Agent(config, features, capture=capture, entities=entities, exporter=exporter))


def _stop_beating(config: AgentConfig) -> None:
    """The heartbeat that an agent before us left says nothing about us."""
    if config.heartbeat:
        with contextlib.suppress(OSError):
            Path(config.heartbeat).unlink(missing_ok=True)


def _exporter(session: aiohttp.ClientSession, config: AgentConfig, key: IngestKey) -> Exporter:
    cluster, agent = config.monitoring_id, config.node or platform.node()
    open_spool: Callable[[], Spool] | None = None
    if config.spool_dir:
        directory = spool_directory(Path(config.spool_dir), cluster=cluster, agent=agent)
        open_spool = functools.partial(Spool.open, directory, max_bytes=int(config.spool_mib * 1024 * 1024))
    return Exporter(
        sender(session, config.server, cluster=cluster, agent=agent, key=key),
        first_sequence=first_sequence(),
        max_bytes=int(config.queue_mib * 1024 * 1024),
        open_spool=open_spool,
    )


async def _run(agent: _Agent) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.entities.run)
        # What happens meanwhile waits in the ring, and is named right from the first request on.
        await agent.entities.wait_ready(_NAMES_WITHIN_S)
        _log.info(
            "capturing", node=agent.node, server=_without_user(agent.config.server), scope=str(agent.config.scope)
        )
        agent.beat()
        gc.freeze()  # what was imported lives as long as we do: no collection needs to look at it again
        tasks.start_soon(agent.drain_loop)
        tasks.start_soon(agent.flush_loop)
        tasks.start_soon(agent.health_loop)
        tasks.start_soon(agent.exporter.run)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                _log.info("ending", signal=signal.Signals(number).name)
                break
        tasks.cancel_scope.cancel()
    agent.flush(is_last=True)
    agent.connections.close()
    await agent.exporter.finish(_FAREWELL_S)


def _notable(events: NDArray[np.void]) -> int:
    """For how many requests the notable events stand."""
    chosen = (events["flags"] & _NOTABLE != 0) & (events["kind"] == EventKind.REQUEST)
    return int(events["weight"][chosen].sum())


def _without_user(url: str) -> str:
    """An address as it may stand in a log: without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def _require(config: AgentConfig) -> None:
    for name in ("server", "monitoring_id", "key"):
        if not getattr(config, name) and not (name == "key" and config.key_file):
            remedy = "copy it from the cluster's page of the Osmia server (Clusters, Add cluster)"
            raise ConfigError(f"--{name.replace('_', '-')}", "", "is missing", remedy=remedy)
    if config.ring_kib & (config.ring_kib - 1):
        raise ConfigError("--ring-kib", config.ring_kib, "is not a power of two", remedy="64, 1024, 8192, ...")
    if not config.server.startswith(("http://", "https://")):
        raise ConfigError("--server", config.server, "is not an address", remedy="begin it with http:// or https://")


def _entity_options(config: AgentConfig, features: Features) -> EntityOptions:
    return EntityOptions(
        node=config.node,
        kubeconfig=config.kubeconfig,
        watch=config.watch,
        node_netns=config.node_netns,
        reads_processes=features.is_on("processes"),
    )


def _budgets(config: AgentConfig) -> Budgets:
    bpf_cores = config.bpf_budget_cores or max(_BPF_CORES_LEAST, _BPF_SHARE * len(os.sched_getaffinity(0)))
    return Budgets(bpf_cores, config.cpu_budget_cores, int(config.memory_budget_mib * 1024 * 1024))
