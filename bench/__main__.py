"""Runs benchmarks and writes bench/results.json: `python -m bench [module or module.name]...`.

The file maps each name to value, unit, goal and holds (null where it could not run here, with the reason as note).
Figures of benchmarks that were not asked for this time stay in it.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pkgutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bench
from bench.result import Bench, Result
from osmia.model.errors import OsmiaError

RESULTS = Path(__file__).parent / "results.json"
NOT_BENCHES = {"__main__", "load_client", "result"}


def main() -> int:
    """Run, print, write; 1 if a name is unknown or a benchmark broke."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="module, or module.name; all if none is given")
    wanted = parser.parse_args().names
    chosen = {name: one for name, one in _benches(wanted).items() if _is_wanted(name, wanted)}
    if not chosen:
        sys.stderr.write(f"no benchmark is called {' or '.join(wanted)}; there are: {', '.join(_benches([]))}\n")
        return 1
    rows = {name: _run(name, one) for name, one in chosen.items()}
    Console(width=140).print(_table(rows))
    _write(rows)
    return int(any(result is None for result, _, _ in rows.values()))


def _benches(wanted: list[str]) -> dict[str, Bench]:
    """Every benchmark of the modules that can hold a wanted one (others may need what this machine lacks)."""
    modules = [one.name for one in pkgutil.iter_modules(bench.__path__) if one.name not in NOT_BENCHES]
    if wanted:
        modules = [name for name in modules if any(one.split(".")[0] == name for one in wanted)]
    found: dict[str, Bench] = {}
    for module in sorted(modules):
        benches: dict[str, Bench] = getattr(importlib.import_module(f"bench.{module}"), "BENCHES", {})
        found |= {f"{module}.{name}": one for name, one in benches.items()}
    return found


def _is_wanted(name: str, wanted: list[str]) -> bool:
    return not wanted or any(name == one or name.startswith(f"{one}.") for one in wanted)


def _run(name: str, one: Bench) -> tuple[Result | None, str, float]:
    """The result, or why there is none, and the seconds it took."""
    sys.stderr.write(f"{name} ...\n")
    began = time.monotonic()
    try:
        result = one()
    except OsmiaError as exc:
        return Result(0, "", "", holds=False, note=f"not run here: {exc}"), "unavailable", time.monotonic() - began
    except Exception as exc:  # noqa: BLE001 - one broken benchmark must not hide the figures of the others
        return None, f"broke: {type(exc).__name__}: {exc}", time.monotonic() - began
    return result, "", time.monotonic() - began


def _table(rows: dict[str, tuple[Result | None, str, float]]) -> Table:
    table = Table("benchmark", "value", "unit", "goal", "holds", "note", "s")
    for column in (1, 3, 6):
        table.columns[column].justify = "right"
    for name, (result, problem, seconds) in rows.items():
        if result is None or problem:
            table.add_row(name, "", "", "", "[yellow]-[/]", result.note if result else problem, f"{seconds:.1f}")
            continue
        holds = "[green]yes[/]" if result.holds else "[red]no[/]"
        table.add_row(name, f"{result.value:.4g}", result.unit, result.goal, holds, result.note, f"{seconds:.1f}")
    return table


def _write(rows: dict[str, tuple[Result | None, str, float]]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, (result, problem, _) in rows.items():
        if result is None or problem:
            note = result.note if result else problem
            known[name] = {"value": None, "unit": "", "goal": "", "holds": None, "note": note}
        else:
            known[name] = dataclasses.asdict(result)
    RESULTS.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
