"""A small client of the server's JSON API, for the demo and its check."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from osmia.model.errors import RejectedError

__all__ = ["Api"]

_TIMEOUT_S = 15.0


class Api:
    """Calls below /api/v1 of one server; answers as plain JSON."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator[Api]:
        """A client whose connections close with the block."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            yield cls(url, session)

    async def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401 - JSON
        """Answer of GET.

        Raises:
            RejectedError: any status but 200; carries the server's words.
        """
        async with self._session.get(f"{self.url}/api/v1{path}", params=query) as response:
            return await _answer(response)

    async def text(self, path: str) -> str:
        """Answer of GET that is no JSON; raises as `get`."""
        async with self._session.get(f"{self.url}/api/v1{path}") as response:
            if response.status >= 400:  # noqa: PLR2004 - client and server errors
                await _answer(response)
            return await response.text()

    async def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        """Answer of POST with a JSON body; raises as `get`."""
        async with self._session.post(f"{self.url}/api/v1{path}", json=body) as response:
            return await _answer(response)

    async def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Status of POST with raw bytes."""
        async with self._session.post(f"{self.url}/api/v1{path}", data=body, headers=headers) as response:
            return response.status


async def _answer(response: aiohttp.ClientResponse) -> Any:  # noqa: ANN401 - JSON
    if response.status >= 400:  # noqa: PLR2004 - client and server errors
        raise RejectedError(f"{response.method} {response.url.path}: {response.status} {await response.text()}")
    return await response.json()
