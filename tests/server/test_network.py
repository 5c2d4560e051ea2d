"""Connections: under the edges that speak on them, or edges of their own; failures counted where they are known."""

from __future__ import annotations

import pytest

from osmia.model.wire import Table
from osmia.server.query.answers import Edge, EdgeNetwork, Map
from osmia.server.query.late_names import LateName
from osmia.server.query.network import edge_network
from osmia.server.query.resources import ResourceName, resource_details
from osmia.server.query.service_map import service_map
from osmia.server.storage.store import Store
from tests.server.rows import NS, Row, connection_row, entity, listener_row, window_row
from tests.server.telemetry import fill, scope

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

_MS = 1_000_000


async def _connections(store: Store, cluster: str, *rows: Row) -> None:
    await fill(store, cluster, rows, table=Table.CONNECTIONS)


async def _map(store: Store, cluster: str, now_s: int, **known: object) -> Map:
    return await service_map(scope(store, cluster, from_s=now_s - 300, to_s=now_s + 10, **known))  # type: ignore[arg-type]  # passed on


def _only(answer: Map) -> Edge:
    assert len(answer.edges) == 1
    return answer.edges[0]


def _network(edge: Edge) -> EdgeNetwork:
    assert edge.network is not None
    return edge.network


async def test_an_edge_with_requests_gets_its_network_figures(store: Store, cluster_name: str, now_s: int) -> None:
    """The connections of a spoken port are no edge of their own, and its requests stay as they are."""
    await fill(store, cluster_name, [window_row(start_s=now_s, latencies_ns=[2 * _MS] * 6)])
    await _connections(store, cluster_name, connection_row(start_s=now_s, connects_ns=[_MS] * 3))

    edge = _only(await _map(store, cluster_name, now_s))

    assert (edge.protocol, edge.count) == ("http", 6)
    assert (_network(edge).opened, _network(edge).client_bytes) == (3, 300)
    assert _network(edge).connect_p50_ns == pytest.approx(_MS, rel=0.016)
    assert _network(edge).rtt_mean_ns == 50_000


