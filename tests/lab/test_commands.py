"""`osmia lab up`, `status` and `down` as a person runs them, and what is left afterwards: nothing."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osmia.lab.host import cgroup_root

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

Object = dict[str, Any]
SMALL = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      containers: [{name: idle, image: osmia/idle, readinessProbe: {tcpSocket: {port: 8300}}}]
---
apiVersion: v1
kind: Service
metadata: {name: idle, namespace: shop}
spec: {selector: {app: idle}, ports: [{port: 80, targetPort: 8300}]}
"""


def osmia(*arguments: str, name: str, fails: bool = False) -> str:
    """Run `osmia lab ...` and give its standard output, or its error when it should fail."""
    command = [sys.executable, "-c", "from osmia.cli import main; main()", "lab", *arguments, "--name", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def text_of(*argv: str) -> str:
    """What a command prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


class Traces:
    """Where a lab could leave something: taken while it is up, looked at afterwards."""

    def __init__(self, name: str) -> None:
        self.state: Object = json.loads(Path(f"/run/osmia-lab/{name}/state.json").read_text())
        self.name = name
        self.uids = [path.name for path in Path(f"/run/osmia-lab/{name}/pods").iterdir()]
        self.network = next(one for one in text_of("ip", "netns", "list").split() if f"-{name}-" in one)
        (device,) = [
            route["dev"]
            for route in json.loads(text_of("ip", "-json", "route"))
            if route["dst"] == self.state["services"]
        ]
        self.device = device
        self.processes = self._processes()

    def _processes(self) -> list[int]:
        paths = [path for uid in self.uids for path in cgroup_root().rglob(f"*pod{uid.replace('-', '_')}.slice")]
        return [int(pid) for path in paths for procs in path.rglob("cgroup.procs") for pid in procs.read_text().split()]

    def left(self) -> dict[str, object]:
        """What is still there."""
        found: dict[str, object] = {
            "namespace": self.network in text_of("ip", "netns", "list"),
            "link": Path("/sys/class/net", self.device).exists(),
            "routes": [
                route
                for route in json.loads(text_of("ip", "-json", "route", "show", "table", "all"))
                if route["dst"] in {self.state["pods"], self.state["services"], self.state["uplink"]}
            ],
            "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.name in line],
            "cgroups": [
                str(path) for uid in self.uids for path in cgroup_root().rglob(f"*pod{uid.replace('-', '_')}.slice")
            ],
            "processes": [pid for pid in (*self.processes, self.state["pid"]) if _is_running(pid)],
            "files": Path(f"/run/osmia-lab/{self.name}").exists(),
            "kubeconfig": bool(self.state["kubeconfig_copy"]) and Path(self.state["kubeconfig_copy"]).exists(),
        }
        return {what: there for what, there in found.items() if there}


def _kill(pid: int) -> None:
    """Kill -9, and wait until the kernel has done it."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    ended, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    assert ended


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def name(lab_host: None) -> Iterator[str]:
    """A lab's name that is taken down whatever the test did."""
    chosen = f"c{os.getpid()}"
    yield chosen
    osmia("down", name=chosen)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest with two idle pods."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_a_lab_comes_up_shows_itself_and_leaves_nothing(name: str, manifest: Path, tmp_path: Path) -> None:
    """Up waits for the pods and writes the kubeconfig, status tells, down removes every trace."""
    kubeconfig = tmp_path / "kubeconfig"

    said = osmia("up", "--apply", str(manifest), "--kubeconfig", str(kubeconfig), name=name)
    traces = Traces(name)
    shown = osmia("status", name=name)
    facts = json.loads(osmia("status", "--json", name=name))
    while_up = traces.left()
    down = osmia("down", name=name)

    assert said == f"export KUBECONFIG={kubeconfig}\n"
    assert "shop" in shown
    assert facts["is_up"]
    assert [pod["status"]["phase"] for pod in facts["pods"]] == ["Running", "Running"]
    assert while_up.keys() >= {"namespace", "link", "routes", "cgroups", "processes", "files", "kubeconfig"}
    assert down == f"lab {name}: taken down\n"
    assert traces.left() == {}


def test_kubectl_works_with_the_written_kubeconfig(name: str, manifest: Path, tmp_path: Path) -> None:
    """An unmodified kubectl lists the pods through TLS and token."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed here")
    kubeconfig = tmp_path / "kubeconfig"
    osmia("up", "--apply", str(manifest), "--kubeconfig", str(kubeconfig), name=name)

    pods = text_of("kubectl", "--kubeconfig", str(kubeconfig), "get", "pods", "-n", "shop", "--no-headers")

    assert pods.count("1/1") == 2


@pytest.mark.crash
def test_down_clears_away_after_a_crash(name: str, manifest: Path) -> None:
    """Kill -9 of the daemon leaves pods running; status says so, down removes them all."""
    osmia("up", "--apply", str(manifest), name=name)
    traces = Traces(name)

    _kill(traces.state["pid"])
    crashed = traces.left()
    subprocess.run(
        [sys.executable, "-c", "from osmia.cli import main; main()", "lab", "status", "--name", name], check=False
    )
    osmia("down", name=name)

    assert len(crashed["processes"]) >= 4  # type: ignore[arg-type]  # pause and container of two pods
    assert traces.left() == {}


@pytest.mark.crash
def test_up_clears_away_what_a_crashed_lab_left(name: str, manifest: Path) -> None:
    """After a crash `up` alone is enough: it removes the old lab and brings a new one up."""
    osmia("up", "--apply", str(manifest), name=name)
    traces = Traces(name)
    _kill(traces.state["pid"])

    osmia("up", name=name)

    assert not traces.left().keys() & {"cgroups", "processes"}  # namespace, link and files are the new lab's
    assert json.loads(osmia("status", "--json", name=name))["pods"] == []


def test_a_second_lab_of_the_same_name_is_refused(name: str) -> None:
    """The error says how to go on."""
    osmia("up", name=name)

    said = osmia("up", name=name, fails=True)

    assert "is up already" in said
    assert "osmia lab down" in said


def test_two_labs_stand_side_by_side(name: str) -> None:
    """Each has addresses of its own."""
    other = f"{name}b"
    osmia("up", name=name)
    try:
        osmia("up", name=other)
        cidrs = [json.loads(osmia("status", "--json", name=one))["pod_cidr"] for one in (name, other)]
    finally:
        osmia("down", name=other)

    assert cidrs[0] != cidrs[1]


def test_down_twice_is_fine(name: str) -> None:
    """Nothing to do is no error."""
    assert osmia("down", name=name) == f"lab {name}: nothing to take down\n"


def test_status_of_no_lab_fails_and_says_so(name: str) -> None:
    """Scripts can rely on the exit code; JSON stays JSON."""
    command = [sys.executable, "-c", "from osmia.cli import main; main()", "lab", "status", "--json", "--name", name]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert json.loads(done.stdout)["is_up"] is False


def test_a_broken_manifest_fails_with_its_problem(name: str, tmp_path: Path) -> None:
    """What the API server or kubectl refuses is shown."""
    path = tmp_path / "broken.yaml"
    path.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 1}\n")

    said = osmia("up", "--apply", str(path), name=name, fails=True)

    assert "spec.selector" in said or "apply failed" in said  # by the lab's own client, or by kubectl


def test_a_missing_manifest_is_refused_before_anything_is_built(name: str) -> None:
    """The file is looked for first."""
    said = osmia("up", "--apply", "/no/such.yaml", name=name, fails=True)

    assert "/no/such.yaml" in said
    assert not Path(f"/run/osmia-lab/{name}").exists()


def test_a_program_that_fails_to_start_is_reported(name: str, tmp_path: Path) -> None:
    """`up` gives the reason when pods do not get ready in time."""
    path = tmp_path / "bad.yaml"
    path.write_text(SMALL.replace("image: osmia/idle", "image: osmia/nothing"))

    said = osmia("up", "--apply", str(path), "--ready-timeout-s", "2", name=name, fails=True)

    assert "no image 'osmia/nothing'" in said


def test_a_lab_that_cannot_start_leaves_nothing(name: str) -> None:
    """A bad setting is told by the command, and no file stays."""
    said = osmia("up", "--pod-cidr", "10.0.0.0/33", name=name, fails=True)

    assert "pod_cidr" in said
    assert not Path(f"/run/osmia-lab/{name}").exists()


def test_a_lab_that_fails_half_way_says_why_and_leaves_nothing(name: str) -> None:
    """The API server's port is beyond all ports: the network stands by then, and goes again."""
    said = osmia("up", "--api-port", "70000", name=name, fails=True)

    assert "cannot listen on" in said
    assert "--api-port" in said
    assert not Path(f"/run/osmia-lab/{name}").exists()
    assert f"osmia-lab-{name}-" not in text_of("ip", "netns", "list")


def test_down_all_takes_every_lab_of_its_root(lab_host: None, tmp_path: Path) -> None:
    """Two labs in a root of their own: one command ends both, and the root goes with them."""
    root = tmp_path / "labs"
    names = [f"a{os.getpid()}{letter}" for letter in "xy"]
    for one in names:
        osmia("up", "--state-root", str(root), name=one)

    said = osmia("down", "--all", "--state-root", str(root), name=names[0])

    assert said.splitlines() == [f"lab {one}: taken down" for one in names]
    assert not root.exists()
