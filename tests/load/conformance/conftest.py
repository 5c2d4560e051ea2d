"""Every test that takes `transport` runs once on each transport."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.load.client.transport import Transport
from osmia.model.errors import UnavailableError
from tests.load.conformance.certificates import Certificates, make
from tests.load.conformance.rig import Stage

_TRANSPORTS = {
    "curl": ("osmia.load.client.curl", "CurlTransport"),
    "core": ("osmia.load.client.core", "CoreTransport"),
}


def pytest_configure(config: pytest.Config) -> None:
    """Declare what only this suite uses."""
    config.addinivalue_line("markers", "unsupported: NAME=why for a transport that cannot do this by design")


@pytest.fixture(params=list(_TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> Transport:
    """One of the two. A marker `unsupported(core="why")` says what one of them leaves to the other by design."""
    module, name = _TRANSPORTS[request.param]
    marker = request.node.get_closest_marker("unsupported")
    if marker is not None and request.param in marker.kwargs:
        pytest.skip(f"{request.param}: {marker.kwargs[request.param]}")
    try:
        made: Transport = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, UnavailableError) as exc:
        pytest.skip(f"{request.param} was not built: {exc}")
    return made


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
