"""`osmia agent tail`: every request on this host as it happens, as a coloured line or as JSON."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import anyio
from rich.console import Console
from rich.text import Text

from osmia.agent.assembly import Assembler
from osmia.agent.entities.index import Entities, EntityOptions
from osmia.agent.events import LEDGER_CAUSES
from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.model.entity import Entity, EntityKind
from osmia.model.request import Address, Process, Protocol, Request, Role

__all__ = ["as_json", "as_line", "tail"]

_POLL_S = 0.02
_SWEEP_S = 0.2
_DRAIN_FULL = 4096
_SLOW_NS = ((1_000_000_000, "red"), (100_000_000, "yellow"))


def as_json(request: Request) -> dict[str, object]:
    """One request as the stable JSON object of the reference (docs/reference/agent.md)."""
    return {
        "time": _iso(request.time_ns),
        "protocol": str(request.protocol),
        "role": str(request.role),
        "client": _end(request.client, request.client_process, request.source),
        "server": _end(request.server, request.server_process, request.destination),
        "method": request.method,
        "target": request.target,
        "status": _status(request),
        "is_error": request.is_error,
        "latency_ns": request.latency_ns,
        "transfer_ns": request.transfer_ns,
        "request_bytes": request.request_bytes,
        "response_bytes": request.response_bytes,
        "is_tls": request.is_tls,
    }


def as_line(request: Request) -> Text:
    """One request as a line for people: time, observer's end marked by an arrow, what, status, latency, bytes."""
    clock = dt.datetime.fromtimestamp(request.time_ns / 1e9, tz=dt.UTC).astimezone().strftime("%H:%M:%S.%f")
    seen_at = "→" if request.role is Role.CLIENT else "⇥"
    status_style = "bold red" if request.is_error else "yellow" if str(request.status).startswith("4") else "green"
    latency_style = next((style for limit, style in _SLOW_NS if request.latency_ns >= limit), "default")
    return Text.assemble(
        (clock[:12], "dim"),
        "  ",
        (_name(request.client, request.client_process, request.source), "cyan"),
        (f" {seen_at} ", "dim"),
        (_name(request.server, request.server_process, request.destination), "cyan"),
        "  ",
        (f"{request.protocol} ", "dim"),
        (f"{request.method} " if request.protocol is Protocol.HTTP else "", "bold"),
        " ".join(request.target.split())[:160],
        "  ",
        (request.status, status_style),
        "  ",
        (_duration(request.latency_ns), latency_style),
        (f"  {_size(request.request_bytes)} ↑ {_size(request.response_bytes)} ↓", "dim"),
    )


async def tail(
    *, json_lines: bool, duration_s: float | None, port: int | None, kubeconfig: str, is_redacted: bool = False
) -> None:
    """Print requests until the duration has passed or SIGINT/SIGTERM arrives, then one line of statistics.

    Texts are printed as they were sent, or, with `is_redacted`, as templates.

    Raises:
        CaptureUnavailableError: this machine cannot capture.
    """
    with Capture(CaptureOptions(ignored_pid=os.getpid())) as capture:
        entities = Entities(EntityOptions(kubeconfig=kubeconfig))
        assembler = Assembler(entities, quiet_ns=int(2.5 * _SWEEP_S * 1e9), on_dns=entities.on_dns)
        show = _printer(json_lines=json_lines, is_redacted=is_redacted)
        sys.stderr.write("watching every request on this host; Ctrl-C ends\n")
        sys.stderr.flush()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(entities.run)
            tasks.start_soon(_end_on_signal, tasks.cancel_scope)
            with anyio.move_on_after(duration_s):
                sweep_due_s = 0.0
                while True:
                    if time.monotonic() >= sweep_due_s:
                        sweep_due_s = time.monotonic() + _SWEEP_S
                        capture.sweep()
                    _drain(capture, assembler, port=port, show=show)
                    await anyio.sleep(_POLL_S)
            tasks.cancel_scope.cancel()
        _drain(capture, assembler, port=port, show=show)
        _drain(capture, assembler, port=port, show=show, look_ahead_ns=3_000_000_000)
        _print_statistics(capture, assembler, json_lines=json_lines)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


