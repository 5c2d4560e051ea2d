"""What the report draws: rates, response times, errors and load in flight over time, and the distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osmia.load.report.amounts import clock_text, count_text, rate_text, share_text, time_text
from osmia.load.report.document import Document, LatencyDocument, RequestsDocument, SecondDocument
from osmia.load.report.page.charts import Area, Columns, Line, Mark, chart
from osmia.load.report.page.markup import Raw, joined, tag
from osmia.load.report.page.scales import Scale, exact, linear, logarithmic, time_ticks

__all__ = ["distribution", "over_time"]

_MOST_COLUMNS = 180
_WIDE_SPREAD = 40
_HEADROOM = 1.04
_FEW = 4  # below, ticks are halves


@dataclass(frozen=True, slots=True)
class _Column:
    """Neighbouring intervals as one: counts added up, gauges and percentiles the worst of them."""

    at_s: float
    duration_s: float
    seconds: Sequence[SecondDocument]

    def sum(self, name: str) -> int:
        """A count over all intervals."""
        return sum(getattr(second, name) for second in self.seconds)

    def per_s(self, name: str) -> float:
        """A rate."""
        return self.sum(name) / self.duration_s if self.duration_s > 0 else 0.0

    def worst(self, name: str) -> float | None:
        """The largest value that is known."""
        return max((value for second in self.seconds if (value := getattr(second, name)) is not None), default=None)


def _columns(series: Sequence[SecondDocument]) -> list[_Column]:
    """At most `_MOST_COLUMNS`, however long the run was."""
    size = max(1, math.ceil(len(series) / _MOST_COLUMNS))
    groups = [series[at : at + size] for at in range(0, len(series), size)]
    return [_Column(group[0].at_s, sum(second.duration_s for second in group), group) for group in groups]


def over_time(document: Document) -> Raw:
    """The four charts that share their time axis; nothing if nothing was measured."""
    columns = _columns(document.series)
    if not columns:
        return tag("div", "No interval was measured, so there is nothing to draw over time.", class_="card empty")
    frame = _Frame.of(columns)
    return joined(
        [
            _rates(document, frame),
            _latencies(frame),
            tag("div", _errors(frame), _in_flight(frame), class_="pair"),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the charts over time have in common."""

    columns: Sequence[_Column]
    edges: Sequence[float]
    x_ticks: Sequence[tuple[float, str]]
    note: str

    @classmethod
    def of(cls, columns: Sequence[_Column]) -> _Frame:
        """For a run with at least one column."""
        begin = columns[0].at_s
        total_s = max(columns[-1].at_s + columns[-1].duration_s - begin, 1e-9)
        edges = [(column.at_s - begin) / total_s for column in columns] + [1.0]
        width_s = columns[0].duration_s
        note = f"one point is {time_text(width_s * 1e9)}" if width_s >= 1.5 else ""  # noqa: PLR2004 - more than one
        return cls(columns, edges, time_ticks(total_s), note)

    def titles(self, figures: Callable[[_Column], Sequence[tuple[str, str]]]) -> list[str]:
        """For each column its time and, below, its figures."""
        return [
            "\n".join([clock_text(column.at_s), *(f"{name}\t{value}" for name, value in figures(column))])
            for column in self.columns
        ]


