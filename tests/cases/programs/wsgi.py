"""The application that gunicorn serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def app(environ: dict[str, object], start: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Always the same short answer."""
    del environ
    start("200 OK", [("Content-Length", "3")])
    return [b"ok\n"]
