"""The load generator: its schedule, its counts, its words."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from osmia.lab.apps.loadgen import Route, parse_route, schedule
from osmia.model.errors import ConfigError

pytestmark = pytest.mark.anyio

COMMAND = (sys.executable, "-m", "osmia.lab.apps.loadgen")


@given(st.lists(st.floats(0.5, 50), min_size=1, max_size=6), st.floats(1, 5))
def test_every_route_keeps_its_rate(rates: list[float], seconds: float) -> None:
    """After any time each route was scheduled rate x time times, give or take one."""
    routes = [Route(f"/{number}", rate) for number, rate in enumerate(rates)]

    sent = Counter(path for _, path in itertools.takewhile(lambda one: one[0] < seconds, schedule(routes)))

    for route in routes:
        assert abs(sent[route.path] - route.rate * seconds) <= 1 + 1e-6


@given(st.lists(st.floats(0.5, 50), min_size=1, max_size=6))
def test_the_schedule_is_in_order(rates: list[float]) -> None:
    """Moments never go backwards."""
    routes = [Route(f"/{number}", rate) for number, rate in enumerate(rates)]

    moments = [moment for moment, _ in itertools.islice(schedule(routes), 200)]

    assert moments == sorted(moments)


def test_a_route_is_a_path_and_a_rate() -> None:
    """The last = separates, so that paths may have queries."""
    assert parse_route("/search?q=bee=2.5") == Route("/search?q=bee", 2.5)


@pytest.mark.parametrize("text", ["", "/a", "a=1", "/a=0", "/a=fast", "/a=-1"])
def test_what_is_no_route_is_refused(text: str) -> None:
    """The error names field, value and form."""
    with pytest.raises(ConfigError, match="REQUESTS_PER_SECOND") as caught:
        parse_route(text)

    assert (caught.value.field, caught.value.value) == ("routes", text)


@pytest.fixture
async def target() -> AsyncIterator[tuple[str, list[tuple[str, int]]]]:
    """A server that answers /status/N with N and keeps (path, client port) of each request."""
    seen: list[tuple[str, int]] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        seen.append((request.path, request.transport.get_extra_info("peername")[1]))
        return web.Response(status=int(request.match_info["code"]))

    app = web.Application()
    app.router.add_get("/status/{code}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    await runner.cleanup()


async def test_a_finite_load_sends_exactly_what_it_says(target: tuple[str, list[tuple[str, int]]]) -> None:
    """One line per request with running totals, a summary, and the server saw the same, on several connections."""
    url, seen = target

    done = await anyio.run_process(
        [*COMMAND, "--url", url, "--total", "60", "--routes", "/status/200=200", "--routes", "/status/503=100"]
    )
    *records, summary = map(json.loads, done.stdout.splitlines())

    assert Counter(record["path"] for record in records) == Counter(path for path, _ in seen) == summary["by_path"]
    assert summary["type"] == "summary"
    assert (summary["total"], summary["failed"], len(seen)) == (60, 0, 60)
    assert summary["by_status"] == {"200": 40, "503": 20}
    assert [record["total"] for record in records] == list(range(1, 61))
    assert len({port for _, port in seen}) >= 8


async def test_a_running_load_stops_on_sigterm_with_a_summary(target: tuple[str, list[tuple[str, int]]]) -> None:
    """Being told to stop ends the schedule, not the requests that are under way."""
    url, seen = target
    process = await anyio.open_process([*COMMAND, "--url", url, "--routes", "/status/200=50"])
    with anyio.fail_after(10):
        while len(seen) < 10:  # noqa: ASYNC110 - what the server saw
            await anyio.sleep(0.01)

    os.kill(process.pid, signal.SIGTERM)
    assert process.stdout is not None
    output = b"".join([chunk async for chunk in process.stdout])
    code = await process.wait()

    summary = json.loads(output.splitlines()[-1])
    assert code == 0
    assert summary["total"] == len(seen)


async def test_a_target_that_is_not_there_is_named() -> None:
    """Without a target the load ends with an error instead of counting failures."""
    done = await anyio.run_process([*COMMAND, "--url", "http://127.0.0.1:1", "--start-timeout-s", "0.2"], check=False)

    assert done.returncode == 1
    assert b"http://127.0.0.1:1 accepts no connection" in done.stderr
