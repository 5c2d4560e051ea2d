"""The cluster's name server: addresses of Services and their pods, answered over UDP and TCP; nothing is forwarded.

`SERVICE.NAMESPACE.svc.cluster.local` gives the VIP; a headless Service gives its ready endpoints, and
`HOSTNAME.SERVICE...` one of them. Other names do not exist (NXDOMAIN); a known name without an address of the family
asked for is answered as "no data" so that resolvers do not fall through to the next search domain.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import Any

import anyio
import anyio.abc
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from anyio.streams.buffered import BufferedByteReceiveStream

from osmia.telemetry import get_logger

__all__ = ["CLUSTER_DOMAIN", "NameServer", "Zone", "zone_of"]

CLUSTER_DOMAIN = "cluster.local"
Object = dict[str, Any]
Zone = Mapping[str, tuple[str, ...]]
"""Fully qualified lower-case name without the last dot -> addresses of both families."""

_TTL_S = 5
_LARGEST_UDP_BYTES = 1232
_TCP_IDLE_S = 10.0
_MAX_TCP_CLIENTS = 64
_SERVICE_NAME = "kubernetes.io/service-name"

log = get_logger("lab.dns")


def zone_of(services: Iterable[Object], slices: Iterable[Object]) -> Zone:
    """Every name that the Services and EndpointSlices give."""
    zone: dict[str, tuple[str, ...]] = {}
    headless: set[tuple[str, str]] = set()
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        name = f"{metadata['name']}.{metadata['namespace']}.svc.{CLUSTER_DOMAIN}"
        if spec.get("clusterIP") == "None":
            headless.add((metadata["namespace"], metadata["name"]))
            zone[name] = ()
        elif spec.get("clusterIP"):
            zone[name] = tuple(spec.get("clusterIPs") or [spec["clusterIP"]])
    for one in slices:
        metadata = one["metadata"]
        service_name = (metadata.get("labels") or {}).get(_SERVICE_NAME, "")
        if (metadata["namespace"], service_name) in headless:
            _add_endpoints(zone, f"{service_name}.{metadata['namespace']}.svc.{CLUSTER_DOMAIN}", one)
    return zone


def _add_endpoints(zone: dict[str, tuple[str, ...]], name: str, one: Object) -> None:
    for endpoint in one.get("endpoints") or []:
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        addresses = tuple(endpoint["addresses"])
        zone[name] = (*zone[name], *addresses)
        label = endpoint.get("hostname") or addresses[0].replace(".", "-").replace(":", "-")
        zone[f"{label}.{name}"] = (*zone.get(f"{label}.{name}", ()), *addresses)


class NameServer:
    """Answers from `zone`, which its owner replaces whenever the cluster changed."""

    def __init__(self) -> None:
        self.zone: Zone = {}
        self.answered = 0
        self.refused = 0

    def answer(self, question: bytes, *, size_limit: int = 65535) -> bytes | None:
        """The reply to one message (truncated to the limit, and marked so), or None where the message is not DNS."""
        try:
            query = dns.message.from_wire(question)
        except dns.exception.DNSException as exc:
            self.refused += 1
            log.debug("not a DNS message", problem=str(exc))
            return None
        if not query.question or query.flags & dns.flags.QR:
            self.refused += 1
            return None
        self.answered += 1
        reply = dns.message.make_response(query, recursion_available=True)
        reply.flags |= dns.flags.AA
        asked = query.question[0]
        addresses = self.zone.get(asked.name.to_text(omit_final_dot=True).lower())
        if addresses is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        for kind, is_v6 in ((dns.rdatatype.A, False), (dns.rdatatype.AAAA, True)):
            found = [one for one in addresses or () if (":" in one) == is_v6]
            if found and asked.rdtype in {kind, dns.rdatatype.ANY}:
                reply.answer.append(dns.rrset.from_text_list(asked.name, _TTL_S, dns.rdataclass.IN, kind, found))
        return reply.to_wire(max_size=size_limit, prefer_truncation=True)

    async def serve(self, datagrams: socket.socket, listener: socket.socket) -> None:
        """Answer on both sockets until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve_datagrams, datagrams)
            tasks.start_soon(self._serve_streams, listener)

    async def _serve_datagrams(self, datagrams: socket.socket) -> None:
        while True:
            await anyio.wait_readable(datagrams)
            try:
                question, client = datagrams.recvfrom(65535)
                if (reply := self.answer(question, size_limit=_LARGEST_UDP_BYTES)) is not None:
                    datagrams.sendto(reply, client)
            except BlockingIOError:
                continue
            except OSError as exc:
                log.warning("DNS reply not sent", problem=str(exc))

    async def _serve_streams(self, listener: socket.socket) -> None:
        limiter = anyio.CapacityLimiter(_MAX_TCP_CLIENTS)
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.wait_readable(listener)
                try:
                    connection, _ = listener.accept()
                except OSError:
                    continue
                tasks.start_soon(self._serve_stream, connection, limiter)

    async def _serve_stream(self, connection: socket.socket, limiter: anyio.CapacityLimiter) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        stream = await anyio.abc.SocketStream.from_socket(connection)
        async with limiter, stream:
            buffered = BufferedByteReceiveStream(stream)
            try:
                while True:
                    with anyio.fail_after(_TCP_IDLE_S):
                        size = int.from_bytes(await buffered.receive_exactly(2), "big")
                        reply = self.answer(await buffered.receive_exactly(size))
                    if reply is None:
                        return
                    await stream.send(len(reply).to_bytes(2, "big") + reply)
            except (anyio.IncompleteRead, anyio.BrokenResourceError, TimeoutError):
                return
