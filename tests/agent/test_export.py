"""Export: numbered batches, retried until acknowledged, bounded."""

from __future__ import annotations

import itertools

import pytest

from osmia.agent.assembly import Assembler
from osmia.agent.export import Exporter, first_sequence, object_columns, request_columns, window_columns
from osmia.agent.post import Answer
from osmia.agent.redaction import Redaction
from osmia.model import wire
from osmia.model.entity import KubernetesObject
from tests.agent.events import FakeEntities, batch, event
from tests.agent.exporting import FakeServer, one_row, run_until

LEDGER = one_row(wire.Table.LEDGER)


def exporter_for(server: FakeServer, *, max_bytes: int = 1 << 20) -> Exporter:
    """An exporter whose numbers start at 100."""
    return Exporter(server, first_sequence=100, max_bytes=max_bytes)


@pytest.mark.anyio
async def test_batches_arrive_in_order_with_growing_numbers() -> None:
    """Each batch has its own number, one more than the one before."""
    server = FakeServer()
    exporter = exporter_for(server)
    for _ in range(3):
        exporter.submit(wire.Table.LEDGER, LEDGER)

    await run_until(exporter, lambda: exporter.statistics().exported_batches == 3)

    assert [sequence for _, sequence in server.received] == [100, 101, 102]
    assert exporter.statistics().queued_batches == 0


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [Answer(0, text="refused"), Answer(503, 0.01), Answer(429, 0.01), Answer(500)])
async def test_a_passing_failure_is_retried_under_the_same_number(failure: Answer) -> None:
    """The server can tell a retry from news by the number."""
    server = FakeServer(failure)
    exporter = exporter_for(server)
    exporter.submit(wire.Table.LEDGER, LEDGER)

    await run_until(exporter, lambda: exporter.statistics().exported_batches == 1)

    assert [sequence for _, sequence in server.received] == [100, 100]
    assert exporter.statistics().retries == 1


@pytest.mark.anyio
async def test_a_batch_that_can_never_be_taken_is_counted_and_left_behind() -> None:
    """One bad batch does not block those behind it."""
    server = FakeServer(Answer(400, text="bad column"))
    exporter = exporter_for(server)
    exporter.submit(wire.Table.WINDOWS, one_row(wire.Table.WINDOWS, count=[5]))
    exporter.submit(wire.Table.LEDGER, LEDGER)

    await run_until(exporter, lambda: exporter.statistics().exported_batches == 1)

    assert exporter.statistics().lost_refused == 5


@pytest.mark.anyio
async def test_a_wrong_key_keeps_the_data() -> None:
    """After 401 nothing is dropped: the key may be mended while the agent runs."""
    server = FakeServer(Answer(401, text="unknown key"))
    exporter = exporter_for(server)
    exporter.submit(wire.Table.LEDGER, LEDGER)

    await run_until(exporter, lambda: exporter.statistics().retries == 1)

    assert exporter.statistics().queued_batches == 1
    assert "401" in exporter.statistics().last_error


def test_a_full_queue_gives_up_its_oldest_and_counts_what_it_held() -> None:
    """The bound holds, and what was lost is known: requests of windows, rows of the request list."""
    exporter = exporter_for(FakeServer(), max_bytes=1)

    exporter.submit(wire.Table.WINDOWS, one_row(wire.Table.WINDOWS, count=[7]))
    exporter.submit(wire.Table.REQUESTS, one_row(wire.Table.REQUESTS))
    exporter.submit(wire.Table.LEDGER, LEDGER)

    statistics = exporter.statistics()
    assert (statistics.queued_batches, statistics.lost_queue_full, statistics.lost_list_rows) == (1, 7, 1)


def test_two_runs_never_share_a_number_whatever_the_clock_says() -> None:
    """Numbers begin at random in 2^62 places, so that a clock set back cannot make news look like a repetition."""
    beginnings = sorted(first_sequence() for _ in range(1_000))

    distances = [later - earlier for earlier, later in itertools.pairwise(beginnings)]
    numbers_of_a_year = 2 * 365 * 86_400
    assert min(distances) > numbers_of_a_year
    assert beginnings[-1] + numbers_of_a_year < 1 << 63


def test_columns_of_windows_and_requests_fit_the_wire() -> None:
    """What assembly makes can be encoded as declared, and the raw target is not in it."""
    assembler = Assembler(FakeEntities())
    requests = assembler.add(batch(event()), wall_offset_ns=0, now_ns=10)

    windows = wire.encode(wire.Table.WINDOWS, window_columns(assembler.flush()))
    rows = wire.encode(wire.Table.REQUESTS, request_columns(requests, Redaction()))

    assert len(requests) == 1
    assert b"shop" in windows
    assert b"s3cret" not in windows + rows


def test_columns_of_objects_fit_the_wire() -> None:
    """Kubernetes objects encode with their lists of addresses."""
    pod = KubernetesObject("u1", "Pod", "shop", "web-1", ips=("10.0.0.1", "fd00::1"))

    encoded = wire.encode(wire.Table.OBJECTS, object_columns([pod], seen_ns=5))

    assert b"fd00::1" in encoded