def _rates(document: Document, frame: _Frame) -> Raw:
    steps = max(1, len(document.steps))
    sent = [column.per_s("requests") for column in frame.columns]
    asked = [column.per_s("arrivals") * steps for column in frame.columns]
    wrong = [column.per_s("failed") for column in frame.columns]
    shows_asked = document.generator.lag.count > 0
    lines: list[Line | Area] = [Area("answered or failed", "k-accent", sent)]
    if shows_asked:
        lines.append(Line("asked for", "k-asked", asked))
    if any(wrong):
        lines.append(Line("no answer", "k-bad", wrong))
    scale = linear(_HEADROOM * max([*sent, *(asked if shows_asked else [])]), _plain_rate)
    return chart(
        "Requests per second",
        edges=frame.edges,
        parts=lines,
        scale=scale,
        x_ticks=frame.x_ticks,
        titles=frame.titles(
            lambda column: [
                ("done", rate_text(column.per_s("requests"))),
                *([("asked", rate_text(column.per_s("arrivals") * steps))] if shows_asked else []),
                ("no answer", rate_text(column.per_s("failed"))),
            ]
        ),
        summary=f"On average {rate_text(document.requests.rate_per_s)}, at most {rate_text(max(sent))}",
        x_label="time since the start",
        y_label="requests/s",
        note=frame.note,
    )


_LATENCIES = (
    ("p99", "k-r3", "response_p99_ms"),
    ("p95", "k-r2", "response_p95_ms"),
    ("p50", "k-grey", "response_p50_ms"),
)


def _latencies(frame: _Frame) -> Raw:
    values = {name: [column.worst(name) for column in frame.columns] for _, _, name in _LATENCIES}
    service = [column.worst("service_p99_ms") for column in frame.columns]
    known = [value for line in [*values.values(), service] for value in line if value is not None]
    if not known:
        return tag("div", "Nothing was answered, so there are no response times.", class_="card empty")
    lines = [Line(f"{text} response", look, values[name]) for text, look, name in _LATENCIES]
    scale, is_logarithmic = _time_scale(known)
    return chart(
        "Response time",
        edges=frame.edges,
        parts=[*lines, Line("p99 service", "k-service", service)],
        scale=scale,
        x_ticks=frame.x_ticks,
        titles=frame.titles(
            lambda column: [
                *((text, _ms(column.worst(name))) for text, _, name in _LATENCIES),
                ("service p99", _ms(column.worst("service_p99_ms"))),
            ]
        ),
        summary=f"The worst p99 was {_ms(max(known))}",
        x_label="time since the start",
        y_label="time, logarithmic" if is_logarithmic else "time",
        note=f"{frame.note}, the worst of it" if frame.note else "",
    )


