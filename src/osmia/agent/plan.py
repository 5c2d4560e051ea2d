"""What the kernel is asked for: the one place where what sampling wants and what the governor allows come together."""

from __future__ import annotations

from osmia.agent.events import Feature
from osmia.agent.governor import Limits
from osmia.agent.kernel.capture import Control

__all__ = ["ALL_FEATURES", "control_for"]

ALL_FEATURES = Feature.HTTP | Feature.POSTGRES | Feature.STREAMS | Feature.DNS


def control_for(limits: Limits, *, sample_every: int = 1, sample_notable_every: int = 1) -> Control:
    """The coarser of both in everything."""
    features = ALL_FEATURES if limits.has_streams else Feature.HTTP | Feature.POSTGRES
    return Control(
        sample_every=limits.sampling(sample_every),
        sample_notable_every=limits.notable_sampling(sample_notable_every),
        payload_bytes=limits.payload_bytes,
        features=features,
    )
