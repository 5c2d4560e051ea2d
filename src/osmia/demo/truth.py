"""What really happened, from the logs of those who did it: loadgen, the applications, PostgreSQL. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

__all__ = ["Load", "Served", "percentile", "read_load", "read_served", "read_statements"]

_STATEMENT = re.compile(r"^(\S+ \S+) UTC .*duration: [\d.]+ ms  (?:statement|execute [^:]*): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """What loadgen sent: requests by (path, status), latencies in seconds, and when."""

    by_path_status: Counter[tuple[str, int]]
    latencies_s: Sequence[float]
    first_s: float
    last_s: float
    is_complete: bool

    @property
    def total(self) -> int:
        """All requests that were answered."""
        return self.by_path_status.total()

    @property
    def last_ms(self) -> int:
        """When the last request was sent, Unix ms."""
        return int(self.last_s * 1000) + 1

    @property
    def errors(self) -> int:
        """Those answered with 5xx."""
        return sum(count for (_, status), count in self.by_path_status.items() if status >= 500)  # noqa: PLR2004 - 5xx


@dataclass(frozen=True, slots=True)
class Served:
    """What an application says it served."""

    total: int = 0
    durations_s: Sequence[float] = field(default_factory=tuple)


class _Record(msgspec.Struct):
    path: str = ""
    status: int = 0
    start: float = 0.0
    latency_s: float = 0.0
    type: str = ""


class _Access(msgspec.Struct):
    path: str
    duration_s: float


def read_load(log: str) -> Load:
    """From loadgen's lines; complete when its summary has been written."""
    records = [msgspec.json.decode(line, type=_Record) for line in _json_lines(log)]
    sent = [record for record in records if record.path and record.status]
    return Load(
        by_path_status=Counter((record.path, record.status) for record in sent),
        latencies_s=[record.latency_s for record in sent],
        first_s=min((record.start for record in sent), default=0.0),
        last_s=max((record.start for record in sent), default=0.0),
        is_complete=any(record.type == "summary" for record in records),
    )


def read_served(logs: Iterable[str]) -> Served:
    """From the access logs of an application's pods."""
    served: list[float] = []
    for log in logs:
        for line in _json_lines(log):
            try:
                served.append(msgspec.json.decode(line, type=_Access).duration_s)
            except msgspec.ValidationError:
                continue  # another kind of line
    return Served(len(served), served)


def read_statements(log: str, *, since_s: float) -> int:
    """Statements that PostgreSQL ended after a time (Unix), from its log with log_min_duration_statement = 0."""
    times = (dt.datetime.fromisoformat(f"{when}+00:00").timestamp() for when in _STATEMENT.findall(log))
    return sum(time_s >= since_s for time_s in times)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; 0 for no values."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def _json_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("{") and line.endswith("}")]
