"""What happened, first as packed rows, then by the thousand in the tallies.

Counting in Python costs more than libcurl's own work for a request: a histogram and six phases are some forty
operations. So the hot path packs one row of raw times (0.4 us) and numpy does the arithmetic for all rows of a
twentieth of a second at once (0.1 us each): what readers see is never older than that.
"""

from __future__ import annotations

import resource
import struct
from typing import TYPE_CHECKING

import numpy as np

from osmia.load import tally
from osmia.load.tally import Phase, SampleFlag
from osmia.model.histogram import BUCKETS, buckets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["CAPACITY", "PACK", "ROW_BYTES", "Mark", "Records"]

CAPACITY = 8192
"""Rows until they must be counted."""


class Mark:
    """What a row says beside its numbers; plain integers, since joining members of an IntFlag costs 1 us."""

    FIRST = 1  # of its iteration: its lateness is the iteration's
    LAST = 2  # of its iteration
    HOP = 4  # an answer that was followed by another request of the same step: no answer of its own
    RETRIED = 8
    ASSERTION_FAILED = 16
    ITERATION_FAILED = 32
    ITERATION_ASSERTION_FAILED = 64
    HTTP2 = 128
    NAMED = 256  # the connection goes to a name, not to an address
    UNTIMED = 512  # a hop of a chain that failed in the end


ROW = np.dtype(
    [
        ("iteration", "<u8"),
        ("intended_ns", "<i8"),
        ("started_ns", "<i8"),  # of the first hop
        ("before_ns", "<i8"),  # service time of the hops before this one
        ("iteration_ns", "<i8"),  # LAST: service times of all steps of the iteration
        ("received_bytes", "<i8"),
        ("sent_bytes", "<i8"),
        ("total_us", "<u4"),
        ("first_us", "<u4"),  # from the start, as are all below
        ("posted_us", "<u4"),
        ("secured_us", "<u4"),
        ("connected_us", "<u4"),
        ("resolved_us", "<u4"),
        ("queued_us", "<u4"),
        ("connects", "<u2"),
        ("status", "<u2"),
        ("step", "<u2"),
        ("flags", "<u2"),
        ("failure", "<u2"),
        ("spare", "<u2"),
    ]
)
_FORMAT = struct.Struct("<Q6q7I5Hxx")
ROW_BYTES = _FORMAT.size
PACK = _FORMAT.pack_into
"""`PACK(buffer, offset, iteration, intended, ... failure)` in the order of `ROW`."""

_US = np.uint64(1000)
_LARGEST = 0xFFFFFFFF
_FLAGS = (
    (Mark.ASSERTION_FAILED, SampleFlag.ASSERTION_FAILED),
    (Mark.RETRIED, SampleFlag.RETRIED),
    (Mark.HTTP2, SampleFlag.HTTP2),
)
_PHASES = (Phase.DNS, Phase.CONNECT, Phase.TLS, Phase.REQUEST_WRITE, Phase.SERVER_PROCESSING, Phase.RESPONSE_READ)


