"""Which addresses a lab uses: chosen so that no route of this machine is shadowed.

In a dual-stack lab everything that has an IPv4 address also has the IPv6 address that ends with it: networks that are
free in IPv4 are free in IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from osmia.model.errors import ConfigError, LabError

__all__ = ["AddressPlan", "AddressPool", "choose_plan", "twin", "twin_network"]

_CHOICES = 64
_LONGEST_PREFIX = 30
_TWINS = IPv6Network("fd6f:736d:6961::/96")


def twin(address: IPv4Address) -> IPv6Address:
    """The IPv6 address of whatever has this IPv4 address in a dual-stack lab."""
    return _TWINS[int(address)]


def twin_network(network: IPv4Network) -> IPv6Network:
    """The IPv6 network of the twins of a network's addresses."""
    return IPv6Network((int(twin(network.network_address)), _TWINS.prefixlen + network.prefixlen))


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """The three networks of a lab and the addresses that have a fixed place in them."""

    pods: IPv4Network
    services: IPv4Network
    uplink: IPv4Network
    is_dual_stack: bool = False

    def both(self, address: IPv4Address) -> tuple[str, ...]:
        """An address as text, with its twin if this lab has twins."""
        return (str(address), str(twin(address))) if self.is_dual_stack else (str(address),)

    @property
    def host(self) -> IPv4Address:
        """This machine's end of the uplink: what pods call to reach host processes."""
        return self.uplink[1]

    @property
    def node(self) -> IPv4Address:
        """The node's address (its InternalIP)."""
        return self.uplink[2]

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's address, every pod's default route."""
        return self.pods[1]

    @property
    def kubernetes(self) -> IPv4Address:
        """VIP of the API server's Service."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """VIP of the cluster's name server."""
        return self.services[10]


def choose_plan(used: Iterable[IPv4Network], *, pods: str, services: str, uplink: str) -> AddressPlan:
    """The first plan that does not overlap a used network; `auto` leaves a network to choice, text fixes it.

    Raises:
        ConfigError: a fixed network is malformed or taken.
        LabError: no choice is free.
    """
    taken = [network for network in used if network.prefixlen]
    fixed = {
        field: _fixed(field, text, taken)
        for field, text in (("pod_cidr", pods), ("service_cidr", services), ("uplink_cidr", uplink))
        if text != "auto"
    }
    for candidate in _candidates():
        plan = AddressPlan(
            pods=fixed.get("pod_cidr", candidate.pods),
            services=fixed.get("service_cidr", candidate.services),
            uplink=fixed.get("uplink_cidr", candidate.uplink),
        )
        if not any(_overlaps(network, taken) for network in (plan.pods, plan.services, plan.uplink)):
            return plan
    raise LabError(
        "every network that the lab would choose overlaps a route of this machine",
        remedy="give --pod-cidr, --service-cidr and --uplink-cidr, or take down labs (`osmia lab down --all`)",
    )


def _candidates() -> Iterator[AddressPlan]:
    for number in range(_CHOICES):
        yield AddressPlan(
            pods=IPv4Network(f"10.244.{4 * number}.0/22"),
            services=IPv4Network(f"10.{96 + number}.0.0/16"),
            uplink=IPv4Network(f"10.243.0.{4 * number}/30"),
        )


def _overlaps(network: IPv4Network, taken: Iterable[IPv4Network]) -> bool:
    return any(network.overlaps(other) for other in taken)


def _fixed(field: str, text: str, taken: Iterable[IPv4Network]) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as exc:
        raise ConfigError(field, text, str(exc), remedy="give a network such as 10.244.0.0/22") from exc
    if network.prefixlen > _LONGEST_PREFIX:
        raise ConfigError(field, text, "too small", remedy="give at least a /30")
    if _overlaps(network, taken):
        raise ConfigError(field, text, "overlaps a route of this machine", remedy="choose another, or leave it on auto")
    return network


class AddressPool:
    """Hands out addresses of one network, the longest unused first so that a reuse comes late."""

    def __init__(self, network: IPv4Network, reserved: Iterable[IPv4Address]) -> None:
        self._network = network
        kept = set(reserved)
        self._free = dict.fromkeys(address for address in network.hosts() if address not in kept)

    def take(self) -> IPv4Address:
        """A free address.

        Raises:
            LabError: the network is used up.
        """
        if not self._free:
            raise LabError(f"no address is left in {self._network}", remedy="give a larger network")
        address = next(iter(self._free))
        del self._free[address]
        return address

    def give_back(self, address: IPv4Address) -> None:
        """Make an address available again, after all others."""
        if address in self._network:
            self._free[address] = None
