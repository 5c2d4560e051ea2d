"""What is written where: the report to stdout, banner and progress to stderr, files by their suffix."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from osmia.load import report
from osmia.load.plan import Plan
from osmia.load.report.debug import debug_json, debug_text
from osmia.load.report.live import View, live_view
from osmia.load.report.original import original_json
from osmia.load.report.samples import SampleWriter
from osmia.load.report.text import banner_text, final_text
from osmia.load.results import Results
from osmia.model.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Outputs"]

_JSON = "stdout-json"


class Outputs:
    """All outputs of one run; entered before the workers are forked, so that what cannot be written stops the start.

    Raises:
        ConfigError: a file whose name tells no form, or that cannot be written.
    """

    def __init__(self, plan: Plan, files: Sequence[Path], *, is_quiet: bool, is_plain: bool) -> None:
        self._plan = plan
        self._is_quiet = is_quiet
        self._is_plain = is_plain
        self._reports = [path for path in files if not report.is_samples(path)]
        self._samples = [SampleWriter(path, plan) for path in files if report.is_samples(path)]
        self._stack = ExitStack()
        for path in self._reports:
            _check_writable(path)

    def __enter__(self) -> Self:
        """Open what is written while the run goes on."""
        for writer in self._samples:
            self._stack.enter_context(writer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, with all that has come."""
        self._stack.close()

    @property
    def on_samples(self) -> Callable[[int, NDArray[np.void]], None] | None:
        """What gets every request; None if nobody asked."""
        writers = self._samples
        if not writers:
            return None

        def add(worker: int, rows: NDArray[np.void]) -> None:
            for writer in writers:
                writer.add(worker, rows)

        return add

    def announce(self, transport: str) -> None:
        """Target and planned load, before anything is sent."""
        if self._is_quiet or self._plan.is_debug:
            return
        text = banner_text(self._plan, transport, width=_width(), is_colored=self._is_colored(sys.stderr.isatty()))
        sys.stderr.write(text)
        sys.stderr.flush()

    def live(self, workers: int) -> AbstractContextManager[View]:
        """The view of the run while it goes on."""
        is_quiet = self._is_quiet or self._plan.is_debug
        return live_view(self._plan, sys.stderr, workers=workers, is_quiet=is_quiet, is_colored=not self._is_plain)

    def write(self, results: Results) -> None:
        """Everything that is written at the end: first the files, for stdout may have gone away.

        Raises:
            UnavailableError: a disk is full.
        """
        for path in self._reports:
            with _named(str(path)):
                report.write(path, results)
        with _named("stdout"):
            sys.stdout.buffer.write(self._report(results))
            sys.stdout.flush()

    def lost_samples(self) -> int:
        """Requests that are missing from the files of requests, because the disk was too slow."""
        return sum(writer.statistics().dropped for writer in self._samples)

    def _report(self, results: Results) -> bytes:
        is_json = self._plan.output == _JSON
        if is_json:
            return debug_json(results) if self._plan.is_debug else original_json(results)
        make = debug_text if self._plan.is_debug else final_text
        return make(results, width=_width(), is_colored=self._is_colored(sys.stdout.isatty())).encode()

    def _is_colored(self, is_terminal: bool) -> bool:  # noqa: FBT001 - a fact, not a switch
        return is_terminal and not self._is_plain


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Say where a report could not be written; a reader that has gone away (`| head`) is no news."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise UnavailableError(f"the report cannot be written to {place}: {exc.strerror}") from exc


def _check_writable(path: Path) -> None:
    """Find out before the load, not after it, and leave an old report as it is until there is a new one."""
    try:
        with path.open("ab"):
            pass
    except OSError as exc:
        raise ConfigError(
            "--out", str(path), f"cannot be written: {exc.strerror}", remedy="choose another file"
        ) from exc


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns
