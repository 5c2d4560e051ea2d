"""How many batches are handled at once."""

from __future__ import annotations

import pytest

from osmia.server.ingest.admission import Admission
from osmia.server.ingest.errors import NotStoredError
from osmia.server.metrics import ServerMetrics

pytestmark = pytest.mark.anyio


async def test_a_full_house_refuses_and_counts() -> None:
    """One too many is told to come back; leaving makes room."""
    metrics = ServerMetrics()
    admission = Admission(metrics, limit=1)

    with admission.enter(), pytest.raises(NotStoredError), admission.enter():
        pass
    with admission.enter():
        refused = metrics.value("ingest_rejected", cause="too_many_posts")

    assert refused == 1
