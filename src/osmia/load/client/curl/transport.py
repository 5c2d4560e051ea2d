"""`CurlTransport`: checks what it is asked for, waits for the start, and runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from osmia.load.tally import WorkerState, views
from osmia.model.errors import UnavailableError

if TYPE_CHECKING:
    from osmia.load.client.transport import Work

__all__ = ["CurlTransport"]

_SOON_NS = 2_000_000


class CurlTransport:
    """`Transport` on libcurl: everything that libcurl speaks over HTTP.

    Raises:
        UnavailableError: pycurl is not installed, or finds no libcurl.
    """

    name = "curl"

    def __init__(self) -> None:
        try:
            import pycurl  # noqa: F401 - whether it is there
        except ImportError as exc:
            raise UnavailableError(
                f"the libcurl transport cannot be loaded ({exc})",
                remedy="install pycurl (pip install 'osmia[load]') or use --transport core",
            ) from exc

    def run(self, work: Work) -> None:
        """Block until the share is done.

        Raises:
            ConfigError: an endpoint asks for something that this libcurl cannot do, or a certificate cannot be read.
        """
        from osmia.load.client.curl.alarm import precise_timers
        from osmia.load.client.curl.flow import Flow
        from osmia.load.client.curl.handles import check
        from osmia.load.client.curl.loop import Loop

        for endpoint in {step.endpoint for step in work.steps}:
            check(endpoint)
        run = views(work.block)[0][0]
        run["state"] = WorkerState.READY
        with precise_timers(), Loop(work.max_connections) as loop:
            try:
                zero_ns = _wait_for_start(work.block)
                if zero_ns:
                    Flow(work, loop, zero_ns).run()
            finally:
                run["state"] = WorkerState.DONE


def _wait_for_start(block: memoryview) -> int:
    """The run's zero, once it is about to come; 0 if the run was ended before."""
    run = views(block)[0][0]
    while True:
        if run["stop"]:
            return 0
        zero_ns = int(run["zero_ns"])
        if zero_ns and zero_ns - time.monotonic_ns() < _SOON_NS:
            return zero_ns
        time.sleep(0.001)
