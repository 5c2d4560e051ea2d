"""Throws bytes at every parser until it is stopped: `.venv/bin/python -m tests.fuzz.protocols [seconds]`.

With atheris installed (`pip install atheris`) it is guided by coverage; without it, it mutates the recorded captures.
Run it by hand after changing a parser; the property tests in tests/protocols are its short form.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time

from osmia.model.request import Protocol
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS
from osmia.protocols.sql import normalise
from tests.captures.recording import load
from tests.captures.understood import captures, exchanges

LONGEST_TEMPLATE = 3 * 4096


def one_input(data: bytes) -> None:
    """Everything that takes bytes from the wire, once; raises if one of them does or if its output is too long."""
    middle = len(data) // 2
    for parser in PROTOCOLS.values():
        request = parser.request(data)
        parser.response(data[:middle], data[middle:])
        if len(request.template) > LONGEST_TEMPLATE:
            raise AssertionError(f"template of {len(request.template)} characters from {data!r}")
    connection = PostgresConnection(capacity=2)
    connection.feed_request(data[:middle])
    connection.feed_request(data[middle:])
    normalise.__wrapped__(data.decode("utf-8", "replace"), is_truncated=bool(middle % 2))


def main() -> None:
    """Fuzz, guided if possible."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    if importlib.util.find_spec("atheris"):
        import atheris

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=600"], one_input)
        atheris.Fuzz()
        return
    sys.stdout.write(f"{_mutate(seconds)} inputs, no finding (atheris is not installed: mutated captures)\n")


def _mutate(seconds: float) -> int:
    dice = random.Random()  # noqa: S311 - a fuzzer
    seeds = [
        part
        for protocol in Protocol
        for path in captures(protocol)
        for turns in load(path).connections
        for exchange in exchanges(turns, protocol)
        for part in (exchange.request, exchange.head + exchange.tail)
    ]
    deadline = time.monotonic() + seconds
    count = 0
    while time.monotonic() < deadline:
        data = bytearray(dice.choice(seeds)[dice.randrange(3) * 7 :])
        for _ in range(dice.randrange(1, 6)):
            _change(data, dice)
        one_input(bytes(data))
        count += 1
    return count


def _change(data: bytearray, dice: random.Random) -> None:
    place = dice.randrange(len(data) + 1)
    match dice.randrange(4):
        case 0:
            data[place:place] = dice.randbytes(dice.randrange(1, 9))
        case 1:
            del data[place : place + dice.randrange(1, 20)]
        case 2:
            data[place : place + 1] = dice.choice([b"'", b'"', b"$", b"\\", b"\0", b"/*", b"--", b"\xff", b"%", b"E"])
        case _:
            del data[place:]


if __name__ == "__main__":
    main()
