"""What the lab asks of a machine."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from osmia.lab.config import LabConfig, check_name
from osmia.lab.host import require_host, require_program, run
from osmia.lab.state import LabDirectory, LabState, started_at, take_down
from osmia.model.errors import ConfigError, LabError


def test_without_root_the_lab_says_what_it_needs_it_for() -> None:
    """The refusal names the reason and the remedy."""
    with pytest.raises(LabError, match=r"needs root: .*network namespaces.* - run it with sudo"):
        require_host(user_id=1000)


def test_a_missing_program_names_its_package() -> None:
    """What to install is part of the message."""
    with pytest.raises(LabError, match=r"'frobnicate' is not installed - apt-get install frobnicate"):
        require_program("frobnicate")


@pytest.mark.anyio
async def test_a_failing_command_says_what_it_was_and_what_it_said() -> None:
    """The error carries command, exit status and standard error."""
    with pytest.raises(LabError, match=r"`sh -c echo sticky >&2; exit 7` failed with status 7: sticky"):
        await run(["sh", "-c", "echo sticky >&2; exit 7"])


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 21, "a/b"])
def test_a_name_that_cannot_be_a_labs_is_refused(name: str) -> None:
    """Names become host names, interface names and paths."""
    with pytest.raises(ConfigError, match="name"):
        check_name(name)


def test_the_default_name_is_a_name() -> None:
    """The settings fit together."""
    assert check_name(LabConfig().name) == "main"


def test_a_process_is_known_by_its_start_time() -> None:
    """Number and start time together; no process has none."""
    assert started_at(1) >= 0
    assert started_at(2**22 + 1) == -1


@pytest.mark.anyio
async def test_a_lab_whose_state_is_unreadable_is_reported(tmp_path: Path) -> None:
    """A damaged state file is an error that names it, not a silent nothing."""
    directory = LabDirectory(tmp_path, "x")
    directory.make()
    await anyio.Path(directory.path / "state.json").write_text("{")

    with pytest.raises(LabError, match=r"state\.json cannot be read"):
        await take_down(directory)


def test_a_state_of_another_process_is_not_alive(tmp_path: Path) -> None:
    """The number alone does not count: it may have gone to someone else."""
    state = LabState("x", 1, started_at(1) + 1, "x-node-1", "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/30", "k")
    directory = LabDirectory(tmp_path, "x")
    directory.make()
    directory.write(state)

    read = directory.read()

    assert read == state
    assert not read.is_alive
