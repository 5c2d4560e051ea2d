"""Live updates: a stream of small events that tell a page to ask again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import msgspec
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from osmia.server.api.errors import ApiError
from osmia.server.api.state import ClusterDependency, Services, ServicesDependency

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/clusters/{cluster_id}", tags=["telemetry"])

_KEEP_ALIVE_S = 15.0
_PAUSE_S = 1.0


@router.get("/live", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def follow_cluster(cluster: ClusterDependency, services: ServicesDependency) -> StreamingResponse:
    """Server-sent events named `data` with `{"newest_ms": ...}`, at most one a second, when telemetry arrived."""
    if services.metrics.value("live_clients") >= services.config.sse_clients:
        services.metrics.add("live_refused")
        raise ApiError(
            503, "", "", problem="too many pages follow live updates", remedy="close some, or raise --sse-clients"
        )
    return StreamingResponse(
        _events(services, cluster.id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(services: Services, cluster_id: str) -> AsyncIterator[bytes]:
    freshness = services.freshness
    services.metrics.add("live_clients", 1)
    try:
        version = freshness.version(cluster_id)
        yield b"retry: 2000\n\n" + _event(freshness.newest_ns(cluster_id))
        while not freshness.is_closed:
            with anyio.move_on_after(_KEEP_ALIVE_S) as waited:
                version = await freshness.wait(cluster_id, after_version=version)
            if freshness.is_closed:
                return
            yield b": still here\n\n" if waited.cancelled_caught else _event(freshness.newest_ns(cluster_id))
            with anyio.move_on_after(_PAUSE_S):
                await freshness.wait_closed()
    finally:
        services.metrics.add("live_clients", -1)


def _event(newest_ns: int) -> bytes:
    data = msgspec.json.encode({"newest_ms": newest_ns // 10**6 or None})
    return b"event: data\ndata: " + data + b"\n\n"
