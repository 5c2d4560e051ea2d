"""Series, resource details and data quality, on every engine."""

from __future__ import annotations

import pytest

from osmia.model.wire import Table
from osmia.server.query.freshness import Freshness
from osmia.server.query.late_names import LateName
from osmia.server.query.quality import quality
from osmia.server.query.resources import ResourceName, resource_details
from osmia.server.query.series import edge_exists, edge_series
from osmia.server.query.service_map import service_map
from osmia.server.storage.store import Store
from tests.server.rows import NS, Row, entity, ledger_row, object_row, window_row
from tests.server.telemetry import fill, scope

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

_CART = ResourceName("Deployment", "shop", "cart")


async def test_a_series_has_a_value_per_step(store: Store, cluster_name: str, now_s: int) -> None:
    """Each step has its own rate and quantiles; a quiet step is rate 0 with unknown latency."""
    busy = window_row(start_s=now_s - 20, latencies_ns=[1_000_000] * 50)
    busy_again = window_row(start_s=now_s, latencies_ns=[4_000_000] * 100, last_ns=(now_s + 10) * NS)
    await fill(store, cluster_name, [busy, busy_again])
    about = scope(store, cluster_name, from_s=now_s - 30, to_s=now_s + 10)
    edge_id = int((await service_map(about)).edges[0].id, 16)

    series = await edge_series(about, edge_id=edge_id, points=60)

    assert series.step_ms == 10_000
    assert series.times_ms == [(now_s + offset) * 1_000 for offset in (-30, -20, -10, 0)]
    assert series.rate == [None, 5.0, 0.0, 10.0]
    assert series.error_rate == [None, 0.0, None, 0.0]
    assert [value is None for value in series.p95_ns] == [True, False, True, False]


async def test_a_series_never_mixes_the_sides(store: Store, cluster_name: str, now_s: int) -> None:
    """The side chosen over the whole range speaks in every step."""
    rows = [
        window_row(start_s=now_s - 10, role="client", latencies_ns=[1_000_000] * 30),
        window_row(start_s=now_s, role="client", latencies_ns=[1_000_000] * 30),
        window_row(start_s=now_s, role="server", latencies_ns=[1_000_000] * 30),
    ]
    await fill(store, cluster_name, rows)
    about = scope(store, cluster_name, from_s=now_s - 10, to_s=now_s + 10)
    edge_id = int((await service_map(about)).edges[0].id, 16)

    series = await edge_series(about, edge_id=edge_id, points=60)

    assert series.rate == [3.0, 3.0]


async def test_a_long_range_keeps_to_the_points_asked(store: Store, cluster_name: str, now_s: int) -> None:
    """Steps widen so that no more than the asked points come back."""
    await fill(store, cluster_name, [window_row(start_s=now_s)])
    about = scope(store, cluster_name, from_s=now_s - 3_600, to_s=now_s + 10)
    edge_id = int((await service_map(about)).edges[0].id, 16)

    series = await edge_series(about, edge_id=edge_id, points=20)

    assert len(series.times_ms) <= 21
    assert series.step_ms % 10_000 == 0


async def test_an_edge_nobody_saw_does_not_exist(store: Store, cluster_name: str, now_s: int) -> None:
    """Ids that the map never gave out are told apart from quiet edges."""
    about = scope(store, cluster_name, from_s=now_s - 60, to_s=now_s)

    assert not await edge_exists(about, 12_345)


async def test_a_resource_lists_peers_and_endpoints(store: Store, cluster_name: str, now_s: int) -> None:
    """Incoming and outgoing by peer, endpoints by cost, statuses counted."""
    rows = [
        window_row(start_s=now_s, template="/cheap", latencies_ns=[1_000_000] * 10),
        window_row(start_s=now_s, template="/dear", latencies_ns=[90_000_000] * 10),
        window_row(start_s=now_s, template="/dear", status="500", errors=2, latencies_ns=[90_000_000] * 2),
        window_row(
            start_s=now_s,
            source=_CART.id,
            target="StatefulSet/shop/db",
            protocol="postgres",
            server_port=5432,
            role="client",
            method="SELECT",
            template="SELECT ?",
            status="ok",
        ),
    ]
    await fill(store, cluster_name, rows)

    details = await resource_details(scope(store, cluster_name, from_s=now_s - 60, to_s=now_s + 10), _CART)

    assert details is not None
    (caller,), (database,) = details.incoming, details.outgoing
    assert (caller.peer.id, caller.count, caller.errors) == ("Deployment/shop/web", 22, 2)
    assert [(one.template, one.statuses) for one in caller.endpoints] == [
        ("/dear", {"200": 10, "500": 2}),
        ("/cheap", {"200": 10}),
    ]
    assert (database.peer.id, database.protocol, database.port) == ("StatefulSet/shop/db", "postgres", 5432)
    assert (details.summary.count, details.summary.errors) == (22, 2)
    assert details.summary.rate == pytest.approx(caller.rate)
    assert sum(one.rate for one in caller.endpoints) == pytest.approx(caller.rate)


