"""`osmia demo --check`: a load of known counts, and what Osmia says of it beside what the others logged.

The kernel's view of a request lies between two others: it starts later and ends earlier than the client's stopwatch,
and starts earlier and ends later than the application's. So latencies are held between those two, widened by the
histogram's own error and a little for the clocks of busy processes; counts must be equal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from osmia.demo.truth import Load, Served, percentile, read_load, read_served, read_statements
from osmia.demo.world import World
from osmia.model.errors import LabError
from osmia.model.request import Protocol
from osmia.protocols.registry import PROTOCOLS

__all__ = ["Check", "Sabotage", "run_check"]

Sabotage = str
"""Empty, "agent" (stopped in mid-load) or "counts" (one edge altered): the check must fail."""

ROUTES = {
    "/currencies/": 40,
    "/exchange_rate/USD/EUR/": 20,
    "/status/200/": 3,
    "/status/404/": 2,
    "/status/503/": 2,
    "/slow_report/": 1,
}
"""Requests per second of the check's load, by path."""

LOAD_S = 18
EDGES_WITHIN_S = 20.0
RATE_TOLERANCE = 0.02
_HISTOGRAM_ERROR = 1 / 65
_SLACK_S = 0.002
_SETTLE_DEADLINE_S = 12.0

_LOADGEN, _TESTSERVER = "Pod/loadgen/loadgen", "Deployment/testserver/testserver"
_CURRENCIES, _POSTGRES = "Deployment/testserver/currencies", "Deployment/testserver/postgres"
_STORY = {
    "loadgen → testserver": (_LOADGEN, _TESTSERVER, "http", "testserver-service"),
    "testserver → currencies": (_TESTSERVER, _CURRENCIES, "http", "sample-service-currencies"),
    "testserver → postgres": (_TESTSERVER, _POSTGRES, "postgres", "postgres"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: what was expected, what was found, and whether they agree."""

    name: str
    passed: bool
    expected: str
    found: str


async def run_check(world: World, sabotage: Sabotage) -> list[Check]:
    """Start the agent, drive the load, wait until the map has settled, compare.

    Raises:
        LabError: the load did not run to its end.
    """
    agent = await world.start_agent()
    first_seen: dict[str, float] = {}
    began_ms = int(agent.started_s * 1000) - 10_000
    _create_load(world)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_edges, world, began_ms, first_seen)
        if sabotage == "agent":
            await anyio.sleep(LOAD_S / 2)
            agent.stop()
        load = await _finish_load(world)
        tasks.cancel_scope.cancel()
    if sabotage == "counts":
        await _alter_counts(world)
    served, statements = await _read_truth(world, since_s=load.first_s)
    await _settle(world, began_ms, load)
    answer = await world.api.get(f"/clusters/{world.cluster_id}/map", **_range(began_ms))
    quality = await world.api.get(f"/clusters/{world.cluster_id}/quality")
    endpoints = await _endpoints(world, began_ms)
    during = await world.api.get(f"/clusters/{world.cluster_id}/map", **{"from": began_ms, "to": load.last_ms})
    edges = {name: _find(answer["edges"], story) for name, story in _STORY.items()}
    since_start = {name: at - agent.started_s for name, at in first_seen.items()}
    return [
        *_presence(edges, since_start),
        *_counts(edges, load, served, statements),
        *_statuses(endpoints, load),
        *_rates(_find(during["edges"], _STORY["loadgen → testserver"]), load),
        *_latencies(edges, load, served),
        Check("no event lost", quality["lost"] == 0, "0 lost", f"{quality['lost']} lost"),
        Check(
            "counts declared exact", bool(quality["is_exact"]), "exact", "exact" if quality["is_exact"] else "not exact"
        ),
    ]


# ---- the load ------------------------------------------------------------------------------------------------------


def _create_load(world: World) -> None:
    total = sum(ROUTES.values()) * LOAD_S
    arguments = [f"--total={total}", *(f"--routes={path}={rate}" for path, rate in ROUTES.items())]
    arguments.append("--url=http://testserver-service.testserver:8200")
    container = {"name": "loadgen", "image": "osmia/loadgen", "args": arguments}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loadgen", "namespace": "loadgen"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    world.lab.api.create("pods", pod)


async def _finish_load(world: World) -> Load:
    with anyio.move_on_after(LOAD_S * 3):
        while True:
            (pod,) = world.lab.pods("loadgen", "loadgen")
            if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
                break
            await anyio.sleep(0.1)
    (pod,) = world.lab.pods("loadgen", "loadgen")
    load = read_load(await world.lab.read_log(pod))
    if not load.is_complete:
        raise LabError(f"the check's load did not end: phase {pod.get('status', {}).get('phase')}, {load.total} sent")
    return load


async def _watch_edges(world: World, began_ms: int, first_seen: dict[str, float]) -> None:
    while len(first_seen) < len(_STORY):
        answer = await world.api.get(f"/clusters/{world.cluster_id}/map", **_range(began_ms))
        for name, story in _STORY.items():
            if name not in first_seen and _find(answer["edges"], story):
                first_seen[name] = time.time()
        await anyio.sleep(0.3)


async def _settle(world: World, began_ms: int, load: Load) -> None:
    """Wait until the map has the load's last request, or for as long as any agent needs to report."""
    with anyio.move_on_after(_SETTLE_DEADLINE_S):
        while True:
            answer = await world.api.get(f"/clusters/{world.cluster_id}/map", **_range(began_ms))
            edge = _find(answer["edges"], _STORY["loadgen → testserver"])
            if edge and edge["count"] >= load.total and answer["newest_ms"] > load.last_s * 1000 + 3000:
                return
            await anyio.sleep(0.3)


async def _read_truth(world: World, *, since_s: float) -> tuple[dict[str, Served], int]:
    served = {}
    for name in ("testserver", "currencies"):
        logs = [await world.lab.read_log(pod) for pod in world.lab.pods("testserver", f"{name}-")]
        served[name] = read_served(logs)
    (postgres,) = world.lab.pods("testserver", "postgres-")
    return served, read_statements(await world.lab.read_log(postgres), since_s=since_s)


async def _endpoints(world: World, began_ms: int) -> Counter[tuple[str, int]]:
    """Requests that the server attributes to loadgen, by (template, status)."""
    answer = await world.api.get(f"/clusters/{world.cluster_id}/resources/{_TESTSERVER}", **_range(began_ms))
    counted: Counter[tuple[str, int]] = Counter()
    for peer in answer["incoming"]:
        if peer["peer"]["id"] != _LOADGEN:
            continue
        for endpoint in peer["endpoints"]:
            for status, count in endpoint["statuses"].items():
                counted[endpoint["template"], int(status) if status.isdigit() else 0] += count
    return counted


async def _alter_counts(world: World) -> None:
    """Tell the server of five requests that never were, as an agent would."""
    from osmia.demo.forgery import forged_window

    await forged_window(world, source=_LOADGEN, destination=_TESTSERVER, count=5)


# ---- the comparisons -----------------------------------------------------------------------------------------------


def _presence(edges: dict[str, Any], since_start: dict[str, float]) -> Iterator[Check]:
    for name, story in _STORY.items():
        services = sorted({service["name"] for service in edges[name]["services"]}) if edges[name] else []
        yield Check(f"{name}: through its Service", services == [story[3]], story[3], ", ".join(services) or "no edge")
        seen_s = since_start.get(name)
        yield Check(
            f"{name}: on the map in time",
            seen_s is not None and seen_s <= EDGES_WITHIN_S,
            f"≤ {EDGES_WITHIN_S:g} s after the agent's start",
            "never" if seen_s is None else f"{seen_s:.1f} s",
        )


def _counts(edges: dict[str, Any], load: Load, served: dict[str, Served], statements: int) -> Iterator[Check]:
    testserver, currencies = served["testserver"], served["currencies"]
    yield _equal("loadgen's log = testserver's log", load.total, testserver.total)
    yield _equal("loadgen → testserver: requests", load.total, _value(edges["loadgen → testserver"], "count"))
    yield _equal("loadgen → testserver: 5xx", load.errors, _value(edges["loadgen → testserver"], "errors"))
    yield _equal(
        "testserver → currencies: requests", currencies.total, _value(edges["testserver → currencies"], "count")
    )
    yield _equal("testserver → postgres: statements", statements, _value(edges["testserver → postgres"], "count"))


def _statuses(endpoints: Counter[tuple[str, int]], load: Load) -> Iterator[Check]:
    expected: Counter[tuple[str, int]] = Counter()
    for (path, status), count in load.by_path_status.items():
        template = PROTOCOLS[Protocol.HTTP].request(f"GET {path} HTTP/1.1\r\n".encode()).template
        expected[template, status] += count
    for template, status in sorted(expected):
        yield _equal(f"{template} {status}", expected[template, status], endpoints[template, status])
    rest = sum((endpoints - expected).values())
    yield _equal("requests under any other route or status", 0, rest)


def _rates(edge: dict[str, Any] | None, load: Load) -> Iterator[Check]:
    sent = load.total / max(load.last_s - load.first_s, 1.0)
    found = _value(edge, "rate")
    off = (found - sent) / sent if sent else 1.0
    yield Check(
        "loadgen → testserver: requests per second",
        abs(off) <= RATE_TOLERANCE,
        f"{sent:.2f}/s ± {RATE_TOLERANCE:.0%}",
        f"{found:.2f}/s ({off:+.1%})",
    )


def _latencies(edges: dict[str, Any], load: Load, served: dict[str, Served]) -> Iterator[Check]:
    edge = edges["loadgen → testserver"]
    for share, key in ((0.5, "p50_ns"), (0.95, "p95_ns")):
        low = percentile(served["testserver"].durations_s, share) * (1 - _HISTOGRAM_ERROR) - _SLACK_S
        high = percentile(load.latencies_s, share) * (1 + _HISTOGRAM_ERROR) + _SLACK_S
        found = _value(edge, key) / 1e9
        yield Check(
            f"loadgen → testserver: {key[:3]}",
            low <= found <= high,
            f"{max(low, 0) * 1000:.1f} to {high * 1000:.1f} ms",
            f"{found * 1000:.1f} ms",
        )


def _find(edges: Sequence[dict[str, Any]], story: tuple[str, str, str, str]) -> dict[str, Any] | None:
    source, target, protocol, _ = story
    found = [edge for edge in edges if (edge["source"], edge["target"], edge["protocol"]) == (source, target, protocol)]
    return found[0] if found else None


def _value(edge: dict[str, Any] | None, key: str) -> float:
    return float((edge or {}).get(key) or 0)


def _equal(name: str, expected: float, found: float) -> Check:
    return Check(name, expected == found, f"{expected:g}", f"{found:g}")


def _range(began_ms: int) -> dict[str, str | int]:
    return {"from": began_ms, "to": "now"}
