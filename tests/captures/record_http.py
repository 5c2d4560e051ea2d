"""Records HTTP clients talking to real servers: `python -m tests.captures.record_http [name]...`.

Needs curl, ab, wrk, nginx, Node and Go on the path, and aiohttp, flask and gunicorn in the running Python. Values
carry the word "canary", so that the tests can see whether one comes through. After recording, read the diff of the
.txt files: they are what the parsers understood.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp

from tests.captures.recording import Capture, record, save

HERE = Path(__file__).parent
TARGET = HERE / "http"
SERVER_DEADLINE_S = 10
CONNECTIONS_KEPT, TURNS_KEPT = 20, 12

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{ access_log off; gzip on; gzip_min_length 1; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port};
    location / {{ return 200 "hello"; }}
    location /files {{ root {folder}; etag on; }}
    location /moved {{ return 301 /files/canary; }}
    location /empty {{ return 204; }}
    location /missing {{ return 404; }}
    location /broken {{ return 503; }} }} }}
"""
FLASK = """
import flask
app = flask.Flask("app")
@app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT"])
@app.route("/<path:path>", methods=["GET", "POST", "PUT"])
def answer(path):
    if path.startswith("missing"):
        flask.abort(404)
    if path.startswith("broken"):
        raise RuntimeError("broken")
    if path.startswith("stream"):
        return flask.Response(iter(["part 0\\n", "part 1\\n"]))
    return "hello"
"""
AIOHTTP = """
import sys
from aiohttp import web
async def answer(request):
    if request.path.startswith("/missing"):
        raise web.HTTPNotFound
    if request.path.startswith("/broken"):
        raise RuntimeError("broken")
    if request.path.startswith("/stream"):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"part 0\\n")
        return response
    return web.json_response({"hello": "canary"})
app = web.Application()
app.router.add_route("*", "/{path:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


def main() -> None:
    """Record the pairs named on the command line, or all."""
    wanted = sys.argv[1:] or list(PAIRS)
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            client, server = PAIRS[name]
            client_name, server_name = name.split("_to_")
            port = _free_port()
            capture = Capture(_version(client_name), _version(server_name))
            with _running(server(Path(folder), port), port), record(capture, port) as proxy_port:
                client(Path(folder), proxy_port)
            del capture.connections[CONNECTIONS_KEPT:]
            for turns in capture.connections:
                del turns[TURNS_KEPT:]
            save(capture, TARGET / f"{name}.json")
            sys.stdout.write(f"{name}: {sum(len(turns) for turns in capture.connections)} turns\n")


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """A server that accepts connections while the block runs."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + SERVER_DEADLINE_S
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"{command[0]} does not answer on port {port}")
                time.sleep(0.02)  # between two tries, not as a condition
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _version(tool: str) -> str:
    command = {"go": ["go", "version"], "ab": ["ab", "-V"], "nginx": ["nginx", "-v"], "node": ["node", "-v"]}.get(tool)
    if tool in ("aiohttp", "gunicorn"):
        command = [sys.executable, "-m", "pip", "show", tool]
    result = subprocess.run(command or [tool, "--version"], check=False, capture_output=True, text=True)
    words = (result.stdout + result.stderr).replace("/", " ").split()
    return f"{tool} {next(word for word in words if word.lstrip('gov')[:1].isdigit())}"


def _run(*command: str) -> None:
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def nginx(folder: Path, port: int) -> list[str]:
    """Nginx with one file, fixed answers and gzip."""
    files = folder / "files"
    files.mkdir(exist_ok=True)
    (files / "canary").write_text("canary\n" * 2000)
    folder.chmod(0o755)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port))
    return ["nginx", "-c", str(config), "-e", str(folder / "error.log")]


def gunicorn(folder: Path, port: int) -> list[str]:
    """Flask behind gunicorn."""
    (folder / "flask_app.py").write_text(FLASK)
    return [sys.executable, "-m", "gunicorn", "--chdir", str(folder), "-b", f"127.0.0.1:{port}", "flask_app:app"]


def aiohttp_server(folder: Path, port: int) -> list[str]:
    """Aiohttp's web server."""
    (folder / "aiohttp_app.py").write_text(AIOHTTP)
    return [sys.executable, str(folder / "aiohttp_app.py"), str(port)]


