"""Who is at either end of a connection. `Entities` is all that the rest of the agent uses.

`index` puts together: `cluster` (objects by container, uid, address; fed by `informer` over `client`, let in by
`access`), `addresses` (who had an address when), `cgroups`, `watch` and `processes` (what a local process belongs to),
`conntrack` and `netlink` (where a Service's address leads), `hosts` (this machine's own addresses), `names` (what
outsiders are called by DNS).
"""

from __future__ import annotations

from osmia.agent.entities.index import Entities, EntityOptions, Feature

__all__ = ["Entities", "EntityOptions", "Feature"]
