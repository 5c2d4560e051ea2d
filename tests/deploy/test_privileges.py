"""The manifest's capabilities and seccomp profile on this kernel: enough for every feature, and not one too many."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import confined
from tests.deploy.conftest import handed_out, pod_of

pytestmark = [
    pytest.mark.ebpf,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give capabilities away"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter's numbers are of x86-64"),
]

OSMIA = Path(sys.executable).with_name("osmia")
FEATURES = {"capture", "tcp", "processes", "cgroup ids", "conntrack"}
"""What the manifest is for; the run time of BPF programs is left out on purpose."""


def granted() -> set[str]:
    """The capabilities that the manifest adds."""
    (container,) = pod_of(handed_out())["containers"]
    return set(container["securityContext"]["capabilities"]["add"])


def check(capabilities: set[str], *, refused: str) -> dict[str, Any]:
    """What `osmia agent check` finds with these capabilities and these system calls refused."""
    bounding = "".join(f",+{name.lower()}" for name in sorted(capabilities))
    done = subprocess.run(
        [
            *("setpriv", f"--bounding-set=-all{bounding}", "--inh-caps=-all", "--"),
            *(sys.executable, confined.__file__, refused, str(OSMIA), "agent", "check", "--json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def working(found: dict[str, Any]) -> set[str]:
    """The features that are on."""
    return {one["name"] for one in found["features"] if one["state"] == "on"}


def test_all_features_work_with_what_the_manifest_grants() -> None:
    """With these capabilities, and none of the calls that the default profiles refuse to their holders."""
    refused = ",".join(name for name in confined.NUMBERS if name != "bpf")

    found = check(granted(), refused=refused)

    assert working(found) >= FEATURES, found


@pytest.mark.parametrize(
    ("capability", "lost"),
    [("BPF", {"capture", "tcp"}), ("PERFMON", {"capture", "tcp"}), ("NET_ADMIN", {"conntrack"})],
)
def test_none_of_them_is_one_too_many(capability: str, lost: set[str]) -> None:
    """Without any of them, features are lost, and only those it is there for.

    (SYS_RESOURCE is for kernels before 5.11, where the kernel matrix tells.)
    """
    found = check(granted() - {capability}, refused="setns")

    assert FEATURES - working(found) == lost, found


def test_a_profile_that_refuses_bpf_is_named() -> None:
    """As CRI-O's does: nothing is captured, and the check says which field of the manifest to change."""
    found = check(granted(), refused="bpf")

    (row,) = [one for one in found["machine"] if one["name"] == "seccomp"]
    assert "capture" not in working(found)
    assert "seccompProfile" in row["remedy"]
