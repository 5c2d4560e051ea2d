"""Certificates for tests: good ones, an expired one, one for another name, and a client's."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Certificates", "make"]


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files."""

    authority: Path
    good: Path
    expired: Path
    other_name: Path
    client: Path
    client_key: Path
    stranger: Path
    """A client's certificate of another authority, its key with it."""

    def server(self, pem: Path, *, asks_client: bool = False, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        """A server's context with one of them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.set_alpn_protocols(list(alpn))
        if asks_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context


def make(folder: Path) -> Certificates:
    """Write all of them."""
    authority = trustme.CA()
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    names = ("localhost", "127.0.0.1", "::1")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    made = {
        "good": authority.issue_cert(*names),
        "expired": authority.issue_cert(*names, not_before=yesterday - dt.timedelta(days=9), not_after=yesterday),
        "other_name": authority.issue_cert("elsewhere.example"),
        "stranger": trustme.CA().issue_cert("stranger@example.org"),
    }
    for name, leaf in made.items():
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    client = authority.issue_cert("client@example.org")
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    return Certificates(
        authority=folder / "authority.pem",
        good=folder / "good.pem",
        expired=folder / "expired.pem",
        other_name=folder / "other_name.pem",
        client=folder / "client.pem",
        client_key=folder / "client.key",
        stranger=folder / "stranger.pem",
    )
