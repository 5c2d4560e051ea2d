"""The way to the server: one POST per batch, whose answer is believed only if an Osmia server gave it.

Only a 200 that says how many rows were accepted is an acknowledgement. A redirect (to a login page, say) and a
200 from something else that answers at the address are not: following either would lose data without a word.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from osmia.model import wire
from osmia.model.errors import ConfigError

__all__ = ["Answer", "IngestKey", "Send", "sender"]

_OK = 200
_UNAUTHORIZED = 401
_WORDS_MAX = 300
_ANSWER_MAX_BYTES = 64 * 1024
_RETRY_AFTER_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said: HTTP status (0: no Osmia server answered), Retry-After in seconds if any, text of an error."""

    status: int
    retry_after_s: float | None = None
    text: str = ""


Send = Callable[[wire.Table, int, bytes], Awaitable[Answer]]
"""Posts one compressed table under its number; never raises for what the network or the server does."""


class IngestKey:
    """The cluster's ingest key, given as text or as a file that may change while the agent runs."""

    def __init__(self, text: str, file: str = "") -> None:
        """With a file, the text is only what is used until the file is read."""
        self._file = file
        self.text = text

    @classmethod
    def read(cls, text: str, file: str) -> IngestKey:
        """The key as it is now.

        Raises:
            ConfigError: the file cannot be read or is empty.
        """
        key = cls(text, file)
        if file and not key.read_again() and not key.text:
            problem = "cannot be read, or is empty"
            raise ConfigError("--key-file", file, problem, remedy="give the file that holds the cluster's ingest key")
        return key

    def read_again(self) -> bool:
        """Look into the file; true if there is another key in it."""
        if not self._file:
            return False
        try:
            text = Path(self._file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return False
        if not text or text == self.text:
            return False
        self.text = text
        return True


class _Accepted(msgspec.Struct):
    """The body of an acknowledgement."""

    accepted: int


def sender(session: aiohttp.ClientSession, server: str, *, cluster: str, agent: str, key: IngestKey) -> Send:
    """A `Send` to the server at this address; a key that is refused is looked up again and tried once more."""
    base = f"{server.rstrip('/')}/api/v1/ingest"

    async def post(table: wire.Table, sequence: int, payload: bytes) -> Answer:
        headers = wire.ingest_headers(cluster=cluster, key=key.text, agent=agent)
        headers["Osmia-Sequence"] = str(sequence)
        try:
            async with session.post(
                f"{base}/{table}", data=payload, headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(_ANSWER_MAX_BYTES)
                return _understood(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return Answer(0, None, f"{type(exc).__name__}: {exc}".rstrip(": "))

    async def send(table: wire.Table, sequence: int, payload: bytes) -> Answer:
        answer = await post(table, sequence, payload)
        if answer.status == _UNAUTHORIZED and key.read_again():
            return await post(table, sequence, payload)
        return answer

    return send


def _understood(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    if status != _OK:
        text = " ".join(body.decode("utf-8", "replace").split())[:_WORDS_MAX]
        return Answer(status, _seconds(headers.get("Retry-After", "")), text)
    try:
        msgspec.json.decode(body, type=_Accepted)
    except msgspec.MsgspecError:
        return Answer(0, None, "what answers at this address is not an Osmia server")
    return Answer(_OK)


def _seconds(text: str) -> float | None:
    """Retry-After as seconds, at most a minute; None if it is a date or nonsense."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, _RETRY_AFTER_MAX_S) if math.isfinite(seconds) and seconds >= 0 else None
