"""The objects for both architectures: the same programs and maps, and nothing that a disassembler does not know."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "src/osmia/agent/kernel"
SOURCES = sorted((ROOT / "bpf").glob("*/*.bpf.c"))

pytestmark = [
    pytest.mark.skipif(shutil.which("llvm-objdump") is None, reason="llvm is not installed: make setup"),
    pytest.mark.skipif(not list(KERNEL.glob("*.bpf.o")), reason="no BPF objects were compiled: make setup"),
]


def dump(name: str, architecture: str, *options: str) -> str:
    """What llvm-objdump says of an object."""
    command = ["llvm-objdump", *options, str(KERNEL / f"{name}.{architecture}.bpf.o")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(name: str, architecture: str) -> set[tuple[str, str]]:
    """Section and name of every global symbol: programs, maps, knobs."""
    rows = [line.split() for line in dump(name, architecture, "--syms").splitlines() if " g " in line]
    return {(row[-3].rpartition("\t")[0] or row[-3], row[-1]) for row in rows}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name.partition(".")[0])
def test_both_architectures_have_the_same_programs(source: Path) -> None:
    """arm64 is compiled only, so what can be seen without such a machine is compared with x86-64."""
    name = source.name.partition(".")[0]

    assert symbols(name, "arm64") == symbols(name, "x86")
    assert any(section.startswith(("tp_btf/", "iter/")) for section, _ in symbols(name, "arm64"))


@pytest.mark.parametrize("architecture", ["x86", "arm64"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name.partition(".")[0])
def test_every_instruction_is_known_and_types_are_there(source: Path, architecture: str) -> None:
    """The object can be disassembled to its end, carries BTF for relocation, and no debug information."""
    name = source.name.partition(".")[0]

    text, sections = dump(name, architecture, "-d"), dump(name, architecture, "--section-headers")

    assert "<unknown>" not in text
    assert text.count("\texit") >= 1
    assert {".BTF", ".BTF.ext"} <= set(sections.split())
    assert ".debug_info" not in sections
