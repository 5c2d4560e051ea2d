"""The import contracts: kept, and exhaustive."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


@pytest.mark.timeout(60)
def test_contracts_are_kept() -> None:
    """Imports go from left to right only; import-linter says which one does not."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]

    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert said.returncode == 0, said.stdout


def test_every_layers_contract_is_exhaustive() -> None:
    """A new module must be given its place: no layers contract lets unlisted modules pass."""
    loose = [one["name"] for one in CONTRACTS if one["type"] == "layers" and not one.get("exhaustive")]

    assert loose == []


@pytest.mark.parametrize("package", ["osmia", "osmia.agent", "osmia.server", "osmia.model", "osmia.protocols"])
def test_every_package_with_layers_has_a_contract(package: str) -> None:
    """The root, the programs and the pure packages are all held."""
    held = [container for one in CONTRACTS if one["type"] == "layers" for container in one["containers"]]

    assert package in held


def test_no_import_cycle_even_inside_functions() -> None:
    """No two modules need each other, however late they import; a package's `__init__` counts as its own module."""
    graph = grimp.build_graph("osmia", cache_dir=None, exclude_type_checking_imports=True)
    pairs = [(module, one) for module in graph.modules for one in graph.find_modules_directly_imported_by(module)]
    cycles = [pair for pair in sorted(pairs) if graph.find_shortest_chain(pair[1], pair[0])]

    assert cycles == []
