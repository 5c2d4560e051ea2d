"""The settings of testserver, read from OSMIA_TESTSERVER_* variables."""

from __future__ import annotations

import msgspec

from osmia.settings import read, setting

__all__ = ["TestserverConfig", "load"]


class TestserverConfig(msgspec.Struct, frozen=True):
    """Settings of testserver."""

    port: int = setting(8200, "Port to serve on.")
    threads: int = setting(3, "Threads that serve requests; each keeps up to two connections to the database.")
    currencies_url: str = setting("http://sample-service-currencies:8005", "Where the exchange rates come from.")
    database_host: str = setting("postgres", "Host of PostgreSQL.")
    database_port: int = setting(5432, "Port of PostgreSQL.")
    database_name: str = setting("testserver", "Name of the database.")
    database_user: str = setting("testserver", "User of the database.")
    database_password: str = setting("", "Password of the database's user.")
    start_timeout_s: float = setting(60.0, "How long to wait for the database at the start, in seconds.")


def load() -> TestserverConfig:
    """The settings of this process."""
    return read("testserver", TestserverConfig, {})
