"""The web UI: files of the package, with the single page for every path that is not a file."""

from __future__ import annotations

from pathlib import Path

import anyio
from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

import osmia
from osmia.server.api.errors import ApiError

__all__ = ["pages_router"]

_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_HASHED = "assets/"
"""Files under it carry a hash of their content in their name."""

_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Osmia</title>
<body style="font-family: system-ui; max-width: 40rem; margin: 4rem auto; line-height: 1.5">
<h1>The pages are not built</h1>
<p>The server runs and its API answers under <a href="/api/docs">/api/docs</a>, but this installation has no web UI.
In a checkout, build it with:</p>
<pre>make setup</pre>
<p>Wheels and images have it inside.</p>
</body></html>
"""


def pages_router(directory: Path | None = None) -> APIRouter:
    """Routes for everything outside /api; must be included last."""
    root = (directory or Path(osmia.__file__).parent / "web").resolve()
    router = APIRouter(include_in_schema=False)

    @router.api_route("/api/{path:path}", methods=_ALL_METHODS)
    async def no_such_call(path: str) -> Response:
        raise ApiError(404, "path", f"/api/{path}", problem="no such call", remedy="see /api/docs")

    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def page(path: str) -> Response:
        file = (root / path).resolve()
        if path and file.is_relative_to(root) and await anyio.Path(file).is_file():
            return FileResponse(file, headers={"Cache-Control": _caching(path)})
        if path.startswith(_HASHED):
            raise ApiError(404, "path", f"/{path}", problem="no such file", remedy="reload the page: it was replaced")
        index = root / "index.html"
        if await anyio.Path(index).is_file():
            return FileResponse(index, headers={"Cache-Control": "no-cache"})
        return HTMLResponse(_NOT_BUILT, headers={"Cache-Control": "no-cache"})

    return router


def _caching(path: str) -> str:
    return "public, max-age=31536000, immutable" if path.startswith(_HASHED) else "no-cache"
