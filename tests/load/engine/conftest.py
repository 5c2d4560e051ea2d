"""The real transports, and a server that remembers who came."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from osmia.load.client.core import CoreTransport
from osmia.load.client.curl import CurlTransport
from osmia.load.client.transport import Transport
from osmia.model.errors import UnavailableError
from tests.load.engine.crowd import Crowd


@pytest.fixture(params=[CoreTransport, CurlTransport], ids=["core", "curl"])
def transport(request: pytest.FixtureRequest) -> Callable[[], Transport]:
    """The class of one of the two."""
    made: Callable[[], Transport] = request.param
    try:
        made()
    except UnavailableError as exc:
        pytest.skip(str(exc))
    return made


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """A server of its own for each test: nobody has been there before."""
    with Crowd.running() as one:
        yield one
