"""Single requests: filters, sides, pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from osmia.model.request import fingerprint
from osmia.model.wire import Table
from osmia.server.query.answers import RequestRecord
from osmia.server.query.requests import BadFilterError, RequestFilter, find_requests
from osmia.server.query.scope import Scope
from osmia.server.storage.store import Store
from tests.server.rows import NS, Row, request_row, window_row
from tests.server.telemetry import fill, scope

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


async def _stored(store: Store, cluster: str, now_s: int, rows: list[Row]) -> Scope:
    """Requests with the windows that belong to them."""
    edges = {(str(row["role"]), str(row["protocol"])) for row in rows}
    windows = [window_row(start_s=now_s, role=role, protocol=protocol) for role, protocol in edges]
    await fill(store, cluster, windows)
    await fill(store, cluster, rows, table=Table.REQUESTS)
    return scope(store, cluster, from_s=now_s - 60, to_s=now_s + 10)


async def _find(about: Scope, wanted: RequestFilter | None = None) -> list[RequestRecord]:
    return (await find_requests(about, wanted or RequestFilter(), limit=100)).items


async def test_the_newest_comes_first(store: Store, cluster_name: str, now_s: int) -> None:
    """Requests come back by falling time."""
    rows = [request_row(time_ns=now_s * NS + i * 1_000_000) for i in (2, 0, 1)]
    about = await _stored(store, cluster_name, now_s, rows)

    found = await _find(about)

    assert [one.time_ms - now_s * 1_000 for one in found] == pytest.approx([2, 1, 0], abs=0.001)


async def test_a_template_is_found_by_its_fingerprint(store: Store, cluster_name: str, now_s: int) -> None:
    """The store computes the fingerprint that links carry."""
    rows = [request_row(time_ns=now_s * NS + i, template=t) for i, t in enumerate(("/a", "/über/{id}", "SELECT ?"))]
    about = await _stored(store, cluster_name, now_s, rows)

    found = await _find(about, RequestFilter(fingerprint=fingerprint("/über/{id}")))

    assert [(one.template, one.fingerprint) for one in found] == [("/über/{id}", fingerprint("/über/{id}"))]


async def test_raw_text_is_there_only_where_it_was_sent(store: Store, cluster_name: str, now_s: int) -> None:
    """A request has the text its agent sent, mostly none."""
    rows = [request_row(time_ns=now_s * NS + i) | {"target": text} for i, text in enumerate(("", "/a?b=c"))]
    about = await _stored(store, cluster_name, now_s, rows)

    found = await _find(about)

    assert [one.raw for one in found] == ["/a?b=c", ""]


async def test_each_request_comes_from_one_side(store: Store, cluster_name: str, now_s: int) -> None:
    """Both ends reported it; the list has it once, from the server's side."""
    rows = [request_row(time_ns=now_s * NS, role=role) for role in ("client", "server")]
    about = await _stored(store, cluster_name, now_s, rows)

    found = await _find(about)

    assert [one.role for one in found] == ["server"]


async def test_the_client_s_side_serves_where_the_server_is_not_watched(
    store: Store, cluster_name: str, now_s: int
) -> None:
    """An edge seen only by its client lists the client's rows."""
    about = await _stored(store, cluster_name, now_s, [request_row(time_ns=now_s * NS, role="client")])

    found = await _find(about)

    assert [one.role for one in found] == ["client"]


@pytest.mark.parametrize(
    "wanted",
    [
        RequestFilter(source="Deployment/shop/web"),
        RequestFilter(target="Deployment/shop/cart"),
        RequestFilter(resource="Deployment/shop/cart"),
        RequestFilter(resource="Deployment/shop/web"),
        RequestFilter(protocol="http"),
        RequestFilter(status="503"),
        RequestFilter(method="PUT"),
        RequestFilter(text="ITEMS"),
        RequestFilter(min_latency_ns=70_000_000),
        RequestFilter(errors_only=True),
    ],
    ids=lambda wanted: str(wanted.conditions()[0][0]),
)
async def test_a_filter_keeps_what_it_names(store: Store, cluster_name: str, now_s: int, wanted: RequestFilter) -> None:
    """Each filter finds the request that fits and leaves out what does not."""
    about = await _stored(store, cluster_name, now_s, [
        request_row(
            time_ns=now_s * NS, status="503", method="PUT", template="/items/{}", latency_ns=80_000_000, is_error=True
        )
    ])  # fmt: skip
    opposite = {
        "source": "Deployment/shop/nobody",
        "target": "Deployment/shop/nobody",
        "resource": "Deployment/shop/nobody",
        "protocol": "postgres",
        "status": "200",
        "method": "GET",
        "text": "absent",
        "min_latency_ns": 90_000_000,
    }
    other = replace(wanted, **{name: value for name, value in opposite.items() if getattr(wanted, name)})  # type: ignore[arg-type]  # each of its own type

    found, missed = await _find(about, wanted), await _find(about, other)

    assert len(found) == 1
    assert len(missed) == (1 if wanted.errors_only else 0)


async def test_errors_only_leaves_out_what_went_well(store: Store, cluster_name: str, now_s: int) -> None:
    """A fine request is not listed among the errors."""
    about = await _stored(store, cluster_name, now_s, [request_row(time_ns=now_s * NS)])

    assert await _find(about, RequestFilter(errors_only=True)) == []


async def test_pages_follow_each_other_without_gap_or_repetition(store: Store, cluster_name: str, now_s: int) -> None:
    """Paging through, ties in time included, gives every request once, in order."""
    rows = [request_row(time_ns=now_s * NS + i // 3, client_port=1_000 + i) for i in range(25)]
    about = await _stored(store, cluster_name, now_s, rows)
    ports: list[int] = []
    cursor, pages = "", 0

    while pages < 10:
        page = await find_requests(about, RequestFilter(), limit=4, cursor=cursor)
        ports += [one.client_port for one in page.items]
        pages += 1
        if page.next_cursor is None:
            break
        cursor = page.next_cursor

    assert sorted(ports) == [1_000 + i for i in range(25)]
    assert pages == 7


async def test_a_page_stays_put_while_requests_arrive(store: Store, cluster_name: str, now_s: int) -> None:
    """New requests do not shift the following page."""
    about = await _stored(store, cluster_name, now_s, [request_row(time_ns=now_s * NS + i) for i in range(4)])
    first = await find_requests(about, RequestFilter(), limit=2)
    await fill(store, cluster_name, [request_row(time_ns=now_s * NS + 100)], table=Table.REQUESTS)

    second = await find_requests(about, RequestFilter(), limit=2, cursor=first.next_cursor or "")

    assert [round((one.time_ms - now_s * 1_000) * 1e6) // 100 for one in second.items] == [0, 0]
    assert second.next_cursor is None


async def test_a_made_up_cursor_is_refused(store: Store, cluster_name: str, now_s: int) -> None:
    """Only cursors that a page gave out continue it."""
    about = scope(store, cluster_name, from_s=now_s - 60, to_s=now_s)

    with pytest.raises(BadFilterError, match="next_cursor"):
        await find_requests(about, RequestFilter(), limit=10, cursor="bm9wZQ==")
