"""What `kubectl get` prints: meta.k8s.io/v1 Tables, with the columns of each resource declared in one table.

Columns of priority 1 are shown only by `-o wide`. Resources not listed get name and age.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Column", "age", "columns", "metadata_only", "table"]

Object = dict[str, Any]


class Column(NamedTuple):
    """A column: its header, how to get the cell from an object and the present time, and when it is shown."""

    name: str
    cell: Callable[[Object, dt.datetime], object]
    priority: int = 0
    type: str = "string"


def table(
    plural: str,
    objects: Iterable[Object],
    *,
    now: dt.datetime,
    include: str = "Metadata",
    metadata: Object | None = None,
) -> Object:
    """The objects as a Table; `include` is what each row carries besides its cells: Metadata, Object or None."""
    shown = columns(plural)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata or {},
        "columnDefinitions": [_definition(column) for column in shown],
        "rows": [_row(shown, obj, now, include) for obj in objects],
    }


def columns(plural: str) -> Sequence[Column]:
    """The columns of a resource, in order."""
    return _COLUMNS.get(plural, (_NAME, _AGE))


def metadata_only(obj: Object) -> Object:
    """The object as PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def age(timestamp: str | None, now: dt.datetime) -> str:
    """Time since an RFC 3339 timestamp as kubectl writes it: 45s, 3m12s, 5h, 12d."""
    if not timestamp:
        return "<unknown>"
    seconds = max(0, int((now - dt.datetime.fromisoformat(timestamp)).total_seconds()))
    return _duration(seconds)


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    steps = (
        (120, f"{seconds}s"),
        (600, f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"),
        (10_800, f"{minutes}m"),
        (28_800, f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"),
        (172_800, f"{hours}h"),
        (691_200, f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"),
    )
    return next((text for below, text in steps if seconds < below), f"{days}d")


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": "name" if column.name == "Name" else "",
        "description": column.name,
        "priority": column.priority,
    }


def _row(shown: Sequence[Column], obj: Object, now: dt.datetime, include: str) -> Object:
    row: Object = {"cells": [column.cell(obj, now) for column in shown]}
    if include == "Metadata":
        row["object"] = metadata_only(obj)
    elif include == "Object":
        row["object"] = obj
    return row


def _at(path: str, default: object = "<none>", name: str = "", *, priority: int = 0, type_: str = "string") -> Column:
    """A column that shows what stands at a dotted path."""

    def cell(obj: Object, _: dt.datetime) -> object:
        value: object = obj
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return Column(name or path.rsplit(".", 1)[-1].title(), cell, priority, type_)


def _of(name: str, cell: Callable[[Object], object], *, priority: int = 0, type_: str = "string") -> Column:
    """A column computed from the object alone."""
    return Column(name, lambda obj, _: cell(obj), priority, type_)


def _number(path: str, name: str) -> Column:
    return _at(path, 0, name, type_="integer")


def _pod_status(pod: Object) -> str:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        if reason := state.get("waiting", {}).get("reason"):
            return str(reason)
        if "terminated" in state:
            terminated = state["terminated"]
            return str(terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}")
    return str(status.get("reason") or status.get("phase", "Unknown"))


def _pod_ready(pod: Object) -> str:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return f"{sum(bool(one.get('ready')) for one in statuses)}/{len(pod.get('spec', {}).get('containers', []))}"


def _pod_restarts(pod: Object) -> str:
    return str(sum(one.get("restartCount", 0) for one in pod.get("status", {}).get("containerStatuses", [])))


def _ratio(ready: str, desired: str) -> Callable[[Object], str]:
    def text(obj: Object) -> str:
        return f"{obj.get('status', {}).get(ready, 0)}/{obj.get('spec', {}).get(desired, 1)}"

    return text


def _containers(field: str) -> Callable[[Object], str]:
    def text(obj: Object) -> str:
        spec = obj.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        return ",".join(
            str(one.get(field, "")) for one in spec.get("template", {}).get("spec", {}).get("containers", [])
        )

    return text


def _selector(obj: Object) -> str:
    selector = obj.get("spec", {}).get("selector") or {}
    return _pairs(selector.get("matchLabels", selector))


def _pairs(labels: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _service_ports(service: Object) -> str:
    ports = []
    for port in service.get("spec", {}).get("ports", []):
        number = f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else str(port["port"])
        ports.append(f"{number}/{port.get('protocol', 'TCP')}")
    return ",".join(ports) or "<none>"


def _external_ip(service: Object) -> str:
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    ips = [str(one.get("ip") or one.get("hostname")) for one in ingress] + spec.get("externalIPs", [])
    return ",".join(ips) or ("<pending>" if spec.get("type") == "LoadBalancer" else "<none>")


def _node_status(node: Object) -> str:
    conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", [])}
    ready = {"True": "Ready", "False": "NotReady"}.get(conditions.get("Ready", ""), "Unknown")
    return ready + (",SchedulingDisabled" if node.get("spec", {}).get("unschedulable") else "")


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels", {})
    return ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or "<none>"


def _node_address(kind: str) -> Callable[[Object], str]:
    def text(node: Object) -> str:
        addresses = node.get("status", {}).get("addresses", [])
        return next((one["address"] for one in addresses if one["type"] == kind), "<none>")

    return text


def _data_count(obj: Object) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


def _job_completions(job: Object) -> str:
    return f"{job.get('status', {}).get('succeeded', 0)}/{job.get('spec', {}).get('completions', 1)}"


def _job_status(job: Object) -> str:
    conditions = job.get("status", {}).get("conditions", [])
    return next((str(one["type"]) for one in conditions if one.get("status") == "True"), "Running")


def _slice_ports(one: Object) -> str:
    return ",".join(str(port.get("port", "*")) for port in one.get("ports") or []) or "<unset>"


def _slice_endpoints(one: Object) -> str:
    return ",".join(ip for endpoint in one.get("endpoints") or [] for ip in endpoint["addresses"]) or "<unset>"


def _endpoints(obj: Object) -> str:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses", [])
        for port in subset.get("ports", [])
    ]
    return ",".join(pairs) or "<none>"


def _involved(event: Object) -> str:
    involved = event.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _last_seen(event: Object, now: dt.datetime) -> str:
    return age(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp"), now)


_NAME = _at("metadata.name")
_AGE = Column("Age", lambda obj, now: age(obj["metadata"].get("creationTimestamp"), now))
_CONTAINERS = _of("Containers", _containers("name"), priority=1)
_IMAGES = _of("Images", _containers("image"), priority=1)
_SELECTOR = _of("Selector", _selector, priority=1)

_COLUMNS: Mapping[str, Sequence[Column]] = {
    "pods": (
        _NAME,
        _of("Ready", _pod_ready),
        _of("Status", _pod_status),
        _of("Restarts", _pod_restarts),
        _AGE,
        _at("status.podIP", name="IP", priority=1),
        _at("spec.nodeName", name="Node", priority=1),
        _at("status.nominatedNodeName", name="Nominated Node", priority=1),
        _of("Readiness Gates", lambda _: "<none>", priority=1),
    ),
    "services": (
        _NAME,
        _at("spec.type"),
        _at("spec.clusterIP", name="Cluster-IP"),
        _of("External-IP", _external_ip),
        _of("Port(s)", _service_ports),
        _AGE,
        _SELECTOR,
    ),
    "deployments": (
        _NAME,
        _of("Ready", _ratio("readyReplicas", "replicas")),
        _number("status.updatedReplicas", "Up-to-date"),
        _number("status.availableReplicas", "Available"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    "replicasets": (
        _NAME,
        _number("spec.replicas", "Desired"),
        _number("status.replicas", "Current"),
        _number("status.readyReplicas", "Ready"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    "statefulsets": (_NAME, _of("Ready", _ratio("readyReplicas", "replicas")), _AGE, _CONTAINERS, _IMAGES),
    "daemonsets": (
        _NAME,
        _number("status.desiredNumberScheduled", "Desired"),
        _number("status.currentNumberScheduled", "Current"),
        _number("status.numberReady", "Ready"),
        _number("status.updatedNumberScheduled", "Up-to-date"),
        _number("status.numberAvailable", "Available"),
        _of("Node Selector", lambda o: _pairs(o["spec"]["template"].get("spec", {}).get("nodeSelector") or {})),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    "jobs": (_NAME, _of("Status", _job_status), _of("Completions", _job_completions), _AGE, _CONTAINERS, _IMAGES),
    "cronjobs": (
        _NAME,
        _at("spec.schedule"),
        _at("spec.suspend", default=False, type_="boolean"),
        _of("Active", lambda obj: len(obj.get("status", {}).get("active", [])), type_="integer"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
    ),
    "nodes": (
        _NAME,
        _of("Status", _node_status),
        _of("Roles", _node_roles),
        _AGE,
        _at("status.nodeInfo.kubeletVersion", name="Version"),
        _of("Internal-IP", _node_address("InternalIP"), priority=1),
        _of("External-IP", _node_address("ExternalIP"), priority=1),
        _at("status.nodeInfo.osImage", name="OS-Image", priority=1),
        _at("status.nodeInfo.kernelVersion", name="Kernel-Version", priority=1),
        _at("status.nodeInfo.containerRuntimeVersion", name="Container-Runtime", priority=1),
    ),
    "namespaces": (_NAME, _at("status.phase", name="Status"), _AGE),
    "configmaps": (_NAME, _of("Data", _data_count, type_="integer"), _AGE),
    "secrets": (_NAME, _at("type"), _of("Data", _data_count, type_="integer"), _AGE),
    "serviceaccounts": (_NAME, _of("Secrets", lambda obj: len(obj.get("secrets") or []), type_="integer"), _AGE),
    "persistentvolumeclaims": (
        _NAME,
        _at("status.phase", name="Status"),
        _at("spec.volumeName", "", name="Volume"),
        _at("status.capacity.storage", "", name="Capacity"),
        _of("Access Modes", lambda obj: ",".join(obj.get("status", {}).get("accessModes", []))),
        _at("spec.storageClassName", "", name="StorageClass"),
        _AGE,
    ),
    "endpoints": (_NAME, _of("Endpoints", _endpoints), _AGE),
    "endpointslices": (
        _NAME,
        _at("addressType", name="AddressType"),
        _of("Ports", _slice_ports),
        _of("Endpoints", _slice_endpoints),
        _AGE,
    ),
    "events": (
        Column("Last Seen", _last_seen),
        _at("type"),
        _at("reason"),
        _of("Object", _involved),
        _at("source.component", name="Source", priority=1),
        _at("message"),
        _at("count", 1, name="Count", priority=1, type_="integer"),
        _at("metadata.name", name="Name", priority=1),
    ),
    "leases": (_NAME, _at("spec.holderIdentity", name="Holder"), _AGE),
    "priorityclasses": (_NAME, _at("value", 0, type_="integer"), _at("globalDefault", default=False), _AGE),
}
