"""Questions about one cluster: map, edges over time, a workload's details, requests, data quality."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Response

from osmia.server.api.answer import json_answer
from osmia.server.api.errors import ApiError
from osmia.server.api.state import ClusterDependency, Services, ServicesDependency
from osmia.server.query.agents import agent_details
from osmia.server.query.answers import AgentDetails, Map, NetworkDetails, Quality, RequestPage, ResourceDetails, Series
from osmia.server.query.network import edge_network
from osmia.server.query.quality import quality
from osmia.server.query.ranges import TimeRange
from osmia.server.query.requests import MAX_LIMIT, RequestFilter, find_requests
from osmia.server.query.resources import ResourceName, resource_details
from osmia.server.query.scope import Scope
from osmia.server.query.series import MAX_POINTS, edge_exists, edge_series
from osmia.server.query.service_map import service_map
from osmia.server.storage.store import QueryError

__all__ = ["router"]

T = TypeVar("T")

router = APIRouter(prefix="/api/v1/clusters/{cluster_id}", tags=["telemetry"])

_EDGE_ID = re.compile(r"[0-9a-f]{16}")
_RESOURCE_PARTS = 3


def _scope(
    cluster: ClusterDependency,
    services: ServicesDependency,
    start: Annotated[str, Query(alias="from", description="Unix ms, now or now-15m")] = "now-15m",
    end: Annotated[str, Query(alias="to", description="Unix ms, now or now-15m")] = "now",
) -> Scope:
    span = TimeRange.parse(start, end, now_ms=services.now_ns() // 10**6)
    return Scope(
        store=services.store,
        cluster=cluster.id,
        span=span,
        newest_ns=services.freshness.newest_ns(cluster.id),
        late_names=services.late_names.between(cluster.id, from_ns=span.from_s * 10**9, to_ns=span.to_s * 10**9),
    )


_ScopeDependency = Annotated[Scope, Depends(_scope)]


async def _timed(services: Services, question: str, answer: Awaitable[T]) -> T:
    began = time.perf_counter()
    try:
        return await answer
    except QueryError:
        services.metrics.add("query_failures", question=question)
        raise
    finally:
        services.metrics.observe("query_seconds", time.perf_counter() - began, question=question)


@router.get("/quality", response_model=Quality)
async def get_quality(cluster: ClusterDependency, services: ServicesDependency) -> Response:
    """How far the data can be trusted right now."""
    question = quality(services.store, services.freshness, cluster=cluster.id, now_ns=services.now_ns())
    return json_answer(await _timed(services, "quality", question))


@router.get("/agents/{agent_id:path}", response_model=AgentDetails)
async def get_agent(
    agent_id: str,
    cluster: ClusterDependency,
    services: ServicesDependency,
    start: Annotated[str, Query(alias="from", description="Unix ms, now or now-15m")] = "now-15m",
    end: Annotated[str, Query(alias="to", description="Unix ms, now or now-15m")] = "now",
) -> Response:
    """One agent: what it costs, what it lost, what it cannot do, what its governor gave up."""
    now_ns = services.now_ns()
    span = TimeRange.parse(start, end, now_ms=now_ns // 10**6)
    question = agent_details(services.store, cluster=cluster.id, agent=agent_id, span=span, now_ns=now_ns)
    details = await _timed(services, "agent", question)
    if details is None:
        raise ApiError(404, "agent_id", agent_id, problem="silent for 15 minutes", remedy="take ids from /quality")
    return json_answer(details)


@router.get("/map", response_model=Map)
async def get_map(scope: _ScopeDependency, services: ServicesDependency) -> Response:
    """The service map."""
    question = service_map(scope)
    return json_answer(await _timed(services, "map", question))


@router.get("/edges/{edge_id}/series", response_model=Series)
async def get_edge_series(
    edge_id: str,
    scope: _ScopeDependency,
    services: ServicesDependency,
    points: Annotated[int, Query(ge=1, le=MAX_POINTS)] = 60,
) -> Response:
    """One edge over time."""
    number = int(edge_id, 16) if _EDGE_ID.fullmatch(edge_id) else None
    if number is None or not await edge_exists(scope, number):
        raise ApiError(404, "edge_id", edge_id, problem="no such edge", remedy="take ids from the map")
    question = edge_series(scope, edge_id=number, points=points)
    return json_answer(await _timed(services, "edge_series", question))


@router.get("/edges/{edge_id}/network", response_model=NetworkDetails)
async def get_edge_network(
    edge_id: str,
    scope: _ScopeDependency,
    services: ServicesDependency,
    points: Annotated[int, Query(ge=1, le=MAX_POINTS)] = 60,
) -> Response:
    """The connections under one edge: connects and failures, round trips, retransmits, resets."""
    number = int(edge_id, 16) if _EDGE_ID.fullmatch(edge_id) else None
    question = edge_network(scope, edge_id=number or 0, points=points)
    details = await _timed(services, "edge_network", question)
    if number is None or details is None:
        raise ApiError(
            404, "edge_id", edge_id, problem="not seen in this range", remedy="take ids from the map of this range"
        )
    return json_answer(details)


@router.get("/resources/{resource_id:path}", response_model=ResourceDetails)
async def get_resource(resource_id: str, scope: _ScopeDependency, services: ServicesDependency) -> Response:
    """One workload: what it serves and whom it calls."""
    parts = resource_id.split("/", _RESOURCE_PARTS - 1)
    if len(parts) != _RESOURCE_PARTS:
        raise ApiError(
            404, "resource_id", resource_id, problem="not a resource id", remedy="kind/namespace/name, as on the map"
        )
    question = resource_details(scope, ResourceName(*parts))
    details = await _timed(services, "resource", question)
    if details is None:
        raise ApiError(
            404, "resource_id", resource_id, problem="not seen in this range", remedy="choose a longer time range"
        )
    return json_answer(details)


@router.get("/requests", response_model=RequestPage)
async def list_requests(  # noqa: PLR0913 - one argument per filter of the API
    scope: _ScopeDependency,
    services: ServicesDependency,
    *,
    source: str = "",
    target: str = "",
    resource: Annotated[str, Query(description="id of the workload at either end")] = "",
    protocol: str = "",
    status: str = "",
    method: str = "",
    text: Annotated[str, Query(description="stands in the path or statement, any case", max_length=500)] = "",
    fingerprint: Annotated[str, Query(description="fingerprint of the template", max_length=12)] = "",
    min_latency_ns: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
    errors_only: bool = False,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 200,
    cursor: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Single requests, newest first."""
    wanted = RequestFilter(
        source=source,
        target=target,
        resource=resource,
        protocol=protocol,
        status=status,
        method=method,
        text=text,
        fingerprint=fingerprint,
        min_latency_ns=min_latency_ns,
        errors_only=errors_only,
    )
    question = find_requests(scope, wanted, limit=limit, cursor=cursor)
    return json_answer(await _timed(services, "requests", question))
