"""An API server emulation that kubectl and any client library can talk to; in-process for lab and tests.

`ApiServer` is the server itself, called directly. `serve` puts it on a port. The rest is how it behaves:
`resources` (one table), `collection` (versions, history), `defaults`, `patches`, `deletion`, `faults`.
"""

from __future__ import annotations

from osmia.lab.apiserver.deletion import DeletionOptions
from osmia.lab.apiserver.errors import ApiError
from osmia.lab.apiserver.faults import Faults, WatchFault
from osmia.lab.apiserver.patches import PatchKind
from osmia.lab.apiserver.resources import RESOURCES, Resource
from osmia.lab.apiserver.server import ApiServer, LogQuery, LogSource
from osmia.lab.apiserver.serving import Certificate, Served, make_certificate, serve, write_kubeconfig

__all__ = [
    "RESOURCES",
    "ApiError",
    "ApiServer",
    "Certificate",
    "DeletionOptions",
    "Faults",
    "LogQuery",
    "LogSource",
    "PatchKind",
    "Resource",
    "Served",
    "WatchFault",
    "make_certificate",
    "serve",
    "write_kubeconfig",
]
