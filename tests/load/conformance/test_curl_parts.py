"""What the libcurl transport is made of, without libcurl: schedules, heads, requests, the arithmetic of rows."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from osmia.load.client.curl.handles import parse
from osmia.load.client.curl.heads import final_head
from osmia.load.client.curl.records import CAPACITY, PACK, ROW_BYTES, Mark, Records
from osmia.load.client.curl.sources import ArrivalSource, UserSource
from osmia.load.client.transport import Arrivals, Users
from osmia.load.tally import Failure, Phase, SampleFlag, block_bytes, views

_MS_NS = 1_000_000


def _source(*blocks: list[int], zero_ns: int = 1000, first: int = 0, stride: int = 1) -> ArrivalSource:
    arrays = (np.array(block, dtype=np.int64) for block in blocks)
    return ArrivalSource(Arrivals(blocks=arrays, first=first, stride=stride), zero_ns)


def test_arrivals_come_in_order_over_all_blocks() -> None:
    """Empty blocks are nothing; the end is a zero."""
    source = _source([0, 10], [], [20], first=5, stride=2)

    taken = [source.take() for _ in range(3)]

    assert taken == [(5, 1000), (7, 1010), (9, 1020)]
    assert source.next_ns == 0
    assert source.backlog(10**9) == 0


def test_a_backlog_reaches_into_blocks_to_come() -> None:
    """All that is due counts, and is still given out in order afterwards."""
    source = _source([0, 10, 20], [30, 40], [50, 60], [1000])
    source.take()

    assert source.backlog(1005) == 0
    assert source.backlog(1010) == 1
    assert source.backlog(1055) == 5
    assert [source.take()[1] for _ in range(7)] == [1010, 1020, 1030, 1040, 1050, 1060, 2000]


def test_users_change_at_their_moments() -> None:
    """And nobody begins after the end, or beyond the count."""
    users = UserSource(Users(changes=[(0, 2), (50, 5)], duration_ns=100, count=3, first=1, stride=4), zero_ns=1000)

    assert users.look(1000)
    assert (users.target, users.next_ns) == (2, 1050)
    assert users.look(1060)
    assert (users.target, users.next_ns) == (5, 1100)
    assert [users.take(), users.take(2)] == [1, 5]
    assert not users.look(1061)
    assert not users.look(1100)


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        ([b"HTTP/1.1 200 OK\r\n", b"A: 1\r\n", b"\r\n"], b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"),
        ([b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n"], b"HTTP/1.1 200 OK\r\n\r\n"),
        ([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"Trailer: 1\r\n", b"\r\n"], b"HTTP/1.1 200 OK\r\n\r\n"),
        ([b"HTTP/1.1 200 OK\r\n", b"HTTP/2: no\r\n", b"\r\n"], b"HTTP/1.1 200 OK\r\nHTTP/2: no\r\n\r\n"),
        ([b"HTTP/2 404 \r\n", b"a: 1\r\n", b"\r\n"], b"HTTP/2 404\r\na: 1\r\n\r\n"),
        ([], b""),
    ],
)
def test_the_final_head_is_cut_out(lines: list[bytes], head: bytes) -> None:
    """Without what came before it and after the body."""
    assert final_head(deque(lines)) == head


@pytest.mark.parametrize(
    "raw", [b"", b"GET /\r\n\r\n", b"GET / a HTTP/1.1\r\n\r\n", b"GET / FTP/1.1\r\n\r\n", b"\0" * 9]
)
def test_what_is_no_request_is_none(raw: bytes) -> None:
    """Three words, the last a version."""
    assert parse(raw) is None


class _Book:
    """A block of one step and the records for it."""

    def __init__(self) -> None:
        self.samples: list[np.ndarray[tuple[int], np.dtype[np.void]]] = []
        block = memoryview(bytearray(block_bytes(1)))
        self.records = Records(block, is_open=True, on_samples=lambda rows: self.samples.append(rows.copy()))
        run, steps = views(block)
        self.run, self.step = run[0], steps[0]
        self._rows = 0

    def row(  # noqa: PLR0913 - a row has many columns
        self,
        *,
        total: int = 100,
        first: int = 80,
        posted: int = 10,
        connects: int = 0,
        times: tuple[int, int, int] = (0, 0, 0),
        status: int = 200,
        flags: int = Mark.FIRST | Mark.LAST,
        failure: int = 0,
        before_us: int = 0,
        queued: int = 0,
    ) -> None:
        """Pack one; times in us, `times` are secured, connected, resolved. Begun 5 ms late."""
        PACK(
            self.records.buffer, self._rows * ROW_BYTES, 7, _MS_NS, 6 * _MS_NS, before_us * 1000, total * 1000,
            50, 40, total, first, posted, *times, queued, connects, status, 0, flags, failure,
        )  # fmt: skip
        self._rows += 1

    def count(self) -> None:
        """All rows up to now."""
        self.records.count(self._rows)
        self._rows = 0


def test_phases_are_differences_of_moments() -> None:
    """A new connection has all of them, and they add up to the total."""
    book = _Book()

    book.row(connects=1, times=(60, 30, 10), posted=65, flags=Mark.FIRST | Mark.LAST | Mark.NAMED)
    book.count()

    us = [int(ns) // 1000 for ns in book.step["phase_ns"]]
    assert us == [5000, 10, 20, 30, 5, 15, 20, 100]
    assert book.step["phase_count"].tolist() == [1] * 8


def test_a_kept_connection_has_no_phases_of_its_own() -> None:
    """Whatever libcurl still says of it."""
    book = _Book()

    book.row(times=(60, 30, 10))
    book.count()

    assert book.step["phase_count"].tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    assert book.step["phase_ns"][Phase.REQUEST_WRITE] == 10_000
    assert book.step["reused"] == 1


@pytest.mark.parametrize(("first", "posted"), [(80, 0), (80, 90), (120, 130), (0, 50)])
def test_moments_out_of_order_do_no_harm(first: int, posted: int) -> None:
    """An answer before the end of the request, one without body, rounding: nothing is negative."""
    book = _Book()

    book.row(first=first, posted=posted, connects=1, times=(90, 95, 10))
    book.count()

    phases = book.step["phase_ns"].astype(int)
    assert (phases >= 0).all()
    assert phases[Phase.DNS : Phase.TOTAL].sum() == phases[Phase.TOTAL] == 100_000


def test_waiting_for_a_stream_is_no_service_time() -> None:
    """Libcurl's queue counts as waiting."""
    book = _Book()

    book.row(queued=30)
    book.count()

    assert book.step["service_max_ns"] == 70_000
    assert book.step["response_max_ns"] == 5_100_000
    assert book.step["phase_ns"][Phase.WAIT] == 5_030_000


