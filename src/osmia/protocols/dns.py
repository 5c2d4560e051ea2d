"""DNS answers (RFC 1035, RFC 3596): which addresses a name had, and for how long that may be believed.

Works on the first bytes of a datagram, or of a message on TCP with its length before it: what was cut off is left out.
Never raises; whatever is no answer with addresses gives None.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

__all__ = ["MAX_TTL_S", "DnsAnswer", "ResolvedAddress", "read_answer"]

MAX_TTL_S = 7 * 24 * 3600
"""No address is believed for longer (RFC 8767 recommends the same cap)."""

_HEADER_BYTES = 12
_QUESTION_BYTES = 4  # type and class, behind the name
_RECORD_BYTES = 10  # type, class, TTL and length, between name and data
_MAX_RECORDS = 64
_MAX_JUMPS = 16
_MAX_NAME_BYTES = 255
_MAX_LABEL_BYTES = 63
_POINTER = 0xC0
_IS_RESPONSE, _OPCODE, _CODE = 0x8000, 0x7800, 0x000F
_IN = 1
_A, _CNAME, _AAAA = 1, 5, 28
_ADDRESS_BYTES = {_A: 4, _AAAA: 16}
_TTL_SIGN = 1 << 31


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """One address of a name; IPv4-mapped IPv6 is kept as IPv4."""

    ip: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """What a resolver was told about the `name` it asked for: in lower case, without the final dot.

    An address that was found over a chain of CNAMEs lives as long as the shortest link of the chain.
    """

    name: str
    addresses: tuple[ResolvedAddress, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    kind: int
    ttl_s: int
    data: bytes
    alias: str


def read_answer(payload: bytes) -> DnsAnswer | None:
    """Read one message as far as it was captured; None if it gives no address."""
    found = _read(payload)
    if found is None and int.from_bytes(payload[:2]) >= _HEADER_BYTES:
        found = _read(payload[2:])  # on TCP the length comes first
    return found


def _read(message: bytes) -> DnsAnswer | None:
    flags = int.from_bytes(message[2:4])
    questions, answers = int.from_bytes(message[4:6]), int.from_bytes(message[6:8])
    is_answer = flags & _IS_RESPONSE and not flags & (_OPCODE | _CODE)
    if len(message) <= _HEADER_BYTES or not is_answer or questions != 1 or not answers:
        return None
    question = _name(message, _HEADER_BYTES)
    if question is None or len(message) < question[1] + _QUESTION_BYTES:
        return None
    name, position = question[0], question[1] + _QUESTION_BYTES
    if int.from_bytes(message[position - 2 : position]) != _IN:
        return None
    addresses = _addresses(name, _records(message, position, min(answers, _MAX_RECORDS)))
    return DnsAnswer(name, addresses) if name and addresses else None


def _records(message: bytes, position: int, count: int) -> list[_Record]:
    """Records of the answer section, up to the first that is not whole."""
    records: list[_Record] = []
    for _ in range(count):
        found = _name(message, position)
        if found is None:
            break
        name, start = found
        fixed = message[start : start + _RECORD_BYTES]
        end = start + _RECORD_BYTES + int.from_bytes(fixed[8:10])
        if len(fixed) < _RECORD_BYTES or end > len(message):
            break
        position = end
        kind, class_, ttl_s = int.from_bytes(fixed[:2]), int.from_bytes(fixed[2:4]), int.from_bytes(fixed[4:8])
        if class_ != _IN:
            continue
        alias = _name(message, start + _RECORD_BYTES) if kind == _CNAME else None
        # A TTL with the top bit set means zero (RFC 2181 section 8).
        ttl_s = 0 if ttl_s >= _TTL_SIGN else min(ttl_s, MAX_TTL_S)
        records.append(_Record(name, kind, ttl_s, message[start + _RECORD_BYTES : end], alias[0] if alias else ""))
    return records


def _addresses(name: str, records: list[_Record]) -> tuple[ResolvedAddress, ...]:
    """Addresses of `name` and of what it is an alias for, whatever the order of the records."""
    lives = {name: MAX_TTL_S}
    for _ in records:  # a chain is at most as long as there are records
        before = len(lives)
        for record in records:
            if record.kind == _CNAME and record.name in lives and record.alias:
                lives.setdefault(record.alias, min(lives[record.name], record.ttl_s))
        if len(lives) == before:
            break
    shortest: dict[str, int] = {}
    for record in records:
        if record.name in lives and len(record.data) == _ADDRESS_BYTES.get(record.kind):
            ip, ttl_s = _text(record.data), min(lives[record.name], record.ttl_s)
            shortest[ip] = min(ttl_s, shortest.get(ip, ttl_s))
    return tuple(ResolvedAddress(ip, ttl_s) for ip, ttl_s in shortest.items())


def _text(data: bytes) -> str:
    address = ipaddress.ip_address(data)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _name(message: bytes, position: int) -> tuple[str, int] | None:
    """A domain name and the position behind it; None if it is cut, malformed or its pointers go round."""
    labels: list[str] = []
    end = -1
    jumps = size = 0
    while position < len(message):
        length = message[position]
        if length == 0:
            return ".".join(labels), position + 1 if end < 0 else end
        if length >= _POINTER:
            jumps += 1
            if jumps > _MAX_JUMPS or position + 1 >= len(message):
                return None
            end = position + 2 if end < 0 else end
            position = int.from_bytes(message[position : position + 2]) & 0x3FFF
            continue
        label = message[position + 1 : position + 1 + length]
        size += 1 + length
        if length > _MAX_LABEL_BYTES or size > _MAX_NAME_BYTES or len(label) < length:
            return None
        labels.append(_label(label))
        position += 1 + length
    return None


def _label(label: bytes) -> str:
    """A label in lower case; what is neither letter, digit, hyphen nor underscore becomes `?`."""
    text = label.decode("latin-1").lower()
    return "".join([one if one.isascii() and (one.isalnum() or one in "-_") else "?" for one in text])