class Records:
    """The rows that were not counted yet, and the block they are counted into."""

    def __init__(
        self, block: memoryview, *, is_open: bool, on_samples: Callable[[NDArray[np.void]], None] | None
    ) -> None:
        self.buffer = bytearray(ROW_BYTES * CAPACITY)
        self._rows = np.frombuffer(self.buffer, dtype=ROW)
        run, self.steps = tally.views(block)
        self.run = run[0]
        self._is_open = is_open
        self._on_samples = on_samples

    def count(self, rows: int) -> None:
        """Count the first `rows` rows; they may be written over afterwards."""
        if rows:
            taken = self._rows[:rows]
            if self._on_samples is not None:
                self._on_samples(_samples(taken))
            self._count_iterations(taken)
            for step in range(len(self.steps)):
                mine = taken[taken["step"] == step] if len(self.steps) > 1 else taken
                if len(mine):
                    _count_step(self.steps[step], mine)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.run["cpu_ns"] = int((usage.ru_utime + usage.ru_stime) * 1e9)

    def count_begun(self, begun: int, backlog: int, backlog_max: int) -> None:
        """Iterations that have begun, and those that are due and have not."""
        self.run["iterations_started"] = begun
        self.run["iterations_due"] = begun + backlog
        self.run["backlog"], self.run["backlog_max"] = backlog, backlog_max

    def count_in_flight(self, now: int, most: int) -> None:
        """Iterations that are under way."""
        self.run["in_flight"], self.run["in_flight_max"] = now, most

    def count_connections(self, now: int, most: int) -> None:
        """Connections that are open."""
        self.run["connections"], self.run["connections_max"] = now, most

    def count_cancelled(self) -> None:
        """An iteration that was ended between two requests."""
        self.run["iterations_finished"] += 1
        self.run["iterations_failed"] += 1

    def _count_iterations(self, rows: NDArray[np.void]) -> None:
        run = self.run
        starts = rows["started_ns"]
        ends = starts + rows["total_us"].astype(np.int64) * 1000
        run["first_ns"] = min(int(run["first_ns"]) or int(starts.min()), int(starts.min()))
        run["last_ns"] = max(int(run["last_ns"]), int(ends.max()))
        opened = int(rows["connects"][rows["connected_us"] > 0].sum())
        run["connections_opened"] += opened
        run["handshakes"] += int(((rows["connects"] > 0) & (rows["secured_us"] > 0)).sum())
        if self._is_open:
            first = rows[(rows["flags"] & Mark.FIRST) > 0]
            _add(run["lag"], np.maximum(first["started_ns"] - first["intended_ns"], 0))
        last = rows[(rows["flags"] & Mark.LAST) > 0]
        if not len(last):
            return
        durations = last["iteration_ns"]
        _add(run["iterations"], durations)
        _extend(run, "iteration_min_ns", "iteration_max_ns", durations)
        flags = last["flags"]
        is_failed = (flags & Mark.ITERATION_FAILED) > 0
        is_asserted = ~is_failed & ((flags & Mark.ITERATION_ASSERTION_FAILED) > 0)
        is_good = ~is_failed & ~is_asserted
        run["iterations_finished"] += len(last)
        run["iterations_failed"] += int(is_failed.sum())
        run["iterations_assertion_failed"] += int(is_asserted.sum())
        run["iterations_succeeded"] += int(is_good.sum())
        run["succeeded_ns"] += int(durations[is_good].sum())


def _count_step(step: np.void, rows: NDArray[np.void]) -> None:
    is_hop = (rows["flags"] & Mark.HOP) > 0
    is_failed = rows["failure"] > 0
    is_final = ~is_hop & ~is_failed
    step["redirects"] += int(is_hop.sum())
    step["retried"] += int(((rows["flags"] & Mark.RETRIED) > 0).sum())
    step["sent_bytes"] += int(rows["sent_bytes"].sum())
    step["received_bytes"] += int(rows["received_bytes"].sum())
    if is_failed.any():
        step["failed"] += int(is_failed.sum())
        step["errors"] += np.bincount(rows["failure"][is_failed], minlength=64).astype(np.uint64)
    is_timed = ~is_failed & ((rows["flags"] & Mark.UNTIMED) == 0)
    timed = rows[is_timed]
    if not len(timed):
        return
    step["reused"] += int((timed["connects"] == 0).sum())
    phases = _phases(timed)
    answers = rows[is_final]
    totals = phases[Phase.TOTAL][is_final[is_timed]]
    if len(answers):
        _count_answers(step, answers, totals)
    is_new = timed["connects"] > 0
    counts = step["phase_count"]
    counts[Phase.DNS] += int((is_new & ((timed["flags"] & Mark.NAMED) > 0)).sum())
    counts[Phase.CONNECT] += int(is_new.sum())
    counts[Phase.TLS] += int((is_new & (timed["secured_us"] > 0)).sum())
    for phase in (Phase.WAIT, Phase.REQUEST_WRITE, Phase.SERVER_PROCESSING, Phase.RESPONSE_READ, Phase.TOTAL):
        counts[phase] += len(answers)
    step["phase_ns"] += phases.sum(axis=1)


