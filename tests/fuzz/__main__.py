"""Coverage-guided fuzzing of every parser: `python -m tests.fuzz [NAME]... [--seconds 600]`.

Starts from the recorded captures and from what an earlier run found worth keeping (`build/fuzz/NAME/corpus`), and
writes a log and, for all targets of a run, `build/fuzz/results.json`. Ends with 1 if any target broke a promise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parent.parent.parent
BUILD = ROOT / "build/fuzz"
MAX_RSS_MIB = 1024
MAX_INPUT_S = 10
STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\d+[KM]?b).*?rss: (\d+)Mb")
Row = dict[str, str | int | bool]


def main() -> int:
    """Fuzz the named targets, or all, one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(TARGETS)}; all if none is given")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in TARGETS]
    if unknown:
        parser.error(f"no target is called {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    names = chosen.names or list(TARGETS)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        found = pool.map(lambda name: _fuzz(name, TARGETS[name], chosen.seconds), names)
        rows = dict(zip(names, found, strict=True))
    _write(rows)
    Console(width=120).print(_table(rows))
    return int(not all(row["holds"] for row in rows.values()))


def _fuzz(name: str, target: Target, seconds: int) -> Row:
    folder = BUILD / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [seed[: target.max_bytes] for seed in target.seeds()]
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-timeout={MAX_INPUT_S}", f"-rss_limit_mb={MAX_RSS_MIB}"]
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(corpus), *limits, f"-artifact_prefix={folder}/"]
    sys.stderr.write(f"{name}: {len(seeds)} seeds, {seconds} s ...\n")
    log = folder / "log"
    with log.open("w") as output:
        ended = subprocess.run(
            command, input="\n".join(target.modules), text=True, stdout=output, stderr=output, cwd=ROOT, check=False
        )
    return _read(log.read_text(errors="replace"), seconds, ended.returncode)


def _read(log: str, seconds: int, code: int) -> Row:
    """The last status line of libFuzzer: executions, coverage (of edges, of features), corpus, peak memory."""
    found = STATUS.findall(log)
    runs, edges, features, inputs, size, _ = found[-1] if found else ("0", "0", "0", "0", "0b", "0")
    problem = next((line for line in log.splitlines() if "ERROR" in line or line.startswith(" === Uncaught")), "")
    return {
        "executions": int(runs),
        "seconds": seconds,
        "coverage_edges": int(edges),
        "coverage_features": int(features),
        "corpus_inputs": int(inputs),
        "corpus_size": size,
        "peak_rss_mib": max([int(one[-1]) for one in found], default=0),
        "holds": code == 0,
        "problem": problem if code else "",
    }


def _write(rows: dict[str, Row]) -> None:
    results = BUILD / "results.json"
    known = json.loads(results.read_text()) if results.exists() else {}
    results.write_text(json.dumps(known | rows, indent=2, sort_keys=True) + "\n")


def _table(rows: dict[str, Row]) -> Table:
    table = Table("target", "executions", "edges", "features", "corpus", "peak MiB", "holds")
    for name, row in rows.items():
        corpus = f"{row['corpus_inputs']} ({row['corpus_size']})"
        holds = "yes" if row["holds"] else f"no: {row['problem']}"
        figures = [str(row[key]) for key in ("executions", "coverage_edges", "coverage_features")]
        table.add_row(name, *figures, corpus, str(row["peak_rss_mib"]), holds)
    return table


if __name__ == "__main__":
    sys.exit(main())
