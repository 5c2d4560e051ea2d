"""Connection tracking messages as recorded from the kernel (`captures/conntrack`)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.entities.netlink import Flow, get_request, parse

_CAPTURES = Path(__file__).parents[2] / "captures" / "conntrack"


def _recorded(name: str) -> bytes:
    return (_CAPTURES / f"{name}.bin").read_bytes()


def _text(flow: Flow) -> str:
    """The flow's addresses without the ports that the kernel chose."""
    names = [ipaddress.ip_address(ip) for ip in (flow.source, flow.destination, flow.reply_source)]
    return f"{names[0]} -> {names[1]}:{flow.destination_port} = {names[2]}:{flow.reply_source_port}"


@pytest.mark.parametrize(
    ("capture", "flows"),
    [
        ("dump-ipv4", ["10.9.0.2 -> 10.96.0.20:80 = 10.9.0.1:8080"]),
        ("dump-ipv6", ["fd00:9::2 -> fd00:96::20:80 = fd00:9::1:8080"]),
        ("get-found", ["10.9.0.2 -> 10.96.0.20:80 = 10.9.0.1:8080"]),
    ],
)
def test_translated_flows_are_read(capture: str, flows: list[str]) -> None:
    """A dump and a single answer give the connection that was rewritten, and only that as rewritten."""
    found = [message.flow for message in parse(_recorded(capture)) if message.flow]

    assert [_text(flow) for flow in found if flow.is_translated] == flows
    assert all(flow.reply_destination_port == flow.source_port for flow in found)


def test_end_of_a_dump_is_seen() -> None:
    """The last message of a dump says so."""
    *_, last = parse(_recorded("dump-ipv4"))

    assert last.kind.is_done


def test_missing_connection_is_an_error_message() -> None:
    """A GET of nothing answers ENOENT under the question's sequence number."""
    (answer,) = parse(_recorded("get-missing"))

    assert (answer.kind.is_error, answer.error, answer.sequence, answer.flow) == (True, 2, 10, None)


def test_events_tell_beginning_and_end() -> None:
    """NEW and DESTROY events of TCP, UDP, IPv4 and IPv6 are read."""
    messages = [message for message in parse(_recorded("events")) if message.flow]

    begun = {_text(one.flow) for one in messages if one.kind.is_new and one.flow}
    ended = {_text(one.flow) for one in messages if one.kind.is_destroy and one.flow}
    assert {
        "10.9.0.2 -> 10.96.0.20:80 = 10.9.0.1:8080",
        "fd00:9::2 -> fd00:96::20:80 = fd00:9::1:8080",
        "10.9.0.2 -> 10.9.0.1:8080 = 10.9.0.1:8080",
    } <= begun & ended
    assert {one.flow.protocol for one in messages if one.flow} == {socket.IPPROTO_TCP, socket.IPPROTO_UDP}


@pytest.mark.parametrize(
    ("source", "destination", "length"),
    [("10.0.0.1", "10.0.0.2", 72), ("fd00::1", "fd00::2", 96)],
)
def test_question_is_well_formed(source: str, destination: str, length: int) -> None:
    """A GET has the length it says, the sequence asked for, and its own tuple inside."""
    packed = [ipaddress.ip_address(ip).packed for ip in (source, destination)]
    request = get_request(6, packed[0], 1234, packed[1], 80, sequence=77)

    said_length, _, _, sequence, _ = struct.unpack_from("=IHHII", request)
    assert (len(request), said_length, sequence) == (length, length, 77)
    assert packed[0] in request
    assert packed[1] in request


@given(st.binary(max_size=300))
def test_noise_is_survived(noise: bytes) -> None:
    """No bytes make the parser raise or run for ever."""
    assert len(list(parse(noise))) <= len(noise) // 16


@given(st.sampled_from(["dump-ipv4", "dump-ipv6", "events"]), st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_damage_is_survived(capture: str, offset: int, noise: bytes) -> None:
    """Recorded messages with some bytes overwritten or cut off give what is left, and never raise."""
    data = bytearray(_recorded(capture))
    data[offset : offset + len(noise)] = noise

    whole, cut = list(parse(bytes(data))), list(parse(bytes(data[: len(data) - offset])))

    assert len(whole) <= len(data) // 16
    assert len(cut) <= len(whole) + 1
