"""Service VIPs as one nftables table per address family, rendered whole from the Services and their ready endpoints.

A map from (address, protocol, port) jumps to a Service's chain, which picks an endpoint at random per connection;
the endpoint's chain does the DNAT. A pod that reaches itself through a VIP must not see its own address as the
client's (it would answer itself directly), so such connections are marked and masqueraded, as kube-proxy does.
What still has a Service address when it is forwarded has no endpoint, and is refused at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from osmia.lab.network.node import NodeNetwork
from osmia.lab.network.plan import twin_network

__all__ = ["Backend", "Vip", "apply", "render", "vips_of"]

Object = dict[str, Any]

_TABLE = "osmia"
_HAIRPIN_MARK = "0x4000"
_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """One endpoint of a Service's port."""

    address: str
    port: int

    @property
    def is_v6(self) -> bool:
        """Whether it has an IPv6 address."""
        return ":" in self.address

    @property
    def target(self) -> str:
        """Address and port as one text."""
        return f"[{self.address}]:{self.port}" if self.is_v6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Vip:
    """One port of a Service: every address of one family that it is reached by, and the endpoints behind it."""

    service: str
    addresses: tuple[str, ...]
    protocol: str
    port: int
    node_port: int | None
    backends: tuple[Backend, ...]

    @property
    def is_v6(self) -> bool:
        """Whether its addresses are IPv6."""
        return any(":" in address for address in self.addresses)

    @property
    def chain(self) -> str:
        """Name of its chain."""
        return "svc-" + _digest(f"{self.service}/{self.protocol}/{self.port}")


def vips_of(services: Iterable[Object], slices: Iterable[Object]) -> list[Vip]:
    """The VIPs that Services and their EndpointSlices ask for, one per port and address family, in a stable order."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for one in slices:
        metadata = one["metadata"]
        name = (metadata.get("labels") or {}).get(_SERVICE_NAME, "")
        by_service.setdefault((metadata["namespace"], name), []).append(one)
    vips: list[Vip] = []
    for service in services:
        metadata = service["metadata"]
        addresses = _addresses(service)
        if not addresses:
            continue
        own = by_service.get((metadata["namespace"], metadata["name"]), [])
        vips += [
            Vip(
                service=f"{metadata['namespace']}/{metadata['name']}",
                addresses=of_family,
                protocol=port.get("protocol", "TCP").lower(),
                port=port["port"],
                node_port=port.get("nodePort"),
                backends=tuple(sorted({one for one in _backends(own, port.get("name", "")) if one.is_v6 == is_v6})),
            )
            for port in service["spec"].get("ports", [])
            for is_v6 in (False, True)
            if (of_family := tuple(one for one in addresses if (":" in one) == is_v6))
        ]
    return sorted(vips, key=lambda vip: (vip.service, vip.protocol, vip.port, vip.is_v6))


def render(vips: Sequence[Vip], services: IPv4Network) -> str:
    """The nft script that replaces the tables of both families in one transaction."""
    v4, v6 = ([vip for vip in vips if vip.is_v6 is is_v6] for is_v6 in (False, True))
    return _table("ip", v4, services) + _table("ip6", v6, twin_network(services))


def _table(family: str, vips: Sequence[Vip], services: IPv4Network | IPv6Network) -> str:
    served = [vip for vip in vips if vip.backends]
    by_address = {f"{address} . {vip.protocol} . {vip.port}": vip.chain for vip in served for address in vip.addresses}
    by_node_port = {f"{vip.protocol} . {vip.node_port}": vip.chain for vip in served if vip.node_port}
    chains = [chain for vip in served for chain in _service_chains(vip)]
    dispatch = (
        f"{family} daddr . meta l4proto . th dport vmap @vips\n"
        "    fib daddr type local meta l4proto . th dport vmap @ports"
    )
    masquerade = f"ct mark {_HAIRPIN_MARK} masquerade"
    address = "ipv6_addr" if family == "ip6" else "ipv4_addr"
    lines = [
        f"table {family} {_TABLE} {{ }}",
        f"delete table {family} {_TABLE}",
        f"table {family} {_TABLE} {{",
        f"  map vips {{ type {address} . inet_proto . inet_service : verdict; {_elements(by_address)} }}",
        f"  map ports {{ type inet_proto . inet_service : verdict; {_elements(by_node_port)} }}",
        *chains,
        f"  chain prerouting {{\n    type nat hook prerouting priority -100;\n    {dispatch}\n  }}",
        f"  chain output {{\n    type nat hook output priority -100;\n    {dispatch}\n  }}",
        f"  chain postrouting {{\n    type nat hook postrouting priority 100;\n    {masquerade}\n  }}",
        f"  chain forward {{\n    type filter hook forward priority 0;\n    {family} daddr {services} reject\n  }}",
        "}",
    ]
    return "\n".join(lines) + "\n"


async def apply(network: NodeNetwork, vips: Sequence[Vip]) -> None:
    """Make a node's table say what the VIPs say.

    Raises:
        LabError: nft refused it.
    """
    await network.run("nft", "-f", "-", text=render(vips, network.plan.services))


def _addresses(service: Object) -> tuple[str, ...]:
    spec = service["spec"]
    cluster_ip = spec.get("clusterIP")
    if not cluster_ip or cluster_ip == "None":
        return ()
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    balanced = [one["ip"] for one in ingress if one.get("ip")]
    return (*(spec.get("clusterIPs") or [cluster_ip]), *balanced, *spec.get("externalIPs", []))


def _backends(slices: Iterable[Object], port_name: str) -> Iterable[Backend]:
    for one in slices:
        ports = [port["port"] for port in one.get("ports") or [] if port.get("name", "") == port_name]
        for endpoint in one.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from (Backend(address, port) for address in endpoint["addresses"] for port in ports)


def _service_chains(vip: Vip) -> list[str]:
    endpoints = [(f"ep-{_digest(f'{vip.chain}/{one.target}')}", one) for one in vip.backends]
    chains = [
        f"  chain {name} {{\n    {'ip6' if one.is_v6 else 'ip'} saddr {one.address} ct mark set {_HAIRPIN_MARK}\n"
        f"    meta l4proto {vip.protocol} dnat to {one.target}\n  }}"
        for name, one in endpoints
    ]
    choices = ", ".join(f"{number} : goto {name}" for number, (name, _) in enumerate(endpoints))
    chains.append(
        f'  chain {vip.chain} {{\n    comment "{vip.service}:{vip.port}"\n'
        f"    numgen random mod {len(endpoints)} vmap {{ {choices} }}\n  }}"
    )
    return chains


def _elements(chains: Mapping[str, str]) -> str:
    if not chains:
        return ""
    return "elements = { " + ", ".join(f"{key} : goto {chain}" for key, chain in chains.items()) + " };"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
