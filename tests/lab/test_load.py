"""The reference story: three loads on the sample application by `osmia load`, and one request in full."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import anyio
import pytest
import yaml

from osmia.lab.cluster import Cluster
from osmia.lab.manifest import manifest_path

pytestmark = [pytest.mark.lab, pytest.mark.anyio, pytest.mark.timeout(90)]

OSMIA = (sys.executable, "-m", "osmia", "load")


@pytest.fixture(scope="module")
async def address(lab: Cluster) -> str:
    """Where testserver's Service is, once everything is ready; the load generator of the manifest stays away."""
    documents = [one for one in yaml.safe_load_all(manifest_path("sample").read_text()) if one]
    quiet = [one for one in documents if (one["kind"], one["metadata"]["name"]) != ("Deployment", "loadgen")]
    lab.apply(yaml.safe_dump_all(quiet))
    await lab.wait_ready(60)
    service = lab.api.get("services", "testserver", "testserver-service")
    return f"http://{service['status']['loadBalancer']['ingress'][0]['ip']}:8200"


async def served(lab: Cluster) -> Counter[tuple[str, int]]:
    """What both replicas say they served: (path, status)."""
    logs = [await lab.read_log(pod) for pod in lab.pods("testserver", "testserver")]
    records = [json.loads(line) for log in logs for line in log.splitlines() if line.startswith("{")]
    return Counter((record["path"], record["status"]) for record in records if record["path"] != "/healthz")


async def load(*arguments: str) -> dict[str, Any]:
    """The report of a run that must end well."""
    done = await anyio.run_process([*OSMIA, *arguments, "-o", "stdout-json"], check=False)
    assert done.returncode == 0, done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize(
    ("path", "count"), [("/currencies/", 1000), ("/exchange_rate/USD/EUR/", 200), ("/status/{{_randomInt}}/", 100)]
)
async def test_the_story_s_loads_are_what_was_served(lab: Cluster, address: str, path: str, count: int) -> None:
    """Every count per status is the access log's, on both replicas together."""
    before = await served(lab)

    report = await load("-t", f"{address}{path}", "-n", str(count), "-d", "10", "-m", "GET")

    by_status: Counter[str] = Counter()
    for (_, status), number in (await served(lab) - before).items():
        by_status[str(status)] += number
    assert report["success_count"] == count
    assert report["steps"]["1"]["status_code_dist"] == by_status
    if "{{" not in path:
        assert by_status == {"200": count}


async def test_a_debug_run_sends_one_request(lab: Cluster, address: str) -> None:
    """And shows the answer."""
    before = await served(lab)

    done = await anyio.run_process([*OSMIA, "-t", f"{address}/currencies/", "--debug"])

    assert b"< HTTP/1.1 200 OK" in done.stdout
    assert await served(lab) - before == {("/currencies/", 200): 1}
