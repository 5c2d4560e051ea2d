"""Talking to an API server: who we are (service account or kubeconfig), GET, and lines of a watch."""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import anyio
import msgspec
import yaml

from osmia.agent.entities.objects import Status
from osmia.model.errors import ConfigError, RejectedError

__all__ = ["Access", "KubernetesClient", "RefusedError", "find_access"]

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_LIFE_S = 60.0  # bound tokens are replaced on disk well before they end
_CONNECT_TIMEOUT_S = 10.0
_MAX_LINE_BYTES = 8 << 20
_GONE = 410


class RefusedError(RejectedError):
    """The API server answered with an error; `retry_after_s` is what it asked for, 0 if nothing."""

    def __init__(self, code: int, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(f"the API server answered {code}: {message}")
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def is_gone(self) -> bool:
        """Whether the version or token asked for is too old, so that one has to list again."""
        return self.code == _GONE


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is and how to be let in. `token` is called again when the last one may have expired."""

    url: str
    tls: ssl.SSLContext | bool = True
    token: Callable[[], str] | None = None
    source: str = field(default="")


def find_access(kubeconfig: str = "", *, environ: Mapping[str, str] | None = None) -> Access | None:
    """Access by the kubeconfig file named, else by this pod's service account, else None (not in Kubernetes).

    Raises:
        ConfigError: the kubeconfig cannot be used.
    """
    if kubeconfig:
        return _from_kubeconfig(Path(kubeconfig).expanduser())
    environ = os.environ if environ is None else environ  # noqa: TID251 - kubelet's contract, not a setting of ours
    return _in_cluster(_SERVICE_ACCOUNT, environ)


def _in_cluster(directory: Path, environ: Mapping[str, str]) -> Access | None:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (directory / "token").exists():
        return None
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    authority = directory / "ca.crt"
    context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    return Access(url, context, lambda: (directory / "token").read_text().strip(), "service account")


def _from_kubeconfig(path: Path) -> Access:
    try:
        config = yaml.safe_load(path.read_text())
        contexts = {one["name"]: one["context"] for one in config.get("contexts") or []}
        context = contexts[config["current-context"]]
        clusters = {one["name"]: one["cluster"] for one in config["clusters"]}
        users = {one["name"]: one.get("user") or {} for one in config.get("users") or []}
        cluster, user = clusters[context["cluster"]], users.get(context.get("user", ""), {})
        return Access(cluster["server"], _tls(cluster, user, path.parent), _token(user, path.parent), str(path))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as exc:
        problem = f"cannot be used as a kubeconfig: {type(exc).__name__}: {exc}"
        remedy = "give a file with current-context, clusters and users, or leave it empty to run without Kubernetes"
        raise ConfigError("kubeconfig", str(path), problem, remedy=remedy) from exc


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path) -> ssl.SSLContext | bool:
    if not cluster["server"].startswith("https"):
        return True
    authority = _bytes_of(cluster, "certificate-authority", base)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if name := cluster.get("tls-server-name"):
        raise ValueError(f"tls-server-name ({name}) is not supported")
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _bytes_of(user, "client-certificate", base), _bytes_of(user, "client-key", base)
    if certificate and key:
        # OpenSSL reads chains from files only.
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(certificate + b"\n" + key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


def _bytes_of(holder: Mapping[str, Any], name: str, base: Path) -> bytes:
    if data := holder.get(f"{name}-data"):
        return base64.b64decode(data)
    return (base / holder[name]).read_bytes() if holder.get(name) else b""


def _token(user: Mapping[str, Any], base: Path) -> Callable[[], str] | None:
    if user.get("exec") or user.get("auth-provider"):
        raise ValueError("users with an exec plugin or auth-provider are not supported - use a token")
    if token := user.get("token"):
        return lambda: str(token)
    if file := user.get("tokenFile"):
        return lambda: (base / file).read_text().strip()
    return None


class KubernetesClient:
    """GETs against one API server; an async context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token, self._token_read_at = "", float("-inf")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._access.tls, limit=0, force_close=False),
            read_bufsize=1 << 18,
            max_line_size=1 << 16,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str], *, accept: str = "application/json") -> bytes:
        """The body of a GET.

        Raises:
            RefusedError: any answer but 2xx.
            aiohttp.ClientError, TimeoutError, OSError: the server was not reached or broke off.
        """
        async with self._request(path, query, accept, read_timeout_s=60.0) as response:
            return await response.read()

    async def lines(
        self, path: str, query: Mapping[str, str], *, accept: str = "application/json", read_timeout_s: float
    ) -> AsyncIterator[bytes]:
        """The lines of a watch as they come, until the server ends it; a cut last line comes as it is.

        Raises:
            as `get`; TimeoutError also when nothing came for `read_timeout_s`.
        """
        async with self._request(path, query, accept, read_timeout_s=read_timeout_s) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
                if len(rest) > _MAX_LINE_BYTES:
                    raise RefusedError(500, f"a watch line of more than {_MAX_LINE_BYTES} bytes")
            if rest:
                yield rest

    @asynccontextmanager
    async def _request(
        self, path: str, query: Mapping[str, str], accept: str, *, read_timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("use the client with `async with`")
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_TIMEOUT_S, sock_read=read_timeout_s)
        headers = {"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "osmia-agent"}
        if token := await self._current_token():
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.get(
            self._access.url.rstrip("/") + path, params=query, headers=headers, timeout=timeout
        ) as response:
            if response.status == HTTPStatus.UNAUTHORIZED:
                self._token_read_at = float("-inf")
            if not response.ok:
                raise await _refusal(response)
            yield response

    async def _current_token(self) -> str:
        if self._access.token and time.monotonic() - self._token_read_at > _TOKEN_LIFE_S:
            self._token = await anyio.to_thread.run_sync(self._access.token)
            self._token_read_at = time.monotonic()
        return self._token


async def _refusal(response: aiohttp.ClientResponse) -> RefusedError:
    body = await response.content.read(65_536)
    status = Status()
    with contextlib.suppress(msgspec.MsgspecError):
        status = msgspec.json.decode(body, type=Status)
    asked = response.headers.get("Retry-After", "")
    retry_after_s = float(asked) if asked.replace(".", "", 1).isdigit() else 0.0
    return RefusedError(response.status, status.message or response.reason or "", retry_after_s=retry_after_s)
