"""The engine's figures against the server's own book: counts, statuses, times, arrivals, and a server that stops.

Counts are exact. A client's time holds the server's: the engine's percentile lies no lower than the server's (but for
the histogram's 1.6 %) and no more than 2 % and `_SLACK_S` above, which is what the loopback, two schedulers and seven
other processes on two cores take.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.load.command.world import Book, counts, osmia_load, report_of, start_load, until

_HISTOGRAM_ERROR = 1 / 64
_SLACK_S = {"p50": 0.001, "p95": 0.004}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


@pytest.mark.parametrize(("delay_ms", "rate"), [(1, 200), (10, 100), (100, 50)])
def test_percentiles_are_the_server_s_own(book: Book, delay_ms: int, rate: int) -> None:
    """Known delays of 1, 10 and 100 ms."""
    said = osmia_load(
        *("-t", f"{book.url}/delay/{delay_ms}", "--rate", str(rate), "-d", "3", "--workers", "1"),
        *("-o", "stdout-json"),
    )

    found = report_of(said)["steps"]["1"]["percentiles"]
    served_s = [(line["ended_ns"] - line["began_ns"]) / 1e9 for line in book.lines()]
    assert len(served_s) == rate * 3
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        own_s = percentile(served_s, share)
        assert own_s * (1 - _HISTOGRAM_ERROR) <= found[name] <= own_s * 1.02 + _SLACK_S[name]


def test_counts_per_status_are_the_access_log_s(book: Book, tmp_path: Path) -> None:
    """Whatever is drawn at random: each status as often as the server says."""
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "iteration_count": 500,
                "duration": 2,
                "env": {"CODES": [200, 204, 301, 404, 503]},
                "steps": [
                    {"id": 1, "url": f"{book.url}/status/{{{{rand(CODES)}}}}/", "others": {"disable-redirect": True}},
                    {"id": 7, "url": f"{book.url}/status/201/"},
                ],
            }
        )
    )

    report = report_of(osmia_load("--config", str(config), "-o", "stdout-json"))

    assert report["steps"]["7"]["status_code_dist"] == {"201": 500}
    seen = counts(book.lines(), "status")
    assert Counter(report["steps"]["1"]["status_code_dist"]) + Counter({"201": 500}) == Counter(seen)


@pytest.mark.parametrize(
    ("flags", "per_second"),
    [
        (("-n", "23", "-d", "3"), [8, 8, 7]),
        (("-n", "100", "-d", "4", "-l", "incremental"), None),
        (("-n", "100", "-d", "4", "-l", "waved"), None),
        (("--stages", "2s:20/s,2s:20/s"), [5, 15, 20, 20]),
    ],
)
def test_arrivals_are_where_the_shape_says(book: Book, flags: tuple[str, ...], per_second: list[int] | None) -> None:
    """Counts per second by the server's clock, and none of them in a burst."""
    from osmia.load.plan import CountKind, CountShape
    from osmia.load.shape import counts_per_second

    expected = per_second or list(counts_per_second(CountShape(CountKind(flags[-1]), 100, 4)))

    report = report_of(osmia_load("-t", f"{book.url}/", *flags, "-o", "stdout-json"))

    assert report["success_count"] == sum(expected) == len(book.lines())
    arrived_ns = sorted(line["began_ns"] for line in book.lines())
    first_ns = arrived_ns[0]
    bins = Counter((at - first_ns + 2_000_000) // 1_000_000_000 for at in arrived_ns)
    for second, count in enumerate(expected):
        assert abs(bins[second] - count) <= 1


def test_a_stopped_server_shows_in_response_time_and_not_in_service_time(book: Book, tmp_path: Path) -> None:
    """Coordinated omission: 400 arrivals a second for 3 s over 4 connections; the server stops for D = 0.2 s.

    The arrivals of the stop, 400 D = 80 of 1200, wait D down to 0 s. So response time has p99 = D - 12/400 s; service
    time has it in the four requests only that were under way, a third of a percent, and p99 stays what it was.
    """
    arguments = (
        "-t",
        f"{book.url}/status/200/",
        "--rate",
        "400",
        "-d",
        "3",
        "--max-connections",
        "4",
        "--workers",
        "1",
    )
    with start_load(tmp_path, *arguments, "-o", "stdout-json") as running:
        until(lambda: len(book.lines()) > 400)
        book.stop()
        began_s = time.monotonic()
        time.sleep(0.2)
        book.go_on()
        stopped_s = time.monotonic() - began_s
        said = running.wait()

    step = report_of(said)["steps"]["1"]
    assert step["success_count"] == 1200 == len(book.lines())
    assert step["response"]["p99"] == pytest.approx(stopped_s - 12 / 400, rel=0.05, abs=0.005)
    assert step["percentiles"]["p99"] < 0.05
    assert step["percentiles"]["max"] == pytest.approx(stopped_s, rel=0.1)


def test_the_closed_model_keeps_so_many_users_busy(book: Book) -> None:
    """--vus 5 on a server of 50 ms: five at a time, a hundred a second, by the server's own clock."""
    report = report_of(osmia_load("-t", f"{book.url}/delay/50", "--vus", "5", "-d", "2", "-o", "stdout-json"))

    lines = book.lines()
    assert report["success_count"] == len(lines)
    assert 150 <= len(lines) <= 205
    assert most_at_once(lines) == 5


def test_a_count_ends_the_closed_model(book: Book) -> None:
    """-n with --vus: so many iterations, as fast as they are answered."""
    report = report_of(osmia_load("-t", f"{book.url}/", "--vus", "4", "-n", "333", "-o", "stdout-json"))

    assert report["success_count"] == 333 == len(book.lines())


def test_both_transports_count_the_same(book: Book) -> None:
    """The same load by libcurl."""
    for transport in ("core", "curl"):
        said = osmia_load(
            "-t", f"{book.url}/status/204/", "-n", "50", "-d", "1", "--transport", transport, "-o", "stdout-json"
        )

        report = report_of(said)
        assert report["steps"]["1"]["status_code_dist"] == {"204": 50}
        assert report["generator"]["transport"] == transport
    assert len(book.lines()) == 100


def most_at_once(lines: list[dict[str, Any]]) -> int:
    """Requests that the server had at the same time."""
    moments = sorted([(line["began_ns"], 1) for line in lines] + [(line["ended_ns"], -1) for line in lines])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most
