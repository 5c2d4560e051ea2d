"""`osmia server` as a process: starting, stopping, crashing, starting again."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from osmia.model.wire import Table
from tests.server.clickhouse import ClickHouseServer
from tests.server.process import Cluster, ServerProcess
from tests.server.rows import ledger_row, window_row

pytestmark = pytest.mark.timeout(120)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from osmia.cli import main; main()", "server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_sigterm_ends_it_quickly_and_well(tmp_path: Path) -> None:
    """Exit code 0 within seconds, although a page follows live updates."""
    with (
        ServerProcess.start(tmp_path) as server,
        server.add_cluster("demo") as cluster,
        cluster.http.stream("GET", f"/api/v1/clusters/{cluster.id}/live") as answer,
    ):
        next(answer.iter_lines())
        began = time.monotonic()
        code = server.stop()

    assert code == 0
    assert time.monotonic() - began < 10


def test_everything_is_there_after_a_restart(tmp_path: Path, now_s: int) -> None:
    """Clusters, keys, telemetry and what agents were seen survive."""
    with ServerProcess.start(tmp_path) as server, server.add_cluster("demo") as cluster:
        cluster.post(Table.WINDOWS, [window_row(start_s=now_s)], sequence=1)
        cluster.post(Table.LEDGER, [ledger_row(time_ns=time.time_ns())], sequence=2)

    with ServerProcess.start(tmp_path) as server:
        again = Cluster(server.http, server.http.get(f"/api/v1/clusters/{cluster.id}").json())
        again.post(Table.WINDOWS, [window_row(start_s=now_s)], sequence=1)
        answer = again.get("map")
        listed = server.http.get("/api/v1/clusters").json()["items"]

    assert again.key == cluster.key
    assert (answer["edges"][0]["count"], answer["newest_ms"]) == (1, now_s * 1_000)
    assert [(one["name"], one["state"]) for one in listed] == [("demo", "connected")]


def test_the_data_is_for_the_own_user_only(tmp_path: Path, now_s: int) -> None:
    """It holds keys and what others ask for: no other user of the machine may read any of it."""
    data = tmp_path / "a" / "data"

    with ServerProcess.start(data) as server, server.add_cluster("demo") as cluster:
        cluster.post(Table.WINDOWS, [window_row(start_s=now_s)])
        made = [data.parent, data, *data.rglob("*")]
        open_to_others = [str(one) for one in made if one.lstat().st_mode & 0o077 and not one.is_symlink()]

    assert data / "metadata.sqlite" in made
    assert open_to_others == []


def test_a_second_process_is_told_who_owns_the_store(tmp_path: Path) -> None:
    """The refusal names the process, not an empty engine error."""
    with ServerProcess.start(tmp_path) as server:
        refused = _run("--listen", "127.0.0.1:0", "--data", str(tmp_path))

    assert refused.returncode == 1
    assert f"in use by process {server.process.pid}" in refused.stderr


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """Exit code 2 with the address and the reason."""
    with ServerProcess.start(tmp_path / "one") as server:
        address = server.url.removeprefix("http://")
        refused = _run("--listen", address, "--data", str(tmp_path / "two"))

    assert refused.returncode == 2
    assert address in refused.stderr


@pytest.mark.parametrize("listen", ["8460", "localhost:http", ":1", "127.0.0.1:65536", "127.0.0.1:99999"])
def test_a_bad_address_is_refused(tmp_path: Path, listen: str) -> None:
    """Exit code 2, the setting and an example."""
    refused = _run("--listen", listen, "--data", str(tmp_path))

    assert refused.returncode == 2
    assert "127.0.0.1:8460" in refused.stderr


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--data", "/etc/passwd", "data"),
        ("--data", "/etc/passwd/below", "data"),
        ("--data", "/proc/foo", "data"),
        ("--data", "/proc", "data"),
        ("--log-level", "loud", "log_level"),
        ("--store-url", "foo", "store-url"),
        ("--store-url", "clickhouse://there:99999/osmia", "store-url"),
        ("--store-url", "clickhouse://there:http/osmia", "store-url"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(tmp_path: Path, option: str, value: str, field: str) -> None:
    """Exit code 2 with the field, the value and what to do, and no traceback."""
    refused = _run("--listen", "127.0.0.1:0", "--data", str(tmp_path), option, value)

    (line,) = [one for one in refused.stderr.splitlines() if one.startswith("osmia: ")]
    assert refused.returncode == 2
    assert f"{field} = {value!r}: " in line
    assert " - " in line
    assert "Traceback" not in refused.stderr


def test_a_refused_store_url_keeps_its_password_to_itself(tmp_path: Path) -> None:
    """Error lines end up in logs."""
    refused = _run("--data", str(tmp_path), "--listen", "127.0.0.1:0", "--store-url", "http://me:hush/h@there/osmia")

    assert refused.returncode == 2
    assert "there/osmia" in refused.stderr
    assert "hush" not in refused.stderr


def test_listening_beyond_loopback_warns(tmp_path: Path) -> None:
    """There is no login yet, so whoever opens the door is told."""
    with ServerProcess.start(tmp_path, "--listen", "0.0.0.0:0") as server:
        lines = list(server.lines)

    assert any("no login" in line for line in lines)
    assert sum("osmia server listening on" in line for line in lines) >= 1


def test_a_full_queue_is_a_503_with_a_time_to_come_back(tmp_path: Path, now_s: int) -> None:
    """Agents faster than the store are told to wait, and nothing they were promised is lost."""
    rows = [window_row(start_s=now_s, template=f"/{i}") for i in range(50)]
    answers: list[httpx.Response] = []

    def press(cluster: Cluster, agent: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not any(one.status_code == 503 for one in answers):
            answers.append(cluster.try_post(Table.WINDOWS, rows, agent=agent))

    with ServerProcess.start(tmp_path, "--queue-rows", "60") as server, server.add_cluster("demo") as cluster:
        agents = [threading.Thread(target=press, args=(cluster, f"agent-{i}")) for i in range(4)]
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.join()
        stored = cluster.get("map")["edges"][0]["count"]
        refused = server.metric("ingest_rejected_total", cause="queue_full")

    busy = [one for one in answers if one.status_code == 503]
    accepted = [one for one in answers if one.status_code == 200]
    assert busy
    assert {one.headers["retry-after"] for one in busy} == {"2"}
    assert busy[0].json()["error"]["remedy"]
    assert refused == len(busy)
    assert stored == 50 * len(accepted)


@pytest.mark.clickhouse
@pytest.mark.slow
def test_the_whole_server_runs_on_a_clickhouse_server(tmp_path: Path, clickhouse: ClickHouseServer, now_s: int) -> None:
    """Everything but the store's address stays the same."""
    address = f"{clickhouse.url}_whole"

    with ServerProcess.start(tmp_path, "--store-url", address) as server, server.add_cluster("demo") as cluster:
        for _ in range(2):
            cluster.post(Table.WINDOWS, [window_row(start_s=now_s)], sequence=1)
        answer = cluster.get("map")
        health = server.http.get("/healthz").json()

    assert answer["edges"][0]["count"] == 1
    assert (health["store"], health["ok"]) == ("clickhouse", True)
    assert not (tmp_path / "store").exists()


