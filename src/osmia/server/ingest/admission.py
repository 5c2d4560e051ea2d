"""How many batches are handled at once: what is being read, unpacked and waiting must fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from osmia.server.ingest.errors import NotStoredError
from osmia.server.metrics import ServerMetrics

__all__ = ["Admission"]

_DECODERS = 2
_RETRY_AFTER_S = 2


class Admission:
    """Lets in at most `limit` batches, and no more than two of them to the decoder."""

    def __init__(self, metrics: ServerMetrics, *, limit: int) -> None:
        self.decoders = anyio.CapacityLimiter(_DECODERS)
        self._metrics = metrics
        self._limit = limit
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside for the length of one batch.

        Raises:
            NotStoredError: the house is full.
        """
        if self._inside >= self._limit:
            self._metrics.add("ingest_rejected", cause="too_many_posts")
            raise NotStoredError("too many batches are being handled", retry_after_s=_RETRY_AFTER_S)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
