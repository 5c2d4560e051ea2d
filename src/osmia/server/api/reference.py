"""The API's reference for people, made from the OpenAPI document and loading nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Osmia API</title>
<style>
  :root { color-scheme: light dark }
  body { font: 14px/1.5 system-ui; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  code { font-family: ui-monospace, monospace; font-size: 13px }
  h2 { font-size: 1rem; margin: 2rem 0 0 }
  td { padding: 0 1rem 0 0; vertical-align: top }
</style>
<h1>Osmia API</h1>
<p>The contract for programs: <a href="/api/openapi.json">openapi.json</a>. Every error is
<code>{"error": {"field", "value", "message", "remedy"}}</code>.</p>
"""


@router.get("/api/docs")
async def show_reference(request: Request) -> HTMLResponse:
    """Every call with its parameters and answer."""
    document: Mapping[str, Any] = request.app.openapi()
    calls = [
        "".join(_call(method, path, call))
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    ]
    schemas = ["".join(_schema(name, schema)) for name, schema in document["components"]["schemas"].items()]
    return HTMLResponse(_HEAD + "".join(calls) + "<h1>Values</h1>" + "".join(schemas))


def _call(method: str, path: str, call: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(call.get('description', ''))}</p><table>"
    for one in call.get("parameters", []):
        yield _row(one["name"], one["schema"], one.get("description", ""))
    yield "</table>"
    for status, answer in call["responses"].items():
        for content in answer.get("content", {}).values():
            if status.startswith("2") and "schema" in content:
                yield f"<p>Answer: {_type(content['schema'])}</p>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2 id='{escape(name)}'>{escape(name)}</h2><p>{escape(schema.get('description', ''))}</p><table>"
    for field, kind in schema.get("properties", {}).items():
        yield _row(field, kind, kind.get("description", ""))
    yield "</table>"


def _row(name: str, schema: Mapping[str, Any], description: str) -> str:
    default = f", default <code>{escape(str(schema['default']))}</code>" if schema.get("default") else ""
    return f"<tr><td><code>{escape(name)}</code><td>{_type(schema)}{default}<td>{escape(description)}"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "any")))
