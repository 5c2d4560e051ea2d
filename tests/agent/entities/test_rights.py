"""The ClusterRole lists exactly what the agent asks of the API server: nothing is refused, nothing more is held."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from aiohttp import web

from osmia.agent.entities import Entities, EntityOptions
from osmia.server.api.install import manifest
from tests.agent.entities.waiting import until

pytestmark = pytest.mark.anyio
_DEPLOY = Path(__file__).parents[3] / "deploy"
_LEGACY = re.compile(r"/api/v1/(?P<resource>[a-z]+)(?P<name>/.+)?")
_GROUPED = re.compile(r"/apis/(?P<group>[^/]+)/v1/(?P<resource>[a-z]+)(?P<name>/.+)?")

Right = tuple[str, str, str]
"""API group, resource, verb."""


def _right(request: web.Request) -> Right:
    """What a request needs, as the API server's authorizer sees it."""
    match = _GROUPED.fullmatch(request.path) or _LEGACY.fullmatch(request.path)
    assert match is not None, request.path
    group = match.groupdict().get("group") or ""
    verb = "get" if match["name"] else "watch" if "watch" in request.query else "list"
    return (group, match["resource"], verb if request.method == "GET" else request.method)


async def _asked(tmp_path: Path, watch: str) -> set[Right]:
    """Everything that an agent asks from its start until it watches all it wants to."""
    asked: set[Right] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        right = _right(request)
        asked.add(right)
        if right[2] != "watch":
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        response = web.StreamResponse()
        await response.prepare(request)
        await anyio.sleep_forever()
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = tmp_path / f"config-{watch}"
    cluster = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    contexts = [{"name": "a", "context": {"cluster": "c"}}]
    config.write_text(
        yaml.safe_dump({"current-context": "a", "contexts": contexts, "clusters": [{"name": "c", "cluster": cluster}]})
    )
    entities = Entities(EntityOptions("node-a", str(config), watch, proc=tmp_path))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(entities.run)
            assert await entities.wait_ready(10)
            resources = {right[1] for right in asked}
            await until(lambda: {right[1] for right in asked if right[2] == "watch"} == resources)
            tasks.cancel_scope.cancel()
    finally:
        await runner.cleanup()
    return asked


def _granted(documents: Iterable[Any]) -> set[Right]:
    (role,) = [one for one in documents if one and one.get("kind") == "ClusterRole"]
    assert all(set(rule) == {"apiGroups", "resources", "verbs"} for rule in role["rules"])
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _of_the_chart() -> set[Right]:
    text = (_DEPLOY / "helm/osmia-agent/templates/access.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^\s*\{\{-?.*\}\}\s*$", "", text, flags=re.MULTILINE)
    return _granted(yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "x", text)))


def _of_the_server() -> set[Right]:
    return _granted(yaml.safe_load_all(manifest(server_url="http://x", monitoring_id="m", key="k")))


def _of_the_plain_manifest() -> set[Right]:
    return _granted(yaml.safe_load_all((_DEPLOY / "kubernetes/osmia-agent.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("granted", [_of_the_chart, _of_the_server, _of_the_plain_manifest])
async def test_role_grants_exactly_what_is_asked(tmp_path: Path, granted: Any) -> None:  # noqa: ANN401 - a function
    """Recorded from the agent's own code, for either setting of `watch`, and compared right for right."""
    for watch in ("node", "cluster"):
        assert await _asked(tmp_path, watch) == granted()
