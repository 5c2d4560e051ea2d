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

__all__ = ["Mount", "Security", "container_script", "visible_mounts"]

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


@dataclass(frozen=True, slots=True)
class Security:
    """What a container's program may do; capabilities by their name in lower case without `cap_`, None for all."""

    capabilities: tuple[str, ...] | None = None
    can_gain_privileges: bool = True
    has_read_only_root: bool = False


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
    security: Security,
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
        *(_freeze(mounts) if security.has_read_only_root else ()),
        f"exec {' '.join([*_limited(user, security), *map(quote, argv)])}",
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


def _freeze(mounts: Iterable[Mount]) -> list[str]:
    """Make everything read-only but devices, /proc and the volumes that may be written."""
    open_ones = ["/dev", "/proc", *(mount.target for mount in mounts if not mount.is_read_only)]
    patterns = "|".join(f"{quote(one)}|{quote(one)}/*" for one in open_ones)
    return [
        "while read -r _ _ _ _ point _; do case $point in",
        f"{patterns}) ;;",
        '*) mount -o remount,bind,ro "$point" ;;',
        "esac; done < /proc/self/mountinfo",
    ]


def _limited(user: str, security: Security) -> list[str]:
    """The setpriv that takes away what the program may not have; nothing if it may have all."""
    options: list[str] = []
    if user.isdigit() and user != "0":
        options += [f"--reuid={user}", "--regid=0", "--clear-groups"]
    elif user not in {"root", "0"}:
        options += [f"--reuid={quote(user)}", f"--regid=$(id -g {quote(user)})", "--init-groups"]
    if security.capabilities is not None:
        kept = "".join(f",+{quote(name)}" for name in security.capabilities)
        options += ["--inh-caps=-all", f"--bounding-set=-all{kept}"]
    if not security.can_gain_privileges:
        options.append("--no-new-privs")
    return ["setpriv", *options, "--"] if options else []
