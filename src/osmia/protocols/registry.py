"""The protocols Osmia parses; a new one is a file beside this one and a line below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from osmia.model.request import Protocol
from osmia.protocols.http1 import Http1Parser
from osmia.protocols.http1_stream import Http1Stream
from osmia.protocols.parser import Parser
from osmia.protocols.postgres import PostgresParser
from osmia.protocols.postgres_stream import PostgresStream
from osmia.protocols.streams import Stream

__all__ = ["PROTOCOLS", "STREAMS"]

PROTOCOLS: Mapping[Protocol, Parser] = MappingProxyType(
    {
        Protocol.HTTP: Http1Parser(),
        Protocol.POSTGRES: PostgresParser(),
    }
)
"""One parser per protocol; all are stateless and may be shared between threads."""

STREAMS: Mapping[Protocol, Callable[[], Stream]] = MappingProxyType(
    {
        Protocol.HTTP: Http1Stream,
        Protocol.POSTGRES: PostgresStream,
    }
)
"""What follows a connection whose requests the kernel does not match, by protocol; one new object per connection."""
