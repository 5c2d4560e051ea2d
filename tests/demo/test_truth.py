"""Reading what really happened from the logs of those who did it."""

from __future__ import annotations

import json

import pytest

from osmia.demo.truth import percentile, read_load, read_served, read_statements

POSTGRES_LOG = """\
2026-11-23 19:11:26.000 UTC [44] LOG:  duration: 0.9 ms  statement: CREATE TABLE t (a int)
2026-11-23 19:11:28.367 UTC [48] LOG:  duration: 0.056 ms  statement: SELECT 1,
\t2
2026-11-23 19:11:28.400 UTC [48] LOG:  duration: 0.010 ms  parse <unnamed>: SELECT $1
2026-11-23 19:11:28.401 UTC [48] LOG:  duration: 0.010 ms  bind <unnamed>: SELECT $1
2026-11-23 19:11:28.402 UTC [48] LOG:  duration: 0.010 ms  execute <unnamed>: SELECT $1
2026-11-23 19:11:28.402 UTC [48] DETAIL:  parameters: $1 = '5'
"""


def request(path: str, status: int, start: float, latency_s: float) -> str:
    """One line of loadgen."""
    return json.dumps({"path": path, "status": status, "start": start, "latency_s": latency_s, "total": 1})


def test_a_load_is_counted_by_path_and_status() -> None:
    """Requests, errors and times come from the lines; the summary says it is complete."""
    lines = [request("/a", 200, 10.0, 0.1), request("/a", 503, 12.0, 0.2), request("/b", 404, 11.0, 0.3)]

    load = read_load("\n".join([*lines, json.dumps({"type": "summary", "total": 3})]))

    assert load.by_path_status == {("/a", 200): 1, ("/a", 503): 1, ("/b", 404): 1}
    assert (load.total, load.errors, load.first_s, load.last_s) == (3, 1, 10.0, 12.0)
    assert load.is_complete


def test_a_load_without_a_summary_is_not_complete() -> None:
    """A load that was cut off must not be taken for the truth."""
    assert not read_load(request("/a", 200, 10.0, 0.1)).is_complete


def test_served_requests_are_added_over_pods() -> None:
    """Access logs of all replicas count together; other lines do not."""
    line = json.dumps({"path": "/a", "duration_s": 0.5, "status": 200})

    served = read_served([f"starting\n{line}\n", line, '{"other": 1}'])

    assert (served.total, list(served.durations_s)) == (2, [0.5, 0.5])


def test_statements_are_counted_once_since_a_time() -> None:
    """Simple statements and executions count, parse and bind do not, nor what was before."""
    since_s = 1_795_461_088.0  # 19:11:28 UTC

    assert read_statements(POSTGRES_LOG, since_s=since_s) == 2
    assert read_statements(POSTGRES_LOG, since_s=0) == 3


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.95, 4.0), (0.25, 1.0)])
def test_percentiles_are_nearest_rank(share: float, expected: float) -> None:
    """The same definition as the histogram's."""
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected
