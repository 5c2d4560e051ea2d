"""Reports in files: which format, JUnit, the table; the writer of samples; debug output."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

from osmia.load import report
from osmia.load.report.debug import debug_json
from osmia.load.report.junit import junit_xml
from osmia.load.report.samples import COLUMNS, SampleStatistics, SampleWriter
from osmia.load.report.table import COLUMNS as TABLE_COLUMNS
from osmia.load.report.table import summary_csv
from osmia.load.results import Results
from osmia.load.tally import SAMPLE, Failure, Phase, SampleFlag
from osmia.model.errors import ConfigError
from tests.load.report import build

_ALL = [build.healthy, build.ramp, build.failing, build.empty, build.hostile]


# ---- which format ----


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.json", b"{"), ("b.HTML", b"<!doctype html>"), ("c.htm", b"<!doc"), ("d.xml", b"<?xml"), ("e.csv", b"step,")],
)
def test_the_name_tells_the_format(tmp_path: Path, name: str, begins: bytes) -> None:
    """By its suffix, whatever its case."""
    report.write(tmp_path / name, build.healthy())

    assert (tmp_path / name).read_bytes().startswith(begins)


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    """Before the run, and with what would do."""
    with pytest.raises(ConfigError, match=r"does not tell a format - let it end in one of \.json, \.html, \.xml"):
        report.check(tmp_path / "report.pdf")


def test_a_folder_that_is_not_there_is_told_before_the_run(tmp_path: Path) -> None:
    """Not after an hour of load."""
    with pytest.raises(ConfigError, match="there is no folder"):
        report.check(tmp_path / "nowhere/run.json")


def test_files_of_samples_are_known_by_name(tmp_path: Path) -> None:
    """They are written while the run goes on, so not at its end."""
    assert report.is_samples(tmp_path / "a.ndjson")
    assert report.is_samples(tmp_path / "a.samples.csv")
    assert not report.is_samples(tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="while the run goes on"):
        report.write(tmp_path / "a.ndjson", build.healthy())


def test_a_file_that_cannot_be_written_is_a_config_error(tmp_path: Path) -> None:
    """With its name and the reason of the system."""
    (tmp_path / "run.json").mkdir()

    with pytest.raises(ConfigError, match=r"cannot be written: Is a directory"):
        report.write(tmp_path / "run.json", build.healthy())


# ---- JUnit ----


@pytest.mark.parametrize("make", _ALL)
def test_junit_has_the_form_that_readers_expect(make: Callable[[], Results]) -> None:
    """Suites with sums that agree, cases with names and times, at most one outcome each."""
    root = ET.fromstring(junit_xml(make()))  # noqa: S314 - our own

    assert root.tag == "testsuites"
    for suite in root:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))
        assert [child.tag for child in suite] == sorted(
            (child.tag for child in suite), key=["testcase", "system-out", "system-err"].index
        )
        for case in cases:
            assert case.get("name")
            assert case.get("classname")
            assert float(case.get("time", "")) >= 0
            assert len(case) <= 1
    assert root.get("tests") == str(len(root.findall("testsuite/testcase")))
    assert root.get("failures") == str(len(root.findall("testsuite/testcase/failure")))


def test_junit_has_a_case_for_every_step_rule_and_criterion() -> None:
    """Those that hold are there, too."""
    root = ET.fromstring(junit_xml(build.ramp()))  # noqa: S314 - our own

    failed = {case.get("name"): case.find("failure") is not None for case in root.iter("testcase")}

    assert failed["GET http://testserver:8200/currencies/ is answered"] is False
    assert failed["equals(status_code, 200)"] is True
    assert failed["less_than(response_time, 500)"] is False
    assert failed["p95(iteration_duration) < 300"] is True
    assert failed["fail_count_perc < 0.01"] is False


def test_junit_says_that_a_run_was_interrupted() -> None:
    """As an error, for nothing is proven."""
    root = ET.fromstring(junit_xml(build.empty()))  # noqa: S314 - our own

    error = root.find("testsuite[@name='run']/testcase/error")

    assert error is not None
    assert error.get("type") == "interrupted"


# ---- the table ----


@pytest.mark.parametrize("make", _ALL)
def test_the_table_has_a_row_per_step_and_one_for_all(make: Callable[[], Results]) -> None:
    """Every row as long as the header."""
    results = make()

    rows = list(csv.reader(StringIO(summary_csv(results), newline="")))

    assert tuple(rows[0]) == TABLE_COLUMNS
    assert {len(row) for row in rows} == {len(TABLE_COLUMNS)}
    assert len(rows) == len(results.steps) + 2


def test_the_table_has_the_figures_of_the_run() -> None:
    """Counts, and errors and statuses in one cell each; unknown is empty."""
    rows = list(csv.DictReader(StringIO(summary_csv(build.failing()), newline="")))

    assert rows[-1]["step"] == "all"
    assert rows[-1]["failed"] == "10000"
    assert rows[0]["errors"] == "connection_refused:5000"
    assert rows[0]["service_p50_ms"] == ""


# ---- samples ----


def _samples(rows: int, *, first: int = 0) -> NDArray[np.void]:
    samples = np.zeros(rows, dtype=SAMPLE)
    samples["iteration"] = np.arange(first, first + rows)
    samples["intended_ns"] = 5_000_000_000 + samples["iteration"] * 1_000_000
    samples["started_ns"] = samples["intended_ns"] + 20_000
    samples["ended_ns"] = samples["intended_ns"] + 2_000_000
    samples["phase_ns"][:, Phase.TOTAL] = 1_980_000
    samples["status"] = 200
    samples["received_bytes"] = 2_140
    samples["flags"] = SampleFlag.REUSED
    samples["status"][1::7] = 0
    samples["failure"][1::7] = Failure.READ_TIMEOUT
    return samples


def test_every_sample_is_a_line_of_json(tmp_path: Path) -> None:
    """In order, with names for what is a number in the tally; the caller's memory may change at once."""
    path = tmp_path / "run.ndjson"
    batch = _samples(1_000)
    with SampleWriter(path, build.healthy().plan) as writer:
        writer.add(0, batch)
        batch["iteration"] = 0
        writer.add(1, _samples(500, first=1_000))

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1_500))
    assert set(lines[0]) == set(COLUMNS)
    assert (
        lines[0] | {"status": 200, "failure": None, "started_s": 0.00002, "total_ms": 1.98, "is_reused": True}
        == lines[0]
    )
    assert lines[0]["began_at"] == pytest.approx(time.time() - time.monotonic() + 5.00002, abs=0.01)
    assert (lines[1]["status"], lines[1]["failure"]) == (0, "read_timeout")
    assert writer.statistics() == SampleStatistics(1_500, 0)