def test_hops_belong_to_the_answer_after_them() -> None:
    """One answer, one sample, the time and bytes of all."""
    book = _Book()

    book.row(flags=Mark.HOP, status=302)
    book.row(flags=Mark.HOP, status=301, before_us=100)
    book.row(before_us=200)
    book.count()

    assert book.step["answered"] == 1
    assert book.step["redirects"] == 2
    assert book.step["statuses"].nonzero()[0].tolist() == [200]
    assert book.step["service_max_ns"] == 300_000
    assert book.step["phase_ns"][Phase.TOTAL] == 300_000
    [[sample]] = book.samples
    assert (sample["received_bytes"], sample["status"]) == (150, 200)
    assert sample["ended_ns"] - sample["started_ns"] == 300_000


def test_failures_have_no_times() -> None:
    """Nor have the hops before them; bytes and the number of redirects stay."""
    book = _Book()

    book.row(flags=Mark.HOP | Mark.UNTIMED, status=302)
    book.row(flags=Mark.FIRST | Mark.LAST | Mark.ITERATION_FAILED, status=0, failure=Failure.READ_TIMEOUT)
    book.count()

    assert (book.step["answered"], book.step["failed"], book.step["redirects"]) == (0, 1, 1)
    assert book.step["errors"][Failure.READ_TIMEOUT] == 1
    assert int(book.step["phase_ns"].sum()) == int(book.step["service"].sum()) == 0
    assert (book.run["iterations_finished"], book.run["iterations_failed"]) == (1, 1)
    [[sample]] = book.samples
    assert sample["failure"] == Failure.READ_TIMEOUT
    assert not sample["flags"] & SampleFlag.REUSED


def test_a_full_buffer_is_counted_exactly() -> None:
    """Twice over, into the same counters."""
    book = _Book()

    for _ in range(2):
        for _ in range(CAPACITY):
            book.row()
        book.count()

    assert book.step["answered"] == book.run["iterations_succeeded"] == 2 * CAPACITY
    assert int(book.run["lag"].sum()) == 2 * CAPACITY
    assert book.step["received_bytes"] == 2 * CAPACITY * 50
