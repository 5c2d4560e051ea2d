"""The live side of capture: one object in the kernel that is opened, drained, read and closed.

Nothing is pinned: when the process ends, however it ends, the kernel detaches and frees everything.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from osmia.agent.events import BUCKET, EDGE, EVENT, LEDGER_FIELDS
from osmia.model.errors import CaptureUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Capture", "CaptureOptions", "EdgeTotals", "binding", "object_path"]

_MACHINES = {"x86_64": "x86", "aarch64": "arm64"}
_DRAIN_EVENTS = 4096
_WORDS_MAX = 300


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Sizes of what lives in the kernel.

    Memory: twice the ring (it is mapped twice), 1 KB per connection, 0.3 KB per edge, 80 B per bucket.
    """

    ignored_pid: int = 0
    ring_bytes: int = 8 * 1024 * 1024
    max_connections: int = 16_384
    max_edges: int = 16_384
    max_buckets: int = 131_072


@dataclass(frozen=True, slots=True)
class EdgeTotals:
    """Totals of every edge since its entry was made: shape (n,) keys uint64 and values EDGE."""

    keys: NDArray[np.uint64]
    values: NDArray[np.void]


def binding() -> ModuleType:
    """The compiled libbpf binding.

    Raises:
        CaptureUnavailableError: it was not compiled, or libbpf.so.1 is missing.
    """
    try:
        from osmia.agent.kernel import _bpf  # type: ignore[attr-defined]  # compiled by hatch_build.py
    except ImportError as exc:
        raise CaptureUnavailableError(
            f"the libbpf binding cannot be imported ({exc})",
            remedy="install libbpf1, or build Osmia with clang and libbpf-dev present (make setup)",
        ) from exc
    module: ModuleType = _bpf
    return module


def object_path(program: str) -> Path:
    """The compiled BPF object of a program for this machine.

    Raises:
        CaptureUnavailableError: there is none.
    """
    architecture = _MACHINES.get(platform.machine(), platform.machine())
    path = Path(__file__).parent / f"{program}.{architecture}.bpf.o"
    if not path.exists():
        raise CaptureUnavailableError(
            f"no BPF object for {program} on {platform.machine()}",
            remedy="build Osmia with clang present (make setup); supported: x86_64, aarch64",
        )
    return path


class Capture:
    """Requests of every process on this machine, from the moment it is constructed until `close()`."""

    def __init__(self, options: CaptureOptions | None = None) -> None:
        """Load and attach.

        Raises:
            CaptureUnavailableError: the kernel refused; the text carries its reason.
        """
        options = options or CaptureOptions()
        module = binding()
        self._lib: Any = module.lib
        self._ffi: Any = module.ffi
        given = self._ffi.new(
            "struct osmia_options *",
            [
                options.ignored_pid,
                options.ring_bytes,
                options.max_connections,
                options.max_edges,
                options.max_buckets,
            ],
        )
        words = self._ffi.new("char[]", 4096)
        path = str(object_path("requests")).encode()
        self._handle: Any = self._lib.osmia_capture_open(path, given, words, 4096)
        if not self._handle:
            message = " ".join(self._ffi.string(words).decode(errors="replace").split())[:_WORDS_MAX]
            raise CaptureUnavailableError(
                f"the kernel refused the capture programs: {message}",
                remedy="run as root (or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE); `osmia agent check` tells more",
            )
        self._options = options
        self._slots = np.zeros(_DRAIN_EVENTS, dtype=EVENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Detach and free; safe to call twice."""
        if self._handle:
            self._lib.osmia_capture_close(self._handle)
            self._handle = None

    def drain(self) -> NDArray[np.void]:
        """Events that wait in the ring, oldest first, at most 4,096: shape (n,) of EVENT.

        The array is a view that the next call overwrites. Fewer than 4,096 means the ring is empty.
        """
        count = self._lib.osmia_capture_drain(self._handle, self._ffi.from_buffer(self._slots), _DRAIN_EVENTS)
        return self._slots[: _checked(count, "drain the ring")]

    def edges(self) -> EdgeTotals:
        """Totals of every edge."""
        keys = np.zeros(self._options.max_edges, dtype=np.uint64)
        values = np.zeros(self._options.max_edges, dtype=EDGE)
        count = self._read(b"edges", keys, values)
        return EdgeTotals(keys[:count], values[:count])

    def histogram(self) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """Every bucket that is not empty: keys (n,) of BUCKET and counts (n,)."""
        keys = np.zeros(self._options.max_buckets, dtype=BUCKET)
        counts = np.zeros(self._options.max_buckets, dtype=np.uint64)
        count = self._read(b"histogram", keys, counts)
        return keys[:count], counts[:count]

    def forget_edges(self, keys: NDArray[np.uint64]) -> None:
        """Drop the totals and histograms of these edges (idle ones, to make room)."""
        buckets, _ = self.histogram()
        stale = np.ascontiguousarray(buckets[np.isin(buckets["edge"], keys)])
        self._delete(b"histogram", stale)
        self._delete(b"edges", np.ascontiguousarray(keys))

    def ledger(self) -> dict[str, int]:
        """What the kernel side saw and lost, by `LEDGER_FIELDS`."""
        words = np.zeros(len(LEDGER_FIELDS), dtype=np.uint64)
        pointer = self._ffi.cast("uint64_t *", self._ffi.from_buffer(words))
        _checked(self._lib.osmia_capture_ledger(self._handle, pointer), "read the ledger")
        return dict(zip(LEDGER_FIELDS, words.tolist(), strict=True))

    def _read(self, name: bytes, keys: NDArray[Any], values: NDArray[Any]) -> int:
        arguments = (self._ffi.from_buffer(keys), self._ffi.from_buffer(values), len(keys))
        return _checked(self._lib.osmia_capture_read(self._handle, name, *arguments), f"read the map {name!r}")

    def _delete(self, name: bytes, keys: NDArray[Any]) -> None:
        if len(keys):
            self._lib.osmia_capture_delete(self._handle, name, self._ffi.from_buffer(keys), len(keys))


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise CaptureUnavailableError(f"cannot {what}: errno {-result}")
    return result