@pytest.mark.crash
@pytest.mark.slow
def test_kill_9_loses_nothing_acknowledged_and_counts_nothing_twice(tmp_path: Path, now_s: int) -> None:
    """Three crashes under load: agents repeat what was not acknowledged, and every rollup counts exactly."""
    acknowledged = dict.fromkeys(("one", "two", "three"), 0)
    for _ in range(3):
        with ServerProcess.start(tmp_path) as server:
            cluster = _demo_cluster(server)
            with_load = [
                threading.Thread(target=_post_until_gone, args=(cluster, agent, acknowledged, now_s))
                for agent in acknowledged
            ]
            for thread in with_load:
                thread.start()
            goal = sum(acknowledged.values()) + 25
            _wait_for(acknowledged, goal)
            server.kill()
            for thread in with_load:
                thread.join()
    with ServerProcess.start(tmp_path) as server:
        cluster = _demo_cluster(server)
        for agent, sequence in acknowledged.items():
            # The batch under way when the server died, as the agent would repeat it.
            cluster.post(Table.WINDOWS, [window_row(start_s=now_s)] * 3, agent=agent, sequence=sequence)
        fine = cluster.get("map", from_="now-1h")["edges"][0]["count"]
        coarse = [cluster.get("map", from_=f"now-{hours}h")["edges"][0]["count"] for hours in (24, 24 * 6)]

    expected = 3 * (sum(acknowledged.values()) + len(acknowledged))
    assert [fine, *coarse] == [expected] * 3


def _demo_cluster(server: ServerProcess) -> Cluster:
    items = server.http.get("/api/v1/clusters").json()["items"]
    if not items:
        with server.add_cluster("demo") as added:
            return added
    return Cluster(server.http, server.http.get(f"/api/v1/clusters/{items[0]['id']}").json())


def _post_until_gone(cluster: Cluster, agent: str, acknowledged: dict[str, int], start_s: int) -> None:
    rows = [window_row(start_s=start_s)] * 3
    while True:
        try:
            cluster.post(Table.WINDOWS, rows, agent=agent, sequence=acknowledged[agent])
        except httpx.TransportError:
            return
        acknowledged[agent] += 1


def _wait_for(acknowledged: dict[str, int], goal: int) -> None:
    deadline = time.monotonic() + 30
    while sum(acknowledged.values()) < goal:
        assert time.monotonic() < deadline
        time.sleep(0.01)
