"""What a target of the fuzzers is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Target", "require"]


@dataclass(frozen=True, slots=True)
class Target:
    """A function that takes any bytes, real inputs to start from, and the modules whose coverage guides."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    modules: tuple[str, ...]
    max_bytes: int = 1024


def require(*, holds: bool, what: str) -> None:
    """A promise that any input must keep."""
    if not holds:
        raise AssertionError(what)
