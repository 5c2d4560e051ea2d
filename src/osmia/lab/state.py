"""What a lab leaves behind for later commands: one directory per lab, written before anything is built.

::

    <state root>/lock                 held while addresses are chosen
    <state root>/<lab>/state.json     who runs it, addresses, how far it is
    <state root>/<lab>/kubeconfig     for kubectl
    <state root>/<lab>/daemon.log     events of the background process
    <state root>/<lab>/pods/<uid>/    files and logs of each pod; the uids also lead to the cgroups
    <state root>/<lab>/claims/        contents of PersistentVolumeClaims
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import anyio
import msgspec
from anyio.to_thread import run_sync

from osmia.lab.host import cgroup_root
from osmia.lab.network.node import NodeNetwork, wait_removed
from osmia.lab.network.plan import AddressPlan
from osmia.lab.runtime import cgroup
from osmia.model.errors import LabError

__all__ = ["LabDirectory", "LabState", "clean", "started_at", "take_down"]

_END_TIMEOUT_S = 30.0
_START_TIME_FIELD = 19
"""Position of a process's start time in /proc/PID/stat, counted after the command's closing parenthesis."""


class LabState(msgspec.Struct, frozen=True):
    """One lab, as far as other processes need to know it."""

    name: str
    pid: int
    pid_started: int
    node: str
    pods: str
    services: str
    uplink: str
    kubeconfig: str
    kubeconfig_copy: str = ""
    server: str = ""
    is_up: bool = False
    is_dual_stack: bool = False

    @property
    def plan(self) -> AddressPlan:
        """Its addresses."""
        pods, services, uplink = (IPv4Network(one) for one in (self.pods, self.services, self.uplink))
        return AddressPlan(pods, services, uplink, self.is_dual_stack)

    @property
    def network(self) -> NodeNetwork:
        """Its node's network."""
        return NodeNetwork(self.node, self.plan)

    @property
    def is_alive(self) -> bool:
        """Whether the process that runs it is there (and no other that got its number)."""
        return started_at(self.pid) == self.pid_started


class LabDirectory:
    """The directory of one lab."""

    def __init__(self, root: str | Path, name: str) -> None:
        self.root = Path(root)
        self.path = self.root / name

    @property
    def pods(self) -> Path:
        """Where pods live."""
        return self.path / "pods"

    @property
    def claims(self) -> Path:
        """Where claimed volumes live."""
        return self.path / "claims"

    @property
    def daemon_log(self) -> Path:
        """Events of the background process."""
        return self.path / "daemon.log"

    def make(self) -> None:
        """Make the directory, for root only: tokens and Secrets lie in it."""
        for path in (self.path, self.pods, self.claims):
            path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def read(self) -> LabState | None:
        """The lab's state, or None if there is no such lab.

        Raises:
            LabError: the state cannot be read.
        """
        try:
            return msgspec.json.decode((self.path / "state.json").read_bytes(), type=LabState)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as exc:
            raise LabError(f"{self.path}/state.json cannot be read: {exc}") from exc

    def write(self, state: LabState) -> None:
        """Write the state so that readers see the old or the new one."""
        draft = self.path / "state.json.new"
        draft.write_bytes(msgspec.json.encode(state))
        draft.replace(self.path / "state.json")

    def remove(self) -> None:
        """Remove the lab's directory, and the root when this was the last lab."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            if not any(path.is_dir() for path in self.root.iterdir()):
                (self.root / "lock").unlink(missing_ok=True)
                self.root.rmdir()


def started_at(pid: int) -> int:
    """When a process started, in clock ticks since boot; -1 if there is none (a zombie counts as none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] == "Z" else int(fields[_START_TIME_FIELD])


async def take_down(directory: LabDirectory, *, timeout_s: float = _END_TIMEOUT_S) -> bool:
    """End a lab and everything of it, whatever state it is in; False if there was nothing to do.

    Raises:
        LabError: something does not go away; names it.
    """
    state = directory.read()
    if state is None:
        had_files = directory.path.exists()
        directory.remove()
        return had_files
    await _end_process(state, timeout_s)
    await clean(directory, state)
    return True


async def clean(directory: LabDirectory, state: LabState) -> None:
    """Remove what a lab made, pods first; the process that ran it must be gone, or be the caller.

    Raises:
        LabError: something does not go away; names it.
    """
    root = cgroup_root()
    uids = [path.name for path in directory.pods.glob("*")]
    for uid in uids:
        for quality in ("BestEffort", "Burstable", "Guaranteed"):
            path = cgroup.pod_cgroup(root, uid, quality)
            if path.exists():
                await cgroup.kill_tree(path)
                for one in (path, *cgroup.twins(path)):
                    await cgroup.remove_tree(one)
    await state.network.remove()
    await wait_removed(state.network)
    if state.kubeconfig_copy:
        await anyio.Path(state.kubeconfig_copy).unlink(missing_ok=True)
    await run_sync(directory.remove)


async def _end_process(state: LabState, timeout_s: float) -> None:
    if not state.is_alive or state.pid == os.getpid():
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(state.pid, number)
        with anyio.move_on_after(timeout_s):
            while state.is_alive:  # noqa: ASYNC110 - not our child, nothing to await
                await anyio.sleep(0.02)
            return
    raise LabError(f"process {state.pid} of lab {state.name} does not end")
