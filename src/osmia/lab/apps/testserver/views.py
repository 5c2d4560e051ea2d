"""The routes of testserver."""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus

import requests
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse

from osmia.lab.apps.testserver.config import load
from osmia.lab.apps.testserver.models import Conversion, Currency
from osmia.lab.apps.testserver.rates import RatesClient

__all__ = ["currencies", "exchange_rate", "healthz", "slow_report", "status"]

_STATUSES = range(200, 600)
_SLOW_REPORT = """
SELECT code, date_trunc('quarter', booked_on) AS quarter, count(*), sum(amount),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY amount) AS p95
FROM testserver_ledgerentry
WHERE note ILIKE %s AND booked_on >= %s
GROUP BY code, quarter
ORDER BY sum(amount) DESC
LIMIT 10
"""

_rates = RatesClient(load().currencies_url)


def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process serves."""
    del request
    return JsonResponse({"status": "ok"})


def currencies(request: HttpRequest) -> HttpResponse:
    """The codes that the currencies service knows."""
    del request
    try:
        found = _rates.get("/rates/")
    except requests.RequestException as exc:
        return _bad_gateway(exc)
    return JsonResponse({"currencies": sorted(found["rates"])})


def exchange_rate(request: HttpRequest, source: str, target: str) -> HttpResponse:
    """How much of `target` one `source` is; both must be known to the database, and the answer is written down."""
    del request
    names = {one.code: one.name for one in Currency.objects.filter(code__in=[source, target])}
    if {source, target} - names.keys():
        return JsonResponse({"error": f"unknown currency: {source} or {target}"}, status=HTTPStatus.NOT_FOUND)
    try:
        found = _rates.get(f"/rates/{source}/")
    except requests.RequestException as exc:
        return _bad_gateway(exc)
    rate = Decimal(str(found["rates"][target]))
    conversion = Conversion.objects.create(source=source, target=target, rate=rate)
    return JsonResponse({"id": conversion.pk, "from": names[source], "to": names[target], "rate": str(rate)})


def status(request: HttpRequest, code: int) -> HttpResponse:
    """Answers with the status that was asked for."""
    del request
    if code not in _STATUSES:
        return JsonResponse({"error": f"no such status: {code}"}, status=HTTPStatus.BAD_REQUEST)
    return JsonResponse({"status": code}, status=code)


def slow_report(request: HttpRequest) -> HttpResponse:
    """Refunds by currency and quarter. Slow: nothing indexes the note, so every booking is read and matched."""
    del request
    with connections["reports"].cursor() as cursor:
        cursor.execute(_SLOW_REPORT, ["%refund%", "2020-06-01"])
        rows = cursor.fetchall()
    keys = ("code", "quarter", "count", "sum", "p95")
    return JsonResponse({"rows": [dict(zip(keys, map(str, row), strict=True)) for row in rows]})


def _bad_gateway(exc: requests.RequestException) -> HttpResponse:
    return JsonResponse({"error": f"currencies: {exc}"}, status=HTTPStatus.BAD_GATEWAY)
