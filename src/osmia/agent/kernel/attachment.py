"""Capture that can be let go and taken up again, for the governor's last resort; counters go on across both."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from osmia.agent.events import BUCKET, EDGE, EVENT, LEDGER_FIELDS
from osmia.agent.kernel.capture import Capture, CaptureOptions, Control, EdgeTotals

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osmia.agent.events import Unseen

__all__ = ["Attachment"]


class Attachment:
    """A `Capture` while attached, nothing at all while not; asks it for the same things."""

    def __init__(
        self,
        options: CaptureOptions,
        control: Control,
        *,
        open_capture: Callable[[CaptureOptions, Control], Capture] = Capture,
    ) -> None:
        """Attach.

        Raises:
            CaptureUnavailableError: the kernel refused; the text carries its reason.
        """
        self._options = options
        self._control = control
        self._open = open_capture
        self._before = Counter[str]()
        self._capture: Capture | None = open_capture(options, control)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    @property
    def is_attached(self) -> bool:
        """Whether anything of ours is in the kernel."""
        return self._capture is not None

    def attach(self) -> None:
        """Capture again, with the latest control; nothing if attached.

        Raises:
            CaptureUnavailableError: the kernel refuses now; still detached.
        """
        if self._capture is None:
            self._capture = self._open(self._options, self._control)

    def detach(self) -> None:
        """Let go of everything in the kernel; what was not drained is gone. Safe to call twice."""
        if self._capture is not None:
            self._before.update(self._capture.ledger())
            self._capture.close()
            self._capture = None

    def control(self, control: Control) -> None:
        """Ask for something else from now on, or from the next `attach()` on."""
        self._control = control
        if self._capture is not None:
            self._capture.control(control)

    def drain(self) -> NDArray[np.void]:
        """See `Capture.drain`."""
        return np.zeros(0, dtype=EVENT) if self._capture is None else self._capture.drain()

    def edges(self) -> EdgeTotals:
        """See `Capture.edges`."""
        if self._capture is None:
            return EdgeTotals(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=EDGE))
        return self._capture.edges()

    def histogram(self) -> tuple[NDArray[np.void], NDArray[np.uint64]]:
        """See `Capture.histogram`."""
        if self._capture is None:
            return np.zeros(0, dtype=BUCKET), np.zeros(0, dtype=np.uint64)
        return self._capture.histogram()

    def forget_edges(self, keys: NDArray[np.uint64]) -> None:
        """See `Capture.forget_edges`."""
        if self._capture is not None:
            self._capture.forget_edges(keys)

    def sweep(self) -> bool:
        """See `Capture.sweep`."""
        return self._capture is not None and self._capture.sweep()

    def unseen(self) -> dict[int, Unseen]:
        """See `Capture.unseen`."""
        return {} if self._capture is None else self._capture.unseen()

    def ledger(self) -> dict[str, int]:
        """See `Capture.ledger`; counters run from the first attachment on."""
        now = {} if self._capture is None else self._capture.ledger()
        return {name: self._before[name] + now.get(name, 0) for name in LEDGER_FIELDS}
