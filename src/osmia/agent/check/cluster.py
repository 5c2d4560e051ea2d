"""The Kubernetes side of the check: is the API server there, and may we do each thing that we do?"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import anyio
import msgspec

from osmia.agent.check.machine import Fact, Standing
from osmia.agent.entities.client import Access

__all__ = ["RIGHTS", "Right", "cluster_facts"]

_TIMEOUT_S = 5.0
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_LOST = ("kubernetes",)
_WORDS_MAX = 300


@dataclass(frozen=True, slots=True)
class Right:
    """A resource that the agent lists and watches, cluster-wide."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


VERBS = ("list", "watch")
RIGHTS = (
    Right("", "pods"),
    Right("", "services"),
    Right("", "nodes"),
    Right("discovery.k8s.io", "endpointslices"),
    Right("apps", "replicasets"),
    Right("apps", "deployments"),
    Right("apps", "statefulsets"),
    Right("apps", "daemonsets"),
    Right("batch", "jobs"),
)
"""Exactly what the ClusterRole grants; a test compares."""


class _Version(msgspec.Struct):
    git_version: str = msgspec.field(name="gitVersion", default="")


class _Decision(msgspec.Struct):
    allowed: bool = False
    reason: str = ""


class _Review(msgspec.Struct):
    status: _Decision = msgspec.field(default_factory=_Decision)


class _NoReviewsError(Exception):
    """This API server does not answer the question what we may do."""


async def cluster_facts(access: Access) -> list[Fact]:
    """The API server, then each right."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        token = await anyio.to_thread.run_sync(access.token) if access.token else ""
    except OSError as exc:
        problem = f"the token of {access.source} cannot be read: {exc.strerror}"
        remedy = "mount it (automountServiceAccountToken), or make it readable for the agent's user"
        return [Fact("API server", Standing.MISSING, problem, _LOST, remedy)]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(ssl=access.tls)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        first = await _reach(session, access)
        return [first, *await _rights(session, access)] if first.standing is Standing.OK else [first]


async def _reach(session: aiohttp.ClientSession, access: Access) -> Fact:
    url = access.url.rstrip("/")
    try:
        async with session.get(f"{url}/version", server_hostname=access.server_name or None) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        problem = f"{url} is not reached: {type(exc).__name__}: {exc}"[:_WORDS_MAX].rstrip(": ")
        return Fact("API server", Standing.MISSING, problem, _LOST, "check address, network policy and certificates")
    if response.status == HTTPStatus.UNAUTHORIZED:
        remedy = "renew the token or certificate"
        return Fact("API server", Standing.MISSING, f"{url} does not accept {access.source}", _LOST, remedy)
    try:
        version = msgspec.json.decode(body, type=_Version).git_version
    except msgspec.MsgspecError:
        version = ""
    return Fact("API server", Standing.OK, f"{url} {version}, by {access.source}".replace("  ", " "))


async def _rights(session: aiohttp.ClientSession, access: Access) -> list[Fact]:
    try:
        return [await _right(session, access, right) for right in RIGHTS]
    except _NoReviewsError as exc:
        detail = f"not told by this API server ({exc}); the feature kubernetes shows what works"
        return [Fact("rights", Standing.NOTE, detail)]


async def _right(session: aiohttp.ClientSession, access: Access, right: Right) -> Fact:
    refused, why = [], ""
    for verb in VERBS:
        decision = await _review(session, access, right, verb)
        if not decision.allowed:
            refused.append(verb)
            why = decision.reason or why
    name = f"right: {right}"
    if not refused:
        return Fact(name, Standing.OK, f"may {' and '.join(VERBS)}")
    detail = f"may not {' nor '.join(refused)}" + (f" ({why})" if why else "")
    remedy = f"grant {', '.join(VERBS)} on {right} to the agent's service account (ClusterRole of the chart)"
    return Fact(name, Standing.MISSING, detail, _LOST, remedy)


async def _review(session: aiohttp.ClientSession, access: Access, right: Right, verb: str) -> _Decision:
    attributes = {"group": right.group, "resource": right.resource, "verb": verb}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        async with session.post(
            access.url.rstrip("/") + _REVIEWS, json=body, server_hostname=access.server_name or None
        ) as response:
            answer = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise _NoReviewsError(f"{type(exc).__name__}: {exc}"[:_WORDS_MAX]) from exc
    if not response.ok:
        raise _NoReviewsError(f"SelfSubjectAccessReview gives {response.status}")
    try:
        return msgspec.json.decode(answer, type=_Review).status
    except msgspec.MsgspecError as exc:
        raise _NoReviewsError("SelfSubjectAccessReview gives something else") from exc
