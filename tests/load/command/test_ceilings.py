"""More than the machine can be expected to do is told, with what to do about it."""

from __future__ import annotations

from osmia.load.ceilings import Machine, warnings
from osmia.load.flags import Flags, plan_of

MACHINE = Machine(cores=2, descriptors=1024, ports=28_000)


def test_what_fits_is_not_mentioned() -> None:
    """The reference story's load is nothing to speak of."""
    assert warnings(plan_of(Flags(target="http://a/", count=1000)), MACHINE, "core") == []
    assert warnings(plan_of(Flags(target="http://a/", vus=1948)), MACHINE, "core") == []


def test_a_rate_beyond_the_cores_is_told() -> None:
    """The ceiling depends on who sends."""
    plan = plan_of(Flags(target="http://a/", stages="10s:50000/s,10s:0/s"))

    assert warnings(plan, MACHINE, "core") == []
    (told,) = warnings(plan, MACHINE, "curl")
    assert told.startswith("50,000 requests a second are planned; 2 cores make about 30,000 - ")


def test_users_beyond_the_descriptors_are_told() -> None:
    """Each user needs a connection, which needs a descriptor and a port."""
    (told,) = warnings(plan_of(Flags(target="http://a/", vus=1949)), MACHINE, "core")

    assert told.startswith("1,949 users at once are planned; 1,948 connections can be open here - raise `ulimit -n`")


def test_ports_limit_connections_too() -> None:
    """However many descriptors there are, one target can be given as many connections as there are local ports."""
    assert Machine(cores=64, descriptors=1 << 20, ports=28_000).connections == 28_000
