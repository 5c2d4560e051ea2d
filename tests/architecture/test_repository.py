"""What may not be in the repository."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGISTRY = re.compile(r"https?://\S*(?:registry|pypi|pythonhosted|artifactory|npmjs)\S*", re.IGNORECASE)
# A home, or a checkout or interpreter of one machine; "/root" alone is a path that any Linux has.
MACHINE_PATH = re.compile(r"/(?:home|Users)/(?!user\b|<)[a-z][\w.-]*/|\.pyenv|(?<![\w.$}])/work/|/farm/")
PIN = re.compile(r"[a-z0-9-]+==[\w.+!]+")


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository, if this is a checkout."""
    command = ["git", "ls-files", "-z", "--", *patterns]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.skip("not a git checkout, so there is no list of its files")
    return [ROOT / name for name in said.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", ["requirements.lock", "ui/package-lock.json"])
def test_lock_files_name_no_registry(name: str) -> None:
    """Pins say what, and leave where from to the machine that installs."""
    assert REGISTRY.findall((ROOT / name).read_text()) == []


def test_python_pins_are_exact() -> None:
    """Each line of requirements.lock is one package in one version."""
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]

    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_ui_dependencies_are_exact() -> None:
    """package.json has versions and no ranges."""
    package = json.loads((ROOT / "ui/package.json").read_text())
    ranges = [
        f"{name} {version}"
        for group in ("dependencies", "devDependencies")
        for name, version in package[group].items()
        if not version[0].isdigit()
    ]

    assert ranges == []


def test_no_file_names_a_place_of_one_machine() -> None:
    """No tracked text holds the path of somebody's home, checkout or interpreter."""
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes()
        if b"\0" not in text[:1000] and (hit := MACHINE_PATH.search(text.decode("utf-8", "replace"))):
            found.append(f"{path.relative_to(ROOT)}: {hit[0]}")

    assert found == []


def test_nothing_built_is_tracked() -> None:
    """Objects, extensions and the built pages are made by the build hook and never committed."""
    built = tracked("*.o", "*.so", "*.pyc", "src/osmia/web/*", "bench/results.json")

    assert built == []


def test_decisions_are_numbered_once() -> None:
    """Each decision record has its own number and a title that repeats it."""
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    numbers = [page.name[:4] for page in pages]

    assert len(set(numbers)) == len(numbers)
    assert [page.name for page in pages if not page.read_text().startswith(f"# {page.name[:4]}. ")] == []
