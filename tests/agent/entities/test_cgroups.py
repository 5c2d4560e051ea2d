"""Cgroup paths of every container runtime, and ids found by walking the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.agent.entities.cgroups import CgroupIndex, Membership, find_mount, parse, parse_proc

_ID = "3f1d" * 16
_OUTER = "0a9b" * 16
_UID = "5c8e3e2f-9d1c-4b0a-8f6e-1234567890ab"
_UID_ = _UID.replace("-", "_")
_HASH = "8a1d2c3b4e5f60718293a4b5c6d7e8f9"
_IN_POD = Membership(_ID, _UID)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param(f"/kubepods/burstable/pod{_UID}/{_ID}", _IN_POD, id="cgroupfs driver"),
        pytest.param(f"/kubepods/besteffort/pod{_UID}/{_ID}", _IN_POD, id="cgroupfs driver, best effort"),
        pytest.param(f"/kubepods/pod{_UID}/{_ID}", _IN_POD, id="cgroupfs driver, guaranteed"),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID_}.slice/cri-containerd-{_ID}.scope",
            _IN_POD,
            id="systemd driver, containerd",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{_UID_}.slice/cri-containerd-{_ID}.scope", _IN_POD, id="systemd, guaranteed"
        ),
        pytest.param(
            f"/lab/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{_UID_}.slice/cri-containerd-{_ID}.scope",
            _IN_POD,
            id="below another root",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID_}.slice/crio-{_ID}.scope",
            _IN_POD,
            id="CRI-O",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID_}.slice/crio-{_ID}.scope/container",
            _IN_POD,
            id="CRI-O with crun",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID_}.slice/crio-conmon-{_ID}.scope",
            Membership(),
            id="CRI-O's monitor is not the container",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID_}.slice/docker-{_ID}.scope",
            _IN_POD,
            id="dockershim",
        ),
        pytest.param(f"/kubepods/besteffort/pod{_UID}/crio-{_ID}", _IN_POD, id="CRI-O, cgroupfs driver"),
        pytest.param(f"/kubepods/pod{_UID}/crio-conmon-{_ID}", Membership(), id="CRI-O's monitor, cgroupfs driver"),
        pytest.param(
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{_UID_}.slice/cri-containerd-{_ID}.scope",
            _IN_POD,
            id="systemd driver, containerd, best effort",
        ),
        pytest.param(f"/unified/kubepods/burstable/pod{_UID}/{_ID}", _IN_POD, id="below a hybrid host's unified"),
        pytest.param(f"/system.slice/k3s.service/kubepods/pod{_UID}/{_ID}", _IN_POD, id="k3s, below its own unit"),
        pytest.param(f"/docker/{_OUTER}/kubepods/besteffort/pod{_UID}/{_ID}", _IN_POD, id="k3d: a node in docker"),
        pytest.param(
            f"/lxc/node-1/kubepods.slice/kubepods-pod{_UID_}.slice/crio-{_ID}.scope", _IN_POD, id="a node in LXC"
        ),
        pytest.param(f"/default/{_ID}", Membership(_ID), id="nerdctl, cgroupfs"),
        pytest.param(f"/system.slice/nerdctl-{_ID}.scope", Membership(_ID), id="nerdctl, systemd"),
        pytest.param(f"/ecs/4711/{_ID}", Membership(_ID), id="ECS"),
        pytest.param(f"/libpod_parent/libpod-{_ID}", Membership(_ID), id="podman, cgroupfs"),
        pytest.param(
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{_ID}.scope/container",
            Membership(_ID),
            id="podman without root",
        ),
        pytest.param(f"/machine.slice/libpod-conmon-{_ID}.scope", Membership(), id="podman's monitor"),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{_UID_}.slice/cri-containerd-{_OUTER}.scope/docker/{_ID}",
            Membership(_ID, _UID),
            id="docker in a pod: the pod is found by its uid",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{_UID_}.slice/cri-containerd-{_ID}.scope/init.scope",
            _IN_POD,
            id="an init with cgroups of its own in a container",
        ),
        pytest.param(f"/docker/{_ID}", Membership(_ID), id="plain docker, cgroupfs"),
        pytest.param(f"/system.slice/docker-{_ID}.scope", Membership(_ID), id="plain docker, systemd"),
        pytest.param(f"/machine.slice/libpod-{_ID}.scope/container", Membership(_ID), id="podman"),
        pytest.param(
            f"/system.slice/containerd.service/kubepods-besteffort-pod{_UID_}.slice:cri-containerd:{_ID}",
            _IN_POD,
            id="old containerd, driver mismatch",
        ),
        pytest.param(f"/kubelet/kubepods/burstable/pod{_UID}/{_ID}", _IN_POD, id="kind, cgroupfs"),
        pytest.param(
            f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
            f"kubelet-kubepods-burstable-pod{_UID_}.slice/cri-containerd-{_ID}.scope",
            _IN_POD,
            id="kind, systemd",
        ),
        pytest.param(
            f"/docker/{_OUTER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{_UID_}.slice/"
            f"cri-containerd-{_ID}.scope",
            _IN_POD,
            id="kind in docker: the last id counts",
        ),
        pytest.param(
            f"/docker/{_OUTER}/kubelet/kubepods/pod{_UID}",
            Membership("", _UID),
            id="kind in docker: the node's own id is not the pod's",
        ),
        pytest.param(f"/../../pod{_UID}/{_ID}", _IN_POD, id="private cgroup namespace, pod"),
        pytest.param(f"/../{_ID}", Membership(_ID), id="private cgroup namespace, container"),
        pytest.param(f"/k8s.io/{_ID}", Membership(_ID), id="containerd without CRI"),
        pytest.param(f"/kubepods/burstable/pod{_HASH}/{_ID}", Membership(_ID, _HASH), id="static pod, cgroupfs"),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_HASH}.slice/cri-containerd-{_ID}.scope",
            Membership(_ID, _HASH),
            id="static pod, systemd",
        ),
        pytest.param(f"/kubepods/burstable/pod{_UID}", Membership("", _UID), id="the pod itself"),
        pytest.param(
            f"/kubepods/burstable/pod{_UID}/{_ID}/system.slice/nginx.service", _IN_POD, id="systemd in a container"
        ),
        pytest.param(f"/docker/{_OUTER}/docker/{_ID}", Membership(_ID), id="docker in docker"),
        pytest.param("/system.slice/nginx.service", Membership(unit="nginx"), id="systemd unit"),
        pytest.param(
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            Membership(unit="postgresql@15-main"),
            id="systemd template unit",
        ),
        pytest.param("/system.slice/my\\x2dapp.service", Membership(unit="my-app"), id="escaped unit name"),
        pytest.param(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service",
            Membership(unit="syncthing"),
            id="unit of a user",
        ),
        pytest.param("/user.slice/user-1000.slice/user@1000.service/init.scope", Membership(), id="a user's manager"),
        pytest.param("/user.slice/user-1000.slice/session-3.scope", Membership(), id="a login"),
        pytest.param("/", Membership(), id="root"),
        pytest.param("", Membership(), id="nothing"),
        pytest.param(f"/x/{_ID}0", Membership(), id="65 digits are no container id"),
        pytest.param(f"/x/{_ID[:-1]}", Membership(), id="63 digits are none either"),
    ],
)
def test_path(path: str, says: Membership) -> None:
    """Every runtime's path gives container id and pod uid, and nothing else does."""
    assert parse(path) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(f"0::/kubepods/pod{_UID}/{_ID}\n", _IN_POD, id="v2"),
        pytest.param(
            f"12:memory:/kubepods/pod{_UID}/{_ID}\n4:cpu,cpuacct:/kubepods/pod{_UID}/{_ID}\n0::/\n",
            _IN_POD,
            id="hybrid",
        ),
        pytest.param("1:name=systemd:/system.slice/ssh.service\n0::/\n", Membership(unit="ssh"), id="hybrid, systemd"),
        pytest.param("4:memory:/process_api/5ee76679ef91d7d2d04948fbb9b04d41\n0::/\n", Membership(), id="neither"),
        pytest.param("garbage", Membership(), id="garbage"),
    ],
)
def test_proc_file(text: str, says: Membership) -> None:
    """The telling line of /proc/<pid>/cgroup is found on v2, hybrid and v1 hosts."""
    assert parse_proc(text)[1] == says


