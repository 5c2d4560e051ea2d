"""The same migrations for one node and for a cluster, whose replication cannot be run here: text and syntax only."""

from __future__ import annotations

import pytest

from osmia.model.errors import ConfigError
from osmia.server.storage.migrations import Topology, load
from osmia.server.storage.store import Store

_REPLICATED = Topology("osmia", "big")


def _statement(topology: Topology, beginning: str) -> str:
    statements = [one for migration in load(topology) for one in migration.statements]
    return next(one for one in statements if one.startswith(beginning))


def test_numbers_are_unique_and_in_order() -> None:
    """Migrations run by number."""
    numbers = [migration.number for migration in load(Topology("osmia"))]

    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


@pytest.mark.parametrize("topology", [Topology("osmia"), _REPLICATED])
def test_nothing_of_the_template_is_left(topology: Topology) -> None:
    """Every placeholder is filled in."""
    text = "\n".join(one for migration in load(topology) for one in migration.statements)

    assert "@" not in text
    assert "$" not in text


def test_one_node_has_plain_tables() -> None:
    """No replication, no local parts."""
    text = _statement(Topology("osmia"), "CREATE TABLE IF NOT EXISTS objects (")

    assert "ENGINE = ReplacingMergeTree(seen_ns)" in text
    assert "non_replicated_deduplication_window = 1000" in text


def test_a_cluster_has_replicated_parts() -> None:
    """The local part is replicated and remembers insert tokens."""
    text = _statement(_REPLICATED, "CREATE TABLE IF NOT EXISTS objects_local")

    assert text.startswith("CREATE TABLE IF NOT EXISTS objects_local ON CLUSTER big (")
    assert (
        "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', seen_ns)"
        in text
    )
    assert "SETTINGS replicated_deduplication_window = 1000" in text


def test_a_cluster_has_a_table_over_the_parts() -> None:
    """Questions name the same table on either topology."""
    text = _statement(_REPLICATED, "CREATE TABLE IF NOT EXISTS edge_10s ON")

    assert text == (
        "CREATE TABLE IF NOT EXISTS edge_10s ON CLUSTER big AS edge_10s_local\n"
        "ENGINE = Distributed(big, osmia, edge_10s_local, sipHash64(edge_id))"
    )


def test_a_cluster_rolls_up_locally() -> None:
    """Views read and write the local parts: no row crosses the network twice."""
    text = _statement(_REPLICATED, "CREATE MATERIALIZED VIEW IF NOT EXISTS edge_1m_mv_local")

    assert text.startswith(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS edge_1m_mv_local ON CLUSTER big TO edge_1m_local AS\n"
    )
    assert "FROM edge_10s_local AS e" in text


def test_a_cluster_gets_new_columns_on_both_tables() -> None:
    """The parts and the table over them change together."""
    texts = [one for migration in load(_REPLICATED) for one in migration.statements if "target" in one]

    assert [text.split(" ADD ")[0] for text in texts if text.startswith("ALTER")] == [
        "ALTER TABLE requests_local ON CLUSTER big",
        "ALTER TABLE requests ON CLUSTER big",
    ]


@pytest.mark.anyio
@pytest.mark.timeout(90)
@pytest.mark.parametrize("topology", [Topology("osmia"), _REPLICATED])
async def test_every_statement_parses(embedded: Store, topology: Topology) -> None:
    """ClickHouse itself reads each rendered statement."""
    for migration in load(topology):
        for statement in migration.statements:
            rows = await embedded.query(f"EXPLAIN AST {statement}")
            assert rows, statement


@pytest.mark.parametrize(("database", "cluster"), [("osmia; DROP", ""), ("osmia", "a b"), ("", "")])
def test_a_name_that_is_no_identifier_is_refused(database: str, cluster: str) -> None:
    """Names stand unquoted in SQL."""
    with pytest.raises(ConfigError, match="identifier"):
        Topology(database, cluster)
