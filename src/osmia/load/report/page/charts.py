"""Charts as inline SVG: lines and columns over time, a histogram, bars.

The drawing is stretched to whatever room there is (strokes keep their width), labels are HTML beside it and keep
their size. Every column of a chart has a title with its figures: hover shows it with or without scripts, and the
script of the page shows the same text at once, in all charts for the same second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osmia.load.report.page.markup import Child, Raw, joined, tag
from osmia.load.report.page.scales import Scale

__all__ = ["Area", "Columns", "Line", "Mark", "chart", "share_bar"]

_WIDTH, _HEIGHT = 1000, 100
_LEAST_SHARE = 0.002


@dataclass(frozen=True, slots=True)
class Line:
    """A line through the middles of the columns; None is a gap. `look` is a class of the style sheet."""

    name: str
    look: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Area:
    """A filled line."""

    name: str
    look: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that stand on those before them."""

    name: str
    look: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a share of the width."""

    at: float
    label: str


def chart(  # noqa: PLR0913 - keywords
    title: str,
    *,
    edges: Sequence[float],
    parts: Sequence[Line | Area | Columns],
    scale: Scale,
    x_ticks: Sequence[tuple[float, str]],
    titles: Sequence[str],
    summary: str,
    x_label: str,
    y_label: str,
    note: str = "",
    marks: Sequence[Mark] = (),
    group: str = "time",
) -> Raw:
    """A figure. `edges` are the ends of the columns (shares of the width, one more than there are columns)."""
    grid = [tag("line", class_="grid", x1=0, x2=_WIDTH, y1=_y(at), y2=_y(at)) for at, _ in scale.ticks]
    drawn = [_drawn(part, edges, scale, parts) for part in parts]
    marked = [tag("line", class_="mark", x1=m.at * _WIDTH, x2=m.at * _WIDTH, y1=0, y2=_HEIGHT) for m in marks]
    picture = tag(
        "svg",
        grid,
        drawn,
        marked,
        _hits(edges, titles),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{title}. {summary}",
    )
    labels = [tag("span", label, class_="y", style=f"bottom:{100 * at:.2f}%") for at, label in scale.ticks]
    below = [_x_label(at, label) for at, label in x_ticks]
    above = [_mark_label(mark) for mark in marks]
    legend = [tag("span", tag("i", class_=f"sw {part.look}"), part.name) for part in parts if part.name]
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", title, tag("span", note, class_="faint") if note else ""),
            tag("p", legend, class_="legend"),
        ),
        tag(
            "div",
            picture,
            labels,
            below,
            above,
            class_="plot",
            data_group=group,
            tabindex=0,
            role="group",
            aria_label=title,
        ),
        tag("p", tag("span", x_label), tag("span", y_label), class_="axes"),
        class_="card chart",
    )


def _mark_label(mark: Mark) -> Raw:
    look = "m flip" if mark.at > 0.9 else "m"  # noqa: PLR2004 - no room to the right
    return tag("span", mark.label, class_=look, style=f"left:{100 * mark.at:.2f}%")


def _x_label(at: float, label: str) -> Raw:
    look = "x" + (" first" if at < 0.02 else " last" if at > 0.98 else "")  # noqa: PLR2004 - not over the ends
    return tag("span", label, class_=look, style=f"left:{100 * at:.2f}%")


def _drawn(
    part: Line | Area | Columns, edges: Sequence[float], scale: Scale, parts: Sequence[Line | Area | Columns]
) -> Raw:
    if isinstance(part, Columns):
        below: Sequence[Columns] = [one for one in parts if isinstance(one, Columns)]
        return _columns(part, below[: below.index(part)], edges, scale)
    path = _path(part.values, edges, scale)
    if isinstance(part, Line):
        return tag("path", class_=f"line {part.look}", d=path)
    filled = _filled(part.values, edges, scale)
    return joined([tag("path", class_=f"area {part.look}", d=filled), tag("path", class_=f"line {part.look}", d=path)])


def _middle(edges: Sequence[float], at: int) -> float:
    return (edges[at] + edges[at + 1]) / 2 * _WIDTH


def _y(share: float) -> float:
    return _HEIGHT * (1 - share)


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Indices of values without gaps between them."""
    runs: list[list[int]] = []
    for at, value in enumerate(values):
        if value is None:
            continue
        if runs and runs[-1][-1] == at - 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


def _path(values: Sequence[float | None], edges: Sequence[float], scale: Scale) -> str:
    """A line from the left end of its first column to the right end of its last."""
    pieces = []
    for run in _runs(values):
        points = [(_middle(edges, at), _y(scale.at(values[at] or 0))) for at in run]
        points.insert(0, (edges[run[0]] * _WIDTH, points[0][1]))
        points.append((edges[run[-1] + 1] * _WIDTH, points[-1][1]))
        pieces.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
    return "".join(pieces)


def _filled(values: Sequence[float | None], edges: Sequence[float], scale: Scale) -> str:
    pieces = []
    for run in _runs(values):
        first, last = edges[run[0]] * _WIDTH, edges[run[-1] + 1] * _WIDTH
        heights = [_y(scale.at(values[at] or 0)) for at in run]
        inner = "".join(f"L{_middle(edges, at):.1f} {y:.1f}" for at, y in zip(run, heights, strict=True))
        rise = f"M{first:.1f} {_HEIGHT}L{first:.1f} {heights[0]:.1f}"
        pieces.append(f"{rise}{inner}L{last:.1f} {heights[-1]:.1f}L{last:.1f} {_HEIGHT}Z")
    return "".join(pieces)


def _columns(part: Columns, below: Sequence[Columns], edges: Sequence[float], scale: Scale) -> Raw:
    boxes = []
    for at, value in enumerate(part.values):
        if not value:
            continue
        base = sum(one.values[at] for one in below)
        bottom, top = scale.at(base), scale.at(base + value)
        left, right = edges[at] * _WIDTH, edges[at + 1] * _WIDTH
        gap = min(1.5, (right - left) * 0.15)
        floor, ceiling = _y(bottom), min(_y(top), _y(bottom) - 0.6)
        boxes.append(f"M{left + gap:.1f} {floor:.1f}H{right - gap:.1f}V{ceiling:.1f}H{left + gap:.1f}Z")
    return tag("path", class_=f"box {part.look}", d="".join(boxes))


def _hits(edges: Sequence[float], titles: Sequence[str]) -> list[Raw]:
    """What the mouse meets: a column over the whole height with the figures as its title."""
    return [
        tag(
            "rect",
            tag("title", title),
            class_="hit",
            x=edges[at] * _WIDTH,
            y=0,
            width=(edges[at + 1] - edges[at]) * _WIDTH,
            height=_HEIGHT,
        )
        for at, title in enumerate(titles)
    ]


def share_bar(parts: Sequence[tuple[str, float, str]], *, label: str) -> Raw:
    """One stacked bar: (look, share, title) of each part; what is missing to 1 stays empty."""
    shown: list[Child] = [
        tag("i", class_=look, style=f"width:{100 * share:.3f}%", title=title)
        for look, share, title in parts
        if share >= _LEAST_SHARE
    ]
    return tag("div", shown, class_="stack", role="img", aria_label=label)
