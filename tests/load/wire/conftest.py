"""The core's TLS and HTTP/2 against odd servers and a real nginx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.load.client.transport import Transport
from tests.load.conformance.certificates import Certificates, make
from tests.load.conformance.rig import Stage


@pytest.fixture
def core() -> Transport:
    """The transport that these tests are about."""
    module = pytest.importorskip("osmia.load.client.core.loop", exc_type=ImportError)
    assert module
    from osmia.load.client.core import CoreTransport

    return CoreTransport()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Where servers run."""
    with Stage() as one:
        yield one


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of our own, and certificates good and bad."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    return make(folder)
