"""`python -m bench.load_peers`: `osmia load` beside the others, as their users call them, in one table.

Every round runs each tool once against the same nginx (first core; the tools have the second), 64 connections, whole
command lines with their start and their reports. Tools that cannot be had are rows without figures and say why. hey
and k6 are built by go, oha by cargo, Locust comes by pip, all below build/peers; nothing of them ships.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import target

__all__: list[str] = []

_PEERS = Path(__file__).parent.parent / "build/peers"
_USERS, _SECONDS = 64, 3
_BUILD_S = 1500

_K6 = """
import http from 'k6/http';
export const options = { vus: %d, duration: '%ds', discardResponseBodies: true };
export default function () { http.get('%s'); }
"""
_LOCUST = """
from locust import FastHttpUser, constant, task
class One(FastHttpUser):
    wait_time = constant(0)
    @task
    def ask(self):
        self.client.get("/")
"""


@dataclass(frozen=True, slots=True)
class _Tool:
    """How a tool is had, called and read: `rate` finds requests/s in what it said."""

    name: str
    program: Path | str
    build: tuple[str, ...]
    arguments: Callable[[str], Sequence[str]]
    rate: Callable[[str], float]


@dataclass(frozen=True, slots=True)
class _Run:
    """Requests per second, and CPU of the tool per request in us."""

    rate: float
    cpu_us: float


def _found(pattern: str) -> Callable[[str], float]:
    def find(said: str) -> float:
        found = re.search(pattern, said)
        if found is None:
            raise RuntimeError(f"no figure in: {said[-300:]}")
        return float(found[1])

    return find


def _k6(url: str) -> Sequence[str]:
    script = _PEERS / "one.js"
    script.write_text(_K6 % (_USERS, _SECONDS, url))
    return ["run", "--quiet", "--no-usage-report", str(script)]


def _locust(url: str) -> Sequence[str]:
    script = _PEERS / "one_locust.py"
    script.write_text(_LOCUST)
    counts = ["-u", str(_USERS), "-r", str(_USERS), "-t", f"{_SECONDS}s"]
    return ["-f", str(script), "--headless", "--only-summary", "--host", url.rstrip("/"), *counts]


def _osmia(*more: str) -> Callable[[str], Sequence[str]]:
    common = ["--vus", str(_USERS), "-d", str(_SECONDS), "--workers", "1", "--yes", "--quiet", "-o", "stdout-json"]
    return lambda url: ["-m", "osmia", "load", "-t", url, *common, *more]


_GO = ("env", f"GOBIN={_PEERS / 'bin'}", "go", "install")
_OURS = _found(r'"rate":\s*([\d.]+)')
TOOLS = (
    _Tool(
        "wrk",
        "wrk",
        (),
        lambda url: ["-t1", f"-c{_USERS}", f"-d{_SECONDS}", url],
        _found(r"Requests/sec:\s+([\d.]+)"),
    ),
    _Tool("osmia load", sys.executable, (), _osmia(), _OURS),
    _Tool("osmia load --transport curl", sys.executable, (), _osmia("--transport", "curl"), _OURS),
    _Tool(
        "oha",
        _PEERS / "bin/oha",
        ("cargo", "install", "oha", "--locked", "--root", str(_PEERS)),
        lambda url: ["--no-tui", "-c", str(_USERS), "-z", f"{_SECONDS}s", url],
        _found(r"Requests/sec:\s+([\d.]+)"),
    ),
    _Tool(
        "hey",
        _PEERS / "bin/hey",
        (*_GO, "github.com/rakyll/hey@latest"),
        lambda url: ["-c", str(_USERS), "-z", f"{_SECONDS}s", "-cpus", "1", url],
        _found(r"Requests/sec:\s+([\d.]+)"),
    ),
    _Tool("k6", _PEERS / "bin/k6", (*_GO, "go.k6.io/k6@latest"), _k6, _found(r"http_reqs\D+\d+\s+([\d.]+)/s")),
    _Tool(
        "Locust FastHttpUser",
        _PEERS / "venv/bin/locust",
        ("sh", "-c", f"{sys.executable} -m venv {_PEERS}/venv && {_PEERS}/venv/bin/pip install -q locust"),
        _locust,
        _found(r"Aggregated\s.*?\|\s+([\d.]+)\s+[\d.]+\s*\n"),
    ),
)


def _missing(tool: _Tool) -> str:
    """Build what is not there; why it cannot be had, or nothing."""
    if shutil.which(tool.program):
        return ""
    if not tool.build:
        return f"{tool.program} is not installed"
    sys.stderr.write(f"building {tool.name} ...\n")
    try:
        subprocess.run(tool.build, check=True, capture_output=True, text=True, timeout=_BUILD_S)
    except subprocess.CalledProcessError as exc:
        return f"not built: {exc.stderr.strip().splitlines()[-1:]}"
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"not built: {exc}"
    return ""


def _run(tool: _Tool, url: str) -> _Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["taskset", "-c", "1", str(tool.program), *tool.arguments(url)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = tool.rate(run.stdout + run.stderr)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Run(rate, spent_s * 1e6 / (rate * _SECONDS))


def main() -> None:
    """Build, run in rounds, print medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    _PEERS.mkdir(parents=True, exist_ok=True)
    missing = {tool.name: _missing(tool) for tool in TOOLS}
    runs: dict[str, list[_Run]] = {tool.name: [] for tool in TOOLS}
    with target() as nginx:
        for _ in range(rounds):
            for tool in TOOLS:
                if not missing[tool.name]:
                    runs[tool.name].append(_run(tool, f"http://127.0.0.1:{nginx.plain}/"))
    Console(width=110).print(_table(missing, runs))


def _table(missing: dict[str, str], runs: dict[str, list[_Run]]) -> Table:
    title = f"64 connections, {_SECONDS} s, medians, {time.strftime('%F')}, load {os.getloadavg()[0]:.1f}"
    table = Table("tool", "requests/s", "÷ wrk", "CPU us/request (with start and report)", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    base = statistics.median(run.rate for run in runs["wrk"]) if runs["wrk"] else float("nan")
    for name, found in runs.items():
        if not found:
            table.add_row(name, missing[name], "", "")
            continue
        rate = statistics.median(run.rate for run in found)
        table.add_row(name, f"{rate:,.0f}", f"{rate / base:.2f}", f"{statistics.median(r.cpu_us for r in found):.1f}")
    return table


if __name__ == "__main__":
    main()
