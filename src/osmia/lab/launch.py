"""Bringing a lab up in the background and waiting until it, and what runs in it, is ready."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import anyio
import msgspec

from osmia.lab.client import LabClient, apply_by_kubectl
from osmia.lab.config import LabConfig, check_name
from osmia.lab.daemon import DaemonOrder
from osmia.lab.host import require_host
from osmia.lab.readiness import Progress
from osmia.lab.state import LabDirectory, LabState, take_down
from osmia.model.errors import LabError

__all__ = ["apply_manifest", "start_daemon", "wait_ready"]

_POLL_S = 0.05
_PROGRESS_S = 0.2
_START_TIMEOUT_S = 20.0
_END_TIMEOUT_S = 10.0


async def start_daemon(config: LabConfig, *, kubeconfig_copy: str = "") -> LabState:
    """Start the background process and return once its API server answers.

    Raises:
        LabError: this machine cannot carry a lab, one of that name runs, or the process ended; says why.
        ConfigError: a setting is wrong.
    """
    require_host()
    directory = LabDirectory(config.state_root, check_name(config.name))
    present = directory.read()
    if present is not None and present.is_alive:
        remedy = f"`osmia lab down --name {config.name}`, or give another --name"
        raise LabError(f"the lab {config.name} is up already (process {present.pid})", remedy=remedy)
    if present is not None:
        await take_down(directory)  # its process died; the new one's log must not go with the old files
    directory.make()
    order = msgspec.json.encode(DaemonOrder(config, kubeconfig_copy)).decode()
    with directory.daemon_log.open("w+b") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it outlives us
            [sys.executable, "-m", "osmia.lab.daemon", order],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
        with anyio.move_on_after(_START_TIMEOUT_S):
            while process.poll() is None:
                state = directory.read()
                if state is not None and state.is_up and state.pid == process.pid:
                    return state
                await anyio.sleep(_POLL_S)
        await _end(process)
        problem = _last_line(log)  # the process may have removed the file, but we hold it open
    await take_down(directory)
    raise LabError(f"the lab did not come up: {problem}")


async def apply_manifest(state: LabState, client: LabClient, manifest: Path) -> tuple[str, list[str]]:
    """Apply a manifest; returns who did it and what was done.

    Raises:
        LabError: it was refused.
        ConfigError: it is malformed.
    """
    if (done := await apply_by_kubectl(state, manifest)) is not None:
        return "kubectl", done
    return "osmia", await client.apply(await anyio.Path(manifest).read_text())


async def wait_ready(client: LabClient, timeout_s: float, show: Callable[[Progress], None]) -> Progress:
    """Wait until all workloads are ready, telling `show` of every step.

    Raises:
        LabError: they are not within the time; names what is missing and why.
    """
    progress = await client.progress()
    with anyio.move_on_after(timeout_s):
        while not progress.is_done:
            show(progress)
            await anyio.sleep(_PROGRESS_S)
            progress = await client.progress()
        return progress
    missing = ", ".join(progress.missing)
    raise LabError(f"not ready after {timeout_s:g} s: {missing}", remedy="see `osmia lab status` and the pods' logs")


async def _end(process: subprocess.Popen[bytes]) -> None:
    """End a background process that did not come up; it gets the time to clear away what it built."""
    process.terminate()
    with anyio.move_on_after(_END_TIMEOUT_S):
        while process.poll() is None:  # noqa: ASYNC110 - a process of the subprocess module cannot be awaited
            await anyio.sleep(_POLL_S)
    process.kill()


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("osmia: ") if lines else "it said nothing"
