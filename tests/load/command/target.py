"""A web server that keeps book of what it did: known delays, statuses, sessions, forms; one JSON line per request.

`python -m tests.load.command.target LOG` listens on a free port, prints it, and serves until it is killed. Each line
tells when the request's last byte had come and when the answer's last byte was handed to the kernel (CLOCK_MONOTONIC,
the clock of the engine), so a test can hold the engine's figures against the server's own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import TextIO
from urllib.parse import parse_qs, urlsplit

_REASONS = {200: "OK", 201: "Created", 302: "Found", 401: "Unauthorized", 404: "Not Found", 503: "Unavailable"}


@dataclass(frozen=True, slots=True)
class Request:
    """What came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def cookies(self) -> dict[str, str]:
        """By name."""
        pairs = (one.strip().partition("=") for one in self.headers.get("cookie", "").split(";") if one.strip())
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back, `delay_s` later."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


@dataclass(slots=True)
class Target:
    """The server and its book."""

    log: TextIO
    connections: int = 0
    numbers: dict[str, int] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client closes it."""
        self.connections += 1
        number = self.connections
        try:
            while request := await _read(reader):
                began_ns = time.monotonic_ns()
                reply = self.answer(request)
                if reply.delay_s:
                    await _wait_until(began_ns + int(reply.delay_s * 1e9))
                writer.write(_message(request, reply))
                self._write_down(request, reply, number, began_ns)
                await writer.drain()
                if request.headers.get("connection", "").lower() == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def answer(self, request: Request) -> Reply:  # noqa: PLR0911 - one line per route
        """What the route says."""
        match request.path.strip("/").split("/"):
            case ["delay", milliseconds]:
                return Reply(body=b"{}", delay_s=float(milliseconds) / 1000)
            case ["status", code] if code.isdigit():
                return Reply(status=int(code) if 200 <= int(code) < 600 else 400)
            case ["login"]:
                return self._login(request)
            case ["profile", user]:
                return _profile(request, user)
            case ["private"]:
                return _private(request)
            case ["form"]:
                return Reply(body=json.dumps(_form(request)).encode())
            case ["page"]:
                return Reply(body=b"<html><head><title>Bees</title></head><body><h1>Osmia</h1></body></html>")
            case ["moved"]:
                return Reply(302, headers=(("Location", "/status/200/"),))
            case _:
                return Reply(body=_echo(request))

    def _login(self, request: Request) -> Reply:
        user = request.query.get("user", ["nobody"])[0]
        self.numbers[user] = self.numbers.get(user, 0) + 1
        body = {"token": f"token-of-{user}", "user": {"id": 7, "name": user, "roles": ["reader", "writer"]}}
        return Reply(
            201,
            json.dumps(body).encode(),
            (("Set-Cookie", f"session={user}; Path=/"), ("X-Request-Id", f"r-{self.numbers[user]}")),
        )

    def _write_down(self, request: Request, reply: Reply, connection: int, began_ns: int) -> None:
        line = {
            "method": request.method,
            "path": request.path,
            "query": {name: values[0] for name, values in request.query.items()},
            "status": reply.status,
            "cookies": request.cookies,
            "agent": request.headers.get("user-agent", ""),
            "body": request.body.decode("latin-1"),
            "connection": connection,
            "began_ns": began_ns,
            "ended_ns": time.monotonic_ns(),
        }
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


def _profile(request: Request, user: str) -> Reply:
    is_known = request.headers.get("authorization") == f"Bearer token-of-{user}"
    return Reply(body=json.dumps({"name": user, "age": 36}).encode()) if is_known else Reply(401)


def _private(request: Request) -> Reply:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic" and base64.b64decode(given) == b"ada:love:lace":
        return Reply(body=b"secret")
    return Reply() if "session" in request.cookies else Reply(401, headers=(("WWW-Authenticate", "Basic"),))


def _form(request: Request) -> dict[str, str]:
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    parts = BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts()
    found = {}
    for part in parts:
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        found[name] = f"{part.get_filename() or ''}:{content.decode('latin-1') if isinstance(content, bytes) else ''}"
    return found


def _echo(request: Request) -> bytes:
    body = request.body.decode("latin-1")
    return json.dumps(
        {"method": request.method, "path": request.path, "headers": dict(request.headers), "body": body}
    ).encode()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    return Request(method, re.sub(r"/+", "/", url.path), parse_qs(url.query), headers, body)


def _message(request: Request, reply: Reply) -> bytes:
    status = f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Whatever')}"
    headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
    if reply.body:
        headers.append(("Content-Type", "text/html" if reply.body.startswith(b"<") else "application/json"))
    head = "\r\n".join([status, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")
    return head if request.method == "HEAD" or reply.status in {204, 304} else head + reply.body


async def _wait_until(at_ns: int) -> None:
    """Sleep, and spin through the last bit: the event loop's timers are no finer than a millisecond."""
    left_s = (at_ns - time.monotonic_ns()) / 1e9
    if left_s > 0.002:
        await asyncio.sleep(left_s - 0.002)
    while time.monotonic_ns() < at_ns:  # noqa: ASYNC110 - the clock is the event
        await asyncio.sleep(0)


async def main(log: str) -> None:
    """Serve until killed."""
    with open(log, "w", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 - the book, small lines
        target = Target(file)
        server = await asyncio.start_server(target.serve, "127.0.0.1", 0, backlog=1024)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
