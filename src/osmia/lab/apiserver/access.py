"""Who a request comes from and what they may do: tokens of service accounts, and RBAC over the roles in the store.

Tokens look as bound tokens of a real API server do (a JWT with account, pod and expiry) and are signed with a key of
this process. RBAC knows ClusterRoles, Roles and their bindings to accounts and groups; no aggregation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from osmia.lab.apiserver.errors import ApiError

if TYPE_CHECKING:
    from osmia.lab.apiserver.server import ApiServer

__all__ = ["Accounts", "Action", "User"]

Object = dict[str, Any]

_HEADER = {"alg": "HS256", "typ": "JWT"}
_PREFIX = "system:serviceaccount"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whose token was recognised."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody wants to do; `namespace` and `name` are empty for all of them."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'{self.verb} resource "{self.resource}" in API group "{self.group}" {where}'


class Accounts:
    """Issues and recognises tokens of service accounts, and decides by RBAC."""

    def __init__(self, api: ApiServer, *, now: Callable[[], float]) -> None:
        self._api = api
        self._now = now
        self._key = secrets.token_bytes(32)
        self.granted: dict[str, set[tuple[str, str, str]]] = {}
        """What each user was let do: verb, group and resource; bounded by the roles there are."""

    def issue(self, namespace: str, account: str, *, life_s: float, pod: Object | None = None) -> str:
        """A token for an account, bound to a pod if one is given: it ends with the pod.

        Raises:
            ApiError: 404, there is no such account (`default` is there without having been made).
        """
        if account != "default":
            self._api.record("serviceaccounts", namespace, account)
        bound = {"pod": {key: pod["metadata"][key] for key in ("name", "uid")}} if pod else {}
        claims = {
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": f"{_PREFIX}:{namespace}:{account}",
            "iat": int(self._now()),
            "exp": self._now() + life_s,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account}, **bound},
        }
        signed = ".".join(_text(msgspec.json.encode(part)) for part in (_HEADER, claims))
        return f"{signed}.{self._signature(signed)}"

    def identify(self, token: str) -> User | None:
        """Whose token it is; None if we did not issue it, or its time, its account or its pod is over."""
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(signature, self._signature(signed)):
            return None
        claims = msgspec.json.decode(_bytes(signed.partition(".")[2]))
        bound = claims["kubernetes.io"]
        namespace, account = bound["namespace"], bound["serviceaccount"]["name"]
        if claims["exp"] <= self._now() or not self._is_there(namespace, account, bound.get("pod")):
            return None
        return User(claims["sub"], ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"))

    def is_allowed(self, user: User, action: Action) -> bool:
        """Whether some role that is bound to the user has a rule for it."""
        return any(_covers(rule, action) for rule in self._rules(user, action.namespace))

    def require(self, user: User, action: Action) -> None:
        """Let the user do something, and note it, or refuse.

        Raises:
            ApiError: 403 in the words of a real API server.
        """
        if not self.is_allowed(user, action):
            full_name = f"{action.resource}.{action.group}" if action.group else action.resource
            problem = f'{full_name} is forbidden: User "{user.name}" cannot {action}'
            details = {"group": action.group, "kind": action.resource, "name": action.name}
            raise ApiError(403, "Forbidden", problem, details=details)
        self.granted.setdefault(user.name, set()).add((action.verb, action.group, action.resource))

    def _is_there(self, namespace: str, account: str, pod: Object | None) -> bool:
        try:
            if account != "default":
                self._api.record("serviceaccounts", namespace, account)
            return (
                pod is None or self._api.record("pods", namespace, pod["name"]).object["metadata"]["uid"] == pod["uid"]
            )
        except ApiError:
            return False

    def _rules(self, user: User, namespace: str) -> Iterator[Object]:
        for binding in self._objects("clusterrolebindings"):
            if _is_bound(binding, user):
                yield from self._rules_of("", binding)
        for binding in self._objects("rolebindings"):
            if namespace and binding["metadata"]["namespace"] == namespace and _is_bound(binding, user):
                yield from self._rules_of(namespace, binding)

    def _rules_of(self, namespace: str, binding: Object) -> Iterable[Object]:
        role = binding["roleRef"]
        resource, place = ("roles", namespace) if role["kind"] == "Role" else ("clusterroles", "")
        try:
            return self._api.record(resource, place, role["name"]).object.get("rules") or []
        except ApiError:
            return []

    def _objects(self, resource: str) -> Iterator[Object]:
        return (record.object for record in self._api.collection(resource).sorted())

    def _signature(self, signed: str) -> str:
        return _text(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())


def _is_bound(binding: Object, user: User) -> bool:
    for subject in binding.get("subjects") or []:
        if subject["kind"] == "ServiceAccount":
            place = subject.get("namespace") or binding["metadata"].get("namespace", "")
            if user.name == f"{_PREFIX}:{place}:{subject['name']}":
                return True
        elif subject["name"] == user.name or (subject["kind"] == "Group" and subject["name"] in user.groups):
            return True
    return False


def _covers(rule: Object, action: Action) -> bool:
    names = rule.get("resourceNames")
    return (
        _has(rule.get("verbs"), action.verb)
        and _has(rule.get("apiGroups"), action.group)
        and _has(rule.get("resources"), action.resource)
        and (not names or action.name in names)
    )


def _has(values: Iterable[str] | None, value: str) -> bool:
    return any(one in {"*", value} for one in values or ())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
