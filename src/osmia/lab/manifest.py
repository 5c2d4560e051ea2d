"""Manifests: YAML to objects, and the sample applications that ship with the lab."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from osmia.lab.apiserver import RESOURCES
from osmia.model.errors import ConfigError

__all__ = ["SAMPLE", "manifest_path", "parse_manifest", "plural_of"]

Object = dict[str, Any]

SAMPLE = "sample"
"""Name of the manifest with the sample applications."""


def manifest_path(name: str) -> Path:
    """The file of a manifest: `sample`, or a path.

    Raises:
        ConfigError: there is no such file.
    """
    path = Path(str(files("osmia.lab") / "manifests" / "sample_apps.yaml")) if name == SAMPLE else Path(name)
    if not path.is_file():
        raise ConfigError("apply", name, "no such manifest", remedy="give `sample` or the path of a YAML file")
    return path


def parse_manifest(text: str) -> list[Object]:
    """The objects of a manifest in order, items of Lists included.

    Raises:
        ConfigError: it is no YAML, or an object is of a kind that the lab lacks.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as exc:
        raise ConfigError("apply", "manifest", f"not YAML: {exc}", remedy="mend the file") from exc
    objects: list[Object] = []
    for document in documents:
        objects += document.get("items", []) if document.get("kind") == "List" else [document]
    for one in objects:
        plural_of(one)
    return objects


def plural_of(obj: Object) -> str:
    """The resource an object belongs to.

    Raises:
        ConfigError: the lab lacks its kind.
    """
    for resource in RESOURCES.values():
        if (obj.get("apiVersion"), obj.get("kind")) == (resource.api_version, resource.kind):
            return resource.plural
    kind = f"{obj.get('apiVersion')} {obj.get('kind')}"
    raise ConfigError("apply", kind, "the lab's API server has no such kind", remedy="leave it out")
