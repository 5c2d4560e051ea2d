"""Which resources the API server has: one table; adding a row adds the resource everywhere (store, HTTP, discovery)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["RESOURCES", "Resource", "find"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type. `fields` are the field selectors it understands besides metadata.name and .namespace."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    is_namespaced: bool = True
    has_status: bool = False
    has_scale: bool = False
    short_names: tuple[str, ...] = ()
    is_in_all: bool = False
    fields: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        """The name for one object, as kubectl accepts it."""
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the legacy group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """`plural.group`, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_generation(self) -> bool:
        """Whether changes of the spec count up metadata.generation."""
        return self.group in {"apps", "batch"}


_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)

_RBAC = "rbac.authorization.k8s.io"

_TABLE = (
    Resource("namespaces", "Namespace", is_namespaced=False, has_status=True, short_names=("ns",),
             fields=("status.phase",)),
    Resource("nodes", "Node", is_namespaced=False, has_status=True, short_names=("no",),
             fields=("spec.unschedulable",)),
    Resource("pods", "Pod", has_status=True, short_names=("po",), is_in_all=True, fields=_POD_FIELDS),
    Resource("services", "Service", has_status=True, short_names=("svc",), is_in_all=True,
             fields=("spec.clusterIP", "spec.type")),
    Resource("endpoints", "Endpoints", short_names=("ep",)),
    Resource("configmaps", "ConfigMap", short_names=("cm",)),
    Resource("secrets", "Secret", fields=("type",)),
    Resource("serviceaccounts", "ServiceAccount", short_names=("sa",)),
    Resource("resourcequotas", "ResourceQuota", has_status=True, short_names=("quota",)),
    Resource("persistentvolumeclaims", "PersistentVolumeClaim", has_status=True, short_names=("pvc",)),
    Resource("persistentvolumes", "PersistentVolume", is_namespaced=False, has_status=True, short_names=("pv",)),
    Resource("events", "Event", short_names=("ev",), fields=_EVENT_FIELDS),
    Resource("replicationcontrollers", "ReplicationController", has_status=True, has_scale=True, short_names=("rc",),
             is_in_all=True),
    Resource("endpointslices", "EndpointSlice", group="discovery.k8s.io"),
    Resource("deployments", "Deployment", group="apps", has_status=True, has_scale=True, short_names=("deploy",),
             is_in_all=True),
    Resource("replicasets", "ReplicaSet", group="apps", has_status=True, has_scale=True, short_names=("rs",),
             is_in_all=True),
    Resource("statefulsets", "StatefulSet", group="apps", has_status=True, has_scale=True, short_names=("sts",),
             is_in_all=True),
    Resource("daemonsets", "DaemonSet", group="apps", has_status=True, is_in_all=True, short_names=("ds",)),
    Resource("controllerrevisions", "ControllerRevision", group="apps"),
    Resource("jobs", "Job", group="batch", has_status=True, is_in_all=True, fields=("status.successful",)),
    Resource("cronjobs", "CronJob", group="batch", has_status=True, short_names=("cj",), is_in_all=True),
    Resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", group="autoscaling", version="v2",
             has_status=True, short_names=("hpa",), is_in_all=True),
    Resource("leases", "Lease", group="coordination.k8s.io"),
    Resource("clusterroles", "ClusterRole", group=_RBAC, is_namespaced=False),
    Resource("clusterrolebindings", "ClusterRoleBinding", group=_RBAC, is_namespaced=False),
    Resource("roles", "Role", group=_RBAC),
    Resource("rolebindings", "RoleBinding", group=_RBAC),
    Resource("priorityclasses", "PriorityClass", group="scheduling.k8s.io", is_namespaced=False,
             short_names=("pc",)),
    Resource("storageclasses", "StorageClass", group="storage.k8s.io", is_namespaced=False, short_names=("sc",)),
    Resource("ingresses", "Ingress", group="networking.k8s.io", has_status=True, short_names=("ing",)),
    Resource("networkpolicies", "NetworkPolicy", group="networking.k8s.io", short_names=("netpol",)),
    Resource("poddisruptionbudgets", "PodDisruptionBudget", group="policy", has_status=True, short_names=("pdb",)),
)  # fmt: skip

RESOURCES: Mapping[str, Resource] = MappingProxyType({resource.plural: resource for resource in _TABLE})
"""Every resource by its plural name."""


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource at /apis/group/version/plural (group "" = the legacy group), or None."""
    resource = RESOURCES.get(plural)
    return resource if resource and (resource.group, resource.version) == (group, version) else None
