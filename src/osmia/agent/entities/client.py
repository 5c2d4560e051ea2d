"""Talking to an API server: GET, and lines of a watch. Who we are comes from `access.py`."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp
import anyio
import msgspec

from osmia.agent.entities.objects import Status
from osmia.model.errors import RejectedError

__all__ = ["Access", "KubernetesClient", "RefusedError"]

_TOKEN_LIFE_S = 60.0  # bound tokens are replaced on disk well before they end
_CONNECT_TIMEOUT_S = 10.0
_MAX_LINE_BYTES = 8 << 20  # etcd takes objects of up to 1.5 MiB
_MAX_BODY_BYTES = 256 << 20
_GONE, _SERVER_ERROR = 410, 500


class RefusedError(RejectedError):
    """The API server answered with an error; `retry_after_s` is what it asked for, 0 if nothing."""

    def __init__(self, code: int, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(f"the API server answered {code}: {message}")
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def is_gone(self) -> bool:
        """Whether the version or token asked for is too old, so that one has to list again."""
        return self.code == _GONE


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is and how to be let in. `token` is called again when the last one may have expired.

    `server_name` is the name that stands in the server's certificate, where that is not the one in `url`. `refused` is
    told when the server did not take the token.
    """

    url: str
    tls: ssl.SSLContext | bool = True
    token: Callable[[], str] | None = None
    source: str = ""
    server_name: str = ""
    refused: Callable[[], None] | None = None


class KubernetesClient:
    """GETs against one API server; an async context manager. `now` is a monotonic clock in seconds."""

    def __init__(self, access: Access, *, now: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._now = now
        self._token, self._token_read_at = "", float("-inf")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._access.tls, limit=0, force_close=False),
            read_bufsize=1 << 18,
            max_line_size=1 << 16,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str], *, accept: str = "application/json") -> bytes:
        """The body of a GET.

        Raises:
            RefusedError: any answer but 2xx, or one without end.
            aiohttp.ClientError, TimeoutError, OSError: the server was not reached or broke off.
        """
        async with self._request(path, query, accept, read_timeout_s=60.0) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    raise RefusedError(_SERVER_ERROR, f"an answer of more than {_MAX_BODY_BYTES} bytes")
            return bytes(body)

    async def lines(
        self, path: str, query: Mapping[str, str], *, accept: str = "application/json", read_timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch as they come, until the server ends it; a cut last line comes as it is.

        Close it (`contextlib.aclosing`), so that its connection is closed too.

        Raises:
            as `get`; TimeoutError also when nothing came for `read_timeout_s`.
        """
        async with self._request(path, query, accept, read_timeout_s=read_timeout_s) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
                if len(rest) > _MAX_LINE_BYTES:
                    raise RefusedError(_SERVER_ERROR, f"a watch line of more than {_MAX_LINE_BYTES} bytes")
            if rest:
                yield rest

    @asynccontextmanager
    async def _request(
        self, path: str, query: Mapping[str, str], accept: str, *, read_timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("use the client with `async with`")
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_TIMEOUT_S, sock_read=read_timeout_s)
        headers = {"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "osmia-agent"}
        if token := await self._current_token():
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.get(
            self._access.url.rstrip("/") + path,
            params=query,
            headers=headers,
            timeout=timeout,
            server_hostname=self._access.server_name or None,
        ) as response:
            if response.status == HTTPStatus.UNAUTHORIZED:
                self._token_read_at = float("-inf")
                if self._access.refused is not None:
                    self._access.refused()
            if not response.ok:
                raise await _refusal(response)
            yield response

    async def _current_token(self) -> str:
        if self._access.token and self._now() - self._token_read_at > _TOKEN_LIFE_S:
            self._token = await anyio.to_thread.run_sync(self._access.token)
            self._token_read_at = self._now()
        return self._token


async def _refusal(response: aiohttp.ClientResponse) -> RefusedError:
    body = await response.content.read(65_536)
    status = Status()
    with contextlib.suppress(msgspec.MsgspecError):
        status = msgspec.json.decode(body, type=Status)
    try:
        retry_after_s = max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        retry_after_s = 0.0
    return RefusedError(response.status, status.message or response.reason or "", retry_after_s=retry_after_s)
