"""The server's settings: one table, read once at start."""

from __future__ import annotations

from typing import Annotated

import msgspec

from osmia.settings import setting

__all__ = ["PROGRAM", "ServerConfig"]

PROGRAM = "server"
"""Name of the program in environment keys: OSMIA_SERVER_<SETTING>."""

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `osmia server` can be told."""

    listen: tuple[str, ...] = setting(
        ("127.0.0.1:8460",), "HOST:PORT to serve on; may be given several times, port 0 picks a free one"
    )
    data: str = setting("./osmia-data", "directory of the embedded store, the metadata and the secret")
    store_url: str = setting(
        "", "clickhouse://user:password@host:port/database[?cluster=name] instead of the embedded store"
    )
    metadata_url: str = setting(
        "", "SQLAlchemy URL of the metadata (PostgreSQL) instead of SQLite in the data directory"
    )
    public_url: str = setting("", "address under which agents reach this server; default: the one the browser used")
    notice: str = setting("", "text that stands above every page, e.g. what kind of data this is")
    store_memory_mib: _Positive = setting(400, "memory the embedded store may use in all, in MiB")
    query_memory_mib: _Positive = setting(200, "memory one query may use, in MiB")
    query_timeout_s: _Positive = setting(10, "longest run of one query, in seconds")
    readers: _Positive = setting(3, "queries that run at the same time")
    queue_rows: _Positive = setting(200_000, "rows waiting to be stored before agents are told to wait")
    batch_rows: _Positive = setting(10_000, "rows after which a batch is stored at once")
    batch_ms: _Positive = setting(300, "longest wait for a batch to fill, in milliseconds")
    ingest_posts: _Positive = setting(256, "batches of agents handled at the same time")
    max_payload_mib: _Positive = setting(32, "largest ingest payload after decompression, in MiB")
    sse_clients: _Positive = setting(200, "browsers that may follow live updates at the same time")
    log_level: str = setting("info", "debug, info, warning or error")
    log_json: bool = setting(False, "log JSON lines")  # noqa: FBT003 - a row of the table
