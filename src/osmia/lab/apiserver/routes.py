"""Where a request path leads: which resource, namespace, object and subresource."""

from __future__ import annotations

from dataclasses import dataclass

from osmia.lab.apiserver.resources import Resource, find

__all__ = ["Target", "parse"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a path under /api or /apis names; `name` and `subresource` are empty for a whole collection."""

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace (empty for cluster-wide) and name of the object."""
        return (self.namespace or "", self.name)


def parse(path: str) -> Target | None:
    """The target of a path such as /apis/apps/v1/namespaces/default/deployments/web/scale, or None."""
    parts = path.strip("/").split("/")
    if len(parts) > 2 and parts[0] == "api":  # noqa: PLR2004 - api, version, something
        return _target("", parts[1], parts[2:])
    if len(parts) > 3 and parts[0] == "apis":  # noqa: PLR2004 - apis, group, version, something
        return _target(parts[1], parts[2], parts[3:])
    return None


def _target(group: str, version: str, rest: list[str]) -> Target | None:
    namespace = None
    # /namespaces/x is the namespace itself, /namespaces/x/status its status, /namespaces/x/pods its pods.
    if rest[0] == "namespaces" and len(rest) > 2 and find(group, version, rest[2]):  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    resource = find(group, version, rest[0])
    if resource is None or len(rest) > 3:  # noqa: PLR2004 - plural, name, subresource
        return None
    return Target(resource, namespace, *rest[1:])
