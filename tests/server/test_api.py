"""The API over HTTP, against a running server."""

from __future__ import annotations

import time

import httpx
import pytest
import yaml

from osmia.model.wire import Table
from tests.server.process import Cluster, ServerProcess
from tests.server.rows import NS, Row, body, ledger_row, object_row, request_row, window_row

pytestmark = pytest.mark.timeout(90)


def _error(answer: httpx.Response) -> dict[str, str]:
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"field", "value", "message", "remedy"}
    return error


def test_a_new_cluster_waits_with_instructions(server: ServerProcess) -> None:
    """The answer has everything that connects it, ready to copy."""
    answer = server.http.post("/api/v1/clusters", json={"name": "  production "})

    made = answer.json()
    install = made["install"]
    assert (answer.status_code, made["name"], made["state"], made["agents"]) == (201, "production", "waiting", 0)
    assert made["last_seen_ms"] is None
    assert install["server_url"] == server.url
    for text in (install["helm"], install["host"]):
        assert all(value in text for value in (server.url, made["id"], install["key"]))
    assert install["helm"].startswith("helm upgrade --install osmia-agent ./deploy/helm/osmia-agent")
    assert install["host"].startswith("osmia agent run --server ")
    assert install["kubectl"].endswith("| kubectl apply -f -")


def test_the_key_can_be_shown_again(server: ServerProcess, cluster: Cluster) -> None:
    """The install page works days later."""
    shown = server.http.get(f"/api/v1/clusters/{cluster.id}").json()

    assert shown["install"]["key"] == cluster.key


def test_the_key_is_in_no_file(server: ServerProcess, cluster: Cluster) -> None:
    """Keys are derived: neither metadata nor store holds one."""
    files = [path for path in server.data.glob("metadata*") if path.is_file()]

    assert files
    assert not any(cluster.key.encode() in path.read_bytes() for path in files)
    assert (server.data / "secret").stat().st_mode & 0o777 == 0o600


