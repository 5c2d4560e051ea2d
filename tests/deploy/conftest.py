"""The two descriptions of the agent's deployment as objects: what the server hands out, and what the chart renders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from osmia.server.api.install import manifest

Object = dict[str, Any]
Helm = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/osmia-agent"
GIVEN = {"server": "http://osmia.example:8460", "monitoringId": "m1", "key": "k1"}


def handed_out() -> list[Object]:
    """The objects of the server's manifest."""
    text = manifest(server_url=GIVEN["server"], monitoring_id=GIVEN["monitoringId"], key=GIVEN["key"])
    return list(yaml.safe_load_all(text))


def find(objects: Iterable[Object], kind: str) -> Object:
    """The one object of a kind."""
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def pod_of(objects: Iterable[Object]) -> Object:
    """The pod's specification."""
    spec: Object = find(objects, "DaemonSet")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="session", name="helm")
def helm_fixture() -> Helm:
    """Runs the real helm; skipped where it could not be built, which in CI is an error (`make helm`)."""
    given = os.environ.get("OSMIA_TEST_HELM", "")  # noqa: TID251 - chooses a test, not a setting
    found = next((one for one in (given, str(ROOT / ".venv/helm/helm")) if Path(one).is_file()), shutil.which("helm"))
    if found is None:
        problem = "helm is not here: `make helm` builds it"
        if os.environ.get("OSMIA_BUILD") == "strict":  # noqa: TID251 - as above
            pytest.fail(problem)
        pytest.skip(problem)
    program: str = found

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(name="render")
def render_fixture(helm: Helm) -> Callable[..., list[Object]]:
    """Renders the chart with the values that the page fills in, and those given as name=value."""

    def render(*values: str, name: str = "osmia-agent") -> list[Object]:
        settings = [part for key, value in GIVEN.items() for part in ("--set", f"{key}={value}")]
        settings += [part for value in values for part in ("--set", value)]
        done = helm("template", name, str(CHART), "--kube-version", "1.30.0", "--namespace", "osmia", *settings)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return render
