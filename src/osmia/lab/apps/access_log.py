"""What an application served, as JSON lines on standard output: the truth that checks compare the map with."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["AccessLog", "AccessRecord"]


class AccessRecord(msgspec.Struct, frozen=True):
    """One served request. `time` is its start in Unix seconds, `duration_s` until the body was handed over."""

    time: float
    method: str
    path: str
    status: int
    duration_s: float
    client: str


class AccessLog:
    """WSGI middleware that writes one AccessRecord per request."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._encoder = msgspec.json.Encoder()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request by the wrapped application."""
        began, clock = time.time(), time.perf_counter()
        statuses: list[int] = []

        def keep_status(status: str, *rest: object) -> Callable[[bytes], object]:
            statuses.append(int(status[:3]))
            return start_response(status, *rest)  # type: ignore[arg-type]  # passes on whatever it was given

        def finish() -> None:
            record = AccessRecord(
                time=began,
                method=environ["REQUEST_METHOD"],
                path=environ["PATH_INFO"],
                status=statuses[-1] if statuses else 500,
                duration_s=round(time.perf_counter() - clock, 6),
                client=environ.get("REMOTE_ADDR", ""),
            )
            os.write(sys.stdout.fileno(), self._encoder.encode(record) + b"\n")

        return _Body(self._app(environ, keep_status), finish)


class _Body:
    """A response body that says when it is closed."""

    def __init__(self, body: Iterable[bytes], finish: Callable[[], None]) -> None:
        self._body = body
        self._finish = finish

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body, then write the line."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
        self._finish()
