"""From a pod's manifest to what a container needs to start: environment, volumes, files; everything looked up."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from osmia.lab.apiserver import ApiError, ApiServer
from osmia.lab.kubelet.security import limits_of, security_of, user_of
from osmia.lab.kubelet.tokens import ACCOUNT_DIRECTORY, has_account, token_files, write_token
from osmia.lab.network.dns import CLUSTER_DOMAIN
from osmia.lab.runtime.images import Launch, launch_of
from osmia.lab.runtime.sandbox import ContainerSpec
from osmia.lab.runtime.script import Mount
from osmia.model.errors import LabError

__all__ = ["NodeFacts", "PodPlace", "container_spec", "quality_of", "resolver_file"]

Object = dict[str, Any]

_FILE_MODE = 0o644
_READ_ONLY = {"secret", "configMap", "projected", "downwardAPI"}
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.]*)\))")
_LABEL_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_HOST_PATH_KINDS: Mapping[str, Callable[[Path], bool]] = {
    "": Path.exists,
    "Directory": Path.is_dir,
    "DirectoryOrCreate": Path.is_dir,
    "File": Path.is_file,
    "FileOrCreate": Path.is_file,
    "Socket": Path.is_socket,
    "CharDevice": Path.is_char_device,
    "BlockDevice": Path.is_block_device,
}


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What every pod of a node is told about its surroundings; of its addresses the IPv4 one is first."""

    name: str
    addresses: tuple[str, ...]
    dns: str
    environment: Mapping[str, str]
    account_files: Mapping[str, str]
    claims: Path
    token_life_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class PodPlace:
    """Where one pod lives: its directory here and its addresses, the IPv4 one first."""

    home: Path
    addresses: tuple[str, ...]


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
    return _Resolver(api, node, pod, place).container(container)


