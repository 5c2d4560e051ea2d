"""What exists in a cluster, with or without traffic: workloads and their pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from osmia.server.query.answers import PodState
from osmia.server.query.rows import integer, text
from osmia.server.query.scope import Scope
from osmia.server.storage.store import Row, Store

__all__ = ["Workload", "WorkloadDetails", "nodes_expected", "workload_details", "workloads"]

_LISTED_IDLE = frozenset({"Deployment", "StatefulSet", "DaemonSet"})

_REPORTED_WITHIN_NS = 300 * 10**9
"""Agents report every object each minute; one unheard of for longer went while nobody watched."""

_EXISTS = (
    "created_ns < {end_ns:UInt64} AND (deleted_ns = 0 OR deleted_ns >= {end_ns:UInt64})"
    f" AND seen_ns + {_REPORTED_WITHIN_NS} >= {{end_ns:UInt64}}"
)

_OWNER = (
    "if(workload_name = '', 'Pod', workload_kind) AS owner_kind, if(workload_name = '', name, workload_name) AS owner"
)

_WORKLOADS = f"""
SELECT owner_kind AS kind, namespace, owner AS name, sum(pods) AS pods, sum(running) AS running,
    sum(desired) AS desired, sum(ready) AS ready, sum(declared) AS declared
FROM (
    SELECT {_OWNER}, namespace, 1 AS pods, phase = 'Running' AS running, 0 AS desired, 0 AS ready, 0 AS declared
    FROM objects FINAL WHERE cluster = {{cluster:String}} AND kind = 'Pod' AND {_EXISTS}
    UNION ALL
    SELECT kind AS owner_kind, name AS owner, namespace, 0, 0, replicas_desired, replicas_ready, 1
    FROM objects FINAL WHERE cluster = {{cluster:String}} AND kind IN ('Deployment', 'StatefulSet', 'DaemonSet')
        AND {_EXISTS}
) GROUP BY kind, namespace, name
"""  # noqa: S608 - made of constants

_ONE = f"""
SELECT kind, name, node, phase, ips, replicas_desired, replicas_ready, {_OWNER} FROM objects FINAL
WHERE cluster = {{cluster:String}} AND namespace = {{namespace:String}} AND {_EXISTS} AND (
    (kind = {{kind:String}} AND name = {{name:String}})
    OR (kind = 'Pod' AND owner_kind = {{kind:String}} AND owner = {{name:String}})
) ORDER BY name LIMIT 1000
"""  # noqa: S608 - same


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload as the cluster declares it."""

    kind: str
    namespace: str
    name: str
    pods_ready: int
    pods_desired: int
    has_pods: bool

    @property
    def id(self) -> str:
        """kind/namespace/name."""
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def is_listed_idle(self) -> bool:
        """Whether the map shows it even without traffic."""
        return self.has_pods and self.kind in _LISTED_IDLE


async def workloads(scope: Scope) -> Mapping[str, Workload]:
    """Every workload that exists at the end of the range, by id; counts come from its pods where it has no object."""
    found = []
    for row in await scope.read(_WORKLOADS):
        is_declared = integer(row, "declared") > 0
        found.append(
            Workload(
                kind=text(row, "kind"),
                namespace=text(row, "namespace"),
                name=text(row, "name"),
                pods_ready=integer(row, "ready" if is_declared else "running"),
                pods_desired=integer(row, "desired" if is_declared else "pods"),
                has_pods=integer(row, "pods") > 0,
            )
        )
    return {workload.id: workload for workload in found}


@dataclass(frozen=True, slots=True)
class WorkloadDetails:
    """One workload and its pods; None counts where the cluster's objects do not know it."""

    pods_ready: int | None
    pods_desired: int | None
    pods: list[PodState]


async def workload_details(scope: Scope, workload: Mapping[str, object]) -> WorkloadDetails:
    """A workload by its kind, namespace and name at the end of the range."""
    rows = await scope.read(_ONE, workload)
    pods = [_pod(row) for row in rows if row["kind"] == "Pod"]
    declared = next((row for row in rows if row["kind"] in _LISTED_IDLE), None)
    if declared is not None:
        return WorkloadDetails(integer(declared, "replicas_ready"), integer(declared, "replicas_desired"), pods)
    if not rows:
        return WorkloadDetails(None, None, pods)
    return WorkloadDetails(sum(1 for pod in pods if pod.phase == "Running"), len(pods), pods)


def _pod(row: Row) -> PodState:
    ips: list[str] = list(row["ips"])  # type: ignore[call-overload]  # an Array(String) column
    return PodState(name=text(row, "name"), node=text(row, "node"), phase=text(row, "phase"), ip=ips[0] if ips else "")


async def nodes_expected(store: Store, *, cluster: str, now_ns: int) -> int:
    """Nodes that exist now, each of which should run an agent; 0 when the cluster's nodes are not known."""
    rows = await store.query(
        "SELECT count() AS nodes FROM objects FINAL"  # noqa: S608 - made of constants
        f" WHERE cluster = {{cluster:String}} AND kind = 'Node' AND {_EXISTS}",
        {"cluster": cluster, "end_ns": now_ns},
    )
    return integer(rows[0], "nodes")
