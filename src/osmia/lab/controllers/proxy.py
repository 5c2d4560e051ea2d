"""Services and EndpointSlices -> the node's nft table and the name server's zone, together, so that they agree."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from osmia.lab.apiserver import ApiServer
from osmia.lab.controllers.loop import Key, Reconciler, everything
from osmia.lab.network.dns import NameServer, zone_of
from osmia.lab.network.node import NodeNetwork
from osmia.lab.network.vips import Vip, apply, vips_of

__all__ = ["Proxy"]

_GATHER_S = 0.01


class Proxy:
    """Keeps VIPs and names as the Services want them."""

    def __init__(self, api: ApiServer, networks: Sequence[NodeNetwork], names: NameServer) -> None:
        self._api = api
        self._networks = networks
        self._names = names
        self._applied: list[Vip] | None = None

    @property
    def is_current(self) -> bool:
        """Whether what the Services want now has reached the nodes."""
        return self._applied == vips_of(self._api.list("services"), self._api.list("endpointslices"))

    async def run(self) -> None:
        """Follow Services and EndpointSlices until cancelled."""
        sources = {"services": everything, "endpointslices": everything}
        await Reconciler("proxy", self._api, self._reconcile, sources).run()

    async def _reconcile(self, key: Key) -> None:
        del key
        await anyio.sleep(_GATHER_S)  # a change rarely comes alone; one transaction for all of them
        services, slices = self._api.list("services"), self._api.list("endpointslices")
        self._names.zone = zone_of(services, slices)
        vips = vips_of(services, slices)
        if vips != self._applied:
            for network in self._networks:
                await apply(network, vips)
            self._applied = vips
