"""How this agent is let in by an API server: by its pod's service account, or by a kubeconfig as people have them.

A kubeconfig's context, cluster and user are read as kubectl reads them: certificates and tokens inline or as files
(relative to the kubeconfig), tokens that a plugin makes (`exec`), another name in the server's certificate, no check
of it at all. What cannot be used stops the start with the file, the field and a remedy.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from osmia.agent.entities.client import Access
from osmia.model.errors import ConfigError

__all__ = ["find_access"]

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_DEADLINE_S = 30.0
_SAID_MAX = 300
_SHAPE_REMEDY = "give a file with current-context, contexts, clusters and users, or none to run without Kubernetes"


class _UnusableError(Exception):
    """What is wrong with a kubeconfig, and what to do about it."""

    def __init__(self, problem: str, remedy: str = _SHAPE_REMEDY) -> None:
        super().__init__(problem)
        self.remedy = remedy


def find_access(
    kubeconfig: str = "", *, environ: Mapping[str, str] | None = None, account: Path = _SERVICE_ACCOUNT
) -> Access | None:
    """Access by the kubeconfig file named, else by this pod's service account, else None (not in Kubernetes).

    Runs the kubeconfig's plugin, if it names one.

    Raises:
        ConfigError: the kubeconfig or the service account cannot be used.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - kubelet's contract, not a setting of ours
    if kubeconfig:
        path = Path(kubeconfig).expanduser()
        try:
            return _from_kubeconfig(path, environ)
        except _UnusableError as exc:
            problem = f"cannot be used as a kubeconfig: {exc}"
            raise ConfigError("kubeconfig", str(path), problem, remedy=exc.remedy) from exc
    return _in_cluster(account, environ)


def _in_cluster(account: Path, environ: Mapping[str, str]) -> Access | None:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (account / "token").exists():
        return None
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    authority = account / "ca.crt"
    try:
        context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    except OSError as exc:
        problem = f"is not an authority that can be read: {exc.strerror or exc}"
        remedy = "mount the pod's service account token with its ca.crt (automountServiceAccountToken: true)"
        raise ConfigError("ca.crt", str(authority), problem, remedy=remedy) from exc
    return Access(url, context, lambda: (account / "token").read_text().strip(), "service account")


def _from_kubeconfig(path: Path, environ: Mapping[str, str]) -> Access:
    config = _read(path)
    contexts, clusters, users = (
        _by_name(config, plural, field)
        for plural, field in (("contexts", "context"), ("clusters", "cluster"), ("users", "user"))
    )
    context = _chosen(contexts, config.get("current-context"), "current-context")
    cluster = _chosen(clusters, context.get("cluster"), "the context's cluster")
    user = _chosen(users, context.get("user"), "the context's user") if context.get("user") else {}
    server = str(cluster.get("server") or "")
    if not server.startswith(("http://", "https://")):
        raise _UnusableError(f"the cluster's server is {server!r}, not an address")
    plugin = _Plugin(user["exec"], path.parent, environ) if user.get("exec") else None
    if plugin is not None:
        plugin.credential()  # what it lacks is said at once
    if user.get("auth-provider"):
        remedy = "use a user with a token, a client certificate or an exec plugin"
        raise _UnusableError("its user has an auth-provider, which Kubernetes has given up", remedy)
    tls = _tls(cluster, user, path.parent, plugin)
    return Access(
        server,
        tls,
        _token(user, path.parent, plugin),
        str(path),
        server_name=str(cluster.get("tls-server-name") or ""),
        refused=plugin.forget if plugin else None,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as exc:
        remedy = "let the agent's user read it (`ls -l`), correct the path, or leave it empty"
        raise _UnusableError(f"it cannot be read: {exc.strerror}", remedy) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise _UnusableError(f"it is no YAML: {' '.join(str(exc).split())[:_SAID_MAX]}") from exc
    if not isinstance(config, dict):
        raise _UnusableError("it is empty" if config is None else "it is no mapping")
    return config


def _by_name(config: Mapping[str, Any], plural: str, field: str) -> dict[str, dict[str, Any]]:
    try:
        return {str(one["name"]): dict(one.get(field) or {}) for one in config.get(plural) or []}
    except (TypeError, KeyError, ValueError, AttributeError) as exc:
        raise _UnusableError(f"its {plural} are not a list of names with a {field} each") from exc


def _chosen(named: Mapping[str, dict[str, Any]], name: object, what: str) -> dict[str, Any]:
    if not name:
        raise _UnusableError(f"{what} is missing")
    if name not in named:
        raise _UnusableError(f"{what} is {name!r}, which is not among: {', '.join(sorted(named)) or 'none at all'}")
    return named[str(name)]


def _tls(
    cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path, plugin: _Plugin | None
) -> ssl.SSLContext | bool:
    if not str(cluster["server"]).startswith("https"):
        return True
    authority = _bytes_of(cluster, "certificate-authority", base)
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, UnicodeDecodeError) as exc:
        raise _UnusableError(f"certificate-authority is no certificate: {exc}") from exc
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _bytes_of(user, "client-certificate", base), _bytes_of(user, "client-key", base)
    if plugin is not None:
        made = plugin.credential()
        certificate, key = made.certificate or certificate, made.key or key
    if certificate and key:
        _load_certificate(context, certificate, key)
    return context


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL reads chains from files only.
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(certificate + b"\n" + key)
        pem.flush()
        try:
            context.load_cert_chain(pem.name)
        except ssl.SSLError as exc:
            raise _UnusableError(f"client-certificate and client-key do not fit: {exc.reason}") from exc


