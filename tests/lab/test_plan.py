"""The addresses of a lab."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from osmia.lab.network.plan import AddressPlan, AddressPool, choose_plan, twin, twin_network
from osmia.model.errors import ConfigError, LabError

AUTO = {"pods": "auto", "services": "auto", "uplink": "auto"}


def test_the_first_plan_is_the_usual_one() -> None:
    """With nothing in the way, pods and Services have the addresses every tutorial uses."""
    plan = choose_plan([], **AUTO)

    assert (str(plan.pods), str(plan.services), str(plan.uplink)) == ("10.244.0.0/22", "10.96.0.0/16", "10.243.0.0/30")
    assert (str(plan.gateway), str(plan.dns), str(plan.kubernetes)) == ("10.244.0.1", "10.96.0.10", "10.96.0.1")
    assert (str(plan.host), str(plan.node)) == ("10.243.0.1", "10.243.0.2")


def test_a_twin_ends_with_the_address_it_belongs_to() -> None:
    """Networks that do not overlap in IPv4 do not overlap in IPv6, and every address has one twin."""
    pods, address = IPv4Network("10.244.0.0/22"), IPv4Address("10.244.0.2")
    single = choose_plan([], **AUTO)
    dual = AddressPlan(single.pods, single.services, single.uplink, is_dual_stack=True)

    assert str(twin(address)) == "fd6f:736d:6961::af4:2"
    assert twin(address) in twin_network(pods)
    assert twin(IPv4Address("10.244.4.1")) not in twin_network(pods)
    assert dual.both(address) == ("10.244.0.2", "fd6f:736d:6961::af4:2")
    assert single.both(address) == ("10.244.0.2",)


@pytest.mark.parametrize("used", ["10.244.2.0/24", "10.96.0.0/12", "10.243.0.0/30"])
def test_a_taken_network_is_avoided(used: str) -> None:
    """A plan never overlaps a route that is there."""
    taken = IPv4Network(used)

    plan = choose_plan([taken], **AUTO)

    assert not any(network.overlaps(taken) for network in (plan.pods, plan.services, plan.uplink))


def test_the_default_route_takes_nothing() -> None:
    """0.0.0.0/0 overlaps everything and stands in no one's way."""
    assert choose_plan([IPv4Network("0.0.0.0/0")], **AUTO).pods == IPv4Network("10.244.0.0/22")


def test_without_a_free_network_the_remedy_is_named() -> None:
    """When every choice is taken, the error names the options that help."""
    with pytest.raises(LabError, match="--pod-cidr"):
        choose_plan([IPv4Network("10.0.0.0/8")], **AUTO)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("10.1.0.0/33", "not a valid netmask"), ("10.1.0.0/31", "too small"), ("10.9.1.0/24", "overlaps")],
)
def test_a_bad_fixed_network_is_refused(text: str, problem: str) -> None:
    """A network given by hand is checked; the error names field and value."""
    with pytest.raises(ConfigError, match=problem) as caught:
        choose_plan([IPv4Network("10.9.0.0/16")], pods=text, services="auto", uplink="auto")

    assert (caught.value.field, caught.value.value) == ("pod_cidr", text)


def test_addresses_are_reused_as_late_as_possible() -> None:
    """An address that came back is handed out after all others."""
    pool = AddressPool(IPv4Network("10.1.0.0/29"), reserved=[IPv4Address("10.1.0.1")])
    first = pool.take()
    pool.give_back(first)

    rest = [pool.take() for _ in range(5)]

    assert rest[-1] == first
    with pytest.raises(LabError, match="no address is left"):
        pool.take()
