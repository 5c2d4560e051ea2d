"""How the agent finds its API server and is let in: every way a kubeconfig has, and what is said where it is wrong."""

from __future__ import annotations

import base64
import datetime as dt
import os
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from osmia.agent.entities.access import find_access
from osmia.agent.entities.client import Access, KubernetesClient, RefusedError
from osmia.lab.apiserver import ApiServer, make_certificate, serve
from osmia.model.errors import ConfigError

pytestmark = pytest.mark.anyio


def _config(path: Path, *, cluster: dict[str, Any], user: dict[str, Any], **extra: object) -> str:
    content = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}, {"name": "b", "context": {}}],
        "clusters": [{"name": "c", "cluster": cluster}, {"name": "d", "cluster": {}}],
        "users": [{"name": "u", "user": user}],
        **extra,
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def _found(path: str) -> Access:
    access = find_access(path)
    assert access is not None
    return access


async def _version(access: Access) -> bytes:
    async with KubernetesClient(access) as client:
        return await client.get("/api/v1/namespaces", {})


async def test_kubeconfig_of_the_lab_works(api: ApiServer, tmp_path: Path) -> None:
    """A kubeconfig with authority file and token leads in over TLS."""
    certificate = make_certificate(tmp_path)
    async with serve(api, tokens=["t"], certificate=certificate) as server:
        access = find_access(str(server.write_kubeconfig(tmp_path / "config")))
        assert access is not None
        async with KubernetesClient(access) as client:
            body = await client.get("/api/v1/namespaces", {})

    assert b'"NamespaceList"' in body


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
            body = await client.get("/api/v1/namespaces", {})

    assert b"NamespaceList" in body


async def test_authority_as_data_and_name_in_the_certificate(api: ApiServer, tmp_path: Path) -> None:
    """The authority inline, and a server that is reached by another name than its certificate has."""
    certificate = make_certificate(tmp_path, hosts=("api.example",))
    async with serve(api, tokens=["t"], certificate=certificate) as server:
        data = base64.b64encode(certificate.certificate.read_bytes()).decode()
        cluster = {"server": server.url, "certificate-authority-data": data}
        named = _config(tmp_path / "named", cluster=cluster | {"tls-server-name": "api.example"}, user={"token": "t"})
        plain = _config(tmp_path / "plain", cluster=cluster, user={"token": "t"})

        body = await _version(_found(named))
        with pytest.raises(Exception, match="certificate"):
            await _version(_found(plain))

    assert b"NamespaceList" in body


async def test_authority_file_beside_the_kubeconfig(api: ApiServer, tmp_path: Path) -> None:
    """A relative path is relative to the kubeconfig, not to where the agent was started."""
    certificate = make_certificate(tmp_path)
    async with serve(api, tokens=["t"], certificate=certificate) as server:
        cluster = {"server": server.url, "certificate-authority": certificate.certificate.name}
        body = await _version(_found(_config(tmp_path / "config", cluster=cluster, user={"token": "t"})))

    assert b"NamespaceList" in body


async def test_insecure_means_unchecked(api: ApiServer, tmp_path: Path) -> None:
    """With insecure-skip-tls-verify any certificate will do."""
    async with serve(api, tokens=["t"], certificate=make_certificate(tmp_path)) as server:
        cluster = {"server": server.url, "insecure-skip-tls-verify": True}
        body = await _version(_found(_config(tmp_path / "config", cluster=cluster, user={"token": "t"})))

    assert b"NamespaceList" in body