def test_samples_as_csv_have_a_header(tmp_path: Path) -> None:
    """As many cells everywhere."""
    path = tmp_path / "run.samples.csv"
    with SampleWriter(path, build.healthy().plan) as writer:
        writer.add(0, _samples(100))

    rows = list(csv.reader(path.read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 101
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_what_the_queue_cannot_hold_is_dropped_and_counted(tmp_path: Path) -> None:
    """The run is not held up; written and dropped are all."""
    path = tmp_path / "run.ndjson"
    with SampleWriter(path, build.healthy().plan, most_rows=150) as writer:
        writer.add(0, _samples(100))
        writer.add(0, _samples(200))

    assert writer.statistics() == SampleStatistics(100, 200)
    assert len(path.read_text().splitlines()) == 100


def test_a_full_disk_is_counted_too() -> None:
    """/dev/full takes nothing."""
    with SampleWriter(Path("/dev/full"), build.healthy().plan) as writer:
        writer.add(0, _samples(20_000))

    assert writer.statistics().dropped == 20_000


def test_a_file_of_samples_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="cannot be written"), SampleWriter(tmp_path, build.healthy().plan):
        pytest.fail("it was opened")


# ---- debug ----


def test_debug_json_has_the_keys_of_the_original() -> None:
    """Capitals included; a response or an error."""
    found = json.loads(debug_json(build.debugged()))

    step = found["steps"]["2"]
    assert found["test_status"] == "success"
    assert set(step) == {
        "step_id",
        "step_name",
        "envs",
        "test_data",
        "failed_captures",
        "failed_assertions",
        "request",
        "response",
    }
    assert set(step["request"]) == {"url", "method", "headers", "body"}
    assert set(step["response"]) == {"status_code", "headers", "body", "response_time"}
    assert step["response"]["response_time"] == 31.2
    assert step["response"]["body"] == {"rate": 1.08, "day": "2026-11-24"}
    assert step["failed_assertions"] == [
        {"Rule": "equals(status_code, 200)", "Received": {"status_code": 503}, "Reason": "503 is not 200"}
    ]
    assert "response" not in found["steps"]["3"]
    assert found["steps"]["3"]["error"] == "connection refused: 127.0.0.1:8443"


def test_debug_json_keeps_redirects_apart() -> None:
    """The step's answer is the last one."""
    step = json.loads(debug_json(build.debugged()))["steps"]["1"]

    assert step["response"]["status_code"] == 200
    assert [one["response"]["status_code"] for one in step["redirects"]] == [302]
