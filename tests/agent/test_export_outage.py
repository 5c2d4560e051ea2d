"""Bad days of the export: the server away for long, restarts and kills meanwhile, disks that refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from osmia.agent.export import Exporter
from osmia.agent.post import Answer
from osmia.agent.spool import Spool
from osmia.model import wire
from osmia.model.errors import UnavailableError
from tests.agent.exporting import FakeServer, one_row, run_until

pytestmark = pytest.mark.anyio

GONE = Answer(0, None, "ClientConnectorError: refused")
MIB = 1 << 20
FRESH = 8


def exporter_for(
    server: FakeServer, directory: Path, *, first: int = 100, max_bytes: int = MIB, spool_bytes: int = MIB
) -> Exporter:
    """An exporter with a spool."""
    return Exporter(
        server,
        first_sequence=first,
        max_bytes=max_bytes,
        open_spool=lambda: Spool.open(directory, max_bytes=spool_bytes),
    )


def submit(exporter: Exporter, count: int) -> None:
    """Queue batches of windows with ten requests each."""
    for _ in range(count):
        exporter.submit(wire.Table.WINDOWS, one_row(wire.Table.WINDOWS, count=[10]))


async def spooled_outage(exporter: Exporter, server: FakeServer, *, batches: int) -> None:
    """Submit that many batches while the server is gone and wait until all but the freshest are on disk."""
    server.default = GONE
    submit(exporter, batches)
    await run_until(exporter, lambda: exporter.statistics().spool.batches >= batches - FRESH)


async def test_a_long_outage_goes_to_disk_and_nothing_is_lost(tmp_path: Path) -> None:
    """300 reports (ten minutes) pass with little memory; when the server is back, each is stored once."""
    server = FakeServer()
    exporter = exporter_for(server, tmp_path)
    await spooled_outage(exporter, server, batches=300)
    in_memory = exporter.statistics().queued_batches

    server.default = Answer(200)
    await run_until(exporter, lambda: exporter.statistics().exported_batches == 300)
    await run_until(exporter, lambda: exporter.statistics().spool.batches == 0)

    assert in_memory <= FRESH
    assert set(server.stored) == set(range(100, 400))
    statistics = exporter.statistics()
    assert (statistics.lost_queue_full, statistics.spool.evicted_requests, statistics.spool.batches) == (0, 0, 0)


async def test_fresh_batches_do_not_wait_for_the_backlog(tmp_path: Path) -> None:
    """The live map recovers with the first answer; the backlog goes beside it, oldest first."""
    server = FakeServer()
    exporter = exporter_for(server, tmp_path)
    await spooled_outage(exporter, server, batches=100)

    server.default, server.received = Answer(200), []
    await run_until(exporter, lambda: len(server.stored) == 100)

    order = [sequence for _, sequence in server.received]
    fresh, backlog = [one for one in order if one >= 192], [one for one in order if one < 192]
    assert order[0] == 192
    assert fresh == list(range(192, 200))
    assert sorted(set(backlog)) == list(range(100, 192))
    assert order.index(199) < 60


async def test_a_slow_server_gets_both_what_is_fresh_and_the_backlog(tmp_path: Path) -> None:
    """Even when fresh batches never pause, the backlog goes on."""
    server = FakeServer()
    exporter = exporter_for(server, tmp_path)
    await spooled_outage(exporter, server, batches=40)
    server.default = Answer(200)

    def always_something_new() -> bool:
        if exporter.statistics().queued_batches < 4:
            submit(exporter, 4)
        return exporter.statistics().spool.batches == 0

    await run_until(exporter, always_something_new)

    assert set(range(100, 140)) <= set(server.stored)


async def test_what_is_new_does_not_wait_for_the_backlog(tmp_path: Path) -> None:
    """A report made while the backlog drains is the next to leave."""
    server = FakeServer()
    exporter = exporter_for(server, tmp_path)
    await spooled_outage(exporter, server, batches=60)
    server.default = Answer(200)
    await run_until(exporter, lambda: exporter.statistics().spool.batches < 40)

    server.received = []
    submit(exporter, 1)
    await run_until(exporter, lambda: len(server.stored) == 61)

    assert 160 in [sequence for _, sequence in server.received][:6]


async def test_a_restart_in_the_outage_keeps_numbers_and_order(tmp_path: Path) -> None:
    """The next run replays what the last one spooled under the old numbers."""
    server = FakeServer(default=GONE)
    first = exporter_for(server, tmp_path)
    submit(first, 5)
    await first.finish(0.1)
    second = exporter_for(server, tmp_path, first=9_000)
    submit(second, 1)

    server.default, server.received = Answer(200), []
    await run_until(second, lambda: len(server.stored) == 6)

    order = [sequence for _, sequence in server.received]
    assert sorted(order) == [100, 101, 102, 103, 104, 9_000]
    assert order.index(9_000) < 5


async def test_a_batch_whose_answer_was_lost_is_stored_once(tmp_path: Path) -> None:
    """The server stored it but its answer did not arrive; it is spooled and repeated under its number."""
    server = FakeServer()
    exporter = exporter_for(server, tmp_path)
    submit(exporter, 1)
    [batch] = exporter._queue
    server.stored[batch.sequence] = batch.payload

    await spooled_outage(exporter, server, batches=20)
    server.default = Answer(200)
    await run_until(exporter, lambda: exporter.statistics().exported_batches == 21)

    assert len(server.stored) == 21


async def test_the_oldest_give_way_when_the_spool_is_full_and_are_counted(tmp_path: Path) -> None:
    """Requests missing from the counts = ten per batch that is neither stored nor waiting."""
    server = FakeServer(default=GONE)
    exporter = exporter_for(server, tmp_path, spool_bytes=20_000)
    submit(exporter, 200)
    await run_until(exporter, lambda: exporter.statistics().queued_batches <= FRESH)

    server.default = Answer(200)
    await run_until(exporter, lambda: exporter.statistics().spool.batches == exporter.statistics().queued_bytes == 0)

    evicted = exporter.statistics().spool.evicted_requests
    assert evicted > 0
    assert len(server.stored) * 10 + evicted == 2_000
    assert max(server.stored) == 299


async def test_a_spool_that_cannot_be_opened_leaves_memory(tmp_path: Path) -> None:
    """Said once with the reason; the queue keeps to its bound and counts what gives way."""

    def refuse() -> Spool:
        raise UnavailableError("spool /x cannot be written: No space left on device", remedy="free disk space")

    server = FakeServer(default=GONE)
    exporter = Exporter(server, first_sequence=1, max_bytes=10_000, open_spool=refuse)
    with capture_logs() as logs:
        submit(exporter, 50)
        await run_until(exporter, lambda: exporter.statistics().retries >= 2)

    statistics = exporter.statistics()
    assert statistics.queued_bytes <= 10_000
    assert statistics.lost_queue_full == 10 * (50 - statistics.queued_batches)
    assert "No space left" in statistics.spool_error
    assert [entry["event"] for entry in logs].count("no spool: batches wait in memory") == 1


async def test_a_disk_that_fills_up_in_the_outage_leaves_memory(tmp_path: Path) -> None:
    """Nothing crashes, what is on disk stays, and the refused batch is still in memory."""
    server = FakeServer(default=GONE)
    spool = Spool.open(tmp_path, max_bytes=MIB)
    exporter = Exporter(server, first_sequence=1, max_bytes=MIB, open_spool=lambda: spool)
    await spooled_outage(exporter, server, batches=20)
    spool._directory = tmp_path / "gone"

    submit(exporter, 20)
    await run_until(exporter, lambda: bool(exporter.statistics().spool_error))

    statistics = exporter.statistics()
    assert statistics.spool.batches + statistics.queued_batches == 40
    assert statistics.lost_queue_full == 0


async def test_a_wrong_key_is_said_once_and_the_data_waits_for_the_right_one(tmp_path: Path) -> None:
    """401 keeps everything within the bound; the text names the key, not just a number."""
    server = FakeServer(default=Answer(401, text="unknown cluster or wrong key"))
    exporter = exporter_for(server, tmp_path)
    with capture_logs() as logs:
        submit(exporter, 30)
        await run_until(exporter, lambda: exporter.statistics().spool.batches >= 22)
    server.default = Answer(200)
    resumed = exporter_for(server, tmp_path, first=1_000)
    await exporter.finish(5)
    await run_until(resumed, lambda: len(server.stored) == 30)

    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in warnings] == ["the server refuses the key; data is kept until the key is right"]
    assert "wrong key" in warnings[0]["error"]


@pytest.mark.parametrize("status", [400, 413])
async def test_a_poison_batch_in_the_spool_blocks_nothing(tmp_path: Path, status: int) -> None:
    """It is dropped, its requests are counted, the others follow."""
    server = FakeServer()
    exporter = exporter_for(server, tmp_path)
    await spooled_outage(exporter, server, batches=20)

    server.default, server.answers = Answer(200), [Answer(200)] * 3 + [Answer(status, text="no")]
    await run_until(exporter, lambda: exporter.statistics().spool.batches == 0)

    assert exporter.statistics().lost_refused == 10
    assert len(server.stored) == 19


async def test_memory_alone_spills_too(tmp_path: Path) -> None:
    """A server that is merely slow fills the queue: half of its bound is the sign to use the disk."""
    server = FakeServer(default=Answer(429, 0.01))
    exporter = exporter_for(server, tmp_path, max_bytes=12_000)
    submit(exporter, 6)
    await run_until(exporter, lambda: exporter.statistics().queued_bytes <= 6_000 + 2_000)

    server.default = Answer(200)
    await run_until(exporter, lambda: len(server.stored) == 6)

    assert exporter.statistics().lost_queue_full == 0
