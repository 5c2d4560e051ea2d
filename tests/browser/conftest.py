"""A real server with the demo's story going on, and pages of a real browser on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

import osmia
from tests.browser.chromium import CHROMIUM, Scheme, open_browser
from tests.server.process import ServerProcess

_SEED = Path(__file__).parents[1] / "server/seed.py"
_WEB = Path(osmia.__file__).parent / "web/index.html"

# Network namespaces that other tests make on this machine interrupt Chromium's connections; the page asks again.
_NOT_OURS = ("ERR_NETWORK_CHANGED",)

OpenPage = Callable[..., Page]


@dataclass(frozen=True, slots=True)
class Site:
    """A running server with the story's cluster."""

    url: str
    cluster: str
    http: httpx.Client

    def api(self, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        """Ask something about the story's cluster; `from_` is `from`."""
        named = {name.rstrip("_"): str(value) for name, value in query.items()}
        answer = self.http.get(f"/api/v1/clusters/{self.cluster}/{path}", params=named)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server, with three minutes of history and traffic that goes on."""
    assert _WEB.exists(), "the web UI is not built: run `make setup`, or `npm ci && npm run build` in ui/"
    with ServerProcess.start(tmp_path_factory.mktemp("site")) as server, _seeded(server.url) as cluster:
        yield Site(server.url, cluster, server.http)


@contextmanager
def _seeded(url: str) -> Iterator[str]:
    """The seed script at work against a server; gives the id of its cluster once the history is there."""
    command = [sys.executable, "-u", str(_SEED), url, "--minutes", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert "cluster demo = " in line, line
            cluster = line.rpartition("= ")[2].strip()
            _wait_for_traffic(url, cluster)
            yield cluster
        finally:
            process.kill()


def _wait_for_traffic(url: str, cluster: str) -> None:
    with httpx.Client(base_url=url, timeout=20) as http, http.stream("GET", f"/api/v1/clusters/{cluster}/live") as feed:
        for line in feed.iter_lines():
            if line.startswith("data:") and len(http.get(f"/api/v1/clusters/{cluster}/map").json()["edges"]) >= 4:
                return
    raise AssertionError("the story's traffic did not arrive")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module; every page has a context of its own.

    Not for the session: while Playwright is open its event loop counts as running, and no asynchronous test can.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium")
    expect.set_options(timeout=15_000)
    with open_browser() as opened:
        yield opened


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[OpenPage]:
    """Opens a path of the site in a fresh context; `{cluster}` is the story's. Fails if a page logged an error."""
    contexts = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in _NOT_OURS):
            complaints.append(f"{message.type}: {message.text}")

    def opened(
        path: str, *, width: int = 1280, height: int = 800, scheme: Scheme = "light", quiet: bool = True
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="UTC"
        )
        contexts.append(context)
        page = context.new_page()
        if quiet:
            page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.goto(site.url + path.replace("{cluster}", site.cluster))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