def test_the_manifest_is_complete(server: ServerProcess, cluster: Cluster) -> None:
    """It is valid YAML with the right access, mounts, limits and this cluster's id and key."""
    text = server.http.get(f"/api/v1/clusters/{cluster.id}/manifest.yaml").text

    objects = {one["kind"]: one for one in yaml.safe_load_all(text)}
    pod = objects["DaemonSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    granted = {(group, name) for rule in objects["ClusterRole"]["rules"] for group in rule["apiGroups"] for name in rule["resources"]}  # fmt: skip  # noqa: E501
    assert objects["Secret"]["stringData"] == {"monitoring-id": cluster.id, "key": cluster.key}
    assert pod["hostPID"] is pod["hostNetwork"] is True
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")} == {"spool", "state"}
    assert {("", "pods"), ("discovery.k8s.io", "endpointslices"), ("apps", "deployments"), ("batch", "jobs")} <= granted
    assert {verb for rule in objects["ClusterRole"]["rules"] for verb in rule["verbs"]} == {"list", "watch"}
    assert server.url in str(container["env"])


def test_a_cluster_can_be_renamed_and_removed(server: ServerProcess, cluster: Cluster) -> None:
    """Removing revokes the key at once."""
    renamed = server.http.patch(f"/api/v1/clusters/{cluster.id}", json={"name": "other"})
    removed = server.http.delete(f"/api/v1/clusters/{cluster.id}")
    refused = cluster.try_post(Table.LEDGER, [ledger_row(time_ns=time.time_ns())])

    assert (renamed.json()["name"], removed.status_code, refused.status_code) == ("other", 204, 401)
    assert cluster.try_get("map").status_code == 404


def test_two_clusters_cannot_have_one_name(server: ServerProcess, cluster: Cluster) -> None:
    """In a list they could not be told apart; adding and renaming say which name is taken, and change nothing."""
    own = server.http.get(f"/api/v1/clusters/{cluster.id}").json()["name"]
    with server.add_cluster(f"{own} and another"):
        before = server.http.get("/api/v1/clusters").json()["items"]

        added = server.http.post("/api/v1/clusters", json={"name": f" {own} and another "})
        renamed = server.http.patch(f"/api/v1/clusters/{cluster.id}", json={"name": f"{own} and another"})
        kept = server.http.patch(f"/api/v1/clusters/{cluster.id}", json={"name": own})

    for refused in (added, renamed):
        error = _error(refused)
        assert (refused.status_code, error["field"], error["value"]) == (409, "name", f"{own} and another")
        assert error["remedy"]
    assert (kept.status_code, kept.json()["name"]) == (200, own)
    assert server.http.get("/api/v1/clusters").json()["items"] == before


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_cluster_needs_a_name(server: ServerProcess, name: str) -> None:
    """Empty and endless names are refused by field."""
    answer = server.http.post("/api/v1/clusters", json={"name": name})

    assert (answer.status_code, _error(answer)["field"]) == (400, "name")


def test_a_cluster_connects_when_its_agent_reports(server: ServerProcess, cluster: Cluster) -> None:
    """The list says connected, how many agents, and since when."""
    cluster.post(Table.LEDGER, [ledger_row(time_ns=time.time_ns())], agent="one")
    cluster.post(Table.LEDGER, [ledger_row(time_ns=time.time_ns())], agent="two")

    listed = {one["id"]: one for one in server.http.get("/api/v1/clusters").json()["items"]}[cluster.id]

    assert (listed["state"], listed["agents"]) == ("connected", 2)
    assert abs(listed["last_seen_ms"] - time.time() * 1_000) < 20_000
    assert "install" not in listed


def test_traffic_is_on_the_map_when_it_is_acknowledged(cluster: Cluster, now_s: int) -> None:
    """What was accepted is in the very next answer."""
    accepted = cluster.post(Table.WINDOWS, [window_row(start_s=now_s, latencies_ns=[1_000_000] * 5)])

    answer = cluster.get("map")
    assert accepted == 1
    assert [(e["source"], e["target"], e["count"]) for e in answer["edges"]] == [
        ("Deployment/shop/web", "Deployment/shop/cart", 5)
    ]
    assert answer["newest_ms"] == now_s * 1_000


def test_a_retry_is_acknowledged_and_counted_once(server: ServerProcess, cluster: Cluster, now_s: int) -> None:
    """The same sequence twice is 200 twice and one count."""
    for _ in range(2):
        cluster.post(Table.WINDOWS, [window_row(start_s=now_s)], sequence=7)

    assert cluster.get("map")["edges"][0]["count"] == 1
    assert server.metric("ingest_repeated_total", table="windows") >= 1


def test_agents_number_their_batches_independently(cluster: Cluster, now_s: int) -> None:
    """The same number from two agents is two batches."""
    for agent in ("one", "two"):
        cluster.post(Table.WINDOWS, [window_row(start_s=now_s)], agent=agent, sequence=7)

    assert cluster.get("map")["edges"][0]["count"] == 2


def test_a_remote_peer_gets_its_pod_s_name(cluster: Cluster, now_s: int) -> None:
    """The caller's agent saw an address; another agent knows whose it is, at that time."""
    ip, change_s = "10.244.9.9", now_s - 60
    owned: Row = {"kind": "Pod", "ips": (ip,), "workload_kind": "Deployment", "phase": "Running"}
    old = object_row(name="cart-1", workload_name="cart", deleted_ns=change_s * NS, **owned)
    new = object_row(name="mail-1", workload_name="mail", created_ns=change_s * NS, **owned)
    cluster.post(Table.OBJECTS, [old, new])
    for start_s in (now_s - 100, now_s):
        cluster.post(Table.WINDOWS, [window_row(start_s=start_s, target=f"External//{ip}", role="client")])

    edges = cluster.get("map")["edges"]

    assert sorted(edge["target"] for edge in edges) == ["Deployment/shop/cart", "Deployment/shop/mail"]


def test_a_peer_named_late_joins_its_edge(cluster: Cluster, now_s: int) -> None:
    """Traffic came first, the pod's name a moment later: the page shows the name for both."""
    ip = "10.244.9.10"
    cluster.post(Table.WINDOWS, [window_row(start_s=now_s, target=f"External//{ip}", role="client")])
    before = [edge["target"] for edge in cluster.get("map")["edges"]]
    pod = object_row(kind="Pod", name="cart-1", ips=(ip,), workload_kind="Deployment", workload_name="cart")
    cluster.post(Table.OBJECTS, [pod])
    cluster.post(Table.WINDOWS, [window_row(start_s=now_s, target=f"External//{ip}", role="client")])

    edges = cluster.get("map")["edges"]
    details = cluster.get("resources/Deployment/shop/cart")
    series = cluster.get(f"edges/{edges[0]['id']}/series")

    assert before == [f"External//{ip}"]
    assert [(edge["target"], edge["count"]) for edge in edges] == [("Deployment/shop/cart", 2)]
    assert details["summary"]["count"] == 2
    assert any(series["rate"])


def test_an_outside_peer_has_details(cluster: Cluster, now_s: int) -> None:
    """Ids with an empty namespace work in URLs."""
    cluster.post(Table.WINDOWS, [window_row(start_s=now_s, source="External//203.0.113.7")])

    details = cluster.get("resources/External//203.0.113.7")

    assert details["resource"]["id"] == "External//203.0.113.7"
    assert details["outgoing"][0]["peer"]["id"] == "Deployment/shop/cart"


def test_requests_are_filtered_and_paged(cluster: Cluster, now_s: int) -> None:
    """Two pages of two, newest first."""
    cluster.post(Table.WINDOWS, [window_row(start_s=now_s)])
    rows = [request_row(time_ns=now_s * NS + i * 1_000_000, status=str(200 + i)) for i in range(4)]
    cluster.post(Table.REQUESTS, rows)

    first = cluster.get("requests", limit=2, resource="Deployment/shop/cart")
    second = cluster.get("requests", limit=2, resource="Deployment/shop/cart", cursor=first["next_cursor"])

    assert [one["status"] for one in first["items"] + second["items"]] == ["203", "202", "201", "200"]
    assert second["next_cursor"] is None


def test_quality_tells_of_losses(cluster: Cluster) -> None:
    """What the agent lost is in the strip's figures."""
    cluster.post(Table.LEDGER, [ledger_row(time_ns=time.time_ns(), lost={"held_full": 3}, started_ns=time.time_ns())])

    answer = cluster.get("quality")

    assert (answer["lost"], answer["is_exact"], answer["agents_connected"]) == (3, False, 1)


@pytest.mark.parametrize(
    ("header", "value", "status", "field"),
    [
        ("Authorization", "Bearer osk_wrong", 401, "authorization"),
        ("Authorization", "", 401, "authorization"),
        ("Osmia-Cluster", "nowhere", 401, "authorization"),
        ("Osmia-Agent", "", 400, "Osmia-Agent"),
        ("Osmia-Sequence", "seven", 400, "Osmia-Sequence"),
        ("Content-Type", "application/json", 400, "content-type"),
        ("Content-Encoding", "gzip", 400, "content-encoding"),
    ],
)
def test_a_wrong_header_is_refused_by_name(cluster: Cluster, header: str, value: str, status: int, field: str) -> None:
    """Each header that is missing or wrong has its status and its name in the error."""
    payload = body(Table.WINDOWS, [window_row(start_s=int(time.time()))])
    headers = {**cluster.headers(), header: value}

    answer = cluster.http.post("/api/v1/ingest/windows", content=payload, headers=headers)

    assert (answer.status_code, _error(answer)["field"]) == (status, field)


def test_an_unknown_table_is_refused(cluster: Cluster) -> None:
    """The remedy lists the tables there are."""
    answer = cluster.http.post("/api/v1/ingest/dreams", content=b"", headers=cluster.headers())

    assert answer.status_code == 400
    assert "windows" in _error(answer)["remedy"]


def test_a_broken_payload_is_refused(server: ServerProcess, cluster: Cluster) -> None:
    """Not Arrow: 400, counted by cause, and nothing is stored."""
    before = server.metric("ingest_rejected_total", cause="encoding")

    answer = cluster.http.post("/api/v1/ingest/windows", content=b"junk", headers=cluster.headers())

    assert (answer.status_code, _error(answer)["field"]) == (400, "body")
    assert server.metric("ingest_rejected_total", cause="encoding") == before + 1


def test_an_oversize_payload_is_refused(cluster: Cluster) -> None:
    """413 before it is read to its end."""
    answer = cluster.http.post("/api/v1/ingest/windows", content=bytes(33 << 20), headers=cluster.headers())

    assert (answer.status_code, _error(answer)["field"]) == (413, "body")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("map", {"from_": "yesterday"}, "from"),
        ("map", {"from_": "now", "to": "now-5m"}, "from"),
        ("map", {"from_": "now-900d"}, "from"),
        ("map", {"to": "99999999999999999"}, "to"),
        ("requests", {"limit": "0"}, "limit"),
        ("requests", {"cursor": "???"}, "cursor"),
        ("requests", {"min_latency_ns": "-1"}, "min_latency_ns"),
    ],
)
def test_a_bad_question_is_refused_by_field(cluster: Cluster, path: str, query: dict[str, str], field: str) -> None:
    """400 with the parameter that is wrong."""
    answer = cluster.try_get(path, **query)

    assert (answer.status_code, _error(answer)["field"]) == (400, field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("edges/0123456789abcdef/series", "edge_id"),
        ("edges/nothex/series", "edge_id"),
        ("resources/Deployment/shop/nobody", "resource_id"),
        ("resources/nonsense", "resource_id"),
    ],
)
def test_what_does_not_exist_is_not_found(cluster: Cluster, path: str, field: str) -> None:
    """404 that says what was not found."""
    answer = cluster.try_get(path)

    assert (answer.status_code, _error(answer)["field"]) == (404, field)


