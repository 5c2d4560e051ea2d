"""Putting telemetry into a store without HTTP, for tests of the store and of questions."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from osmia.model.wire import Table
from osmia.server.ingest.decode import decode
from osmia.server.ingest.shape import STORE_TABLES, shape
from osmia.server.query.late_names import LateName
from osmia.server.query.ranges import TimeRange
from osmia.server.query.scope import Scope
from osmia.server.storage.store import Store
from tests.server.rows import NS, Row, body

__all__ = ["fill", "scope"]

_numbers = itertools.count(1)


async def fill(
    store: Store, cluster: str, rows: Sequence[Row], *, table: Table = Table.WINDOWS, token: str = ""
) -> None:
    """Store wire rows as the intake would."""
    token = token or f"{cluster}-{next(_numbers)}"
    decoded = decode(table, body(table, rows), max_bytes=1 << 26, now_s=time.time())
    shaped = shape(table, decoded, cluster=cluster, agent="agent-1", token=token)
    await store.insert(STORE_TABLES[table], shaped, token=token)


def scope(  # noqa: PLR0913 - each has its default
    store: Store,
    cluster: str,
    *,
    from_s: int,
    to_s: int,
    newest_ns: int | None = None,
    late_names: Sequence[LateName] = (),
    now_s: int | None = None,
) -> Scope:
    """A question's scope over a range in Unix seconds; `newest_ns` is the range's end unless given."""
    span = TimeRange.parse(str(from_s * 1_000), str(to_s * 1_000), now_ms=(now_s or to_s) * 1_000)
    newest = to_s * NS if newest_ns is None else newest_ns
    return Scope(store=store, cluster=cluster, span=span, newest_ns=newest, late_names=late_names)
