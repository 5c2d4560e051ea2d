"""From a control group to what runs in it: a pure parser of paths, and an index from cgroup v2 id to path.

Every container runtime names the cgroup of a container in its own way (the cases are listed in the test). Common to
all is a 64-digit hexadecimal container id, the last one on the path where they are nested, and for Kubernetes the
pod's uid behind "pod". The id of a cgroup v2, as eBPF programs see it, is the inode of its directory.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CgroupIndex", "Membership", "find_mount", "parse", "parse_proc"]

_CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_POD = re.compile(
    r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?![0-9a-f])"
)
_UNIT = re.compile(r"^(?P<name>[^/]+)\.service$")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_NOT_CONTAINERS = ("crio-conmon-", "libpod-conmon-")


@dataclass(frozen=True, slots=True)
class Membership:
    """What a cgroup path says: container id, pod uid (or static pod's config hash), systemd unit; empty = none."""

    container_id: str = ""
    pod_uid: str = ""
    unit: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the path says nothing."""
        return not (self.container_id or self.pod_uid or self.unit)


def parse(path: str) -> Membership:
    """What a cgroup path says; anything unknown says nothing."""
    parts = path.strip("/").split("/")
    if any(part.startswith(_NOT_CONTAINERS) for part in parts):
        return Membership(unit=_unit(parts))
    pods = _POD.findall(path)
    containers = _CONTAINER.findall(path)
    pod_uid = pods[-1].replace("_", "-") if pods else ""
    container_id = containers[-1] if containers else ""
    # A nested node (kind) is itself a container: its id stands before the pod and is not the pod's container.
    if pods and containers and path.rindex(container_id) < path.rindex(pods[-1]):
        container_id = ""
    return Membership(container_id, pod_uid, "" if container_id or pod_uid else _unit(parts))


def parse_proc(text: str) -> tuple[str, Membership]:
    """The telling path in a /proc/<pid>/cgroup, and what it says.

    The `0::` line (cgroup v2) counts if it says anything; on hybrid and v1 hosts the controllers that kubelet and
    runtimes set up are asked next.
    """
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths.update((controller, path) for controller in controllers.split(","))
    for controller in ("", "cpu", "memory", "name=systemd", "pids"):
        if controller in paths and not (found := parse(paths[controller])).is_empty:
            return paths[controller], found
    return paths.get("", ""), Membership()


def _unit(parts: list[str]) -> str:
    """The innermost systemd service; a user's own manager (user@1000.service) is none."""
    for part in reversed(parts):
        match = _UNIT.match(part)
        if match and not part.startswith("user@"):
            return _ESCAPE.sub(lambda escaped: chr(int(escaped[1], 16)), match["name"])
    return ""


def find_mount(mountinfo: str) -> Path | None:
    """Where cgroup v2 is mounted, from the text of a /proc/<pid>/mountinfo; None if nowhere."""
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 "):
            place = fields.split()[4]
            return Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), place))
    return None


class CgroupIndex:
    """Cgroup v2 id to path, kept after the cgroup is gone, filled by walking the mount.

    An unknown id makes it `look` for news first (`CgroupWatch.look` puts those in by `remember`), then walk again, but
    never for more than a fiftieth of the time: the next walk waits for fifty times as long as the last one took (at
    least `pause_s`).
    """

    def __init__(
        self,
        mount: Path | None,
        *,
        limit: int = 65_536,
        pause_s: float = 0.25,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mount = mount
        self._limit = limit
        self._pause_s = pause_s
        self._now = now
        self._paths: OrderedDict[int, str] = OrderedDict()
        self._next_walk_at = float("-inf")
        self.look: Callable[[], None] | None = None
        self.walks = 0
        self.dropped = 0

    @property
    def has_mount(self) -> bool:
        """Whether there is a cgroup v2 to look at."""
        return self._mount is not None

    def path(self, cgroup_id: int) -> str | None:
        """Path of a cgroup below the mount ("/" for the root), None if it is not known."""
        found = self._paths.get(cgroup_id)
        if found is None and self.look is not None:
            self.look()
            found = self._paths.get(cgroup_id)
        if found is None and self._mount and self._now() >= self._next_walk_at:
            self._walk(self._mount)
            found = self._paths.get(cgroup_id)
        return found

    def remember(self, cgroup_id: int, path: str) -> None:
        """Add what was learnt otherwise (from /proc/<pid>/cgroup)."""
        self._paths[cgroup_id] = path
        self._paths.move_to_end(cgroup_id)
        while len(self._paths) > self._limit:
            self._paths.popitem(last=False)
            self.dropped += 1

    def __len__(self) -> int:
        return len(self._paths)

    def _walk(self, mount: Path) -> None:
        started = self._now()
        self.walks += 1
        for inode, path in _directories(mount):
            self.remember(inode, path)
        self._next_walk_at = self._now() + max(self._pause_s, 50 * (self._now() - started))


def _directories(mount: Path) -> Iterator[tuple[int, str]]:
    """Inode and path below the mount of every cgroup; what vanishes meanwhile is left out."""
    try:
        yield mount.stat().st_ino, "/"
    except OSError:
        return
    stack = [""]
    while stack:
        base = stack.pop()
        try:
            with os.scandir(f"{mount}{base}") as entries:
                found = [
                    (entry.inode(), f"{base}/{entry.name}") for entry in entries if entry.is_dir(follow_symlinks=False)
                ]
        except OSError:
            continue
        yield from found
        stack += [path for _, path in found]
