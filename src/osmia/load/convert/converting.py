"""Whatever a file is, to a config: the kind is asked for or seen from the text."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from enum import StrEnum

from osmia.load.config.document import parse
from osmia.load.convert.curl import convert_curl, is_curl
from osmia.load.convert.draft import Conversion
from osmia.load.convert.har import HarOptions, convert_har, is_har
from osmia.load.convert.openapi import convert_openapi, is_openapi
from osmia.load.convert.postman import convert_postman, is_postman
from osmia.load.plan import JsonValue
from osmia.load.variables import VARIABLE_NAMES
from osmia.model.errors import ConfigFileError, InputError

__all__ = ["ConvertOptions", "Kind", "convert"]


class Kind(StrEnum):
    """What can be converted."""

    POSTMAN = "postman"
    HAR = "har"
    OPENAPI = "openapi"
    CURL = "curl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What of the original is wanted; each converter uses what it knows."""

    postman_environment: str = ""
    """The text of an exported Postman environment."""
    folder: str = ""
    """Postman: only this folder."""
    har: HarOptions = field(default_factory=HarOptions)
    server: str = ""
    """OpenAPI: where the API is, instead of the document's first server."""
    tag: str = ""
    """OpenAPI: only operations with this tag."""
    dynamic: Container[str] = VARIABLE_NAMES
    """The names that may stand behind `{{_`."""


def convert(text: str, name: str, *, kind: Kind | None = None, options: ConvertOptions | None = None) -> Conversion:
    """A config that does what the text describes, and what of it could not be carried over.

    Args:
        text: the file's content, or a curl command.
        name: the file's name, for messages and for telling JSON from YAML.
        kind: what it is; seen from the text if it is None.
        options: what of it is wanted.

    Raises:
        ConfigFileError: it is neither JSON nor YAML.
        InputError: it is not of the kind, or nothing in it can be converted.
    """
    options = options or ConvertOptions()
    if kind is Kind.CURL or (kind is None and _seems_curl(text)):
        return convert_curl(text)
    document = parse(text, name).plain()
    match kind or _kind_of(document):
        case Kind.POSTMAN:
            environment = parse(options.postman_environment or "null", "environment.json").plain()
            return convert_postman(document, dynamic=options.dynamic, environment=environment, folder=options.folder)
        case Kind.HAR:
            return convert_har(document, options.har)
        case Kind.OPENAPI:
            return convert_openapi(document, server=options.server, tag=options.tag)
    raise InputError(
        f"{name} is no Postman collection, HAR, OpenAPI document or curl command",
        remedy=f"name the kind: {', '.join(Kind)}",
    )


def _seems_curl(text: str) -> bool:
    if re.match(r"\s*(?:\$\s+)?curl(?:\.exe)?\s", text):  # a header in quotes makes a table of it in YAML's eyes
        return True
    return text.lstrip()[:1] not in {"{", "["} and is_curl(text) and not _is_document(text)


def _is_document(text: str) -> bool:
    """Whether it is a table in YAML: a description of an API may quote curl commands."""
    try:
        return isinstance(parse(text, "input.yaml").plain(), dict)
    except ConfigFileError:
        return False


def _kind_of(document: JsonValue) -> Kind | None:
    if is_har(document):
        return Kind.HAR
    if is_openapi(document):
        return Kind.OPENAPI
    is_collection = is_postman(document) or (isinstance(document, dict) and is_postman(document.get("collection")))
    return Kind.POSTMAN if is_collection else None
