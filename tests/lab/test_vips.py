"""Services as nftables rules and as DNS names."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.lab.network.dns import NameServer, zone_of
from osmia.lab.network.vips import Backend, render, vips_of

SERVICES = IPv4Network("10.96.0.0/16")


def service(name: str, ip: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - manifest fields
    """A Service with one port named http."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"clusterIP": ip, "ports": ports, **spec}}


def endpoints(name: str, *ready: tuple[str, bool]) -> dict[str, Any]:
    """Its EndpointSlice, port 8080."""
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": is_ready}} for ip, is_ready in ready],
    }


def test_only_ready_endpoints_stand_behind_a_vip() -> None:
    """An endpoint that is not ready gets no traffic."""
    slices = [endpoints("web", ("10.244.0.2", True), ("10.244.0.3", False))]

    (vip,) = vips_of([service("web", "10.96.0.20")], slices)

    assert vip.backends == (Backend("10.244.0.2", 8080),)


def test_a_vip_has_every_address_of_its_service() -> None:
    """Cluster IP, load balancer and node port all lead to the same chain."""
    balanced = service("web", "10.96.0.20")
    balanced["spec"]["ports"][0]["nodePort"] = 30080
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "10.96.255.1"}]}}

    vips = vips_of([balanced], [endpoints("web", ("10.244.0.2", True))])
    script = render(vips, SERVICES)

    chain = vips[0].chain
    for element in ("10.96.0.20 . tcp . 80", "10.96.255.1 . tcp . 80", "tcp . 30080"):
        assert f"{element} : goto {chain}" in script


def test_the_rules_choose_at_random_and_masquerade_hairpins() -> None:
    """Each endpoint is one of N at random, and a pod that meets itself is marked."""
    script = render(
        vips_of([service("web", "10.96.0.20")], [endpoints("web", ("10.244.0.2", True), ("10.244.0.3", True))]),
        SERVICES,
    )

    assert "numgen random mod 2 vmap" in script
    assert "ip saddr 10.244.0.3 ct mark set 0x4000" in script
    assert "dnat to 10.244.0.3:8080" in script
    assert "ct mark 0x4000 masquerade" in script


def test_a_service_without_endpoints_has_no_chain() -> None:
    """Nothing leads anywhere; the forward chain refuses the address."""
    script = render(vips_of([service("web", "10.96.0.20")], []), SERVICES)

    assert "10.96.0.20" not in script
    assert "ip daddr 10.96.0.0/16 reject" in script


def test_each_family_has_a_table_of_its_own() -> None:
    """A dual-stack Service leads to IPv4 endpoints by IPv4 and to IPv6 ones by IPv6."""
    both = service("web", "10.96.0.20", clusterIPs=["10.96.0.20", "fd6f:736d:6961::a60:14"])
    slices = [endpoints("web", ("10.244.0.2", True)), endpoints("web", ("fd6f:736d:6961::af4:2", True))]

    v4, v6 = vips_of([both], slices)
    script = render([v4, v6], SERVICES)

    assert (v4.is_v6, v6.is_v6) == (False, True)
    assert (v4.backends, v6.backends) == ((Backend("10.244.0.2", 8080),), (Backend("fd6f:736d:6961::af4:2", 8080),))
    assert "fd6f:736d:6961::a60:14 . tcp . 80 : goto" in script
    assert "ip6 saddr fd6f:736d:6961::af4:2 ct mark set" in script
    assert "dnat to [fd6f:736d:6961::af4:2]:8080" in script
    assert "ip6 daddr fd6f:736d:6961::a60:0/112 reject" in script


@pytest.fixture
def names() -> NameServer:
    """A name server for one Service with a VIP and one headless Service."""
    server = NameServer()
    headless = endpoints("db", ("10.244.0.7", True), ("10.244.0.8", False))
    headless["endpoints"][0]["hostname"] = "db-0"
    server.zone = zone_of([service("web", "10.96.0.20"), service("db", "None")], [headless])
    return server


def ask(server: NameServer, name: str, kind: str = "A") -> dns.message.Message:
    """The server's answer to one question."""
    reply = server.answer(dns.message.make_query(name, kind).to_wire())
    assert reply is not None
    return dns.message.from_wire(reply)


def addresses(reply: dns.message.Message) -> list[str]:
    """The A records of an answer."""
    return sorted(str(item) for record in reply.answer for item in record)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.shop.svc.cluster.local", ["10.96.0.20"]),
        ("WEB.shop.svc.cluster.local", ["10.96.0.20"]),
        ("db.shop.svc.cluster.local", ["10.244.0.7"]),
        ("db-0.db.shop.svc.cluster.local", ["10.244.0.7"]),
    ],
)
def test_names_lead_to_vips_and_headless_endpoints(names: NameServer, name: str, expected: list[str]) -> None:
    """A Service's name is its VIP; a headless Service's name are its ready endpoints, by host name too."""
    reply = ask(names, name)

    assert reply.rcode() == dns.rcode.NOERROR
    assert addresses(reply) == expected
    assert reply.flags & dns.flags.AA


def test_unknown_names_do_not_exist(names: NameServer) -> None:
    """Anything else is NXDOMAIN, so that search domains work."""
    assert ask(names, "web.shop.svc.cluster.local.shop.svc.cluster.local").rcode() == dns.rcode.NXDOMAIN
    assert ask(names, "example.com").rcode() == dns.rcode.NXDOMAIN


def test_known_names_have_no_ipv6(names: NameServer) -> None:
    """AAAA of a known name is an empty answer, not a missing name."""
    reply = ask(names, "web.shop.svc.cluster.local", "AAAA")

    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_what_is_no_question_gets_no_answer(names: NameServer) -> None:
    """Garbage and answers are dropped and counted."""
    answer = names.answer(dns.message.make_query("web.shop.svc.cluster.local", "A").to_wire())
    assert answer is not None

    assert names.answer(b"\x00\x01garbage") is None
    assert names.answer(answer) is None
    assert names.refused == 2


@given(st.binary(max_size=300))
def test_no_datagram_upsets_the_name_server(message: bytes) -> None:
    """Whatever comes in, the answer is a message or nothing."""
    reply = NameServer().answer(message)

    assert reply is None or dns.message.from_wire(reply)


def test_an_answer_too_large_for_udp_is_truncated(names: NameServer) -> None:
    """A long answer is cut and says so; over TCP it is whole."""
    names.zone = {"many.shop.svc.cluster.local": tuple(f"10.244.0.{number}" for number in range(1, 201))}
    question = dns.message.make_query("many.shop.svc.cluster.local", "A").to_wire()

    cut, whole = names.answer(question, size_limit=1232), names.answer(question)

    assert cut is not None
    assert whole is not None
    assert len(cut) <= 1232
    assert dns.message.from_wire(cut).flags & dns.flags.TC
    assert len(addresses(dns.message.from_wire(whole))) == 200
