"""The parser of HTTP/1.1 answers: whatever the pieces in which an answer comes, it is understood the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.load.client.core.http1 import Reader
from osmia.load.tally import Failure

_MORE, _WHOLE = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An answer, and what is to be understood of it."""

    raw: bytes
    body: bytes = b""
    status: int = 200
    is_kept: bool = True
    is_head: bool = False
    head: bytes | None = None
    """None: everything up to the first empty line."""


WHOLE = {
    "length": Case(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body=b"hello"),
    "any case": Case(raw=b"HTTP/1.1 200 OK\r\ncONTENT-lENGTH:5\r\nX:\r\n\r\nhello", body=b"hello"),
    "empty": Case(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "no reason": Case(raw=b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", body=b"no", status=404),
    "long reason": Case(raw=b"HTTP/1.1 503 Come: again\r\nContent-Length: 0\r\n\r\n", status=503),
    "bare line feeds": Case(raw=b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", body=b"hi"),
    "same length twice": Case(
        raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nhi", body=b"hi"
    ),
    "folded": Case(raw=b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length:\r\n 2\r\n\r\nhi", body=b"hi"),
    "chunks": Case(
        raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0006\r\n world\r\n0\r\n\r\n",
        body=b"hello world",
    ),
    "chunk extensions": Case(
        raw=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA;a=b;c="d;e"\r\n0123456789\r\n0 ; last\r\n\r\n',
        body=b"0123456789",
    ),
    "trailers": Case(
        raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding:Chunked\r\n\r\n1\r\nx\r\n0\r\nDigest: 1\r\nB: 2\r\n\r\n", body=b"x"
    ),
    "chunks with bare line feeds": Case(raw=b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", body=b"hi"),
    "chunks overrule a length": Case(
        raw=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        body=b"x",
    ),
    "no content": Case(raw=b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    "not modified": Case(raw=b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", status=304),
    "to HEAD": Case(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", is_head=True),
    "to HEAD, chunked": Case(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", is_head=True),
    "after 100 and 103": Case(
        raw=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
        body=b"x",
        status=201,
        head=b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n",
    ),
    "close": Case(raw=b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", is_kept=False),
    "close in a list": Case(
        raw=b"HTTP/1.1 200 OK\r\nConnection: foo , close\r\nContent-Length: 0\r\n\r\n", is_kept=False
    ),
    "1.0": Case(raw=b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", body=b"x", is_kept=False),
    "1.0 kept": Case(raw=b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", body=b"x"),
}

BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "empty line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "line without colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "no name": b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
    "different lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
    "endless length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "no chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "chunk size that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "endless chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    "chunk longer than it says": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
    "lone return in a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\rX\r\nhi\r\n0\r\n\r\n",
}


def _head_of(case: Case) -> bytes:
    if case.head is not None:
        return case.head
    end = b"\n\n" if b"\r\n\r\n" not in case.raw else b"\r\n\r\n"
    return case.raw[: case.raw.index(end) + len(end)]


def _check(case: Case, reader: Reader, used: int) -> None:
    assert reader.result == _WHOLE
    assert used == reader.received_bytes == len(case.raw)
    assert (reader.status, reader.body, reader.is_kept) == (case.status, case.body, case.is_kept)
    assert reader.head == _head_of(case)


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_an_answer_split_anywhere(case: Case) -> None:
    """Whole, in two pieces at every offset, and byte by byte."""
    for at in range(len(case.raw) + 1):
        reader = Reader(is_head=case.is_head)
        used = reader.feed(case.raw[:at]) + reader.feed(case.raw[at:])
        _check(case, reader, used)

    reader = Reader(is_head=case.is_head)
    _check(case, reader, sum(reader.feed(case.raw[at : at + 1]) for at in range(len(case.raw))))


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_nothing_is_whole_too_early(case: Case) -> None:
    """All but the last byte is not an answer, and then its end is the connection's failure."""
    reader = Reader(is_head=case.is_head)

    reader.feed(case.raw[:-1])
    assert reader.result == _MORE

    reader.end()
    assert reader.result == -Failure.CONNECTION_CLOSED


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_what_follows_is_not_of_this_answer(case: Case) -> None:
    """Surplus bytes are left."""
    reader = Reader(is_head=case.is_head)

    used = reader.feed(case.raw + b"HTTP/1.1 200 OK\r\n\r\n")

    assert reader.result == _WHOLE
    assert used == len(case.raw)


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_what_nobody_wants_is_not_kept(case: Case) -> None:
    """Without `keeps` only the counts remain."""
    reader = Reader(is_head=case.is_head, keeps=False)

    for at in range(len(case.raw)):
        reader.feed(case.raw[at : at + 1])

    assert reader.result == _WHOLE
    assert (reader.head, reader.body) == (b"", b"")
    assert reader.received_bytes == len(case.raw)


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_broken_answers_are_malformed(raw: bytes) -> None:
    """At once and byte by byte."""
    whole, slow = Reader(), Reader()

    whole.feed(raw)
    for at in range(len(raw)):
        if slow.result == _MORE:
            slow.feed(raw[at : at + 1])

    assert whole.result == slow.result == -Failure.RESPONSE_MALFORMED


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.0 200\n\n"],
    ids=["no framing", "another coding", "1.0"],
)
def test_a_body_may_end_with_the_connection(head: bytes) -> None:
    """Where nothing says how long it is."""
    reader = Reader()

    reader.feed(head + b"all the ")
    reader.feed(b"rest")
    assert reader.result == _MORE

    reader.end()
    assert (reader.result, reader.body, reader.is_kept) == (_WHOLE, b"all the rest", False)


@pytest.mark.parametrize("piece", [1, 100, 1 << 20], ids=["bytes", "pieces", "whole"])
def test_a_head_has_a_limit(piece: int) -> None:
    """Whether it comes slowly or at once, and also in front of other answers and behind a body."""
    lines = b"X: " + b"y" * 2000 + b"\r\n"
    cases = [
        b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + lines + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"e" * 2000 + b"\r\n",
    ]
    for raw in cases:
        reader = Reader(max_head_bytes=1000)
        for at in range(0, len(raw), piece):
            if reader.result == _MORE:
                reader.feed(raw[at : at + piece])
        assert reader.result == -Failure.RESPONSE_TOO_LARGE


def test_a_kept_body_has_a_limit() -> None:
    """Only bodies that are kept."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000

    kept, counted = Reader(max_body_bytes=1999), Reader(max_body_bytes=1999, keeps=False)
    kept.feed(raw)
    counted.feed(raw)

    assert kept.result == -Failure.RESPONSE_TOO_LARGE
    assert counted.result == _WHOLE


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=4000), max_size=12),
)
def test_any_chunks_in_any_pieces(pieces: list[bytes], cuts: list[int]) -> None:
    """Chunks of any bytes, cut anywhere."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    reader = Reader()

    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    used = sum(reader.feed(raw[start:end]) for start, end in itertools.pairwise(edges))

    assert (reader.result, reader.body, used) == (_WHOLE, b"".join(pieces), len(raw))


@given(st.binary(max_size=400))
def test_no_bytes_break_it(raw: bytes) -> None:
    """Anything gives more, whole or a failure, and never uses more than it got."""
    reader = Reader(max_head_bytes=200, max_body_bytes=200)

    used = reader.feed(b"HTTP/1.1 200 OK\r\n" + raw)

    assert reader.result in {_MORE, _WHOLE, -Failure.RESPONSE_MALFORMED, -Failure.RESPONSE_TOO_LARGE}
    assert used <= len(raw) + 17
