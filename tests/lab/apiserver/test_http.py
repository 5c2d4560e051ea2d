"""Reads and writes over HTTP: pages, forms, refusals, authentication."""

from __future__ import annotations

import gzip
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from osmia.lab.apiserver import ApiServer, Served, make_certificate, serve
from tests.lab.apiserver.world import deployment, pod

pytestmark = pytest.mark.anyio
_PODS = "/api/v1/namespaces/default/pods"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


async def _get(http: aiohttp.ClientSession, path: str, **query: str) -> dict[str, Any]:
    async with http.get(path, params=query) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def test_list_items_carry_no_type(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """A list says the type once; its items do not."""
    api.create("pods", pod())

    found = await _get(http, _PODS)

    assert (found["kind"], found["apiVersion"]) == ("PodList", "v1")
    assert found["metadata"] == {"resourceVersion": str(api.version)}
    assert list(found["items"][0]) == ["metadata", "spec", "status"]


async def test_pages_show_one_moment(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """Pages of a list come from one snapshot, whatever changes meanwhile."""
    for number in range(5):
        api.create("pods", pod(f"web-{number}"))
    first = await _get(http, _PODS, limit="2")
    api.create("pods", pod("web-9"))
    api.patch("pods", "default", "web-3", {"metadata": {"labels": {"late": "yes"}}})

    second = await _get(http, _PODS, limit="2", **{"continue": first["metadata"]["continue"]})
    third = await _get(http, _PODS, limit="2", **{"continue": second["metadata"]["continue"]})

    items = first["items"] + second["items"] + third["items"]
    assert [one["metadata"]["name"] for one in items] == [f"web-{number}" for number in range(5)]
    assert "late" not in items[3]["metadata"]["labels"]
    assert (first["metadata"]["remainingItemCount"], "continue" in third["metadata"]) == (3, False)
    assert first["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]


async def test_expired_continue_offers_an_inconsistent_one(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """After compaction the token is 410, and the refusal's own token goes on from there."""
    for number in range(3):
        api.create("pods", pod(f"web-{number}"))
    first = await _get(http, _PODS, limit="1")
    api.compact()

    refused = await _get(http, _PODS, limit="1", **{"continue": first["metadata"]["continue"]})
    rest = await _get(http, _PODS, **{"continue": refused["metadata"]["continue"]})

    assert (refused["code"], refused["reason"]) == (410, "Expired")
    assert [one["metadata"]["name"] for one in rest["items"]] == ["web-1", "web-2"]


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ({"resourceVersion": "999999"}, 504, "Timeout"),
        ({"resourceVersion": "x"}, 500, "InternalError"),
        ({"continue": "nonsense"}, 400, "BadRequest"),
        ({"limit": "few"}, 400, "BadRequest"),
        ({"labelSelector": "a in b"}, 400, "BadRequest"),
        ({"fieldSelector": "spec.color=red"}, 400, "BadRequest"),
    ],
)
async def test_bad_list_is_refused(http: aiohttp.ClientSession, query: dict[str, str], code: int, reason: str) -> None:
    """What cannot be listed is refused with a Status."""
    refused = await _get(http, _PODS, **query)

    assert (refused["kind"], refused["code"], refused["reason"]) == ("Status", code, reason)


async def test_list_from_the_future_says_when_to_retry(http: aiohttp.ClientSession) -> None:
    """504 carries its cause and a Retry-After."""
    async with http.get(_PODS, params={"resourceVersion": "999999"}) as response:
        refused = await response.json()

    assert refused["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert response.headers["Retry-After"] == "1"


async def test_table_form(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """Asked for a Table, the server computes the columns kubectl prints."""
    api.create("pods", pod())

    async with http.get(_PODS, headers={"Accept": _TABLE}) as response:
        table = await response.json()

    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns[:7] == ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node"]
    assert table["rows"][0]["cells"][:4] == ["web-1", "1/1", "Running", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_metadata_form(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """Asked for metadata only, items have nothing else."""
    api.create("pods", pod())

    async with http.get(_PODS, headers={"Accept": _METADATA}) as response:
        found = await response.json()

    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_protobuf_is_refused(http: aiohttp.ClientSession) -> None:
    """Protobuf bodies are 415, an Accept of protobuf alone is 406."""
    kind = "application/vnd.kubernetes.protobuf"
    async with http.post(_PODS, data=b"k8s\0", headers={"Content-Type": kind}) as posted:
        pass
    async with http.get(_PODS, headers={"Accept": kind}) as got:
        pass

    assert (posted.status, got.status) == (415, 406)


async def test_large_lists_are_compressed(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """A list above 128 KiB is gzipped for clients that take it."""
    for number in range(100):
        api.create("pods", pod(f"web-{number}", annotations={"filler": "x" * 2000}))

    headers = {"Accept-Encoding": "gzip"}
    async with http.get(_PODS, headers=headers, auto_decompress=False) as response:
        body = await response.read()

    assert response.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(body))["items"]) == 100


async def test_wrong_token_is_unauthorized(served: Served) -> None:
    """Without the token everything but health and version is 401."""
    async with aiohttp.ClientSession(served.url) as stranger:
        codes = [(await stranger.get(path)).status for path in (_PODS, "/apis", "/healthz", "/readyz", "/version")]

    assert codes == [401, 401, 200, 200, 200]


async def test_writes_over_http(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """POST, PUT, PATCH and DELETE do what the methods in process do."""
    path = "/apis/apps/v1/namespaces/default/deployments"
    async with http.post(path, json=deployment()) as response:
        created = await response.json()
        assert response.status == 201
    created["spec"]["replicas"] = 2
    async with http.put(f"{path}/web", json=created) as response:
        assert (await response.json())["spec"]["replicas"] == 2
    patch = json.dumps({"spec": {"replicas": 3}})
    async with http.patch(
        f"{path}/web/scale", data=patch, headers={"Content-Type": "application/merge-patch+json"}
    ) as response:
        assert (await response.json())["kind"] == "Scale"
    async with http.delete(f"{path}/web") as response:
        status = await response.json()

    assert (status["status"], status["details"]["uid"]) == ("Success", created["metadata"]["uid"])
    assert api.list("deployments") == []


async def test_status_is_not_created_over_http(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """A client cannot create a pod that already runs."""
    async with http.post(_PODS, json=pod()) as response:
        assert response.status == 201

    assert api.get("pods", "default", "web-1")["status"]["phase"] == "Pending"


async def test_dry_run_changes_nothing(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """With dryRun=All the answer is what would be, and nothing is."""
    async with http.post(_PODS, json=pod(), params={"dryRun": "All"}) as response:
        answer = await response.json()

    assert answer["metadata"]["uid"]
    assert api.list("pods") == []


async def test_collection_is_deleted_by_selector(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """DELETE of a collection takes what the selector selects."""
    for name in ("a", "b", "c"):
        api.create("configmaps", {"metadata": {"name": name, "labels": {"keep": str(name == "b").lower()}}})

    async with http.delete("/api/v1/namespaces/default/configmaps", params={"labelSelector": "keep=false"}) as response:
        assert response.status == 200

    assert [one["metadata"]["name"] for one in api.list("configmaps")] == ["b"]


async def test_server_side_apply_creates_and_merges(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """An apply patch creates what is missing, merges into what is there, and notes its manager."""
    path = "/api/v1/namespaces/default/configmaps/c"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    answers = []
    for body in ("data: {a: '1'}", "data: {b: '2'}"):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\n{body}\n"
        async with http.patch(path, data=text, headers=headers, params={"fieldManager": "me"}) as response:
            answers.append(response.status)

    held = api.get("configmaps", "default", "c")
    assert answers == [201, 200]
    assert held["data"] == {"a": "1", "b": "2"}
    assert [one["manager"] for one in held["metadata"]["managedFields"]] == ["me"]


async def test_unknown_paths_are_not_found(http: aiohttp.ClientSession) -> None:
    """What is not served is 404 with a Status."""
    paths = ("/nothing", "/apis/none.io/v1", "/api/v1/dragons", f"{_PODS}/a/exec", "/openapi/v2")

    answers = [await _get(http, path) for path in paths]

    assert [answer["code"] for answer in answers] == [404] * len(paths)


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", _PODS, "[]", 400),
        ("POST", _PODS, "{", 400),
        ("POST", _PODS, '{"metadata": []}', 400),
        ("POST", _PODS, '{"metadata": {"name": "a"}, "spec": 7}', 400),
        ("POST", f"{_PODS}/a", "{}", 405),
        ("OPTIONS", _PODS, "", 405),
        ("PUT", f"{_PODS}/a", '{"metadata": {"name": "b"}}', 400),
        ("POST", "/api/v1/namespaces/kube-system/pods", '{"metadata": {"name": "b", "namespace": "default"}}', 400),
        ("DELETE", f"{_PODS}/a", '{"gracePeriodSeconds": "soon"}', 400),
        ("GET", f"{_PODS}?watch=1&timeoutSeconds=soon", "", 400),
    ],
)
async def test_nonsense_is_refused(http: aiohttp.ClientSession, method: str, path: str, body: str, code: int) -> None:
    """A request that makes no sense gets a Status, never a broken answer."""
    async with http.request(method, path, data=body, headers={"Content-Type": "application/json"}) as response:
        status = await response.json()

    assert (response.status, status["kind"]) == (code, "Status")


async def test_access_reviews_allow(http: aiohttp.ClientSession) -> None:
    """Everything is allowed."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    async with http.post(path, json={"kind": "SelfSubjectAccessReview"}) as response:
        review = await response.json()

    assert review["status"]["allowed"] is True


async def test_tls(api: ApiServer, tmp_path: Path) -> None:
    """With a certificate the server speaks TLS, and a client that trusts it gets in."""
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate.certificate))

    async with (
        serve(api, certificate=certificate) as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/version", ssl=context) as response,
    ):
        version = await response.json()

    assert server.url.startswith("https://127.0.0.1:")
    assert version["major"] == "1"


async def test_ordered_failures_strike_as_often_as_asked(api: ApiServer, http: aiohttp.ClientSession) -> None:
    """A fault of HTTP code and count hits its resource only, then everything is well."""
    api.faults.fail(429, times=2, resource="pods", retry_after_s=3)

    answers = [await http.get(path) for path in ("/api/v1/nodes", _PODS, _PODS, _PODS)]

    assert [answer.status for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "3"
    assert api.faults.struck["http 429"] == 2
