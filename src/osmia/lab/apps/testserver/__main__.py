"""Starts testserver: waits for the database, brings its schema up to date, becomes gunicorn."""

from __future__ import annotations

import os
import sys
import time

import django
import psycopg
from django.core.management import call_command
from django.db import OperationalError, connection

from osmia.lab.apps.serving import serve
from osmia.lab.apps.testserver.config import TestserverConfig, load

__all__ = ["main"]

_MIGRATION_LOCK = 8171
"""Advisory lock: of two replicas that start at once, one migrates and the other waits."""
_RETRY_S = 0.1


def main() -> None:
    """Run testserver; never returns."""
    config = load()
    os.environ["DJANGO_SETTINGS_MODULE"] = "osmia.lab.apps.testserver.settings"  # noqa: TID251 - Django wants it so
    django.setup(set_prefix=False)
    _wait_for_database(config)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        call_command("migrate", verbosity=0, interactive=False)
    connection.close()
    serve("osmia.lab.apps.testserver.wsgi:application", port=config.port, threads=config.threads)


def _wait_for_database(config: TestserverConfig) -> None:
    deadline = time.monotonic() + config.start_timeout_s
    while True:
        try:
            connection.ensure_connection()
        except (OperationalError, psycopg.OperationalError) as exc:
            if time.monotonic() > deadline:
                sys.exit(f"testserver: no database at {config.database_host}: {exc}")
            time.sleep(_RETRY_S)
        else:
            return


if __name__ == "__main__":
    main()
