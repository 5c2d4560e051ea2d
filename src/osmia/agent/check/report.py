"""The check's report as people read it and as programs do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from osmia.agent.check.machine import Standing
from osmia.agent.features import State, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from osmia.agent.check import Report
    from osmia.agent.features import Feature

__all__ = ["as_json", "print_report"]

_MARKS = {
    Standing.OK: ("✓", "green"),
    Standing.NOTE: ("·", "dim"),
    Standing.MISSING: ("✗", "red"),
    State.ON: ("✓", "green"),
    State.REDUCED: ("~", "yellow"),
    State.OFF: ("✗", "red"),
    State.UNUSED: ("·", "dim"),
}
_VERDICTS = {
    Verdict.COMPLETE: ("The agent runs here with all its features.", "green"),
    Verdict.REDUCED: ("The agent runs here in a reduced form, without what is marked above.", "yellow"),
    Verdict.UNABLE: ("The agent cannot run here.", "red"),
}


def as_json(report: Report) -> str:
    """One object: verdict, exit code, machine and features (docs/reference/agent.md)."""
    return json.dumps(
        {
            "verdict": report.verdict.name.lower(),
            "exit_code": int(report.verdict),
            "machine": [asdict(fact) for fact in report.facts],
            "features": [asdict(feature) for feature in report.features],
        },
        indent=2,
    )


def print_report(report: Report, console: Console) -> None:
    """The machine, then the features, then what it comes to and what to do."""
    console.print(_machine(report), "")
    console.print(_features(report), "")
    words, colour = _VERDICTS[report.verdict]
    console.print(Text(words, style=f"bold {colour}"))
    for feature in report.features:
        if feature.remedy:
            console.print(Text.assemble("  ", (f"{feature.name}: ", "bold"), feature.remedy))


def _machine(report: Report) -> Table:
    table = _table("machine", "what was found")
    for fact in report.facts:
        details = [fact.detail]
        if fact.lost:
            details.append(f"lost: {', '.join(fact.lost)}")
        if fact.remedy and fact.standing is Standing.MISSING:
            details.append(fact.remedy)
        table.add_row(Text(*_MARKS[fact.standing]), fact.name, _lines(details))
    return table


def _features(report: Report) -> Table:
    table = _table("feature", "state", "what it gives, and why not")
    for feature in report.features:
        table.add_row(Text(*_MARKS[feature.state]), feature.name, str(feature.state), _lines(_words(feature)))
    return table


def _words(feature: Feature) -> list[str]:
    return [feature.gives, feature.reason] if feature.reason else [feature.gives]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", *columns):
        table.add_column(column, overflow="fold", no_wrap=column in {"", "state", columns[0]})
    return table


def _lines(lines: list[str]) -> Text:
    """The first line plain, what follows dim."""
    text = Text(lines[0])
    for line in lines[1:]:
        text.append(f"\n{line}", style="dim")
    return text
