"""`osmia agent ...`: watch this machine."""

from __future__ import annotations

import signal
import sys

import anyio
import click

from osmia import settings
from osmia.agent.config import AgentConfig

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
@click.option("--redact", is_flag=True, help="Print routes and statements without their values, as a server gets them.")
def tail(*, json_lines: bool, duration_s: float | None, port: int | None, kubeconfig: str, redact: bool) -> None:
    """Print every request on this host as it happens: needs no server and no Kubernetes.

    Paths and statements are printed as they were sent, with all values in them; --redact leaves those out.
    """
    from osmia.agent.tail import tail as run_tail
    from osmia.telemetry import configure_logging

    configure_logging(level="warning")

    async def main() -> None:
        await run_tail(
            json_lines=json_lines, duration_s=duration_s, port=port, kubeconfig=kubeconfig, is_redacted=redact
        )

    # `osmia agent tail | head` ends us by SIGPIPE, quietly, as it ends any filter.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    anyio.run(main)


@agent.command()
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@settings.options(AgentConfig, "agent")
def check(*, as_json: bool, **given: object) -> None:
    """What the agent will do here, what it will not, and what to do about that.

    Exit code 0: everything, 1: it runs in a reduced form, 2: it cannot run. Takes the settings of `osmia agent run`,
    from the environment too, and looks at what they ask for.
    """
    from rich.console import Console

    from osmia.agent.check import check_machine
    from osmia.agent.check import report as reports
    from osmia.telemetry import configure_logging

    config = settings.read("agent", AgentConfig, given)
    configure_logging(level="critical")
    report = anyio.run(check_machine, config)
    if as_json:
        click.echo(reports.as_json(report))
    else:
        reports.print_report(report, Console())
    sys.exit(int(report.verdict))