def _time_scale(known: Sequence[float]) -> tuple[Scale, bool]:
    """Logarithmic when the worst is so far from the usual that a linear axis would flatten it."""
    usual, worst = sorted(known)[len(known) // 2], max(known)
    if usual > 0 and worst / usual > _WIDE_SPREAD:
        return logarithmic(max(min(known), 0.001), worst, _ms), True
    return linear(worst, _ms), False


def _errors(frame: _Frame) -> Raw:
    parts = [
        Columns("no answer", "k-bad", [column.per_s("failed") for column in frame.columns]),
        Columns("5xx", "k-r2", [column.per_s("errors_5xx") for column in frame.columns]),
        Columns("assertion failed", "k-r1", [column.per_s("assertion_failed") for column in frame.columns]),
    ]
    heights = [sum(part.values[at] for part in parts) for at in range(len(frame.columns))]
    if not any(heights):
        return tag(
            "div",
            tag("h3", "Errors per second"),
            tag("p", "None: every request was answered, none with 5xx, no assertion failed.", class_="empty"),
            class_="card",
        )
    return chart(
        "Errors per second",
        edges=frame.edges,
        parts=[part for part in parts if any(part.values)],
        scale=linear(max(heights), _plain_rate),
        x_ticks=_every_other(frame.x_ticks),
        titles=frame.titles(
            lambda column: [
                ("no answer", count_text(column.sum("failed"))),
                ("5xx", count_text(column.sum("errors_5xx"))),
                ("assertion", count_text(column.sum("assertion_failed"))),
            ]
        ),
        summary=f"At most {rate_text(max(heights))}",
        x_label="time since the start",
        y_label="errors/s",
    )


def _in_flight(frame: _Frame) -> Raw:
    flying = [float(column.worst("in_flight") or 0) for column in frame.columns]
    waiting = [float(column.worst("backlog") or 0) for column in frame.columns]
    top = _HEADROOM * max([*flying, *waiting])
    parts: list[Area | Line] = [Area("in flight", "k-accent", flying)]
    if any(waiting):
        parts.append(Line("not started in time", "k-warn", waiting))
    return chart(
        "Iterations in flight",
        edges=frame.edges,
        parts=parts,
        scale=linear(top, count_text if top >= _FEW else "{:g}".format),
        x_ticks=_every_other(frame.x_ticks),
        titles=frame.titles(
            lambda column: [
                ("in flight", count_text(column.worst("in_flight") or 0)),
                ("waiting", count_text(column.worst("backlog") or 0)),
            ]
        ),
        summary=f"At most {count_text(max(flying))}, at most {count_text(max(waiting))} waiting",
        x_label="time since the start",
        y_label="iterations",
    )


def _every_other(ticks: Sequence[tuple[float, str]]) -> Sequence[tuple[float, str]]:
    return ticks[::2] if len(ticks) > 5 else ticks  # noqa: PLR2004 - more do not fit into half the width


# ---- the distribution ----

_PER_OCTAVE = 8


def distribution(requests: RequestsDocument) -> Raw:
    """How response and service times are spread, on a logarithmic axis."""
    if not requests.answered:
        return Raw("")
    response, service = _bins(requests.response_histogram), _bins(requests.service_histogram)
    first, last = min([*response, *service]), max([*response, *service])
    bins = range(first, last + 1)
    low, high = _bin_ms(first), _bin_ms(last + 1)
    shares = [100 * response.get(at, 0) / requests.answered for at in bins]
    service_shares = [100 * service.get(at, 0) / requests.answered for at in bins]
    axis = exact(low, high, _ms)
    edges = [axis.at(_bin_ms(at)) for at in range(first, last + 2)]
    whole = requests.answered
    titles = [
        f"{_ms(_bin_ms(at))} to {_ms(_bin_ms(at + 1))}\n"
        f"response\t{count_text(response.get(at, 0))} ({share_text(response.get(at, 0), whole)})\n"
        f"service\t{count_text(service.get(at, 0))}"
        for at in bins
    ]
    return chart(
        "How response times are spread",
        edges=edges,
        parts=[Columns("response", "k-accent", shares), Line("service", "k-asked", service_shares)],
        scale=linear(max([*shares, *service_shares]), lambda value: f"{value:g} %"),
        x_ticks=axis.ticks,
        titles=titles,
        summary=f"Half came within {_ms(requests.response.p50_ms)}, 99 % within {_ms(requests.response.p99_ms)}",
        x_label="time, logarithmic",
        y_label="share of answers",
        marks=_marks(requests.response, axis),
        group="distribution",
    )


def _marks(latency: LatencyDocument, axis: Scale) -> list[Mark]:
    """Median and p99; only the p99 if they would lie on each other."""
    marks = [Mark(axis.at(value), name) for name, value in (("p50", latency.p50_ms), ("p99", latency.p99_ms)) if value]
    return marks[-1:] if len(marks) == 2 and marks[1].at - marks[0].at < 0.08 else marks  # noqa: PLR2004 - both


def _bins(histogram: Sequence[tuple[float, float, int]]) -> dict[int, int]:
    """Counts by eighths of an octave of milliseconds; each of the project's buckets lies within one."""
    bins: dict[int, int] = {}
    for lower, upper, count in histogram:
        middle = (lower + upper) / 2
        at = math.floor(math.log2(max(middle, 0.0005)) * _PER_OCTAVE)
        bins[at] = bins.get(at, 0) + count
    return bins


def _bin_ms(at: int) -> float:
    return float(2 ** (at / _PER_OCTAVE))


def _ms(value: float | None) -> str:
    return time_text(None if value is None else value * 1e6)


def _plain_rate(value: float) -> str:
    return rate_text(value) if value else "0"
