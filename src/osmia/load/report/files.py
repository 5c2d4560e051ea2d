"""`--out FILE`: the format follows the file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from osmia.load.report.document import document_json
from osmia.load.report.html import html_page
from osmia.load.report.junit import junit_xml
from osmia.load.report.table import summary_csv
from osmia.load.results import Results
from osmia.model.errors import ConfigError

__all__ = ["FORMATS", "check", "is_samples", "write"]

FORMATS = {
    ".json": "the whole run as JSON",
    ".html": "a report to look at, in one file",
    ".xml": "JUnit, for continuous integration",
    ".csv": "one row per step",
    ".ndjson": "every request as a line of JSON, while the run goes on",
    ".samples.csv": "every request as a row, while the run goes on",
}
"""Suffix -> what is written, as for the help."""

_WRITERS: dict[str, Callable[[Results], bytes]] = {
    ".json": document_json,
    ".html": lambda results: html_page(results).encode(),
    ".xml": junit_xml,
    ".csv": lambda results: summary_csv(results).encode("utf-8", "replace"),
}
_SAME = {".htm": ".html", ".jsonl": ".ndjson", ".junit": ".xml"}


def check(path: Path) -> str:
    """The format of a file by its name, a key of `FORMATS`.

    Raises:
        ConfigError: no known suffix, or the folder is not there.
    """
    name = path.name.lower()
    found = ".samples.csv" if name.endswith(".samples.csv") else _SAME.get(path.suffix.lower(), path.suffix.lower())
    if found not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError("--out", str(path), "the name does not tell a format", remedy=f"let it end in one of {known}")
    if not path.parent.is_dir():
        raise ConfigError("--out", str(path), f"there is no folder {path.parent}", remedy="make it first")
    return found


def is_samples(path: Path) -> bool:
    """Whether the file is written while the run goes on, by `samples.SampleWriter`."""
    return check(path) in {".ndjson", ".samples.csv"}


def write(path: Path, results: Results) -> None:
    """Write a report; files of samples are written by `samples.SampleWriter` and not here.

    Raises:
        ConfigError: no known suffix, a file of samples, or the file cannot be written.
    """
    form = check(path)
    if form not in _WRITERS:
        raise ConfigError("--out", str(path), "samples are written while the run goes on, not at its end")
    try:
        path.write_bytes(_WRITERS[form](results))
    except OSError as exc:
        raise ConfigError(
            "--out", str(path), f"cannot be written: {exc.strerror}", remedy="choose another file"
        ) from exc
