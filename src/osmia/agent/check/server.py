"""The server's side of the check: is there an Osmia server at the address, and does it know our key?"""

from __future__ import annotations

from http import HTTPStatus

import aiohttp
import msgspec

from osmia.agent.config import AgentConfig
from osmia.agent.post import IngestKey
from osmia.model import wire
from osmia.model.errors import UnavailableError

__all__ = ["reach_server"]

_TIMEOUT_S = 5.0
_NO_TABLE = "none"
_WORDS_MAX = 300
_WORDS_SHOWN = 80


class _Detail(msgspec.Struct):
    field: str = ""


class _Refusal(msgspec.Struct):
    error: _Detail


async def reach_server(config: AgentConfig) -> None:
    """Return if the server takes this agent's batches, as far as that can be told without sending one.

    It is asked to store a table that does not exist: it looks at the key first, so its answer tells both.

    Raises:
        UnavailableError: it does not, and why.
        ConfigError: the key file cannot be used.
    """
    key = IngestKey.read(config.key, config.key_file)
    url = f"{config.server.rstrip('/')}/api/v1/ingest/{_NO_TABLE}"
    headers = wire.ingest_headers(cluster=config.monitoring_id, key=key.text, agent="check")
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, headers=headers | {"Osmia-Sequence": "0"}, allow_redirects=False) as response,
        ):
            body = await response.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
        problem = f"{config.server} is not reached: {type(exc).__name__}: {exc}"[:_WORDS_MAX].rstrip(": ")
        remedy = "check --server and the way there; the agent keeps what it sees within its bounds until then"
        raise UnavailableError(problem, remedy=remedy) from exc
    _judge(config.server, response.status, body)


def _judge(server: str, status: int, body: str) -> None:
    if status == HTTPStatus.UNAUTHORIZED:
        remedy = "copy --monitoring-id and --key from the cluster's page of the server"
        raise UnavailableError(f"{server} does not know this monitoring id with this key", remedy=remedy)
    if status != HTTPStatus.BAD_REQUEST or _refused_field(body) != "table":
        words = " ".join(body.split())[:_WORDS_SHOWN]
        problem = f"what answers at {server} is not an Osmia server (status {status}: {words})"
        raise UnavailableError(problem, remedy="check --server, and what stands between")


def _refused_field(body: str) -> str:
    """The field that an Osmia server's refusal names; empty if this is none."""
    try:
        return msgspec.json.decode(body, type=_Refusal).error.field
    except msgspec.MsgspecError:
        return ""
