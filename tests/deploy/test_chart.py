"""The Helm chart and the manifest that the server hands out describe the same agent; rendered by the real helm."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import CHART, GIVEN, Helm, Object, find, handed_out, pod_of

Render = Callable[..., list[Object]]

HELMS_OWN = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"}


def normal(objects: Iterable[Object]) -> dict[tuple[str, str], Object]:
    """The objects by kind and name, without labels of helm's and without the namespace, which helm makes itself."""
    return {
        (one["kind"], one["metadata"]["name"]): _without_labels(copy.deepcopy(one))
        for one in objects
        if one["kind"] != "Namespace"
    }


def _without_labels(value: Any) -> Any:  # noqa: ANN401 - any part of an object
    if isinstance(value, dict):
        return {key: _without_labels(part) for key, part in value.items() if key not in HELMS_OWN}
    return [_without_labels(part) for part in value] if isinstance(value, list) else value


def test_chart_and_manifest_are_the_same_objects(render: Render) -> None:
    """With its default values the chart makes, field for field, what the server hands out."""
    chart, plain = normal(render()), normal(handed_out())

    assert chart.keys() == plain.keys()
    for key, one in plain.items():
        assert chart[key] == one, key


def test_the_defaults_keep_the_agent_within_a_core_and_a_gibibyte() -> None:
    """Limits as promised, requests far below; every value is known to the schema."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

    assert values["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "128Mi"},
    }
    assert set(values) <= set(json.loads((CHART / "values.schema.json").read_text())["properties"])


def test_the_chart_carries_the_values_of_the_page(render: Render) -> None:
    """Server, id and key arrive where the agent looks for them."""
    objects = render()

    (container,) = pod_of(objects)["containers"]
    assert find(objects, "Secret")["stringData"] == {"monitoring-id": "m1", "key": "k1"}
    assert {"name": "OSMIA_AGENT_SERVER", "value": GIVEN["server"]} in container["env"]


def test_an_existing_secret_takes_the_place_of_id_and_key(render: Render) -> None:
    """No Secret is made, and both values come from the one named."""
    objects = render("existingSecret=mine")

    (container,) = pod_of(objects)["containers"]
    sources = {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "secretKeyRef" in str(one)}
    sources |= {one["secret"]["secretName"] for one in pod_of(objects)["volumes"] if "secret" in one}
    assert not [one for one in objects if one["kind"] == "Secret"]
    assert sources == {"mine"}


def test_settings_become_environment(render: Render) -> None:
    """A setting by its name on the command line is the agent's variable of that name."""
    (container,) = pod_of(render("settings.log-json=true"))["containers"]

    assert {"name": "OSMIA_AGENT_LOG_JSON", "value": "true"} in container["env"]


def test_sys_admin_is_granted_only_for_the_run_time_of_bpf_programs(render: Render) -> None:
    """The one feature that needs it has a value of its own, off by default."""
    without, with_it = render(), render("bpfStatistics=true")

    added = [pod_of(one)["containers"][0]["securityContext"]["capabilities"]["add"] for one in (without, with_it)]
    assert "SYS_ADMIN" not in added[0]
    assert added[1] == [*added[0], "SYS_ADMIN"]


def test_the_spools_volume_grows_with_the_spool(render: Render) -> None:
    """One value for both, with room for the file system's own."""
    spec = pod_of(render("spoolMib=100"))

    (container,) = spec["containers"]
    assert {"name": "OSMIA_AGENT_SPOOL_MIB", "value": "100"} in container["env"]
    assert {"sizeLimit": "164Mi"} in [one.get("emptyDir") for one in spec["volumes"]]


def test_two_releases_share_no_cluster_wide_name(render: Render) -> None:
    """Everything is named after the release."""
    names = {one["metadata"]["name"] for one in render(name="second")}

    assert names == {"second"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["server=http://x", "monitoringId=m"], "key is on the cluster's page"),
        (["server=http://x", "key=k"], "monitoringId is on the cluster's page"),
        (["server=ftp://x", "monitoringId=m", "key=k"], "server"),
        (["server=http://x", "monitoringId=m", "key=k", "sever=1"], "sever"),
    ],
)
def test_helm_refuses_what_cannot_work(helm: Helm, values: list[str], words: str) -> None:
    """A forgotten, wrong or misspelt value stops the installation and is named."""
    settings = [part for value in values for part in ("--set", value)]

    done = helm("template", "a", str(CHART), "--kube-version", "1.30.0", *settings)

    assert done.returncode != 0
    assert words in done.stderr


def test_helm_lint_finds_nothing(helm: Helm) -> None:
    """`helm lint --strict` passes."""
    settings = [part for key, value in GIVEN.items() for part in ("--set", f"{key}={value}")]

    done = helm("lint", "--strict", str(CHART), *settings)

    assert done.returncode == 0, done.stdout + done.stderr
