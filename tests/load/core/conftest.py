"""Servers for the core's own tests: those of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.load.conformance.rig import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Where servers run."""
    with Stage() as one:
        yield one
