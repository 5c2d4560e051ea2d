"""Pods as the kernel sees them: a pause process that holds the namespaces, and containers that join them.

Everything is started through sh, nsenter and unshare rather than by forking this process: cheap, no state inherited,
and each process moves itself into its cgroup before it becomes anything.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from osmia.lab.host import PATH
from osmia.lab.network.node import NodeNetwork
from osmia.lab.network.plan import AddressPool
from osmia.lab.runtime import cgroup
from osmia.lab.runtime.images import Launch
from osmia.lab.runtime.process import Process
from osmia.lab.runtime.script import TEMPORARY, Mount, Security, container_script, visible_mounts
from osmia.model.errors import LabError

__all__ = ["Container", "ContainerSpec", "Runtime", "Sandbox", "SandboxSpec"]

_START_TIMEOUT_S = 20.0
_SAID_BYTES = 4096
_ENTER_CGROUP = 'for one in $0; do echo $$ > "$one/cgroup.procs"; done; exec "$@"'
_PAUSE = 'hostname "$0"; echo up; exec sleep infinity > /dev/null 2>&1'
_RUN = 'exec 3>&2 2>/dev/null; sh -euc "$0" "$1" 2>&3 3>&-; exit $?'
"""The first child after unshare is number 1 of the new pid namespace; its parent waits and hands on how it ended.

