"""The protocols Osmia parses; a new one is a file beside this one and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from osmia.model.request import Protocol
from osmia.protocols.http1 import Http1Parser
from osmia.protocols.parser import Parser
from osmia.protocols.postgres import PostgresParser

__all__ = ["PROTOCOLS"]

PROTOCOLS: Mapping[Protocol, Parser] = MappingProxyType(
    {
        Protocol.HTTP: Http1Parser(),
        Protocol.POSTGRES: PostgresParser(),
    }
)
"""One parser per protocol; all are stateless and may be shared between threads."""
