"""The reference pages tell what the code does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / ".ci/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module


REFERENCE = _reference()


@pytest.mark.parametrize("page", ["commands.md", "settings.md", "load-config.md", "load-config.schema.json"])
def test_generated_page_is_up_to_date(page: str) -> None:
    """Commands and settings are described as they are; `make docs` writes these pages anew."""
    assert (ROOT / "docs/reference" / page).read_text() == REFERENCE.pages()[page]


def test_every_setting_says_what_it_does() -> None:
    """Each setting has a help text and, being in the table, a flag and a variable."""
    silent = [row.environment_key for rows in REFERENCE.settings().values() for row in rows if len(row.help) < 10]

    assert silent == []


def test_every_command_says_what_it_does() -> None:
    """Each command and group has a help text."""
    assert [name for name, command in REFERENCE.commands().items() if not command.help] == []
