"""`osmia server`: run the platform until told to stop."""

from __future__ import annotations

import ipaddress
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import click
import uvicorn
from anyio.abc import TaskStatus

from osmia.model.errors import ConfigError
from osmia.server.config import PROGRAM, ServerConfig
from osmia.settings import options, read
from osmia.telemetry import configure_logging, get_logger

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["server"]

_GRACE_S = 3
_BACKLOG = 512
_OPEN_FILES = 65_536
_LAST_PORT = 65_535
_OTHERS_MAY_NOTHING = 0o077


@click.command
@options(ServerConfig, PROGRAM)
def server(**given: object) -> None:
    """Run the platform: store, API and pages."""
    config = read(PROGRAM, ServerConfig, given)
    configure_logging(level=config.log_level, json=config.log_json)
    _raise_file_limit()
    # The engine and SQLite make files by the process's mask, and what they hold is nobody else's.
    os.umask(_OTHERS_MAY_NOTHING)
    with ExitStack() as stack:
        sockets = [stack.enter_context(_bind(address)) for address in config.listen]
        anyio.run(partial(_serve, config, sockets), backend_options={"use_uvloop": True})


def _raise_file_limit() -> None:
    """The store keeps a few files open per part and soft limits are often 1,024; the hard one is ours to use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling (it would die by the signal after shutting down) and with our line."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so on standard output, one line per address."""
        try:
            await super().startup(sockets)
        except SystemExit:
            # uvicorn ends the process when the application cannot start; `_serve` raises the reason instead.
            self.should_exit = True
        if self.should_exit:
            return
        for one in sockets or ():
            host, port = one.getsockname()[:2]
            shown = f"[{host}]" if one.family == socket.AF_INET6 else host
            click.echo(f"osmia server listening on http://{shown}:{port}")


async def _serve(config: ServerConfig, sockets: list[socket.socket]) -> None:
    # Not before the settings and addresses are known to be good: it takes a second and half the memory.
    from osmia.server.app import create_app

    app = create_app(config)
    web = _Server(
        uvicorn.Config(
            # Our own handlers log what fails; uvicorn would say it a second time.
            app,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=_GRACE_S,
            lifespan="on",
            workers=1,
        )
    )
    async with anyio.create_task_group() as group:
        await group.start(_stop_on_signal, app, web)
        await web.serve(sockets)
        group.cancel_scope.cancel()
    failure = getattr(app.state, "failure", None)
    if failure is not None:
        raise failure


async def _stop_on_signal(app: FastAPI, web: uvicorn.Server, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            get_logger("server").info("stopping", signal=number.name)
            services = getattr(app.state, "services", None)
            if services is not None:
                services.freshness.close()
            web.should_exit = True


@contextmanager
def _bind(address: str) -> Iterator[socket.socket]:
    """A listening socket for HOST:PORT.

    Raises:
        ConfigError: not an address, or it cannot be bound.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigError(
            "listen", address, "not HOST:PORT", remedy=f"for example 127.0.0.1:8460, port 0 to {_LAST_PORT}"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, int(port)))
        except OSError as exc:
            raise ConfigError("listen", address, str(exc), remedy="choose a free address") from exc
        bound.listen(_BACKLOG)
        if not _is_loopback(host):
            get_logger("server").warning(
                "listening beyond this machine, and there is no login yet: anyone who reaches it can read and change",
                address=address,
            )
        yield bound


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