async def test_a_resource_shows_the_service_that_callers_used(store: Store, cluster_name: str, now_s: int) -> None:
    """The server's side was chosen; the client's side knew the Service."""
    named = entity("destination", _CART.id, service="cart-svc")
    rows = [window_row(start_s=now_s, role="client", **named), window_row(start_s=now_s, role="server")]
    await fill(store, cluster_name, rows)

    details = await resource_details(scope(store, cluster_name, from_s=now_s - 60, to_s=now_s + 10), _CART)

    assert details is not None
    assert [peer.service for peer in details.incoming] == ["cart-svc"]


async def test_an_idle_resource_has_details_without_figures(store: Store, cluster_name: str, now_s: int) -> None:
    """Pods are listed, counts are zero, latencies are unknown."""
    owned: Row = {"workload_kind": "Deployment", "workload_name": "cart", "phase": "Running"}
    rows = [
        object_row(kind="Deployment", name="cart", replicas_desired=1, replicas_ready=1),
        object_row(kind="Pod", name="cart-0", ips=("10.9.0.1",), **owned),
    ]
    await fill(store, cluster_name, rows, table=Table.OBJECTS)

    details = await resource_details(scope(store, cluster_name, from_s=now_s - 60, to_s=now_s), _CART)

    assert details is not None
    assert [(pod.name, pod.ip, pod.phase) for pod in details.resource.pods] == [("cart-0", "10.9.0.1", "Running")]
    assert (details.resource.is_idle, details.summary.count, details.summary.p95_ns) == (True, 0, None)
    assert set(details.series.rate) == {None}


async def test_an_unknown_resource_has_no_details(store: Store, cluster_name: str, now_s: int) -> None:
    """Neither traffic nor objects know it."""
    details = await resource_details(scope(store, cluster_name, from_s=now_s - 60, to_s=now_s), _CART)

    assert details is None


async def test_a_late_name_has_details_too(store: Store, cluster_name: str, now_s: int) -> None:
    """The drawer of a workload includes what was stored under its bare address."""
    late = LateName("10.9.0.1", "Deployment", "shop", "cart", now_s * NS, (now_s + 10) * NS)
    await fill(store, cluster_name, [window_row(start_s=now_s, target="External//10.9.0.1", role="client")])
    about = scope(store, cluster_name, from_s=now_s - 60, to_s=now_s + 10, late_names=[late])

    details = await resource_details(about, _CART)

    assert details is not None
    assert [peer.endpoints[0].count for peer in details.incoming] == [1]


async def test_losses_of_the_last_quarter_hour_are_counted(store: Store, cluster_name: str, now_s: int) -> None:
    """Counters run from the agent's start, so only their growth in the window counts."""
    early = ledger_row(time_ns=(now_s - 600) * NS, lost={"ring_full": 1_000}, started_ns=1)
    late = ledger_row(time_ns=now_s * NS, lost={"ring_full": 1_007, "map_full": 2}, started_ns=1)
    await fill(store, cluster_name, [early, late], table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS + NS)

    assert (answer.agents[0].lost, answer.agents[0].reduced) == ({"map_full": 2}, {"ring_full": 7})
    assert (answer.lost, answer.reduced, answer.is_exact) == (2, 7, False)


async def test_losses_survive_the_agent_s_restart(store: Store, cluster_name: str, now_s: int) -> None:
    """Counters begin anew with the agent: what it lost before and after adds up."""
    before = [(now_s - 500, 10), (now_s - 400, 15)]
    rows = [ledger_row(time_ns=t * NS, lost={"held_full": n}, started_ns=1) for t, n in before]
    rows.append(ledger_row(time_ns=now_s * NS, lost={"held_full": 3}, started_ns=(now_s - 300) * NS))
    await fill(store, cluster_name, rows, table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS)

    assert answer.lost == 8


async def test_quality_is_exact_when_nothing_is_lost_and_all_are_here(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """One agent per node, none lost anything."""
    await fill(store, cluster_name, [object_row(kind="Node", name="node-1", namespace="")], table=Table.OBJECTS)
    rows = [
        ledger_row(time_ns=(now_s - 10) * NS, cpu_ns=1 * NS, started_ns=1),
        ledger_row(time_ns=now_s * NS, cpu_ns=3 * NS, started_ns=1),
    ]
    await fill(store, cluster_name, rows, table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS)

    assert (answer.agents_connected, answer.agents_expected, answer.lost, answer.is_exact) == (1, 1, 0, True)
    assert answer.lag_ms == 1_500
    assert answer.agents[0].cpu_cores == pytest.approx(0.2)


async def test_a_silent_agent_makes_quality_inexact(store: Store, cluster_name: str, now_s: int) -> None:
    """An agent unheard of for a minute is listed but not connected."""
    await fill(store, cluster_name, [ledger_row(time_ns=(now_s - 60) * NS)], table=Table.LEDGER)

    answer = await quality(store, Freshness(), cluster=cluster_name, now_ns=now_s * NS)

    assert (answer.agents_connected, answer.agents_expected, answer.is_exact) == (0, 1, False)
    assert answer.lag_ms is None
