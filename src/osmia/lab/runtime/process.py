"""A process that the lab started: known by a pidfd, so that its end can be awaited and no other process be hit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import anyio

__all__ = ["Process"]


class Process:
    """One child process. Exactly one task may `wait` for it at a time: that is also what reaps it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        self.exit_code: int | None = None

    @classmethod
    def start(
        cls, argv: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes] | int = subprocess.DEVNULL
    ) -> Process:
        """Start a command in a session of its own, reading nothing, writing to `output`."""
        popen = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        return cls(popen)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def innermost(self) -> int:
        """The container's first process: number 1 of a pid namespace below ours, or the process itself."""
        with suppress(OSError):
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                if _depth(int(child)) > _depth(self.pid):
                    return int(child)
        return self.pid

    async def wait(self) -> int:
        """Its exit code once it has ended (negative: the signal that ended it)."""
        if self.exit_code is None:
            await anyio.wait_readable(self._pidfd)
            self.exit_code = self._popen.wait()
            os.close(self._pidfd)
        return self.exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the container's first process, if it still runs."""
        if self.exit_code is not None:
            return
        with suppress(ProcessLookupError):
            target = os.pidfd_open(self.innermost)
            try:
                signal.pidfd_send_signal(target, number)
            finally:
                os.close(target)


def _depth(pid: int) -> int:
    """In how many nested pid namespaces a process has a number."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) - 1
    return 0
