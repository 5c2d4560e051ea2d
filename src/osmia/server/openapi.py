"""Prints the API's OpenAPI document without opening a store: `python -m osmia.server.openapi > openapi.json`."""

from __future__ import annotations

import json
import sys

from osmia.server.app import create_app
from osmia.server.config import ServerConfig

__all__ = ["document", "main"]


def document() -> str:
    """The OpenAPI document as indented JSON."""
    return json.dumps(create_app(ServerConfig()).openapi(), indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Print the document."""
    sys.stdout.write(document())


if __name__ == "__main__":
    main()
