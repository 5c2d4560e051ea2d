"""What testserver keeps: the currencies it knows, every conversion it was asked for, and a ledger to report on."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db import models

__all__ = ["Conversion", "Currency", "LedgerEntry"]


class Currency(models.Model):
    """A currency by its code."""

    code: models.CharField[str, str] = models.CharField(max_length=3, primary_key=True)
    name: models.CharField[str, str] = models.CharField(max_length=40)

    class Meta:
        """Where Django files it."""

        app_label = "testserver"

    def __str__(self) -> str:
        return str(self.code)


class Conversion(models.Model):
    """One answered question for an exchange rate."""

    source: models.CharField[str, str] = models.CharField(max_length=3)
    target: models.CharField[str, str] = models.CharField(max_length=3)
    rate: models.DecimalField[Decimal, Decimal] = models.DecimalField(max_digits=18, decimal_places=6)
    asked_at: models.DateTimeField[dt.datetime, dt.datetime] = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Where Django files it."""

        app_label = "testserver"

    def __str__(self) -> str:
        return f"{self.source}/{self.target} {self.rate}"


class LedgerEntry(models.Model):
    """One booking. Deliberately without the index that the slow report needs."""

    booked_on: models.DateField[dt.date, dt.date] = models.DateField()
    code: models.CharField[str, str] = models.CharField(max_length=3)
    amount: models.DecimalField[Decimal, Decimal] = models.DecimalField(max_digits=12, decimal_places=2)
    note: models.CharField[str, str] = models.CharField(max_length=60)

    class Meta:
        """Where Django files it."""

        app_label = "testserver"

    def __str__(self) -> str:
        return f"{self.booked_on} {self.amount} {self.code}"
