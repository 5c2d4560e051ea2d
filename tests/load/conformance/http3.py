"""An HTTP/3 server for tests, on aioquic: answers every request and notes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from tests.load.conformance.rig import Peer, Stage

__all__ = ["serve_http3"]


class _Protocol(QuicConnectionProtocol):
    """One connection."""

    peer: Peer
    _http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        """From QUIC to HTTP/3."""
        if isinstance(event, ProtocolNegotiated):
            self.peer.links += 1
            self._http = H3Connection(self._quic)
        if self._http is not None:
            for one in self._http.handle_event(event):
                self._received(one)

    def _received(self, event: H3Event) -> None:
        if self._http is None or not isinstance(event, HeadersReceived):
            return
        self.peer.requests.append(b"\n".join(name + b"=" + value for name, value in event.headers))
        self._http.send_headers(event.stream_id, [(b":status", b"200"), (b"x-kind", b"three")])
        self._http.send_data(event.stream_id, b"hello", end_stream=True)
        self.transmit()


def serve_http3(stage: Stage, certificate: Path) -> Peer:
    """The server's UDP port is in the peer."""
    peer = Peer("127.0.0.1", 0)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(certificate, certificate)
    protocol = type("Protocol", (_Protocol,), {"peer": peer})

    async def start() -> asyncio.DatagramTransport:
        server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=protocol)
        assert server._transport is not None
        return server._transport

    transport = stage.call(start())
    peer.port = transport.get_extra_info("sockname")[1]
    stage.on_close(transport.close)
    return peer
