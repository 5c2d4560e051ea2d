"""The live side of the TCP programs: connections and listening sockets as the kernel knows them now.

Opening compares the sizes of `agent/tcp_state.py` with those of the loaded object.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from osmia.agent.kernel.capture import binding, object_path
from osmia.agent.kernel.refusal import why_refused
from osmia.agent.tcp_state import LISTENER, TCP_BUCKET, TCP_EDGE, TCP_LEDGER_FIELDS, TCP_SOCKET, TcpState
from osmia.model.errors import CaptureUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TcpCapture", "TcpOptions"]

_SWEEP = "sweep"

_MAPS = {
    "sockets": (np.dtype("<u8"), TCP_SOCKET),
    "edges": (np.dtype("<u8"), TCP_EDGE),
    "histogram": (TCP_BUCKET, np.dtype("<u8")),
    "listeners": (np.dtype("<u8"), LISTENER),
}


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Sizes of what lives in the kernel: 0.3 KB per socket and edge, 80 B per bucket, 0.15 KB per listener."""

    ignored_pid: int = 0
    max_sockets: int = 32_768
    max_edges: int = 8_192
    max_buckets: int = 65_536
    max_listeners: int = 4_096


class TcpCapture:
    """Connections of every process on this machine, from the moment it is constructed until `close()`."""

    def __init__(self, options: TcpOptions | None = None) -> None:
        """Load and attach; without the sweep where the kernel has no such iterator.

        Raises:
            CaptureUnavailableError: the kernel refused; the text carries its reason.
        """
        self._options = options or TcpOptions()
        module = binding()
        self._lib: Any = module.lib
        self._ffi: Any = module.ffi
        self._handle: Any = None
        self.has_sweep = True
        try:
            self._handle = self._open(without="")
        except CaptureUnavailableError:
            self.has_sweep = False
            self._handle = self._open(without=_SWEEP)
        self._check_sizes()
        if self.has_sweep:  # twice: a connection's direction shows once it is known who listens
            self.sweep()
            self.sweep()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Detach and free; safe to call twice."""
        if self._handle:
            self._lib.osmia_object_close(self._handle)
            self._handle = None

    def sweep(self) -> None:
        """Let the kernel look at every open connection and listening socket once, if it can."""
        if self.has_sweep:
            _checked(self._lib.osmia_object_walk(self._handle, _SWEEP.encode()), "sweep the sockets")

    def read(self) -> TcpState:
        """Everything that is known now."""
        edge_keys, edges = self._read("edges", self._options.max_edges)
        socket_keys, sockets = self._read("sockets", self._options.max_sockets)
        buckets, counts = self._read("histogram", self._options.max_buckets)
        listener_keys, listeners = self._read("listeners", self._options.max_listeners)
        return TcpState(edge_keys, edges, socket_keys, sockets, buckets, counts, listener_keys, listeners)

    def forget_edges(self, keys: NDArray[np.uint64]) -> None:
        """Drop the totals and histograms of these edges (idle ones, to make room)."""
        buckets, _ = self._read("histogram", self._options.max_buckets)
        self._delete("histogram", np.ascontiguousarray(buckets[np.isin(buckets["edge"], keys)]))
        self._delete("edges", np.ascontiguousarray(keys))

    def ledger(self) -> dict[str, int]:
        """Counters since start, by the names of `TCP_LEDGER_FIELDS`."""
        sums = np.zeros(len(TCP_LEDGER_FIELDS), dtype=np.uint64)
        buffer = self._ffi.from_buffer("uint64_t[]", sums)
        _checked(self._lib.osmia_object_sum(self._handle, b"ledger", buffer, len(sums)), "read the TCP ledger")
        return dict(zip(TCP_LEDGER_FIELDS, sums.tolist(), strict=True))

    def _open(self, *, without: str) -> object:
        sizes = {
            "sockets": self._options.max_sockets,
            "edges": self._options.max_edges,
            "histogram": self._options.max_buckets,
            "listeners": self._options.max_listeners,
        }
        names = [self._ffi.new("char[]", name.encode()) for name in sizes]  # alive as long as they are pointed to
        given = self._ffi.new("struct osmia_map_size[]", list(zip(names, sizes.values(), strict=True)))
        words = self._ffi.new("char[]", 4096)
        path = str(object_path("tcp")).encode()
        handle = self._lib.osmia_object_open(
            path, self._options.ignored_pid, without.encode(), given, len(sizes), words, 4096
        )
        if not handle:
            reason = why_refused(self._ffi.string(words).decode(errors="replace"))
            raise CaptureUnavailableError(
                f"the kernel refused the TCP programs: {reason}",
                remedy="as for capture; requests are seen all the same",
            )
        return handle

    def _check_sizes(self) -> None:
        key, value = self._ffi.new("uint32_t *"), self._ffi.new("uint32_t *")
        for name, (key_type, value_type) in _MAPS.items():
            _checked(self._lib.osmia_object_sizes(self._handle, name.encode(), key, value), f"measure the map {name}")
            if (key[0], value[0]) != (key_type.itemsize, value_type.itemsize):
                self.close()
                raise CaptureUnavailableError(
                    f"the BPF object tcp is of another version (map {name}: {key[0]} and {value[0]} bytes)",
                    remedy="build Osmia again (make setup)",
                )

    def _read(self, name: str, room: int) -> tuple[NDArray[Any], NDArray[Any]]:
        key_type, value_type = _MAPS[name]
        keys, values = np.empty(room, dtype=key_type), np.empty(room, dtype=value_type)
        count = self._lib.osmia_object_read(
            self._handle, name.encode(), self._ffi.from_buffer(keys), self._ffi.from_buffer(values), room
        )
        count = _checked(count, f"read the map {name}")
        return keys[:count], values[:count]

    def _delete(self, name: str, keys: NDArray[Any]) -> None:
        if len(keys):
            self._lib.osmia_object_delete(self._handle, name.encode(), self._ffi.from_buffer(keys), len(keys))


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise CaptureUnavailableError(f"cannot {what}: errno {-result}")
    return result
