"""One process per embedded store: a lock file beside the data that names its owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from osmia.model.errors import StoreUnavailableError

__all__ = ["StoreLock"]


class StoreLock:
    """An exclusive lock on `path`, held until `release()` or the end of the process.

    The file stays behind on purpose: removing it would let two processes hold two different files. The engine's own
    refusal carries no text, hence ours.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise StoreUnavailableError(
                f"the store at {path.parent} is in use by process {owner}",
                remedy="end that process or choose another --data directory",
            ) from exc
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let another process in."""
        self._file.close()
