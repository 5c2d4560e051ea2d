"""The real agent and the real server: a server that crashes and comes back late has everything, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.running import running_agent, wait_for
from tests.agent.test_bad_days import answer_http as answer
from tests.agent.test_bad_days import get, serving, spooled_requests
from tests.server.process import Cluster, ServerProcess

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(180)]


@pytest.fixture
def own_name() -> Iterator[None]:
    """Tests that run beside this one are processes called pytest, too, and would share its edge of the map."""
    name = Path("/proc/self/comm")
    before = name.read_text()
    name.write_text("outage")
    yield
    name.write_text(before)


def counted(cluster: Cluster, port: int) -> int:
    """Requests of the map whose edge runs through this port."""
    edges = cluster.get("map")["edges"]
    return sum(edge["count"] for edge in edges if port in {service["port"] for service in edge["services"]})


def shows(cluster: Cluster, port: int, count: int) -> Callable[[], bool]:
    """Whether the map counts that many."""
    return lambda: counted(cluster, port) >= count


@pytest.mark.usefixtures("own_name")
def test_a_crash_and_a_long_absence_of_the_server_lose_and_double_nothing(tmp_path: Path) -> None:
    """Requests before, during and after: 350 made, 350 on the map, and the agents' page knows of no loss."""
    data, spool = tmp_path / "data", tmp_path / "spool"
    with serving(answer) as port, ServerProcess.start(data) as first, first.add_cluster("shop") as cluster:
        address = first.url
        settings = ("--monitoring-id", cluster.id, "--key", cluster.key, "--spool-dir", str(spool))
        with running_agent(tmp_path, int(address.rpartition(":")[2]), *settings) as agent:
            get(port, 100)
            wait_for(shows(cluster, port, 100), "the first requests are on the map", within_s=30)
            first.kill()

            get(port, 200)
            wait_for(lambda: spooled_requests(spool) >= 400, "both ends of the outage are on disk", within_s=60)
            with ServerProcess.start(data, "--listen", address.removeprefix("http://")) as second:
                again = Cluster(second.http, {"id": cluster.id, "install": {"key": cluster.key}})
                get(port, 50)
                wait_for(lambda: not list(spool.rglob("*.batch")), "the spool is replayed", within_s=60)
                wait_for(shows(again, port, 350), "everything is on the map", within_s=30)
                total, quality = counted(again, port), again.get("quality")
                agent.process.terminate()
                agent.process.wait(15)

    assert total == 350
    [told] = quality["agents"]
    assert {
        cause for cause in told["lost"] if cause in {"queue_full", "refused", "spool_evicted", "spool_torn"}
    } == set()
    assert "the server takes batches again" in agent.text()