def _bytes_of(holder: Mapping[str, Any], name: str, base: Path) -> bytes:
    if data := holder.get(f"{name}-data"):
        try:
            return base64.b64decode(data, validate=False)
        except (binascii.Error, TypeError, ValueError) as exc:
            raise _UnusableError(f"{name}-data is no base64") from exc
    if not holder.get(name):
        return b""
    path = base / str(holder[name])
    try:
        return path.read_bytes()
    except OSError as exc:
        raise _UnusableError(f"{name} {path} cannot be read: {exc.strerror}") from exc


def _token(user: Mapping[str, Any], base: Path, plugin: _Plugin | None) -> Callable[[], str] | None:
    if plugin is not None:
        return plugin.token
    if token := user.get("token"):
        return lambda: str(token)
    if file := user.get("tokenFile"):
        return lambda: (base / file).read_text().strip()
    return None


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: str = ""


class _ExecCredential(msgspec.Struct):
    status: _Status | None = None


class _Credential(msgspec.Struct, frozen=True):
    """What a plugin gave; `ends_s` is Unix time."""

    token: str
    certificate: bytes
    key: bytes
    ends_s: float


class _Plugin:
    """A program that makes credentials (`exec` of a user): run when there is none, or when the last one has ended."""

    def __init__(self, spec: Mapping[str, Any], base: Path, environ: Mapping[str, str]) -> None:
        command = str(spec.get("command") or "")
        if not command:
            raise _UnusableError("the user's exec plugin has no command")
        # A path with a slash is relative to the kubeconfig, a plain name is looked up, as kubectl does.
        self._argv = [str(base / command) if "/" in command else command, *map(str, spec.get("args") or [])]
        version = str(spec.get("apiVersion") or "client.authentication.k8s.io/v1")
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        own = {str(one["name"]): str(one["value"]) for one in spec.get("env") or []}
        inherited = {name: value for name, value in environ.items() if not name.startswith("OSMIA_")}  # our own key
        self._environment = {**inherited, **own, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        self._hint = " ".join(str(spec.get("installHint") or "").split())
        self._last: _Credential | None = None

    def token(self) -> str:
        """The token now.

        Raises:
            OSError: the plugin failed.
        """
        try:
            return self.credential().token
        except _UnusableError as exc:
            raise OSError(str(exc)) from exc

    def forget(self) -> None:
        """The last token was refused."""
        self._last = None

    def credential(self) -> _Credential:
        """What the plugin gives, from memory while that is valid."""
        if self._last is None or self._last.ends_s <= time.time():
            self._last = self._run()
        return self._last

    def _run(self) -> _Credential:
        command = self._argv[0]
        remedy = self._hint or f"install {command}, or run it by hand to see what it lacks"
        try:
            done = subprocess.run(
                self._argv,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PLUGIN_DEADLINE_S,
                check=False,
            )
        except OSError as exc:
            raise _UnusableError(f"its exec plugin {command} cannot be run: {exc.strerror}", remedy) from exc
        except subprocess.TimeoutExpired as exc:
            raise _UnusableError(f"its exec plugin {command} took more than {_PLUGIN_DEADLINE_S:g} s", remedy) from exc
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())[-_SAID_MAX:]
            raise _UnusableError(f"its exec plugin {command} ended with {done.returncode}: {said}", remedy)
        try:
            status = msgspec.json.decode(done.stdout, type=_ExecCredential).status or _Status()
            ends = dt.datetime.fromisoformat(status.expiration_timestamp) if status.expiration_timestamp else None
        except (msgspec.MsgspecError, ValueError) as exc:
            raise _UnusableError(f"its exec plugin {command} gave no ExecCredential: {exc}", remedy) from exc
        return _Credential(
            status.token,
            status.client_certificate_data.encode(),
            status.client_key_data.encode(),
            ends.timestamp() if ends else float("inf"),
        )
