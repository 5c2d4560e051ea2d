"""From a pod's manifest to what a container needs to start: environment, volumes, files; everything looked up."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osmia.lab.apiserver import ApiError, ApiServer
from osmia.lab.network.dns import CLUSTER_DOMAIN
from osmia.lab.runtime.images import Launch, launch_of
from osmia.lab.runtime.sandbox import ContainerSpec
from osmia.lab.runtime.script import Mount
from osmia.model.errors import LabError

__all__ = ["NodeFacts", "PodPlace", "container_spec", "quality_of", "resolver_file"]

Object = dict[str, Any]

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.]*)\))")
_LABEL_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What every pod of a node is told about its surroundings."""

    name: str
    address: str
    dns: str
    environment: Mapping[str, str]
    account_files: Mapping[str, str]
    claims: Path


@dataclass(frozen=True, slots=True)
class PodPlace:
    """Where one pod lives: its directory here and its address."""

    home: Path
    address: str


def quality_of(pod: Object) -> str:
    """The pod's QoS class."""
    return str((pod.get("status") or {}).get("qosClass") or "BestEffort")


def resolver_file(node: NodeFacts, namespace: str) -> str:
    """Content of a pod's /etc/resolv.conf."""
    search = f"{namespace}.svc.{CLUSTER_DOMAIN} svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}"
    return f"nameserver {node.dns}\nsearch {search}\noptions ndots:5\n"


def container_spec(api: ApiServer, node: NodeFacts, pod: Object, container: Object, place: PodPlace) -> ContainerSpec:
    """Everything about one container of a pod (its log path still has no number: the kubelet counts).

    Raises:
        LabError: an image, Secret, ConfigMap, claim or field does not exist or is of a kind the lab lacks.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    environment = _environment(api, node, pod, container, place)
    launch = _launch(container, environment)
    hosts = (
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
        f"{place.address}\t{spec.get('hostname') or metadata['name']}\n"
    )
    files = {"/etc/hosts": hosts, "/etc/resolv.conf": resolver_file(node, metadata["namespace"])}
    return ContainerSpec(
        name=container["name"],
        launch=launch,
        environment={**node.environment, **environment},
        mounts=_mounts(api, node, pod, container, place, launch.user),
        files=files,
        directory=container.get("workingDir", "/"),
        log=place.home / "logs" / container["name"],
    )


def _launch(container: Object, environment: Mapping[str, str]) -> Launch:
    command, args = container.get("command"), container.get("args")
    return launch_of(
        container["image"],
        None if command is None else tuple(_expand(part, environment) for part in command),
        None if args is None else tuple(_expand(str(part), environment) for part in args),
    )


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """$(NAME) becomes its value, $$ a dollar; unknown names stay as they are, as in Kubernetes."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else environment.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def _environment(api: ApiServer, node: NodeFacts, pod: Object, container: Object, place: PodPlace) -> dict[str, str]:
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        prefix = source.get("prefix", "")
        for kind, resource in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if kind in source:
                content = _content(api, resource, pod, source[kind])
                values |= {prefix + key: value.decode(errors="replace") for key, value in content.items()}
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            value = _value_from(api, node, pod, entry, place)
        else:
            value = _expand(str(entry.get("value", "")), values)
        if value is not None:
            values[entry["name"]] = value
    return values


def _value_from(api: ApiServer, node: NodeFacts, pod: Object, entry: Object, place: PodPlace) -> str | None:
    source: Object = entry["valueFrom"]
    for kind, resource in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if kind in source:
            reference = source[kind]
            content = _content(api, resource, pod, reference)
            if reference["key"] in content:
                return content[reference["key"]].decode(errors="replace")
            if reference.get("optional"):
                return None
            raise LabError(f"couldn't find key {reference['key']} in {resource} {reference['name']}")
    if "fieldRef" in source:
        return _field(node, pod, source["fieldRef"]["fieldPath"], place)
    raise LabError(f"env {entry['name']}: the lab lacks valueFrom {', '.join(source)}")


def _field(node: NodeFacts, pod: Object, path: str, place: PodPlace) -> str:
    metadata = pod["metadata"]
    if match := _LABEL_FIELD.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": node.name,
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": place.address,
        "status.podIPs": place.address,
        "status.hostIP": node.address,
        "status.hostIPs": node.address,
    }
    if path not in known:
        raise LabError(f"fieldPath {path!r} is not supported", remedy=f"the lab knows {', '.join(known)}")
    return str(known[path])


