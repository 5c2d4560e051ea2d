"""Requests summed up: what each edge did per endpoint, status and ten seconds. Pure; time is passed in.

A request reaches this agent either as an event or as one more in a counter of its edge. Events are summed as columns.
What was only counted is shared out over the endpoints that events of the same edge showed in the same interval (or in
the last one that had any): errors over those that are errors, the others over the others, in proportion to what each
event stood for. So every sum over an edge is exact, and every endpoint's is an estimate whose error sampling theory
knows. Where nothing was ever seen of an edge, its endpoint is `UNCAPTURED`.
"""

from __future__ import annotations

import itertools
import typing
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from osmia.agent.requests import Endpoint, Group, Requests
from osmia.agent.shares import share_buckets, share_out
from osmia.model.histogram import MIDPOINTS_NS, buckets_of, lower_bound_ns
from osmia.model.request import UNCAPTURED
from osmia.model.window import WINDOW_S, EdgeKey, Window

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from osmia.agent.uncaptured import Uncaptured

__all__ = ["Windows"]

_WINDOW_NS = WINDOW_S * 1_000_000_000
_ROWS_MAX = 50_000
_LOG_ROWS = 65_536
_SLOT_BITS = 24
_EDGES_MAX = 16_384
_ENDPOINTS_PER_EDGE = 256
_MIDPOINTS = MIDPOINTS_NS.tolist()
_SUMMED = ("latency_ns", "request_bytes", "response_bytes", "weight")
_ENTRY = np.dtype([("slot", "<i8"), ("end_ns", "<u8"), *((name, "<u8") for name in _SUMMED)])


@dataclass(slots=True)
class _Sums:
    """One row of a window while it grows."""

    count: int = 0
    errors: int = 0
    latency_sum_ns: int = 0
    latency_max_ns: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    histogram: dict[int, int] = field(default_factory=dict)

    def extend(self, first_ns: int, last_ns: int) -> None:
        self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)

    def add_buckets(self, histogram: Mapping[int, int]) -> None:
        for bucket, count in histogram.items():
            self.histogram[bucket] = self.histogram.get(bucket, 0) + count


@dataclass(slots=True)
class _Share:
    """What events told of one endpoint of an edge in the interval: `weight` counts the requests they stand for."""

    endpoint: Endpoint
    events: int = 0
    weight: int = 0
    request_bytes: int = 0
    response_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """What one endpoint gets in one window: an estimate of its `weight`, bytes per request, then the exact counts."""

    start_s: int
    endpoint: Endpoint
    count: int
    histogram: Mapping[int, int]
    request_bytes: float
    response_bytes: float


