"""The WSGI application that gunicorn serves; `__main__` has put the settings in place."""

from __future__ import annotations

import django
from django.core.handlers.wsgi import WSGIHandler

from osmia.lab.apps.access_log import AccessLog

__all__ = ["application"]

django.setup(set_prefix=False)
application = AccessLog(WSGIHandler())
