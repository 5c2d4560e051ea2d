"""Facts of machines that we do not have at hand: each explains what is lost on it, and nothing that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from osmia.agent.check.machine import CAPABILITIES, Fact, Machine, Standing, facts

CGROUP2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
CGROUP1 = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
GOOD = Machine("6.1.0-13-amd64", "x86_64", {"CapEff": "1ffffffffff", "Seccomp": "0"}, CGROUP2)
CAPTURE = ("capture", "tcp")


def fact(machine: Machine, name: str, *missing: str) -> Fact:
    """One row."""
    return next(one for one in facts(machine, missing) if one.name == name)


def without(*names: str, machine: Machine = GOOD) -> Machine:
    """The machine for a process that lacks some privileges."""
    bits = sum(1 << one.bit for one in CAPABILITIES if one.name in names)
    return replace(machine, status={**machine.status, "CapEff": f"{0x1FFFFFFFFFF & ~bits & ~2:x}"})


def test_a_good_machine_lacks_nothing() -> None:
    """Every row is fine and has no remedy."""
    found = facts(GOOD, [])

    assert {one.standing for one in found} == {Standing.OK}
    assert not any(one.remedy or one.lost for one in found)


@pytest.mark.parametrize(
    ("machine", "name", "lost", "told"),
    [
        (replace(GOOD, release="5.4.0"), "kernel", CAPTURE, "5.4.0 is older than 5.8"),
        (replace(GOOD, release="unknown"), "kernel", CAPTURE, "older than 5.8"),
        (replace(GOOD, architecture="riscv64"), "architecture", CAPTURE, "there are no programs for it"),
        (replace(GOOD, has_btf=False), "BTF", CAPTURE, "/sys/kernel/btf/vmlinux is missing"),
        (replace(GOOD, mounts=CGROUP1), "cgroup", ("cgroup ids",), "version 1 only"),
        (replace(GOOD, mounts=""), "cgroup", ("cgroup ids",), "no hierarchy is mounted"),
        (replace(GOOD, lockdown="none integrity [confidentiality]"), "lockdown", CAPTURE, "may not read kernel"),
        (replace(GOOD, status={**GOOD.status, "Seccomp": "2"}), "seccomp", CAPTURE, "may refuse bpf()"),
    ],
)
def test_what_a_machine_lacks_is_told(machine: Machine, name: str, lost: tuple[str, ...], told: str) -> None:
    """The row says what was found, what that costs and what to do."""
    found = fact(machine, name, *CAPTURE, "cgroup ids")

    assert (found.standing, found.lost) == (Standing.MISSING, lost)
    assert told in found.detail
    assert found.remedy


@pytest.mark.parametrize(
    ("machine", "name", "told"),
    [
        (replace(GOOD, architecture="aarch64"), "architecture", "only x86_64 is tested"),
        (replace(GOOD, mounts=CGROUP1 + CGROUP2), "cgroup", "hybrid"),
        (replace(GOOD, tracks_connections=False), "connection tracking", "no address is rewritten"),
        (replace(GOOD, status={**GOOD.status, "Seccomp": "2"}), "seccomp", "lets bpf() through"),
    ],
)
def test_what_is_unusual_but_works_is_only_noted(machine: Machine, name: str, told: str) -> None:
    """Nothing is lost where the features work all the same."""
    found = fact(machine, name)

    assert (found.standing, found.lost) == (Standing.NOTE, ())
    assert told in found.detail


def test_locked_memory_matters_before_5_11_only() -> None:
    """There a limit without CAP_SYS_RESOURCE to raise it may cost capture; later it is not even looked at."""
    old = replace(GOOD, release="5.10.0-32-cloud-amd64", locked_limit_bytes=65_536)
    poor = without("CAP_SYS_RESOURCE", machine=old)

    assert fact(old, "locked memory").standing is Standing.OK
    assert fact(poor, "locked memory").standing is Standing.NOTE
    assert fact(poor, "locked memory", *CAPTURE).lost == CAPTURE
    assert fact(poor, "CAP_SYS_RESOURCE", *CAPTURE).lost == CAPTURE
    assert "locked memory" not in {one.name for one in facts(GOOD, CAPTURE)}
    assert fact(without("CAP_SYS_RESOURCE"), "CAP_SYS_RESOURCE", *CAPTURE).lost == ()


def test_a_privilege_that_another_one_includes_is_no_loss() -> None:
    """CAP_SYS_ADMIN stands in for those that were split off it."""
    found = fact(without("CAP_BPF"), "CAP_BPF")

    assert (found.standing, "CAP_SYS_ADMIN includes it" in found.detail) == (Standing.NOTE, True)


def test_conntrack_is_put_down_to_the_privilege_that_it_lacks_first() -> None:
    """Without CAP_NET_ADMIN the ways into another namespace would not help."""
    poor = without("CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON")

    assert fact(poor, "CAP_NET_ADMIN", "conntrack").lost == ("conntrack",)
    assert fact(poor, "CAP_SYS_PTRACE", "conntrack").lost == ()
    assert fact(without("CAP_SYS_PTRACE"), "CAP_SYS_PTRACE", "conntrack").lost == ("conntrack",)


def test_hidden_processes_are_put_down_to_their_privilege() -> None:
    """Behind hidepid CAP_SYS_PTRACE is what is lacking."""
    assert fact(without("CAP_SYS_PTRACE"), "CAP_SYS_PTRACE", "processes").lost == ("processes",)
    assert fact(GOOD, "/proc", "processes").lost == ("processes",)