class _Resolver:
    """Looks up what one pod's manifest refers to."""

    def __init__(self, api: ApiServer, node: NodeFacts, pod: Object, place: PodPlace) -> None:
        self._api = api
        self._node = node
        self._pod = pod
        self._place = place
        self._namespace: str = pod["metadata"]["namespace"]
        self._volume_makers: Mapping[str, Callable[[Object], Path]] = {
            "emptyDir": self._empty,
            "persistentVolumeClaim": self._claim,
            "hostPath": self._host_path,
            "secret": self._secret,
            "configMap": self._config_map,
            "projected": self._projected,
            "downwardAPI": self._downward,
        }

    def container(self, container: Object) -> ContainerSpec:
        environment = self._environment(container)
        launch = _launch(container, environment)
        launch = replace(launch, user=user_of(self._pod, container, launch.user))
        hostname = self._pod["spec"].get("hostname") or self._pod["metadata"]["name"]
        hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
        hosts += "".join(f"{address}\t{hostname}\n" for address in self._place.addresses)
        return ContainerSpec(
            name=container["name"],
            launch=launch,
            environment={**self._node.environment, **environment},
            mounts=self._mounts(container, launch.user),
            files={"/etc/hosts": hosts, "/etc/resolv.conf": resolver_file(self._node, self._namespace)},
            directory=container.get("workingDir", "/"),
            log=self._place.home / "logs" / container["name"],
            security=security_of(container),
            limits=limits_of(container),
        )

    def _environment(self, container: Object) -> dict[str, str]:
        values: dict[str, str] = {}
        for source in container.get("envFrom", []):
            for kind, resource in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
                if kind in source:
                    content = self._content(resource, source[kind])
                    prefix = source.get("prefix", "")
                    values |= {prefix + key: value.decode(errors="replace") for key, value in content.items()}
        for entry in container.get("env", []):
            is_looked_up = "valueFrom" in entry
            value = self._value_from(entry) if is_looked_up else _expand(str(entry.get("value", "")), values)
            if value is not None:
                values[entry["name"]] = value
        return values

    def _value_from(self, entry: Object) -> str | None:
        source: Object = entry["valueFrom"]
        for kind, resource in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            if kind in source:
                reference = source[kind]
                content = self._content(resource, reference)
                if reference["key"] in content:
                    return content[reference["key"]].decode(errors="replace")
                if reference.get("optional"):
                    return None
                raise LabError(f"couldn't find key {reference['key']} in {resource} {reference['name']}")
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        raise LabError(f"env {entry['name']}: the lab lacks valueFrom {', '.join(source)}")

    def _field(self, path: str) -> str:
        metadata = self._pod["metadata"]
        if match := _LABEL_FIELD.fullmatch(path):
            return str((metadata.get(match[1]) or {}).get(match[2], ""))
        known = {
            "metadata.name": metadata["name"],
            "metadata.namespace": self._namespace,
            "metadata.uid": metadata["uid"],
            "spec.nodeName": self._node.name,
            "spec.serviceAccountName": self._pod["spec"].get("serviceAccountName", "default"),
            "status.podIP": self._place.addresses[0],
            "status.podIPs": ",".join(self._place.addresses),
            "status.hostIP": self._node.addresses[0],
            "status.hostIPs": ",".join(self._node.addresses),
        }
        if path not in known:
            raise LabError(f"fieldPath {path!r} is not supported", remedy=f"the lab knows {', '.join(known)}")
        return str(known[path])

    def _content(self, resource: str, reference: Object) -> dict[str, bytes]:
        """The keys of a Secret or ConfigMap as bytes; empty if it is missing and optional."""
        try:
            found = self._api.get(resource, self._namespace, reference["name"])
        except ApiError as exc:
            if reference.get("optional"):
                return {}
            raise LabError(exc.message) from exc
        if resource == "secrets":
            return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        texts = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        return texts | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}

    def _mounts(self, container: Object, user: str) -> tuple[Mount, ...]:
        volumes = {volume["name"]: volume for volume in self._pod["spec"].get("volumes", [])}
        mounts: list[Mount] = []
        for entry in container.get("volumeMounts", []):
            if entry["name"] not in volumes:
                raise LabError(f"volumeMount {entry['name']!r} names no volume of the pod")
            volume = volumes[entry["name"]]
            source = self._volume(volume) / entry.get("subPath", "")
            if not source.exists():
                source.mkdir(parents=True)
            if "persistentVolumeClaim" in volume and user not in {"root", "0"} and not any(source.iterdir()):
                shutil.chown(source, user)
            is_read_only = bool(entry.get("readOnly")) or not _READ_ONLY.isdisjoint(volume)
            mounts.append(Mount(source.resolve(), entry["mountPath"], is_read_only))
        for file in token_files(self._pod, self._place.home, self._node.token_life_s):
            write_token(self._api, self._pod, file)
        if has_account(self._pod) and not any(mount.target == ACCOUNT_DIRECTORY for mount in mounts):
            mounts.append(self._account())
        return tuple(mounts)

    def _account(self) -> Mount:
        files = {**self._node.account_files, "namespace": self._namespace}
        content = {name: text.encode() for name, text in files.items()}
        return Mount(_write_files(self._place.home / "account", content), ACCOUNT_DIRECTORY, is_read_only=True)

    def _volume(self, volume: Object) -> Path:
        kind = next((key for key in volume if key != "name"), "emptyDir")
        if kind not in self._volume_makers:
            known = ", ".join(self._volume_makers)
            raise LabError(f"volume {volume['name']!r}: the lab lacks {kind}", remedy=f"it has {known}")
        return self._volume_makers[kind](volume)

    def _empty(self, volume: Object) -> Path:
        directory: Path = self._place.home / "volumes" / volume["name"]
        if not directory.exists():
            directory.mkdir(parents=True)
            directory.chmod(0o777)
        return directory

    def _claim(self, volume: Object) -> Path:
        name = volume["persistentVolumeClaim"]["claimName"]
        try:
            self._api.get("persistentvolumeclaims", self._namespace, name)
        except ApiError as exc:
            raise LabError(exc.message) from exc
        directory = self._node.claims / f"{self._namespace}_{name}"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _host_path(self, volume: Object) -> Path:
        path, kind = Path(str(volume["hostPath"]["path"])), volume["hostPath"].get("type", "")
        if not path.exists():
            if kind != "DirectoryOrCreate":
                raise LabError(f"hostPath {path} does not exist on this machine")
            path.mkdir(parents=True)
        if kind not in _HOST_PATH_KINDS or not _HOST_PATH_KINDS[kind](path):
            raise LabError(f"hostPath type check failed: {path} is not a {kind}")
        return path

    def _secret(self, volume: Object) -> Path:
        return self._files_of(volume, "secrets", volume["secret"], volume["secret"]["secretName"])

    def _config_map(self, volume: Object) -> Path:
        return self._files_of(volume, "configmaps", volume["configMap"], volume["configMap"]["name"])

    def _downward(self, volume: Object) -> Path:
        return _write_files(self._place.home / "volumes" / volume["name"], self._fields(volume["downwardAPI"]))

    def _fields(self, source: Object) -> dict[str, bytes]:
        items = source.get("items") or []
        return {item["path"]: self._field(item["fieldRef"]["fieldPath"]).encode() for item in items}

    def _projected(self, volume: Object) -> Path:
        """Everything but the tokens, which `token_files` knows."""
        content: dict[str, bytes] = {}
        for source in volume["projected"].get("sources") or []:
            for kind, resource in (("secret", "secrets"), ("configMap", "configmaps")):
                if kind in source:
                    content |= _chosen(self._content(resource, source[kind]), source[kind])
            content |= self._fields(source.get("downwardAPI") or {})
        return _write_files(self._place.home / "volumes" / volume["name"], content)

    def _files_of(self, volume: Object, resource: str, source: Object, name: str) -> Path:
        content = self._content(resource, {"name": name, "optional": source.get("optional", False)})
        directory = _write_files(self._place.home / "volumes" / volume["name"], _chosen(content, source))
        for file in _chosen(content, source):
            (directory / file).chmod(source.get("defaultMode", _FILE_MODE))
        return directory


def _chosen(content: dict[str, bytes], source: Object) -> dict[str, bytes]:
    """The keys of a Secret or ConfigMap that a volume takes, by the file's name."""
    if not (items := source.get("items")):
        return content
    return {item["path"]: content[item["key"]] for item in items if item["key"] in content}


def _launch(container: Object, environment: Mapping[str, str]) -> Launch:
    command, args = container.get("command"), container.get("args")
    return launch_of(
        container["image"],
        None if command is None else tuple(_expand(str(part), environment) for part in command),
        None if args is None else tuple(_expand(str(part), environment) for part in args),
    )


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """$(NAME) becomes its value, $$ a dollar; unknown names stay as they are, as in Kubernetes."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else environment.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def _write_files(directory: Path, files: Mapping[str, bytes]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory
