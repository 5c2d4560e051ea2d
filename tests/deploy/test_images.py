"""The images: small, of fixed bases, and running what the manifest says, since no image can be built here."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import ROOT, handed_out, pod_of

IMAGES = ROOT / "deploy/images"
Steps = list[tuple[str, str]]


def steps(name: str) -> Steps:
    """The instructions of an image's Dockerfile with their continued lines joined, comments left out."""
    text = (IMAGES / name / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, rest in found]


def last_stage(name: str) -> Steps:
    """What the finished image is made of."""
    all_steps = steps(name)
    start = max(position for position, (word, _) in enumerate(all_steps) if word == "FROM")
    return all_steps[start:]


def copied(name: str) -> set[str]:
    """What an image takes from the checkout."""
    given = [rest.split()[:-1] for word, rest in steps(name) if word == "COPY" and "--from" not in rest]
    return {path for paths in given for path in paths}


@pytest.mark.parametrize("name", ["agent", "server"])
def test_bases_are_fixed_and_the_last_stage_has_no_compiler(name: str) -> None:
    """Several stages, each from an exact version; what builds stays behind."""
    bases = [rest.split()[0] for word, rest in steps(name) if word == "FROM"]
    final = " ".join(rest for _, rest in last_stage(name))

    assert len(bases) > 1
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+", base) for base in bases), bases
    assert not re.search(r"\b(clang|gcc|llvm|pip|npm|git|curl)\b", final)
    assert "COPY --from=build /opt/osmia /opt/osmia" in [f"{word} {rest}" for word, rest in last_stage(name)]


@pytest.mark.parametrize("name", ["agent", "server"])
def test_package_lists_do_not_stay_in_a_layer(name: str) -> None:
    """Each step that installs system packages takes only what it names and removes apt's lists itself."""
    installing = [rest for word, rest in steps(name) if word == "RUN" and "apt-get install" in rest]

    assert all("--no-install-recommends" in one for one in installing)
    assert all(one.endswith("rm -rf /var/lib/apt/lists/*") for one in installing)


@pytest.mark.parametrize("name", ["agent", "server"])
def test_everything_copied_is_in_the_checkout_and_not_ignored(name: str) -> None:
    """A renamed file would fail the build; .dockerignore lets through what is needed."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    for path in copied(name):
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] in allowed, path


@pytest.mark.parametrize("name", ["agent", "server"])
def test_python_packages_are_those_of_the_lock(name: str) -> None:
    """Both the build's and the program's packages are pinned by requirements.lock."""
    (building,) = [rest for word, rest in steps(name) if word == "RUN" and "pip wheel" in rest]
    wanted = re.search(r"\^\(([^)]+)\)==", building)
    lock = (ROOT / "requirements.lock").read_text()

    assert wanted is not None
    assert all(re.search(rf"^{one}==", lock, re.MULTILINE) for one in wanted[1].split("|"))
    assert f'--constraint requirements.lock "$(ls dist/osmia-*.whl)[{name}]"' in building


def test_the_agents_image_runs_what_the_manifest_says() -> None:
    """Same command, same user, and the programs that the probes call."""
    final = dict(last_stage("agent"))
    (container,) = pod_of(handed_out())["containers"]
    probe = " ".join(container["livenessProbe"]["exec"]["command"])

    assert yaml.safe_load(final["CMD"]) == container["command"]
    assert final["USER"].split(":")[0] == str(container["securityContext"]["runAsUser"])
    assert "find" in probe
    assert "findutils" in final["RUN"]
    assert all(library in final["RUN"] for library in ("libbpf1", "libelf1", "zlib1g"))


def test_the_servers_image_is_not_root_and_keeps_its_data_in_a_volume() -> None:
    """The user cannot write anything but the volume, and the port is that of the documentation."""
    final = dict(last_stage("server"))
    command = yaml.safe_load(final["CMD"])

    assert final["USER"] == "10001:10001"
    assert command[command.index("--data") + 1] == final["VOLUME"]
    assert command[command.index("--listen") + 1].endswith(f":{final['EXPOSE']}")


@pytest.mark.timeout(120)
def test_the_agents_build_stage_builds_a_wheel_of_what_it_copies(tmp_path: Path) -> None:
    """Strictly, from the copied files alone: binding and both BPF objects are inside, the web pages are not."""
    for path in copied("agent"):
        subprocess.run(["cp", "-r", str(ROOT / path), str(tmp_path)], check=True)
    for built in [*tmp_path.rglob("*.so"), *tmp_path.rglob("*.bpf.o"), *tmp_path.rglob("web")]:
        subprocess.run(["rm", "-rf", str(built)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]

    done = subprocess.run(command, cwd=tmp_path, env=_strict(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("osmia-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "osmia/agent/kernel/_bpf.abi3.so" in names
    assert {"osmia/agent/kernel/requests.x86.bpf.o", "osmia/agent/kernel/requests.arm64.bpf.o"} <= set(names)
    assert not [one for one in names if one.startswith("osmia/web/")]


def _strict() -> Mapping[str, str]:
    import os

    return {**os.environ, "OSMIA_BUILD": "strict"}  # noqa: TID251 - a build's switch, not a setting
