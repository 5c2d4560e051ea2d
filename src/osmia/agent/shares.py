"""Sharing out whole numbers: a total over several takers, in proportion, with nothing lost by rounding. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["share_buckets", "share_out"]


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole parts of `total` that add up to it, in proportion to `weights` (largest remainder, ties to the first).

    Weights are not negative; if none is positive, all count the same. Without takers nothing is shared out.
    """
    if len(weights) <= 1 or total <= 0:
        return [max(0, total)] * len(weights)
    whole = sum(weights)
    if whole <= 0:
        weights, whole = [1.0] * len(weights), float(len(weights))
    exact = [total * weight / whole for weight in weights]
    # The minimum keeps a quotient that floating point rounded up from taking what is not there.
    parts = [min(int(value), total) for value in exact]
    left = total - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda i: parts[i] - exact[i])
    step = 1 if left >= 0 else -1
    candidates = by_remainder if step > 0 else [i for i in reversed(by_remainder) if parts[i]]
    while left:
        for index in candidates[: abs(left)]:
            parts[index] += step
        left = total - sum(parts)
    return parts


def share_buckets(histogram: Mapping[int, int], counts: Sequence[int]) -> list[dict[int, int]]:
    """A histogram for each taker of `counts`, which add up to `histogram` bucket by bucket.

    Where the histogram holds as many values as the counts say, each taker gets exactly its count.
    """
    if len(counts) == 1:
        return [dict(histogram)]
    found: list[dict[int, int]] = [{} for _ in counts]
    quotas = list(counts)
    for bucket, values in sorted(histogram.items()):
        if sum(quotas) < values:  # more values than counts: their counts were told earlier
            quotas = [quota + count for quota, count in zip(quotas, share_out(values, counts), strict=True)]
        for index, part in enumerate(share_out(values, quotas)):
            if part:
                found[index][bucket] = part
                quotas[index] -= part
    return found
