"""An HTTP/2 server for tests, on the `h2` library: each test says what becomes of a request."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.load.conformance.rig import Link, Peer, Stage

__all__ = ["Request", "Talk", "serve_http2"]


@dataclass(slots=True)
class Request:
    """A whole request."""

    stream: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    @property
    def path(self) -> bytes:
        """The pseudo header."""
        return dict(self.headers)[b":path"]


@dataclass(slots=True)
class Talk:
    """One HTTP/2 connection of the server."""

    link: Link
    h2: h2.connection.H2Connection
    requests: list[Request] = field(default_factory=list)
    """Of all connections of the server, as they came."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    credit: asyncio.Event = field(default_factory=asyncio.Event)

    async def flush(self) -> None:
        """Send what h2 has to say."""
        await self.link.send(self.h2.data_to_send())

    async def answer(
        self, request: Request, body: bytes = b"ok", *headers: tuple[str, str], status: int = 200, ends: bool = True
    ) -> None:
        """Head and body, as fast as the client's window allows."""
        lines = [(":status", str(status)), *headers]
        self.h2.send_headers(request.stream, lines, end_stream=ends and not body)
        await self.flush()
        while body:
            room = min(self.h2.local_flow_control_window(request.stream), self.h2.max_outbound_frame_size)
            if not room:
                self.credit.clear()
                await self.credit.wait()
                continue
            chunk, body = body[:room], body[room:]
            self.h2.send_data(request.stream, chunk, end_stream=ends and not body)
            await self.flush()


Respond = Callable[[Talk, Request], Awaitable[None]]


def serve_http2(
    stage: Stage, respond: Respond, *, tls: ssl.SSLContext | None = None, max_streams: int = 100
) -> tuple[Peer, list[Request]]:
    """A server that calls `respond` for each request, each in a task of its own; and what it was asked."""
    requests: list[Request] = []

    async def each(link: Link) -> None:
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=True)
        )
        talk = Talk(link, connection, requests)
        connection.initiate_connection()
        await talk.flush()
        # The library would answer one stream too many with the end of the connection, so the limit is kept here.
        await link.send(bytes.fromhex("0000060400000000000003") + max_streams.to_bytes(4, "big"))
        try:
            await _converse(talk, respond, max_streams)
        finally:
            for task in talk.tasks:
                task.cancel()
            await asyncio.gather(*talk.tasks, return_exceptions=True)

    return stage.serve(each, tls=tls), requests


async def _converse(talk: Talk, respond: Respond, max_streams: int) -> None:
    unfinished: dict[int, Request] = {}
    while data := await talk.link.reader.read(65536):
        try:
            events = talk.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            with contextlib.suppress(RuntimeError):  # its own side may have been ended by the test
                await talk.flush()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                unfinished[event.stream_id] = Request(event.stream_id, list(event.headers))
            elif isinstance(event, h2.events.DataReceived):
                unfinished[event.stream_id].body += event.data
                talk.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                request = unfinished.pop(event.stream_id)
                if len(talk.tasks) >= max_streams:
                    talk.h2.reset_stream(request.stream, h2.errors.ErrorCodes.REFUSED_STREAM)
                    continue
                talk.requests.append(request)
                task = asyncio.ensure_future(respond(talk, request))
                talk.tasks.add(task)
                task.add_done_callback(talk.tasks.discard)
            elif isinstance(event, h2.events.WindowUpdated):
                talk.credit.set()
        await talk.flush()
