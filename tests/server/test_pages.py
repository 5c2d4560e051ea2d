"""The web UI's files, its single page, and the contract of the API."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from osmia.server.api.errors import install_error_handlers
from osmia.server.api.pages import pages_router
from osmia.server.openapi import document

pytestmark = pytest.mark.anyio

_SNAPSHOT = Path(__file__).parent / "openapi_snapshot.txt"


async def _get(web: Path, path: str, *, method: str = "GET") -> httpx.Response:
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(pages_router(web))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://osmia") as http:
        return await http.request(method, path)


@pytest.mark.parametrize("path", ["/", "/clusters/abc/map", "/clusters/abc/resources/Deployment//x"])
async def test_every_page_is_the_one_page(web: Path, path: str) -> None:
    """A path that is no file is the single page, which no cache keeps."""
    answer = await _get(web, path)

    assert (answer.status_code, answer.text) == (200, "<title>the page</title>")
    assert answer.headers["cache-control"] == "no-cache"


async def test_hashed_files_are_kept_for_ever(web: Path) -> None:
    """A name with a hash never changes its content."""
    answer = await _get(web, "/assets/app-1a2b.js")

    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "javascript" in answer.headers["content-type"]


async def test_a_missing_asset_is_not_a_page(web: Path) -> None:
    """A script tag must not get HTML."""
    answer = await _get(web, "/assets/gone.js")

    assert answer.status_code == 404


async def test_an_unknown_call_is_not_a_page(web: Path) -> None:
    """Under /api everything is JSON."""
    answer = await _get(web, "/api/v1/gone")

    assert (answer.status_code, answer.json()["error"]["field"]) == (404, "path")


async def test_an_unknown_call_is_not_found_by_any_method(web: Path) -> None:
    """A POST to nowhere is 404, not "method not allowed"."""
    answer = await _get(web, "/api/v1/gone", method="POST")

    assert answer.status_code == 404


async def test_pages_answer_to_head(web: Path) -> None:
    """Probes and proxies ask without wanting the body."""
    answer = await _get(web, "/", method="HEAD")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/..%2fsecret"])
async def test_files_outside_are_not_served(web: Path, path: str) -> None:
    """No path leads out of the directory."""
    (web.parent / "secret").write_text("secret")

    answer = await _get(web, path)

    assert "secret" not in answer.text


async def test_without_pages_it_says_how_to_build_them(tmp_path: Path) -> None:
    """An installation without the UI explains itself."""
    answer = await _get(tmp_path, "/")

    assert "make setup" in answer.text


def _contract() -> list[str]:
    api = json.loads(document())
    lines = []
    for path, calls in api["paths"].items():
        for method, call in calls.items():
            names = [f"{one['in']}:{one['name']}" for one in call.get("parameters", [])]
            lines.append(" ".join([method.upper(), path, call["operationId"], *sorted(names)]))
    for name, schema in api["components"]["schemas"].items():
        lines += [f"{name}.{field}" for field in schema.get("properties", {})]
    return sorted(lines)


def test_the_api_changes_on_purpose_only() -> None:
    """Calls, parameters and fields are as in the snapshot; rewrite it when a change is meant:
    `python -m tests.server.test_pages`.
    """
    assert _contract() == _SNAPSHOT.read_text().splitlines()


if __name__ == "__main__":
    _SNAPSHOT.write_text("\n".join(_contract()) + "\n")