@pytest.mark.parametrize(
    ("mountinfo", "mount"),
    [
        ("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate", Path("/sys/fs/cgroup")),
        (
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 c rw",
            Path("/sys/fs/cgroup/unified"),
        ),
        ("41 31 0:38 / /with\\040space rw - cgroup2 c rw", Path("/with space")),
        ("31 23 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu", None),
    ],
)
def test_mount(mountinfo: str, mount: Path | None) -> None:
    """The cgroup v2 mount is found wherever it is, or is known to be missing."""
    assert find_mount(mountinfo) == mount


class _Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_unknown_id_makes_it_walk(tmp_path: Path) -> None:
    """A cgroup made after the first walk is found, and stays known when it is gone."""
    clock = _Clock()
    index = CgroupIndex(tmp_path, now=clock)
    (tmp_path / "a" / "b").mkdir(parents=True)
    inode = (tmp_path / "a" / "b").stat().st_ino

    found = index.path(inode)
    (tmp_path / "a" / "b").rmdir()
    clock.now += 100
    index.path(0)

    assert (found, index.path(inode), index.path(tmp_path.stat().st_ino)) == ("/a/b", "/a/b", "/")


def test_walks_are_rare(tmp_path: Path) -> None:
    """Unknown ids in quick succession make one walk, later another."""
    clock = _Clock()
    index = CgroupIndex(tmp_path, pause_s=0.25, now=clock)

    for unknown in range(1, 50):
        index.path(unknown)
    soon = index.walks
    clock.now += 0.3
    index.path(7)

    assert (soon, index.walks) == (1, 2)


def test_index_is_bounded(tmp_path: Path) -> None:
    """Beyond its limit the oldest go, and are counted."""
    index = CgroupIndex(None, limit=10)
    for number in range(30):
        index.remember(number, f"/{number}")

    assert (len(index), index.dropped, index.path(29), index.path(3)) == (10, 20, "/29", None)


def test_no_mount_no_answer() -> None:
    """Without cgroup v2 nothing is known and nothing fails."""
    index = CgroupIndex(None)

    assert (index.has_mount, index.path(1)) == (False, None)
