"""The command tree: what it lists, how fast it is there, how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from osmia import __version__

HEAVY = ("numpy", "aiohttp", "fastapi", "pyarrow", "chdb", "sqlalchemy", "nanoarrow")


def osmia(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, with `environ` as its only settings."""
    command = [sys.executable, "-c", "from osmia.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)


def test_help_lists_every_program() -> None:
    """Each program has a line; nothing else is offered."""
    said = osmia("--help")

    assert said.returncode == 0
    for program in ("agent", "demo", "lab", "load", "server"):
        assert f"\n  {program} " in said.stdout


@pytest.mark.parametrize("program", ["agent", "demo", "lab", "load", "server"])
def test_every_program_has_its_commands(program: str) -> None:
    """`osmia <program> --help` works and shows a usage line with the program's name."""
    said = osmia(program, "--help")

    assert said.returncode == 0, said.stderr
    assert f"osmia {program}" in said.stdout.replace("-c", "osmia")


def test_help_imports_nothing_heavy() -> None:
    """The list of programs is there at once: no library of a program is loaded for it."""
    script = (
        "import sys\n"
        "from osmia.cli import main\n"
        "sys.argv = ['osmia', '--help']\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    print('LOADED', loaded)\n"
    )

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "LOADED []" in said.stdout


def test_version_is_the_package_s() -> None:
    """`--version` names program and version."""
    assert osmia("--version").stdout.strip() == f"osmia, version {__version__}"


def test_unknown_program_is_refused() -> None:
    """A typo is told, with exit code 2."""
    said = osmia("hive")

    assert said.returncode == 2
    assert "No such command 'hive'" in said.stderr


def test_own_errors_are_one_line() -> None:
    """What Osmia raises on purpose is shown without a traceback; a wrong setting has exit code 2."""
    said = osmia("server", OSMIA_SERVER_LISTENN="127.0.0.1:1")

    assert said.returncode == 2
    assert said.stderr == (
        "osmia: OSMIA_SERVER_LISTENN = '127.0.0.1:1': no such setting - did you mean OSMIA_SERVER_LISTEN?\n"
    )
