"""HTTP/3: libcurl's part alone."""

from __future__ import annotations

import socket

import pycurl
import pytest

from osmia.load.client.transport import Endpoint, Http, Shows, Transport, WireStep
from osmia.load.tally import Failure
from osmia.model.errors import ConfigError
from tests.load.conformance.certificates import Certificates
from tests.load.conformance.http3 import serve_http3
from tests.load.conformance.rig import Stage, Witness, exercise, get, ok

pytestmark = [
    pytest.mark.unsupported(core="HTTP/3 is libcurl's part"),
    pytest.mark.skipif(
        not pycurl.version_info()[4] & pycurl.VERSION_HTTP3, reason="this libcurl was built without HTTP/3"
    ),
]


def test_requests_go_over_quic(transport: Transport, stage: Stage, certificates: Certificates) -> None:
    """One connection, several streams, answers shown as always."""
    peer = serve_http3(stage, certificates.good)
    script = Witness()
    endpoint = peer.endpoint(is_tls=True, http=Http.THREE)
    step = WireStep(endpoint=endpoint, request=get("/x?y"), shows=Shows.ALWAYS, keeps_body=True)

    outcome = exercise(transport, step, script=script, users=3, count=12)

    assert outcome.statuses() == {200: 12}
    assert len(peer.requests) == 12
    assert b":path=/x?y" in peer.requests[0]
    assert b":authority=test" in peer.requests[0]
    assert script.shown[0].head == b"HTTP/3 200\r\nx-kind: three\r\n\r\n"
    assert {shown.body for shown in script.shown} == {b"hello"}
    assert peer.links <= 3


def test_nobody_speaks_quic(transport: Transport) -> None:
    """A closed UDP port: a failed connection, not a hang."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    endpoint = Endpoint(host="127.0.0.1", port=port, is_tls=True, http=Http.THREE)
    step = WireStep(endpoint=endpoint, request=get(), timeout_ns=1_000_000_000)

    outcome = exercise(transport, step)

    [failure] = outcome.failures()
    assert failure in (Failure.CONNECTION_REFUSED, Failure.CONNECTION_TIMEOUT)


def test_http3_needs_tls(transport: Transport, stage: Stage) -> None:
    """Said before anything is sent."""
    peer = stage.answer(ok())

    with pytest.raises(ConfigError, match="TLS"):
        exercise(transport, WireStep(endpoint=peer.endpoint(http=Http.THREE), request=get()), peers=[peer])
