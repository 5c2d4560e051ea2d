"""What the API server fills in and checks when an object is written: defaults per kind, and the rules it enforces."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from osmia.lab.apiserver.errors import invalid
from osmia.lab.apiserver.resources import Resource
from osmia.lab.apiserver.selectors import match_labels

__all__ = ["check", "check_unchanged", "fill"]

Object = dict[str, Any]
Causes = list[tuple[str, str]]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LOOSE_NAMES = {"clusterroles", "clusterrolebindings", "roles", "rolebindings"}
_NAME_RULE = "must consist of lower case letters, digits, '-' or '.', and start and end with a letter or digit"


def fill(resource: Resource, obj: Object) -> None:
    """Add the defaults of the resource to an object, in place."""
    if filler := _FILLERS.get(resource.plural):
        filler(obj)


def check(resource: Resource, obj: Object) -> None:
    """Refuse an object that breaks a rule.

    Raises:
        ApiError: 422 naming the fields.
    """
    name = obj["metadata"].get("name", "")
    causes: Causes = []
    if not name:
        causes.append(("metadata.name", "Required value: name or generateName is required"))
    elif resource.plural not in _LOOSE_NAMES and (len(name) > 253 or not _NAME.fullmatch(name)):  # noqa: PLR2004
        causes.append(("metadata.name", f"Invalid value: {name!r}: {_NAME_RULE}"))
    if checker := _CHECKERS.get(resource.plural):
        causes += checker(obj)
    if causes:
        raise invalid(resource, name, causes)


def check_unchanged(resource: Resource, old: Object, new: Object) -> None:
    """Refuse an update that touches a field fixed at creation.

    Raises:
        ApiError: 422 naming the fields.
    """
    causes: Causes = []
    for field in _FIXED.get(resource.plural, ()):
        if old.get("spec", {}).get(field) not in (None, "", new.get("spec", {}).get(field)):
            causes.append((f"spec.{field}", "Invalid value: field is immutable"))
    if causes:
        raise invalid(resource, new["metadata"]["name"], causes)


_FIXED: Mapping[str, tuple[str, ...]] = {
    "deployments": ("selector",),
    "replicasets": ("selector",),
    "statefulsets": ("selector", "serviceName"),
    "daemonsets": ("selector",),
    "jobs": ("selector",),
    "pods": ("nodeName",),
}


def _fill_pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        image = str(container.get("image", ""))
        latest = ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest")
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")


def _fill_pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill_pod_spec(spec)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("enableServiceLinks", True)
    status = obj.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", _quality(spec))


def _quality(spec: Object) -> str:
    resources = [container.get("resources", {}) for container in spec.get("containers", [])]
    if not any(one.get("requests") or one.get("limits") for one in resources):
        return "BestEffort"
    is_guaranteed = all(
        one.get("limits", {}).keys() >= {"cpu", "memory"} and one.get("requests", one["limits"]) == one["limits"]
        for one in resources
    )
    return "Guaranteed" if is_guaranteed else "Burstable"


def _fill_template(obj: Object) -> None:
    template = obj.setdefault("spec", {}).setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    _fill_pod_spec(template.setdefault("spec", {}))


def _fill_deployment(obj: Object) -> None:
    _fill_template(obj)
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _fill_replica_set(obj: Object) -> None:
    _fill_template(obj)
    obj["spec"].setdefault("replicas", 1)
    obj.setdefault("status", {}).setdefault("replicas", 0)


def _fill_stateful_set(obj: Object) -> None:
    _fill_template(obj)
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {"partition": 0})


def _fill_daemon_set(obj: Object) -> None:
    _fill_template(obj)
    spec = obj["spec"]
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {"maxUnavailable": 1, "maxSurge": 0})


def _fill_job(obj: Object) -> None:
    _fill_template(obj)
    spec = obj["spec"]
    for field, value in (("parallelism", 1), ("completions", 1), ("backoffLimit", 6), ("suspend", False)):
        spec.setdefault(field, value)
    spec.setdefault("completionMode", "NonIndexed")
    uid = obj["metadata"].get("uid", "")
    labels = spec["template"]["metadata"].setdefault("labels", {})
    if "selector" not in spec:
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        for key, value in (("controller-uid", uid), ("job-name", obj["metadata"]["name"])):
            labels.setdefault(f"batch.kubernetes.io/{key}", value)
            labels.setdefault(key, value)


def _fill_cron_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def _fill_service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _fill_secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    for key, value in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()


def _fill_namespace(obj: Object) -> None:
    obj["metadata"].setdefault("labels", {}).setdefault("kubernetes.io/metadata.name", obj["metadata"].get("name", ""))
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _fill_claim(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


_FILLERS: Mapping[str, Callable[[Object], None]] = {
    "pods": _fill_pod,
    "deployments": _fill_deployment,
    "replicasets": _fill_replica_set,
    "statefulsets": _fill_stateful_set,
    "daemonsets": _fill_daemon_set,
    "jobs": _fill_job,
    "cronjobs": _fill_cron_job,
    "services": _fill_service,
    "secrets": _fill_secret,
    "namespaces": _fill_namespace,
    "persistentvolumeclaims": _fill_claim,
}


def _check_pod_spec(spec: Object, path: str) -> Causes:
    causes: Causes = []
    if not spec.get("containers"):
        causes.append((f"{path}.containers", "Required value"))
    for position, container in enumerate(spec.get("containers", [])):
        causes += [
            (f"{path}.containers[{position}].{field}", "Required value")
            for field in ("name", "image")
            if not container.get(field)
        ]
    return causes


def _check_pod(obj: Object) -> Causes:
    return _check_pod_spec(obj["spec"], "spec")


def _check_workload(obj: Object) -> Causes:
    spec = obj["spec"]
    causes = _check_pod_spec(spec["template"]["spec"], "spec.template.spec")
    if not spec.get("selector"):
        causes.append(("spec.selector", "Required value"))
    elif not match_labels(spec["selector"], spec["template"]["metadata"].get("labels")):
        causes.append(("spec.template.metadata.labels", "Invalid value: `selector` does not match template `labels`"))
    replicas = spec.get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        causes.append(("spec.replicas", f"Invalid value: {replicas!r}: must be greater than or equal to 0"))
    return causes


def _check_service(obj: Object) -> Causes:
    spec = obj["spec"]
    if spec["type"] == "ExternalName":
        return [] if spec.get("externalName") else [("spec.externalName", "Required value")]
    ports = spec.get("ports", [])
    if not ports and spec.get("clusterIP") != "None":
        return [("spec.ports", "Required value")]
    if len(ports) > 1 and not all(port.get("name") for port in ports):
        return [("spec.ports[].name", "Required value: every port needs a name where there are several")]
    return []


_CHECKERS: Mapping[str, Callable[[Object], Causes]] = {
    "pods": _check_pod,
    "deployments": _check_workload,
    "replicasets": _check_workload,
    "statefulsets": _check_workload,
    "daemonsets": _check_workload,
    "services": _check_service,
}
