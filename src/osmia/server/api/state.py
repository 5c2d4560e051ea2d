"""What the routers work with: one frozen object, made by app.py when the server starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from osmia.server.api.errors import ApiError
from osmia.server.auth.keys import KeyRing
from osmia.server.config import ServerConfig
from osmia.server.ingest.intake import Intake
from osmia.server.ingest.presence import Presence
from osmia.server.metrics import ServerMetrics
from osmia.server.query.freshness import Freshness
from osmia.server.query.late_names import LateNames
from osmia.server.storage.metadata import ClusterRecord, MetadataStore
from osmia.server.storage.store import Store

__all__ = ["ClusterDependency", "Directory", "Services", "ServicesDependency"]


class Directory:
    """The clusters, read from the metadata and kept at hand: every call of the API needs one."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._records: dict[str, ClusterRecord] = {}

    async def refresh(self) -> list[ClusterRecord]:
        """Every cluster as the metadata has it now."""
        records = list(await self._metadata.clusters())
        self._records = {record.id: record for record in records}
        return records

    async def get(self, cluster_id: str) -> ClusterRecord | None:
        """One cluster, asking the metadata again only when it is not known here."""
        if cluster_id not in self._records:
            await self.refresh()
        return self._records.get(cluster_id)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need."""

    config: ServerConfig
    store: Store
    metadata: MetadataStore
    directory: Directory
    keys: KeyRing
    intake: Intake
    presence: Presence
    freshness: Freshness
    late_names: LateNames
    metrics: ServerMetrics
    now_ns: Callable[[], int] = field(default=time.time_ns)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDependency = Annotated[Services, Depends(_services)]
"""The services, as a route's argument."""


async def _cluster(cluster_id: str, services: ServicesDependency) -> ClusterRecord:
    record = await services.directory.get(cluster_id)
    if record is None:
        raise ApiError(
            404, "cluster_id", cluster_id, problem="no such cluster", remedy="GET /api/v1/clusters lists them"
        )
    return record


ClusterDependency = Annotated[ClusterRecord, Depends(_cluster)]
"""The cluster named in the path, as a route's argument; 404 when there is none."""
