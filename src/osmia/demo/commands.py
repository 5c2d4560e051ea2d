"""`osmia demo`: the story in one command, and its check."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
import typing
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from osmia.model.errors import CaptureUnavailableError, OsmiaError

if typing.TYPE_CHECKING:
    from osmia.demo.check import Check
    from osmia.demo.world import Agent, Server

__all__ = ["demo"]

_INTERRUPTED = 130


@click.command()
@click.option("--check", is_flag=True, help="Drive a load of known counts, compare what the map says, and end.")
@click.option("--json", "as_json", is_flag=True, help="The check's result as JSON.")
@click.option("--listen", default="127.0.0.1:8460", show_default=True, help="HOST:PORT of the page; port 0: any.")
@click.option("--data", type=click.Path(path_type=Path), help="Keep the server's data in this directory.")
@click.option("--name", default="demo", show_default=True, help="Name of the lab and of the cluster on the page.")
@click.option("--duration", "duration_s", type=click.FloatRange(min=0), help="End after this many seconds.")
@click.option("--replay", is_flag=True, help="Replay the recorded story, as on machines without eBPF or root.")
@click.option(
    "--sabotage",
    type=click.Choice(["agent", "counts"]),
    help="With --check: stop the agent in mid-load, or alter one edge's counts. The check must fail.",
)
@click.option("--record", type=click.Path(path_type=Path), help="Record what the agent sends, for --replay.")
def demo(**given: typing.Any) -> None:  # noqa: ANN401 - click's keywords, made a type below
    """Bring up a small Kubernetes with sample apps on this machine and watch it live. Ctrl-C takes it all down."""
    from osmia.telemetry import configure_logging

    configure_logging(level="warning")
    if given["check"]:
        sys.exit(anyio.run(_until_signal, functools.partial(_check, given)))
    for option in ("sabotage", "as_json"):
        if given[option]:
            raise click.UsageError(f"--{option.removeprefix('as_')} belongs to --check")
    reason = "asked for by --replay" if given["replay"] else _reason_against_capture()
    work = functools.partial(_replay, given, reason) if reason else functools.partial(_show, given)
    anyio.run(_until_signal, work)


def _reason_against_capture() -> str:
    """Why the real thing cannot run here; empty if it can."""
    from osmia.agent.kernel.capture import Capture, CaptureOptions

    if os.geteuid() != 0:
        return "not root: network namespaces and eBPF need it"
    try:
        Capture(CaptureOptions(ring_bytes=1 << 16, max_connections=64, max_edges=64, max_buckets=64)).close()
    except CaptureUnavailableError as exc:
        return exc.message
    return ""


async def _until_signal(work: Callable[[], Awaitable[int]]) -> int:
    """Exit code of the work, or 130 if SIGINT, SIGTERM or SIGHUP ended it; either way it has cleaned up."""
    code = _INTERRUPTED
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                async for _ in signals:
                    tasks.cancel_scope.cancel()
                    return

            tasks.start_soon(watch)
            code = await work()
            tasks.cancel_scope.cancel()
    return code


def _say(text: str) -> None:
    click.echo(f"  {text}", err=True)


async def _show(given: dict[str, typing.Any]) -> int:
    from contextlib import AsyncExitStack

    from osmia.demo.recording import recorder
    from osmia.demo.world import sample_manifest, world

    began = time.monotonic()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            world(name=given["name"], listen=given["listen"], data=given["data"], manifest=sample_manifest(), say=_say)
        )
        target = ""
        if given["record"]:
            host = str(running.lab.plan.host)
            target = await stack.enter_async_context(recorder(running.api.url, given["record"], host=host))
        agent = await running.start_agent(target)
        click.echo(f"\nOsmia is watching after {time.monotonic() - began:.0f} s:  {running.page}\n")
        _say(f"kubectl --kubeconfig {running.lab.kubeconfig} get pods -A")
        _say("Ctrl-C takes everything down")
        with anyio.move_on_after(given["duration_s"]):
            await _fail_with_either(agent, running.server)
    return 0


async def _fail_with_either(agent: Agent, server: Server) -> None:
    """Wait for ever; raise when one of the two has ended by itself."""

    async def watch_agent() -> None:
        raise OsmiaError(f"the agent ended by itself with {await agent.wait_ended()}")

    async def watch_server() -> None:
        raise OsmiaError(f"the server ended by itself with code {await server.process.wait()}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_agent)
        tasks.start_soon(watch_server)


async def _replay(given: dict[str, typing.Any], reason: str) -> int:
    from osmia.demo.recording import replay

    click.secho(f"This is a recording, not this machine: {reason}", fg="yellow", bold=True, err=True)
    await replay(
        listen=given["listen"],
        data=given["data"],
        name=given["name"],
        reason=reason,
        duration_s=given["duration_s"],
        say=_say,
    )
    return 0


async def _check(given: dict[str, typing.Any]) -> int:
    from osmia.demo.check import run_check
    from osmia.demo.world import sample_manifest, world

    began = time.monotonic()
    manifest = sample_manifest(for_check=True)
    async with world(
        name=given["name"], listen="127.0.0.1:0", data=given["data"], manifest=manifest, say=_say
    ) as running:
        _say("driving the load")
        checks = await run_check(running, given["sabotage"] or "")
    passed = all(check.passed for check in checks)
    if given["as_json"]:
        click.echo(json.dumps({"passed": passed, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        _print(checks, passed=passed, seconds=time.monotonic() - began)
    return 0 if passed else 1


def _print(checks: list[Check], *, passed: bool, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "check", "expected", "found", box=None, pad_edge=False)
    for check in checks:
        table.add_row("[green]✓[/]" if check.passed else "[red]✗[/]", check.name, check.expected, check.found)
    console = Console()
    console.print(table)
    failed = sum(not check.passed for check in checks)
    verdict = (
        f"[green]all {len(checks)} checks passed[/]" if passed else f"[red]{failed} of {len(checks)} checks failed[/]"
    )
    console.print(f"\n{verdict} in {seconds:.0f} s")
