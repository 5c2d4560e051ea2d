"""What the runtime calls things: images, cgroups, mounts, probes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from osmia.lab.host import cgroup_root
from osmia.lab.kubelet.probe import parse_probe
from osmia.lab.runtime.cgroup import Limits, container_cgroup, limit, pod_cgroup
from osmia.lab.runtime.images import launch_of
from osmia.lab.runtime.script import Mount, Security, container_script, visible_mounts
from osmia.model.errors import LabError

UID = "516f7927-12ad-4310-8cd2-74d01e25e13f"


@pytest.mark.parametrize(
    "image",
    [
        "osmia/currencies",
        "osmia/currencies:1.2",
        "docker.io/osmia/currencies",
        "localhost:5000/osmia/currencies@sha256:0",
    ],
)
def test_an_image_is_found_whatever_its_registry_and_tag(image: str) -> None:
    """Registry, tag and digest do not matter."""
    assert launch_of(image, None, None).argv[:3] == (sys.executable, "-m", "osmia.lab.apps.currencies")


def test_a_manifests_command_replaces_the_images() -> None:
    """`command` and `args` are what runs; the image still gives user and environment."""
    launch = launch_of("docker.io/library/busybox:1.36", ("echo",), ("a", "b"))

    assert launch.argv == ("echo", "a", "b")


def test_args_alone_are_given_to_the_images_command() -> None:
    """`args` without `command` follow the image's own."""
    assert launch_of("osmia/loadgen", None, ("--total", "5")).argv[-2:] == ("--total", "5")


def test_an_unknown_image_names_the_known_ones() -> None:
    """The error lists what there is."""
    with pytest.raises(LabError, match=r"no image 'mysql:8'.*osmia/testserver.*postgres"):
        launch_of("mysql:8", None, None)


def test_an_image_of_the_host_needs_a_command() -> None:
    """osmia/host runs nothing by itself and says so."""
    with pytest.raises(LabError, match="give the container a command"):
        launch_of("osmia/host", None, None)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ("Burstable", "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice"),
        ("BestEffort", "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice"),
        ("Guaranteed", "kubepods.slice/kubepods-pod{uid}.slice"),
    ],
)
def test_cgroups_are_named_as_by_kubelets_systemd_driver(quality: str, expected: str) -> None:
    """The path of a container is the one that agents know from real nodes."""
    pod = pod_cgroup(Path("/cg"), UID, quality)

    assert str(pod) == "/cg/" + expected.format(uid=UID.replace("-", "_"))
    assert container_cgroup(pod, "ab" * 32).name == f"cri-containerd-{'ab' * 32}.scope"


def test_the_version_two_tree_is_found_on_a_hybrid_host() -> None:
    """The mount of type cgroup2 counts, wherever it is."""
    mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"

    assert cgroup_root(mounts) == Path("/sys/fs/cgroup/unified")
    with pytest.raises(LabError, match="mount -t cgroup2"):
        cgroup_root("proc /proc proc rw 0 0\n")


def test_a_container_sees_the_topmost_mounts_of_the_machine(tmp_path: Path) -> None:
    """Mounts below another come with it; /proc, /run and single files are left out."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    points = ["/", "/proc", "/run/lock", str(tmp_path), f"{tmp_path}/sub", f"{tmp_path}/file"]
    mountinfo = "\n".join(f"1 2 0:1 / {point} rw - ext4 /dev/x rw" for point in points)

    assert visible_mounts(mountinfo) == [str(tmp_path)]


def test_the_containers_script_quotes_what_comes_from_manifests(tmp_path: Path) -> None:
    """Arguments, paths and file contents cannot break out of the script."""
    script = container_script(
        tmp_path,
        host_mounts=[],
        mounts=[Mount(tmp_path, "/a b")],
        files={"/etc/hosts": "it's\n"},
        user="root",
        directory="/x; rm -rf /",
        argv=["echo", "$(reboot)"],
        has_own_pids=True,
        security=Security(),
    )

    assert "exec echo '$(reboot)'" in script
    assert "cd '/x; rm -rf /'" in script
    assert "mkdir -p '/a b'" in script


def test_a_probe_finds_its_port_by_name() -> None:
    """A named port is looked up in the container; an unknown one is refused."""
    container = {"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}

    probe = parse_probe({**container, "readinessProbe": {"httpGet": {"path": "/ok", "port": "http"}}}, "readinessProbe")

    assert probe is not None
    assert (probe.port, probe.path, probe.period_s, probe.failures) == (8080, "/ok", 10, 3)
    with pytest.raises(LabError, match="no port named 'grpc'"):
        parse_probe({**container, "readinessProbe": {"tcpSocket": {"port": "grpc"}}}, "readinessProbe")


def test_a_container_without_probe_has_none() -> None:
    """No entry, no probe."""
    assert parse_probe({"name": "web"}, "livenessProbe") is None


def test_limits_go_to_version_2_where_it_has_the_controllers(tmp_path: Path) -> None:
    """Each controller is handed down from the root to the pod, and the container's files get quota and bytes."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    container = container_cgroup(pod_cgroup(tmp_path, UID, "Burstable"), "0" * 64)
    container.mkdir(parents=True)

    joined = limit(container, tmp_path, Limits(cpu_cores=0.5, memory_bytes=1 << 20))

    handing_down = {path.parent for path in tmp_path.rglob("cgroup.subtree_control")}
    assert joined == []
    assert (container / "cpu.max").read_text() == "50000 100000"
    assert (container / "memory.max").read_text() == str(1 << 20)
    assert handing_down == set(container.parents) - set(tmp_path.parents)
