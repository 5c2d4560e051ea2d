"""Texts as they should be: `python -m tests.load.report.snapshots` writes them anew; read the diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from osmia import __version__
from osmia.load.report.debug import debug_text
from osmia.load.report.live import panel
from osmia.load.report.progress import Progress
from osmia.load.report.text import banner_text, final_text
from osmia.load.tally import Failure
from tests.load.report import build

__all__ = ["SNAPSHOTS", "expected", "live_panel", "made"]

_FOLDER = Path(__file__).parent / "snapshots"


def live_panel(width: int) -> str:
    """The panel after two minutes of a ramp over the target's capacity."""
    plan = build.ramp(2).plan
    hurt = build.Target(capacity_per_s=110, failures={Failure.READ_TIMEOUT: 0.01}, assertion_share=0.01)
    readings = build.readings_of(plan, [build.Target(), hurt, build.Target()], [50 + second for second in range(120)])
    progress = Progress(plan)
    snapshots = [progress.update(reading) for reading in readings]
    console = Console(width=width, color_system=None, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(panel(plan, snapshots[-1], width=width))
    return captured.get()


SNAPSHOTS: dict[str, Callable[[], str]] = {
    "ramp-80.txt": lambda: final_text(build.ramp(), width=80),
    "ramp-60.txt": lambda: final_text(build.ramp(), width=60),
    "ramp-120.txt": lambda: final_text(build.ramp(), width=120),
    "healthy-80.txt": lambda: banner_text(build.healthy().plan, "core") + final_text(build.healthy(), width=80),
    "healthy-80-colored.txt": lambda: final_text(build.healthy(), width=80, is_colored=True),
    "failing-80.txt": lambda: final_text(build.failing(), width=80),
    "empty-80.txt": lambda: final_text(build.empty(), width=80),
    "hostile-80.txt": lambda: final_text(build.hostile(), width=80),
    "debug.txt": lambda: debug_text(build.debugged()),
    "live-60.txt": lambda: live_panel(60),
    "live-80.txt": lambda: live_panel(80),
    "live-120.txt": lambda: live_panel(120),
}
"""File -> what it should hold."""


def made(name: str) -> str:
    """A text as it is now, without the version."""
    return SNAPSHOTS[name]().replace(__version__, "VERSION")


def expected(name: str) -> str:
    """A text as it should be."""
    return (_FOLDER / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    _FOLDER.mkdir(exist_ok=True)
    for known in SNAPSHOTS:
        (_FOLDER / known).write_text(made(known), encoding="utf-8")
