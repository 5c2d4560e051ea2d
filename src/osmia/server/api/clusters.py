"""Clusters: list, add, look at, rename, remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, StringConstraints

from osmia.server.api.answer import json_answer
from osmia.server.api.errors import ApiError
from osmia.server.api.install import Install, install_texts, manifest
from osmia.server.api.state import ClusterDependency, Services, ServicesDependency
from osmia.server.auth.keys import new_cluster_id
from osmia.server.query.quality import CONNECTED_S
from osmia.server.storage.metadata import ClusterRecord

__all__ = ["Cluster", "ClusterList", "ClusterName", "ClusterWithInstall", "router"]

router = APIRouter(prefix="/api/v1/clusters", tags=["clusters"])

State = Literal["waiting", "connected", "silent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A monitored cluster: waiting (never heard of), connected, or silent (not heard of for half a minute)."""

    id: str
    name: str
    created_ms: int
    state: State
    agents: int
    last_seen_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWithInstall(Cluster):
    """A cluster with what its agents need."""

    install: Install


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterList:
    """All clusters, oldest first; `notice` is what the operator wants every reader to know."""

    items: list[Cluster]
    notice: str


class ClusterName(BaseModel):
    """What a person chooses when adding or renaming a cluster."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


@router.get("", response_model=ClusterList)
async def list_clusters(services: ServicesDependency) -> Response:
    """All clusters."""
    records = await services.directory.refresh()
    items = [_cluster(record, services) for record in records]
    return json_answer(ClusterList(items=items, notice=services.config.notice))


@router.post("", response_model=ClusterWithInstall, status_code=201)
async def add_cluster(body: ClusterName, request: Request, services: ServicesDependency) -> Response:
    """Add a cluster; the answer has the commands that connect it."""
    record = ClusterRecord(new_cluster_id(), body.name, services.now_ns() // 10**6, 1)
    await services.metadata.add_cluster(record)
    return json_answer(_with_install(record, request, services), status=201)


# `cluster_id` in these paths is taken by ClusterDependency.
@router.get("/{cluster_id}", response_model=ClusterWithInstall)  # noqa: FAST003
async def get_cluster(cluster: ClusterDependency, request: Request, services: ServicesDependency) -> Response:
    """One cluster with the commands that connect it."""
    return json_answer(_with_install(cluster, request, services))


@router.patch("/{cluster_id}", response_model=ClusterWithInstall)  # noqa: FAST003
async def rename_cluster(
    cluster: ClusterDependency, body: ClusterName, request: Request, services: ServicesDependency
) -> Response:
    """Give a cluster another name."""
    renamed = await services.metadata.rename_cluster(cluster.id, body.name)
    await services.directory.refresh()
    if renamed is None:
        raise ApiError(404, "cluster_id", cluster.id, problem="no such cluster")
    return json_answer(_with_install(renamed, request, services))


@router.delete("/{cluster_id}", status_code=204)  # noqa: FAST003
async def remove_cluster(cluster: ClusterDependency, services: ServicesDependency) -> Response:
    """Forget a cluster: its key stops working at once, its telemetry ages out of the store."""
    await services.metadata.remove_cluster(cluster.id)
    await services.directory.refresh()
    for table in (services.presence, services.freshness, services.late_names, services.intake.books):
        table.forget(cluster.id)
    return Response(status_code=204)


@router.get(
    "/{cluster_id}/manifest.yaml",  # noqa: FAST003
    response_class=Response,
    responses={200: {"content": {"text/yaml": {}}}},
)
async def get_manifest(cluster: ClusterDependency, request: Request, services: ServicesDependency) -> Response:
    """The agent's manifest for `kubectl apply -f -`, with this cluster's id and key."""
    key = services.keys.key(cluster.id, cluster.key_version)
    text = manifest(server_url=_server_url(request, services), monitoring_id=cluster.id, key=key)
    return Response(text, media_type="text/yaml", headers={"Cache-Control": "no-store"})


def _cluster(record: ClusterRecord, services: Services) -> Cluster:
    now_ms = services.now_ns() // 10**6
    last_seen_ms = services.presence.last_seen_ms(record.id)
    since_ms = now_ms - CONNECTED_S * 1_000
    state: State = "waiting"
    if last_seen_ms is not None:
        state = "connected" if last_seen_ms >= since_ms else "silent"
    return Cluster(
        id=record.id,
        name=record.name,
        created_ms=record.created_ms,
        state=state,
        agents=services.presence.connected(record.id, since_ms=since_ms),
        last_seen_ms=last_seen_ms,
    )


def _with_install(record: ClusterRecord, request: Request, services: Services) -> ClusterWithInstall:
    cluster = _cluster(record, services)
    install = install_texts(
        server_url=_server_url(request, services),
        monitoring_id=record.id,
        key=services.keys.key(record.id, record.key_version),
    )
    return ClusterWithInstall(
        id=cluster.id,
        name=cluster.name,
        created_ms=cluster.created_ms,
        state=cluster.state,
        agents=cluster.agents,
        last_seen_ms=cluster.last_seen_ms,
        install=install,
    )


def _server_url(request: Request, services: Services) -> str:
    return services.config.public_url.rstrip("/") or str(request.base_url).rstrip("/")
