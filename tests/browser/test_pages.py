"""Clusters, requests, themes and the basics of accessibility, in a real browser on a real server."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from osmia.model.wire import Table
from tests.browser.chromium import SCHEMES, Scheme
from tests.browser.conftest import OpenPage, Site
from tests.server.process import Cluster
from tests.server.rows import ledger_row

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

PAGES = {
    "map": "/clusters/{cluster}/map",
    "drawer": "/clusters/{cluster}/map?node=Deployment/testserver/testserver",
    "table": "/clusters/{cluster}/map?view=table",
    "requests": "/clusters/{cluster}/requests",
    "resource": "/clusters/{cluster}/resource?id=Deployment/testserver/testserver",
    "agents": "/clusters/{cluster}/agents",
    "agent": "/clusters/{cluster}/agents?agent=seed-node-2",
    "clusters": "/clusters",
    "add": "/clusters/new",
    "setup": "/clusters/{cluster}/setup",
}

_AUDIT = (Path(__file__).parent / "audit.js").read_text()


def _settled(page: Page) -> Page:
    """The page once its data is there."""
    expect(page.get_by_role("main")).not_to_be_empty()
    expect(page.locator(".mantine-Skeleton-root")).to_have_count(0)
    page.wait_for_function("document.fonts.status === 'loaded'")
    return page


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everything_has_a_name_and_can_be_read(open_page: OpenPage, site: Site, scheme: Scheme) -> None:
    """Names, labels, landmarks and contrast hold on every page in both themes."""
    page = open_page("/clusters", scheme=scheme)
    problems = {}
    for name, path in PAGES.items():
        page.goto(site.url + path.replace("{cluster}", site.cluster))
        _settled(page).evaluate(_AUDIT)
        problems[name] = page.evaluate("[...audit.unnamed(), ...audit.faint()]")

    assert {name: found for name, found in problems.items() if found} == {}


@pytest.mark.parametrize("width", [1000, 1280, 1920])
def test_no_page_is_wider_than_the_window(open_page: OpenPage, site: Site, width: int) -> None:
    """Nothing scrolls sideways, and the rail shrinks to icons in a narrow window."""
    page = open_page("/clusters", width=width)
    for name in ("drawer", "table", "requests", "resource", "agents", "agent", "setup"):
        page.goto(site.url + PAGES[name].replace("{cluster}", site.cluster))
        _settled(page)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        rail = page.get_by_role("navigation", name="Pages").bounding_box()
        assert rail is not None
        assert rail["width"] == (200 if width >= 1200 else 52)


def test_theme_follows_the_system_until_one_is_chosen(open_page: OpenPage) -> None:
    """Dark by the system; light by choice, which a reload keeps."""
    page = open_page("/clusters", scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    expect(page.get_by_role("heading", name="Clusters")).to_be_visible()
    assert page.evaluate(background) == "rgb(20, 23, 28)"

    page.get_by_role("button", name="Theme: As the system").click()
    page.get_by_role("menuitem", name="Light").click()

    page.wait_for_function(f"{background} === 'rgb(247, 248, 250)'")
    page.reload()
    expect(page.get_by_role("button", name="Theme: Light")).to_be_visible()
    assert page.evaluate(background) == "rgb(247, 248, 250)"


def test_adding_a_cluster_leads_from_its_name_to_its_first_data(open_page: OpenPage, site: Site) -> None:
    """Name, save, instructions, waiting; then an agent reports, and the page turns to connected by itself."""
    page = open_page("/clusters")
    page.get_by_role("link", name="Add a cluster").click()
    page.get_by_label("Name").fill("browser-test")
    page.get_by_role("button", name="Save and show instructions").click()
    expect(page.get_by_role("heading", name="Connect browser-test")).to_be_visible()
    expect(page.get_by_text("Waiting for the first data")).to_be_visible()
    setup = site.http.get("/api/v1/clusters/" + page.url.split("/clusters/")[1].split("/")[0]).json()
    for tab, way in (("kubectl", "kubectl"), ("Plain host", "host"), ("Helm", "helm")):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel").locator("pre")).to_have_text(setup["install"][way].rstrip("\n"))
    expect(page.get_by_text(setup["install"]["monitoring_id"], exact=True)).to_be_visible()

    Cluster(site.http, setup).post(Table.LEDGER, [ledger_row(time_ns=time.time_ns())])

    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    page.get_by_role("link", name="Open the service map").click()
    expect(page.get_by_role("heading", name="No traffic in this time range")).to_be_visible()

    page.goto(site.url + "/clusters")
    page.get_by_role("button", name="Actions for browser-test").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_label("Type browser-test to confirm").fill("browser-test")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="browser-test")).to_have_count(0)


def test_request_list_filters_and_opens(open_page: OpenPage) -> None:
    """Only failed requests remain, and an opened one shows who saw it."""
    page = open_page("/clusters/{cluster}/requests")
    expect(page.get_by_role("article").first).to_be_visible()

    page.get_by_role("button", name="Errors only").click()

    expect(page).to_have_url(re.compile("errors=1"))
    expect(
        page.locator("article .request-line > .num:not(.bad)").filter(has_text=re.compile(r"^200$|^ok$"))
    ).to_have_count(0)
    first = page.get_by_role("article").first
    first.get_by_role("button", expanded=False).click()
    expect(first.get_by_text("Seen by")).to_be_visible()
    expect(page.get_by_role("button", name="Follow new requests again")).to_be_visible()


def test_request_list_goes_on_while_scrolling(open_page: OpenPage) -> None:
    """The end of a page brings the next one."""
    page = open_page("/clusters/{cluster}/requests")
    expect(page.get_by_text("200 newest requests read")).to_be_visible()

    page.get_by_role("feed").evaluate("feed => feed.scrollTo(0, feed.scrollHeight)")

    expect(page.get_by_text("400 newest requests read")).to_be_visible()


def test_request_list_follows_live(open_page: OpenPage) -> None:
    """At its top, new requests come in by themselves."""
    page = open_page("/clusters/{cluster}/requests")
    first = page.locator(".request-time").first
    expect(first).to_be_visible()
    before = first.inner_text()

    expect(first).not_to_have_text(before)


def test_drag_on_a_chart_asks_for_that_time(open_page: OpenPage) -> None:
    """The time range in the address becomes the dragged one."""
    page = open_page("/clusters/{cluster}/resource?id=Deployment/testserver/testserver")
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + box["width"] * 0.85, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 30, steps=5)
    page.mouse.up()

    expect(page).to_have_url(re.compile(r"from=\d{13}&to=\d{13}"))
    expect(page.get_by_role("button", name="Go live")).to_be_visible()


def test_an_agent_opens_from_the_strip_and_tells_what_is_missing(open_page: OpenPage) -> None:
    """From the status strip to the page of the agents, then to the one that lacks a feature, and its reason."""
    page = _settled(open_page("/clusters/{cluster}/map"))

    page.get_by_role("button", name="Show each agent").click()
    page.get_by_role("link", name="All about the agents").click()
    page.get_by_role("button", name="node-2").click()

    drawer = page.get_by_role("complementary", name="node-2")
    expect(drawer.get_by_role("region", name="Features")).to_contain_text("CAP_NET_ADMIN is missing")
    expect(drawer.get_by_role("img", name=re.compile("^Cores. its process: now 0.0"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"/agents\?.*agent=seed-node-2"))


def test_unknown_addresses_say_so(open_page: OpenPage) -> None:
    """A cluster or a page that does not exist is not an empty page."""
    expect(
        open_page("/clusters/nope/map", quiet=False).get_by_role("heading", name="There is no such cluster")
    ).to_be_visible()
    expect(open_page("/nowhere").get_by_role("heading", name="There is no such page")).to_be_visible()