def test_client_certificate_is_loaded(tmp_path: Path) -> None:
    """Certificate and key as files or as data; what does not fit together is said."""
    certificate = make_certificate(tmp_path)
    files = {"client-certificate": str(certificate.certificate), "client-key": str(certificate.key)}
    data = {f"{name}-data": base64.b64encode(Path(path).read_bytes()).decode() for name, path in files.items()}
    cluster = {"server": "https://x"}

    by_file = _found(_config(tmp_path / "file", cluster=cluster, user=files))
    by_data = _found(_config(tmp_path / "data", cluster=cluster, user=data))
    odd = _config(tmp_path / "odd", cluster=cluster, user=files | {"client-key": str(certificate.certificate)})

    assert isinstance(by_file.tls, ssl.SSLContext)
    assert isinstance(by_data.tls, ssl.SSLContext)
    with pytest.raises(ConfigError, match="do not fit"):
        find_access(odd)


def _plugin(tmp_path: Path, body: str) -> dict[str, Any]:
    program = tmp_path / "get-token"
    program.write_text(f"#!{sys.executable} -S\n{body}")
    program.chmod(0o755)
    return {"command": "./get-token", "args": ["--cluster", "x"], "env": [{"name": "PROFILE", "value": "p1"}]}


_TELLS_TOKEN = """
import json, os, sys
assert sys.argv[1:] == ["--cluster", "x"] and os.environ["PROFILE"] == "p1"
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["kind"] == "ExecCredential"
runs = open(os.path.dirname(sys.argv[0]) + "/runs", "a+"); runs.write("x"); runs.seek(0)
token = "token-%d" % len(runs.read())
status = {"token": token, "expirationTimestamp": ENDS}
print(json.dumps({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status}))
"""


