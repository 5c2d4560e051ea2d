"""The map: one side of each edge, true rates, every workload."""

from __future__ import annotations

import pytest

from osmia.model.wire import Table
from osmia.server.query.answers import Edge, Map
from osmia.server.query.late_names import LateName
from osmia.server.query.ranges import TimeRange
from osmia.server.query.scope import Scope
from osmia.server.query.service_map import service_map
from osmia.server.storage.store import Store
from tests.server.rows import NS, Row, entity, object_row, window_row
from tests.server.telemetry import fill, scope

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


def _workload(name: str, *, pods: int = 1, kind: str = "Deployment") -> list[Row]:
    owned: Row = {"workload_kind": kind, "workload_name": name, "phase": "Running"}
    return [
        object_row(kind=kind, name=name, replicas_desired=pods, replicas_ready=pods),
        *(object_row(kind="Pod", name=f"{name}-{i}", ips=(f"10.9.0.{i}",), **owned) for i in range(pods)),
    ]


async def _map(store: Store, cluster: str, now_s: int, **known: object) -> Map:
    return await service_map(scope(store, cluster, from_s=now_s - 300, to_s=now_s + 10, **known))  # type: ignore[arg-type]  # passed on


def _only(answer: Map) -> Edge:
    assert len(answer.edges) == 1
    return answer.edges[0]


async def test_the_server_s_side_wins_when_it_saw_as_much(store: Store, cluster_name: str, now_s: int) -> None:
    """Both ends saw the same requests; the edge has them once, with the server's latencies."""
    client = window_row(start_s=now_s, role="client", latencies_ns=[9_000_000] * 6)
    server = window_row(start_s=now_s, role="server", latencies_ns=[2_000_000] * 6)
    await fill(store, cluster_name, [client, server])

    edge = _only(await _map(store, cluster_name, now_s))

    assert (edge.side, edge.count) == ("server", 6)
    assert edge.p50_ns == pytest.approx(2_000_000, rel=0.016)


