"""Virtual addresses of Services, of one family or both."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.lab.apiserver import ApiServer
from tests.lab.apiserver.world import service


@pytest.mark.parametrize(
    ("spec", "ips", "families"),
    [
        ({}, ["10.96.0.11"], ["IPv4"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["10.96.0.11", "six-10.96.0.11:"], ["IPv4", "IPv6"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["10.96.0.11", "six-10.96.0.11:"], ["IPv4", "IPv6"]),
        ({"ipFamilies": ["IPv6"]}, ["six-10.96.0.11:"], ["IPv6"]),
        ({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"}, ["None"], ["IPv4", "IPv6"]),
    ],
    ids=["one family", "both if there are", "both", "the second alone", "headless"],
)
def test_families_of_a_service(spec: dict[str, Any], ips: list[str], families: list[str]) -> None:
    """A Service gets the addresses that it asks for, and keeps them when it is changed."""
    api = ApiServer(second_ip=lambda ip: f"six-{ip}:")

    made = api.create("services", service(**spec))
    changed = api.patch("services", "default", "web", {"metadata": {"labels": {"a": "b"}}})

    assert (made["spec"]["clusterIPs"], made["spec"]["ipFamilies"]) == (ips, families)
    assert changed["spec"]["clusterIPs"] == ips
    assert made["spec"]["clusterIP"] == ips[0]


def test_a_server_of_one_family_gives_one_address() -> None:
    """Without a second family `PreferDualStack` gets what there is."""
    made = ApiServer().create("services", service(ipFamilyPolicy="PreferDualStack"))

    assert (made["spec"]["clusterIPs"], made["spec"]["ipFamilies"]) == (["10.96.0.11"], ["IPv4"])
