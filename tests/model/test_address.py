"""Addresses as text: IPv4, IPv6, AF_UNIX."""

from __future__ import annotations

import pytest

from osmia.model.request import Address


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/run/app.sock\0\0\0", "unix:/run/app.sock"),
        (b"stgresql/.s.PGSQL.5432\0", "unix:…stgresql/.s.PGSQL.5432"),
        (b"\0dbus-7\0\0", "unix:@dbus-7"),
        (b"\0\0\0\0", "unix:"),
        (b"/run/\x1b[31m\xff", "unix:/run/\ufffd[31m\ufffd"),
    ],
)
def test_a_unix_socket_is_shown_by_its_path(path: bytes, text: str) -> None:
    """A cut path says so, an abstract name has its @, and nothing in it reaches a terminal."""
    address = Address.of_unix(path)

    assert (str(address), address.port, address.is_unix) == (text, 0, True)


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"\0" * 10 + b"\xff\xff\x0a\0\0\x07", "10.0.0.7:80"), (b"\xfd" + b"\0" * 14 + b"\x07", "[fd00::7]:80")],
)
def test_an_ip_address_is_shown_with_its_port(raw: bytes, text: str) -> None:
    """IPv4-mapped addresses are IPv4, IPv6 stands in brackets."""
    address = Address.from_bytes(raw, 80)

    assert (str(address), address.is_unix) == (text, False)
