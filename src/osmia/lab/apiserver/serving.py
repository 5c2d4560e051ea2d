"""The API server on a port: plain or TLS, with a kubeconfig that lets kubectl in."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import msgspec
from aiohttp import web

from osmia.lab.apiserver.http import application
from osmia.lab.apiserver.server import ApiServer
from osmia.model.errors import LabError

__all__ = ["Certificate", "Served", "make_certificate", "serve", "write_kubeconfig"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server certificate that is its own authority, and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Served:
    """Where the server listens."""

    host: str
    port: int
    certificate: Certificate | None = None
    token: str = ""

    @property
    def url(self) -> str:
        """Base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for this server and return its path."""
        return write_kubeconfig(path, self.url, token=self.token, certificate=self.certificate)


@asynccontextmanager
async def serve(  # noqa: PLR0913 - what and where, each optional
    api: ApiServer,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tokens: Collection[str] = (),
    certificate: Certificate | None = None,
    listener: socket | None = None,
) -> AsyncIterator[Served]:
    """Serve `api` for the length of the block (port 0 = any free one), or on an already bound `listener`.

    Raises:
        OSError: the port is taken.
    """
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.certificate, certificate.key)
    runner = web.AppRunner(
        application(api, tokens=tokens), access_log=None, shutdown_timeout=0.1, handler_cancellation=True
    )
    await runner.setup()
    try:
        site: web.BaseSite
        if listener is not None:
            site = web.SockSite(runner, listener, ssl_context=context)
        else:
            site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield Served(bound_host, bound_port, certificate, next(iter(tokens), ""))
    finally:
        await runner.cleanup()


def make_certificate(directory: Path, *, hosts: Collection[str] = ("127.0.0.1", "localhost")) -> Certificate:
    """Make a self-signed certificate for these names and addresses, valid ten years.

    Raises:
        LabError: openssl is missing or failed.
    """
    made = Certificate(directory / "apiserver.crt", directory / "apiserver.key")
    names = ",".join(f"{'IP' if host.replace('.', '').isdigit() or ':' in host else 'DNS'}:{host}" for host in hosts)
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "3650", "-subj", "/CN=osmia-lab", "-addext", f"subjectAltName={names}"),
        *("-keyout", str(made.key), "-out", str(made.certificate)),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError as exc:
        raise LabError("no certificate could be made: openssl is missing", remedy="install openssl") from exc
    except subprocess.CalledProcessError as exc:
        raise LabError(f"openssl failed: {exc.stderr.decode(errors='replace').strip()}") from exc
    made.key.chmod(0o600)
    return made


def write_kubeconfig(path: Path, url: str, *, token: str = "", certificate: Certificate | None = None) -> Path:
    """Write a kubeconfig (JSON, which is YAML) with one cluster, user and context, all named osmia-lab.

    A token needs TLS: kubectl does not send it over plain HTTP.
    """
    cluster: dict[str, str] = {"server": url}
    if certificate:
        cluster["certificate-authority"] = str(certificate.certificate.resolve())
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "osmia-lab", "cluster": cluster}],
        "users": [{"name": "osmia-lab", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "osmia-lab", "context": {"cluster": "osmia-lab", "user": "osmia-lab"}}],
        "current-context": "osmia-lab",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
    return path
