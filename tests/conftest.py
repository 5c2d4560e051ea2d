"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Two busy cores make any single example slow now and then; the timeout of each test is the limit that counts.
settings.register_profile("osmia", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("osmia")
