"""Addresses of a ClickHouse server: what is understood and what is said when it does not answer."""

from __future__ import annotations

import socket

import pytest

from osmia.model.errors import ConfigError, StoreUnavailableError
from osmia.server.storage.cluster import ClusterStore
from osmia.server.storage.engine import Limits

pytestmark = pytest.mark.anyio

_LIMITS = Limits(readers=1, query_timeout_s=5, query_memory_bytes=1 << 27)


@pytest.mark.parametrize("url", ["http://db:8123/osmia", "clickhouse://", "db:8123", "clickhouse://db/no-identifier"])
async def test_an_address_of_another_form_is_refused(url: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigError, match="store-url"):
        await ClusterStore.open(url, limits=_LIMITS)


async def test_a_server_that_does_not_answer_is_named() -> None:
    """Host and port are in the error, the password is not."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{port}") as caught:
            await ClusterStore.open(f"clickhouse://osmia:secret@127.0.0.1:{port}/osmia", limits=_LIMITS)

    assert "secret" not in str(caught.value)
