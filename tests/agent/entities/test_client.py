"""How the agent finds its API server and is let in."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from osmia.agent.entities.client import Access, KubernetesClient, RefusedError, find_access
from osmia.lab.apiserver import ApiServer, make_certificate, serve
from osmia.model.errors import ConfigError

pytestmark = pytest.mark.anyio


async def test_kubeconfig_of_the_lab_works(api: ApiServer, tmp_path: Path) -> None:
    """A kubeconfig with authority file and token leads in over TLS."""
    certificate = make_certificate(tmp_path)
    async with serve(api, tokens=["t"], certificate=certificate) as server:
        access = find_access(str(server.write_kubeconfig(tmp_path / "config")))
        assert access is not None
        async with KubernetesClient(access) as client:
            body = await client.get("/api/v1/namespaces", {})

    assert b'"NamespaceList"' in body


async def test_refusal_carries_code_message_and_pause(api: ApiServer, client: KubernetesClient) -> None:
    """An error answer becomes an error with what the server said."""
    api.faults.fail(429, retry_after_s=7)

    with pytest.raises(RefusedError) as refused:
        await client.get("/api/v1/pods", {})
    assert (refused.value.code, refused.value.retry_after_s) == (429, 7.0)
    assert "ordered to fail with 429" in str(refused.value)


def test_without_a_cluster_there_is_no_access(tmp_path: Path) -> None:
    """No kubeconfig and no service account mean: not in Kubernetes, which is no error."""
    assert find_access("", environ={}) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "cannot be used as a kubeconfig"),
        ("current-context: a", "KeyError"),
        ("[", "ParserError"),
        (
            yaml.safe_dump(
                {
                    "current-context": "a",
                    "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": "http://x"}}],
                    "users": [{"name": "u", "user": {"exec": {"command": "aws"}}}],
                }
            ),
            "exec plugin",
        ),
    ],
)
def test_unusable_kubeconfig_names_the_file(tmp_path: Path, content: str, problem: str) -> None:
    """A broken kubeconfig stops the start with the path, the problem and a remedy."""
    path = tmp_path / "config"
    path.write_text(content)

    with pytest.raises(ConfigError, match=problem) as refused:
        find_access(str(path))
    assert str(path) in str(refused.value)


def test_missing_kubeconfig_is_a_config_error(tmp_path: Path) -> None:
    """A path that does not exist is said to be so."""
    with pytest.raises(ConfigError, match="No such file"):
        find_access(str(tmp_path / "none"))


async def test_token_file_is_read(api: ApiServer, tmp_path: Path) -> None:
    """TokenFile, relative to the kubeconfig."""
    (tmp_path / "token").write_text("from-file\n")
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"tokenFile": "token"}}],
    }
    async with serve(api, tokens=["from-file"]) as server:
        config["clusters"] = [{"name": "c", "cluster": {"server": server.url}}]
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        access = find_access(str(tmp_path / "config"))
        assert isinstance(access, Access)
        async with KubernetesClient(access) as client:
            body = await client.get("/version", {})

    assert b"gitVersion" in body
