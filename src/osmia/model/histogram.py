"""The one latency histogram: log-linear, 32 buckets per octave, the same in C, numpy, SQL and TypeScript.

A value in nanoseconds falls into bucket

    0                                 below 1,024 ns
    1 + (e - 10) * 32 + m             where e = floor(log2 v), m = the five bits after the leading one
    864                               from 135.3 s upwards, whose upper bound is open

so a bucket is at most 1/32 of its lower bound wide and its midpoint is at most 1/65 (1.54 %) away from
any value inside it. Histograms are sparse (bucket -> count) and merge by adding. The twin in C is
`bpf/lib/histogram.h`, in SQL `server/query`; tests hold them against each other.

The shape is that of HdrHistogram (Gil Tene, http://hdrhistogram.org) with the linear part cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BUCKETS", "MIDPOINTS_NS", "bucket_of", "buckets_of", "lower_bound_ns", "quantile_ns"]

_SUB_BITS = 5
_FIRST_EXPONENT = 10
_LAST_EXPONENT = 36
BUCKETS = 2 + (_LAST_EXPONENT - _FIRST_EXPONENT) * (1 << _SUB_BITS) + (1 << _SUB_BITS) - 1
"""Number of buckets; valid indices are 0 to BUCKETS - 1."""


def bucket_of(latency_ns: int) -> int:
    """Index of the bucket that holds one value in ns (negative counts as 0)."""
    exponent = latency_ns.bit_length() - 1
    if latency_ns < 1 << _FIRST_EXPONENT:
        return 0
    if exponent > _LAST_EXPONENT:
        return BUCKETS - 1
    mantissa = (latency_ns >> (exponent - _SUB_BITS)) & ((1 << _SUB_BITS) - 1)
    return 1 + ((exponent - _FIRST_EXPONENT) << _SUB_BITS) + mantissa


def buckets_of(latency_ns: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """`bucket_of` for an array of uint64 ns, shape (n,) to (n,)."""
    value = np.minimum(latency_ns, np.uint64((1 << (_LAST_EXPONENT + 1)) - 1))
    # Below 2**53 a float64 is exact, so frexp's exponent is the bit length.
    exponent = np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1
    shift = np.maximum(exponent - _SUB_BITS, 0).astype(np.uint64)
    mantissa = ((value >> shift) & np.uint64((1 << _SUB_BITS) - 1)).astype(np.int64)
    index = 1 + ((exponent - _FIRST_EXPONENT) << _SUB_BITS) + mantissa
    return np.where(exponent < _FIRST_EXPONENT, 0, index).astype(np.uint16)


def lower_bound_ns(bucket: int) -> int:
    """Smallest value in ns that falls into a bucket."""
    if bucket == 0:
        return 0
    octave, mantissa = divmod(bucket - 1, 1 << _SUB_BITS)
    return ((1 << _SUB_BITS) + mantissa) << (octave + _FIRST_EXPONENT - _SUB_BITS)


def _midpoint_ns(bucket: int) -> int:
    upper = lower_bound_ns(bucket + 1) if bucket < BUCKETS - 1 else lower_bound_ns(bucket)
    return (lower_bound_ns(bucket) + upper) // 2


MIDPOINTS_NS: NDArray[np.uint64] = np.array([_midpoint_ns(b) for b in range(BUCKETS)], dtype=np.uint64)
"""The value in ns that stands for each bucket."""


def quantile_ns(histogram: Mapping[int, int], share: float) -> int | None:
    """Nearest-rank quantile in ns (share 0..1), or None when the histogram is empty."""
    total = sum(histogram.values())
    if total == 0:
        return None
    # The small allowance keeps 0.95 * 100 from being 95.00000000000001, i.e. rank 96.
    rank = max(1, -int(-(share * total - 1e-9) // 1))
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return int(MIDPOINTS_NS[bucket])
    return None
