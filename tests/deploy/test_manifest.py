"""The plain manifest: valid for Kubernetes, with no more rights, capabilities and mounts than the agent uses."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import msgspec
import pytest

from osmia import __version__
from osmia.agent.check.machine import CAPABILITIES
from osmia.agent.config import AgentConfig
from osmia.settings import table
from tests.deploy.conftest import ROOT, Object, find, handed_out, pod_of

OLDEST, NEWEST = "1.25", "1.37"


def container() -> Object:
    """The agent's container."""
    (found,) = pod_of(handed_out())["containers"]
    one: Object = found
    return one


@pytest.mark.parametrize("version", [OLDEST, "1.30", NEWEST])
@pytest.mark.parametrize("position", range(len(handed_out())))
def test_every_object_is_valid_for_kubernetes(position: int, version: str) -> None:
    """Against the strict schemas of the oldest, a middle and the newest version: no unknown field, no wrong type."""
    one = handed_out()[position]

    kubernetes_validate.validate(one, version, strict=True)

    assert one["metadata"]["name"].startswith("osmia")


def test_what_the_chart_can_vary_is_valid_too(render: Callable[..., list[Object]]) -> None:
    """With every value that adds fields, the chart's objects still fit the schemas."""
    objects = render("bpfStatistics=true", "imagePullSecrets[0].name=a", "seccompProfile.type=Unconfined")

    for one in objects:
        kubernetes_validate.validate(one, NEWEST, strict=True)
    assert pod_of(objects)["imagePullSecrets"] == [{"name": "a"}]


def test_the_file_in_deploy_is_what_the_server_hands_out() -> None:
    """deploy/kubernetes/osmia-agent.yaml is fresh; `make docs` writes it."""
    path = ROOT / ".ci/manifest.py"
    spec = importlib.util.spec_from_file_location("manifest_writer", path)
    assert spec is not None
    assert spec.loader is not None
    writer: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)

    assert writer.FILE.read_text() == writer.text()


def test_the_agent_has_no_capability_but_those_it_says_it_uses() -> None:
    """Everything is dropped, then what the features need is added; nothing that can be had twice."""
    context = container()["securityContext"]

    assert context["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN", "SYS_RESOURCE"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["privileged"] is False
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_each_capability_is_one_that_agent_check_explains() -> None:
    """What is granted is in the table of `osmia agent check`; what is there and not granted is told in 0019."""
    granted = {f"CAP_{name}" for name in container()["securityContext"]["capabilities"]["add"]}
    explained = {one.name for one in CAPABILITIES}
    decision = (ROOT / "docs/decisions/0019-agent-daemonset.md").read_text()

    assert granted <= explained
    assert all(f"| `{name.removeprefix('CAP_')}` |" in decision for name in explained)


def test_every_variable_is_a_setting() -> None:
    """The agent refuses variables it does not know, so the manifest may give none."""
    known = {row.environment_key for row in table("agent", AgentConfig)}

    assert {one["name"] for one in container()["env"]} <= known


def test_the_spool_stays_below_the_limit_of_its_volume() -> None:
    """Beyond it the pod would be evicted, and the spool with it."""
    environment = {one["name"]: one.get("value") for one in container()["env"]}
    mounts = {one["mountPath"]: one["name"] for one in container()["volumeMounts"]}
    volumes = {one["name"]: one for one in pod_of(handed_out())["volumes"]}

    limit = volumes[mounts[environment["OSMIA_AGENT_SPOOL_DIR"]]]["emptyDir"]["sizeLimit"]
    assert float(environment["OSMIA_AGENT_SPOOL_MIB"]) < float(limit.removesuffix("Mi"))


def test_the_key_is_a_file_that_nobody_else_reads() -> None:
    """The key is in no variable; its file is readable by the agent's user alone, and is all of the Secret there."""
    spec = pod_of(handed_out())
    (volume,) = [one["secret"] for one in spec["volumes"] if "secret" in one]

    assert "OSMIA_AGENT_KEY" not in {one["name"] for one in container()["env"]}
    assert {"name": "OSMIA_AGENT_KEY_FILE", "value": "/etc/osmia/key"} in container()["env"]
    assert volume == {"secretName": "osmia-agent", "defaultMode": 0o400, "items": [{"key": "key", "path": "key"}]}


def test_what_the_node_lends_is_read_only() -> None:
    """The only directory of the node that the pod sees cannot be written; what it writes is bounded."""
    spec = pod_of(handed_out())
    mounts = {one["name"]: one for one in container()["volumeMounts"]}
    lent = [one for one in spec["volumes"] if "hostPath" in one]
    own = [one for one in spec["volumes"] if "emptyDir" in one]

    assert {one["name"]: one["hostPath"]["path"] for one in lent} == {"cgroup": "/sys/fs/cgroup"}
    assert all(mounts[one["name"]]["readOnly"] for one in lent)
    assert all(one["emptyDir"]["sizeLimit"] for one in own)
    assert mounts.keys() == {one["name"] for one in spec["volumes"]}


def test_the_cluster_role_has_no_verb_beyond_reading_lists() -> None:
    """No rule writes, none reads Secrets, none has a wildcard."""
    rules = find(handed_out(), "ClusterRole")["rules"]

    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    assert not {"secrets", "configmaps", "*"} & {one for rule in rules for one in rule["resources"]}
    assert "*" not in {group for rule in rules for group in rule["apiGroups"]}


def test_it_runs_on_every_node_and_is_not_pushed_off() -> None:
    """Any taint is tolerated, and the priority is that of the node's own pods."""
    spec = pod_of(handed_out())

    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-node-critical"
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_values_cannot_break_out_of_their_place() -> None:
    """Address, id and key are written as YAML strings whatever they hold."""
    import yaml

    from osmia.server.api.install import manifest

    text = manifest(server_url='http://x/"\n# @KEY@', monitoring_id='a"b: c', key="k\\\n'")

    objects = list(yaml.safe_load_all(text))
    assert find(objects, "Secret")["stringData"] == {"monitoring-id": 'a"b: c', "key": "k\\\n'"}
    (one,) = pod_of(objects)["containers"]
    assert one["env"][0] == {"name": "OSMIA_AGENT_SERVER", "value": 'http://x/"\n# @KEY@'}


def test_the_image_is_that_of_this_version() -> None:
    """No floating tag."""
    assert container()["image"] == f"osmia-agent:{__version__}"
    assert msgspec.json.encode(handed_out()).count(b":latest") == 0
