"""Recorded bytes of real clients and servers: what the parsers make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.model.request import Protocol
from osmia.protocols.parser import UNKNOWN
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS
from tests.captures.recording import load
from tests.captures.understood import captures, exchanges, understand

ALL = [(protocol, path) for protocol in Protocol for path in captures(protocol)]
EACH_CAPTURE = pytest.mark.parametrize(("protocol", "path"), ALL, ids=[path.stem for _, path in ALL])


@EACH_CAPTURE
def test_capture_is_understood_as_reviewed(protocol: Protocol, path: Path) -> None:
    """Each exchange gives the line that a person has read; `python -m tests.captures.understood` writes it anew."""
    expected = path.with_suffix(".txt").read_text().splitlines()

    assert understand(load(path), protocol) == expected


@EACH_CAPTURE
def test_no_recorded_value_reaches_a_template(protocol: Protocol, path: Path) -> None:
    """Every value in the scenarios holds the word "canary", and no template does, but as the name of a thing."""
    names = {"/files/canary", '"canary_cursor"', "DESCRIBE canary_cursor"}

    for line in understand(load(path), protocol):
        for name in names:
            line = line.replace(name, "")  # noqa: PLW2901 - what is left must be clean
        assert "canary" not in line


@EACH_CAPTURE
def test_every_beginning_of_a_recorded_request_is_read_without_an_error(protocol: Protocol, path: Path) -> None:
    """Wherever the capture cuts a request, the method is the whole one's or unknown, and no value shows."""
    for turns in load(path).connections:
        for exchange in exchanges(turns, protocol):
            whole = PROTOCOLS[protocol].request(exchange.request)
            for end in range(0, len(exchange.request), 3):
                cut = PROTOCOLS[protocol].request(exchange.request[:end])

                assert "canary" not in cut.template.replace("/files/canary", "").replace("canary_cursor", "")
                assert "canary" not in cut.method
                if protocol is Protocol.HTTP:
                    assert cut.method in (whole.method, UNKNOWN)


@pytest.mark.parametrize("path", captures(Protocol.POSTGRES), ids=lambda path: path.stem)
def test_answer_that_was_captured_from_its_middle_is_never_taken_for_another(path: Path) -> None:
    """A buffer that begins in the middle of a message gives the status of the whole answer, or a weaker one."""
    parser = PROTOCOLS[Protocol.POSTGRES]
    for turns in load(path).connections:
        for exchange in exchanges(turns, Protocol.POSTGRES):
            answer = exchange.head + exchange.tail
            whole = parser.response(exchange.head, exchange.tail).status
            for start in range(1, len(answer)):
                status = parser.response(answer[start:][:192], answer[start:][192:]).status

                allowed = {whole, "ok", "error", UNKNOWN} if whole not in ("ok", UNKNOWN) else {whole, "ok", UNKNOWN}
                assert status in allowed


def test_prepared_statements_of_every_driver_keep_their_text() -> None:
    """In the recorded connections each execution by name finds the SQL that its connection prepared before."""
    by_name: dict[str, int] = {}
    for path in captures(Protocol.POSTGRES):
        for turns in load(path).connections:
            connection = PostgresConnection()
            requests = [connection.feed_request(one.request) for one in exchanges(turns, Protocol.POSTGRES)]
            by_name[path.stem] = by_name.get(path.stem, 0) + sum(one.method == "EXECUTE" for one in requests)

    # psql's own EXECUTE statement, and asyncpg's three fetches from a portal whose Bind followed an early Flush.
    assert {name: count for name, count in by_name.items() if count} == {"asyncpg": 3, "psql": 1}
