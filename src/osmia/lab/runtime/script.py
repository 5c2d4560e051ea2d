"""The shell script that turns a fresh set of namespaces into a container's world and then becomes its program.

The root is an overlay over this machine's root: the container sees the same programs, but what it writes, and the
mount points of its volumes, stay in its own upper layer. That lies on a tmpfs that only the container's mount
namespace has: it vanishes with the last process, and works where this machine's own root is an overlay too (in a
container). /run, /dev/shm and /proc are its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

__all__ = ["Mount", "container_script", "visible_mounts"]

_OLD = "/.osmia-host"
_HIDDEN = ("/proc", "/run", "/dev/shm", "/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet")  # noqa: S108
TEMPORARY = "/run/tmp"
"""The container's directory for temporary files (TMPDIR)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of this machine that the container sees at `target`."""

    source: Path
    target: str
    is_read_only: bool = False


def visible_mounts(mountinfo: str) -> list[str]:
    """Mount points below / that a container needs to see besides the root itself: only the topmost of each tree."""
    points = sorted({line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()} - {"/"})
    chosen: list[str] = []
    for point in points:
        is_hidden = any(point == hidden or point.startswith(f"{hidden}/") for hidden in _HIDDEN)
        is_nested = any(point.startswith(f"{parent}/") for parent in chosen)
        if not is_hidden and not is_nested and Path(point).is_dir():
            chosen.append(point)
    return chosen


def container_script(  # noqa: PLR0913 - one argument per part of the world it builds
    home: Path,
    *,
    host_mounts: Iterable[str],
    mounts: Iterable[Mount],
    files: Mapping[str, str],
    user: str,
    directory: str,
    argv: Sequence[str],
    has_own_pids: bool,
) -> str:
    """The script, to be run by `sh -eu` in new namespaces, that becomes `argv` as `user` in `directory`.

    The root is put together below `home`, an empty directory; `host_mounts` of this machine show through, `mounts` are
    volumes, `files` (path -> content) replace files of the root.
    """
    root = quote(f"{home}/root")
    layers = f"lowerdir=/,upperdir={home}/upper,workdir={home}/work"
    lines = [
        f"mount -t tmpfs -o mode=755 tmpfs {quote(str(home))}",
        f"cd {quote(str(home))}",
        "mkdir upper work root",
        f"mount -t overlay overlay -o {quote(layers)} {root}",
        *(f"mount --rbind {quote(point)} {root}{quote(point)}" for point in host_mounts),
        f"mount -t tmpfs -o mode=755 tmpfs {root}/run",
        f"mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm",  # noqa: S108 - a mount point, not a file of ours
        f"mount -t proc proc {root}/proc" if has_own_pids else f"mount --rbind /proc {root}/proc",
        f"mkdir -p {root}{_OLD} {root}{TEMPORARY} {root}/run/lock",
        f"chmod 1777 {root}{TEMPORARY}",
        f"cd {root}",
        f"pivot_root . .{_OLD}",
        "cd /",
        *(f"rm -f {quote(path)}; printf '%s' {quote(text)} > {quote(path)}" for path, text in files.items()),
        *(line for mount in mounts for line in _bind(mount)),
        f"umount -l {_OLD}",
        f"rmdir {_OLD}",
        f"mkdir -p {quote(directory)}",
        f"cd {quote(directory)}",
        f"exec {' '.join([*_as_user(user), *map(quote, argv)])}",
    ]
    return "\n".join(lines)


def _bind(mount: Mount) -> list[str]:
    target, source = quote(mount.target), quote(f"{_OLD}{mount.source}")
    make = f"mkdir -p {target}"
    if not mount.source.is_dir():
        make = f"mkdir -p $(dirname {target}); rm -rf {target}; : > {target}"
    lines = [make, f"mount --rbind {source} {target}"]
    if mount.is_read_only:
        lines.append(f"mount -o remount,bind,ro {target}")
    return lines


def _as_user(user: str) -> list[str]:
    if user in {"root", "0"}:
        return []
    return ["setpriv", f"--reuid={quote(user)}", f"--regid=$(id -g {quote(user)})", "--init-groups", "--"]
