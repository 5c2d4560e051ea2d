"""`osmia agent ...`: watch this machine."""

from __future__ import annotations

import json
import signal
import sys
import typing
from dataclasses import asdict

import anyio
import click

from osmia import settings
from osmia.agent.config import AgentConfig

if typing.TYPE_CHECKING:
    from osmia.agent.check import Feature

__all__ = ["agent"]


@click.group()
def agent() -> None:
    """Watch this machine: every request of every process, with no change to any of them."""


@agent.command()
@settings.options(AgentConfig, "agent")
def run(**given: object) -> None:
    """Watch, and report to an Osmia server until stopped. Every option is also OSMIA_AGENT_<NAME>."""
    from osmia.agent.daemon import run_agent
    from osmia.telemetry import configure_logging

    config = settings.read("agent", AgentConfig, given)
    configure_logging(level=config.log_level, json=config.log_json)
    anyio.run(run_agent, config)


@agent.command()
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line, then one of statistics.")
@click.option("--duration", "duration_s", type=click.FloatRange(min=0), help="Stop after this many seconds.")
@click.option("--port", type=click.IntRange(1, 65535), help="Only requests with this port at either end.")
@click.option("--kubeconfig", default="", help="Name pods by this cluster's API server.")
def tail(*, json_lines: bool, duration_s: float | None, port: int | None, kubeconfig: str) -> None:
    """Print every request on this host as it happens: needs no server and no Kubernetes."""
    from osmia.agent.tail import tail as run_tail
    from osmia.telemetry import configure_logging

    configure_logging(level="warning")

    async def main() -> None:
        await run_tail(json_lines=json_lines, duration_s=duration_s, port=port, kubeconfig=kubeconfig)

    # `osmia agent tail | head` ends us by SIGPIPE, quietly, as it ends any filter.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    anyio.run(main)


@agent.command()
@click.option("--json", "as_json", is_flag=True, help="The table as JSON.")
@click.option("--kubeconfig", default="", help="Also check this cluster's API server.")
def check(*, as_json: bool, kubeconfig: str) -> None:
    """What this machine can do, feature by feature, and why not. Exit code 0: the core works, 1: it does not."""
    from osmia.agent.check import Importance, check_machine
    from osmia.telemetry import configure_logging

    configure_logging(level="error")

    async def probe() -> list[Feature]:
        return await check_machine(kubeconfig=kubeconfig)

    features = anyio.run(probe)
    core_works = all(feature.works for feature in features if feature.importance is Importance.CORE)
    if as_json:
        click.echo(json.dumps({"works": core_works, "features": [asdict(feature) for feature in features]}, indent=2))
    else:
        _print_table(features, core_works=core_works)
    sys.exit(0 if core_works else 1)


def _print_table(features: list[Feature], *, core_works: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "feature", "", "what was found", box=None, pad_edge=False)
    for feature in features:
        mark = "[green]✓[/]" if feature.works else "[red]✗[/]" if feature.importance == "core" else "[yellow]-[/]"
        remedy = f"\n[dim]{feature.remedy}[/]" if feature.remedy and not feature.works else ""
        table.add_row(mark, feature.name, str(feature.importance), feature.detail + remedy)
    console = Console()
    console.print(table)
    console.print("\nThe core works." if core_works else "\n[red]The core does not work on this machine.[/]")
