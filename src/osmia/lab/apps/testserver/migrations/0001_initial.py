"""Tables, the known currencies, and a ledger of generated bookings that is large enough to scan slowly."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

_CURRENCIES = (
    "INSERT INTO testserver_currency (code, name) VALUES "
    "('USD', 'US dollar'), ('EUR', 'Euro'), ('GBP', 'Pound sterling'), ('JPY', 'Japanese yen'), "
    "('CHF', 'Swiss franc'), ('SEK', 'Swedish krona'), ('TRY', 'Turkish lira'), ('INR', 'Indian rupee')"
)
_LEDGER = """
INSERT INTO testserver_ledgerentry (booked_on, code, amount, note)
SELECT date '2020-01-01' + (n % 1460),
       (ARRAY['USD', 'EUR', 'GBP', 'JPY', 'CHF', 'SEK', 'TRY', 'INR'])[1 + n % 8],
       ((n::bigint * 7919) % 1000003) / 100.0,
       (ARRAY['invoice', 'refund', 'transfer', 'fee'])[1 + (n / 8) % 4] || ' no ' || n
FROM generate_series(1, 400000) AS n
"""
_ID: models.BigAutoField[int, int] = models.BigAutoField(
    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
)


class Migration(migrations.Migration):
    """The first and only schema."""

    initial = True
    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="Currency",
            fields=[
                ("code", models.CharField(max_length=3, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name="Conversion",
            fields=[
                ("id", _ID),
                ("source", models.CharField(max_length=3)),
                ("target", models.CharField(max_length=3)),
                ("rate", models.DecimalField(decimal_places=6, max_digits=18)),
                ("asked_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", _ID.clone()),
                ("booked_on", models.DateField()),
                ("code", models.CharField(max_length=3)),
                ("amount", models.DecimalField(decimal_places=2, max_digits=12)),
                ("note", models.CharField(max_length=60)),
            ],
        ),
        migrations.RunSQL(_CURRENCIES, migrations.RunSQL.noop),
        migrations.RunSQL(_LEDGER, migrations.RunSQL.noop),
    ]
