"""What the server tells about agents: cost, losses in words, features, steps; with agents of any version and clock."""

from __future__ import annotations

import pytest

from osmia.model.wire import ADDED, Table, compress, encode
from osmia.server.ingest.decode import decode
from osmia.server.query.agents import agent_details
from osmia.server.query.answers import AgentDetails
from osmia.server.query.freshness import Freshness
from osmia.server.query.quality import quality
from osmia.server.query.ranges import TimeRange
from osmia.server.storage.store import Store
from tests.server.rows import NS, Row, columns, ledger_row
from tests.server.telemetry import fill

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

_STEP: Row = {
    "step_ns": [5 * NS],
    "step_from": ["full"],
    "step_to": ["payload"],
    "step_causes": ["the agent uses 0.600 cores of 0.5"],
}


def _span(now_s: int) -> TimeRange:
    return TimeRange.parse(f"{(now_s - 900) * 1_000}", f"{(now_s + 1) * 1_000}", now_ms=now_s * 1_000)


async def details(store: Store, cluster: str, rows: list[Row], *, now_s: int) -> AgentDetails:
    """The details of the one agent that reported these rows."""
    await fill(store, cluster, rows, table=Table.LEDGER)
    span = _span(now_s)
    found = await agent_details(store, cluster=cluster, agent="agent-1", span=span, now_ns=now_s * NS)
    assert found is not None
    return found


async def test_cost_is_shown_per_second(store: Store, cluster_name: str, now_s: int) -> None:
    """CPU of the process and of its programs, requests and events, from the growth over a minute."""
    rows = [
        ledger_row(time_ns=(now_s - 20) * NS, started_ns=1, seen=100, events=10, cpu_ns=1 * NS, bpf_ns=NS),
        ledger_row(time_ns=now_s * NS, started_ns=1, seen=2_100, events=30, cpu_ns=2 * NS, bpf_ns=2 * NS),
    ]

    agent = (await details(store, cluster_name, rows, now_s=now_s)).agent

    assert agent.cpu_cores == pytest.approx(0.05)
    assert agent.bpf_cores == pytest.approx(0.05)
    assert agent.seen_rate == pytest.approx(100)
    assert agent.event_rate == pytest.approx(1)


async def test_losses_are_told_apart_from_sampling(store: Store, cluster_name: str, now_s: int) -> None:
    """Missing from counts first, then poorer in detail, then chosen; each with its meaning."""
    lost = {"ring_full": 5, "queue_full": 2, "of_tomorrow": 9}
    rows = [ledger_row(time_ns=now_s * NS, started_ns=now_s * NS - NS, lost=lost, sampled=1_000)]

    found = await details(store, cluster_name, rows, now_s=now_s)

    assert [(loss.cause, loss.effect, loss.count) for loss in found.losses] == [
        ("of_tomorrow", "counts", 9),
        ("queue_full", "counts", 2),
        ("ring_full", "detail", 5),
        ("sampled", "choice", 1_000),
    ]
    assert all(loss.meaning for loss in found.losses[1:])


async def test_sampling_and_lost_detail_leave_counts_exact(store: Store, cluster_name: str, now_s: int) -> None:
    """What is counted in the kernel is counted, whatever the request list shows."""
    rows = [ledger_row(time_ns=now_s * NS, started_ns=now_s * NS - NS, lost={"ring_full": 5}, sampled=1_000)]
    await fill(store, cluster_name, rows, table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS)

    assert (answer.lost, answer.reduced, answer.sampled, answer.is_exact) == (0, 5, 1_000, True)


async def test_a_time_without_capture_is_not_exact(store: Store, cluster_name: str, now_s: int) -> None:
    """An agent that let go of the kernel a while ago counted nothing then, though nothing is counted as lost."""
    rows = [
        ledger_row(time_ns=(now_s - 300) * NS, started_ns=1, level="detached"),
        ledger_row(time_ns=now_s * NS, started_ns=1, level="full"),
    ]
    await fill(store, cluster_name, rows, table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS)

    assert (answer.lost, answer.is_exact, answer.agents[0].level) == (0, False, "full")


async def test_steps_of_the_governor_are_history(store: Store, cluster_name: str, now_s: int) -> None:
    """The newest first, each once, with time, levels and cause."""
    at = {"step_ns": [(now_s - 30) * NS]}
    back: Row = {"step_ns": [now_s * NS], "step_from": ["payload"], "step_to": ["full"], "step_causes": ["calm"]}
    rows = [
        ledger_row(time_ns=(now_s - 28) * NS, started_ns=1, **_STEP | at),
        ledger_row(time_ns=now_s * NS, started_ns=1, **back),
    ]

    steps = (await details(store, cluster_name, rows, now_s=now_s)).steps

    assert [(step.before, step.after, step.cause) for step in steps] == [
        ("payload", "full", "calm"),
        ("full", "payload", "the agent uses 0.600 cores of 0.5"),
    ]
    assert steps[1].time_ms == (now_s - 30) * 1_000


