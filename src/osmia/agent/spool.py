"""Batches on disk while the server cannot take them: one file each, within a bound, the oldest evicted and counted.

A file is written beside its name and renamed, so an agent that is killed leaves whole files, or `.part` files that the
next start removes. Nothing is forced to the platter: after a power failure a file may be torn, which its checksum
tells. Its name says what it held, so that even then the loss has a number. One directory belongs to one agent of one
cluster at a time (a lock says so): numbers of batches mean something only together with both.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from osmia.model.errors import UnavailableError
from osmia.model.wire import Table

__all__ = ["Batch", "Spool", "SpoolStatistics", "spool_directory"]

_MAGIC = b"osmia1\n"
_DIGEST_BYTES = 16
_NAME = re.compile(r"(\d{16})-(\d+)-(\d+)-(\d+)-([a-z]+)\.batch")
_PART = ".part"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Batch:
    """One encoded table under its number; `requests` is how many requests are counted by it (windows only)."""

    table: Table
    sequence: int
    rows: int
    requests: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SpoolStatistics:
    """What lies on disk now, and what was lost there since the spool was opened, in requests and in listed rows."""

    batches: int = 0
    size_bytes: int = 0
    evicted_requests: int = 0
    evicted_rows: int = 0
    torn_requests: int = 0
    torn_rows: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    """What a file's name says of it."""

    name: str
    index: int
    sequence: int
    rows: int
    requests: int
    table: Table
    size_bytes: int


def spool_directory(root: Path, *, cluster: str, agent: str) -> Path:
    """Where the batches of this agent of this cluster lie below `root`."""
    return root / f"{quote(cluster, safe='')}@{quote(agent, safe='')}"


class Spool:
    """The files of one directory, oldest first; made by `open()`, which takes over what an earlier agent left."""

    def __init__(self, directory: Path, *, max_bytes: int, lock: int, files: OrderedDict[int, _File]) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = lock
        self._files = files
        self._size_bytes = sum(file.size_bytes for file in files.values())
        self._next_index = max((file.index for file in files.values()), default=0) + 1
        self._statistics = SpoolStatistics()

    @classmethod
    def open(cls, directory: Path, *, max_bytes: int) -> Spool:
        """Make the directory, lock it, remove half-written files and read which batches wait there.

        Raises:
            UnavailableError: it cannot be made or written, or another agent has it.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _unusable(directory, exc) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files = _scan(directory)
        except OSError as exc:
            os.close(lock)
            if isinstance(exc, BlockingIOError):
                raise UnavailableError(
                    f"spool {directory} belongs to another running agent", remedy="give each agent its own --spool-dir"
                ) from exc
            raise _unusable(directory, exc) from exc
        spool = cls(directory, max_bytes=max_bytes, lock=lock, files=files)
        spool._make_room(0)
        return spool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another agent have the directory; the files stay. Safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __len__(self) -> int:
        return len(self._files)

    def statistics(self) -> SpoolStatistics:
        """Figures up to now."""
        return replace(self._statistics, batches=len(self._files), size_bytes=self._size_bytes)

    def put(self, batch: Batch) -> None:
        """Keep a batch behind those that are here; the oldest give way to it.

        Raises:
            UnavailableError: the disk is full, read-only or gone; the spool is as it was before, less what gave way.
        """
        index = self._next_index
        name = f"{index:016d}-{batch.sequence}-{batch.rows}-{batch.requests}-{batch.table}.batch"
        content = b"".join((_MAGIC, _digest(name, batch.payload), batch.payload))
        file = _File(name, index, batch.sequence, batch.rows, batch.requests, batch.table, len(content))
        if len(content) > self._max_bytes:
            self._count_evicted(file)
            return
        self._make_room(len(content))
        self._write(name, content)
        self._next_index += 1
        self._files[index] = file
        self._size_bytes += len(content)

    def oldest(self, count: int) -> list[Batch]:
        """The oldest batches that can be read, at most `count`; torn ones before them are counted and removed."""
        found: list[Batch] = []
        for file in list(self._files.values()):
            if len(found) == count:
                break
            payload = self._read(file.name)
            if payload is not None:
                found.append(Batch(file.table, file.sequence, file.rows, file.requests, payload))
                continue
            self._remove(file)
            listed = file.rows if file.table is Table.REQUESTS else 0
            self._bump(torn_requests=file.requests, torn_rows=listed)
        return found

    def drop(self, batch: Batch) -> None:
        """Forget a batch that is settled; one that has given way meanwhile is no error."""
        for file in self._files.values():
            if (file.sequence, file.table) == (batch.sequence, batch.table):
                self._remove(file)
                return

    def _write(self, name: str, content: bytes) -> None:
        part = self._directory / (name + _PART)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            part.rename(self._directory / name)
        except OSError as exc:
            _unlink(part)
            raise _unusable(self._directory, exc) from exc

    def _read(self, name: str) -> bytes | None:
        try:
            content = (self._directory / name).read_bytes()
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST_BYTES
        payload = content[start:]
        is_whole = content[:start] == _MAGIC + _digest(name, payload)
        return payload if is_whole else None

    def _make_room(self, size_bytes: int) -> None:
        while self._files and self._size_bytes + size_bytes > self._max_bytes:
            oldest = next(iter(self._files.values()))
            self._remove(oldest)
            self._count_evicted(oldest)

    def _remove(self, file: _File) -> None:
        _unlink(self._directory / file.name)
        del self._files[file.index]
        self._size_bytes -= file.size_bytes

    def _count_evicted(self, file: _File) -> None:
        listed = file.rows if file.table is Table.REQUESTS else 0
        self._bump(evicted_requests=file.requests, evicted_rows=listed)

    def _bump(self, **by: int) -> None:
        before = self._statistics
        self._statistics = replace(before, **{name: getattr(before, name) + amount for name, amount in by.items()})


def _scan(directory: Path) -> OrderedDict[int, _File]:
    """The batches that lie there, by index; half-written files and strangers' names are removed or left alone."""
    found = []
    for entry in os.scandir(directory):
        if entry.name.endswith(_PART):
            _unlink(Path(entry.path))
            continue
        match = _NAME.fullmatch(entry.name)
        if match is None or match[5] not in set(Table):
            continue
        index, sequence, rows, requests = (int(match[group]) for group in range(1, 5))
        found.append(_File(entry.name, index, sequence, rows, requests, Table(match[5]), entry.stat().st_size))
    return OrderedDict((file.index, file) for file in sorted(found, key=lambda file: file.index))


def _digest(name: str, payload: bytes) -> bytes:
    return hashlib.blake2b(name.encode() + b"\0" + payload, digest_size=_DIGEST_BYTES).digest()


def _unlink(path: Path) -> None:
    """A file that cannot be removed is met again at the next start; nothing depends on it before."""
    try:
        path.unlink()
    except OSError:
        return


def _unusable(directory: Path, exc: OSError) -> UnavailableError:
    reason = exc.strerror or type(exc).__name__
    return UnavailableError(
        f"spool {directory} cannot be written: {reason}",
        remedy="free disk space or give a writable --spool-dir; batches stay in memory until then",
    )
