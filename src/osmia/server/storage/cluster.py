"""The store when it has outgrown one process: a ClickHouse server or cluster over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio.to_thread

from osmia.model.errors import ConfigError, StoreUnavailableError
from osmia.server.storage.engine import Limits, SqlStore
from osmia.server.storage.migrations import Topology

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["ClusterStore"]

_SCHEMES = {"clickhouse": False, "clickhouses": True}


class ClusterStore(SqlStore):
    """See `Store`. `clickhouse://user:password@host:8123/database`, with `?cluster=name` for replicated tables."""

    @classmethod
    async def open(cls, url: str, *, limits: Limits) -> ClusterStore:
        """Connect, and create the database when it is missing.

        Raises:
            ConfigError: the URL is not of that form.
            StoreUnavailableError: the server does not answer.
        """
        access, topology = _parse(url)

        def connect(settings: Mapping[str, str]) -> Client:
            import clickhouse_connect

            return clickhouse_connect.get_client(**access, settings=dict(settings), database=topology.database)

        def work() -> ClusterStore:
            import clickhouse_connect
            from clickhouse_connect.driver.exceptions import ClickHouseError

            everywhere = f" ON CLUSTER {topology.cluster}" if topology.cluster else ""
            try:
                with clickhouse_connect.get_client(**access) as bootstrap:
                    bootstrap.command(f"CREATE DATABASE IF NOT EXISTS {topology.database}{everywhere}")
                return cls("clickhouse", topology=topology, limits=limits, connect=connect)
            except ClickHouseError as exc:
                raise StoreUnavailableError(
                    f"ClickHouse at {access['host']}:{access['port']}: {str(exc)[:300]}",
                    remedy="check --store-url and that the server runs",
                ) from exc

        return await anyio.to_thread.run_sync(work)


def _parse(url: str) -> tuple[dict[str, Any], Topology]:
    """What the driver needs to connect, and where the tables live."""
    try:
        parts = urlsplit(url)
        port = parts.port or 8123
    except ValueError as exc:
        raise _refusal(url) from exc  # its text may hold a part of the password
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise _refusal(url)
    access: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or ""),
        "secure": _SCHEMES[parts.scheme],
        # A session per client would refuse two calls at once.
        "autogenerate_session_id": False,
    }
    cluster = parse_qs(parts.query).get("cluster", [""])[0]
    return access, Topology(parts.path.strip("/") or "osmia", cluster)


def _refusal(url: str) -> ConfigError:
    shown = re.sub(r"^(\w+://)?.*@", r"\1***@", url)  # error lines end up in logs: no password
    remedy = "clickhouse://user:password@host:8123/osmia, special characters as %xx"
    return ConfigError("store-url", shown, "not a ClickHouse URL", remedy=remedy)