async def test_features_programs_and_unseen_processes_are_listed(store: Store, cluster_name: str, now_s: int) -> None:
    """What is missing stands in the list of agents by name, in the details with its reason."""
    known: Row = {
        "features": ["capture", "tcp"],
        "feature_states": ["on", "off"],
        "feature_reasons": ["", "BTF is missing"],
        "bpf_programs": ["on_send", "on_receive"],
        "bpf_program_ns": [1 * NS, 3 * NS],
        "unseen_commands": ["fio"],
        "unseen_counts": [2],
    }
    rows = [ledger_row(time_ns=now_s * NS, started_ns=(now_s - 100) * NS, **known)]

    found = await details(store, cluster_name, rows, now_s=now_s)

    assert (found.agent.missing, found.agent.unseen) == (["tcp"], {"fio": 2})
    assert [(one.name, one.state, one.reason) for one in found.features][1] == ("tcp", "off", "BTF is missing")
    assert [one.name for one in found.programs] == ["on_receive", "on_send"]
    assert [one.cores for one in found.programs] == [
        pytest.approx(0.03),
        pytest.approx(0.01),
    ]


async def test_a_series_breaks_at_a_restart(store: Store, cluster_name: str, now_s: int) -> None:
    """Counters that begin anew are no negative and no giant rate."""
    begin = now_s - now_s % 10
    rows = [
        ledger_row(time_ns=(begin - 40) * NS, started_ns=1, cpu_ns=10 * NS),
        ledger_row(time_ns=(begin - 30) * NS, started_ns=1, cpu_ns=11 * NS),
        ledger_row(time_ns=(begin - 20) * NS, started_ns=2, cpu_ns=1 * NS),
        ledger_row(time_ns=(begin - 10) * NS, started_ns=2, cpu_ns=2 * NS),
    ]

    series = (await details(store, cluster_name, rows, now_s=now_s)).series

    assert series.cpu_cores == [None, pytest.approx(0.1), None, pytest.approx(0.1)]


async def test_a_clock_that_was_set_back_hides_rows_of_the_future(store: Store, cluster_name: str, now_s: int) -> None:
    """Of an agent whose clock was an hour ahead, the newest true row speaks, not the latest stamp."""
    rows = [
        ledger_row(time_ns=(now_s + 3_000) * NS, started_ns=1, lag_ns=9 * NS),
        ledger_row(time_ns=(now_s - 1) * NS, started_ns=1, lag_ns=1 * NS),
    ]
    await fill(store, cluster_name, rows, table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS)

    assert (answer.agents[0].last_seen_ms, answer.agents[0].lag_ms) == ((now_s - 1) * 1_000, 1_000)


async def test_a_silent_agent_has_no_details(store: Store, cluster_name: str, now_s: int) -> None:
    """What is not in the list of agents cannot be opened."""
    span = _span(now_s)

    assert await agent_details(store, cluster=cluster_name, agent="nobody", span=span, now_ns=now_s * NS) is None


def test_an_older_agent_s_ledger_is_still_welcome() -> None:
    """Columns that it does not know are filled with nothing."""
    whole = columns(Table.LEDGER, [ledger_row(time_ns=5_000 * NS)])
    old = {name: values for name, values in whole.items() if name not in ADDED[Table.LEDGER]}
    rows = decode(Table.LEDGER, compress(_encoded(old)), max_bytes=1 << 20, now_s=5_000)

    [row] = rows.to_pylist()
    assert (row["level"], row["features"], row["bpf_ns"], row["seen"]) == ("", [], 0, 100)


def _encoded(values: dict[str, list[object]]) -> bytes:
    """The stream that an agent of that version writes: pyarrow, since the encoder knows today's columns only."""
    import pyarrow as pa

    today = decode(
        Table.LEDGER,
        compress(encode(Table.LEDGER, columns(Table.LEDGER, [ledger_row(time_ns=5_000 * NS)]))),
        max_bytes=1 << 20,
        now_s=5_000,
    )
    kept = today.select(list(values))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, kept.schema) as writer:
        writer.write_table(kept)
    return bytes(sink.getvalue())
