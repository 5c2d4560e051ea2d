"""The SQL twin of `model/histogram.py`: quantiles of a sparse histogram inside the store."""

from __future__ import annotations

from osmia.model.histogram import BUCKETS

__all__ = ["QUANTILES", "quantiles_sql"]

QUANTILES = (0.5, 0.95, 0.99)
"""The shares every answer carries: p50, p95, p99."""

# Bucket b > 0 starts at (32 + m) * 2^(octave + 5) and is 2^(octave + 5) wide, where b - 1 = 32 * octave + m, so its
# midpoint is an exact integer. The first bucket runs from 0 to 1,023, the last one is open and stands for its start.
_MIDPOINT = (
    "multiIf({b} = 0, toUInt64(512),"
    " {b} = " + str(BUCKETS - 1) + ", bitShiftLeft(toUInt64(63), 31),"
    " bitShiftLeft(toUInt64(32 + ({b} - 1) % 32), intDiv({b} - 1, 32) + 5)"
    " + bitShiftLeft(toUInt64(1), intDiv({b} - 1, 32) + 4))"
)


def quantiles_sql(histogram: str, shares: tuple[float, ...] = QUANTILES) -> str:
    """SQL expression: nearest-rank quantiles in ns of a Map(UInt16, UInt64) expression, [] when it is empty.

    The same rule as `quantile_ns`: the smallest bucket whose cumulated count reaches ceil(share * total), at least 1.
    """
    keys, counts = f"mapKeys({histogram})", f"mapValues({histogram})"
    rank = f"greatest(1, toUInt64(ceil(p * arraySum({counts}) - 1e-9)))"
    bucket = f"{keys}[arrayFirstIndex(c -> c >= {rank}, arrayCumSum({counts}))]"
    ordered = ", ".join(str(share) for share in shares)
    midpoint = _MIDPOINT.format(b="b")
    return (
        f"if(empty({keys}), emptyArrayUInt64(),"
        f" arrayMap(b -> {midpoint}, arrayMap(p -> toInt32({bucket}), [{ordered}])))"
    )
