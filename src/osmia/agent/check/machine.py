"""What this machine is, as far as capture and naming depend on it: facts, each with what is lost by it and the remedy.

Facts explain; they do not judge. Whether a feature works is found out by using it (`osmia.agent.features`), and a fact
stands as MISSING only where a feature that needs it does not work.
"""

from __future__ import annotations

import enum
import platform
import re
import resource
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from osmia.agent.entities.cgroups import find_mount
from osmia.agent.features import tracks_connections

__all__ = ["CAPABILITIES", "Capability", "Fact", "Machine", "Standing", "facts"]

_FLOOR, _MEMORY_CGROUP_ACCOUNTING = (5, 8), (5, 11)
_ARCHITECTURES = {"x86_64": "", "aarch64": "the programs are compiled for it, but only x86_64 is tested"}
_SECCOMP_FILTER = "2"
_CONFIDENTIALITY = "[confidentiality]"


class Standing(enum.StrEnum):
    """How a fact stands. NOTE: not as usual, but nothing is lost by it."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Fact:
    """One row: what was found, the features that are lost by it, and what to do."""

    name: str
    standing: Standing
    detail: str
    lost: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Capability:
    """A privilege, what it is for, and the privilege that includes it ("" if none does)."""

    name: str
    bit: int
    purpose: str
    features: tuple[str, ...]
    remedy: str
    included_in: str = ""


_GRANT = "add {} to the agent's capabilities (DaemonSet: securityContext.capabilities.add), or run it as root"

CAPABILITIES = (
    Capability("CAP_BPF", 39, "load programs and maps", ("capture", "tcp"), _GRANT.format("BPF"), "CAP_SYS_ADMIN"),
    Capability(
        "CAP_PERFMON", 38, "attach to tracepoints", ("capture", "tcp"), _GRANT.format("PERFMON"), "CAP_SYS_ADMIN"
    ),
    Capability("CAP_NET_ADMIN", 12, "read connection tracking", ("conntrack",), _GRANT.format("NET_ADMIN")),
    Capability(
        "CAP_SYS_RESOURCE",
        24,
        "lock memory for maps (before Linux 5.11)",
        ("capture", "tcp"),
        _GRANT.format("SYS_RESOURCE") + ", or set no limit on locked memory (ulimit -l unlimited)",
    ),
    Capability(
        "CAP_SYS_ADMIN",
        21,
        "measure programs; enter the node's network namespace from another one",
        ("bpf run time", "conntrack"),
        "set sysctl kernel.bpf_stats_enabled=1 and run with hostNetwork: true; else " + _GRANT.format("SYS_ADMIN"),
    ),
    Capability(
        "CAP_SYS_PTRACE",
        19,
        "look behind hidepid; find the node's network namespace from another one",
        ("processes", "conntrack"),
        _GRANT.format("SYS_PTRACE"),
    ),
    Capability(
        "CAP_DAC_READ_SEARCH",
        2,
        "read key, token and kubeconfig files of other owners",
        ("kubernetes", "server"),
        _GRANT.format("DAC_READ_SEARCH") + ", or make these files readable for its user",
    ),
)
"""Every privilege that anything in the agent can use, most needed first."""

_READING = "CAP_DAC_OVERRIDE"
_READING_BIT = 1


@dataclass(frozen=True, slots=True)
class Machine:
    """What is read of the machine, once; tests make their own."""

    release: str
    architecture: str
    status: Mapping[str, str]
    mounts: str
    lockdown: str = ""
    has_btf: bool = True
    tracks_connections: bool = True
    locked_limit_bytes: int = -1

    @classmethod
    def read(cls, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Machine:
        """This one."""
        lines = _text(proc / "self/status").splitlines()
        return cls(
            release=platform.release(),
            architecture=platform.machine(),
            status={key: value.strip() for key, _, value in (line.partition(":") for line in lines)},
            mounts=_text(proc / "self/mountinfo"),
            lockdown=_text(sys / "kernel/security/lockdown").strip(),
            has_btf=(sys / "kernel/btf/vmlinux").exists(),
            tracks_connections=tracks_connections(proc),
            locked_limit_bytes=resource.getrlimit(resource.RLIMIT_MEMLOCK)[1],
        )

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the kernel; (0, 0) if it does not tell."""
        match = re.match(r"(\d+)\.(\d+)", self.release)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    def holds(self, bit: int) -> bool:
        """Whether a capability is effective."""
        return bool(int(self.status.get("CapEff", "0"), 16) >> bit & 1)

    @property
    def has_seccomp(self) -> bool:
        """Whether a filter of system calls is on this process."""
        return self.status.get("Seccomp", "0") == _SECCOMP_FILTER


def facts(machine: Machine, missing: Iterable[str]) -> list[Fact]:
    """Every fact, given the names of the features that do not (fully) work."""
    gone = frozenset(missing)
    return [
        *_kernel(machine, gone),
        *(_capability(machine, one, gone) for one in CAPABILITIES),
        *_places(machine, gone),
    ]


def _kernel(machine: Machine, gone: frozenset[str]) -> Iterator[Fact]:
    is_old = machine.version < _FLOOR
    yield Fact(
        "kernel",
        Standing.MISSING if is_old else Standing.OK,
        f"Linux {machine.release}" + (" is older than 5.8" if is_old else " (5.8 or later is needed)"),
        ("capture", "tcp") if is_old else (),
        "use a kernel of at least 5.8" if is_old else "",
    )
    known = machine.architecture in _ARCHITECTURES
    note = _ARCHITECTURES.get(machine.architecture, "there are no programs for it")
    standing = Standing.MISSING if not known else Standing.NOTE if note else Standing.OK
    remedy = "" if known else "supported: x86_64, aarch64"
    detail = f"{machine.architecture}: {note}" if note else machine.architecture
    yield Fact("architecture", standing, detail, ("capture", "tcp") if not known else (), remedy)
    yield Fact(
        "BTF",
        Standing.OK if machine.has_btf else Standing.MISSING,
        "/sys/kernel/btf/vmlinux" if machine.has_btf else "/sys/kernel/btf/vmlinux is missing",
        () if machine.has_btf else ("capture", "tcp"),
        ""
        if machine.has_btf
        else "mount /sys, or use a kernel with CONFIG_DEBUG_INFO_BTF=y (all distributions' today)",
    )
    if machine.version < _MEMORY_CGROUP_ACCOUNTING:
        yield _locked_memory(machine, gone)


