"""DNS answers: names, addresses and how long they hold, from whole, cut and hostile messages."""

from __future__ import annotations

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.protocols.dns import MAX_TTL_S, DnsAnswer, ResolvedAddress, read_answer

CHAIN = (
    ("www.shop.example.", 300, "CNAME", "cdn.example.net."),
    ("cdn.example.net.", 20, "CNAME", "edge.example.net."),
    ("edge.example.net.", 60, "A", "192.0.2.7"),
    ("edge.example.net.", 60, "A", "192.0.2.8"),
)


def answer(name: str, *records: tuple[str, int, str, str], kind: str = "A") -> bytes:
    """An answer as dnspython writes it, with compressed names."""
    query = dns.message.make_query(name, kind)
    response = dns.message.make_response(query)
    for owner, ttl, type_, value in records:
        response.answer.append(dns.rrset.from_text(owner, ttl, "IN", type_, value))
    return response.to_wire()


def addresses(payload: bytes) -> tuple[str, dict[str, int]]:
    """The name and its addresses with their lives; empty if the payload says nothing."""
    found = read_answer(payload)
    return ("", {}) if found is None else (found.name, {one.ip: one.ttl_s for one in found.addresses})


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (answer("Shop.Example.", ("shop.example.", 30, "A", "192.0.2.1")), ("shop.example", {"192.0.2.1": 30})),
        (
            answer("shop.example.", ("shop.example.", 30, "AAAA", "2001:db8::1"), kind="AAAA"),
            ("shop.example", {"2001:db8::1": 30}),
        ),
        (answer("m.", ("m.", 30, "AAAA", "::ffff:192.0.2.1"), kind="AAAA"), ("m", {"192.0.2.1": 30})),
        (answer("www.shop.example.", *CHAIN), ("www.shop.example", {"192.0.2.7": 20, "192.0.2.8": 20})),
        (answer("www.shop.example.", *CHAIN[::-1]), ("www.shop.example", {"192.0.2.7": 20, "192.0.2.8": 20})),
        (
            answer("a.", ("a.", 5, "CNAME", "b."), ("b.", 5, "CNAME", "a."), ("b.", 9, "A", "192.0.2.1")),
            ("a", {"192.0.2.1": 5}),
        ),
        (answer("a.", ("other.", 5, "A", "192.0.2.1")), ("", {})),
        (answer("a.", ("a.", 5, "TXT", '"192.0.2.1"'), ("a.", 7, "A", "192.0.2.2")), ("a", {"192.0.2.2": 7})),
        (answer("a.", ("a.", 2**30, "A", "192.0.2.1")), ("a", {"192.0.2.1": MAX_TTL_S})),
        (answer("a."), ("", {})),
        (dns.message.make_query("a.", "A").to_wire(), ("", {})),
        (b"", ("", {})),
    ],
    ids=[
        "A",
        "AAAA",
        "mapped",
        "chain",
        "chain reversed",
        "loop of names",
        "someone else's",
        "TXT",
        "years",
        "none",
        "query",
        "empty",
    ],
)
def test_answers(payload: bytes, expected: tuple[str, dict[str, int]]) -> None:
    """The name that was asked for gets the addresses it led to, for as long as the shortest link says."""
    assert addresses(payload) == expected


def test_message_on_tcp() -> None:
    """On TCP a message begins with its length."""
    payload = answer("a.", ("a.", 5, "A", "192.0.2.1"))

    assert addresses(len(payload).to_bytes(2) + payload) == ("a", {"192.0.2.1": 5})


def test_refusals_say_nothing() -> None:
    """NXDOMAIN gives no address, whatever stands in its answer section."""
    payload = bytearray(answer("a.", ("a.", 5, "A", "192.0.2.1")))
    payload[3] |= 3

    assert read_answer(bytes(payload)) is None


def test_a_cut_answer_gives_the_whole_records_before_the_cut() -> None:
    """A truncated payload loses addresses; it never makes up any."""
    payload = answer("www.shop.example.", *CHAIN)
    whole = addresses(payload)[1]

    for end in range(len(payload)):
        name, found = addresses(payload[:end])
        assert name in ("", "www.shop.example")
        assert found.items() <= whole.items()


def test_pointers_that_go_round_end() -> None:
    """A name that points to itself is none."""
    head = answer("a.", ("a.", 5, "A", "192.0.2.1"))[:12]

    assert read_answer(head + b"\xc0\x0c" + b"\0\1\0\1" + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\1\2\3\4") is None


def test_a_name_is_safe_to_show() -> None:
    """What is no letter, digit, hyphen or underscore in a label is not passed on."""
    payload = answer("a.", ("a.", 5, "A", "192.0.2.1")).replace(b"\1a\0", b"\1\x1b\0")

    assert read_answer(payload) == DnsAnswer("?", (ResolvedAddress("192.0.2.1", 5),))


@given(st.binary(max_size=600))
def test_any_bytes_are_read_without_an_error(payload: bytes) -> None:
    """Whatever the bytes, the answer is None or bounded."""
    found = read_answer(payload)

    assert found is None or (len(found.name) <= 255 and len(found.addresses) <= 64)


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6))
def test_a_damaged_answer_is_read_without_an_error(damage: list[tuple[int, int]]) -> None:
    """Flipped bytes of a real answer neither raise nor give more than the message can hold."""
    payload = bytearray(answer("www.shop.example.", *CHAIN))
    for place, value in damage:
        payload[place % len(payload)] = value

    found = read_answer(bytes(payload))

    assert found is None or len(found.addresses) <= 4
