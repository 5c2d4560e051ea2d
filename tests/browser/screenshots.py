"""Takes the pictures of the documentation from a running server: `python -m tests.browser.screenshots URL OUTDIR`.

The cluster is the one called "demo", or the first one with traffic. Every picture is taken in both themes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, ViewportSize, expect

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.chromium import SCHEMES, Scheme, open_browser

_SIZE: ViewportSize = {"width": 1440, "height": 900}
_LOADING = ".mantine-Skeleton-root"


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="address of a running server")
    parser.add_argument("directory", type=Path, help="where the PNG files go")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    cluster = _cluster(given.url)
    pages = _pages(given.url, cluster)
    with open_browser() as browser:
        for scheme in SCHEMES:
            for name, path in pages.items():
                target = given.directory / f"{name}-{scheme}.png"
                _take(browser, given.url + path, scheme, target)
                print(target)  # noqa: T201 - a script


def _cluster(url: str) -> str:
    clusters = httpx.get(f"{url}/api/v1/clusters").raise_for_status().json()["items"]
    if not clusters:
        raise SystemExit(f"{url} has no cluster: add one, or run `python tests/server/seed.py {url}`")
    named = [each for each in clusters if each["name"] == "demo"] or [
        each for each in clusters if each["state"] == "connected"
    ]
    found: str = (named or clusters)[0]["id"]
    return found


def _pages(url: str, cluster: str) -> dict[str, str]:
    nodes = httpx.get(f"{url}/api/v1/clusters/{cluster}/map").raise_for_status().json()["nodes"]
    busiest = max(nodes, key=lambda node: node["rate_in"], default=None)
    home = f"/clusters/{cluster}"
    pages = {"map": f"{home}/map", "table": f"{home}/map?view=table", "requests": f"{home}/requests"}
    if busiest is not None:
        called = next((node for node in nodes if node["name"] == "testserver"), busiest)
        pages |= {"drawer": f"{home}/map?node={called['id']}", "resource": f"{home}/resource?id={called['id']}"}
    agents = httpx.get(f"{url}/api/v1/clusters/{cluster}/quality").raise_for_status().json()["agents"]
    if agents:
        pages |= {"agents": f"{home}/agents?agent={agents[0]['id']}"}
    return pages | {"clusters": "/clusters", "setup": f"{home}/setup"}


def _take(browser: Browser, address: str, scheme: Scheme, target: Path) -> None:
    context = browser.new_context(viewport=_SIZE, color_scheme=scheme, device_scale_factor=1.5)
    page = context.new_page()
    page.goto(address)
    _settle(page)
    page.screenshot(path=target)
    context.close()


def _settle(page: Page) -> None:
    """Until the data is there, the fonts are loaded and two frames have been drawn."""
    expect(page.locator("main")).not_to_be_empty(timeout=15_000)
    expect(page.locator(_LOADING)).to_have_count(0, timeout=15_000)
    page.wait_for_load_state("load")
    page.wait_for_function("document.fonts.status === 'loaded'")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


if __name__ == "__main__":
    main()
