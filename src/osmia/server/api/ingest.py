"""The agents' door: POST /api/v1/ingest/{table}, as model/wire.py describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from osmia.model.wire import CONTENT_ENCODING, CONTENT_TYPE, Table
from osmia.server.api.answer import json_answer
from osmia.server.api.state import Services, ServicesDependency
from osmia.server.ingest.errors import BadBatchError, TooLargeError, UnknownKeyError
from osmia.server.ingest.intake import Batch

__all__ = ["Accepted", "router"]

router = APIRouter(prefix="/api/v1/ingest", tags=["ingest"])

_BEARER = "Bearer "
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Accepted:
    """The acknowledgement: these rows are stored."""

    accepted: int


@router.post("/{table}", response_model=Accepted)
async def ingest(  # noqa: PLR0913 - one argument per header of the wire
    table: str,
    request: Request,
    services: ServicesDependency,
    *,
    authorization: Annotated[str, Header()] = "",
    osmia_cluster: Annotated[str, Header()] = "",
    osmia_agent: Annotated[str, Header()] = "",
    osmia_sequence: Annotated[str, Header()] = "",
) -> Response:
    """Store one batch of one table; 200 means stored, and a repetition of the same sequence changes nothing."""
    try:
        await _authenticate(services, osmia_cluster, authorization)
        kind = _table(table)
        agent, sequence = _agent(osmia_agent), _sequence(osmia_sequence)
        _check_form(request)
        with services.intake.admission.enter():
            payload = await _body(request, services.config.max_payload_mib << 20)
            accepted = await services.intake.take(Batch(osmia_cluster, agent, sequence, kind, payload))
    except BadBatchError as exc:
        services.metrics.add("ingest_rejected", cause=exc.cause)
        raise
    except UnknownKeyError:
        services.metrics.add("ingest_rejected", cause="unauthorized")
        raise
    return json_answer(Accepted(accepted))


async def _authenticate(services: Services, cluster_id: str, authorization: str) -> None:
    record = await services.directory.get(cluster_id) if cluster_id else None
    key = authorization.removeprefix(_BEARER).strip()
    if record is None or not services.keys.is_valid(record.id, record.key_version, key=key):
        raise UnknownKeyError(
            "unknown cluster or wrong key", remedy="copy monitoring id and key from the cluster's page again"
        )


def _table(name: str) -> Table:
    try:
        return Table(name)
    except ValueError:
        known = ", ".join(Table)
        raise _bad("table", name, "no such table", f"one of {known}", cause="table") from None


def _agent(name: str) -> str:
    if not name or len(name) > _MAX_NAME:
        raise _bad("Osmia-Agent", name[:_MAX_NAME], "missing or too long", "send the agent's id", cause="headers")
    return name


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 1 << 64):
        raise _bad(
            "Osmia-Sequence", text[:_MAX_NAME], "not a 64-bit number", "number the batches of an agent", cause="headers"
        )
    return int(text)


def _check_form(request: Request) -> None:
    for header, wanted in (("content-type", CONTENT_TYPE), ("content-encoding", CONTENT_ENCODING)):
        value = request.headers.get(header, "")
        if value.split(";")[0].strip().lower() != wanted:
            raise _bad(header, value[:_MAX_NAME], "not what this door takes", f"send {wanted}", cause="encoding")


async def _body(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLargeError(
                "body", f"more than {limit} bytes", "too large", cause="too_large", remedy="send smaller batches"
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _bad(field: str, value: str, problem: str, remedy: str, *, cause: str) -> BadBatchError:
    return BadBatchError(field, value, problem, cause=cause, remedy=remedy)
