"""What goes where: reports to stdout, everything else to stderr; files by their suffix; help that teaches."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.load.command.world import OSMIA, Book, osmia_load, report_of

_ORIGINAL_KEYS = (
    "success_perc",
    "fail_perc",
    "test_status",
    "failed_criterias",
    "success_count",
    "server_fail_count",
    "assertion_fail_count",
    "avg_duration",
    "steps",
)
_ORIGINAL_STEP_KEYS = {"name", "status_code_dist", "fail", "durations", "success_count", "success_perc", "fail_perc"}


def test_json_is_one_line_with_the_original_s_keys(book: Book) -> None:
    """-o stdout-json: nothing else is on stdout, whatever is said on stderr."""
    said = osmia_load("-t", f"{book.url}/status/200/", "-n", "20", "-d", "1", "-o", "stdout-json")

    report = report_of(said)
    assert tuple(report)[: len(_ORIGINAL_KEYS)] == _ORIGINAL_KEYS
    assert set(report["steps"]["1"]) >= _ORIGINAL_STEP_KEYS
    assert (report["success_count"], report["steps"]["1"]["status_code_dist"]) == (20, {"200": 20})
    assert len(book.lines()) == 20
    assert book.url.removeprefix("http://") in said.stderr  # the banner names the target


def test_the_report_names_counts_and_percentiles(book: Book) -> None:
    """-o stdout: what people read; not a terminal, so no control sequences."""
    said = osmia_load("-t", f"{book.url}/status/404/", "-n", "10", "-d", "1", "-m", "POST", "-b", "x={{_randomInt}}")

    assert said.returncode == 0, said.stderr
    for word in ("404", "p50", "p99", "10"):
        assert word in said.stdout
    assert "\x1b" not in said.stdout + said.stderr
    assert {line["method"] for line in book.lines()} == {"POST"}


def test_quiet_says_nothing_but_the_report(book: Book) -> None:
    """--quiet: stderr stays empty when all is well."""
    said = osmia_load("-t", f"{book.url}/", "-n", "5", "-d", "1", "--quiet", "-o", "stdout-json")

    assert report_of(said)["success_count"] == 5
    assert said.stderr == ""


def test_a_full_disk_is_named(book: Book) -> None:
    """A report that cannot be written is one line that says so, after the files of --out."""
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(
            [*OSMIA, "-t", f"{book.url}/", "-n", "5", "-d", "1", "--quiet"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=18,
        )

    assert said.returncode == 1
    assert said.stderr == "osmia: the report cannot be written to stdout: No space left on device\n"


def test_closed_streams_are_no_accident(book: Book) -> None:
    """`>&- 2>&-`: who wants to see nothing sees nothing, and the load is put all the same."""
    arguments = (*OSMIA, "-t", f"{book.url}/", "-n", "5", "-d", "1")
    said = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *arguments], check=False, timeout=18)

    assert (said.returncode, len(book.lines())) == (0, 5)


def test_files_are_written_by_suffix(book: Book, tmp_path: Path) -> None:
    """json, csv, html, JUnit and every request as a line, in one run."""
    names = ("run.json", "run.csv", "run.html", "run.xml", "run.ndjson")
    outs = [word for name in names for word in ("--out", str(tmp_path / name))]

    said = osmia_load("-t", f"{book.url}/status/201/", "-n", "30", "-d", "1", *outs)

    assert said.returncode == 0, said.stderr
    assert json.loads((tmp_path / "run.json").read_text())["requests"]["answered"] == 30
    assert list(csv.reader(io.StringIO((tmp_path / "run.csv").read_text())))
    assert "<html" in (tmp_path / "run.html").read_text()[:200].lower()
    assert ET.fromstring((tmp_path / "run.xml").read_text()).tag == "testsuites"  # noqa: S314 - our own file
    samples = [json.loads(line) for line in (tmp_path / "run.ndjson").read_text().splitlines()]
    assert sum(sample.get("status") == 201 for sample in samples) == 30


def test_a_file_of_unknown_form_is_refused_before_the_load(book: Book, tmp_path: Path) -> None:
    """Nothing is sent when the report could not be written."""
    for path in (tmp_path / "run.pdf", tmp_path / "missing" / "run.json"):
        said = osmia_load("-t", f"{book.url}/", "--out", str(path))

        assert said.returncode == 2
        assert "--out" in said.stderr
    assert book.lines() == []


def test_debug_shows_one_exchange(book: Book) -> None:
    """--debug: one iteration, request and answer in full."""
    said = osmia_load("-t", f"{book.url}/echo/", "-h", "X-Bee: busy", "-b", "hum", "-m", "PUT", "--debug")

    assert said.returncode == 0, said.stderr
    for text in ("PUT /echo/ HTTP/1.1", "X-Bee: busy", "hum", "200", "Content-Type: application/json"):
        assert text in said.stdout
    assert len(book.lines()) == 1


def test_debug_as_json_has_the_original_s_keys(book: Book) -> None:
    """--debug -o stdout-json: steps with request and response."""
    said = osmia_load("-t", f"{book.url}/echo/", "-debug", "-o=stdout-json")

    assert said.returncode == 0, said.stderr
    step = json.loads(said.stdout)["steps"]["1"]
    assert step["request"]["url"] == f"{book.url}/echo/"
    assert step["response"]["status_code"] == 200
    assert len(book.lines()) == 1


def test_help_groups_flags_and_shows_examples() -> None:
    """--help and -help teach; -h is a header."""
    for spelling in ("--help", "-help"):
        said = osmia_load(spelling)

        assert said.returncode == 0
        for text in (
            "The load:",
            "--vus",
            "Exit codes:",
            "Examples:",
            "osmia load -t http://localhost:8200/currencies/",
        ):
            assert text in said.stdout


def test_help_is_there_at_once() -> None:
    """Neither numpy nor the engine is imported for a page of text."""
    script = (
        "import sys\nfrom osmia.cli import main\nsys.argv = ['osmia', 'load', '--help']\n"
        "try:\n    main()\nfinally:\n"
        "    print('LOADED', [name for name in ('numpy', 'lxml', 'pycurl', 'rich') if name in sys.modules])\n"
    )

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "LOADED []" in said.stdout


def test_version_names_what_sends() -> None:
    """-version: Osmia, the transports, Python, the system."""
    said = osmia_load("-version")

    assert said.returncode == 0
    assert {line.partition(":")[0] for line in said.stdout.splitlines()} >= {
        "Version",
        "core",
        "curl",
        "Python",
        "OS/Arch",
    }


def test_a_target_without_its_flag_is_told() -> None:
    """As everybody does it once."""
    said = osmia_load("http://localhost:8200/")

    assert said.returncode == 2
    assert "osmia load -t http://localhost:8200/" in said.stderr


def test_no_target_is_told() -> None:
    """The first thing that a newcomer types."""
    said = subprocess.run([*OSMIA], capture_output=True, text=True, check=False)

    assert said.returncode == 2
    assert "write -t http://host/path or --config FILE" in said.stderr
