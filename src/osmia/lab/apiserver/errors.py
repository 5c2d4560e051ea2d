"""Refusals of the API server: one exception that carries a Kubernetes Status, and a maker for each reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osmia.lab.apiserver.resources import Resource
from osmia.model.errors import LabError

__all__ = [
    "ApiError",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "forbidden",
    "invalid",
    "not_found",
    "too_large_version",
    "unsupported_media_type",
]


class ApiError(LabError):
    """The API server said no; `status` is the Status object that an HTTP client gets, `code` its HTTP code."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details
        self.continue_token = continue_token

    @property
    def status(self) -> dict[str, Any]:
        """The refusal as a v1 Status object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


def not_found(resource: Resource, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{resource.full_name} "{name}" not found', details=_details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    """409: an object of that name is there."""
    message = f'{resource.full_name} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(resource, name))


def conflict(resource: Resource, name: str, problem: str) -> ApiError:
    """409: the object has changed since the caller read it, or is another one by now."""
    message = f'Operation cannot be fulfilled on {resource.full_name} "{name}": {problem}'
    return ApiError(409, "Conflict", message, details=_details(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[tuple[str, str]]) -> ApiError:
    """422: the object breaks rules; each cause is (field path, what is wrong with it)."""
    listed = [{"reason": "FieldValueInvalid", "message": text, "field": field} for field, text in causes]
    problems = ", ".join(f"{field}: {text}" for field, text in causes)
    message = f'{resource.kind} "{name}" is invalid: {problems}'
    details = {"name": name, "group": resource.group, "kind": resource.kind, "causes": listed}
    return ApiError(422, "Invalid", message, details=details)


def bad_request(problem: str) -> ApiError:
    """400: the request itself cannot be understood."""
    return ApiError(400, "BadRequest", problem)


def forbidden(resource: Resource, name: str, problem: str) -> ApiError:
    """403: understood, but not allowed now."""
    message = f'{resource.full_name} "{name}" is forbidden: {problem}'
    return ApiError(403, "Forbidden", message, details=_details(resource, name))


def expired(problem: str, *, continue_token: str = "") -> ApiError:
    """410: the resourceVersion or continue token is too old; the token given lets a list go on regardless."""
    return ApiError(410, "Expired", problem, continue_token=continue_token)


def too_large_version(asked: int, current: int) -> ApiError:
    """504: a list asked for a resourceVersion that does not exist yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, details=details)


def unsupported_media_type(content_type: str, supported: Sequence[str]) -> ApiError:
    """415: a body in an encoding that is not spoken here (protobuf)."""
    listed = ", ".join(supported)
    message = f"the body of the request was in an unknown format ({content_type}) - accepted media types: {listed}"
    return ApiError(415, "UnsupportedMediaType", message)


def _details(resource: Resource, name: str) -> dict[str, Any]:
    details = {"name": name, "kind": resource.plural}
    return details | {"group": resource.group} if resource.group else details
