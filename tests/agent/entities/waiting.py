"""Waiting for what no event tells."""

from __future__ import annotations

from collections.abc import Callable

import anyio

__all__ = ["until"]


async def until(condition: Callable[[], bool], *, deadline_s: float = 10.0) -> None:
    """Return once a condition holds; fails after the deadline."""
    with anyio.fail_after(deadline_s):
        while not condition():  # noqa: ASYNC110 - the condition is the kernel's or a cache's, which tell nobody
            await anyio.sleep(0.01)
