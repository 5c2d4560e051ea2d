"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load.command.world import Book, target


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A target of this test alone."""
    with target(tmp_path) as running:
        yield running
