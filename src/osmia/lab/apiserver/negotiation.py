"""What form a client asks for and sends: JSON, Table or metadata only; JSON or YAML bodies, never protobuf."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
import yaml

from osmia.lab.apiserver.errors import ApiError, bad_request, unsupported_media_type

__all__ = ["Form", "form_of", "read_body"]

_READABLE = ("application/json", "application/yaml")


class Form(enum.Enum):
    """How objects are shown to the client."""

    FULL = "full"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


def form_of(accept: str) -> Form:
    """The first form in an Accept header that is served here.

    Raises:
        ApiError: 406, only encodings that are not served (protobuf, CBOR).
    """
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *parameters = [one.strip() for one in part.split(";")]
        if media_type not in {"application/json", "*/*", "application/*", "application/json;stream=watch"}:
            continue
        asked = dict(one.split("=", 1) for one in parameters if "=" in one)
        if asked.get("g", "meta.k8s.io") != "meta.k8s.io":
            continue
        shape = asked.get("as", "").removesuffix("List")
        if shape == "Table" and asked.get("v") == "v1":
            return Form.TABLE
        if shape == "PartialObjectMetadata":
            return Form.METADATA
        if not shape:
            return Form.FULL
    problem = f"only the following media types are accepted: application/json (asked for {accept})"
    raise ApiError(406, "NotAcceptable", problem)


def read_body(body: bytes, content_type: str) -> Any:  # noqa: ANN401 - any JSON value
    """A request body as JSON value; `content_type` may be any type whose text is JSON or YAML.

    Raises:
        ApiError: 400 for a body that is none, 415 for protobuf and other encodings.
    """
    is_readable = content_type in {"", "application/octet-stream", "*/*"} or content_type.endswith(("json", "yaml"))
    if not is_readable:
        raise unsupported_media_type(content_type, _READABLE)
    try:
        return yaml.safe_load(body) if content_type.endswith("yaml") else msgspec.json.decode(body)
    except (msgspec.DecodeError, yaml.YAMLError) as exc:
        raise bad_request(f"the body is not {content_type or 'JSON'}: {exc}") from exc
