"""Every metric the server exposes of itself at /metrics, in one table."""

from __future__ import annotations

import enum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "ServerMetrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Type(enum.Enum):
    COUNTER = Counter
    GAUGE = Gauge
    HISTOGRAM = Histogram


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_TABLE: tuple[tuple[str, _Type, str, tuple[str, ...]], ...] = (
    ("ingest_batches", _Type.COUNTER, "Batches accepted", ("table",)),
    ("ingest_rows", _Type.COUNTER, "Rows accepted", ("table",)),
    ("ingest_bytes", _Type.COUNTER, "Compressed bytes received", ("table",)),
    ("ingest_rejected", _Type.COUNTER, "Batches refused, by cause", ("cause",)),
    ("ingest_repeated", _Type.COUNTER, "Batches that had been stored before and were acknowledged again", ("table",)),
    ("ingest_peers_resolved", _Type.COUNTER, "Ends of rows that the server named by their pod address", ()),
    ("insert_seconds", _Type.HISTOGRAM, "Time of one insert into the store", ("table",)),
    ("insert_retries", _Type.COUNTER, "Inserts repeated because the store failed for a passing reason", ("table",)),
    ("queue_rows", _Type.GAUGE, "Rows waiting to be stored", ("table",)),
    ("query_seconds", _Type.HISTOGRAM, "Time of one question to the store", ("question",)),
    ("query_failures", _Type.COUNTER, "Questions that the store could not answer", ("question",)),
    ("live_clients", _Type.GAUGE, "Browsers following live updates", ()),
    ("live_refused", _Type.COUNTER, "Browsers refused because too many follow already", ()),
    ("store_bytes", _Type.GAUGE, "Bytes on disk", ("table",)),
    ("store_rows", _Type.GAUGE, "Rows on disk", ("table",)),
    ("store_parts", _Type.GAUGE, "Active parts", ("table",)),
    ("store_memory_bytes", _Type.GAUGE, "Memory the store counts as its own", ()),
    ("address_book_entries", _Type.GAUGE, "Addresses known of pods, services and nodes", ()),
)


class ServerMetrics:
    """The table above as live metrics; each server has its own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        for name, kind, text, labels in _TABLE:
            extra = {"buckets": _SECONDS} if kind is _Type.HISTOGRAM else {}
            self._metrics[name] = kind.value(f"osmia_server_{name}", text, labels, registry=self._registry, **extra)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter or gauge."""
        metric = self._metrics[name]
        bound = metric.labels(**labels) if labels else metric
        bound.inc(amount)  # type: ignore[union-attr]  # the table says which kind each name is

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        metric = self._metrics[name]
        bound = metric.labels(**labels) if labels else metric
        bound.set(value)  # type: ignore[union-attr]  # same

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Put one duration into a histogram."""
        metric = self._metrics[name]
        bound = metric.labels(**labels) if labels else metric
        bound.observe(seconds)  # type: ignore[union-attr]  # same

    def value(self, name: str, **labels: str) -> float:
        """What one counter or gauge stands at, for health pages and tests; 0 when it never moved."""
        suffix = "_total" if isinstance(self._metrics[name], Counter) else ""
        return self._registry.get_sample_value(f"osmia_server_{name}{suffix}", labels) or 0.0

    def render(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._registry)
