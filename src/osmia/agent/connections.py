"""The TCP side of the agent: opens the optional programs, and turns what they know into batches for the server.

Connections that end are in the kernel's totals at once; what is still open is looked at by a sweep every ten seconds.
Without the programs (a kernel that refuses them) the rest of the agent works as before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from osmia.agent.tcp import ConnectionTracker, ListenerTracker
from osmia.model.connection import ConnectionWindow
from osmia.model.wire import TABLES, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osmia.agent.ends import EntityLookup
    from osmia.agent.tcp_state import TcpState
    from osmia.model.connection import ListenerWindow
    from osmia.model.entity import Entity

__all__ = ["ConnectionReporter", "ConnectionSource", "connection_columns", "listener_columns"]

_SWEEP_NS = 10_000_000_000
_LOST = ("sockets_full", "edges_full", "histogram_full", "listeners_full", "unowned")

_NUMBERS = tuple(
    name for name in TABLES[Table.CONNECTIONS] if name in {field.name for field in dataclasses.fields(ConnectionWindow)}
)

Columns = dict[str, list[object]]


class ConnectionSource(Protocol):
    """What the kernel knows of connections; `agent.kernel.tcp.TcpCapture` is the real one."""

    def sweep(self) -> None:
        """Look at everything that is open."""
        ...

    def read(self) -> TcpState:
        """Everything that is known now."""
        ...

    def forget_edges(self, keys: NDArray[np.uint64]) -> None:
        """Make room."""
        ...

    def ledger(self) -> dict[str, int]:
        """Counters since it was opened."""
        ...

    def close(self) -> None:
        """Detach and free."""
        ...


class ConnectionReporter:
    """Reports connections while it is open."""

    def __init__(
        self,
        open_source: Callable[[], ConnectionSource],
        entities: EntityLookup,
        *,
        only_kubernetes: bool,
        max_edges: int,
    ) -> None:
        self._open_source = open_source
        self._entities = entities
        self._only_kubernetes = only_kubernetes
        self._max_edges = max_edges
        self._source: ConnectionSource | None = None
        self._lost_before: dict[str, int] = {}
        self._sweep_due_ns = 0
        self._renew()

    @property
    def is_open(self) -> bool:
        """Whether connections are watched."""
        return self._source is not None

    def open(self) -> None:
        """Begin to watch; what was counted in an earlier opening has been reported.

        Raises:
            CaptureUnavailableError: the kernel refused; the text carries its reason.
        """
        if self._source is None:
            self._source = self._open_source()
            self._renew()

    def close(self) -> None:
        """Stop watching; safe to call twice."""
        if self._source is not None:
            self._lost_before = self.lost()
            self._source.close()
            self._source = None

    def lost(self) -> dict[str, int]:
        """What was not followed or not counted, by cause as the agent's ledger names it."""
        ledger: Mapping[str, int] = self._source.ledger() if self._source is not None else {}
        names = {f"tcp_{cause}": ledger.get(cause, 0) for cause in _LOST}
        return {name: count + self._lost_before.get(name, 0) for name, count in names.items()}

    def flush(self, *, now_ns: int, monotonic_ns: int) -> Iterator[tuple[Table, Columns]]:
        """Batches of all that is due; `now_ns` is Unix time."""
        if self._source is None:
            return
        is_swept = monotonic_ns >= self._sweep_due_ns
        if is_swept:
            self._sweep_due_ns = monotonic_ns + _SWEEP_NS
            self._source.sweep()
        state = self._source.read()
        self._connections.advance(state, wall_offset_ns=now_ns - monotonic_ns, now_ns=now_ns)
        stale = self._connections.forget_idle(state, now_ns=monotonic_ns, capacity=self._max_edges)
        if len(stale):
            self._source.forget_edges(stale)
        yield Table.CONNECTIONS, connection_columns(self._connections.flush(now_ns=now_ns))
        if is_swept:
            yield Table.LISTENERS, listener_columns(self._listeners.advance(state, now_ns=now_ns))

    def _renew(self) -> None:
        self._connections = ConnectionTracker(self._entities, only_kubernetes=self._only_kubernetes)
        self._listeners = ListenerTracker(self._entities, only_kubernetes=self._only_kubernetes)
        self._sweep_due_ns = 0


def connection_columns(windows: Sequence[ConnectionWindow]) -> Columns:
    """Windows as columns of the wire's `connections`."""
    columns: Columns = {name: [getattr(window, name) for window in windows] for name in _NUMBERS}
    for name in ("role", "server_port"):
        columns[name] = [getattr(window.key, name) for window in windows]
    for end in ("source", "destination"):
        entities: list[Entity] = [getattr(window.key, end) for window in windows]
        for part in ("kind", "namespace", "name", "pod", "container", "node", "service", "ip"):
            columns[f"{end}_{part}"] = [getattr(entity, part) for entity in entities]
    for name in ("connect", "rtt"):
        histograms: list[Mapping[int, int]] = [getattr(window, f"{name}_histogram") for window in windows]
        columns[f"{name}_buckets"] = [sorted(one) for one in histograms]
        columns[f"{name}_counts"] = [[one[bucket] for bucket in sorted(one)] for one in histograms]
    return columns


def listener_columns(windows: Sequence[ListenerWindow]) -> Columns:
    """Windows as columns of the wire's `listeners`."""
    columns: Columns = {
        name: [getattr(window, name) for window in windows]
        for name in ("start_s", "port", "dropped", "waiting", "waiting_max")
    }
    for part in ("kind", "namespace", "name", "pod", "node"):
        columns[part] = [getattr(window.entity, part) for window in windows]
    return columns