def _locked_memory(machine: Machine, gone: frozenset[str]) -> Fact:
    limit = machine.locked_limit_bytes
    words = "no limit" if limit < 0 else f"at most {limit // 1024} KiB"
    if limit < 0 or machine.holds(_bit("CAP_SYS_RESOURCE")):
        return Fact("locked memory", Standing.OK, f"{words}; maps count as locked memory before Linux 5.11")
    lost = tuple(name for name in ("capture", "tcp") if name in gone)
    return Fact(
        "locked memory",
        Standing.MISSING if lost else Standing.NOTE,
        f"{words}, and CAP_SYS_RESOURCE is missing to raise it; maps count as locked memory before Linux 5.11",
        lost,
        "grant CAP_SYS_RESOURCE, or set no limit on locked memory (ulimit -l unlimited)",
    )


def _capability(machine: Machine, one: Capability, gone: frozenset[str]) -> Fact:
    if machine.holds(one.bit):
        return Fact(one.name, Standing.OK, f"held: {one.purpose}")
    if stands_in := _stand_in(machine, one):
        return Fact(one.name, Standing.NOTE, f"missing, but {stands_in} includes it: {one.purpose}")
    lost = tuple(name for name in one.features if name in gone and _explains(machine, one, name, gone))
    if not lost:
        return Fact(one.name, Standing.NOTE, f"missing, but nothing here needs it: {one.purpose}")
    return Fact(one.name, Standing.MISSING, f"missing: {one.purpose}", lost, one.remedy)


def _stand_in(machine: Machine, one: Capability) -> str:
    if one.included_in and machine.holds(_bit(one.included_in)):
        return one.included_in
    if one.name == "CAP_DAC_READ_SEARCH" and machine.holds(_READING_BIT):
        return _READING
    return ""


def _explains(machine: Machine, one: Capability, feature: str, gone: frozenset[str]) -> bool:
    """Whether this privilege can be what a feature lacks, where several could."""
    if one.name == "CAP_SYS_RESOURCE":
        return machine.version < _MEMORY_CGROUP_ACCOUNTING and machine.locked_limit_bytes >= 0
    if one.name in {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"} and feature == "conntrack":
        return machine.holds(_bit("CAP_NET_ADMIN"))  # else that one is the reason
    return feature in gone


def _bit(name: str) -> int:
    return next(one.bit for one in CAPABILITIES if one.name == name)


def _places(machine: Machine, gone: frozenset[str]) -> Iterator[Fact]:
    hidden = "processes" in gone
    yield Fact(
        "/proc",
        Standing.MISSING if hidden else Standing.OK,
        "does not show the processes of the node" if hidden else "shows the processes of the node",
        ("processes",) if hidden else (),
        "run with hostPID: true, and without hidepid or with CAP_SYS_PTRACE" if hidden else "",
    )
    yield _cgroup(machine)
    tracked = machine.tracks_connections
    yield Fact(
        "connection tracking",
        Standing.OK if tracked else Standing.NOTE,
        "nf_conntrack is there" if tracked else "nf_conntrack is not loaded: no address is rewritten here",
    )
    yield _seccomp(machine, gone)
    if machine.lockdown:
        is_closed = _CONFIDENTIALITY in machine.lockdown
        yield Fact(
            "lockdown",
            Standing.MISSING if is_closed and "capture" in gone else Standing.OK,
            f"{machine.lockdown}" + ("" if not is_closed else ": programs may not read kernel memory"),
            ("capture", "tcp") if is_closed and "capture" in gone else (),
            "boot with lockdown=integrity or none" if is_closed else "",
        )


def _cgroup(machine: Machine) -> Fact:
    place = find_mount(machine.mounts)
    others = re.search(r" - cgroup ", machine.mounts) is not None
    if place is None:
        remedy = "mount cgroup v2 (kernel command line systemd.unified_cgroup_hierarchy=1)"
        detail = "version 1 only: /proc/<pid>/cgroup is asked per process" if others else "no hierarchy is mounted"
        return Fact("cgroup", Standing.MISSING, detail, ("cgroup ids",), remedy)
    if others:
        return Fact("cgroup", Standing.NOTE, f"version 2 at {place} beside version 1 (hybrid)")
    return Fact("cgroup", Standing.OK, f"version 2 at {place}")


def _seccomp(machine: Machine, gone: frozenset[str]) -> Fact:
    if not machine.has_seccomp:
        return Fact("seccomp", Standing.OK, "no filter on this process")
    is_guilty = "capture" in gone and (machine.holds(_bit("CAP_BPF")) or machine.holds(_bit("CAP_SYS_ADMIN")))
    if not is_guilty:
        return Fact("seccomp", Standing.NOTE, "a filter is on this process, and lets bpf() through")
    return Fact(
        "seccomp",
        Standing.MISSING,
        "a filter is on this process: it may refuse bpf() whatever the capabilities",
        ("capture", "tcp"),
        "use a runtime that allows bpf() to holders of CAP_BPF (containerd 1.7, Docker 23), "
        "or securityContext.seccompProfile.type: Unconfined",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