def _count_answers(step: np.void, answers: NDArray[np.void], totals_ns: NDArray[np.uint64]) -> None:
    service = totals_ns.astype(np.int64) + answers["before_ns"]
    late = np.maximum(answers["started_ns"] - answers["intended_ns"], 0)
    response = service + late + answers["queued_us"].astype(np.int64) * 1000
    step["answered"] += len(answers)
    step["assertion_failed"] += int(((answers["flags"] & Mark.ASSERTION_FAILED) > 0).sum())
    step["statuses"] += np.bincount(np.minimum(answers["status"], tally.STATUSES - 1), minlength=tally.STATUSES).astype(
        np.uint64
    )
    _add(step["service"], service)
    _add(step["response"], response)
    _extend(step, "service_min_ns", "service_max_ns", service)
    step["response_max_ns"] = max(int(step["response_max_ns"]), int(response.max()))


def _phases(rows: NDArray[np.void]) -> NDArray[np.uint64]:
    """Each phase in ns, shape (8, rows). Moments are made ascending, so that the phases add up to the total."""
    queued = rows["queued_us"]
    total, first, posted, secured, connected, resolved = (
        np.maximum(rows[name], queued) - queued
        for name in ("total_us", "first_us", "posted_us", "secured_us", "connected_us", "resolved_us")
    )
    is_new = rows["connects"] > 0
    is_named = is_new & ((rows["flags"] & Mark.NAMED) > 0)
    first = np.minimum(first, total)
    t_resolved = np.minimum(np.where(is_named, resolved, 0), first)
    t_connected = np.clip(np.where(is_new, connected, 0), t_resolved, first)
    t_secured = np.clip(np.where(is_new, secured, 0), t_connected, first)
    t_posted = np.clip(posted, t_secured, first)
    phases = np.zeros((len(Phase), len(rows)), dtype=np.uint64)
    ends = (t_resolved, t_connected, t_secured, t_posted, first, total)
    begun: NDArray[np.uint32] = np.zeros(len(rows), dtype=np.uint32)
    for phase, end in zip(_PHASES, ends, strict=True):
        phases[phase] = (end - begun).astype(np.uint64) * _US
        begun = end
    phases[Phase.TOTAL] = total.astype(np.uint64) * _US
    late = np.where((rows["flags"] & Mark.HOP) > 0, 0, np.maximum(rows["started_ns"] - rows["intended_ns"], 0))
    phases[Phase.WAIT] = late.astype(np.uint64) + queued.astype(np.uint64) * _US
    return phases


def _samples(rows: NDArray[np.void]) -> NDArray[np.void]:
    """One row of `tally.SAMPLE` for each request of a step: hops are added to the row that they stand before."""
    is_last = (rows["flags"] & Mark.HOP) == 0
    chain = np.cumsum(is_last) - is_last
    last = rows[is_last]
    samples = np.zeros(len(last), dtype=tally.SAMPLE)
    for name in ("iteration", "step", "status", "failure", "intended_ns"):
        samples[name] = last[name]
    phases = np.zeros((len(last), len(Phase)), dtype=np.uint64)
    np.add.at(phases, chain, _phases(rows).T)
    received = np.zeros(len(last), dtype=np.int64)
    np.add.at(received, chain, rows["received_bytes"])
    samples["phase_ns"] = np.minimum(phases, _LARGEST)
    samples["received_bytes"] = np.minimum(received, _LARGEST)
    started = last["started_ns"] + last["queued_us"].astype(np.int64) * 1000
    samples["started_ns"] = started
    samples["ended_ns"] = started + phases[:, Phase.TOTAL].astype(np.int64)
    is_reused = (last["failure"] == 0) & (last["connects"] == 0)
    flags = np.where(is_reused, int(SampleFlag.REUSED), 0)
    for mark, flag in _FLAGS:
        flags |= np.where((last["flags"] & mark) > 0, int(flag), 0)
    samples["flags"] = flags
    return samples


def _add(histogram: NDArray[np.uint64], ns: NDArray[np.int64]) -> None:
    histogram += np.bincount(buckets_of(ns.astype(np.uint64)), minlength=BUCKETS).astype(np.uint64)


def _extend(row: np.void, smallest: str, largest: str, ns: NDArray[np.int64]) -> None:
    """Keep a minimum (0 is none yet) and a maximum."""
    low = max(int(ns.min()), 1)
    row[smallest] = min(int(row[smallest]) or low, low)
    row[largest] = max(int(row[largest]), int(ns.max()))