def _drain(
    capture: Capture,
    assembler: Assembler,
    *,
    port: int | None,
    show: Callable[[Request], None],
    look_ahead_ns: int = 0,
) -> None:
    """Print what is there; with `look_ahead_ns`, also what still waited for something."""
    while True:
        events = capture.drain()
        now_ns = time.time_ns()
        for request in assembler.add(
            events, wall_offset_ns=now_ns - time.monotonic_ns(), now_ns=now_ns + look_ahead_ns
        ):
            if port is None or port in {request.client.port, request.server.port, request.server_port}:
                show(request)
        assembler.flush()  # nobody asks for windows here
        if len(events) < _DRAIN_FULL:
            return


def _printer(*, json_lines: bool, is_redacted: bool) -> Callable[[Request], None]:
    console = Console(highlight=False, soft_wrap=True)

    def show_json(request: Request) -> None:
        sys.stdout.write(json.dumps(as_json(request), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def show_line(request: Request) -> None:
        console.print(as_line(request))

    show = show_json if json_lines else show_line
    return (lambda request: show(replace(request, target=request.template))) if is_redacted else show


def _print_statistics(capture: Capture, assembler: Assembler, *, json_lines: bool) -> None:
    ledger, assembly = capture.ledger(), assembler.statistics()
    lost = {cause: ledger[cause] for cause in LEDGER_CAUSES} | {
        "held_full": assembly.lost_held_full,
        "unparsed": assembly.unparsed_http + assembly.unparsed_postgres,
        "stream_gaps": assembly.gaps,
        "unmatched": assembly.unmatched,
    }
    if json_lines:
        statistics = {"seen": ledger["seen"], "lost": lost, "abandoned": ledger["abandoned"]}
        sys.stdout.write(json.dumps({"statistics": statistics}) + "\n")
        sys.stdout.flush()
        return
    causes = ", ".join(f"{cause.replace('_', ' ')} {count}" for cause, count in lost.items() if count)
    without = ledger["abandoned"]
    sys.stderr.write(
        f"{ledger['seen']} requests seen on this host at either end, {without} without an answer, "
        f"lost: {causes or 'none'}\n"
    )


def _end(address: Address, process: Process | None, entity: Entity) -> dict[str, object]:
    end: dict[str, object] = {
        "ip": address.ip,
        "port": address.port,
        "pid": process.pid if process else None,
        "command": process.command if process else None,
    }
    if entity.pod:
        end |= {"pod": entity.pod, "namespace": entity.namespace, "workload": entity.name}
    elif entity.namespace:
        end |= {"namespace": entity.namespace, "workload": entity.name}
    if entity.container:
        end["container"] = entity.container
    if entity.service:
        end["service"] = entity.service
    return end


def _name(address: Address, process: Process | None, entity: Entity) -> str:
    if entity.pod:
        return f"{entity.namespace}/{entity.pod}"
    if process:
        return f"{process.command}[{process.pid}] {address}"
    if entity.kind is EntityKind.EXTERNAL:
        return f"{'external ' if not _is_private(address.ip) else ''}{address}"
    return f"{entity.name} {address}"


def _is_private(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_private


def _status(request: Request) -> int | str:
    is_code = request.protocol is Protocol.HTTP and request.status.isdigit()
    return int(request.status) if is_code else request.status


def _iso(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest // 1000:06d}Z"


def _duration(latency_ns: int) -> str:
    for limit, unit, divisor in ((1_000_000, "µs", 1e3), (1_000_000_000, "ms", 1e6)):
        if latency_ns < limit:
            return f"{latency_ns / divisor:.3g} {unit}"
    return f"{latency_ns / 1e9:.3g} s"


def _size(count: int) -> str:
    for limit, unit, divisor in ((1000, "B", 1), (1_000_000, "kB", 1e3), (1_000_000_000, "MB", 1e6)):
        if count < limit:
            return f"{count / divisor:.3g} {unit}"
    return f"{count / 1e9:.3g} GB"
