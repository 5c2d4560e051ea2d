"""The live side of capture: one object in the kernel that is opened, drained, read and closed.

Nothing is pinned: when the process ends, however it ends, the kernel detaches and frees everything.
"""

from __future__ import annotations

import errno
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from osmia.agent.events import BUCKET, EDGE, EVENT, LEDGER_FIELDS, Feature, Unseen
from osmia.agent.kernel.refusal import why_refused
from osmia.model.errors import CaptureUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VARIANTS", "Capture", "CaptureOptions", "Control", "EdgeTotals", "binding", "object_path"]

_MACHINES = {"x86_64": "x86", "aarch64": "arm64"}
_DRAIN_EVENTS = 4096
_JIFFIES_PER_S = (100, 250, 300, 1000)
_JIFFY_NS = 4_000_000
_JIFFIES_SURE = 200

VARIANTS = ("requests_sockets", "requests_typed", "requests")
"""Objects of the same programs, the cheapest first: the sockets' own tracepoints (Linux 6.16, bpf/requests/sockets.h),
typed reads (6.2, bpf/lib/read.h), neither."""


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Sizes of what lives in the kernel, and which objects to try in turn.

    Memory: twice the ring (it is mapped twice), 1 KB per connection, 0.3 KB per edge, 80 B per bucket.
    """

    ignored_pid: int = 0
    ring_bytes: int = 8 * 1024 * 1024
    max_connections: int = 16_384
    max_edges: int = 16_384
    max_buckets: int = 131_072
    variants: tuple[str, ...] = VARIANTS


@dataclass(frozen=True, slots=True)
class Control:
    """What is asked of the programs; may change at any time.

    `sample_every`: 1 makes every request an event, n one in n of each edge, 0 none (all are counted instead);
    `sample_notable_every` the same for errors and for those that take `slow_ns` or more. `payload_bytes` of a request
    are copied, at most 512.
    """

    sample_every: int = 1
    sample_notable_every: int = 1
    slow_ns: int = 250_000_000
    payload_bytes: int = 512
    features: Feature = Feature.HTTP | Feature.POSTGRES | Feature.STREAMS | Feature.DNS


@dataclass(frozen=True, slots=True)
class EdgeTotals:
    """Requests of every edge that were not sent as events, since its entry was made: keys (n,) uint64, values EDGE."""

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

    def __init__(self, options: CaptureOptions | None = None, control: Control | None = None) -> None:
        """Load, say what is asked, and attach.

        Raises:
            CaptureUnavailableError: the kernel refused; the text carries its reason.
        """
        options = options or CaptureOptions()
        self._control = control or Control()
        self._jiffy_ns = _JIFFY_NS
        self._first_jiffies: tuple[int, int] | None = None
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
        self._handle: Any = None
        refusal = ""
        for variant in options.variants:
            words = self._ffi.new("char[]", 4096)
            path = str(object_path(variant)).encode()
            self._handle = self._lib.osmia_capture_open(path, given, self._asked(), words, 4096)
            if self._handle:
                self.variant = variant
                break
            refusal = why_refused(self._ffi.string(words).decode(errors="replace"))
        if not self._handle:
            raise CaptureUnavailableError(
                f"the kernel refused the capture programs: {refusal}",
                remedy="run as root, or grant CAP_BPF and CAP_PERFMON; `osmia agent check` tells which is missing",
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

    def control(self, control: Control) -> None:
        """Ask for something else from now on."""
        if control == self._control:
            return
        self._control = control
        self._tell()

    def _asked(self) -> Any:  # noqa: ANN401 - a cffi struct
        asked = self._control
        fields = [asked.slow_ns, asked.sample_every, asked.sample_notable_every, asked.payload_bytes, asked.features]
        return self._ffi.new("struct osmia_asked *", [*fields, self._jiffy_ns, 0])

    def _tell(self) -> None:
        _checked(self._lib.osmia_capture_control(self._handle, self._asked()), "tell the programs what to do")

    def sweep(self) -> bool:
        """Have the kernel report how far responses under way have come; False where it cannot (before Linux 5.13)."""
        jiffies = self._ffi.new("uint32_t *")
        result = self._lib.osmia_capture_sweep(self._handle, jiffies)
        if result == -errno.ENOTSUP:
            return False
        _checked(result, "sweep the connections")
        self._learn_jiffy(int(jiffies[0]), time.monotonic_ns())
        return True

    def _learn_jiffy(self, jiffies: int, now_ns: int) -> None:
        """The kernel's clock tick, which nothing tells from inside a container, from two looks at its counter."""
        first, then_ns = self._first_jiffies or (jiffies, now_ns)
        self._first_jiffies = (first, then_ns)
        passed = (jiffies - first) & 0xFFFFFFFF
        if passed < _JIFFIES_SURE:
            return
        per_s = passed * 1e9 / (now_ns - then_ns)
        self._first_jiffies = (jiffies, now_ns)
        jiffy_ns = 1_000_000_000 // min(_JIFFIES_PER_S, key=lambda known: abs(known - per_s))
        if jiffy_ns != self._jiffy_ns:
            self._jiffy_ns = jiffy_ns
            self._tell()

    def unseen(self) -> dict[int, Unseen]:
        """Processes of which some traffic cannot be seen, by pid, and why."""
        pids, reasons = np.zeros(1024, dtype=np.uint32), np.zeros(1024, dtype=np.uint32)
        count = self._read(b"unseen", pids, reasons)
        return {pid: Unseen(why) for pid, why in zip(pids[:count].tolist(), reasons[:count].tolist(), strict=True)}

    def drain(self) -> NDArray[np.void]:
        """Events that wait in the ring, oldest first, at most 4,096: shape (n,) of EVENT.

        The array is a view that the next call overwrites. Fewer than 4,096 means the ring is empty.
        """
        count = self._lib.osmia_capture_drain(self._handle, self._ffi.from_buffer(self._slots), _DRAIN_EVENTS)
        return self._slots[: _checked(count, "drain the ring")]

    def edges(self) -> EdgeTotals:
        """What was counted instead of sent, of every edge."""
        keys = np.zeros(self._options.max_edges, dtype=np.uint64)
        values = np.zeros(self._options.max_edges, dtype=EDGE)
        count = self._read(b"edges", keys, values)
        return EdgeTotals(keys[:count], values[:count])

    def histogram(self) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """Latencies of what was counted instead of sent: keys (n,) of BUCKET and counts (n,)."""
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
