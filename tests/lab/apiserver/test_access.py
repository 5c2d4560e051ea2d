"""Service accounts at the API server: who they are by their token, and what RBAC lets them do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from osmia.lab.apiserver import ApiError, ApiServer, DeletionOptions, serve

pytestmark = pytest.mark.anyio

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The API server's clock."""
    return Clock()


@pytest.fixture
def api(clock: Clock) -> ApiServer:
    """An API server with an account that may list and watch pods everywhere."""
    made = ApiServer(now=clock)
    made.create("namespaces", {"metadata": {"name": "osmia"}})
    made.create("serviceaccounts", {"metadata": {"name": "agent", "namespace": "osmia"}})
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]
    made.create("clusterroles", {"metadata": {"name": "reader"}, "rules": rules})
    bind(made, "clusterrolebindings", "reader", {"kind": "ServiceAccount", "name": "agent", "namespace": "osmia"})
    return made


def bind(api: ApiServer, resource: str, role: str, subject: Object, *, kind: str = "ClusterRole") -> None:
    """Bind a role to somebody; a RoleBinding lies in the namespace `osmia`."""
    metadata = {"name": f"{role}-{subject['name'].replace(':', '-')}", "namespace": "osmia"}
    reference = {"apiGroup": RBAC, "kind": kind, "name": role}
    api.create(resource, {"metadata": metadata, "roleRef": reference, "subjects": [subject]})


class Client:
    """Asks with a token."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, method: str, path: str, token: str, body: Object | None = None) -> tuple[int, Object]:
        """Status and JSON of the answer."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, self._url + path, headers=headers, json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def client(api: ApiServer) -> AsyncIterator[Client]:
    """A client of the server on a port, whose administrator's token is `root`."""
    async with serve(api, tokens=["root"]) as served, aiohttp.ClientSession() as session:
        yield Client(session, served.url)


async def test_a_role_allows_what_its_rules_say_and_no_more(api: ApiServer, client: Client) -> None:
    """List and watch of pods pass; get, write, other resources and other groups are refused in Kubernetes' words."""
    token = api.accounts.issue("osmia", "agent", life_s=60)

    allowed = [
        await client.ask("GET", "/api/v1/pods", token),
        await client.ask("GET", "/api/v1/namespaces/osmia/pods", token),
    ]
    refused = [
        await client.ask("GET", "/api/v1/namespaces/osmia/pods/x", token),
        await client.ask("DELETE", "/api/v1/namespaces/osmia/pods", token),
        await client.ask("POST", "/api/v1/namespaces/osmia/pods", token, {"metadata": {"name": "x"}}),
        await client.ask("GET", "/api/v1/secrets", token),
        await client.ask("GET", "/apis/apps/v1/deployments", token),
    ]

    assert [status for status, _ in allowed] == [200, 200]
    assert [status for status, _ in refused] == [403] * 5
    assert refused[4][1]["message"] == (
        'deployments.apps is forbidden: User "system:serviceaccount:osmia:agent" cannot list resource "deployments" '
        'in API group "apps" at the cluster scope'
    )
    assert (
        'cannot deletecollection resource "pods" in API group "" in the namespace "osmia"' in refused[1][1]["message"]
    )


async def test_a_watch_needs_its_own_verb(api: ApiServer, client: Client) -> None:
    """A role with list alone does not let one watch."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    api.replace("clusterroles", {"metadata": {"name": "reader"}, "rules": rules})

    status, answer = await client.ask("GET", "/api/v1/pods?watch=1", api.accounts.issue("osmia", "agent", life_s=60))

    assert status == 403
    assert "cannot watch" in answer["message"]


async def test_an_administrator_may_do_everything(client: Client) -> None:
    """The token of the kubeconfig needs no role."""
    assert (await client.ask("GET", "/api/v1/secrets", "root"))[0] == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "root2"])
async def test_an_unknown_token_is_401(client: Client, token: str) -> None:
    """Neither an administrator's nor one that we signed."""
    assert (await client.ask("GET", "/api/v1/pods", token))[0] == 401


async def test_a_token_of_another_server_is_401(client: Client, clock: Clock) -> None:
    """The right form with a foreign signature."""
    other = ApiServer(now=clock)

    token = other.accounts.issue("default", "default", life_s=60)

    assert (await client.ask("GET", "/api/v1/pods", token))[0] == 401


async def test_a_token_ends_with_its_time_its_pod_or_its_account(api: ApiServer, client: Client, clock: Clock) -> None:
    """Expired, pod gone, account gone: three times 401."""
    spec = {"containers": [{"name": "a", "image": "osmia-agent:1"}]}
    pod = api.create("pods", {"metadata": {"name": "p", "namespace": "osmia"}, "spec": spec})
    bound = api.accounts.issue("osmia", "agent", life_s=60, pod=pod)
    long, short = (api.accounts.issue("osmia", "agent", life_s=life_s) for life_s in (600, 60))
    before = [(await client.ask("GET", "/api/v1/pods", token))[0] for token in (bound, short, long)]

    api.delete("pods", "osmia", "p", DeletionOptions(grace_period_s=0))
    without_pod = await client.ask("GET", "/api/v1/pods", bound)
    clock.now += 61
    too_late = await client.ask("GET", "/api/v1/pods", short)
    api.delete("serviceaccounts", "osmia", "agent")
    without_account = await client.ask("GET", "/api/v1/pods", long)

    assert before == [200, 200, 200]
    assert [status for status, _ in (without_pod, too_late, without_account)] == [401, 401, 401]


async def test_a_role_of_a_namespace_ends_at_its_border(api: ApiServer, client: Client) -> None:
    """A RoleBinding gives rights in its own namespace, whether it names a Role or a ClusterRole."""
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    api.create("roles", {"metadata": {"name": "all", "namespace": "osmia"}, "rules": rules})
    bind(api, "rolebindings", "all", {"kind": "Group", "name": "system:serviceaccounts:default"}, kind="Role")
    token = api.accounts.issue("default", "default", life_s=60)

    inside = await client.ask("GET", "/api/v1/namespaces/osmia/secrets", token)
    outside = await client.ask("GET", "/api/v1/namespaces/default/secrets", token)
    everywhere = await client.ask("GET", "/api/v1/secrets", token)

    assert [status for status, _ in (inside, outside, everywhere)] == [200, 403, 403]


async def test_anybody_known_may_ask_what_there_is_and_what_they_may_do(api: ApiServer, client: Client) -> None:
    """Discovery is open; a SelfSubjectAccessReview answers as RBAC would."""
    token = api.accounts.issue("osmia", "agent", life_s=60)
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    discovery = await client.ask("GET", "/apis/apps/v1", token)
    answers = [
        await client.ask("POST", path, token, {"spec": {"resourceAttributes": {"verb": verb, "resource": "pods"}}})
        for verb in ("list", "delete")
    ]

    assert discovery[0] == 200
    assert [answer["status"]["allowed"] for _, answer in answers] == [True, False]


def test_no_token_for_an_account_that_is_not_there(api: ApiServer) -> None:
    """A pod that names an unknown account cannot start."""
    with pytest.raises(ApiError, match='serviceaccounts "nobody" not found'):
        api.accounts.issue("osmia", "nobody", life_s=60)
