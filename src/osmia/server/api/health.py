"""What the server says of itself: /healthz for probes, /metrics for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response

from osmia import __version__
from osmia.server.api.answer import json_answer
from osmia.server.api.state import ServicesDependency
from osmia.server.metrics import CONTENT_TYPE

__all__ = ["Health", "router"]

router = APIRouter(tags=["health"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the server can do its work; `lag_ms` is the age of the newest telemetry of any cluster."""

    ok: bool
    version: str
    store: str
    store_version: str
    store_ok: bool
    lag_ms: int | None


@router.get("/healthz", response_model=Health)
async def get_health(services: ServicesDependency) -> Response:
    """200 when the store answers, 503 when it does not."""
    store = await services.store.health()
    newest_ns = services.freshness.newest_of_all_ns()
    lag_ms = max(0, (services.now_ns() - newest_ns) // 10**6) if newest_ns else None
    health = Health(
        ok=store.is_ok,
        version=__version__,
        store=store.engine,
        store_version=store.version,
        store_ok=store.is_ok,
        lag_ms=lag_ms,
    )
    return json_answer(health, status=200 if store.is_ok else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(services: ServicesDependency) -> Response:
    """The server's own metrics in the Prometheus text format."""
    health = await services.store.health()
    services.metrics.set("store_memory_bytes", health.memory_bytes)
    for size in health.tables:
        services.metrics.set("store_rows", size.rows, table=size.table)
        services.metrics.set("store_bytes", size.size_bytes, table=size.table)
        services.metrics.set("store_parts", size.parts, table=size.table)
    return Response(services.metrics.render(), media_type=CONTENT_TYPE)
