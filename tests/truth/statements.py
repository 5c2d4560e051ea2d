"""A PostgreSQL client that keeps its own books: `python -m tests.truth.statements BOOK STATEMENTS SEED PORT`.

libpq by way of psycopg, simple, extended and prepared in turn, with known delays and known errors. Its clock is read
around the call into libpq.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import psycopg
from psycopg.pq import DiagnosticField

__all__: list[str] = []

_ERRORS, _SLOW = 0.03, 0.9


def _run(statements: int, seed: int, port: int) -> list[tuple[str, int]]:
    random_ = random.Random(seed)  # noqa: S311 - not a secret
    book = []
    with psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True) as connection:
        libpq = connection.pgconn
        began = time.monotonic_ns()
        libpq.prepare(b"known", b"SELECT pg_sleep($1), 1")
        book.append(("ok", time.monotonic_ns() - began))
        for number in range(statements - 1):
            kind = random_.random()
            delay = b"0.03" if kind > _SLOW else b"0.008"
            began = time.monotonic_ns()
            if kind < _ERRORS:
                result = libpq.exec_(b"SELECT pg_sleep(0.008), 1 / 0 * %d" % number)
            elif number % 3 == 0:
                result = libpq.exec_(b"SELECT pg_sleep(%s), %d" % (delay, number))
            elif number % 3 == 1:
                result = libpq.exec_params(b"SELECT pg_sleep($1), $2::int", [delay, b"%d" % number])
            else:
                result = libpq.exec_prepared(b"known", [delay])
            latency_ns = time.monotonic_ns() - began
            state = result.error_field(DiagnosticField.SQLSTATE)
            book.append((state.decode() if state else "ok", latency_ns))
    return book


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_run(*map(int, sys.argv[2:]))))
