"""How much load this machine can be expected to make, and the question that is asked when more is planned.

Nothing is refused: a ceiling is a guess from the number of cores, descriptors and ports, and whoever knows better
says `--yes`. The question is asked at a terminal only; elsewhere the same words are a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from osmia.load.plan import Plan
from osmia.load.shape import planned

__all__ = ["Machine", "warnings"]

_REQUESTS_PER_CORE: Final = {"core": 50_000.0, "curl": 15_000.0}
"""Requests a second and core, with the target elsewhere: half of what was measured, for real steps cost more."""
_SPARE_DESCRIPTORS: Final = 100


@dataclass(frozen=True, slots=True)
class Machine:
    """What limits a generator: cores, open files of a process, local ports for one target."""

    cores: int
    descriptors: int
    ports: int

    @property
    def connections(self) -> int:
        """Connections that one target can be given from here."""
        return max(1, min(self.descriptors * self.cores - _SPARE_DESCRIPTORS, self.ports))


def warnings(plan: Plan, machine: Machine, transport: str) -> list[str]:
    """What of the plan is more than this machine can be expected to do, with what to do about it; empty: nothing."""
    whole = planned(plan.shape)
    found = []
    ceiling_per_s = machine.cores * _REQUESTS_PER_CORE[transport]
    requests_per_s = (whole.peak_per_s or 0) * len(plan.steps)
    if requests_per_s > ceiling_per_s:
        found.append(
            f"{requests_per_s:,.0f} requests a second are planned; {machine.cores} cores make about"
            f" {ceiling_per_s:,.0f} - use more cores or a lower rate; what is missed will be said"
        )
    users = whole.peak_users or 0
    if users > machine.connections:
        found.append(
            f"{users:,} users at once are planned; {machine.connections:,} connections can be open here"
            " - raise `ulimit -n` and net.ipv4.ip_local_port_range"
        )
    return found
