"""The agent's numbers beside the applications' own books, from system call to exported window."""

from __future__ import annotations

import pytest

from osmia.agent.events import LEDGER_CAUSES
from tests.truth.world import Scale, compare, run

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(180)]


def test_every_edge_equals_its_applications_books() -> None:
    """Counts, statuses and errors of 21 edges from both ends are exact, p50 and p95 within 5 %, and nothing is lost."""
    outcome = run(Scale(requests=8_000, statements=1_600))

    assert compare(outcome, tolerance=0.05) == []
    assert {cause: outcome.ledger.get(cause, 0) for cause in LEDGER_CAUSES} == dict.fromkeys(LEDGER_CAUSES, 0)
    assert outcome.events == 2 * 9_600


def test_a_ring_far_too_small_loses_events_and_no_counts() -> None:
    """With a ring of one page counts, errors and latencies stay exact, and the ledger equals the events missing.

    Equals, but for the requests of others on this machine, which the ledger counts too.
    """
    outcome = run(Scale(requests=8_000, statements=1_600, ring_kib=4))
    missing = 2 * 9_600 - outcome.events
    others = outcome.ledger["seen"] - 2 * 9_600

    assert compare(outcome, tolerance=0.05) == []
    assert missing > 0
    assert 0 <= outcome.ledger["ring_full"] - missing <= others
