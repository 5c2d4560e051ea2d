"""The four ways to patch an object: JSON merge patch, strategic merge patch, JSON patch, server-side apply.

Strategic merge follows the types of Kubernetes only as far as their lists have merge keys (a table here); lists not
in the table are replaced, as for JSON merge patch (RFC 7396). JSON patch is RFC 6902. Server-side apply merges like
a strategic patch and remembers the manager; it does not compute conflicts.
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Mapping
from typing import Any

from osmia.lab.apiserver.errors import bad_request

__all__ = ["PatchKind", "apply_json_patch", "merge", "merge_strategic", "patched"]

Object = dict[str, Any]


class PatchKind(enum.StrEnum):
    """How a patch is meant; the value is its media type."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


_MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "ports": ("containerPort", "port"),
    "secrets": ("name",),
    "taints": ("key",),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_PRIMITIVE_SETS = {"finalizers"}
_ORDER, _DELETE, _RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def patched(obj: Object, patch: Any, kind: PatchKind) -> Object:  # noqa: ANN401 - a JSON patch is a list, others objects
    """A patched copy of `obj`.

    Raises:
        ApiError: 400, the patch has the wrong form or does not fit.
    """
    if kind is PatchKind.JSON:
        result = apply_json_patch(obj, patch)
    elif not isinstance(patch, dict):
        raise bad_request(f"a {kind} body is an object, not {type(patch).__name__}")
    else:
        result = merge(obj, patch) if kind is PatchKind.MERGE else merge_strategic(obj, patch)
    if not isinstance(result, dict) or not isinstance(result.get("metadata"), dict):
        raise bad_request("the patch leaves no object with metadata")
    return result


def merge(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """JSON merge patch (RFC 7396): objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def merge_strategic(target: Object, patch: Object) -> Object:
    """Strategic merge patch: as `merge`, but lists with a merge key merge element by element."""
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target)
    if (retained := patch.get(_RETAIN)) is not None:
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        _merge_field(result, key, value)
    for key, order in patch.items():
        if key.startswith(_ORDER) and (name := key.removeprefix(_ORDER)) in result:
            result[name] = _ordered(name, result[name], order)
    return result


def _merge_field(result: Object, key: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    base = result.get(key)
    if key.startswith(_DELETE):
        name = key.removeprefix(_DELETE)
        result[name] = [item for item in result.get(name) or [] if item not in value]
    elif key.startswith("$"):
        return
    elif value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = merge_strategic(base if isinstance(base, dict) else {}, value)
    elif isinstance(value, list):
        result[key] = _merge_list(key, base if isinstance(base, list) else [], value)
    else:
        result[key] = value


def _merge_list(name: str, base: list[Any], patch: list[Any]) -> list[Any]:
    if name in _PRIMITIVE_SETS:
        return base + [item for item in patch if item not in base]
    key = _merge_key(name, patch) or _merge_key(name, base)
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if "$patch" not in item]
    if key is None:
        return copy.deepcopy(patch)
    result = list(base)
    for item in patch:
        position = next((i for i, old in enumerate(result) if _same(key, old, item)), None)
        if item.get("$patch") == "delete":
            if position is not None:
                del result[position]
        elif position is None:
            result.append(merge_strategic({}, item))
        else:
            result[position] = merge_strategic(result[position], item)
    return result


def _merge_key(name: str, items: list[Any]) -> str | None:
    """The key by which elements of this list are the same, if they all have one."""
    for key in _MERGE_KEYS.get(name, ()):
        if items and all(isinstance(item, dict) and (key in item or "$patch" in item) for item in items):
            return key
    return None


def _same(key: str, old: Object, new: Object) -> bool:
    if key in {"containerPort", "port"} and old.get("protocol", "TCP") != new.get("protocol", "TCP"):
        return False
    return bool(old.get(key) == new.get(key))


def _ordered(name: str, items: list[Any], order: list[Any]) -> list[Any]:
    key = _merge_key(name, items)
    wanted = [one.get(key) if key and isinstance(one, dict) else one for one in order]

    def place(item: Any) -> int:  # noqa: ANN401 - any JSON value
        value = item.get(key) if key and isinstance(item, dict) else item
        return wanted.index(value) if value in wanted else len(wanted)

    return sorted(items, key=place)


def apply_json_patch(target: Object, operations: Any) -> Any:  # noqa: ANN401 - any JSON value
    """JSON patch (RFC 6902): add, remove, replace, move, copy, test.

    Raises:
        ApiError: 400, an operation is malformed or its path does not exist.
    """
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    document: Any = copy.deepcopy(target)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as exc:
            raise bad_request(f"the JSON patch operation {operation!r} does not fit the object") from exc
    return document


def _operate(document: Any, operation: Object) -> Any:  # noqa: ANN401 - any JSON value
    name, path = operation["op"], _pointer(operation["path"])
    if name in {"move", "copy"}:
        source = _pointer(operation["from"])
        value = copy.deepcopy(_look_up(document, source))
        if name == "move":
            _remove(document, source)
        return _add(document, path, value)
    if name == "remove":
        _remove(document, path)
        return document
    value = copy.deepcopy(operation["value"])
    if name == "test":
        if _look_up(document, path) != value:
            raise ValueError(name)
        return document
    if name == "replace":
        _look_up(document, path)
        if path:
            _remove(document, path)
    elif name != "add":
        raise ValueError(name)
    return _add(document, path, value)


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _look_up(document: Any, path: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not path:
        return value
    parent, last = _look_up(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else int(last), value)
    else:
        parent[last] = value
    return document


def _remove(document: Any, path: list[str]) -> None:  # noqa: ANN401 - any JSON value
    parent, last = _look_up(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[int(last)]
    else:
        del parent[last]
