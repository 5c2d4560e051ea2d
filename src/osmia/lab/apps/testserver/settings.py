"""Django's settings. Connections to PostgreSQL stay open; `default` speaks the simple protocol, `reports` the other."""

from __future__ import annotations

from typing import Any

from osmia.lab.apps.testserver.config import load

_config = load()


def _database(*, is_extended: bool) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _config.database_name,
        "USER": _config.database_user,
        "PASSWORD": _config.database_password,
        "HOST": _config.database_host,
        "PORT": _config.database_port,
        "CONN_MAX_AGE": None,
        "OPTIONS": {"server_side_binding": is_extended},
    }


DEBUG = False
SECRET_KEY = "nothing is signed here"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "osmia.lab.apps.testserver.urls"
INSTALLED_APPS = ["osmia.lab.apps.testserver"]
MIDDLEWARE: list[str] = []
DATABASES = {"default": _database(is_extended=False), "reports": _database(is_extended=True)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"django.request": {"level": "CRITICAL"}}}
