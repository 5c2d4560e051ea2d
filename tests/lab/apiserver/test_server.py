"""The life of objects in the API server, called in process."""

from __future__ import annotations

import anyio
import pytest

from osmia.lab.apiserver import ApiError, ApiServer, DeletionOptions, PatchKind
from tests.lab.apiserver.world import deployment, owned_by, pod, service

pytestmark = pytest.mark.anyio


def test_creation_identifies_the_object(api: ApiServer) -> None:
    """A created object gets uid, version, time and namespace, and its type."""
    created = api.create("pods", pod())

    metadata = created["metadata"]
    assert (created["apiVersion"], created["kind"], metadata["namespace"]) == ("v1", "Pod", "default")
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) == api.version
    assert metadata["creationTimestamp"].endswith("Z")


def test_generated_names_differ(api: ApiServer) -> None:
    """GenerateName gives each object a name of its own."""
    made = {api.create("pods", pod("", generateName="web-"))["metadata"]["name"] for _ in range(20)}

    assert len(made) == 20
    assert all(name.startswith("web-") for name in made)


def test_second_creation_is_refused(api: ApiServer) -> None:
    """Two objects of one name are 409 AlreadyExists."""
    api.create("pods", pod())

    with pytest.raises(ApiError) as refused:
        api.create("pods", pod())
    assert (refused.value.code, refused.value.status["reason"]) == (409, "AlreadyExists")


def test_missing_object_is_not_found(api: ApiServer) -> None:
    """A get of nothing is 404 with the name in its details."""
    with pytest.raises(ApiError) as refused:
        api.get("pods", "default", "ghost")
    assert refused.value.status["details"] == {"name": "ghost", "kind": "pods"}
    assert refused.value.code == 404


def test_namespace_must_exist(api: ApiServer) -> None:
    """An object in a namespace that does not exist is 404."""
    with pytest.raises(ApiError, match='namespaces "nowhere" not found'):
        api.create("pods", pod(namespace="nowhere"))


@pytest.mark.parametrize(
    ("resource", "obj", "field"),
    [
        (
            "pods",
            {"metadata": {"name": "Upper"}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
            "metadata.name",
        ),
        ("pods", {"metadata": {"name": "a"}, "spec": {}}, "spec.containers"),
        ("pods", {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}, "spec.containers[0].image"),
        ("deployments", deployment(selector={"matchLabels": {"app": "x"}}), "spec.template.metadata.labels"),
        ("deployments", deployment(replicas=-1), "spec.replicas"),
        ("services", service(ports=[]), "spec.ports"),
    ],
)
def test_broken_object_is_invalid(api: ApiServer, resource: str, obj: dict[str, object], field: str) -> None:
    """An object that breaks a rule is 422 and names the field."""
    with pytest.raises(ApiError) as refused:
        api.create(resource, obj)
    assert refused.value.code == 422
    assert [cause["field"] for cause in refused.value.status["details"]["causes"]] == [field]


def test_caller_keeps_no_hold_on_the_store(api: ApiServer) -> None:
    """Changing what was handed in or out changes nothing inside."""
    given = pod()
    out = api.create("pods", given)
    given["spec"]["nodeName"] = "changed"
    out["spec"]["nodeName"] = "changed"

    assert api.get("pods", "default", "web-1")["spec"]["nodeName"] == "node-a"


def test_stale_write_conflicts(api: ApiServer) -> None:
    """Writing back an old version is 409 Conflict; without a version it is not."""
    old = api.create("pods", pod())
    api.patch("pods", "default", "web-1", {"metadata": {"labels": {"a": "b"}}})

    with pytest.raises(ApiError) as refused:
        api.replace("pods", old)
    assert refused.value.status["reason"] == "Conflict"
    del old["metadata"]["resourceVersion"]
    assert api.replace("pods", old)["metadata"]["labels"] == {"app": "web"}


def test_write_that_changes_nothing_is_no_event(api: ApiServer) -> None:
    """An equal object keeps its version."""
    before = api.create("pods", pod())

    after = api.patch("pods", "default", "web-1", {"metadata": {"labels": {"app": "web"}}})

    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_generation_counts_specs_only(api: ApiServer) -> None:
    """A change of the spec counts generation up, labels and status do not."""
    api.create("deployments", deployment())
    api.patch("deployments", "default", "web", {"metadata": {"labels": {"a": "b"}}})
    api.patch("deployments", "default", "web", {"status": {"readyReplicas": 1}}, "status")

    changed = api.patch("deployments", "default", "web", {"spec": {"replicas": 4}})

    assert changed["metadata"]["generation"] == 2
    assert changed["status"] == {"readyReplicas": 1}


def test_status_and_spec_are_written_apart(api: ApiServer) -> None:
    """A write of the object keeps its status, a write of the status keeps the rest."""
    api.create("pods", pod())
    api.patch("pods", "default", "web-1", {"status": {"phase": "Failed"}, "metadata": {"labels": {"a": "b"}}})
    labelled = api.get("pods", "default", "web-1")
    api.patch("pods", "default", "web-1", {"status": {"phase": "Failed"}, "metadata": {"labels": {"c": "d"}}}, "status")
    failed = api.get("pods", "default", "web-1")

    assert (labelled["status"]["phase"], labelled["metadata"]["labels"]["a"]) == ("Running", "b")
    assert (failed["status"]["phase"], "c" in failed["metadata"]["labels"]) == ("Failed", False)


def test_scale_changes_replicas(api: ApiServer) -> None:
    """The scale subresource reads and writes spec.replicas."""
    api.create("deployments", deployment())

    api.patch("deployments", "default", "web", {"spec": {"replicas": 7}}, "scale")

    scale = api.get("deployments", "default", "web", "scale")
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 7, "app=web")
    assert api.get("deployments", "default", "web")["spec"]["replicas"] == 7


