"""One form for every error: `{"error": {"field", "value", "message", "remedy"}}`, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from osmia.model.errors import OsmiaError
from osmia.server.ingest.errors import BadBatchError, NotStoredError, TooLargeError, UnknownKeyError
from osmia.server.query.ranges import BadTimeError
from osmia.server.query.requests import BadFilterError
from osmia.server.storage.metadata import NameTakenError
from osmia.server.storage.store import QueryError
from osmia.telemetry import get_logger

__all__ = ["ApiError", "ErrorBody", "ErrorDetail", "install_error_handlers"]

_MAX_VALUE = 200
_BUSY_RETRY_AFTER_S = "2"
_BUSY_CODES = frozenset({159, 202, 241, 252})  # time-out, too many queries, memory, too many parts


class ErrorDetail(BaseModel):
    """What was wrong: the field, its value, what is the matter, and what to do."""

    field: str
    value: str
    message: str
    remedy: str


class ErrorBody(BaseModel):
    """The body of every answer with status 400 or above."""

    error: ErrorDetail


class ApiError(OsmiaError):
    """An answer other than success that a route gives on purpose."""

    def __init__(self, status: int, field: str, value: str, *, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy=remedy)
        self.status = status
        self.field = field
        self.value = value


def install_error_handlers(app: FastAPI) -> None:
    """Give every error its status and form."""
    log = get_logger("api")

    async def refused(_request: Request, exc: Exception) -> JSONResponse:
        status, detail, headers = _describe(exc)
        return _answer(status, detail, headers)

    async def failed(request: Request, exc: Exception) -> JSONResponse:
        log.error("request failed", path=request.url.path, error=repr(exc), exc_info=exc)
        return _answer(
            500,
            ErrorDetail(field="", value="", message="something broke inside the server", remedy="see the server's log"),
        )

    for kind in (OsmiaError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(Exception, failed)


def _answer(status: int, detail: ErrorDetail, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": detail.model_dump()}, status, headers=dict(headers or {}))


def _detail(field: str, value: object, message: str, remedy: str) -> ErrorDetail:
    return ErrorDetail(field=field, value=str(value)[:_MAX_VALUE], message=message, remedy=remedy)


def _describe(exc: Exception) -> tuple[int, ErrorDetail, dict[str, str]]:
    headers: dict[str, str] = {}
    match exc:
        case ApiError():
            status, detail = exc.status, _detail(exc.field, exc.value, exc.message, exc.remedy)
        case BadBatchError() | BadTimeError() | BadFilterError():
            status = 413 if isinstance(exc, TooLargeError) else 400
            detail = _detail(exc.field, exc.value, exc.problem, exc.remedy)
        case NameTakenError():
            status, detail = 409, _detail("name", exc.name, exc.message, exc.remedy)
        case UnknownKeyError():
            status, detail = 401, _detail("authorization", "", exc.message, exc.remedy)
            headers["WWW-Authenticate"] = "Bearer"
        case NotStoredError():
            status, detail = 503, _detail("", "", exc.message, exc.remedy)
            headers["Retry-After"] = str(exc.retry_after_s)
        case QueryError() if exc.code in _BUSY_CODES:
            status, detail = 503, _detail("", "", exc.message, exc.remedy)
            headers["Retry-After"] = _BUSY_RETRY_AFTER_S
        case RequestValidationError():
            status, detail = 400, _of_validation(exc)
        case HTTPException():
            status, detail = exc.status_code, _detail("path", "", str(exc.detail), "")
            headers.update(exc.headers or {})
        case _:
            status, detail = 500, _detail("", "", str(exc), "see the server's log")
    return status, detail, headers


def _of_validation(exc: RequestValidationError) -> ErrorDetail:
    first = exc.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _detail(field, first.get("input", ""), first["msg"], "see the API reference at /api/docs")