async def test_a_port_where_nothing_is_understood_is_an_edge_of_its_own(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """Beside the edge of the requests there is a tcp edge of the other ports, counted in connects."""
    await fill(store, cluster_name, [window_row(start_s=now_s)])
    other = connection_row(start_s=now_s, connects_ns=[3 * _MS] * 4, server_port=6379)
    await _connections(store, cluster_name, connection_row(start_s=now_s), other)

    edges = {edge.protocol: edge for edge in (await _map(store, cluster_name, now_s)).edges}

    assert set(edges) == {"http", "tcp"}
    assert edges["tcp"].id != edges["http"].id
    assert (edges["tcp"].count, edges["tcp"].errors, edges["tcp"].services[0].port) == (4, 0, 6379)
    assert edges["tcp"].p95_ns == pytest.approx(3 * _MS, rel=0.016)
    assert _network(edges["http"]).opened == 1


async def test_failed_connects_are_an_edge_of_errors(store: Store, cluster_name: str, now_s: int) -> None:
    """A workload that never answers is on the map, with the reasons counted, and neither node counts requests."""
    row = connection_row(start_s=now_s, connects_ns=[], refused=5, timed_out=2, cancelled=9)
    await _connections(store, cluster_name, row)

    answer = await _map(store, cluster_name, now_s)

    edge = _only(answer)
    assert (edge.protocol, edge.count, edge.errors, edge.error_rate) == ("tcp", 7, 7, 1.0)
    assert _network(edge).failures == {"refused": 5, "timed_out": 2}
    assert _network(edge).cancelled == 9
    assert edge.p95_ns is None
    assert {(node.name, node.rate_in, node.error_rate_in, node.is_idle) for node in answer.nodes} == {
        ("web", 0.0, None, False),
        ("cart", 0.0, None, False),
    }


async def test_both_ends_are_one_edge(store: Store, cluster_name: str, now_s: int) -> None:
    """Counts are one side's; failures and connect times the client's; retransmits are added, each end sends its own."""
    client = connection_row(start_s=now_s, connects_ns=[_MS] * 4, refused=1, retransmits=2, segments=20)
    server = connection_row(
        start_s=now_s, role="server", connects_ns=[_MS] * 5, connect_buckets=(), connect_counts=(), retransmits=3
    )
    await _connections(store, cluster_name, client, server)

    edge = _only(await _map(store, cluster_name, now_s))

    network = _network(edge)
    assert (edge.side, network.opened, network.failed) == ("server", 5, 1)
    assert network.connect_p95_ns == pytest.approx(_MS, rel=0.016)
    assert (network.retransmits, network.segments) == (5, 30)
    assert network.retransmit_share == pytest.approx(5 / 30)


async def test_open_connections_are_averaged_over_time(store: Store, cluster_name: str, now_s: int) -> None:
    """Two connections that were open for 20 s are two on average."""
    rows = [
        connection_row(start_s=start, connects_ns=[], active_ms=20_000, first_ns=start * NS, last_ns=(start + 10) * NS)
        for start in (now_s - 20, now_s - 10)
    ]
    await _connections(store, cluster_name, *rows)

    edge = _only(await _map(store, cluster_name, now_s, newest_ns=now_s * NS))

    assert _network(edge).active == pytest.approx(2.0)
    assert edge.count == 0


async def test_details_of_a_tcp_edge_leave_out_what_belongs_to_requests(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """Its ports are those that no other edge has, over time, and the edge of the requests has the rest."""
    await fill(store, cluster_name, [window_row(start_s=now_s)])
    failing = connection_row(start_s=now_s - 60, connects_ns=[], unreachable=30, server_port=5432)
    later = connection_row(start_s=now_s, connects_ns=[_MS], server_port=6379)
    await _connections(store, cluster_name, connection_row(start_s=now_s), failing, later)
    asked = scope(store, cluster_name, from_s=now_s - 300, to_s=now_s + 10)
    ids = {edge.protocol: int(edge.id, 16) for edge in (await service_map(asked)).edges}

    tcp = await edge_network(asked, edge_id=ids["tcp"], points=60)
    http = await edge_network(asked, edge_id=ids["http"], points=60)

    assert tcp is not None
    assert http is not None
    assert tcp.total is not None
    assert sorted(one.port for one in tcp.ports) == [5432, 6379]
    assert (tcp.total.opened, tcp.total.failed) == (1, 30)
    assert [one.port for one in http.ports] == [8080]
    failed = [rate for rate in tcp.series.failed_rate if rate]
    assert failed == [pytest.approx(3.0)]
    assert sum(rate or 0 for rate in tcp.series.opened_rate) > 0


async def test_an_edge_that_was_never_seen_has_no_details(store: Store, cluster_name: str, now_s: int) -> None:
    """There is nothing to show of an unknown id."""
    assert await edge_network(scope(store, cluster_name, from_s=now_s - 60, to_s=now_s), edge_id=7, points=60) is None


async def test_late_names_apply_to_connections(store: Store, cluster_name: str, now_s: int) -> None:
    """An address that was named after its connections is read under its name, id included."""
    late = LateName("10.9.0.7", "Deployment", "shop", "cart", (now_s - 60) * NS, (now_s + 60) * NS)
    await _connections(store, cluster_name, connection_row(start_s=now_s, target="External//10.9.0.7"))

    edge = _only(await _map(store, cluster_name, now_s, late_names=[late]))

    assert edge.target == "Deployment/shop/cart"


async def test_rollups_keep_the_sums(store: Store, cluster_name: str, now_s: int) -> None:
    """A day's question is answered from minutes, with the same counts."""
    await _connections(store, cluster_name, *(connection_row(start_s=now_s - 10 * i) for i in range(6)))

    edge = _only(await service_map(scope(store, cluster_name, from_s=now_s - 86_400, to_s=now_s + 60)))

    assert _network(edge).opened == 6


async def test_queues_of_listening_ports_are_stored(store: Store, cluster_name: str, now_s: int) -> None:
    """Parts of one window add up: drops are summed, of the queue the longest stays."""
    rows = [listener_row(start_s=now_s, dropped=2), listener_row(start_s=now_s, dropped=3, waiting=4)]
    await fill(store, cluster_name, rows, table=Table.LISTENERS)

    found = await store.query(
        "SELECT sum(dropped) AS dropped, max(waiting) AS waiting FROM listeners WHERE cluster = {cluster:String}",
        {"cluster": cluster_name},
    )

    assert [(row["dropped"], row["waiting"]) for row in found] == [(5, 4)]


async def test_external_peers_keep_their_address(store: Store, cluster_name: str, now_s: int) -> None:
    """An HTTPS service outside is a tcp edge to its address."""
    outside = {**entity("destination", "External//198.51.100.20")}
    await _connections(store, cluster_name, connection_row(start_s=now_s, server_port=443, **outside))

    edge = _only(await _map(store, cluster_name, now_s))

    assert (edge.target, edge.protocol, edge.services[0].port) == ("External//198.51.100.20", "tcp", 443)


async def test_a_workload_shows_the_connections_that_no_peer_speaks_on(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """Those under its requests are not told twice, and what nobody understands is told by peer and port."""
    await fill(store, cluster_name, [window_row(start_s=now_s)])
    cache = connection_row(start_s=now_s, target="StatefulSet/shop/cache", server_port=6379)
    down = connection_row(start_s=now_s, source="Deployment/shop/old", connects_ns=[], refused=3, server_port=9000)
    await _connections(store, cluster_name, connection_row(start_s=now_s), cache, down)
    asked = scope(store, cluster_name, from_s=now_s - 300, to_s=now_s + 10)

    web = await resource_details(asked, ResourceName("Deployment", "shop", "web"))
    cart = await resource_details(asked, ResourceName("Deployment", "shop", "cart"))

    assert web is not None
    assert cart is not None
    assert [(one.peer.name, one.port) for one in web.links_out] == [("cache", 6379)]
    assert web.links_in == []
    assert [(one.peer.name, one.network.failures) for one in cart.links_in] == [("old", {"refused": 3})]


async def test_a_workload_that_only_connects_has_details(store: Store, cluster_name: str, now_s: int) -> None:
    """A node of the map can be opened, though it has no request; its listening ports tell of their queues."""
    await _connections(store, cluster_name, connection_row(start_s=now_s, server_port=6379))
    await fill(store, cluster_name, [listener_row(start_s=now_s, port=6379, dropped=2)], table=Table.LISTENERS)
    asked = scope(store, cluster_name, from_s=now_s - 300, to_s=now_s + 10)

    details = await resource_details(asked, ResourceName("Deployment", "shop", "cart"))

    assert details is not None
    assert (details.resource.is_idle, details.summary.count) == (False, 0)
    assert [(one.peer.name, one.port) for one in details.links_in] == [("web", 6379)]
    assert [(one.port, one.dropped, one.waiting, one.waiting_max) for one in details.listening] == [(6379, 2, 3, 4)]
