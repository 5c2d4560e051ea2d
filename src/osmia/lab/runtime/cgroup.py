"""Control groups of pods, in the version 2 tree, named as kubelet's systemd driver and containerd name them.

Limits of CPU and memory are set there where the kernel has these controllers in version 2; on a host that has them in
version 1 (a hybrid one), the same path is made below our own group of that controller.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from osmia.model.errors import LabError
from osmia.telemetry import get_logger

__all__ = ["Limits", "container_cgroup", "kill_tree", "limit", "pod_cgroup", "process_ids", "remove_tree", "twins"]

_SLICES = {"BestEffort": "besteffort", "Burstable": "burstable", "Guaranteed": ""}
_POLL_S = 0.005
_PERIOD_US = 100_000
log = get_logger("lab.runtime")
_MOUNTS = Path("/proc/self/mounts")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use; None for no limit."""

    cpu_cores: float | None = None
    memory_bytes: int | None = None

    def settings(self) -> dict[str, tuple[str, str, str, str]]:
        """By controller: file and value in version 2, file and value in version 1."""
        found: dict[str, tuple[str, str, str, str]] = {}
        if self.cpu_cores is not None:
            quota = str(int(self.cpu_cores * _PERIOD_US))
            found["cpu"] = ("cpu.max", f"{quota} {_PERIOD_US}", "cpu.cfs_quota_us", quota)
        if self.memory_bytes is not None:
            size = str(self.memory_bytes)
            found["memory"] = ("memory.max", size, "memory.limit_in_bytes", size)
        return found


def pod_cgroup(root: Path, uid: str, quality: str) -> Path:
    """Directory of a pod by its uid and QoS class (BestEffort, Burstable, Guaranteed)."""
    part = _SLICES[quality]
    above = root / "kubepods.slice"
    prefix = f"kubepods-{part}" if part else "kubepods"
    if part:
        above /= f"{prefix}.slice"
    return above / f"{prefix}-pod{uid.replace('-', '_')}.slice"


def container_cgroup(pod: Path, container_id: str) -> Path:
    """Directory of one container of a pod (the pause process has one too)."""
    return pod / f"cri-containerd-{container_id}.scope"


def limit(path: Path, root: Path, limits: Limits) -> list[Path]:
    """Limit a container's cgroup below the version 2 tree at `root`; returns what its process must also join.

    A controller that this machine hands to nobody, in neither version, limits nothing: that is logged.

    Raises:
        LabError: the kernel refuses a limit.
    """
    joined: list[Path] = []
    available = (root / "cgroup.controllers").read_text().split()
    for controller, (file, value, old_file, old_value) in limits.settings().items():
        twin = None if controller in available else _twin(path, root, controller)
        try:
            if controller in available:
                _delegate(root, path, controller)
            elif twin is not None:
                twin.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            log.warning("not limited", controller=controller, cgroup=path.name, problem=str(exc))
            continue
        try:
            if controller in available:
                (path / file).write_text(value)
            elif twin is not None:
                (twin / old_file).write_text(old_value)
                joined.append(twin)
        except OSError as exc:
            raise LabError(f"the kernel refuses a limit of {controller} = {value} for {path.name}: {exc}") from exc
    return joined


def twins(path: Path) -> list[Path]:
    """The directories in version 1 trees that `limit` made for a cgroup, whichever process did."""
    return [
        one for controller in ("cpu", "memory") for point in _old_tree(controller) for one in point.rglob(path.name)
    ]


def _delegate(root: Path, path: Path, controller: str) -> None:
    """Hand a controller down from the root to the parent of a cgroup."""
    for above in reversed(path.relative_to(root).parents):
        (root / above / "cgroup.subtree_control").write_text(f"+{controller}")


def _twin(path: Path, root: Path, controller: str) -> Path | None:
    """The place of a cgroup in a controller's version 1 tree, below the group that we are in ourselves."""
    own = _own_group(controller).lstrip("/")
    return next((point / own / path.relative_to(root) for point in _old_tree(controller)), None)


def _old_tree(controller: str) -> list[Path]:
    """Where a controller's version 1 tree is mounted, if at all."""
    mounts = (line.split() for line in _MOUNTS.read_text().splitlines())
    return [
        Path(point) for _, point, kind, options, *_ in mounts if kind == "cgroup" and controller in options.split(",")
    ][:1]


def _own_group(controller: str) -> str:
    for line in _MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def process_ids(path: Path) -> list[int]:
    """Processes of a cgroup and of all below it; none if it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for members in path.rglob("cgroup.procs"):
            with suppress(OSError):
                found += [int(pid) for pid in members.read_text().split()]
    return found


async def kill_tree(path: Path, timeout_s: float = 10.0) -> None:
    """Kill every process of a cgroup and of all below it, and wait until they are gone.

    Raises:
        LabError: some are still there when the time is over.
    """
    with suppress(FileNotFoundError):
        (path / "cgroup.kill").write_text("1")
    with anyio.move_on_after(timeout_s):
        while _is_populated(path):  # noqa: ASYNC110 - cgroup files cannot be awaited
            await anyio.sleep(_POLL_S)
        return
    raise LabError(f"processes {process_ids(path)} in {path} do not end")


async def remove_tree(path: Path, timeout_s: float = 5.0) -> None:
    """Remove an empty cgroup, all below it, and the slices above that it leaves empty.

    Raises:
        LabError: the kernel still calls it busy when the time is over.
    """
    with anyio.move_on_after(timeout_s):
        while (problem := _try_remove(path)) is not None:  # noqa: ASYNC110 - as above
            await anyio.sleep(_POLL_S)
        _remove_empty_slices(path.parent)
        return
    raise LabError(f"cgroup {path} cannot be removed: {problem}")


def _try_remove(path: Path) -> str | None:
    """None once it is gone, else what the kernel says against it."""
    try:
        for below in path.rglob("*.scope"):
            below.rmdir()
        path.rmdir()
    except FileNotFoundError:
        return None
    except OSError as exc:
        return str(exc)
    return None


def _remove_empty_slices(path: Path) -> None:
    with suppress(OSError):
        while path.name.endswith(".slice"):
            path.rmdir()
            path = path.parent


def _is_populated(path: Path) -> bool:
    try:
        events = (path / "cgroup.events").read_text()
    except OSError:
        return False
    return "populated 1" in events
