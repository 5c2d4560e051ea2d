"""What the end-to-end tests share: the command as a user runs it, and servers to put load on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OSMIA", "Book", "Running", "counts", "osmia_load", "report_of", "start_load", "target", "until"]

OSMIA = (sys.executable, "-m", "osmia", "load")
_ROOT = Path(__file__).parents[3]
_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "HOME": "/tmp", "LC_ALL": "C.UTF-8"}  # noqa: S108, TID251 - of the children


@dataclass(frozen=True, slots=True)
class Book:
    """A running target and what it wrote down."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    def lines(self) -> list[dict[str, Any]]:
        """One per request, in the order of the answers."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        """Stop it as by a full GC of the whole world: it answers nothing until it continues."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue."""
        self.process.send_signal(signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Running:
    """An `osmia load` under way."""

    process: subprocess.Popen[str]
    errors: Path

    def says(self, text: str) -> bool:
        """Whether it has said so on stderr."""
        return text in self.errors.read_text()

    def interrupt(self) -> None:
        """Ctrl-C, as the terminal sends it: to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Its end."""
        out, _ = self.process.communicate(timeout=18)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, self.errors.read_text())


@contextmanager
def target(directory: Path) -> Iterator[Book]:
    """A target in a process of its own."""
    log = directory / "book.ndjson"
    command = [sys.executable, "-m", "tests.load.command.target", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Book(f"http://127.0.0.1:{port}", log, process)
        finally:
            process.kill()


def osmia_load(*arguments: str, given: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*OSMIA, *arguments],
        capture_output=True,
        text=True,
        check=False,
        input=given if given is not None else "",
        env=_ENVIRONMENT,
        cwd=cwd,
        timeout=18,
    )


@contextmanager
def start_load(directory: Path, *arguments: str) -> Iterator[Running]:
    """Start it in a process group of its own; what it says on stderr is kept in the directory."""
    errors = directory / "stderr.txt"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [*OSMIA, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=_ENVIRONMENT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Running(process, errors)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def report_of(said: subprocess.CompletedProcess[str], *, code: int = 0) -> dict[str, Any]:
    """The report of `-o stdout-json`: one line, and nothing else on stdout."""
    assert said.returncode == code, said.stderr
    assert said.stdout.count("\n") == 1
    report: dict[str, Any] = json.loads(said.stdout)
    return report


def counts(lines: Sequence[dict[str, Any]], key: str) -> dict[str, int]:
    """How often each value of a key occurs in a book."""
    found: dict[str, int] = {}
    for line in lines:
        found[str(line[key])] = found.get(str(line[key]), 0) + 1
    return found


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the test's timeout ends it."""
    while not condition():
        time.sleep(0.01)