def test_selector_of_a_deployment_is_fixed(api: ApiServer) -> None:
    """The selector cannot be changed after creation."""
    api.create("deployments", deployment())
    patch = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}

    with pytest.raises(ApiError, match=r"spec\.selector: Invalid value: field is immutable|does not match"):
        api.patch("deployments", "default", "web", patch)


def test_put_overwrites_everything(api: ApiServer) -> None:
    """`put` creates, then replaces spec, labels and status at once."""
    first = api.put("pods", pod(ip="10.244.0.9"))
    second = api.put("pods", pod(ip="10.244.0.10"))

    assert second["status"]["podIP"] == "10.244.0.10"
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


def test_services_get_their_own_addresses(api: ApiServer) -> None:
    """Each Service gets a free cluster IP; a deleted one's is used again, a taken one refused."""
    ips = [api.create("services", service(name))["spec"]["clusterIP"] for name in ("a", "b", "c")]
    api.delete("services", "default", "b")
    again = api.create("services", service("d"))["spec"]["clusterIP"]

    assert len(set(ips)) == 3
    assert again == ips[1]
    with pytest.raises(ApiError, match="already allocated"):
        api.create("services", service("e", clusterIP=ips[0]))


def test_headless_service_has_no_address(api: ApiServer) -> None:
    """ClusterIP None stays None, and several may be."""
    made = [api.create("services", service(name, clusterIP="None")) for name in ("a", "b")]

    assert [one["spec"]["clusterIP"] for one in made] == ["None", "None"]


def test_node_ports_stay_with_their_service(api: ApiServer) -> None:
    """A NodePort Service gets a port of its own and keeps it through updates."""
    port = api.create("services", service("a", type="NodePort"))["spec"]["ports"][0]["nodePort"]
    other = api.create("services", service("b", type="NodePort"))["spec"]["ports"][0]["nodePort"]
    kept = api.replace("services", service("a", type="NodePort"))["spec"]

    assert port != other
    assert kept["ports"][0]["nodePort"] == port
    assert kept["clusterIP"] == api.get("services", "default", "a")["spec"]["clusterIP"]


