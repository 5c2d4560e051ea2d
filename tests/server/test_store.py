"""What holds for every engine: schema, exactly-once inserts through all rollups, bounds, errors."""

from __future__ import annotations

import time
from dataclasses import asdict

import pytest

from osmia.model.wire import Table
from osmia.server.storage.store import QueryError, Store
from tests.server.rows import ledger_row, object_row, request_row, window_row
from tests.server.telemetry import fill

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

_ROLLUPS = ("endpoint_10s", "endpoint_1m", "endpoint_1h", "edge_10s", "edge_1m", "edge_1h")


async def _counts(store: Store, cluster: str) -> dict[str, int]:
    counts = {}
    for table in _ROLLUPS:
        rows = await store.query(f"SELECT sum(n) AS n FROM {table} WHERE cluster = {{c:String}}", {"c": cluster})  # noqa: S608 - constants
        counts[table] = int(str(rows[0]["n"]))
    return counts


async def test_migrating_again_changes_nothing(store: Store) -> None:
    """A database at the newest schema needs no migration."""
    applied = await store.migrate()

    assert applied == 0


async def test_every_rollup_counts_every_request(store: Store, cluster_name: str, now_s: int) -> None:
    """One insert reaches the six rollups with the same total."""
    await fill(store, cluster_name, [window_row(start_s=now_s, latencies_ns=[5_000] * 7)])

    assert await _counts(store, cluster_name) == dict.fromkeys(_ROLLUPS, 7)


async def test_a_repeated_token_counts_once(store: Store, cluster_name: str, now_s: int) -> None:
    """The same batch under the same token changes neither the table nor its rollups."""
    rows = [window_row(start_s=now_s, latencies_ns=[5_000] * 3)]
    await fill(store, cluster_name, rows, token="once")

    await fill(store, cluster_name, rows, token="once")

    assert await _counts(store, cluster_name) == dict.fromkeys(_ROLLUPS, 3)


async def test_equal_rows_under_two_tokens_count_twice(store: Store, cluster_name: str, now_s: int) -> None:
    """Windows are additive: only the token says that a batch is the same one."""
    rows = [window_row(start_s=now_s)]
    await fill(store, cluster_name, rows, token="first")

    await fill(store, cluster_name, rows, token="second")

    assert await _counts(store, cluster_name) == dict.fromkeys(_ROLLUPS, 2)


async def test_histograms_merge_by_bucket(store: Store, cluster_name: str, now_s: int) -> None:
    """Parts of one window add up bucket by bucket."""
    await fill(store, cluster_name, [window_row(start_s=now_s, latencies_ns=[2_000, 2_000, 9_000_000])])
    await fill(store, cluster_name, [window_row(start_s=now_s, latencies_ns=[2_000])])

    rows = await store.query("SELECT sumMap(hist) AS h FROM edge_1m WHERE cluster = {c:String}", {"c": cluster_name})

    assert sorted(dict(rows[0]["h"]).values())  # type: ignore[call-overload]  # a map column == [1, 3]


async def test_the_newest_row_of_an_object_wins(store: Store, cluster_name: str) -> None:
    """Objects replace their older selves, in whatever order they arrive."""
    now_ns = time.time_ns()
    for age_ns, phase in ((0, "Running"), (1, "Pending")):
        row = object_row(kind="Pod", name="web-1", seen_ns=now_ns - age_ns, phase=phase)
        await fill(store, cluster_name, [row], table=Table.OBJECTS)

    rows = await store.query("SELECT phase FROM objects FINAL WHERE cluster = {c:String}", {"c": cluster_name})

    assert [row["phase"] for row in rows] == ["Running"]


async def test_every_table_of_the_wire_has_its_place(store: Store, cluster_name: str, now_s: int) -> None:
    """Requests and the ledger keep their values, lists as maps."""
    time_ns = now_s * 10**9 + 123_456_789
    await fill(store, cluster_name, [request_row(time_ns=time_ns, command="cart")], table=Table.REQUESTS)
    await fill(store, cluster_name, [ledger_row(time_ns=time_ns, lost={"ring_full": 4})], table=Table.LEDGER)

    requests = await store.query(
        "SELECT time_ns, command, edge_id > 0 AS has_edge FROM requests WHERE cluster = {c:String}",
        {"c": cluster_name},
    )
    ledger = await store.query("SELECT agent, lost FROM ledger WHERE cluster = {c:String}", {"c": cluster_name})

    assert [dict(row) for row in requests] == [{"time_ns": time_ns, "command": "cart", "has_edge": 1}]
    assert [dict(row) for row in ledger] == [{"agent": "agent-1", "lost": {"ring_full": 4}}]


async def test_bound_values_stay_data(store: Store) -> None:
    """A value with quotes and SQL in it comes back as it was."""
    value = "'; DROP TABLE edge_10s; --"

    rows = await store.query("SELECT {v:String} AS v", {"v": value})

    assert rows[0]["v"] == value


async def test_a_query_that_breaks_says_why(store: Store) -> None:
    """The engine's number and first line reach the caller."""
    with pytest.raises(QueryError, match="nowhere") as caught:
        await store.query("SELECT * FROM nowhere")

    assert caught.value.code == 60


async def test_a_query_cannot_run_for_ever(store: Store) -> None:
    """The time bound ends a query with ClickHouse's code for it."""
    with pytest.raises(QueryError) as caught:
        await store.query("SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1")

    assert caught.value.code == 159


async def test_a_query_cannot_eat_the_memory(store: Store) -> None:
    """The memory bound ends a query with a hint at what to do."""
    with pytest.raises(QueryError, match="shorter time range") as caught:
        await store.query("SELECT length(groupArray(toString(number))) FROM numbers(100000000)")

    assert caught.value.code == 241


async def test_health_counts_what_is_stored(store: Store, cluster_name: str, now_s: int) -> None:
    """Sizes name the tables that hold rows."""
    await fill(store, cluster_name, [window_row(start_s=now_s)])

    health = await store.health()

    sizes = {size.table: asdict(size) for size in health.tables}
    assert health.is_ok
    assert sizes["edge_10s"]["rows"] > 0
    assert sizes["edge_10s"]["parts"] > 0
