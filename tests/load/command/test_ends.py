"""How runs end: interrupted once or twice, in vain, by a criterion; each with its exit code and a report."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from tests.load.command.world import Book, osmia_load, report_of, start_load, until


def config(directory: Path, **content: Any) -> str:  # noqa: ANN401 - a document
    """A config file."""
    path = directory / "config.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_ctrl_c_finishes_what_is_in_flight_and_reports(book: Book, tmp_path: Path) -> None:
    """Nothing new is started; what was sent is answered and counted."""
    with start_load(
        tmp_path, "-t", f"{book.url}/delay/300", "--rate", "20", "-d", "60", "-o", "stdout-json"
    ) as running:
        until(lambda: len(book.lines()) >= 5)
        began = time.monotonic()
        running.interrupt()
        said = running.wait()

    report = report_of(said, code=130)
    assert time.monotonic() - began < 5
    assert report["success_count"] == len(book.lines())
    assert report["server_fail_count"] == 0
    assert report["run"]["is_interrupted"]


def test_a_second_ctrl_c_gives_up_at_once(book: Book, tmp_path: Path) -> None:
    """What hangs is cancelled, and not counted as the target's failure."""
    arguments = ("-t", f"{book.url}/delay/30000", "-T", "60", "--vus", "3", "-d", "60", "-o", "stdout-json")
    with start_load(tmp_path, *arguments) as running:
        until(lambda: sum(line.startswith("ESTAB") for line in established(book)) >= 3)
        running.interrupt()
        until(lambda: running.says("Ctrl-C again gives it up"))
        running.interrupt()
        began = time.monotonic()
        said = running.wait()

    report = report_of(said, code=130)
    assert time.monotonic() - began < 5
    assert report["success_count"] == 0
    assert report["steps"]["1"]["errors"] == {"cancelled": 3}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_whole_group_lose_no_counts(book: Book, tmp_path: Path, number: signal.Signals) -> None:
    """As `timeout`, init systems and closing terminals send them: the workers, too, end in order all the same."""
    arguments = ("-t", f"{book.url}/delay/300", "--rate", "20", "-d", "60", "--workers", "2", "-o", "stdout-json")
    with start_load(tmp_path, *arguments) as running:
        until(lambda: len(book.lines()) >= 5)
        os.killpg(running.process.pid, number)
        said = running.wait()

    report = report_of(said, code=130)
    assert report["success_count"] == len(book.lines())
    assert [worker["failure"] for worker in report["generator"]["workers"]] == ["", ""]


def established(book: Book) -> list[str]:
    """Connections of the target, as the kernel lists them."""
    port = f"{int(book.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return ["ESTAB" for row in rows if row[1].endswith(f":{port}") and row[3] == "01"]


def test_a_target_that_is_not_there_has_its_own_code() -> None:
    """Every request was refused: exit code 5, a whole report, and the reason."""
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = osmia_load("-t", f"http://127.0.0.1:{port}/", "-n", "20", "-d", "1", "-o", "stdout-json")

    report = report_of(said, code=5)
    assert (report["success_count"], report["server_fail_count"], report["fail_perc"]) == (0, 20, 100)
    assert report["steps"]["1"]["fail"]["server"]["reasons"] == {"connection refused": 20}
    assert "not reached" in said.stderr


def test_a_name_that_does_not_exist_is_unreachable_too() -> None:
    """DNS is part of getting there."""
    said = osmia_load("-t", "http://nowhere.invalid/", "-n", "3", "-d", "1", "-o", "stdout-json")

    assert report_of(said, code=5)["server_fail_count"] == 3


def test_errors_without_criteria_are_no_failure(book: Book) -> None:
    """As in the original: what matters is said by criteria."""
    said = osmia_load("-t", f"{book.url}/status/503/", "-n", "10", "-d", "1", "-o", "stdout-json")

    assert report_of(said)["steps"]["1"]["status_code_dist"] == {"503": 10}


def test_a_criterion_that_is_not_met_fails_the_run(book: Book, tmp_path: Path) -> None:
    """Exit code 3, and which, with what was received."""
    steps = [{"id": 1, "url": f"{book.url}/status/503/", "assertion": ["equals(status_code, 200)"]}]
    rules = [{"rule": "fail_count_perc < 0.05"}, {"rule": "p95(iteration_duration) < 5000"}]

    said = osmia_load(
        *("--config", config(tmp_path, iteration_count=20, duration=1, steps=steps, success_criterias=rules)),
        *("-o", "stdout-json"),
    )

    report = report_of(said, code=3)
    assert report["test_status"] == "failed"
    assert [one["rule"] for one in report["failed_criterias"]] == ["fail_count_perc < 0.05"]
    assert report["failed_criterias"][0]["received"] == {"fail_count_perc": 1}
    assert report["assertion_fail_count"] == 20


def test_an_aborting_criterion_ends_the_run_early(book: Book, tmp_path: Path) -> None:
    """Exit code 4; the rest of the minute is not waited for."""
    steps = [{"id": 1, "url": f"{book.url}/status/503/", "assertion": ["status_code == 200"]}]
    rules = [{"rule": "less_than(fail_count, 10)", "abort": True}]

    said = osmia_load(
        *("--config", config(tmp_path, iteration_count=3000, duration=60, steps=steps, success_criterias=rules)),
        *("-o", "stdout-json"),
    )

    report = report_of(said, code=4)
    assert report["run"]["is_aborted"]
    assert 10 <= report["assertion_fail_count"] < 500
    assert report["run"]["duration_s"] < 10


@pytest.mark.parametrize("rate", ["1", "0.5/s"])
def test_slow_rates_end_in_time(book: Book, rate: str) -> None:
    """A request a second is a load, too."""
    began = time.monotonic()
    said = osmia_load("-t", f"{book.url}/", "--rate", rate, "-d", "2", "-o", "stdout-json")

    assert report_of(said)["success_count"] == 2 * float(rate.removesuffix("/s"))
    assert time.monotonic() - began < 8