def test_secret_takes_plain_text(api: ApiServer) -> None:
    """StringData becomes base64 data and is not kept."""
    made = api.create("secrets", {"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}})

    assert made["data"] == {"password": "aHVudGVyMg=="}
    assert "stringData" not in made


def test_pod_on_a_node_ends_with_grace(api: ApiServer) -> None:
    """Deleting a running pod marks it; it goes when its kubelet confirms."""
    api.create("pods", pod())

    marked = api.delete("pods", "default", "web-1")
    again = api.delete("pods", "default", "web-1")
    api.delete("pods", "default", "web-1", DeletionOptions(grace_period_s=0))

    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    assert api.list("pods") == []


@pytest.mark.parametrize("change", [{"spec": {"nodeName": ""}}, {"status": {"phase": "Succeeded"}}])
def test_pod_that_does_not_run_ends_at_once(api: ApiServer, change: dict[str, dict[str, str]]) -> None:
    """A pod without a node, or one that has finished, needs no kubelet to go."""
    held = pod()
    for part, fields in change.items():
        held[part] |= fields
    api.create("pods", held)

    api.delete("pods", "default", "web-1")

    assert api.list("pods") == []


def test_deletion_of_another_uid_conflicts(api: ApiServer) -> None:
    """A uid in the options guards against deleting a successor."""
    api.create("pods", pod())

    with pytest.raises(ApiError, match="UID in precondition"):
        api.delete("pods", "default", "web-1", DeletionOptions(uid="another"))


def test_finalizer_delays_the_end(api: ApiServer) -> None:
    """An object with a finalizer goes when the finalizer does."""
    api.create("configmaps", {"metadata": {"name": "c", "finalizers": ["osmia.test/hold"]}})
    api.delete("configmaps", "default", "c")
    held = api.get("configmaps", "default", "c")

    api.patch("configmaps", "default", "c", {"metadata": {"finalizers": None}})

    assert "deletionTimestamp" in held["metadata"]
    assert api.list("configmaps") == []


def _chain(api: ApiServer) -> None:
    """Deployment -> ReplicaSet -> pod."""
    owner = api.create("deployments", deployment())
    middle = deployment()
    middle["metadata"] = {"name": "web-abc", "ownerReferences": owned_by(owner)}
    replica_set = api.create("replicasets", middle)
    api.create("pods", pod(ownerReferences=owned_by(replica_set)))


def test_dependents_follow_their_owner(api: ApiServer) -> None:
    """Deleting the top of a chain deletes all of it, pods with grace."""
    _chain(api)

    api.delete("deployments", "default", "web")

    assert api.list("replicasets") == []
    assert "deletionTimestamp" in api.get("pods", "default", "web-1")["metadata"]


def test_orphaning_keeps_dependents(api: ApiServer) -> None:
    """Deletion with Orphan leaves the dependents, without owner."""
    _chain(api)

    api.delete("deployments", "default", "web", DeletionOptions(propagation="Orphan"))

    assert "ownerReferences" not in api.get("replicasets", "default", "web-abc")["metadata"]


def test_foreground_deletion_waits_for_dependents(api: ApiServer) -> None:
    """Deletion with Foreground keeps the owner until the last pod has gone."""
    _chain(api)

    api.delete("deployments", "default", "web", DeletionOptions(propagation="Foreground"))
    waiting = [len(api.list(resource)) for resource in ("deployments", "replicasets", "pods")]
    api.delete("pods", "default", "web-1", DeletionOptions(grace_period_s=0))

    assert waiting == [1, 1, 1]
    assert [len(api.list(resource)) for resource in ("deployments", "replicasets", "pods")] == [0, 0, 0]


def test_dependent_with_another_owner_stays(api: ApiServer) -> None:
    """An object with two owners survives the first."""
    one = api.create("configmaps", {"metadata": {"name": "one"}})
    two = api.create("configmaps", {"metadata": {"name": "two"}})
    api.create("configmaps", {"metadata": {"name": "child", "ownerReferences": owned_by(one) + owned_by(two)}})

    api.delete("configmaps", "default", "one")

    left = api.get("configmaps", "default", "child")["metadata"]["ownerReferences"]
    assert [owner["name"] for owner in left] == ["two"]


def test_namespace_goes_with_its_content(api: ApiServer) -> None:
    """A deleted namespace is Terminating, takes nothing new, and goes when its last pod has."""
    api.create("namespaces", {"metadata": {"name": "shop"}})
    api.create("pods", pod(namespace="shop"))
    api.create("services", service() | {"metadata": {"name": "web", "namespace": "shop"}})

    api.delete("namespaces", "", "shop")
    phase = api.get("namespaces", "", "shop")["status"]["phase"]
    with pytest.raises(ApiError) as refused:
        api.create("configmaps", {"metadata": {"name": "late", "namespace": "shop"}})
    api.delete("pods", "shop", "web-1", DeletionOptions(grace_period_s=0))

    assert phase == "Terminating"
    assert refused.value.code == 403
    assert api.list("services", "shop") == []
    assert "shop" not in [one["metadata"]["name"] for one in api.list("namespaces")]


def test_list_selects_by_namespace_and_label(api: ApiServer) -> None:
    """`list` narrows by namespace and label selector, in order of names."""
    api.create("namespaces", {"metadata": {"name": "shop"}})
    for name, namespace in (("b-1", "default"), ("a-1", "default"), ("a-2", "shop")):
        api.create("pods", pod(name, namespace=namespace))

    assert [one["metadata"]["name"] for one in api.list("pods")] == ["a-1", "b-1", "a-2"]
    assert [one["metadata"]["name"] for one in api.list("pods", "default", "app=a")] == ["a-1"]


def test_json_patch_in_process(api: ApiServer) -> None:
    """The kind of a patch can be chosen."""
    api.create("pods", pod())
    operations = [{"op": "add", "path": "/metadata/labels/a~1b", "value": "c"}]

    patched = api.patch("pods", "default", "web-1", operations, kind=PatchKind.JSON)

    assert patched["metadata"]["labels"]["a/b"] == "c"


async def test_subscription_begins_with_what_is_there(api: ApiServer) -> None:
    """A subscriber gets an ADDED for each object, then each change in order."""
    api.create("pods", pod())
    seen: list[tuple[str, str]] = []

    async with anyio.create_task_group() as group:

        async def follow() -> None:
            async for kind, obj in api.subscribe("pods"):
                seen.append((kind, obj["status"]["phase"]))
                if kind == "DELETED":
                    group.cancel_scope.cancel()

        group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        api.patch("pods", "default", "web-1", {"status": {"phase": "Failed"}}, "status")
        api.delete("pods", "default", "web-1")

    assert seen == [("ADDED", "Running"), ("MODIFIED", "Failed"), ("DELETED", "Failed")]


async def test_slow_subscriber_is_told(api: ApiServer) -> None:
    """A subscriber that falls behind the history gets 410 instead of a gap."""
    api.create("pods", pod())
    follower = api.subscribe("pods")
    await anext(follower)
    for number in range(200):
        api.patch("pods", "default", "web-1", {"metadata": {"labels": {"n": str(number)}}})

    with pytest.raises(ApiError) as refused:
        await anext(follower)
    assert refused.value.code == 410
