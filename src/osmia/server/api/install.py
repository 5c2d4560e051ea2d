"""What a person copies to connect a cluster or a host: commands and the manifest, with id, key and address in place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources

from osmia import __version__

__all__ = ["Install", "install_texts", "manifest"]

_PLACE = re.compile(r'(")?@([A-Z_]+)@(?(1)")')
"""A place for a value in the manifest; in quotes it becomes a JSON string, which is a YAML one, whatever it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Ready-to-copy instructions for one cluster."""

    server_url: str
    monitoring_id: str
    key: str
    helm: str
    kubectl: str
    host: str


def install_texts(*, server_url: str, monitoring_id: str, key: str) -> Install:
    """The three ways to start the agent."""
    return Install(
        server_url=server_url,
        monitoring_id=monitoring_id,
        key=key,
        helm=(
            "helm upgrade --install osmia-agent ./deploy/helm/osmia-agent \\\n"
            "  --namespace osmia --create-namespace \\\n"
            f"  --set server={server_url} \\\n"
            f"  --set monitoringId={monitoring_id} \\\n"
            f"  --set key={key}"
        ),
        kubectl=f"curl -fsS {server_url}/api/v1/clusters/{monitoring_id}/manifest.yaml | kubectl apply -f -",
        host=f"osmia agent run --server {server_url} --monitoring-id {monitoring_id} --key {key}",
    )


def manifest(*, server_url: str, monitoring_id: str, key: str) -> str:
    """Namespace, Secret, access rules and DaemonSet of the agent, as YAML for `kubectl apply`."""
    text = (resources.files("osmia.server.api") / "agent.yaml").read_text("utf-8")
    values = {"SERVER": server_url, "MONITORING_ID": monitoring_id, "KEY": key, "VERSION": __version__}
    return _PLACE.sub(lambda match: values[match[2]] if match[1] is None else json.dumps(values[match[2]]), text)