def test_an_unknown_call_is_json(server: ServerProcess) -> None:
    """Nobody gets a page where a call was meant."""
    answer = server.http.get("/api/v1/nonsense")

    assert (answer.status_code, _error(answer)["value"]) == (404, "/api/v1/nonsense")


def test_the_reference_loads_nothing_from_elsewhere(server: ServerProcess) -> None:
    """It names every call and needs no network."""
    page = server.http.get("/api/docs").text

    assert "/api/v1/clusters/{cluster_id}/map" in page
    assert "ResourceDetails" in page
    assert "http://" not in page
    assert "https://" not in page


def test_health_says_what_runs(server: ServerProcess) -> None:
    """Store, version and lag at a glance."""
    answer = server.http.get("/healthz")

    assert answer.status_code == 200
    assert (answer.json()["ok"], answer.json()["store"]) == (True, "chdb")


def test_the_server_counts_what_it_does(server: ServerProcess, cluster: Cluster, now_s: int) -> None:
    """Rows, batches, bytes, insert and query times, sizes."""
    cluster.post(Table.WINDOWS, [window_row(start_s=now_s)])
    cluster.get("map")

    assert server.metric("ingest_rows_total", table="windows") >= 1
    assert server.metric("ingest_bytes_total", table="windows") > 0
    assert server.metric("insert_seconds_count", table="endpoint_10s") >= 1
    assert server.metric("query_seconds_count", question="map") >= 1
    assert server.metric("store_parts", table="edge_10s") >= 1
    assert server.metric("queue_rows", table="endpoint_10s") == 0


def test_live_pages_hear_of_news(cluster: Cluster, now_s: int) -> None:
    """One event at once, another when telemetry arrives; then the count of listeners falls again."""
    with cluster.http.stream("GET", f"/api/v1/clusters/{cluster.id}/live") as answer:
        lines = answer.iter_lines()
        first = [next(lines) for _ in range(4)]
        cluster.post(Table.WINDOWS, [window_row(start_s=now_s)])
        news = next(line for line in lines if line.startswith("data:"))

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert first == ["retry: 2000", "", "event: data", 'data: {"newest_ms":null}']
    assert news == f'data: {{"newest_ms":{now_s * 1_000}}}'
