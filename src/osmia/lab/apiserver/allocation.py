"""Which Service has which virtual address and node port: handed out on creation, given back on deletion."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from osmia.lab.apiserver.errors import invalid
from osmia.lab.apiserver.resources import RESOURCES

__all__ = ["ServiceAddresses"]

_NODE_PORTS = range(30_000, 32_768)
_SERVICES = RESOURCES["services"]


class ServiceAddresses:
    """The pool of cluster IPs (one network, IPv4 or IPv6) and of node ports.

    `second` makes of a cluster IP the one of the other family for Services that ask for both; None: they get one.
    """

    def __init__(self, network: str, second: Callable[[str], str] | None = None) -> None:
        self._network = ipaddress.ip_network(network)
        self._second = second
        self._ips: set[str] = set()
        self._ports: set[int] = set()

    def claim(self, obj: dict[str, Any], old: dict[str, Any] | None = None) -> None:
        """Give a Service the addresses it lacks, in place; asked-for ones are taken if free, `old`'s are kept.

        Raises:
            ApiError: 422, an asked-for address is taken or the pool is empty.
        """
        spec = obj["spec"]
        if spec["type"] == "ExternalName":
            return
        before = old["spec"] if old else {}
        if "clusterIP" not in spec and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if spec.get("clusterIP") != before.get("clusterIP") or not before.get("clusterIP"):
            self._claim_ip(obj)
        self._claim_families(spec)
        if spec["type"] in {"NodePort", "LoadBalancer"}:
            self._claim_ports(obj, before)

    def _claim_families(self, spec: dict[str, Any]) -> None:
        """Both families, the second one alone if `ipFamilies` names only that, or one."""
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        cluster_ip = spec["clusterIP"]
        if self._second is None or (spec["ipFamilyPolicy"] == "SingleStack" and spec.get("ipFamilies") != ["IPv6"]):
            spec["clusterIPs"] = [cluster_ip]
            spec["ipFamilies"] = ["IPv6" if ":" in cluster_ip else "IPv4"]
        elif spec["ipFamilyPolicy"] == "SingleStack":
            spec["clusterIP"] = cluster_ip if ":" in cluster_ip or cluster_ip == "None" else self._second(cluster_ip)
            spec["clusterIPs"] = [spec["clusterIP"]]
        else:
            other = "None" if cluster_ip == "None" else self._second(cluster_ip)
            spec["clusterIPs"] = list(dict.fromkeys((cluster_ip, other)))
            spec["ipFamilies"] = ["IPv4", "IPv6"]

    def release(self, obj: dict[str, Any]) -> None:
        """Take back what a deleted Service had."""
        spec = obj.get("spec", {})
        self._ips.discard(spec.get("clusterIP", ""))
        self._ports.difference_update(port.get("nodePort", 0) for port in spec.get("ports", []))

    def _claim_ip(self, obj: dict[str, Any]) -> None:
        spec = obj["spec"]
        asked = spec.get("clusterIP", "")
        if asked == "None":
            return
        if asked in self._ips:
            raise invalid(_SERVICES, obj["metadata"]["name"], [("spec.clusterIPs", f"{asked}: is already allocated")])
        chosen = asked or next((str(ip) for ip in self._candidates() if str(ip) not in self._ips), "")
        if not chosen:
            raise invalid(_SERVICES, obj["metadata"]["name"], [("spec.clusterIPs", "the range is full")])
        self._ips.add(chosen)
        spec["clusterIP"] = chosen

    def _candidates(self) -> Any:  # noqa: ANN401 - IPv4Address or IPv6Address
        hosts = iter(self._network.hosts())
        for _ in range(10):  # the first ten are for well-known Services (API server, DNS)
            next(hosts, None)
        return hosts

    def _claim_ports(self, obj: dict[str, Any], before: dict[str, Any]) -> None:
        had = {(port.get("name", ""), port["port"]): port.get("nodePort") for port in before.get("ports", [])}
        for port in obj["spec"].get("ports", []):
            old = had.get((port.get("name", ""), port["port"]))
            asked = port.get("nodePort") or old
            if asked and asked != old and asked in self._ports:
                causes = [("spec.ports[].nodePort", f"{asked}: provided port is already allocated")]
                raise invalid(_SERVICES, obj["metadata"]["name"], causes)
            port["nodePort"] = asked or next(number for number in _NODE_PORTS if number not in self._ports)
            self._ports.add(port["nodePort"])