(`unshare --fork` would do that too, but turns a SIGKILL into exit code 1.)
"""
_ENVIRONMENT = {"PATH": PATH}


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a pod's sandbox depends on."""

    uid: str
    hostname: str
    quality: str
    is_host_network: bool = False
    is_host_pids: bool = False


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container to start, everything resolved."""

    name: str
    launch: Launch
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    files: Mapping[str, str]
    directory: str
    log: Path
    security: Security
    limits: cgroup.Limits


@dataclass(slots=True)
class Container:
    """One started container."""

    id: str
    spec: ContainerSpec
    process: Process
    cgroup: Path
    home: Path
    twins: Sequence[Path] = ()

    def ask_to_stop(self) -> None:
        """Send the image's stop signal to the container's first process."""
        self.process.signal(signal.Signals[f"SIG{self.spec.launch.stop_signal}"])

    async def remove(self) -> None:
        """Kill what is left of it and remove its cgroup and files; its log stays."""
        await cgroup.kill_tree(self.cgroup)
        await self.process.wait()
        for path in (self.cgroup, *self.twins):
            await cgroup.remove_tree(path)
        await _remove_files(self.home)


class Sandbox:
    """A running pod without its containers: made by `Runtime.start`, ended by `remove`."""

    def __init__(  # noqa: PLR0913 - the parts it owns
        self,
        spec: SandboxSpec,
        *,
        home: Path,
        directory: Path,
        root: Path,
        pause: Process,
        address: IPv4Address,
        interface: str,
    ) -> None:
        self.spec = spec
        self._root = root
        self.home = home
        self.cgroup = directory
        self.pause = pause
        self.address = address
        self.interface = interface

    def start(self, spec: ContainerSpec) -> Container:
        """Start a container in this pod.

        Raises:
            LabError: its process could not be made.
        """
        container_id = secrets.token_hex(32)
        home = self.home / "containers" / container_id[:12]
        directory = cgroup.container_cgroup(self.cgroup, container_id)
        directory.mkdir()
        twins = cgroup.limit(directory, self._root, spec.limits)
        home.mkdir(parents=True)
        script = container_script(
            home,
            host_mounts=visible_mounts(Path("/proc/self/mountinfo").read_text()),
            mounts=spec.mounts,
            files=spec.files,
            user=spec.launch.user,
            directory=spec.directory,
            argv=spec.launch.argv,
            has_own_pids=not self.spec.is_host_pids,
            security=spec.security,
        )
        environment = {
            "PATH": PATH,
            "HOSTNAME": self.spec.hostname,
            "HOME": "/",
            "TMPDIR": TEMPORARY,
            **spec.launch.environment,
            **spec.environment,
        }
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("ab") as log:
            enter = self._enter([directory, *twins])
            process = Process.start([*enter, script, spec.name], environment=environment, output=log)
        return Container(container_id, spec, process, directory, home, twins)

    def _enter(self, cgroups: Sequence[Path]) -> list[str]:
        of_pause = f"/proc/{self.pause.pid}/ns"
        shell = ["sh", "-euc"] if self.spec.is_host_pids else ["--pid", "sh", "-c", _RUN]
        return [
            *("sh", "-ec", _ENTER_CGROUP, " ".join(map(str, cgroups))),
            *("nsenter", f"--net={of_pause}/net", f"--uts={of_pause}/uts", f"--ipc={of_pause}/ipc", "--"),
            *("unshare", "--mount", *shell),
        ]


class Runtime:
    """Starts and removes the sandboxes of one node."""

    def __init__(self, *, pods: Path, cgroup_root: Path, network: NodeNetwork) -> None:
        self._pods = pods
        self._cgroup_root = cgroup_root
        self._network = network
        plan = network.plan
        self._addresses = AddressPool(plan.pods, reserved=[plan.gateway])

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Make a pod's cgroup, namespaces and network.

        Raises:
            LabError: a step failed; nothing of the pod is left.
        """
        home = self.home(spec.uid)
        home.mkdir(parents=True, exist_ok=True)
        pause_id = secrets.token_hex(32)
        directory = cgroup.pod_cgroup(self._cgroup_root, spec.uid, spec.quality)
        own = cgroup.container_cgroup(directory, pause_id)
        own.mkdir(parents=True)
        is_networked = not spec.is_host_network
        address = self._addresses.take() if is_networked else self._network.plan.node
        interface = f"veth{pause_id[:8]}" if is_networked else ""
        try:
            pause = await self._start_pause(spec, own)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._remove_parts(directory, address)
            raise
        sandbox = Sandbox(
            spec,
            home=home,
            directory=directory,
            root=self._cgroup_root,
            pause=pause,
            address=address,
            interface=interface,
        )
        try:
            if is_networked:
                await self._network.connect_pod(pause.pid, interface, address)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.remove(sandbox)
            raise
        return sandbox

    def home(self, uid: str) -> Path:
        """The directory of a pod."""
        return self._pods / uid

    async def remove_files(self, uid: str) -> None:
        """Remove what a pod left on disk, its logs included; nothing to do if that has happened."""
        await _remove_files(self.home(uid))

    async def remove(self, sandbox: Sandbox) -> None:
        """Kill all that is left of a pod, and remove its network and cgroup; its files, logs too, stay."""
        await cgroup.kill_tree(sandbox.cgroup)
        await sandbox.pause.wait()
        if sandbox.interface:
            await self._network.disconnect_pod(sandbox.interface)
        await self._remove_parts(sandbox.cgroup, sandbox.address)

    async def _remove_parts(self, directory: Path, address: IPv4Address) -> None:
        await cgroup.kill_tree(directory)
        await cgroup.remove_tree(directory)
        self._addresses.give_back(address)

    async def _start_pause(self, spec: SandboxSpec, own: Path) -> Process:
        network = [f"--net={self._network.namespace_path}"] if spec.is_host_network else []
        enter = ["nsenter", *network, "--"] if network else []
        own_network = [] if network else ["--net"]
        reader, writer = os.pipe()
        command = [
            *("sh", "-ec", _ENTER_CGROUP, str(own)),
            *enter,
            *("unshare", *own_network, "--uts", "--ipc", "--"),
            *("sh", "-ec", _PAUSE, spec.hostname),
        ]
        try:
            try:
                process = Process.start(command, environment=_ENVIRONMENT, output=writer)
            finally:
                os.close(writer)
            said = b""
            with anyio.move_on_after(_START_TIMEOUT_S):
                await anyio.wait_readable(reader)
                said = os.read(reader, _SAID_BYTES)
        finally:
            os.close(reader)
        if said.strip() != b"up":
            problem = said.decode(errors="replace").strip()
            raise LabError(f"the sandbox of pod {spec.hostname} did not come up: {problem}")
        return process


async def _remove_files(path: Path) -> None:
    with suppress(FileNotFoundError):
        await run_sync(shutil.rmtree, path)
