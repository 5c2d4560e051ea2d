"""Answers of real sockets: what counts as an acknowledgement, and what badly behaved servers do to the agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web
from anyio.streams.stapled import MultiListener

from osmia.agent.post import Answer, IngestKey, sender
from osmia.model.errors import ConfigError
from osmia.model.wire import Table, compress

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The address of an HTTP server with one answer for everything."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _port_of(listener: MultiListener[anyio.abc.SocketStream]) -> int:
    return listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's


async def posted(address: str, *, key: IngestKey | None = None, timeout_s: float = 5) -> Answer:
    """The answer to one batch."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session:
        send = sender(session, address, cluster="c1", agent="node-1", key=key or IngestKey("secret"))
        return await send(Table.LEDGER, 5, compress(b"payload"))


async def test_rows_accepted_are_an_acknowledgement() -> None:
    """The body of the real server, and the headers it needs."""
    seen: dict[str, str] = {}

    async def accept(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.json_response({"accepted": 1})

    async with serving(accept) as address:
        assert await posted(address) == Answer(200)

    assert (seen["Osmia-Sequence"], seen["Osmia-Cluster"], seen["Authorization"]) == ("5", "c1", "Bearer secret")


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "", "{}", '{"accepted": "yes"}', "[1]"])
async def test_a_200_of_something_else_is_not_believed(body: str) -> None:
    """A captive portal must not swallow the data."""

    async def greet(_: web.Request) -> web.Response:
        return web.Response(text=body)

    async with serving(greet) as address:
        answer = await posted(address)

    assert answer == Answer(0, None, "what answers at this address is not an Osmia server")


async def test_a_redirect_is_not_followed() -> None:
    """A login page at the other end would answer 200 to the GET that a POST becomes."""

    async def login(_: web.Request) -> web.Response:
        raise web.HTTPFound("/login")

    async with serving(login) as address:
        assert (await posted(address)).status == 302


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7.0), ("0", 0.0), ("1e9", 60.0), ("nan", None), ("inf", None), ("-5", None), ("Wed, 21 Oct", None)],
)
async def test_retry_after_is_bounded(header: str, expected: float | None) -> None:
    """No answer can make the agent sleep for ever, or not at all."""

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": header}, text="later")

    async with serving(busy) as address:
        assert await posted(address) == Answer(503, expected, "later")


async def test_a_server_that_never_answers_is_given_up() -> None:
    """The batch is tried again after the time-out."""
    release = anyio.Event()

    async def hang(_: web.Request) -> web.Response:
        with anyio.move_on_after(5):
            await release.wait()
        return web.Response()

    async with serving(hang) as address:
        answer = await posted(address, timeout_s=0.2)
        release.set()

    assert answer == Answer(0, None, "TimeoutError")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"\x00\xff rubbish\r\n\r\n"])
async def test_a_connection_that_ends_inside_the_answer_is_no_acknowledgement(head: bytes) -> None:
    """Closed at once, closed in the body, or not HTTP at all: the batch stays."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def answer_rudely(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if head:
                await stream.send(head)

    port = _port_of(listener)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer_rudely)
        answer = await posted(f"http://127.0.0.1:{port}")
        tasks.cancel_scope.cancel()

    assert answer.status == 0
    assert answer.text


async def test_nobody_listening_is_no_answer() -> None:
    """An agent that starts before its server just waits."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = _port_of(listener)
    await listener.aclose()

    assert (await posted(f"http://127.0.0.1:{port}")).status == 0


async def test_an_error_text_of_any_bytes_is_quoted_briefly() -> None:
    """Neither its encoding nor its length matter."""

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500, body=b"\xff\xfe " * 100_000, content_type="text/plain", charset="utf-8")

    async with serving(fail) as address:
        answer = await posted(address)

    assert answer.status == 500
    assert len(answer.text) <= 300


async def test_a_key_that_was_changed_in_its_file_is_taken_up(tmp_path: Path) -> None:
    """A rotated Secret works with the next batch, without a restart."""
    file = tmp_path / "key"
    file.write_text("old\n")
    key = IngestKey.read("", str(file))

    async def check(request: web.Request) -> web.Response:
        is_right = request.headers["Authorization"] == "Bearer new"
        return web.json_response({"accepted": 1}) if is_right else web.Response(status=401, text="wrong key")

    async with serving(check) as address:
        refused = await posted(address, key=key)
        file.write_text("new\n")
        accepted = await posted(address, key=key)

    assert (refused.status, accepted.status) == (401, 200)


@pytest.mark.parametrize("content", [None, "", " \n"])
async def test_a_key_file_without_a_key_stops_the_start(tmp_path: Path, content: str | None) -> None:
    """Missing or empty is said at once, with the file's name."""
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ConfigError, match=r"--key-file = .*key.*cannot be read, or is empty - give the file"):
        IngestKey.read("", str(file))
