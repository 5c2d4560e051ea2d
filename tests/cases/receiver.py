"""An ingest endpoint in the test's own process: what an agent sends, under the rules by which the server merges it.

Rows are decoded, their far ends named and their sides chosen by the server's own code or its rule
(`server/query/sides.py`): of an edge's two ends the one that counted more, the server's where both counted the same.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pyarrow as pa
from aiohttp import web

from osmia.model.wire import Table
from osmia.server.ingest.decode import decode
from osmia.server.ingest.peers import AddressBook, name_peers, sighting

__all__ = ["Edge", "Receiver", "receiver"]

_MAX_BYTES = 64 << 20


@dataclass(frozen=True, order=True)
class Edge:
    """One edge of the map: who called whom (kind/namespace/name), and by what."""

    source: str
    target: str
    protocol: str = "http"


@dataclass
class Receiver:
    """Everything that was sent, and the questions that tests ask of it."""

    port: int = 0
    tables: dict[Table, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    batches: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    sequences: list[int] = field(default_factory=list)
    _news: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        """What the agent is given as its server."""
        return f"http://127.0.0.1:{self.port}"

    async def take(self, request: web.Request) -> web.Response:
        """Accept one batch, once."""
        table = Table(request.match_info["table"])
        payload = await request.read()
        sequence = int(request.headers["Osmia-Sequence"])
        key = (request.headers["Osmia-Agent"], sequence, table.value)
        self.batches[key] += 1
        rows = decode(table, payload, max_bytes=_MAX_BYTES, now_s=time.time())
        if self.batches[key] == 1:
            self.sequences.append(sequence)
            self.tables[table].append(rows)
        news, self._news = self._news, anyio.Event()
        news.set()
        return web.json_response({"accepted": rows.num_rows})

    async def settle(self, *, since_s: float | None = None, longest_hold_s: float = 2.2) -> None:
        """Wait for a report that was made when nothing of before `since_s` (now) could be held back any more."""
        wanted_ns = ((since_s or time.time()) + longest_hold_s) * 1e9
        with anyio.fail_after(15):
            while self.newest_report_ns < wanted_ns:
                await self._news.wait()

    @property
    def newest_report_ns(self) -> int:
        """When the agent wrote its newest ledger row."""
        return max((int(row["time_ns"]) for row in self.rows(Table.LEDGER)), default=0)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """Every row of a table as it came."""
        return [row for part in self.tables[table] for row in part.to_pylist()]

    def named(self, table: Table) -> list[dict[str, Any]]:
        """Every row, its far end named by what the objects say, as the server does."""
        book = AddressBook()
        for row in self.rows(Table.OBJECTS):
            if row["ips"]:
                book.note(sighting(row))
        column = "time_ns" if table is Table.REQUESTS else "last_ns"
        parts = [name_peers(part, book, time_column=column).rows for part in self.tables[table] if part.num_rows]
        return [row for part in parts for row in part.to_pylist()]

    def sides(self, *names: str) -> dict[Edge, Counter[str]]:
        """Requests by edge and role, of the edges of which an end's id contains one of the names."""
        found: dict[Edge, Counter[str]] = defaultdict(Counter)
        for row in self.named(Table.WINDOWS):
            edge = Edge(_id(row, "source"), _id(row, "destination"), row["protocol"])
            if not names or any(name in end for name in names for end in (edge.source, edge.target)):
                found[edge][row["role"]] += row["count"]
        return dict(found)

    def edges(self, *names: str) -> dict[Edge, int]:
        """Requests by edge, each counted at one of its ends, as the map shows it."""
        return {edge: max(roles["server"], roles["client"]) for edge, roles in self.sides(*names).items()}

    def strangers(self, *names: str) -> set[tuple[str, str]]:
        """Ends of TCP connections between which no request was seen, of those with a name in one of them.

        The map would have an edge of its own for each.
        """
        known = {(edge.source, edge.target) for edge in self.sides()}
        ends = {(_id(row, "source"), _id(row, "destination")) for row in self.named(Table.CONNECTIONS)}
        return {pair for pair in ends - known if any(name in end for name in names for end in pair)}

    def requests(self, *names: str) -> list[dict[str, Any]]:
        """Rows of the request list with an end whose id contains one of the names."""
        ends = ("source", "destination")
        return [
            row for row in self.named(Table.REQUESTS) if any(name in _id(row, end) for name in names for end in ends)
        ]


def _id(row: dict[str, Any], end: str) -> str:
    return f"{row[f'{end}_kind']}/{row[f'{end}_namespace']}/{row[f'{end}_name']}"


@asynccontextmanager
async def receiver(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    made = Receiver()
    application = web.Application(client_max_size=_MAX_BYTES)
    application.router.add_post("/api/v1/ingest/{table}", made.take)
    # The payload is taken as it came: what decodes it is the server.
    runner = web.AppRunner(application, access_log=None, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()