class Windows:
    """Sums requests until `flush()` takes them away."""

    def __init__(self) -> None:
        self._slots: dict[tuple[Endpoint, int], int] = {}
        self._slot_list: list[tuple[Endpoint, int]] = []
        self._log: list[NDArray[np.void]] = []
        self._log_rows = 0
        self._sums: dict[tuple[int, int], _Sums] = {}
        self._interval: dict[int, _Share] = {}
        self._seen: OrderedDict[int, dict[bool, list[_Share]]] = OrderedDict()
        self.lost = 0
        """Requests that found no room for one more row."""
        self.out_of_scope = 0
        """Requests that were only counted, of edges that nobody wants to know of."""

    def add(self, requests: Requests) -> None:
        """Events, each of which is one request."""
        rows = requests.rows
        if not len(rows):
            return
        slots = np.array([self._slot(group.endpoint, group.pair.edge) for group in requests.groups], dtype=np.int64)
        entries = np.empty(len(rows), dtype=_ENTRY)
        entries["slot"] = slots[rows["group"]]
        entries["end_ns"] = rows["time_ns"] + rows["latency_ns"]
        for name in _SUMMED:
            entries[name] = rows[name]
        self._log.append(entries)
        self._log_rows += len(entries)
        if self._log_rows > _LOG_ROWS:
            self._compact()

    def add_bytes(self, group: Group, end_ns: int, *, request_bytes: int, response_bytes: int) -> None:
        """More bytes of a request that has been added already."""
        sums = self._sums_of(_window_of(end_ns), self._slot(group.endpoint, group.pair.edge))
        if sums is not None:
            sums.request_bytes += request_bytes
            sums.response_bytes += response_bytes
            sums.extend(end_ns, end_ns)

    def seen_edges(self) -> Container[int]:
        """Edges of which events have told something."""
        self._compact()
        self._remember()
        return self._seen

    def add_uncaptured(
        self,
        counted: Iterable[tuple[Uncaptured, int, int]],
        name: Callable[[Uncaptured], EdgeKey | None],
    ) -> None:
        """Requests that were only counted, each with the Unix ns between which they ended.

        `name` names an edge of which no event was ever seen; None leaves it out.
        """
        self._compact()
        self._remember()
        for one, since_ns, until_ns in counted:
            known = self._seen.get(one.key, {})
            spans = _spans(since_ns, until_ns)
            parts: list[_Part] = []
            for is_error, count, histogram in (
                (False, one.count - one.errors, one.histogram),
                (True, one.errors, one.error_histogram),
            ):
                if count <= 0 and not histogram:
                    continue
                shares = known.get(is_error) or _nameless(known, one, is_error=is_error, name=name)
                self.out_of_scope += 0 if shares else count
                parts += _parts(shares, spans, count, histogram)
            if not parts and (one.request_bytes or one.response_bytes):
                # More bytes of requests that were counted earlier.
                shares = known.get(False) or known.get(True) or _nameless(known, one, is_error=False, name=name)
                parts = [_Part(_window_of(until_ns), share.endpoint, 0, {}, 1, 1) for share in shares[:1]]
            self._add_parts(one, parts, since_ns, until_ns)

    def flush(self) -> list[Window]:
        """All windows that changed since the last flush, as parts to be added up."""
        self._compact()
        self._remember()
        windows = [
            Window(
                start_s,
                self._slot_list[slot][0].key,
                sums.count,
                sums.errors,
                sums.latency_sum_ns,
                sums.latency_max_ns,
                sums.request_bytes,
                sums.response_bytes,
                sums.first_ns,
                sums.last_ns,
                sums.histogram,
            )
            for (start_s, slot), sums in self._sums.items()
        ]
        self._sums = {}
        self._slots, self._slot_list = {}, []
        return windows

    # ---- events ----------------------------------------------------------------------------------------------------

    def _slot(self, endpoint: Endpoint, edge: int) -> int:
        key = (endpoint, edge)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = len(self._slot_list)
            self._slot_list.append(key)
        return slot

    def _sums_of(self, start_s: int, slot: int, *, count: int = 0) -> _Sums | None:
        """The row; None, and `count` requests lost, if there is no room for it."""
        sums = self._sums.get((start_s, slot))
        if sums is None:
            if len(self._sums) >= _ROWS_MAX:
                self.lost += count
                return None
            sums = self._sums[start_s, slot] = _Sums()
        return sums

    def _compact(self) -> None:
        """Sum up the events of the log, column by column."""
        if not self._log:
            return
        log = self._log[0] if len(self._log) == 1 else np.concatenate(self._log)
        self._log, self._log_rows = [], 0
        place = ((log["end_ns"] // _WINDOW_NS).astype(np.int64) << _SLOT_BITS) | log["slot"]
        places, first, inverse = np.unique(place, return_index=True, return_inverse=True)
        sums = {name: _added(inverse, log[name], len(places)) for name in _SUMMED}
        counts = np.bincount(inverse, minlength=len(places))
        latest, earliest = np.zeros(len(places), dtype=np.uint64), log["end_ns"][first]
        longest = np.zeros(len(places), dtype=np.uint64)
        np.maximum.at(latest, inverse, log["end_ns"])
        np.minimum.at(earliest, inverse, log["end_ns"])
        np.maximum.at(longest, inverse, log["latency_ns"])
        histograms = _histograms(inverse, log["latency_ns"])
        columns = [places, counts, *sums.values(), longest, earliest, latest]
        for index, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            self._add_place(values, histograms[index])

    def _add_place(self, values: tuple[int, ...], histogram: dict[int, int]) -> None:
        place, count, latency, request_bytes, response_bytes, weight, longest, earliest, latest = values
        slot = place & ((1 << _SLOT_BITS) - 1)
        sums = self._sums_of((place >> _SLOT_BITS) * WINDOW_S, slot, count=count)
        if sums is None:
            return
        endpoint, _ = self._slot_list[slot]
        sums.count += count
        sums.errors += count if endpoint.is_error else 0
        sums.latency_sum_ns += latency
        sums.latency_max_ns = max(sums.latency_max_ns, longest)
        sums.request_bytes += request_bytes
        sums.response_bytes += response_bytes
        sums.extend(earliest, latest)
        sums.add_buckets(histogram)
        share = self._interval.get(slot)
        if share is None:
            share = self._interval[slot] = _Share(endpoint)
        share.events += count
        share.weight += weight
        share.request_bytes += request_bytes
        share.response_bytes += response_bytes

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        """The endpoints of the interval stand for their edges until there are newer ones."""
        fresh: defaultdict[int, dict[bool, list[_Share]]] = defaultdict(dict)
        for slot, share in self._interval.items():
            fresh[self._slot_list[slot][1]].setdefault(share.endpoint.is_error, []).append(share)
        self._interval = {}
        for edge, strata in fresh.items():
            known = self._seen.setdefault(edge, {})
            for is_error, shares in strata.items():
                shares.sort(key=lambda share: -share.weight)
                known[is_error] = shares[:_ENDPOINTS_PER_EDGE]
            self._seen.move_to_end(edge)
        while len(self._seen) > _EDGES_MAX:
            self._seen.popitem(last=False)

    def _add_parts(self, one: Uncaptured, parts: Sequence[_Part], since_ns: int, until_ns: int) -> None:
        """Latency is shared out by what the buckets say, bytes by what the events had."""
        if not parts:
            return
        latencies = share_out(one.latency_sum_ns, [_estimated_ns(part) for part in parts])
        sent = share_out(one.request_bytes, [part.count * part.request_bytes for part in parts])
        received = share_out(one.response_bytes, [part.count * part.response_bytes for part in parts])
        for part, latency_ns, request_bytes, response_bytes in zip(parts, latencies, sent, received, strict=True):
            sums = self._sums_of(part.start_s, self._slot(part.endpoint, one.key), count=part.count)
            if sums is None:
                continue
            sums.count += part.count
            sums.errors += part.count if part.endpoint.is_error else 0
            sums.latency_sum_ns += latency_ns
            longest = max(part.histogram, default=0)
            sums.latency_max_ns = max(sums.latency_max_ns, lower_bound_ns(longest))
            sums.request_bytes += request_bytes
            sums.response_bytes += response_bytes
            start_ns = part.start_s * 1_000_000_000
            sums.extend(max(since_ns, start_ns), min(until_ns, start_ns + _WINDOW_NS - 1))
            sums.add_buckets(part.histogram)


def _nameless(
    known: Mapping[bool, Sequence[_Share]],
    one: Uncaptured,
    *,
    is_error: bool,
    name: Callable[[Uncaptured], EdgeKey | None],
) -> list[_Share]:
    """An endpoint for requests of which no event told anything; if one told of the other kind, its ends are taken."""
    others = known.get(not is_error)
    ends = others[0].endpoint.key if others else name(one)
    if ends is None:
        return []
    return [_Share(Endpoint(replace(ends, method="", template=UNCAPTURED, status=""), is_error), 1, 1)]


def _parts(
    shares: Sequence[_Share], spans: Sequence[tuple[int, float]], count: int, histogram: Mapping[int, int]
) -> list[_Part]:
    """`count` requests, each endpoint's in proportion to what its events left unsaid."""
    unsaid = [share.weight - share.events for share in shares]
    weights = unsaid if any(unsaid) else [share.events for share in shares]
    takers = [
        (start_s, share, weight * part)
        for share, weight in zip(shares, weights, strict=True)
        for start_s, part in spans
    ]
    counts = share_out(count, [weight for _, _, weight in takers])
    histograms = share_buckets(histogram, counts)
    return [
        _Part(
            start_s,
            share.endpoint,
            own,
            buckets,
            share.request_bytes / max(1, share.events),
            share.response_bytes / max(1, share.events),
        )
        for (start_s, share, _), own, buckets in zip(takers, counts, histograms, strict=True)
        if own or buckets
    ]


def _estimated_ns(part: _Part) -> int:
    return sum(_MIDPOINTS[bucket] * count for bucket, count in part.histogram.items()) or part.count


def _window_of(end_ns: int) -> int:
    return end_ns // _WINDOW_NS * WINDOW_S


def _spans(since_ns: int, until_ns: int) -> list[tuple[int, float]]:
    """The windows that an interval touches, each with its share of the time; at most a minute's."""
    since_ns = min(max(since_ns, until_ns - 6 * _WINDOW_NS), until_ns)
    if _window_of(since_ns) == _window_of(until_ns):
        return [(_window_of(until_ns), 1.0)]
    edges = [since_ns, *range((since_ns // _WINDOW_NS + 1) * _WINDOW_NS, until_ns, _WINDOW_NS), until_ns]
    whole = until_ns - since_ns
    return [(_window_of(begin), (end - begin) / whole) for begin, end in itertools.pairwise(edges)]


def _added(index: NDArray[np.int64], values: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Exact sums by index: `bincount` with weights would go through floating point."""
    sums = np.zeros(size, dtype=np.uint64)
    np.add.at(sums, index, values)
    return sums


def _histograms(index: NDArray[np.int64], latency_ns: NDArray[np.uint64]) -> defaultdict[int, dict[int, int]]:
    """Buckets and their counts by index."""
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    joint, counts = np.unique((index << 10) | buckets_of(latency_ns), return_counts=True)
    for place, bucket, count in zip((joint >> 10).tolist(), (joint & 1023).tolist(), counts.tolist(), strict=True):
        found[place][bucket] = count
    return found
