"""The client of `currencies`: a keep-alive session per thread, renewed now and then so that replicas share the work."""

from __future__ import annotations

import threading
from typing import Any

import requests

__all__ = ["RatesClient"]

_TIMEOUT_S = 5.0
_REQUESTS_PER_CONNECTION = 50


class RatesClient:
    """Asks the currencies service; may be used from any thread."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._local = threading.local()

    def get(self, path: str) -> Any:  # noqa: ANN401 - the JSON of the answer
        """The JSON at a path of the service.

        Raises:
            requests.RequestException: it cannot be reached or says no.
        """
        response = self._session().get(f"{self._base_url}{path}", timeout=_TIMEOUT_S)
        response.raise_for_status()
        return response.json()

    def _session(self) -> requests.Session:
        local = self._local
        if getattr(local, "left", 0) == 0:
            if hasattr(local, "session"):
                local.session.close()
            local.session, local.left = requests.Session(), _REQUESTS_PER_CONNECTION
            local.session.trust_env = False
        local.left -= 1
        session: requests.Session = local.session
        return session
