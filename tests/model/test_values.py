"""Addresses and entities as text."""

from __future__ import annotations

import ipaddress

import pytest

from osmia.model.entity import Entity, EntityKind
from osmia.model.request import Address


@pytest.mark.parametrize(
    ("ip", "port", "text"),
    [
        ("::ffff:10.0.0.1", 80, "10.0.0.1:80"),
        ("2001:db8::1", 443, "[2001:db8::1]:443"),
        ("::1", 1, "[::1]:1"),
        ("::ffff:0.0.0.0", 65535, "0.0.0.0:65535"),
    ],
)
def test_address_from_the_kernel_reads_as_people_write_it(ip: str, port: int, text: str) -> None:
    """Sixteen bytes become IPv4 or IPv6 text, IPv6 in brackets where a port follows."""
    assert str(Address.from_bytes(ipaddress.IPv6Address(ip).packed, port)) == text


@pytest.mark.parametrize(
    ("entity", "text"),
    [
        (Entity(EntityKind.DEPLOYMENT, "shop", "store", pod="shop-1"), "Deployment/store/shop"),
        (Entity(EntityKind.EXTERNAL, "203.0.113.7"), "External//203.0.113.7"),
    ],
)
def test_entity_id_names_the_workload_only(entity: Entity, text: str) -> None:
    """Kind, namespace and name make the id; pod and address do not."""
    assert entity.id == text
