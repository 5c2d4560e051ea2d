"""Control groups of pods, in the version 2 tree, named as kubelet's systemd driver and containerd name them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio

from osmia.model.errors import LabError

__all__ = ["container_cgroup", "kill_tree", "pod_cgroup", "process_ids", "remove_tree"]

_SLICES = {"BestEffort": "besteffort", "Burstable": "burstable", "Guaranteed": ""}
_POLL_S = 0.005


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
