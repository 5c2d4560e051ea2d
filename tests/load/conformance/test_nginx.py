"""Against a real nginx: what we count is what its access log says."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from osmia.load.client.transport import Endpoint, Http, Pool, Shows, Transport, WireStep
from tests.load.conformance.certificates import Certificates
from tests.load.conformance.rig import Witness, exercise, get, wait_for

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

STATUSES = (200, 204, 301, 403, 404, 503)  # for 500 nginx closes the connection

CONFIGURATION = """
worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format counted '$status $request_uri $connection $server_protocol';
  access_log {home}/access.log counted;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  keepalive_requests {requests};
  gzip on; gzip_min_length 1; gzip_types text/plain;
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl http2;
    ssl_certificate {pem}; ssl_certificate_key {pem};
    {locations}
    location /text {{ default_type text/plain; return 200 "{text}"; }}
  }}
}}
"""

TEXT = "many words " * 50


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running one."""

    port: int
    tls_port: int
    log: Path

    def lines(self) -> list[list[str]]:
        """Status, URI, connection and protocol of each request that it has answered."""
        return [line.split() for line in self.log.read_text().splitlines()]


@contextlib.contextmanager
def _nginx(home: Path, certificates: Certificates, *, requests: int = 1000) -> Iterator[Nginx]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        port, tls_port = (int(probe.getsockname()[1]) for probe in probes)
    locations = "\n".join(f"location /status/{status} {{ return {status}; }}" for status in STATUSES)
    configuration = home / "nginx.conf"
    places = {"home": home, "port": port, "tls_port": tls_port, "pem": certificates.good}
    configuration.write_text(CONFIGURATION.format(**places, requests=requests, locations=locations, text=TEXT))
    home.chmod(0o777)
    server = subprocess.Popen(["nginx", "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _is_open(tls_port), "nginx")
        yield Nginx(port, tls_port, home / "access.log")
    finally:
        server.terminate()
        server.wait(10)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _path(number: int) -> str:
    return f"/status/{STATUSES[number * 7 % len(STATUSES)]}?n={number}"


@pytest.mark.parametrize("http", [Http.ONE, Http.TWO])
@pytest.mark.parametrize("pool", list(Pool))
def test_counts_are_those_of_the_access_log(
    transport: Transport, certificates: Certificates, tmp_path: Path, pool: Pool, http: Http
) -> None:
    """Each request once, each status as often as the server says, in both protocols."""
    script = Witness(renders=lambda state, _step: get(_path(int(str(state)))))
    with _nginx(tmp_path, certificates) as nginx:
        endpoint = Endpoint(host="127.0.0.1", port=nginx.tls_port, is_tls=True, http=http)
        step = WireStep(endpoint=endpoint, request=None)

        outcome = exercise(transport, step, script=script, users=5, count=300, pool=pool)

        wait_for(lambda: len(nginx.lines()) >= 300, "the last line of the log")
        lines = nginx.lines()
    assert outcome.failures() == {}
    assert outcome.statuses() == dict(Counter(int(line[0]) for line in lines))
    assert sorted(line[1] for line in lines) == sorted(_path(number) for number in range(300))
    assert {line[3] for line in lines} == {"HTTP/1.1" if http is Http.ONE else "HTTP/2.0"}
    connections = len({line[2] for line in lines})
    assert connections == outcome.run["connections_opened"]
    assert connections == 300 if pool is Pool.PER_USER_NEW else connections <= 5


@pytest.mark.parametrize("http", [Http.ONE, Http.TWO])
def test_a_server_that_ends_its_connections_now_and_then(
    transport: Transport, certificates: Certificates, tmp_path: Path, http: Http
) -> None:
    """Ten requests per connection, then `Connection: close` or GOAWAY: nothing is lost and nothing is asked twice."""
    with _nginx(tmp_path, certificates, requests=10) as nginx:
        endpoint = Endpoint(host="127.0.0.1", port=nginx.tls_port, is_tls=True, http=http)
        step = WireStep(endpoint=endpoint, request=get("/text"))

        outcome = exercise(transport, step, users=4, count=200)

        wait_for(lambda: len(nginx.lines()) >= 200, "the last line of the log")
        lines = nginx.lines()
    assert outcome.failures() == {}
    assert outcome.statuses() == {200: 200}
    assert len(lines) == 200
    assert len({line[2] for line in lines}) >= 20


def test_gzip_comes_as_gzip(transport: Transport, certificates: Certificates, tmp_path: Path) -> None:
    """Asked for by the request, chunked by nginx, shown as it is."""
    script = Witness()
    with _nginx(tmp_path, certificates) as nginx:
        endpoint = Endpoint(host="127.0.0.1", port=nginx.port)
        request = get("/text", "Accept-Encoding: gzip")
        step = WireStep(endpoint=endpoint, request=request, shows=Shows.ALWAYS, keeps_body=True)

        exercise(transport, step, script=script, count=3)

    assert [gzip.decompress(shown.body).decode() for shown in script.shown] == [TEXT] * 3
    assert b"Content-Encoding: gzip\r\n" in script.shown[0].head
