"""Labs to test in: one that a module shares, and what is needed to look into its pods."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import pytest

from osmia.lab.apiserver import ApiServer
from osmia.lab.cluster import Cluster
from osmia.lab.config import LabConfig
from osmia.lab.host import require_host
from osmia.model.errors import LabError

Inside = Callable[..., Coroutine[Any, Any, str]]

ECHO = textwrap.dedent("""
    import http.server, socket
    class Echo(http.server.BaseHTTPRequestHandler):
        def address_string(self): return self.client_address[0]
        def do_GET(self):
            body = f"{socket.gethostname()} {self.client_address[0]}".encode()
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body)
    http.server.ThreadingHTTPServer(("", 8080), Echo).serve_forever()
""")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The lab's API server is aiohttp, which runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def lab_host() -> None:
    """This machine can carry a lab; otherwise the test is skipped and says why."""
    try:
        require_host()
    except LabError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
async def lab(lab_host: None, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """A running lab, one per module."""
    number = sum(request.module.__name__.encode()) % 1000
    async with Cluster.up(LabConfig(name=f"t{os.getpid()}-{number}")) as cluster:
        yield cluster


@pytest.fixture
def api() -> ApiServer:
    """An API server without a cluster around it."""
    return ApiServer()


def echo_deployment(name: str, *, replicas: int = 1, **container: Any) -> dict[str, Any]:  # noqa: ANN401 - manifest fields
    """A Deployment of servers that answer with their host name and the client's address."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": "echo",
                            "image": "osmia/host",
                            "command": [sys.executable, "-S", "-c", ECHO],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
                            **container,
                        }
                    ],
                },
            },
        },
    }


@pytest.fixture(name="echo")
def echo_fixture() -> Callable[..., dict[str, Any]]:
    """Makes Deployments of echo servers."""
    return echo_deployment


@pytest.fixture
def inside(lab: Cluster) -> Inside:
    """Runs a command in all namespaces of a pod's first container and gives its output."""

    async def run(pod: dict[str, Any], *argv: str) -> str:
        (pid, *_) = lab.process_ids(pod).values()
        command = ["nsenter", f"--target={pid}", "--all", "--", *argv]
        done = await anyio.run_process(command, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout.decode()

    return run
