"""How the agent finds its API server and is let in."""

from __future__ import annotations

import pytest

from osmia.agent.entities.client import KubernetesClient, RefusedError
from osmia.lab.apiserver import ApiServer

pytestmark = pytest.mark.anyio


async def test_refusal_carries_code_message_and_pause(api: ApiServer, client: KubernetesClient) -> None:
    """An error answer becomes an error with what the server said."""
    api.faults.fail(429, retry_after_s=7)

    with pytest.raises(RefusedError) as refused:
        await client.get("/api/v1/pods", {})
    assert (refused.value.code, refused.value.retry_after_s) == (429, 7.0)
    assert "ordered to fail with 429" in str(refused.value)
