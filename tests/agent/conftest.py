"""Where eBPF cannot run, its tests are skipped and say why."""

from __future__ import annotations

import functools

import pytest

from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.model.errors import CaptureUnavailableError


@functools.cache
def _reason_against_capture() -> str:
    try:
        Capture(CaptureOptions(ring_bytes=1 << 16, max_connections=64, max_edges=64, max_buckets=64)).close()
    except CaptureUnavailableError as exc:
        return exc.message
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `ebpf` on machines that cannot capture."""
    for item in items:
        if item.get_closest_marker("ebpf") and (reason := _reason_against_capture()):
            item.add_marker(pytest.mark.skip(reason=f"no eBPF capture here: {reason}"))


@pytest.fixture
def anyio_backend() -> str:
    """The agent runs on asyncio."""
    return "asyncio"
