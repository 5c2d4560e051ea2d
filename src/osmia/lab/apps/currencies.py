"""The Flask application of the sample story: exchange rates over HTTP, from a fixed table."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from flask import Flask, Response, jsonify

from osmia.lab.apps.access_log import AccessLog
from osmia.lab.apps.serving import serve
from osmia.settings import read, setting

__all__ = ["CurrenciesConfig", "application", "create_app"]

_IN_EURO = {
    "EUR": 1.0,
    "USD": 1.0842,
    "GBP": 0.8413,
    "JPY": 163.27,
    "CHF": 0.9588,
    "SEK": 11.4302,
    "TRY": 37.1195,
    "INR": 90.5127,
}


class CurrenciesConfig(msgspec.Struct, frozen=True):
    """Settings of currencies."""

    port: int = setting(8005, "Port to serve on.")
    threads: int = setting(4, "Threads that serve requests.")


def create_app() -> Flask:
    """The application."""
    app = Flask("currencies")

    @app.get("/rates/")
    def rates() -> Response:
        return jsonify(base="EUR", rates=_IN_EURO)

    @app.get("/rates/<base>/")
    def rates_of(base: str) -> Response | tuple[Response, HTTPStatus]:
        if base not in _IN_EURO:
            return jsonify(error=f"unknown currency: {base}"), HTTPStatus.NOT_FOUND
        return jsonify(base=base, rates={code: round(rate / _IN_EURO[base], 6) for code, rate in _IN_EURO.items()})

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    return app


application = AccessLog(create_app())

if __name__ == "__main__":
    _config = read("currencies", CurrenciesConfig, {})
    serve("osmia.lab.apps.currencies:application", port=_config.port, threads=_config.threads)
