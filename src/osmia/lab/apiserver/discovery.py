"""What the server says about itself: API groups, resources, version, and the little OpenAPI that kubectl needs.

kubectl looks into OpenAPI before it applies: whether the PATCH of a type takes `fieldValidation`, so that it may leave
validation to the server. The documents here say yes for every type and give each an open schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osmia.lab.apiserver.resources import RESOURCES, Resource

__all__ = ["VERSION", "allowed_review", "answer"]

Object = dict[str, Any]

VERSION: Object = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+osmia",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
"""Answer of /version: the Kubernetes version whose behaviour is emulated."""

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_REVIEWS = {"authorization.k8s.io": ("SelfSubjectAccessReview", "SelfSubjectRulesReview")}
_KIND = "x-kubernetes-group-version-kind"


def answer(path: str, *, host: str) -> Object | None:
    """What a GET of a path outside the resources gives, or None; `host` is the address the client used."""
    found: Object | None = None
    match path.strip("/").split("/"):
        case ["version"]:
            found = VERSION
        case ["api"]:
            found = _api_versions(host)
        case ["apis"]:
            found = _api_groups()
        case ["apis", group]:
            found = _api_group(group)
        case ["api" | "apis", *names] if names:
            found = _api_resources(names[-2] if len(names) > 1 else "", names[-1])
        case ["openapi", "v3"]:
            found = _open_api_index()
        case ["openapi", "v3", _, *names] if names:
            found = _open_api(names[-2] if len(names) > 1 else "", names[-1])
    return found


def allowed_review(path: str) -> Object | None:
    """The review that allows everything, for a path of authorization.k8s.io; None for any other."""
    group, _, plural = path.removeprefix("/apis/").partition("/v1/")
    kind = next((one for one in _REVIEWS.get(group, ()) if f"{one.lower()}s" == plural), None)
    if kind is None:
        return None
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    rights: Object = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
    status = rights if kind == "SelfSubjectRulesReview" else {"allowed": True}
    return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}, "spec": {}, "status": status}


def _api_versions(host: str) -> Object:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def _api_groups() -> Object:
    versions: dict[str, str] = {one.group: one.version for one in RESOURCES.values() if one.group}
    versions |= dict.fromkeys(_REVIEWS, "v1")
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*pair) for pair in sorted(versions.items())]}


def _api_group(name: str) -> Object | None:
    found = next((group for group in _api_groups()["groups"] if group["name"] == name), None)
    return {"kind": "APIGroup", "apiVersion": "v1", **found} if found else None


def _api_resources(group: str, version: str) -> Object | None:
    rows = [row for one in _of_group(group, version) for row in _rows(one)]
    rows += [_review(kind) for kind in _REVIEWS.get(group, ()) if version == "v1"]
    if not rows:
        return None
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": rows}


def _open_api_index() -> Object:
    names = sorted({_prefix(one) for one in RESOURCES.values()})
    return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=osmia"} for name in names}}


def _open_api(group: str, version: str) -> Object | None:
    resources = list(_of_group(group, version))
    if not resources:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {_path(one): _operations(one) for one in resources},
        "components": {"schemas": {_schema_name(one): _schema(one) for one in resources}},
    }


def _of_group(group: str, version: str) -> Iterator[Resource]:
    return (one for one in RESOURCES.values() if (one.group, one.version) == (group, version))


def _group(name: str, version: str) -> Object:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _rows(resource: Resource) -> Iterator[Object]:
    row: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.is_namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.is_in_all:
        row["categories"] = ["all"]
    yield row
    base = {"singularName": "", "namespaced": resource.is_namespaced}
    if resource.has_status:
        verbs = ["get", "patch", "update"]
        yield {"name": f"{resource.plural}/status", **base, "kind": resource.kind, "verbs": verbs}
    if resource.has_scale:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]}
        yield {"name": f"{resource.plural}/scale", **base, **scale}
    if resource.plural == "pods":
        yield {"name": "pods/log", **base, "kind": "Pod", "verbs": ["get"]}


def _review(kind: str) -> Object:
    names = {"name": f"{kind.lower()}s", "singularName": kind.lower()}
    return {**names, "namespaced": False, "kind": kind, "verbs": ["create"]}


def _prefix(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _path(resource: Resource) -> str:
    namespace = "namespaces/{namespace}/" if resource.is_namespaced else ""
    return f"/{_prefix(resource)}/{namespace}{resource.plural}/{{name}}"


def _schema_name(resource: Resource) -> str:
    return f"io.k8s.api.{(resource.group or 'core').split('.')[0]}.{resource.version}.{resource.kind}"


def _type(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> Object:
    return {"type": "object", "description": resource.kind, _KIND: [_type(resource)]}


def _operations(resource: Resource) -> Object:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    operation = {"parameters": parameters, "responses": {"200": {"description": "OK"}}, _KIND: _type(resource)}
    return {
        "get": {**operation, "x-kubernetes-action": "get"},
        "put": {**operation, "x-kubernetes-action": "put"},
        "patch": {**operation, "x-kubernetes-action": "patch"},
        "delete": {**operation, "x-kubernetes-action": "delete"},
    }
