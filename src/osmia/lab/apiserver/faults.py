"""Faults that tests order from the HTTP side of the API server: broken watches, failing and slow requests.

In-process calls are never affected. Every order is used up as it strikes, except `token` and `delay`.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

import anyio

__all__ = ["Failure", "Faults", "WatchFault"]


class WatchFault(enum.StrEnum):
    """How a running watch ends."""

    DROP = "drop"  # the connection is reset
    END = "end"  # a clean end of the stream, as after timeoutSeconds
    GARBAGE = "garbage"  # half a line of JSON, then the end
    GONE = "gone"  # an ERROR event with a Status of code 410, then the end
    HANG = "hang"  # nothing more comes, the connection stays open


@dataclass(frozen=True, slots=True)
class Failure:
    """Answer a request with this HTTP code instead of serving it."""

    code: int
    retry_after_s: float | None = None


@dataclass(slots=True)
class Faults:
    """What is ordered now. `struck` counts the faults that happened, by name."""

    delay_s: float = 0.0
    struck: Counter[str] = field(default_factory=Counter)
    _failures: list[tuple[str, Failure]] = field(default_factory=list)
    _watches: dict[anyio.Event, tuple[str, list[WatchFault]]] = field(default_factory=dict)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def fail(self, code: int, *, times: int = 1, resource: str = "", retry_after_s: float | None = None) -> None:
        """Let the next `times` requests (for one resource, or any) fail with an HTTP code."""
        self._failures += [(resource, Failure(code, retry_after_s))] * times

    def break_watches(self, fault: WatchFault, *, resource: str = "") -> int:
        """Break every watch that runs now (of one resource, or all); how many that were."""
        broken = [(wake, orders) for wake, (of, orders) in self._watches.items() if resource in {"", of}]
        for wake, orders in broken:
            orders.append(fault)
            wake.set()
        return len(broken)

    def next_failure(self, resource: str) -> Failure | None:
        """The failure that strikes this request, used up; for the HTTP server."""
        for position, (wanted, failure) in enumerate(self._failures):
            if wanted in {"", resource}:
                del self._failures[position]
                self.struck[f"http {failure.code}"] += 1
                return failure
        return None

    def watch_started(self, wake: anyio.Event, resource: str) -> list[WatchFault]:
        """Register a running watch; the list returned fills with faults when `wake` is set. For the HTTP server."""
        orders: list[WatchFault] = []
        self._watches[wake] = (resource, orders)
        self._announce()
        return orders

    def watch_ended(self, wake: anyio.Event) -> None:
        """Forget a watch; for the HTTP server."""
        self._watches.pop(wake, None)
        self._announce()

    def watches(self, resource: str = "") -> int:
        """How many watches run now (of one resource, or all)."""
        return sum(resource in {"", of} for of, _ in self._watches.values())

    async def wait_watches(self, count: int, resource: str = "") -> None:
        """Return once exactly that many watches run."""
        while self.watches(resource) != count:
            await self._changed.wait()

    def _announce(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
