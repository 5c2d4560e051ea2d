"""Writes requirements.lock: exact pins of everything the extras in pyproject.toml need, and of what that needs.

`make lock` takes the newest versions that fit. `make lock ARGS=--keep` stays with what the virtual environment has.
Only names and versions are written, so that the file says nothing about where packages are fetched from.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER = "# Written by `make lock` from pyproject.toml; change the ranges there, not the pins here.\n"


def main() -> None:
    """Resolve and write."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(_installed() if "--keep" in sys.argv else "")
        pins = _resolve(wanted, constraints)
    (ROOT / "requirements.lock").write_text(HEADER + "".join(f"{name}=={version}\n" for name, version in pins))
    sys.stdout.write(f"requirements.lock: {len(pins)} packages\n")


def _installed() -> str:
    command = [sys.executable, "-m", "pip", "freeze", "--all", "--exclude-editable"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _resolve(wanted: list[str], constraints: Path) -> list[tuple[str, str]]:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    report = json.loads(
        subprocess.run([*command, "-c", constraints, *wanted], check=True, capture_output=True, text=True).stdout
    )
    pins = {_normal(one["metadata"]["name"]): one["metadata"]["version"] for one in report["install"]}
    return sorted(pins.items())


def _normal(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
