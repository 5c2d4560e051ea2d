"""The service map in a real browser on a real server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Site
from tests.browser.figures import duration, rate, share

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

TESTSERVER = "Deployment/testserver/testserver"
LOADGEN = "Deployment/testserver/loadgen"
POSTGRES = "StatefulSet/testserver/postgres"


def _pinned(site: Site) -> str:
    """A range in which nothing arrives any more, so that page and API speak of the same requests."""
    newest = site.api("map")["newest_ms"]
    return f"from={newest - 150_000}&to={newest - 30_000}"


def _hover_edge(page: Page, source: str, target: str) -> None:
    """Move the pointer onto the middle of an edge between neighbouring columns."""
    left = page.locator(f'[data-node="{source}"] .body').bounding_box()
    right = page.locator(f'[data-node="{target}"] .body').bounding_box()
    assert left is not None
    assert right is not None
    x = (left["x"] + left["width"] + right["x"]) / 2
    middle = (left["y"] + left["height"] / 2 + right["y"] + right["height"] / 2) / 2
    card = page.get_by_test_id("hover-card")
    for offset in range(0, 40, 3):
        for y in (middle - offset, middle + offset):
            page.mouse.move(x, y)
            if card.is_visible():
                return
    raise AssertionError(f"no edge is drawn from {source} to {target}")


def test_map_shows_every_workload_and_call_of_the_server(open_page: OpenPage, site: Site) -> None:
    """What the API lists is on the page: nodes by name, edges by number."""
    answer = site.api("map")

    page = open_page("/clusters/{cluster}/map")

    expect(page.locator("[data-node]")).to_have_count(len(answer["nodes"]))
    for node in answer["nodes"]:
        expect(page.get_by_role("button", name=re.compile(f"^{re.escape(node['name'])}, "))).to_be_visible()
    expect(page.get_by_test_id("edge-count")).to_have_text(f"{len(answer['edges'])} edges")


def test_hover_card_shows_the_numbers_of_the_api(open_page: OpenPage, site: Site) -> None:
    """Rate, percentiles, errors and Service on the card are those of the API for the same range."""
    query = _pinned(site)
    sent = dict(part.split("=") for part in query.split("&"))
    edges = site.api("map", from_=sent["from"], to=sent["to"])["edges"]
    edge = next(each for each in edges if (each["source"], each["target"]) == (LOADGEN, TESTSERVER))
    page = open_page("/clusters/{cluster}/map?" + query)
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()

    _hover_edge(page, LOADGEN, TESTSERVER)

    card = page.get_by_test_id("hover-card")
    facts = dict(zip(card.locator("dt").all_inner_texts(), card.locator("dd").all_inner_texts(), strict=True))
    assert facts["requests"] == rate(edge["rate"])
    assert [facts[name] for name in ("p50", "p95", "p99")] == [
        duration(edge[f"{name}_ns"]) for name in ("p50", "p95", "p99")
    ]
    assert facts["errors"] == share(edge["error_rate"])
    assert facts["measured on"] == f"{edge['side']}'s side"
    expect(card).to_contain_text("loadgen → testserver")
    expect(card).to_contain_text(f"{edge['services'][0]['name']}:{edge['services'][0]['port']}")


def test_click_on_an_edge_opens_its_drawer(open_page: OpenPage, site: Site) -> None:
    """The drawer of an edge has its charts, and the address names the edge."""
    page = open_page("/clusters/{cluster}/map?" + _pinned(site))
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()
    _hover_edge(page, LOADGEN, TESTSERVER)

    page.mouse.down()
    page.mouse.up()

    drawer = page.get_by_role("complementary", name="loadgen → testserver")
    expect(drawer.get_by_role("img", name=re.compile(r"^Latency\. p50: now .* p95: now "))).to_be_visible()
    expect(page).to_have_url(re.compile(r"edge="))


def test_drawer_opens_and_closes_by_keyboard_alone(open_page: OpenPage) -> None:
    """Tab reaches the map, arrows walk along calls, Enter opens, Escape closes."""
    page = open_page("/clusters/{cluster}/map")
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.hasAttribute('data-node')"):
            break
    page.locator(f'[data-node="{LOADGEN}"]').focus()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")

    drawer = page.get_by_role("complementary", name="testserver")
    expect(drawer.get_by_role("region", name="Incoming").get_by_role("link", name="loadgen")).to_be_visible()
    expect(drawer.get_by_role("region", name="Outgoing").get_by_role("link", name="postgres")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)


def test_drawer_shows_the_statements_of_the_database(open_page: OpenPage) -> None:
    """A statement opens to its statuses and can be copied."""
    page = open_page("/clusters/{cluster}/map?node=" + POSTGRES)

    incoming = page.get_by_role("region", name="Incoming")
    incoming.get_by_role("button", name=re.compile("SELECT rate FROM rates")).click()

    expect(incoming.get_by_role("button", name="Copy statement")).to_be_visible()
    expect(incoming.get_by_text(re.compile(r"^ok \d"))).to_be_visible()


def test_address_restores_what_was_seen(open_page: OpenPage, site: Site) -> None:
    """Filters, colour, table and selection come back by the address alone."""
    page = open_page("/clusters/{cluster}/map")
    page.get_by_role("button", name="Errors only").click()
    page.get_by_role("button", name="Colour: p95 latency").click()
    page.get_by_role("menuitem", name="p99 latency").click()
    page.get_by_role("button", name="Table").click()
    page.get_by_role("table").get_by_role("button", name="postgres", exact=True).click()
    expect(page.get_by_role("complementary", name="postgres")).to_be_visible()

    again = open_page(page.url.removeprefix(site.url))

    expect(again.get_by_role("button", name="Errors only", pressed=True)).to_be_visible()
    expect(again.get_by_role("button", name="Colour: p99 latency")).to_be_visible()
    expect(again.get_by_role("complementary", name="postgres")).to_be_visible()
    expect(again.get_by_role("table", name="Calls between services")).to_be_visible()


def test_positions_survive_a_reload(open_page: OpenPage) -> None:
    """The map of a browser stands where it stood."""
    page = open_page("/clusters/{cluster}/map")
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()
    read = "nodes => nodes.map(node => [node.dataset.node, node.getAttribute('transform')]).sort()"
    before = page.locator("[data-node]").evaluate_all(read)

    page.reload()

    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()
    assert page.locator("[data-node]").evaluate_all(read) == before


def test_figures_move_while_live_and_stop_when_paused(open_page: OpenPage) -> None:
    """A live page asks again when data arrives; a paused one is pinned in its address."""
    page = open_page("/clusters/{cluster}/map")
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()

    with page.expect_response(re.compile(r"/map\?from=now-15m"), timeout=15_000):
        pass
    page.get_by_role("button", name="Pause").click()

    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    expect(page.get_by_role("button", name="Go live")).to_be_visible()


def test_failed_refresh_keeps_the_map_and_says_so(open_page: OpenPage) -> None:
    """The last map stays with its age, and the note goes once the server answers again."""
    page = open_page("/clusters/{cluster}/map", quiet=False)
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()

    page.route(re.compile(r"/map\?"), lambda route: route.fulfill(status=503, json={"error": {"message": "busy"}}))

    expect(page.get_by_text(re.compile(r"The map as of \d\d:\d\d:\d\d: the last refresh failed"))).to_be_visible()
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()
    page.unroute_all()
    expect(page.get_by_text("the last refresh failed")).to_have_count(0)


def test_search_finds_services_and_statements(open_page: OpenPage) -> None:
    """Ctrl-K leads to a service on the map, and to the requests of a statement."""
    page = open_page("/clusters/{cluster}/map")
    expect(page.locator(f'[data-node="{TESTSERVER}"]')).to_be_visible()

    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Find").fill("rates")
    page.get_by_role("option", name=re.compile("SELECT rate FROM rates")).click()

    expect(page).to_have_url(re.compile("/requests"))
    expect(page.get_by_role("article").first).to_contain_text("SELECT rate FROM rates")
