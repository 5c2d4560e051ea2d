"""The background process of `osmia lab up`: a Cluster until a signal ends it. Its only argument is its settings."""

from __future__ import annotations

import signal
import sys

import anyio
import click
import msgspec

from osmia.lab.cluster import Cluster
from osmia.lab.config import LabConfig
from osmia.model.errors import OsmiaError
from osmia.telemetry import configure_logging

__all__ = ["DaemonOrder", "main"]


class DaemonOrder(msgspec.Struct, frozen=True):
    """What the background process is told."""

    config: LabConfig
    kubeconfig_copy: str = ""


def main() -> None:
    """Run the lab described by the first argument until SIGTERM or SIGINT."""
    order = msgspec.json.decode(sys.argv[1], type=DaemonOrder)
    configure_logging()
    try:
        anyio.run(_run, order)
    except OsmiaError as exc:
        click.echo(f"osmia: {exc}", err=True)
        sys.exit(1)


async def _run(order: DaemonOrder) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with Cluster.up(order.config, kubeconfig_copy=order.kubeconfig_copy):
            async for _ in signals:
                return


if __name__ == "__main__":
    main()