async def test_the_client_s_side_wins_when_the_server_s_is_partly_unwatched(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """Two of three servers are watched: the client knows of all requests."""
    client = window_row(start_s=now_s, role="client", latencies_ns=[9_000_000] * 9)
    server = window_row(start_s=now_s, role="server", latencies_ns=[2_000_000] * 6)
    await fill(store, cluster_name, [client, server])

    edge = _only(await _map(store, cluster_name, now_s))

    assert (edge.side, edge.count) == ("client", 9)


async def test_an_edge_is_named_by_the_service_that_one_side_knows(store: Store, cluster_name: str, now_s: int) -> None:
    """The chosen side may not know the Service; the other's name for the same port stands."""
    named = {**entity("destination", "Deployment/shop/cart", service="cart-svc")}
    client = window_row(start_s=now_s, role="client", **named)
    server = window_row(start_s=now_s, role="server")
    await fill(store, cluster_name, [client, server])

    edge = _only(await _map(store, cluster_name, now_s))

    assert edge.side == "server"
    assert [(one.name, one.port) for one in edge.services] == [("cart-svc", 8080)]


async def test_a_rate_counts_from_the_first_request_to_the_newest_data(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """A service that appeared 20 s ago shows its true rate, not one spread over the whole range."""
    first_ns, newest_ns = (now_s - 20) * NS, now_s * NS
    parts = [
        window_row(start_s=now_s - 20, latencies_ns=[1_000_000] * 200, first_ns=first_ns),
        window_row(start_s=now_s - 10, latencies_ns=[1_000_000] * 200, last_ns=newest_ns),
    ]
    await fill(store, cluster_name, parts)

    edge = _only(await _map(store, cluster_name, now_s, newest_ns=newest_ns))

    assert edge.rate == pytest.approx(20.0)
    assert edge.request_bytes_rate == pytest.approx(2_000.0)


async def test_a_rate_never_divides_by_less_than_a_second(store: Store, cluster_name: str, now_s: int) -> None:
    """Three requests within a millisecond are 3 a second, not thousands."""
    await fill(store, cluster_name, [window_row(start_s=now_s, latencies_ns=[1_000_000] * 3)])

    edge = _only(await _map(store, cluster_name, now_s, newest_ns=now_s * NS + 1_000_000))

    assert edge.rate == 3.0


async def test_a_rate_covers_the_asked_range_only(store: Store, cluster_name: str, now_s: int) -> None:
    """Traffic before the range neither counts nor stretches it."""
    old = window_row(start_s=now_s - 3_000, latencies_ns=[1_000_000] * 999)
    new = window_row(start_s=now_s - 300, latencies_ns=[1_000_000] * 310, first_ns=(now_s - 300) * NS)
    await fill(store, cluster_name, [old, new])

    edge = _only(await _map(store, cluster_name, now_s))

    assert edge.count == 310
    assert edge.rate == pytest.approx(1.0)


async def _rate_of_a_load(store: Store, cluster: str, start_s: int, *, load_s: float, to_ms: int) -> float:
    """The edge's rate up to `to_ms`, of 68 requests a second over `load_s` seconds while others go on for longer."""
    rows = []
    for begin_s in range(start_s, start_s + int(load_s) + 1, 10):
        length_s = min(10.0, start_s + load_s - begin_s)
        if length_s <= 0:
            break
        row = window_row(
            start_s=begin_s,
            latencies_ns=[1_000_000] * round(68 * length_s),
            first_ns=begin_s * NS,
            last_ns=begin_s * NS + int(length_s * NS),
        )
        rows.append(row)
    other = window_row(start_s=start_s + 60, source="Deployment/shop/probe")
    await fill(store, cluster, [*rows, other])
    now_ms = (start_s + 200) * 1_000
    span = TimeRange.parse(str(start_s * 1_000 - 5_000), str(to_ms), now_ms=now_ms)
    answer = await service_map(Scope(store=store, cluster=cluster, span=span, newest_ns=now_ms * 10**6))
    return next(edge.rate for edge in answer.edges if edge.source == "Deployment/shop/web")


@pytest.mark.parametrize("load_s", [30.0, 31.9, 33.25, 38.0])
async def test_a_load_that_ended_has_the_rate_it_was_sent_at(
    store: Store, cluster_name: str, now_s: int, load_s: float
) -> None:
    """Asked up to its last request, wherever in a window that lies, although the cluster has newer data."""
    start_s = now_s - 200

    rate = await _rate_of_a_load(
        store, cluster_name, start_s, load_s=load_s, to_ms=int(start_s * 1_000 + load_s * 1_000)
    )

    assert rate == pytest.approx(68.0, rel=0.005)


@pytest.mark.parametrize("to_s", [21.0, 25.5, 29.0])
async def test_a_load_that_goes_on_after_the_range_keeps_its_rate(
    store: Store, cluster_name: str, now_s: int, to_s: float
) -> None:
    """The last window counts whole, so it is averaged over whole: the part after `to` must not look like a burst."""
    start_s = now_s - 200

    rate = await _rate_of_a_load(store, cluster_name, start_s, load_s=40, to_ms=int(start_s * 1_000 + to_s * 1_000))

    assert rate == pytest.approx(68.0, rel=0.005)


async def test_errors_are_counted_and_shared(store: Store, cluster_name: str, now_s: int) -> None:
    """The error rate is the share of the requests that failed."""
    fine = window_row(start_s=now_s, latencies_ns=[1_000_000] * 3)
    failed = window_row(start_s=now_s, status="503", errors=1)
    await fill(store, cluster_name, [fine, failed])

    edge = _only(await _map(store, cluster_name, now_s))

    assert (edge.count, edge.errors, edge.error_rate) == (4, 1, 0.25)


async def test_protocols_are_edges_of_their_own(store: Store, cluster_name: str, now_s: int) -> None:
    """The same two workloads over two protocols make two edges with different ids."""
    rows = [window_row(start_s=now_s), window_row(start_s=now_s, protocol="postgres")]
    await fill(store, cluster_name, rows)

    answer = await _map(store, cluster_name, now_s)

    assert sorted(edge.protocol for edge in answer.edges) == ["http", "postgres"]
    assert len({edge.id for edge in answer.edges}) == 2


async def test_an_edge_keeps_its_id(store: Store, cluster_name: str, now_s: int) -> None:
    """The id follows from the ends and the protocol alone."""
    await fill(store, cluster_name, [window_row(start_s=now_s)])
    before = _only(await _map(store, cluster_name, now_s)).id
    await fill(store, cluster_name, [window_row(start_s=now_s, template="/other", role="client")])

    after = _only(await _map(store, cluster_name, now_s)).id

    assert after == before


async def test_a_node_sums_what_it_serves(store: Store, cluster_name: str, now_s: int) -> None:
    """Rates add up over callers, and the p95 is that of all requests together."""
    fast = window_row(start_s=now_s, source="Deployment/shop/a", latencies_ns=[1_000_000] * 90)
    slow = window_row(start_s=now_s, source="Deployment/shop/b", latencies_ns=[50_000_000] * 10)
    await fill(store, cluster_name, [fast, slow])

    answer = await _map(store, cluster_name, now_s)

    cart = next(node for node in answer.nodes if node.name == "cart")
    assert cart.rate_in == pytest.approx(10.0)
    assert cart.p95_in_ns == pytest.approx(50_000_000, rel=0.016)
    assert cart.error_rate_in == 0.0


async def test_a_node_with_one_caller_has_exactly_that_edge_s_figures(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """Both ends reported the edge; only the chosen end may enter the node, or the other's latencies raise its p95."""
    client = window_row(start_s=now_s, role="client", latencies_ns=[85_000_000] * 20, errors=5)
    server = window_row(start_s=now_s, role="server", latencies_ns=[59_000_000] * 20, errors=4)
    await fill(store, cluster_name, [client, server])

    answer = await _map(store, cluster_name, now_s)

    edge, cart = _only(answer), next(node for node in answer.nodes if node.name == "cart")
    assert edge.side == "server"
    assert (cart.rate_in, cart.error_rate_in, cart.p95_in_ns) == (edge.rate, edge.error_rate, edge.p95_ns)


async def test_a_node_merges_the_chosen_ends_of_its_edges(store: Store, cluster_name: str, now_s: int) -> None:
    """One edge by its server's end, one by its client's: the node's p95 is that of these two histograms together."""
    a, b = "Deployment/shop/a", "Deployment/shop/b"
    rows = [
        window_row(start_s=now_s, source=a, role="client", latencies_ns=[900_000_000] * 90),
        window_row(start_s=now_s, source=a, role="server", latencies_ns=[1_000_000] * 90, errors=9),
        window_row(start_s=now_s, source=b, role="client", latencies_ns=[50_000_000] * 10, errors=1),
        window_row(start_s=now_s, source=b, role="server", latencies_ns=[700_000_000] * 9),
    ]
    await fill(store, cluster_name, rows)

    answer = await _map(store, cluster_name, now_s)

    cart = next(node for node in answer.nodes if node.name == "cart")
    assert {edge.source: edge.side for edge in answer.edges} == {a: "server", b: "client"}
    assert cart.p95_in_ns == pytest.approx(50_000_000, rel=0.016)
    assert cart.error_rate_in == pytest.approx(0.1)
    assert cart.rate_in == pytest.approx(sum(edge.rate for edge in answer.edges))


async def test_idle_workloads_are_on_the_map(store: Store, cluster_name: str, now_s: int) -> None:
    """A Deployment with pods and no traffic is there, marked idle; one without pods is not."""
    await fill(store, cluster_name, _workload("sleepy", pods=2), table=Table.OBJECTS)
    await fill(store, cluster_name, [object_row(kind="Deployment", name="scaled-away")], table=Table.OBJECTS)

    answer = await _map(store, cluster_name, now_s)

    assert [(node.id, node.is_idle, node.pods_ready, node.pods_desired) for node in answer.nodes] == [
        ("Deployment/shop/sleepy", True, 2, 2)
    ]


async def test_deleted_workloads_leave_the_map(store: Store, cluster_name: str, now_s: int) -> None:
    """What was deleted before the end of the range is not idle but gone."""
    rows = [{**row, "deleted_ns": (now_s - 60) * NS} for row in _workload("gone")]
    await fill(store, cluster_name, rows, table=Table.OBJECTS)

    answer = await _map(store, cluster_name, now_s)

    assert answer.nodes == []


async def test_workloads_nobody_reports_any_more_leave_the_map(store: Store, cluster_name: str, now_s: int) -> None:
    """What went while no agent watched has no deletion, only a last sight."""
    rows = [{**row, "seen_ns": (now_s - 600) * NS} for row in _workload("gone")]
    await fill(store, cluster_name, rows, table=Table.OBJECTS)

    answer = await _map(store, cluster_name, now_s)

    assert answer.nodes == []


async def test_pods_unknown_is_not_zero(store: Store, cluster_name: str, now_s: int) -> None:
    """An outside address has no pods to count: unknown, not 0."""
    await fill(store, cluster_name, [window_row(start_s=now_s, source="External//203.0.113.7")])

    answer = await _map(store, cluster_name, now_s)

    outside = next(node for node in answer.nodes if node.kind == "External")
    assert (outside.pods_ready, outside.pods_desired, outside.p95_in_ns, outside.error_rate_in) == (None,) * 4


async def test_clusters_do_not_see_each_other(store: Store, cluster_name: str, now_s: int) -> None:
    """The same names in another cluster are another world."""
    await fill(store, f"{cluster_name}other", [window_row(start_s=now_s)])

    answer = await _map(store, cluster_name, now_s)

    assert (answer.nodes, answer.edges) == ([], [])


async def test_an_address_named_late_reads_under_its_name(store: Store, cluster_name: str, now_s: int) -> None:
    """Rows stored as External join the edge of the workload that owned the address, with its id."""
    late = LateName("10.9.0.1", "Deployment", "shop", "cart", now_s * NS, (now_s + 10) * NS)
    await fill(store, cluster_name, [window_row(start_s=now_s)])
    plain = _only(await _map(store, cluster_name, now_s))
    await fill(store, cluster_name, [window_row(start_s=now_s, target="External//10.9.0.1")])

    edge = _only(await _map(store, cluster_name, now_s, late_names=[late]))

    assert (edge.id, edge.target, edge.count) == (plain.id, "Deployment/shop/cart", 2)


@pytest.mark.parametrize(("age_days", "suffix"), [(0.1, "10s"), (2, "10s"), (5, "1m"), (40, "1h")])
async def test_the_table_follows_the_age_of_the_range(
    store: Store, cluster_name: str, now_s: int, age_days: float, suffix: str
) -> None:
    """A short range is answered finely only while the fine table still holds it."""
    from_s = now_s - int(age_days * 86_400)

    span = scope(store, cluster_name, from_s=from_s, to_s=from_s + 600, now_s=now_s).span

    assert span.resolution.suffix == suffix
