"""Easy handles on demand: one that is idle and already prepared, or a new one."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import pycurl

from osmia.load.client.curl.handles import Exchange, Request, aim, load, parse, retarget, wire
from osmia.load.client.curl.party import Party
from osmia.load.client.curl.records import Mark
from osmia.load.client.transport import Endpoint, Http, Outgoing, Pool, Work

__all__ = ["Supply"]

_STRAYS = 32
"""Idle handles per step for endpoints that are not its own; when there are more, the oldest is pointed elsewhere."""


class Supply:
    """All easy handles of a run. None is closed before the end: they are all used again."""

    def __init__(self, work: Work, on_opened: Any) -> None:  # noqa: ANN401 - pycurl has no types
        self.of: dict[Any, Exchange] = {}
        """The exchange of each easy handle."""
        self._steps = list(work.steps)
        self._max_body_bytes = work.max_body_bytes
        self._on_opened = on_opened
        self._fixed = [parse(one.request) if one.request is not None else None for one in self._steps]
        self._is_new_each_time = work.pool is Pool.PER_USER_NEW
        self._last_uses = _last_uses([one.endpoint for one in self._steps])

    def fixed(self, party: Party, step: int) -> Exchange | None:
        """A handle with the step's own request in it; None if that is no request."""
        idle = party.fixed[step]
        if idle:
            exchange = idle.pop()
            if exchange.key != party.key:
                retarget(exchange, party.key)
            return exchange
        request = self._fixed[step]
        if request is None:
            return None
        one = self._steps[step]
        exchange = self._make(party, step, one.endpoint, is_absolute=_is_for_proxy(one.endpoint, request))
        load(exchange, request)
        exchange.is_simple = not exchange.is_multiplexed and not exchange.is_tunnelled
        exchange.sent_bytes = len(one.request or b"")
        exchange.home = idle
        if self._is_new_each_time and not one.shows and self._last_uses[step]:
            exchange.is_closed_after = True
            exchange.easy.setopt(pycurl.FORBID_REUSE, 1)
        return exchange

    def rendered(self, party: Party, step: int, given: bytes | Outgoing) -> Exchange | None:
        """A handle with a request that the script gave; None if that is no request."""
        one = self._steps[step]
        raw, endpoint = (given, one.endpoint) if isinstance(given, bytes) else (given.request, given.endpoint)
        request = parse(raw)
        if request is None:
            return None
        is_absolute = _is_for_proxy(endpoint, request)
        if endpoint is one.endpoint and not is_absolute:
            idle = party.rendered[step]
            exchange = idle.pop() if idle else self._make(party, step, endpoint, is_absolute=False)
        else:
            idle = party.elsewhere[step]
            exchange = self._stray(party, step, endpoint, is_absolute=is_absolute)
        exchange.home = idle
        if exchange.key != party.key:
            retarget(exchange, party.key)
        load(exchange, request)
        exchange.sent_bytes = len(raw)
        return exchange

    def close(self) -> None:
        """After the multi."""
        for easy in self.of:
            easy.close()
        self.of.clear()

    def _stray(self, party: Party, step: int, endpoint: Endpoint, *, is_absolute: bool) -> Exchange:
        """A handle for an endpoint that is not the step's. There may be any number of those, but not of handles."""
        idle = party.elsewhere[step]
        for at in range(len(idle) - 1, -1, -1):
            if idle[at].is_absolute == is_absolute and idle[at].endpoint == endpoint:
                return idle.pop(at)
        if len(idle) < _STRAYS:
            return self._make(party, step, endpoint, is_absolute=is_absolute)
        easy = idle.pop(0).easy
        easy.reset()
        return self._make(party, step, endpoint, is_absolute=is_absolute, easy=easy)

    def _make(
        self,
        party: Party,
        step: int,
        endpoint: Endpoint,
        *,
        is_absolute: bool,
        easy: Any = None,  # noqa: ANN401 - pycurl has no types
    ) -> Exchange:
        one = self._steps[step]
        is_named = not _is_address(endpoint.proxy.host if endpoint.proxy else endpoint.host)
        easy = easy or pycurl.Curl()
        exchange = Exchange(
            easy=easy,
            get=easy.getinfo,
            step=step,
            endpoint=endpoint,
            marks=Mark.NAMED if is_named else 0,
            shows=one.shows,
            is_multiplexed=endpoint.http is not Http.ONE,
        )
        self.of[easy] = exchange
        aim(exchange, key=party.key, is_absolute=is_absolute)
        wire(exchange, one, self._on_opened, max_body_bytes=self._max_body_bytes)
        return exchange


def _last_uses(endpoints: Sequence[Endpoint]) -> list[bool]:
    """For each step whether no later one goes to the same endpoint."""
    return [endpoint not in endpoints[step + 1 :] for step, endpoint in enumerate(endpoints)]


def _is_for_proxy(endpoint: Endpoint, request: Request) -> bool:
    return endpoint.proxy is not None and request.is_absolute


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
