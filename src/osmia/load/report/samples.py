"""`--out samples.ndjson` and `--out requests.samples.csv`: every request as one line, written while the run goes on.

Rows of `tally.SAMPLE` come from the engine's thread; a thread of this writer formats and writes them. Between the two
is a queue of bounded size: when the disk is slower than the load, whole batches are dropped and counted, and the run
is not held up. `statistics` says how many rows were written and dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import msgspec
import numpy as np

from osmia.load.plan import Plan
from osmia.load.tally import Failure, Phase, SampleFlag
from osmia.model.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COLUMNS", "SampleStatistics", "SampleWriter"]

_MOST_ROWS = 1_000_000
_MOST_BATCHES = 4_096

COLUMNS = (
    "worker",
    "iteration",
    "step",
    "status",
    "failure",
    "intended_s",
    "started_s",
    "ended_s",
    "began_at",
    *(f"{phase.name.lower()}_ms" for phase in Phase),
    "received_bytes",
    "is_reused",
    "is_retried",
    "is_http2",
    "assertion_failed",
)
"""Keys of an NDJSON line and columns of the CSV. Times in seconds after the first sample's intended start, but for
`began_at`, which is the actual start in Unix seconds; `step` is the step's id; `status` 0 and a `failure` when there
was no answer."""


@dataclass(frozen=True, slots=True)
class SampleStatistics:
    """Rows written, and rows dropped because the queue was full or the file could not be written."""

    written: int
    dropped: int


_Batch = tuple[int, "NDArray[np.void]"]


class SampleWriter:
    """Owns the file from `with` to its end; `add` never blocks."""

    def __init__(self, path: Path, plan: Plan, *, most_rows: int = _MOST_ROWS) -> None:
        self._path = path
        self._ids = [step.id for step in plan.steps]
        self._queue: Queue[_Batch | None] = Queue(_MOST_BATCHES)
        self._lock = threading.Lock()
        self._most_rows = most_rows
        self._waiting_rows = 0
        self._written = 0
        self._dropped = 0
        self._zero_ns: int | None = None
        self._unix_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()
        self._file: IO[bytes] | None = None
        self._thread = threading.Thread(target=self._write_all, name="samples", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("wb")
        except OSError as exc:
            raise ConfigError("--out", str(self._path), f"cannot be written: {exc.strerror}") from exc
        if _is_csv(self._path):
            self._file.write((",".join(COLUMNS) + "\r\n").encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.ident is not None:
            self._queue.put(None)
            self._thread.join()
        if self._file is not None:
            self._file.close()

    def add(self, worker: int, rows: NDArray[np.void]) -> None:
        """Take a batch (dtype SAMPLE) of one worker; its memory may be reused afterwards."""
        if self._thread.ident is None:  # not before: the engine forks its workers when there are no threads
            self._thread.start()
        with self._lock:
            if self._waiting_rows + len(rows) > self._most_rows:
                self._dropped += len(rows)
                return
            self._waiting_rows += len(rows)
        try:
            self._queue.put_nowait((worker, rows.copy()))
        except Full:
            with self._lock:
                self._dropped += len(rows)
                self._waiting_rows -= len(rows)

    def statistics(self) -> SampleStatistics:
        """So far; final after the end of `with`."""
        with self._lock:
            return SampleStatistics(self._written, self._dropped)

    def _write_all(self) -> None:
        form: Callable[[Iterable[dict[str, Any]]], bytes] = _csv if _is_csv(self._path) else _ndjson
        while (batch := self._queue.get()) is not None:
            worker, rows = batch
            is_written = self._write(form(self._records(worker, rows)))
            with self._lock:
                self._waiting_rows -= len(rows)
                self._written += len(rows) if is_written else 0
                self._dropped += 0 if is_written else len(rows)

    def _write(self, lines: bytes) -> bool:
        try:
            if self._file is None:
                return False
            written = self._file.write(lines)
            self._file.flush()  # whoever reads along, from a pipe or with tail, is not kept waiting
            return written == len(lines)
        except OSError:  # the disk is full: the run goes on, the rows are counted as dropped
            return False

    def _records(self, worker: int, rows: NDArray[np.void]) -> Iterable[dict[str, Any]]:
        if self._zero_ns is None and len(rows):
            self._zero_ns = int(rows["intended_ns"].min())
        zero_ns = self._zero_ns or 0
        columns = [
            rows[name].tolist() for name in ("iteration", "step", "status", "failure", "received_bytes", "flags")
        ]
        times = [
            ((rows[name].astype(np.int64) - zero_ns) / 1e9).round(9).tolist()
            for name in ("intended_ns", "started_ns", "ended_ns")
        ]
        times.append(((rows["started_ns"].astype(np.int64) + self._unix_minus_monotonic_ns) / 1e9).round(6).tolist())
        phases = (rows["phase_ns"] / 1e6).round(6).tolist()
        for (iteration, step, status, failure, size, flags), when, parts in zip(
            zip(*columns, strict=True), zip(*times, strict=True), phases, strict=True
        ):
            values = (
                worker,
                iteration,
                self._ids[step],
                status,
                _failure(failure),
                *when,
                *parts,
                size,
                *_flags(flags),
            )
            yield dict(zip(COLUMNS, values, strict=True))


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _failure(number: int) -> str | None:
    if not number:
        return None
    try:
        return Failure(number).name.lower()
    except ValueError:
        return Failure.UNKNOWN.name.lower()


def _flags(flags: int) -> tuple[bool, bool, bool, bool]:
    given = SampleFlag(flags & 0xF)
    shown = (SampleFlag.REUSED, SampleFlag.RETRIED, SampleFlag.HTTP2, SampleFlag.ASSERTION_FAILED)
    reused, retried, is_http2, wrong = (flag in given for flag in shown)
    return reused, retried, is_http2, wrong


def _ndjson(records: Iterable[dict[str, Any]]) -> bytes:
    encoder = msgspec.json.Encoder()
    return encoder.encode_lines(records)


def _csv(records: Iterable[dict[str, Any]]) -> bytes:
    """Numbers and names of failures only, so nothing needs quotes."""
    lines = (",".join(_cell(value) for value in record.values()) for record in records)
    return "".join(f"{line}\r\n" for line in lines).encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)
