"""A lab seen from another process, through its state file and its API server."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec

from osmia.lab.apiserver import RESOURCES
from osmia.lab.manifest import parse_manifest, plural_of
from osmia.lab.readiness import WORKLOADS, Progress, progress_of
from osmia.lab.state import LabState
from osmia.model.errors import LabError

__all__ = ["LabClient", "apply_by_kubectl"]

Object = dict[str, Any]

_TIMEOUT_S = 10.0


class LabClient:
    """Asks a running lab's API server; made by `connect`."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    @classmethod
    @asynccontextmanager
    async def connect(cls, state: LabState) -> AsyncIterator[LabClient]:
        """A client with the credentials of the lab's kubeconfig, for the length of the block."""
        config = msgspec.json.decode(await anyio.Path(state.kubeconfig).read_bytes())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust),
            headers={"Authorization": f"Bearer {user['token']}"},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        ) as session:
            yield cls(session, cluster["server"])

    async def all(self, resource: str) -> list[Object]:
        """All objects of a resource.

        Raises:
            LabError: the API server is unreachable or refuses.
        """
        found = await self._request("GET", _path(resource))
        items: list[Object] = found["items"]
        return items

    async def apply(self, text: str) -> list[str]:
        """Create or update the objects of a manifest; returns what was done to each.

        Raises:
            ConfigError: the manifest is malformed.
            LabError: the API server is unreachable or refuses an object.
        """
        done: list[str] = []
        for obj in parse_manifest(text):
            resource, metadata = plural_of(obj), obj["metadata"]
            namespace = (metadata.get("namespace") or "default") if RESOURCES[resource].is_namespaced else ""
            path = _path(resource, namespace)
            try:
                await self._request("POST", path, obj)
                done.append(f"{resource}/{metadata['name']} created")
            except _ConflictError:
                await self._request("PATCH", f"{path}/{metadata['name']}", obj)
                done.append(f"{resource}/{metadata['name']} configured")
        return done

    async def progress(self) -> Progress:
        """How far the workloads are."""
        return progress_of({resource: await self.all(resource) for resource in WORKLOADS}, await self.all("pods"))

    async def _request(self, method: str, path: str, body: Object | None = None) -> Any:  # noqa: ANN401 - JSON
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                method, self._server + path, data=data, headers={"Content-Type": content}
            ) as response:
                answer = msgspec.json.decode(await response.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as exc:
            raise LabError(f"{method} {self._server}{path}: {exc}", remedy="is the lab up? `osmia lab status`") from exc
        if response.status == HTTPStatus.CONFLICT and method == "POST":
            raise _ConflictError(answer["message"])
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise LabError(f"{method} {path}: {answer.get('message', answer)}")
        return answer


class _ConflictError(LabError):
    """The object to create is there already."""


def _path(resource: str, namespace: str = "") -> str:
    one = RESOURCES[resource]
    base = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
    return f"{base}/namespaces/{namespace}/{resource}" if namespace else f"{base}/{resource}"


async def apply_by_kubectl(state: LabState, manifest: Path) -> list[str] | None:
    """Apply a manifest by an unmodified kubectl; None where there is none on the PATH.

    Raises:
        LabError: kubectl failed; carries what it said.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None
    command = [kubectl, "--kubeconfig", state.kubeconfig, "apply", "-f", str(manifest)]
    done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise LabError(f"kubectl apply failed: {said}")
    return said.splitlines()