def node_server(folder: Path, port: int) -> list[str]:
    """Node's http module."""
    del folder
    return ["node", str(HERE / "clients/node_http.js"), "serve", str(port)]


def go_server(folder: Path, port: int) -> list[str]:
    """Go's net/http."""
    return [_go(folder), "serve", str(port)]


def _go(folder: Path) -> str:
    binary = folder / "go_http"
    if not binary.exists():
        subprocess.run(["go", "build", "-o", str(binary), str(HERE / "clients/go_http.go")], check=True)
    return str(binary)


def curl(folder: Path, port: int) -> None:
    """One connection with many requests, then what needs a connection of its own."""
    url = f"http://127.0.0.1:{port}"
    body = folder / "upload"
    body.write_text("canary" * 100_000)
    paths = ["/", "/users/4711/orders/7f3c9a1b2?token=canary&page=2", "/missing/canary%40example.com", "/broken"]
    _run("curl", "-s", *[f"{url}{path}" for path in paths])
    _run("curl", "-s", "--compressed", f"{url}/files/canary", "-o", "/dev/null", f"{url}/stream", f"{url}/empty")
    _run("curl", "-s", "-I", f"{url}/files/canary", "-L", f"{url}/moved")
    _run("curl", "-s", "-H", "If-Modified-Since: Wed, 01 Jan 2098 00:00:00 GMT", f"{url}/files/canary")
    _run("curl", "-s", "-d", "word=canary", f"{url}/users/4711;session=canary/")
    _run("curl", "-s", "-T", str(body), "-H", "Expect: 100-continue", f"{url}/upload/2026-11-23")
    _run("curl", "-s", "-T", "-", "-H", "Transfer-Encoding: chunked", f"{url}/upload")
    _run("curl", "-s", "-X", "OPTIONS", "--request-target", "*", url)
    _run("curl", "-s", "-x", url, "http://canary:canary@shop.example:8080/rates/EUR?at=canary")
    _run("curl", "-s", "-p", "-x", url, "https://shop.example/")
    _run("curl", "-s", "-0", f"{url}/550e8400-e29b-41d4-a716-446655440000")
    _run("curl", "-s", f"{url}/{'very-long-word/' * 60}?last=canary")


def ab(folder: Path, port: int) -> None:
    """HTTP/1.0 with keep-alive."""
    del folder
    _run("ab", "-q", "-k", "-n", "3", f"http://127.0.0.1:{port}/users/4711?token=canary")


def wrk(folder: Path, port: int) -> None:
    """One thread, one connection, stopped early."""
    del folder
    _run("timeout", "0.1", "wrk", "-t1", "-c1", "-d1s", f"http://127.0.0.1:{port}/users/4711?token=canary")


def aiohttp_client(folder: Path, port: int) -> None:
    """Aiohttp's session."""
    del folder
    asyncio.run(_aiohttp(f"http://127.0.0.1:{port}"))


async def _aiohttp(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/users/4711?token=canary", "/missing/canary@example.com", "/broken"):
            async with session.get(url + path) as response:
                await response.read()
        async with session.post(f"{url}/users/4711", json={"word": "canary"}) as response:
            await response.read()


def node_client(folder: Path, port: int) -> None:
    """Node's http module with a keep-alive agent."""
    del folder
    _run("node", str(HERE / "clients/node_http.js"), "get", f"http://127.0.0.1:{port}")


def go_client(folder: Path, port: int) -> None:
    """Go's net/http."""
    _run(_go(folder), "get", f"http://127.0.0.1:{port}")


PAIRS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path, int], list[str]]]] = {
    "curl_to_nginx": (curl, nginx),
    "curl_to_gunicorn": (curl, gunicorn),
    "curl_to_aiohttp": (curl, aiohttp_server),
    "curl_to_node": (curl, node_server),
    "curl_to_go": (curl, go_server),
    "ab_to_nginx": (ab, nginx),
    "wrk_to_nginx": (wrk, nginx),
    "aiohttp_to_nginx": (aiohttp_client, nginx),
    "node_to_go": (node_client, go_server),
    "go_to_node": (go_client, node_server),
}


if __name__ == "__main__":
    main()
