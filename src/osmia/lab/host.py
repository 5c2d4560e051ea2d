"""What the lab asks of the machine: root, a few programs, cgroup v2; and how it runs those programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import anyio

from osmia.model.errors import LabError

__all__ = ["PACKAGES", "PATH", "cgroup_root", "require_host", "require_program", "run"]

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "pivot_root": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "openssl": "openssl",
    "postgres": "postgresql",
    "initdb": "postgresql",
    "nginx": "nginx-light",
    "redis-server": "redis-server",
}
"""Debian package of each program that the lab or its images may need."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Search path of the lab's commands and of its containers."""

_ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
_NEEDED = ("ip", "nft", "nsenter", "unshare", "setpriv", "pivot_root", "mount", "umount", "openssl")


def require_host(*, user_id: int | None = None) -> None:
    """Refuse a machine that cannot carry a lab.

    Raises:
        LabError: not root, a program is missing, or the kernel refuses; says what for and what to do.
    """
    if (os.geteuid() if user_id is None else user_id) != 0:
        raise LabError(
            "the lab needs root: it makes network namespaces, cgroups, mounts and nft rules",
            remedy="run it with sudo",
        )
    for program in _NEEDED:
        require_program(program)
    cgroup_root()
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False, env=_ENVIRONMENT
    )
    if tried.returncode:
        remedy = "in a container, run it privileged"
        raise LabError(f"this machine lets root make no namespaces: {tried.stderr.strip()}", remedy=remedy)


def cgroup_root(mounts: str | None = None) -> Path:
    """Where the version 2 tree of control groups is mounted (pure or hybrid host).

    Raises:
        LabError: it is mounted nowhere.
    """
    for line in (mounts or Path("/proc/self/mounts").read_text()).splitlines():
        _, point, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(point)
    raise LabError("cgroup v2 is not mounted", remedy="mount -t cgroup2 none /sys/fs/cgroup/unified")


def require_program(name: str, *, extra_path: str = "") -> str:
    """Full path of a program.

    Raises:
        LabError: it is not installed; names the Debian package.
    """
    path = f"{extra_path}:{PATH}" if extra_path else PATH
    found = shutil.which(name, path=path)
    if found is None:
        package = PACKAGES.get(name, name)
        raise LabError(f"the program {name!r} is not installed", remedy=f"apt-get install {package}")
    return found


async def run(argv: Sequence[str], *, text: str = "") -> str:
    """Run a command to its end with `text` on its standard input; returns its standard output.

    Raises:
        LabError: it failed; carries the command and what it said.
    """
    done = await anyio.run_process(list(argv), input=text.encode(), check=False, env=_ENVIRONMENT)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise LabError(f"`{' '.join(argv)}` failed with status {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")
