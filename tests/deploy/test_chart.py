"""The Helm chart and the manifest that the server hands out describe the same agent."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from osmia.server.api.install import manifest

CHART = Path(__file__).parents[2] / "deploy/helm/osmia-agent"
KUBERNETES = ("--kube-version", "1.30.0")
GIVEN = {"server": "http://osmia.example:8460", "monitoringId": "m1", "key": "k1"}


def from_server() -> dict[str, Any]:
    """Objects of the server's manifest by kind."""
    text = manifest(server_url=GIVEN["server"], monitoring_id=GIVEN["monitoringId"], key=GIVEN["key"])
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def from_template(name: str) -> list[dict[str, Any]]:
    """Objects of a template with its expressions blanked: enough to compare what they do not touch."""
    text = (CHART / "templates" / name).read_text(encoding="utf-8")
    text = re.sub(r"^\s*\{\{-?.*\}\}\s*$", "", text, flags=re.MULTILINE)
    return list(yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "x", text)))


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real helm on this chart."""
    if shutil.which("helm") is None:
        pytest.skip("helm is not installed; the templates are still compared without it")
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


def test_both_ask_for_the_same_rights() -> None:
    """The ClusterRole of the chart is that of the manifest, rule for rule."""
    (role,) = [one for one in from_template("access.yaml") if one["kind"] == "ClusterRole"]

    assert role["rules"] == from_server()["ClusterRole"]["rules"]


def test_both_run_the_agent_with_the_same_privileges() -> None:
    """Namespaces of the host, capabilities and a read-only root are the same."""
    (chart,) = from_template("daemonset.yaml")
    of_chart, of_server = (one["spec"]["template"]["spec"] for one in (chart, from_server()["DaemonSet"]))

    assert [of_chart[key] for key in ("hostPID", "hostNetwork", "dnsPolicy")] == [
        of_server[key] for key in ("hostPID", "hostNetwork", "dnsPolicy")
    ]
    (one,), (other,) = of_chart["containers"], of_server["containers"]
    assert one["securityContext"] == other["securityContext"]
    assert one["command"] == other["command"]


def test_the_defaults_keep_the_agent_within_a_core_and_a_gibibyte() -> None:
    """Limits as promised, requests far below."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

    assert values["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert set(values) <= set(json.loads((CHART / "values.schema.json").read_text())["properties"])


def test_helm_renders_the_command_of_the_page() -> None:
    """With the three values that the page fills in, the chart renders and carries them."""
    settings = [part for name, value in GIVEN.items() for part in ("--set", f"{name}={value}")]

    result = helm("template", "osmia-agent", str(CHART), *KUBERNETES, "--namespace", "osmia", *settings)

    objects = {one["kind"]: one for one in yaml.safe_load_all(result.stdout) if one}
    assert result.returncode == 0, result.stderr
    assert objects["Secret"]["stringData"] == {"monitoring-id": "m1", "key": "k1"}
    (container,) = objects["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "OSMIA_AGENT_SERVER", "value": GIVEN["server"]} in container["env"]


def test_helm_refuses_a_missing_key_with_the_place_to_find_it() -> None:
    """A forgotten value stops the installation and says where it is."""
    result = helm("template", "a", str(CHART), *KUBERNETES, "--set", "server=http://x", "--set", "monitoringId=m")

    assert result.returncode != 0
    assert "key is on the cluster's page" in result.stderr
