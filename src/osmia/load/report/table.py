"""`--out run.csv`: one row per step and one for all of them, for spreadsheets. Milliseconds, bytes, counts."""

from __future__ import annotations

import csv
from io import StringIO

from osmia.load.report.document import RequestsDocument, document_of
from osmia.load.report.text import PHASE_NAMES, QUANTILE_NAMES
from osmia.load.results import Results

__all__ = ["COLUMNS", "summary_csv"]

_COUNTS = ("started", "answered", "succeeded", "failed", "assertion_failed", "retried", "redirects", "reused")
_LATENCIES = ("min_ms", *QUANTILE_NAMES)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

COLUMNS = (
    "step",
    "name",
    "method",
    "url",
    *_COUNTS,
    "rate_per_s",
    "sent_bytes",
    "received_bytes",
    *(f"service_{name}" for name in _LATENCIES),
    *(f"response_{name}" for name in _LATENCIES),
    *(f"{name}_{figure}" for name in PHASE_NAMES for figure in ("count", "mean_ms")),
    "statuses",
    "errors",
)
"""The header."""


def summary_csv(results: Results) -> str:
    """RFC 4180, with a header; what is not known is empty."""
    document = document_of(results)
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for step in document.steps:
        writer.writerow([step.id, _inert(step.name), step.method, _inert(step.url), *_cells(step.requests)])
    writer.writerow(["all", "", "", "", *_cells(document.requests)])
    return out.getvalue()


def _inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(requests: RequestsDocument) -> list[object]:
    cells: list[object] = [getattr(requests, name) for name in _COUNTS]
    cells += [requests.rate_per_s, requests.sent_bytes, requests.received_bytes]
    for latency in (requests.service, requests.response):
        cells += [getattr(latency, name) for name in _LATENCIES]
    for phase in requests.phases:
        cells += [phase.count, phase.mean_ms]
    cells.append(" ".join(f"{status.code}:{status.count}" for status in requests.statuses))
    cells.append(" ".join(f"{error.reason}:{error.count}" for error in requests.errors))
    return cells
