"""What the kernel matrix is put together from, without booting anything."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import image, matrix

NAMES = """linux-image-5.10.0-30-cloud-amd64
linux-image-5.10.0-32-cloud-amd64-dbg
linux-image-5.10.0-32-cloud-amd64-unsigned
linux-image-5.10.0-32-cloud-amd64
linux-image-5.10.0-9-cloud-amd64
linux-image-cloud-amd64
"""


_NO_CAST = "extern 'bpf_rdonly_cast': not found in kernel"


def good() -> dict[str, Any]:
    """A result that is as declared for 6.1."""
    seen = {"keep-alive client 200": 100, "keep-alive server 200": 100}
    return {
        "objects": {"requests": ""} | dict.fromkeys(("requests_sockets", "requests_typed"), _NO_CAST),
        "check": {
            "exit_code": 0,
            "features": {"capture": ["on", ""], "kubernetes": ["unused", "no cluster"]},
            "machine": {name: ["ok", ""] for name in matrix.EXPECTED["6.1"].facts},
        },
        "counters": dict(matrix.COUNTERS),
        "exchanges": {"expected": dict(seen), "seen": dict(seen)},
    }


def test_the_newest_signed_kernel_is_taken() -> None:
    """By its numbers, not by its letters; an unsigned one only where there is no other."""
    assert image.newest(NAMES) == "linux-image-5.10.0-32-cloud-amd64"
    assert image.newest("linux-image-6.1.0-50-cloud-amd64-unsigned\n") == "linux-image-6.1.0-50-cloud-amd64-unsigned"
    assert image.newest("linux-image-cloud-amd64\n") is None


def test_an_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    """Directories, modes and contents come out as they went in, also of a second archive behind the first."""
    if not image.program("busybox"):
        pytest.skip("busybox is not installed: make setup installs it as root")
    first, second, archive = tmp_path / "first", tmp_path / "second", tmp_path / "archive"
    first.write_bytes(b"one")
    second.write_bytes(b"second")
    second.chmod(0o755)

    image.append_files(archive, {"a/b/first": first})
    size = archive.stat().st_size
    image.append_files(archive, {"second": second})
    out = tmp_path / "out"
    for number, part in enumerate((archive.read_bytes()[:size], archive.read_bytes()[size:])):
        (out / str(number)).mkdir(parents=True)
        command = ["busybox", "cpio", "-i", "-d"]
        subprocess.run(command, input=part, cwd=out / str(number), check=True, capture_output=True)

    assert (out / "0/a/b/first").read_bytes() == b"one"
    assert (out / "1/second").stat().st_mode & 0o777 == 0o755
    assert (out / "0/proc").is_dir()


def test_what_is_as_declared_gives_no_difference() -> None:
    """The comparison is silent on a good result."""
    assert matrix.differences(good(), matrix.EXPECTED["6.1"]) == []


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("objects", "requests"), "no", "object requests: no, declared: loads"),
        (("objects", "requests_typed"), "", "object requests_typed: loads, declared: 'bpf_rdonly_cast'"),
        (("check", "exit_code"), 1, "exit code 1, declared 0"),
        (("check", "features", "capture"), ["off", "refused"], "capture is off (refused), declared on ()"),
        (("check", "machine", "BTF"), ["missing", ""], "fact BTF"),
        (("counters", "server requests"), 199, "server requests is 199, expected 200"),
        (("exchanges", "seen", "keep-alive server 200"), 101, "keep-alive server 200: 101 seen, 100 made"),
        (("exchanges", "seen", "unix server 200"), 1, "unix server 200: 1 seen, 0 made"),
    ],
)
def test_every_difference_is_told(place: tuple[str, ...], value: object, told: str) -> None:
    """One request too many, a feature that is off, another exit code: each is one line."""
    found = good()
    inner: Any = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value

    (difference,) = matrix.differences(found, matrix.EXPECTED["6.1"])

    assert told in difference


def test_a_kernel_that_did_not_boot_is_a_difference() -> None:
    """Its last words are the line."""
    assert matrix.differences({"error": "no result\nKernel panic"}, matrix.EXPECTED["6.1"]) == [
        "no result\nKernel panic"
    ]