async def test_exec_plugin_makes_the_token(api: ApiServer, tmp_path: Path) -> None:
    """The plugin is run once, its token used while it is valid, and run again when the server refuses that."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    spec = _plugin(tmp_path, _TELLS_TOKEN.replace("ENDS", repr(ends.isoformat())))
    async with serve(api, tokens=["token-2"]) as server:
        access = _found(_config(tmp_path / "config", cluster={"server": server.url}, user={"exec": spec}))
        async with KubernetesClient(access) as client:
            with pytest.raises(RefusedError) as refused:
                await client.get("/api/v1/namespaces", {})
            bodies = [await client.get("/api/v1/namespaces", {}) for _ in range(3)]

    assert refused.value.code == 401
    assert all(b"NamespaceList" in body for body in bodies)
    assert (tmp_path / "runs").read_text() == "xx"


def test_exec_plugin_runs_again_when_its_token_has_ended(tmp_path: Path) -> None:
    """A token is not used beyond its time."""
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    spec = _plugin(tmp_path, _TELLS_TOKEN.replace("ENDS", repr(ended.isoformat())))
    access = _found(_config(tmp_path / "config", cluster={"server": "http://x"}, user={"exec": spec}))

    assert access.token is not None
    assert [access.token(), access.token()] == ["token-2", "token-3"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("import sys; sys.exit('no session, run: login')", "ended with 1: no session, run: login"),
        ("print('hello')", "gave no ExecCredential"),
        ('print(\'{"status": {"token": 5}}\')', "gave no ExecCredential"),
    ],
)
def test_exec_plugin_that_fails_is_quoted(tmp_path: Path, body: str, problem: str) -> None:
    """What the plugin said stands in the error, with its own hint as the remedy."""
    spec = _plugin(tmp_path, body) | {"installHint": "get it from the wiki"}
    path = _config(tmp_path / "config", cluster={"server": "http://x"}, user={"exec": spec})

    with pytest.raises(ConfigError, match=problem) as refused:
        find_access(path)
    assert "get it from the wiki" in str(refused.value)


async def test_token_file_is_read_again(api: ApiServer, tmp_path: Path) -> None:
    """A bound token is replaced on disk: it is read again after a minute at the latest, and at once after a 401."""
    token, clock = tmp_path / "token", [0.0]
    token.write_text("first")
    async with serve(api, tokens=["first", "second"]) as server:
        access = _found(_config(tmp_path / "config", cluster={"server": server.url}, user={"tokenFile": "token"}))
        read: list[str] = []

        def reading() -> str:
            read.append(token.read_text())
            return read[-1]

        noting = Access(access.url, token=reading)
        async with KubernetesClient(noting, now=lambda: clock[0]) as client:
            await client.get("/api/v1/namespaces", {})
            token.write_text("second")
            clock[0] = 59.0
            await client.get("/api/v1/namespaces", {})
            clock[0] = 61.0
            await client.get("/api/v1/namespaces", {})
            token.write_text("wrong")
            clock[0] = 122.0
            with pytest.raises(RefusedError):
                await client.get("/api/v1/namespaces", {})
            token.write_text("first")
            await client.get("/api/v1/namespaces", {})

    assert read == ["first", "second", "wrong", "first"]


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:6443"), ("fd00:96::1", "https://[fd00:96::1]:6443")]
)
def test_service_account_of_the_pod(tmp_path: Path, host: str, url: str) -> None:
    """In a pod kubelet says where the API server is, by IPv4 or IPv6, and mounts token and authority."""
    make_certificate(tmp_path).certificate.rename(tmp_path / "ca.crt")
    (tmp_path / "token").write_text("bound\n")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}

    access = find_access("", environ=environ, account=tmp_path)

    assert access is not None
    assert access.token is not None
    assert (access.url, access.token(), access.source) == (url, "bound", "service account")


def test_service_account_with_a_broken_authority(tmp_path: Path) -> None:
    """An authority that is none is named with its file."""
    (tmp_path / "token").write_text("bound")
    (tmp_path / "ca.crt").write_text("garbage")

    with pytest.raises(ConfigError, match=r"ca\.crt.*not an authority"):
        find_access("", environ={"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, account=tmp_path)


def test_without_a_cluster_there_is_no_access(tmp_path: Path) -> None:
    """No kubeconfig and no service account mean: not in Kubernetes, which is no error."""
    assert find_access("", environ={}) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "cannot be used as a kubeconfig"),
        ("current-context: a", "which is not among: none at all"),
        ("[", "it is no YAML"),
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


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"current-context": "z"}, "current-context is 'z', which is not among: a, b"),
        ({"contexts": [{"name": "a", "context": {"cluster": "z"}}]}, "cluster is 'z', which is not among: c, d"),
        ({"contexts": [{"name": "a", "context": {"cluster": "c", "user": "z"}}]}, "user is 'z', which is not among"),
        ({"contexts": [{"name": "a", "context": {"cluster": "d"}}]}, "server is '', not an address"),
        ({"contexts": 5}, "contexts are not a list"),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "auth-provider"),
        ({"users": [{"name": "u", "user": {"exec": {"command": "osmia-no-such-plugin"}}}]}, "cannot be run"),
        ({"clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority": "no"}}]}, "No such"),
        (
            {"clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "Z2E="}}]},
            "no certificate",
        ),
    ],
)
def test_every_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """The error says which field is wrong, what it holds and what there is to choose from."""
    path = _config(tmp_path / "config", cluster={"server": "http://x"}, user={"token": "t"}, **change)

    with pytest.raises(ConfigError, match=problem) as refused:
        find_access(path)
    assert refused.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file; the error is that of a missing one")
def test_kubeconfig_that_may_not_be_read(tmp_path: Path) -> None:
    """A file of another user is named, and so is the way out."""
    path = Path(_config(tmp_path / "config", cluster={"server": "http://x"}, user={"token": "t"}))
    path.chmod(stat.S_IWUSR)

    with pytest.raises(ConfigError, match="Permission denied") as refused:
        find_access(str(path))
    assert "let the agent's user read it" in str(refused.value)


def test_directory_in_place_of_a_kubeconfig(tmp_path: Path) -> None:
    """What cannot be read for another reason says that one."""
    with pytest.raises(ConfigError, match="Is a directory") as refused:
        find_access(str(tmp_path))
    assert "let the agent's user read it" in str(refused.value)