def _content(api: ApiServer, resource: str, pod: Object, reference: Object) -> dict[str, bytes]:
    """The keys of a Secret or ConfigMap as bytes; empty if it is missing and optional."""
    try:
        found = api.get(resource, pod["metadata"]["namespace"], reference["name"])
    except ApiError as exc:
        if reference.get("optional"):
            return {}
        raise LabError(exc.message) from exc
    if resource == "secrets":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _mounts(  # noqa: PLR0913 - all that a volume may draw on
    api: ApiServer, node: NodeFacts, pod: Object, container: Object, place: PodPlace, user: str
) -> tuple[Mount, ...]:
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    mounts: list[Mount] = []
    for entry in container.get("volumeMounts", []):
        volume = volumes.get(entry["name"])
        if volume is None:
            raise LabError(f"volumeMount {entry['name']!r} names no volume of the pod")
        source = _volume(api, node, pod, volume, place)
        if entry.get("subPath"):
            source = source / entry["subPath"]
            if not source.exists():
                source.mkdir(parents=True)
        if "persistentVolumeClaim" in volume and user != "root" and not any(source.iterdir()):
            _give_to(source, user)
        is_read_only = bool(entry.get("readOnly")) or "secret" in volume or "configMap" in volume
        mounts.append(Mount(source.resolve(), entry["mountPath"], is_read_only))
    targets = {mount.target for mount in mounts}
    if node.account_files and pod["spec"].get("automountServiceAccountToken", True) and _ACCOUNT_DIRECTORY not in targets:
        files = {**node.account_files, "namespace": pod["metadata"]["namespace"]}
        directory = _write_files(place.home / "account", {name: text.encode() for name, text in files.items()})
        mounts.append(Mount(directory, _ACCOUNT_DIRECTORY, is_read_only=True))
    return tuple(mounts)


def _volume(api: ApiServer, node: NodeFacts, pod: Object, volume: Object, place: PodPlace) -> Path:
    kind = next((key for key in volume if key != "name"), "emptyDir")
    make = _VOLUMES.get(kind)
    if make is None:
        raise LabError(f"volume {volume['name']!r}: the lab lacks {kind}", remedy=f"it has {', '.join(_VOLUMES)}")
    return make(api, node, pod, volume, place)


def _empty(api: ApiServer, node: NodeFacts, pod: Object, volume: Object, place: PodPlace) -> Path:
    del api, node, pod
    directory = place.home / "volumes" / volume["name"]
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(0o777)
    return directory


def _claim(api: ApiServer, node: NodeFacts, pod: Object, volume: Object, place: PodPlace) -> Path:
    del place
    name, namespace = volume["persistentVolumeClaim"]["claimName"], pod["metadata"]["namespace"]
    try:
        api.get("persistentvolumeclaims", namespace, name)
    except ApiError as exc:
        raise LabError(exc.message) from exc
    directory = node.claims / f"{namespace}_{name}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _host_path(api: ApiServer, node: NodeFacts, pod: Object, volume: Object, place: PodPlace) -> Path:
    del api, node, pod, place
    path = Path(volume["hostPath"]["path"])
    if not path.exists():
        if volume["hostPath"].get("type") != "DirectoryOrCreate":
            raise LabError(f"hostPath {path} does not exist on this machine")
        path.mkdir(parents=True)
    return path


def _from_object(kind: str, resource: str, name_field: str) -> Callable[..., Path]:
    def make(api: ApiServer, node: NodeFacts, pod: Object, volume: Object, place: PodPlace) -> Path:
        del node
        source = volume[kind]
        reference = {"name": source[name_field], "optional": source.get("optional", False)}
        content = _content(api, resource, pod, reference)
        if items := source.get("items"):
            content = {item["path"]: content[item["key"]] for item in items if item["key"] in content}
        return _write_files(place.home / "volumes" / volume["name"], content)

    return make


_VOLUMES: Mapping[str, Callable[..., Path]] = {
    "emptyDir": _empty,
    "persistentVolumeClaim": _claim,
    "hostPath": _host_path,
    "secret": _from_object("secret", "secrets", "secretName"),
    "configMap": _from_object("configMap", "configmaps", "name"),
}


def _write_files(directory: Path, files: Mapping[str, bytes]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def _give_to(directory: Path, user: str) -> None:
    import shutil

    shutil.chown(directory, user)
