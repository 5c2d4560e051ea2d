"""The sample applications in a lab: every route, both replicas, the logs that checks rely on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import pytest

from osmia.lab.cluster import Cluster
from osmia.lab.manifest import manifest_path

pytestmark = [pytest.mark.lab, pytest.mark.anyio, pytest.mark.timeout(90)]

Object = dict[str, Any]


@pytest.fixture(scope="module")
async def sample(lab: Cluster) -> Cluster:
    """The lab with all sample applications ready."""
    lab.apply(manifest_path("sample").read_text())
    await lab.wait_ready(60)
    return lab


@pytest.fixture
async def client(sample: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of testserver, through the load balancer's address."""
    service = sample.api.get("services", "testserver", "testserver-service")
    address = service["status"]["loadBalancer"]["ingress"][0]["ip"]
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(f"http://{address}:8200", connector=connector) as session:
        yield session


async def records(lab: Cluster, namespace: str, name: str) -> list[list[Object]]:
    """The JSON lines of each pod of a workload."""
    logs = [await lab.read_log(pod) for pod in lab.pods(namespace, name)]
    return [[json.loads(line) for line in log.splitlines() if line.startswith("{")] for log in logs]


async def test_currencies_come_over_http(client: aiohttp.ClientSession) -> None:
    """The Django application asks the Flask application."""
    async with client.get("/currencies/") as response:
        body = await response.json()

    assert response.status == 200
    assert {"USD", "EUR"} <= set(body["currencies"])


async def test_an_exchange_rate_is_asked_for_and_written_down(client: aiohttp.ClientSession) -> None:
    """HTTP to currencies, SQL to PostgreSQL: the answer has the row's number, which grows."""
    rates = []
    for _ in range(2):
        async with client.get("/exchange_rate/USD/EUR/") as response:
            rates.append(await response.json())

    assert rates[0]["from"] == "US dollar"
    assert 0.5 < float(rates[0]["rate"]) < 2
    assert rates[1]["id"] > rates[0]["id"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/status/200/", 200),
        ("/status/204/", 204),
        ("/status/404/", 404),
        ("/status/503/", 503),
        ("/status/999/", 400),
        ("/exchange_rate/USD/XXX/", 404),
        ("/slow_report/", 200),
        ("/nowhere/", 404),
    ],
)
async def test_routes_answer_with_their_status(client: aiohttp.ClientSession, path: str, status: int) -> None:
    """Each route does what it is there for."""
    async with client.get(path) as response:
        assert response.status == status


async def test_the_slow_report_is_slow_because_of_its_query(client: aiohttp.ClientSession, sample: Cluster) -> None:
    """It takes tens to hundreds of milliseconds, all the rest is far faster."""
    async with client.get("/slow_report/") as response:
        body = await response.json()
    for _ in range(5):
        async with client.get("/status/200/"):
            pass

    served = [record for pod in await records(sample, "testserver", "testserver") for record in pod]
    slow = min(record["duration_s"] for record in served if record["path"] == "/slow_report/")
    fast = min(record["duration_s"] for record in served if record["path"] == "/status/200/")
    assert len(body["rows"]) == 10
    assert slow > 0.05
    assert fast < slow / 10


async def test_the_load_reaches_all_replicas_and_both_logs_agree(sample: Cluster) -> None:
    """What loadgen says it got, testserver says it served; each replica of both tiers has its share."""
    with anyio.fail_after(40):
        while True:
            (sent,) = await records(sample, "loadgen", "loadgen")
            asked = await records(sample, "testserver", "currencies")
            # testserver keeps few connections, and which replica one leads to is chance.
            if len(sent) >= 150 and all(len(pod) > 10 for pod in asked):
                break
            await anyio.sleep(0.2)
    (load,) = sample.pods("loadgen", "loadgen")
    address = load["status"]["podIP"]
    (sent,) = await records(sample, "loadgen", "loadgen")
    served = await records(sample, "testserver", "testserver")

    from_load = [record for pod in served for record in pod if record["client"] == address]
    counts = Counter(record["path"] for record in from_load)
    for path, count in Counter(record["path"] for record in sent).items():
        assert 0 <= counts[path] - count <= 10  # served after loadgen's log was read
    assert {record["status"] for record in sent} >= {200, 404}
    assert all(record["error"] == "" for record in sent)
    assert all(len(pod) > 10 for pod in served)


async def test_replicas_that_start_at_once_migrate_once(sample: Cluster) -> None:
    """Both replicas came up without a restart, on one schema with one set of seed data."""
    pods = sample.pods("testserver", "testserver")

    assert len(pods) == 2
    assert all(one["restartCount"] == 0 for pod in pods for one in pod["status"]["containerStatuses"])


async def test_data_outlives_the_database_pod(sample: Cluster, client: aiohttp.ClientSession) -> None:
    """PostgreSQL's claim stays when its pod is deleted: numbering goes on where it was."""
    async with client.get("/exchange_rate/USD/EUR/") as response:
        before = (await response.json())["id"]
    (pod,) = sample.pods("testserver", "postgres")

    sample.api.delete("pods", "testserver", pod["metadata"]["name"])
    await sample.wait_ready(30)
    status = 0
    with anyio.fail_after(20):
        while status != 200:
            async with client.get("/exchange_rate/USD/EUR/") as response:
                status, body = response.status, await response.text()

    assert json.loads(body)["id"] > before


async def test_a_scaled_deployment_serves_with_all_its_pods(sample: Cluster, client: aiohttp.ClientSession) -> None:
    """A third replica gets traffic as soon as it is ready."""
    sample.api.patch("deployments", "testserver", "testserver", {"spec": {"replicas": 3}})
    await sample.wait_ready(30)

    for _ in range(60):
        async with client.get("/status/200/"):
            pass

    served = await records(sample, "testserver", "testserver")
    assert len(served) == 3
    assert all(any(record["client"] == str(sample.plan.host) for record in pod) for pod in served)
