"""Readiness and liveness: asks a container by TCP, HTTP or a command whether it works, from the node as kubelet does.

Connections come from the node's network namespace, so a container sees the bridge's address as its client.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Any

import anyio

from osmia.lab.host import run
from osmia.lab.network.node import NodeSockets
from osmia.model.errors import LabError

__all__ = ["Probe", "parse_probe"]

Object = dict[str, Any]

_HTTP_OK = range(200, 400)


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of a container, its times in seconds."""

    kind: str
    port: int
    path: str
    command: tuple[str, ...]
    initial_delay_s: float
    period_s: float
    timeout_s: float
    failures: int
    successes: int

    async def ask(self, sockets: NodeSockets, address: str, pid: int) -> bool:
        """Whether the container at `address`, whose first process is `pid`, passes now."""
        try:
            with anyio.fail_after(self.timeout_s):
                if self.kind == "exec":
                    await run(["nsenter", f"--target={pid}", "--all", "--", *self.command])
                    return True
                with await sockets.open(socket.SOCK_STREAM) as connection:
                    await _connect(connection, (address, self.port))
                    return self.kind == "tcpSocket" or await self._get(connection, address)
        except (TimeoutError, OSError, LabError):
            return False

    async def _get(self, connection: socket.socket, address: str) -> bool:
        lines = (f"GET {self.path} HTTP/1.1", f"Host: {address}:{self.port}", "User-Agent: kube-probe/1.30")
        connection.send("\r\n".join([*lines, "Accept: */*", "Connection: close", "", ""]).encode())
        await anyio.wait_readable(connection)
        _, _, code = connection.recv(4096).partition(b"\r\n")[0].partition(b" ")
        return code[:3].isdigit() and int(code[:3]) in _HTTP_OK


def parse_probe(container: Object, field: str) -> Probe | None:
    """The container's readinessProbe or livenessProbe, or None.

    Raises:
        LabError: it is of a kind that the lab lacks, or names an unknown port.
    """
    entry = container.get(field)
    if not entry:
        return None
    kind = next((one for one in ("httpGet", "tcpSocket", "exec") if one in entry), "")
    if not kind:
        raise LabError(f"{field} of {container['name']}: the lab has httpGet, tcpSocket and exec")
    action = entry[kind]
    return Probe(
        kind=kind,
        port=_port(container, action["port"]) if kind != "exec" else 0,
        path=action.get("path", "/"),
        command=tuple(action.get("command", ())),
        initial_delay_s=entry.get("initialDelaySeconds", 0),
        period_s=entry.get("periodSeconds", 10),
        timeout_s=entry.get("timeoutSeconds", 1),
        failures=entry.get("failureThreshold", 3),
        successes=entry.get("successThreshold", 1),
    )


def _port(container: Object, port: int | str) -> int:
    if isinstance(port, int):
        return port
    for entry in container.get("ports", []):
        if entry.get("name") == port:
            return int(entry["containerPort"])
    raise LabError(f"container {container['name']} has no port named {port!r}")


async def _connect(connection: socket.socket, address: tuple[str, int]) -> None:
    code = connection.connect_ex(address)
    if code == errno.EINPROGRESS:
        await anyio.wait_writable(connection)
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
