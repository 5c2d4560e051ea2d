"""A name server: nameserver.py ADDRESS NAME=IP ...; every other name does not exist."""

from __future__ import annotations

import socket
import sys

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_TTL_S = 30


def main() -> None:
    """Answer until killed."""
    zone = dict(one.split("=") for one in sys.argv[2:])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind((sys.argv[1], 53))
        sys.stdout.write("up\n")
        sys.stdout.flush()
        while True:
            question, client = served.recvfrom(4096)
            served.sendto(_answer(question, zone), client)


def _answer(question: bytes, zone: dict[str, str]) -> bytes:
    query = dns.message.from_wire(question)
    reply = dns.message.make_response(query, recursion_available=True)
    asked = query.question[0]
    ip = zone.get(asked.name.to_text(omit_final_dot=True).lower())
    if ip is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif asked.rdtype == dns.rdatatype.A:
        reply.answer.append(dns.rrset.from_text(asked.name, _TTL_S, "IN", "A", ip))
    return reply.to_wire()


if __name__ == "__main__":
    main()
