"""An outside peer is called what its client asked DNS for, and keeps that name."""

from __future__ import annotations

import dns.message
import dns.rrset
import pytest

from osmia.agent.entities.names import DnsNames

_S = 1_000_000_000
_HOUR = 3_600 * _S
_IP = "203.0.113.7"


def _answer(name: str, *ips: str, ttl_s: int = 60, kind: str = "A") -> bytes:
    reply = dns.message.make_response(dns.message.make_query(name, kind))
    reply.answer.append(dns.rrset.from_text(name + ".", ttl_s, "IN", kind, *ips))
    return reply.to_wire()


def test_own_name_comes_first() -> None:
    """Two applications that reach one address by two names each see their own; others see none of them."""
    names = DnsNames()
    names.learn(_answer("api.example.com", _IP), 1, now_ns=0)
    names.learn(_answer("cdn.example.net", _IP), 2, now_ns=0)

    assert [names.name_of(_IP, cgroup, now_ns=_S) for cgroup in (1, 2, 3)] == [
        "api.example.com",
        "cdn.example.net",
        "",
    ]


def test_who_has_not_asked_gets_the_only_name() -> None:
    """A process that asked before the agent started, or through another one, gets the name others were given."""
    names = DnsNames()
    names.learn(_answer("api.example.com", _IP), 1, now_ns=0)

    assert names.name_of(_IP, 9, now_ns=_S) == "api.example.com"


def test_tokens_among_the_labels_are_left_out() -> None:
    """Names leave the node; a label that is a token does not, regions and numbers do."""
    names = DnsNames()
    names.learn(_answer("9c4e1fb7d2a083655e.tunnel.example.com", _IP), 1, now_ns=0)
    names.learn(_answer("ec2-3-120-4-5.eu-central-1.example.com", "203.0.113.8"), 1, now_ns=0)

    assert names.name_of(_IP, 1, now_ns=_S) == "{hash}.tunnel.example.com"
    assert names.name_of("203.0.113.8", 1, now_ns=_S) == "ec2-3-120-4-5.eu-central-1.example.com"


def test_first_name_stays() -> None:
    """Who asks for two names of one address in turn sees the first, however often the answers change places."""
    names = DnsNames()
    seen = set()
    for turn in range(40):
        names.learn(_answer(("a.example.com", "b.example.com")[turn % 2], _IP, ttl_s=30), 1, now_ns=turn * 45 * _S)
        seen.add(names.name_of(_IP, 1, now_ns=turn * 45 * _S))

    assert seen == {"a.example.com"}


def test_address_that_moves_gets_its_new_name() -> None:
    """Once the old name was in no answer for its time and ten minutes, the next one takes over."""
    names = DnsNames()
    names.learn(_answer("old.example.com", _IP), 1, now_ns=0)

    early = names.learn(_answer("new.example.com", _IP), 1, now_ns=599 * _S)
    late = names.learn(_answer("new.example.com", _IP), 1, now_ns=601 * _S)

    assert (early, late) == (True, True)  # early: of two names in use at once, others are told neither
    assert names.name_of(_IP, 1, now_ns=601 * _S) == "new.example.com"


def test_name_outlives_its_answer_while_it_is_used() -> None:
    """A connection of days goes on under its name; an unused name is forgotten after an hour."""
    names = DnsNames()
    names.learn(_answer("api.example.com", _IP, ttl_s=5), 1, now_ns=0)

    used = [names.name_of(_IP, 1, now_ns=half * _HOUR // 2) for half in range(1, 20)]
    unused = names.name_of(_IP, 1, now_ns=12 * _HOUR)

    assert set(used) == {"api.example.com"}
    assert unused == ""


def test_ipv6_and_several_addresses() -> None:
    """Every address of an answer has the name, of either family."""
    names = DnsNames()
    names.learn(_answer("api.example.com", _IP, "203.0.113.8"), 1, now_ns=0)
    names.learn(_answer("api.example.com", "2001:db8::7", kind="AAAA"), 1, now_ns=0)

    assert {names.name_of(ip, 1, now_ns=1) for ip in (_IP, "203.0.113.8", "2001:db8::7")} == {"api.example.com"}


@pytest.mark.parametrize(
    "name",
    [
        "web.default.svc.cluster.local",
        "web.default.svc",
        "10-0-0-1.default.pod.cluster.local",
        "7.113.0.203.in-addr.arpa",
        "localhost",
        "db.corp.cluster.local",
    ],
)
def test_names_inside_the_cluster_are_left_out(name: str) -> None:
    """Whose such an address is the API server says."""
    names = DnsNames()
    names.learn(_answer(name, _IP), 1, now_ns=0)

    assert names.name_of(_IP, 1, now_ns=1) == ""


@pytest.mark.parametrize("payload", [b"", b"\0" * 12, b"\xff" * 512, _answer("a.example.com", _IP)[:20]])
def test_what_is_no_answer_is_counted(payload: bytes) -> None:
    """Garbage on port 53 names nobody."""
    names = DnsNames()

    assert not names.learn(payload, 1, now_ns=0)
    assert (len(names), names.counters["unread"]) == (0, 1)


def test_memory_is_bounded() -> None:
    """Beyond the limit the longest unused go, and are counted."""
    names = DnsNames(limit=10)
    for number in range(30):
        names.learn(_answer("a.example.com", f"203.0.113.{number}"), 1, now_ns=0)

    assert (len(names), names.counters["evicted"]) == (10, 50)
    assert names.name_of("203.0.113.29", 1, now_ns=1) == "a.example.com"
