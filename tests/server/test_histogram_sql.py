"""The store's quantiles against the model's, bucket by bucket."""

from __future__ import annotations

import random

import pytest

from osmia.model.histogram import BUCKETS, MIDPOINTS_NS, quantile_ns
from osmia.server.query.histogram import QUANTILES, quantiles_sql
from osmia.server.storage.store import Store

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


def _literal(histogram: dict[int, int]) -> str:
    pairs = ", ".join(f"{bucket}, {count}" for bucket, count in sorted(histogram.items()))
    return f"CAST(map({pairs}), 'Map(UInt16, UInt64)')"


async def _quantiles(store: Store, histograms: list[dict[int, int]]) -> list[list[int]]:
    literals = " UNION ALL ".join(f"SELECT {i} AS i, {_literal(h)} AS h" for i, h in enumerate(histograms))
    rows = await store.query(f"SELECT i, {quantiles_sql('h')} AS q FROM ({literals}) ORDER BY i")  # noqa: S608 - constants
    return [list(row["q"]) for row in rows]  # type: ignore[call-overload]  # an array column


async def test_random_histograms_have_the_model_s_quantiles(store: Store) -> None:
    """Two hundred histograms of all shapes give exactly what `quantile_ns` gives."""
    dice = random.Random(1)  # noqa: S311 - test data
    histograms = [
        {dice.randrange(BUCKETS): dice.choice((1, 2, dice.randrange(1, 10**6))) for _ in range(dice.randrange(1, 40))}
        for _ in range(200)
    ]

    found = await _quantiles(store, histograms)

    assert found == [[quantile_ns(one, share) for share in QUANTILES] for one in histograms]


async def test_every_bucket_stands_for_its_midpoint(store: Store) -> None:
    """Each of the buckets alone gives the model's midpoint."""
    rows = await store.query(
        f"SELECT number AS i, map(toUInt16(number), toUInt64(1)) AS h, {quantiles_sql('h', (0.5,))} AS q"  # noqa: S608 - constants
        f" FROM numbers({BUCKETS}) ORDER BY i"
    )

    found = [row["q"][0] for row in rows]  # type: ignore[index]  # an array column

    assert found == [int(midpoint) for midpoint in MIDPOINTS_NS]


async def test_exact_ranks_do_not_slip(store: Store) -> None:
    """0.95 of 100 is rank 95, not 96, whatever floating point says."""
    histogram = {100: 95, 200: 5}

    found = await _quantiles(store, [histogram])

    assert found == [[int(MIDPOINTS_NS[100]), int(MIDPOINTS_NS[100]), int(MIDPOINTS_NS[200])]]


async def test_an_empty_histogram_has_no_quantiles(store: Store) -> None:
    """Nothing seen gives nothing, not zero."""
    rows = await store.query(f"SELECT CAST(map(), 'Map(UInt16, UInt64)') AS h, {quantiles_sql('h')} AS q")

    assert list(rows[0]["q"]) == []  # type: ignore[call-overload]  # an array column
