"""The cluster's side of the check: API servers that allow, refuse, do not know the question or are not there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from osmia.agent.check.cluster import RIGHTS, VERBS, cluster_facts
from osmia.agent.check.machine import Standing
from osmia.agent.entities.client import Access

pytestmark = pytest.mark.anyio
MANIFEST = Path(__file__).parents[3] / "deploy/kubernetes/osmia-agent.yaml"
Decide = Callable[[dict[str, str]], bool]


Handler = Callable[[web.Request], Awaitable[web.Response]]


def refusing(reason: str) -> Handler:
    """A handler that ends with this status."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=int(reason), text="no")

    return answer


@asynccontextmanager
async def api_server(
    decide: Decide = lambda _: True, *, version: Handler | None = None, reviews: Handler | None = None
) -> AsyncIterator[Access]:
    """An API server that knows /version and SelfSubjectAccessReview."""

    async def give_version(request: web.Request) -> web.Response:
        status = 200 if request.headers.get("Authorization") == "Bearer token" else 401
        return web.json_response({"gitVersion": "v1.31.0"}, status=status)

    async def review(request: web.Request) -> web.Response:
        body = await request.json()
        allowed = decide(body["spec"]["resourceAttributes"])
        status = {"allowed": allowed} | ({} if allowed else {"reason": "no binding"})
        return web.json_response(body | {"status": status}, status=201)

    application = web.Application()
    application.router.add_get("/version", version or give_version)
    application.router.add_post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", reviews or review)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Access(f"http://127.0.0.1:{runner.addresses[0][1]}/", token=lambda: "token", source="a test")
    finally:
        await runner.cleanup()


def test_the_rights_are_those_of_the_cluster_role() -> None:
    """What the check asks for is what the manifest grants, no more and no less."""
    roles = [one for one in yaml.safe_load_all(MANIFEST.read_text()) if one and one["kind"] == "ClusterRole"]
    granted = {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert granted == {(right.group, right.resource, verb) for right in RIGHTS for verb in VERBS}


async def test_every_right_is_asked_for() -> None:
    """With all of them each has a row, and nothing is lost."""
    async with api_server() as access:
        server, *rights = await cluster_facts(access)

    assert (server.standing, "v1.31.0" in server.detail) == (Standing.OK, True)
    assert [fact.name for fact in rights] == [f"right: {right}" for right in RIGHTS]
    assert {fact.standing for fact in rights} == {Standing.OK}


async def test_a_refused_right_is_named_with_its_remedy() -> None:
    """One verb of one resource: its row tells both, the API server's reason and what to grant."""
    async with api_server(lambda asked: (asked["resource"], asked["verb"]) != ("jobs", "watch")) as access:
        found = await cluster_facts(access)

    (refused,) = [fact for fact in found if fact.standing is Standing.MISSING]
    assert (refused.name, refused.lost) == ("right: jobs.batch", ("kubernetes",))
    assert refused.detail == "may not watch (no binding)"
    assert "grant list, watch on jobs.batch" in refused.remedy


@pytest.mark.parametrize("status", ["404", "500"])
async def test_a_server_that_cannot_tell_rights_is_said_to(status: str) -> None:
    """Not every API server has SelfSubjectAccessReview; that alone loses nothing."""
    async with api_server(reviews=refusing(status)) as access:
        _, rights = await cluster_facts(access)

    assert (rights.name, rights.standing) == ("rights", Standing.NOTE)
    assert status in rights.detail


async def test_a_token_that_is_not_accepted_is_told() -> None:
    """401 is not the network's fault."""
    async with api_server(version=refusing("401")) as access:
        (server,) = await cluster_facts(access)

    assert (server.standing, server.lost) == (Standing.MISSING, ("kubernetes",))
    assert "does not accept a test" in server.detail


async def test_an_unreachable_server_is_told() -> None:
    """With address and reason, and without rows of rights that nobody could ask for."""
    (server,) = await cluster_facts(Access("http://127.0.0.1:1", source="a test"))

    assert server.standing is Standing.MISSING
    assert "http://127.0.0.1:1 is not reached" in server.detail


async def test_an_unreadable_token_is_told() -> None:
    """A token file of another owner, say."""

    def unreadable() -> str:
        raise PermissionError(13, "Permission denied")

    (server,) = await cluster_facts(Access("http://127.0.0.1:1", token=unreadable, source="service account"))

    assert server.detail == "the token of service account cannot be read: Permission denied"
    assert "readable for the agent's user" in server.remedy
