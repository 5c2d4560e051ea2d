"""Applications with books of their own on one side, what the real agent exports on the other, and their comparison.

Four servers on five ports each and one PostgreSQL make 21 edges, every one seen from both ends by the agent.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.rig import Sink, agent, sink
from osmia.agent.events import LEDGER_CAUSES
from osmia.model.histogram import lower_bound_ns
from tests.agent.postgres import free_port, postgres_server

__all__ = ["Account", "Outcome", "Scale", "Seen", "compare", "run"]

_SERVERS, _PORTS_EACH, _SQL_CLIENTS = 4, 5, 8
_SETTLE_S = 30.0
# An application held up between its clock and its call books a delay that the kernel does not see. So many of an
# edge's requests may be off: nothing among the thousands of the whole comparison, a few ranks among a test's hundreds.
_HELD_UP = 8
_ROLES = ("client", "server")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to ask: requests and statements in all, parallel clients, and the ring's size."""

    requests: int
    statements: int
    clients: int = 2
    connections: int = 4
    ring_kib: int = 8192


@dataclass(slots=True)
class Account:
    """One side's knowledge of one edge from one end: statuses and sorted latencies in ns."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[int] = field(default_factory=list)

    def add(self, rows: Sequence[tuple[object, int]]) -> None:
        """Take over rows of a book."""
        self.statuses.update(str(status) for status, _ in rows)
        self.latencies.extend(latency for _, latency in rows)

    def quantile(self, share: float) -> float:
        """Nearest rank, ns."""
        ordered = sorted(self.latencies)
        return float(ordered[max(0, -(-len(ordered) * share // 1).__trunc__() - 1)])


@dataclass(slots=True)
class Seen:
    """What the agent exported of one edge from one end."""

    count: int = 0
    errors: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    histogram: Counter[int] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """Nearest rank from the buckets' middles, ns."""
        rank, passed = share * self.histogram.total(), 0
        for bucket in sorted(self.histogram):
            passed += self.histogram[bucket]
            if passed >= rank:
                return (lower_bound_ns(bucket) + lower_bound_ns(bucket + 1)) / 2
        raise ValueError("no latencies")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Books and export of one run; keys are (role, port). `events` are the rows of the request list for these ports.

    `timed` are the ends whose own process kept the time: PostgreSQL's backends keep no book.
    """

    books: dict[tuple[str, int], Account]
    seen: dict[tuple[str, int], Seen]
    timed: frozenset[tuple[str, int]]
    events: int
    ledger: dict[str, int]


def run(scale: Scale) -> Outcome:
    """Let everybody work, wait until the agent has exported what the books hold, and bring both sides home."""
    with tempfile.TemporaryDirectory(prefix="osmia-truth-") as name, sink() as where, postgres_server() as database:
        home = Path(name)
        ports = [free_port() for _ in range(_SERVERS * _PORTS_EACH)]
        every_event = ("--max-events-per-s", "1e9", "--flush-s", "0.5", "--ring-kib", str(scale.ring_kib))
        with agent(where, *every_event):
            with _serving(home, ports):
                _drive(home, scale, ports, database)
            books = _books(home, ports, database)
            _settle(where, books)
        seen = _exported(where, {port for _, port in books})
        events = sum(
            port in ports or port == database
            for table in where.tables("requests")
            for port in table.column("server_port").to_pylist()
        )
        row = where.ledger()
        lost = dict(zip(row["lost_causes"], row["lost_counts"], strict=True))
        timed = frozenset(books) - {("server", database)}
        return Outcome(books, seen, timed, events, lost | {"seen": row["seen"]})


def compare(outcome: Outcome, *, tolerance: float) -> list[str]:
    """Every disagreement in words; none on a good day. Without the text of lost events statuses are not compared."""
    complaints = []
    is_complete = not any(outcome.ledger.get(cause) for cause in LEDGER_CAUSES)
    for key, book in outcome.books.items():
        seen = outcome.seen.get(key, Seen())
        total = book.statuses.total()
        if seen.count != total:
            complaints.append(f"{key}: {seen.count} requests exported, {total} in the book")
            continue
        if is_complete and seen.statuses != book.statuses:
            complaints.append(f"{key}: {dict(seen.statuses)} exported, {dict(book.statuses)} in the book")
        errors = sum(n for status, n in book.statuses.items() if status not in ("200", "404", "ok"))
        if seen.errors != errors:
            complaints.append(f"{key}: {seen.errors} errors exported, {errors} in the book")
        for share in (0.5, 0.95) if key in outcome.timed else ():
            ours, slack = seen.quantile(share), _HELD_UP / total
            least, most = book.quantile(share - slack), book.quantile(min(share + slack, 1.0))
            if not least * (1 - tolerance) <= ours <= most * (1 + tolerance):
                theirs = book.quantile(share)
                complaints.append(f"{key}: p{share:.0%} {ours / 1e6:.3f} ms exported, {theirs / 1e6:.3f} in the book")
    return complaints


@contextlib.contextmanager
def _serving(home: Path, ports: Sequence[int]) -> Iterator[None]:
    servers = []
    for number in range(_SERVERS):
        own = [str(port) for port in ports[number::_SERVERS]]
        command = [sys.executable, "-m", "tests.truth.server", str(home / f"server-{number}"), *own]
        servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    try:
        for server in servers:
            if server.stdout is None or server.stdout.readline().strip() != "up":
                raise RuntimeError("a server did not start")
        yield
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.communicate(timeout=20)


def _drive(home: Path, scale: Scale, ports: Sequence[int], database: int) -> None:
    programs = []
    for number in range(scale.clients):
        share = scale.requests // scale.clients + (number < scale.requests % scale.clients)
        arguments = [str(share), str(scale.connections), str(number), *map(str, ports)]
        programs.append(("client", home / f"client-{number}", arguments))
    for number in range(_SQL_CLIENTS):
        share = scale.statements // _SQL_CLIENTS + (number < scale.statements % _SQL_CLIENTS)
        programs.append(("statements", home / f"statements-{number}", [str(share), str(number), str(database)]))
    running = [
        subprocess.Popen([sys.executable, "-m", f"tests.truth.{program}", str(book), *arguments])
        for program, book, arguments in programs
    ]
    statuses = [one.wait() for one in running]  # all of them, whatever the first says
    if any(statuses):
        raise RuntimeError("a client failed")


def _books(home: Path, ports: Sequence[int], database: int) -> dict[tuple[str, int], Account]:
    books = {(role, port): Account() for port in ports for role in _ROLES}
    for path in home.iterdir():
        role = path.name.split("-")[0]
        if role == "statements":
            for end in _ROLES:
                books.setdefault((end, database), Account()).add(json.loads(path.read_text()))
            continue
        for port, rows in json.loads(path.read_text()).items():
            books[role, int(port)].add(rows)
    return books


def _settle(where: Sink, books: dict[tuple[str, int], Account]) -> None:
    """Wait until as much was exported as the books hold, or longer than a report takes."""
    deadline = time.monotonic() + _SETTLE_S
    ports = {port for _, port in books}
    wanted = sum(book.statuses.total() for book in books.values())
    while where.counted(tuple(ports)).total() < wanted and time.monotonic() < deadline:
        time.sleep(0.5)


def _exported(where: Sink, ports: set[int]) -> dict[tuple[str, int], Seen]:
    seen: dict[tuple[str, int], Seen] = {}
    for table in where.tables("windows"):
        for row in table.to_pylist():
            if row["server_port"] not in ports:
                continue
            one = seen.setdefault((row["role"], row["server_port"]), Seen())
            one.count += row["count"]
            one.errors += row["errors"]
            one.statuses[row["status"]] += row["count"]
            one.histogram.update(dict(zip(row["buckets"], row["bucket_counts"], strict=True)))
    return seen
