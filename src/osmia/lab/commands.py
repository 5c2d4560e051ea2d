"""`osmia lab`: bring a small Kubernetes up on this machine, look at it, take it down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec
from rich.console import Console
from rich.table import Table

from osmia.lab.client import LabClient
from osmia.lab.config import LabConfig, check_name
from osmia.lab.host import require_host
from osmia.lab.launch import apply_manifest, start_daemon, wait_ready
from osmia.lab.manifest import manifest_path
from osmia.lab.readiness import Progress
from osmia.lab.state import LabDirectory, LabState, take_down
from osmia.settings import options, read

__all__ = ["lab"]

Object = dict[str, Any]

_PORT_LIMIT = 4
_PIPE_WIDTH = 160


@click.group()
def lab() -> None:
    """A small Kubernetes on this machine: network namespaces as pods, real processes, a real-protocol API server."""


@lab.command()
@options(LabConfig, "lab")
@click.option("--apply", "manifest", metavar="sample|FILE", help="Manifest to apply; `sample` = the sample apps.")
@click.option("--kubeconfig", metavar="PATH", default="", help="Write the kubeconfig here too; `down` removes it.")
def up(manifest: str | None, kubeconfig: str, **given: object) -> None:
    """Bring a lab up in the background."""
    config = read("lab", LabConfig, given)
    copy = str(Path(kubeconfig).absolute()) if kubeconfig else ""
    anyio.run(_up, config, manifest_path(manifest) if manifest else None, copy)


@lab.command()
@options(LabConfig, "lab")
@click.option("--all", "is_all", is_flag=True, help="Take down every lab of the state root.")
def down(*, is_all: bool, **given: object) -> None:
    """Take a lab down and remove everything of it; also what a crashed one left."""
    config = read("lab", LabConfig, given)
    require_host()
    root = Path(config.state_root)
    found = sorted(path.name for path in root.glob("*") if path.is_dir()) if is_all else [check_name(config.name)]
    for name in found:
        was_there = anyio.run(take_down, LabDirectory(root, name))
        click.echo(f"lab {name}: {'taken down' if was_there else 'nothing to take down'}")


@lab.command()
@options(LabConfig, "lab")
@click.option("--json", "is_json", is_flag=True, help="One JSON object instead of tables.")
def status(*, is_json: bool, **given: object) -> None:
    """Show a lab's pods, Services and endpoints; exit code 1 if it is not up."""
    config = read("lab", LabConfig, given)
    state = LabDirectory(config.state_root, check_name(config.name)).read()
    if state is None or not state.is_alive:
        problem = "its process died; `osmia lab down` clears it away" if state else "there is no such lab"
        if is_json:
            click.echo(msgspec.json.encode({"name": config.name, "is_up": False, "problem": problem}))
        else:
            click.echo(f"lab {config.name}: not up ({problem})")
        sys.exit(1)
    anyio.run(_show, state, is_json)


async def _up(config: LabConfig, manifest: Path | None, copy: str) -> None:
    console = Console(stderr=True)
    began = anyio.current_time()
    with console.status("building the node") as line:
        state = await start_daemon(config, kubeconfig_copy=copy)
        async with LabClient.connect(state) as client:
            if manifest is not None:
                line.update(f"applying {manifest.name}")
                who, done = await apply_manifest(state, client, manifest)
                console.print(f"{who} applied {manifest.name}: {len(done)} objects")

            def show(progress: Progress) -> None:
                line.update(f"{progress.ready}/{progress.wanted} pods ready; waiting for {', '.join(progress.missing)}")

            progress = await wait_ready(client, config.ready_timeout_s, show)
    took_s = anyio.current_time() - began
    console.print(f"lab [bold]{state.name}[/] is up in {took_s:.1f} s: {progress.ready} pods ready")
    shown = copy or state.kubeconfig
    click.echo(f"export KUBECONFIG={shown}")
    console.print("try:  kubectl get pods -A  ·  osmia lab status  ·  osmia lab down", highlight=False)


async def _show(state: LabState, is_json: bool) -> None:  # noqa: FBT001 - handed through anyio.run
    async with LabClient.connect(state) as client:
        resources = ("nodes", "pods", "services", "endpointslices", "deployments")
        found = {resource: await client.all(resource) for resource in resources}
    if is_json:
        click.echo(msgspec.json.encode({"is_up": True, **_facts(state), **found}))
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(f"lab [bold]{state.name}[/] at {state.server}, process {state.pid}", highlight=False)
    for table in (_pods_table(found["pods"]), _services_table(found["services"], found["endpointslices"])):
        console.print(table)


def _facts(state: LabState) -> Object:
    plan = state.plan
    return {
        "name": state.name,
        "pid": state.pid,
        "server": state.server,
        "kubeconfig": state.kubeconfig,
        "node": state.node,
        "node_address": str(plan.node),
        "host_address": str(plan.host),
        "network_namespace": str(state.network.namespace_path),
        "pod_cidr": state.pods,
        "service_cidr": state.services,
    }


def _pods_table(pods: list[Object]) -> Table:
    table = Table("namespace", "pod", "phase", "ready", "restarts", "address", title="Pods", title_justify="left")
    for pod in pods:
        containers = (pod.get("status") or {}).get("containerStatuses") or []
        ready = sum(one["ready"] for one in containers)
        table.add_row(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            _phase(pod),
            f"{ready}/{len(pod['spec']['containers'])}",
            str(sum(one["restartCount"] for one in containers)),
            pod["status"].get("podIP", ""),
        )
    return table


def _phase(pod: Object) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    for one in pod["status"].get("containerStatuses") or []:
        waiting = one["state"].get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating"):
            return str(waiting["reason"])
    return str(pod["status"].get("phase", ""))


def _services_table(services: list[Object], slices: list[Object]) -> Table:
    table = Table(
        "namespace", "service", "addresses", "ports", "ready endpoints", title="Services", title_justify="left"
    )
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        own = [one for one in slices if one["metadata"]["labels"].get("kubernetes.io/service-name") == metadata["name"]]
        ready = [
            endpoint["addresses"][0]
            for one in own
            if one["metadata"]["namespace"] == metadata["namespace"]
            for endpoint in one.get("endpoints") or []
            if endpoint["conditions"].get("ready")
        ]
        ingress = (service["status"].get("loadBalancer") or {}).get("ingress") or []
        table.add_row(
            metadata["namespace"],
            metadata["name"],
            ", ".join([spec.get("clusterIP", ""), *(one["ip"] for one in ingress)]),
            ", ".join(f"{port['port']}/{port['protocol']}" for port in spec.get("ports", [])[:_PORT_LIMIT]),
            ", ".join(ready) or "none",
        )
    return table
